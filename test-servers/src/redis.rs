//! Redis, which keeps nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::install;
use crate::port::HeldPort;
use crate::process::{end, wait_until_ready};

const START_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A running Redis.
pub struct Redis {
    /// None while it is down.
    process: Option<Child>,
    port: HeldPort,
    folder: TempDir,
}

impl Redis {
    /// Installs where necessary, and starts.
    ///
    /// # Panics
    /// When it cannot be installed or started: a test that needs it must fail.
    pub fn start() -> Self {
        install::from_apt(&["redis-server"], || install::runs("redis-server"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut redis = Self { process: None, port: HeldPort::find(), folder };
        redis.restart();
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port.number())
    }

    /// Takes it away, with what it held.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            end(&mut process, Signal::KILL).expect("Redis ends");
        }
    }

    /// Brings it back where it was, empty.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn restart(&mut self) {
        self.kill();
        let port = self.port.number().to_string();
        let flags = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"];
        let mut process = Command::new("redis-server")
            .args(flags)
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let is_up = wait_until_ready(&mut process, START_TIMEOUT, || answers(self.port.number()));
        self.process = Some(process);
        assert!(is_up, "Redis does not start on port {port}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer == *b"+PONG")
    };
    ask().unwrap_or(false)
}
