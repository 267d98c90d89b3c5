//! CPU time of processes, as proc(5) counts it.

use std::fs;

/// Ticks of the kernel's clock a second, which is what Linux tells user space on every platform of ours.
const TICKS_PER_S: f64 = 100.0;

/// Seconds of CPU, user and system, by who used them.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub checkout_s: f64,
    pub postgres_s: f64,
    pub stripe_s: f64,
    pub edge_s: f64,
    /// This process: the load, and the subscriber that events are told to.
    pub generator_s: f64,
}

/// A process in the list of all.
struct Entry {
    parent: u32,
    own_ticks: f64,
    /// Of children that have ended.
    children_ticks: f64,
}

impl Cost {
    pub fn since(self, before: Self) -> Self {
        Self {
            checkout_s: self.checkout_s - before.checkout_s,
            postgres_s: self.postgres_s - before.postgres_s,
            stripe_s: self.stripe_s - before.stripe_s,
            edge_s: self.edge_s - before.edge_s,
            generator_s: self.generator_s - before.generator_s,
        }
    }
}

/// What one process used so far; nothing where it is gone.
pub fn of_process(process: u32) -> f64 {
    read(process).map_or(0.0, |entry| entry.own_ticks / TICKS_PER_S)
}

/// What a process used with its children, those that have ended too.
pub fn of_family(process: u32) -> f64 {
    let Some(parent) = read(process) else { return 0.0 };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = processes.filter_map(read).filter(|entry| entry.parent == process);
    let ticks = children.map(|entry| entry.own_ticks + entry.children_ticks).sum::<f64>();
    (parent.own_ticks + parent.children_ticks + ticks) / TICKS_PER_S
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
