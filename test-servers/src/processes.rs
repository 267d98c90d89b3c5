//! Processes of this machine, as proc(5) tells of them: who listens on a port, what CPU was taken, and what memory is held.

use std::collections::HashSet;
use std::fs;

/// A tick of the kernel's clock, of which Linux tells user space a hundred a second on every platform of ours.
pub const TICK_US: f64 = 10_000.0;
/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A process in the list of all.
struct Entry {
    parent: u32,
    own_ticks: f64,
    /// Of children that have ended.
    children_ticks: f64,
}

/// User and system time so far of a process alone, in microseconds. None where there is no such process.
pub fn own_cpu_us(process: u32) -> Option<f64> {
    Some(read(process)?.own_ticks * TICK_US)
}

/// User and system time so far of a process with its children, those that have ended too, in microseconds. None where
/// there is no such process.
pub fn cpu_us(process: u32) -> Option<f64> {
    let parent = read(process)?;
    let children = all().filter_map(read).filter(|entry| entry.parent == process);
    let ticks: f64 = children.map(|entry| entry.own_ticks + entry.children_ticks).sum();
    Some((parent.own_ticks + parent.children_ticks + ticks) * TICK_US)
}

/// The memory that a process holds, pages of mapped files among it. None where there is no such process.
pub fn resident_bytes(process: u32) -> Option<u64> {
    status_bytes(process, "VmRSS:")
}

/// The most that it has held so far, in the same way.
pub fn peak_bytes(process: u32) -> Option<u64> {
    status_bytes(process, "VmHWM:")
}

/// What it holds without the pages of mapped files, which the kernel can take away when it needs them.
pub fn own_bytes(process: u32) -> Option<u64> {
    status_bytes(process, "RssAnon:")
}

/// The process that listens on a TCP port; of several that share the socket, the one that handed it down. None where
/// nobody does, or it is another user's.
pub fn listening_on(port: u16) -> Option<u32> {
    let sockets = listening_sockets(port);
    let holders: Vec<u32> = all().filter(|process| holds(*process, &sockets)).collect();
    let is_first = |process: &u32| read(*process).is_some_and(|entry| !holders.contains(&entry.parent));
    holders.iter().copied().find(is_first)
}

/// What a process is called: 15 letters of it at the most.
pub fn name(process: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{process}/comm")).ok()?.trim().to_owned())
}

/// A size that `/proc/PROCESS/status` tells. None where there is no such process, or it has ended.
fn status_bytes(process: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"))?;
    Some(kib.trim().parse::<u64>().ok()? * 1024)
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn read(process: u32) -> Option<Entry> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in brackets, and may hold spaces and brackets itself.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    // The fields 4 and 14 to 17 of the whole line.
    Some(Entry {
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: ticks(11)? + ticks(12)?,
        children_ticks: ticks(13)? + ticks(14)?,
    })
}

/// The sockets that listen on a port, as descriptors name them.
fn listening_sockets(port: u16) -> HashSet<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local_port, 16) == Ok(port) && *fields.get(3)? == LISTENING;
        let inode = fields.get(9)?;
        is_it.then(|| format!("socket:[{inode}]"))
    };
    tables.iter().flat_map(|table| table.lines()).filter_map(socket).collect()
}

fn holds(process: u32, sockets: &HashSet<String>) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.any(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
}
