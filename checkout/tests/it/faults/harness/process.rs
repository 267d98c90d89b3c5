//! The checkout's own binary as a process, which can be killed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A test machine may be slow; waiting ends as soon as the process listens.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);
/// Lines of the log that are kept for whoever looks for a reason.
const MAX_LINES: usize = 2_000;

/// Its settings, by their names in the environment.
pub type Environment = Vec<(String, String)>;

pub struct CheckoutProcess {
    child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl CheckoutProcess {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// With its last lines, when it ends before.
    pub fn start(environment: &[(String, String)], flags: &[String]) -> Result<Self, String> {
        let mut child = command(environment)
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("checkout starts");
        let log: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let (tell, listening) = mpsc::channel();
        follow(child.stdout.take().expect("its output"), log.clone(), Some(tell));
        follow(child.stderr.take().expect("its complaints"), log.clone(), None);
        match listening.recv_timeout(START_TIMEOUT) {
            Ok((public, admin)) => Ok(Self { child, public, admin, log }),
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().expect("checkout ends");
                Err(format!("checkout does not listen ({status}):\n{}", text(&log)))
            }
        }
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub fn has_died(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it died at its fail point.
    ///
    /// # Panics
    /// When it lives on, or died of something else.
    pub fn wait_for_abort(&mut self, patience: Duration) {
        const SIGABRT: i32 = 6;
        let started = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            assert!(started.elapsed() < patience, "it lives on:\n{}", self.log());
            std::thread::sleep(PAUSE);
        };
        assert_eq!(status.signal(), Some(SIGABRT), "{status}:\n{}", self.log());
    }

    /// Its last lines.
    pub fn log(&self) -> String {
        text(&self.log)
    }
}

impl Drop for CheckoutProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command of the binary to its end.
pub fn run(environment: &[(String, String)], args: &[&str]) -> Output {
    command(environment).args(args).stdin(Stdio::null()).output().expect("checkout runs")
}

/// Sends a signal to any process of the test's.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill runs").success(), "{name} reaches {process}");
}

/// What the test's own environment says is no setting of this process.
fn command(environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_checkout"));
    command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    for name in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Reads lines as long as there are any, so that the pipe never fills.
fn follow(
    output: impl std::io::Read + Send + 'static,
    log: Arc<Mutex<VecDeque<String>>>,
    tell: Option<mpsc::Sender<(SocketAddr, SocketAddr)>>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let (Some(tell), Some(places)) = (&tell, listening(&line)) {
                let _ = tell.send(places);
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() >= MAX_LINES {
                log.pop_front();
            }
            log.push_back(line);
        }
    });
}

/// The public and the private address, where the line tells them.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] != "listening" {
        return None;
    }
    let address = |name: &str| line[name].as_str()?.parse().ok();
    Some((address("public")?, address("admin")?))
}

fn text(log: &Mutex<VecDeque<String>>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect::<Vec<_>>().join("\n")
}
