//! PostgreSQL, a cluster of its own, that is in no hurry to keep anything unless it is asked to, with standbys where
//! they are wanted.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::install;
use crate::port::HeldPort;
use crate::process::{end, wait_until_ready};

/// Where Debian keeps the programs of each version, which are in no path.
const VERSIONS: &str = "/usr/lib/postgresql";
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a standby may take to follow, and a setting to be heeded.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Survives a crash of the process, not of the machine: a test has nothing that would have to.
const HASTY: [&str; 2] = ["fsync=off", "full_page_writes=off"];

/// A running PostgreSQL. Whoever reaches the loopback may do anything in it.
pub struct Postgres {
    /// None while it is down.
    process: Option<Child>,
    port: HeldPort,
    programs: PathBuf,
    databases: AtomicU32,
    /// What the server is started with, beside where it listens.
    settings: Vec<String>,
    folder: TempDir,
}

impl Postgres {
    /// Installs where necessary, makes a cluster, and starts.
    ///
    /// # Panics
    /// When it cannot be installed or started: a test that needs it must fail.
    pub fn start() -> Self {
        Self::start_with(&HASTY)
    }

    /// The same, and it writes to the disk what it commits, as one for real use does: for measurements.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub fn start_durable() -> Self {
        Self::start_with(&[])
    }

    /// A primary, and a standby that streams from it. Nothing is committed before the standby has it.
    ///
    /// # Panics
    /// As [`Postgres::start`], and when the standby does not follow.
    pub fn start_with_standby() -> (Self, Self) {
        let primary = Self::start();
        let standby = primary.standby(&[]);
        primary.set("synchronous_standby_names", "*");
        primary.wait_for("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1");
        (primary, standby)
    }

    /// A standby of this one, with settings such as `recovery_min_apply_delay=1h`.
    ///
    /// # Panics
    /// When it does not start, or does not follow.
    pub fn standby(&self, settings: &[&str]) -> Self {
        let mut standby = Self::in_new_folder(&[HASTY.as_slice(), settings].concat());
        let port = self.port.number().to_string();
        let output = standby
            .server_program("pg_basebackup")
            .args([
                "--host=127.0.0.1",
                "--username=postgres",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ])
            .args(["--port", &port, "--pgdata"])
            .arg(standby.data())
            .output()
            .expect("pg_basebackup runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        standby.run();
        self.wait_for("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'", "t");
        standby
    }

    /// Makes a standby a primary, and waits until it is.
    ///
    /// # Panics
    /// When it does not become one.
    pub fn promote(&self) {
        assert_eq!(self.execute(&self.url(), "SELECT pg_promote(true, 60)"), "t", "{}", self.log());
    }

    /// Changes a setting of the running server, and waits until new sessions have it.
    ///
    /// # Panics
    /// When there is no such setting, or it needs a restart.
    pub fn set(&self, name: &str, value: &str) {
        self.execute(&self.url(), &format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.execute(&self.url(), "SELECT pg_reload_conf()");
        self.wait_for(&format!("SHOW {name}"), value);
    }

    /// Waits until a query says so.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_for(&self, sql: &str, expected: &str) {
        self.wait_for_in(&self.url(), sql, expected);
    }

    /// The same in a database of one's own. It may fail until then: a standby has tables and databases a moment later.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_for_in(&self, url: &str, sql: &str, expected: &str) {
        let started = Instant::now();
        loop {
            let said = self.ask(url, sql);
            if said.as_deref() == Ok(expected) {
                return;
            }
            assert!(started.elapsed() < FOLLOW_TIMEOUT, "{sql}: {said:?} instead of '{expected}'");
            std::thread::sleep(PAUSE);
        }
    }

    fn start_with(settings: &[&str]) -> Self {
        let mut postgres = Self::in_new_folder(settings);
        postgres.make_cluster();
        postgres.run();
        postgres
    }

    fn in_new_folder(settings: &[&str]) -> Self {
        install::from_apt(&["postgresql"], || programs().is_some());
        let programs = programs().expect("the programs of PostgreSQL");
        // A folder that another user can reach too, which the one of TMPDIR may not be.
        let folder = tempfile::Builder::new().prefix("vitrine-postgres-").tempdir_in("/tmp").expect("a folder");
        if install::is_root() {
            give_away(folder.path());
        }
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Self { process: None, port: HeldPort::find(), programs, databases: AtomicU32::new(0), settings, folder }
    }

    /// The URL of the database that every cluster has.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes a new database, and returns its URL.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&self.url(), &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }

    /// The URL of a database by its name: a standby has those of its primary.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port.number())
    }

    /// Host and port, for what stands in between.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// The process that all others of it descend from, for whoever counts what they cost. None while it is down.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// A program of the same version: psql, pgbench.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    /// Runs statements; returns what they say, without headings, columns divided by bars.
    ///
    /// # Panics
    /// When one fails.
    pub fn execute(&self, url: &str, sql: &str) -> String {
        self.ask(url, sql).unwrap_or_else(|fault| panic!("{sql}: {fault}"))
    }

    /// Ends it at once, as a crash would: connections break, and what was committed is kept.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            end(&mut process, Signal::QUIT).expect("PostgreSQL ends");
        }
    }

    /// Brings it back where it was, with what it held.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn restart(&mut self) {
        self.kill();
        self.run();
    }

    /// What statements say, or why one failed.
    fn ask(&self, url: &str, sql: &str) -> Result<String, String> {
        let flags = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"];
        let output = self.program("psql").args(flags).args(["--command", sql, url]).output().expect("psql runs");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn make_cluster(&self) {
        // `trust` asks for no password; nothing but the loopback reaches it.
        let flags = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
        let output = self.server_program("initdb").args(flags).arg("-D").arg(self.data()).output();
        let output = output.expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&mut self) {
        let log = File::create(self.folder.path().join("log")).expect("a log");
        let port = self.port.number().to_string();
        let mut command = self.server_program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &port]);
        let always = ["listen_addresses=127.0.0.1", "unix_socket_directories="];
        for setting in always.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().expect("postgres starts");
        let is_ready = || {
            let asked = self.program("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            asked.is_ok_and(|status| status.success())
        };
        let is_up = wait_until_ready(&mut process, START_TIMEOUT, is_ready);
        self.process = Some(process);
        assert!(is_up, "PostgreSQL does not start: {}", self.log());
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// As a user without rights: PostgreSQL refuses to run as root.
    fn server_program(&self, name: &str) -> Command {
        let mut command = match install::is_root() {
            false => self.program(name),
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(self.programs.join(name));
                command
            }
        };
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What it holds is not wanted any more, so that it need not be written down.
        if let Some(mut process) = self.process.take() {
            let _ = end(&mut process, Signal::QUIT);
        }
    }
}

/// The folder of the newest version's programs.
fn programs() -> Option<PathBuf> {
    let entries = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let folder = Path::new(VERSIONS).join(versions.max()?.to_string()).join("bin");
    ["initdb", "postgres", "psql", "pg_isready", "pg_basebackup"]
        .iter()
        .all(|name| folder.join(name).is_file())
        .then_some(folder)
}

fn give_away(folder: &Path) {
    let given = Command::new("chown").arg("postgres:postgres").arg(folder).status();
    assert!(given.is_ok_and(|status| status.success()), "{} cannot be given to postgres", folder.display());
}
