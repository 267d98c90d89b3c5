//! The edge's own binary, started on free ports and ended with the test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Answer, Connection};

/// How long a test waits for something that must happen. Long, since a test machine may be slow; waiting ends as soon
/// as it happens.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct EdgeProcess {
    child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub log: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl EdgeProcess {
    /// Starts an edge for the markets, polling fast.
    pub fn start(cache: &Path, markets: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_with(cache, markets, flags, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(
        cache: &Path,
        markets: &[(&str, &str)],
        flags: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
        for (name, url) in markets {
            command.args(["--market", &format!("{name}={url}")]);
        }
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.arg("--cache-dir").arg(cache).args(flags).env("VITRINE_DRAIN_MS", "0");
        // In the environment, so that a flag can say otherwise.
        command.env("VITRINE_POLL_INTERVAL_MS", "20").envs(environment.iter().cloned());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the edge starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let listening: Value = loop {
            let line = lines.next().expect("the edge says where it listens");
            let line: Value = serde_json::from_str(&line).expect("JSON lines");
            if line["message"] == "listening" {
                break line;
            }
        };
        let address = |name: &str| listening[name].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = log.clone();
        let reader = std::thread::spawn(move || lines.for_each(|line| kept.lock().expect("the log").push(line)));
        Self { public: address("public"), admin: address("admin"), child, log, reader: Some(reader) }
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.public)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.connect().get(path)
    }

    pub fn health(&self) -> Value {
        self.get("/healthz").json()
    }

    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = Connection::open(self.admin).get("/metrics").text();
        let line =
            text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until the first market serves this sequence.
    pub fn wait_for_sequence(&self, sequence: u64) {
        let served = || self.get("/v1/snapshot").json()["markets"][0]["sequence"] == sequence;
        wait_until(&format!("sequence {sequence} is served"), served);
    }

    /// Waits until the first market tells a fault with this text in it.
    pub fn wait_for_fault(&self, text: &str) {
        let told = || self.health()["markets"][0]["fault"].as_str().is_some_and(|fault| fault.contains(text));
        wait_until(&format!("the fault '{text}' is told"), told);
    }

    /// Whether all that was logged has been read.
    pub fn log_has_ended(&self) -> bool {
        self.reader.as_ref().is_some_and(std::thread::JoinHandle::is_finished)
    }

    /// Whether an event with this text in it was logged.
    pub fn log_has(&self, text: &str) -> bool {
        self.log.lock().expect("the log").iter().any(|line| line.contains(text))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The distinct objects that the process has mapped.
    pub fn mapped_objects(&self) -> std::collections::BTreeSet<String> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.id())).expect("the process's maps");
        maps.lines().filter_map(|line| Some(line.split_once("/objects/")?.1.to_owned())).collect()
    }

    /// Whether the process has a thread of this name.
    pub fn has_thread(&self, name: &str) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("the process's threads");
        let names = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        names.map(|other| other.trim().to_owned()).any(|other| other == name)
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the edge ends")
    }
}

impl Drop for EdgeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
