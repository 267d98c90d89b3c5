//! Azurite, Microsoft's own emulator of Blob storage, for tests: installed from npm where it is missing, started on a
//! free port in a folder of its own, ended with the test. A machine that cannot run it fails the test.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const VERSION: &str = "3.35.0";
const ACCOUNT: &str = "devstoreaccount1";
/// The key that every Azurite has; it is part of its documentation.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite with one container.
pub struct Azurite {
    process: Child,
    endpoint: String,
    container: String,
    _folder: TempDir,
}

impl Azurite {
    /// Installs where necessary, and starts.
    ///
    /// # Panics
    /// When it cannot be installed or started: a test that needs it must fail.
    pub fn start() -> Self {
        let program = installed();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new("node")
            .arg(program.join("node_modules/azurite/dist/src/blob/main.js"))
            .args(["--blobPort", "0", "--disableTelemetry", "--skipApiVersionCheck", "--location"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("azurite starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let endpoint = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let url = line.split_once("successfully listen")?.1.split_once("http://")?.1.to_owned();
            Some(format!("http://{}/{ACCOUNT}", url.trim()))
        });
        let endpoint = endpoint.expect("azurite says where it listens");
        // Whatever else it says is read and dropped, so that its pipe never fills.
        std::thread::spawn(move || lines.for_each(drop));
        let azurite = Self { process, endpoint, container: "snapshots".to_owned(), _folder: folder };
        azurite.create_container();
        azurite
    }

    /// A URL for `Store::open`; each prefix is a store of its own.
    pub fn url(&self, prefix: &str) -> String {
        format!("az://{}/{prefix}", self.container)
    }

    /// The environment that Azure's tools and `Store::open` know.
    pub fn settings(&self) -> Vec<(String, String)> {
        self.settings_through(&self.endpoint)
    }

    /// The same, with another server in between.
    pub fn settings_through(&self, endpoint: &str) -> Vec<(String, String)> {
        [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
            ("AZURE_STORAGE_ENDPOINT", endpoint),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Scheme, host and port, without the account.
    pub fn address(&self) -> &str {
        self.endpoint.trim_end_matches(ACCOUNT).trim_end_matches('/')
    }

    pub fn account_path(&self) -> String {
        format!("/{ACCOUNT}")
    }

    fn create_container(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/create-container.mjs");
        let made = Command::new("node").arg(script).args([&self.endpoint, ACCOUNT, KEY, &self.container]).status();
        assert!(made.expect("node runs").success(), "the container cannot be created");
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder that azurite is installed in; installs it first, one process at a time.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/azurite");
    std::fs::create_dir_all(&folder).expect("a folder for tools");
    let lock = File::create(folder.join("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let done = folder.join(format!("installed-{VERSION}"));
    if !done.exists() {
        install_node();
        let package = format!("azurite@{VERSION}");
        run(
            "npm",
            &[
                "install",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                "--prefix",
                &folder.to_string_lossy(),
                &package,
            ],
        );
        File::create(done).expect("a note that it is installed");
    }
    folder
}

fn install_node() {
    let has =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !(has("node") && has("npm")) {
        run("apt-get", &["update", "-qq"]);
        run("apt-get", &["install", "-y", "-qq", "--no-install-recommends", "nodejs", "npm"]);
    }
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{program} {}: {status:?}", args.join(" "));
}
