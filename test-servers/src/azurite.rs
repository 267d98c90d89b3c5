//! Azurite, Microsoft's own emulator of Blob storage, with two accounts.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::port::HeldPort;
use crate::{Settings, install, process, settings};

const VERSION: &str = "3.35.0";
pub const ACCOUNT: &str = "devstoreaccount1";
/// The key that every Azurite has; it is part of its documentation.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Another account of the same server, for another region.
pub const SECOND_ACCOUNT: &str = "devstoreaccount2";
const SECOND_KEY: &str = "dGhlIGtleSBvZiB0aGUgc2Vjb25kIGFjY291bnQsIGZvciB0ZXN0cyBvbmx5";
const CONTAINER: &str = "snapshots";

/// A running Azurite with one container in each of its accounts.
pub struct Azurite {
    /// None while it is down.
    process: Option<Child>,
    port: HeldPort,
    /// Scheme, host and port.
    address: String,
    authority: Option<Authority>,
    folder: TempDir,
}

impl Azurite {
    /// Installs where necessary, and starts.
    ///
    /// # Panics
    /// When it cannot be installed or started: a test that needs it must fail.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), None)
    }

    /// The same over TLS, with tokens of Entra ID besides keys: it takes them over nothing else. Who vouches for its
    /// certificate is in [`Azurite::ca_file`].
    ///
    /// # Panics
    /// As [`Azurite::start`].
    pub fn start_with_oauth() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = Authority::write(folder.path());
        Self::start_in(folder, Some(authority))
    }

    fn start_in(folder: TempDir, authority: Option<Authority>) -> Self {
        let mut azurite = Self { process: None, port: HeldPort::find(), address: String::new(), authority, folder };
        azurite.run();
        azurite.create_containers();
        azurite
    }

    /// Takes the store away. What was written is kept.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // By force, it would lose what it wrote in the last five seconds.
            process::end(&mut process, Signal::TERM).expect("azurite ends");
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

    /// A URL for `Store::open`; each prefix is a store of its own.
    pub fn url(&self, prefix: &str) -> String {
        format!("az://{CONTAINER}/{prefix}")
    }

    /// The environment that Azure's tools and `Store::open` know.
    pub fn settings(&self) -> Settings {
        self.settings_of(ACCOUNT)
    }

    /// The same for one of the two accounts.
    ///
    /// # Panics
    /// When there is no such account.
    pub fn settings_of(&self, account: &str) -> Settings {
        let mut settings = self.settings_without_key(account, &self.endpoint(account));
        settings.push(("AZURE_STORAGE_ACCOUNT_KEY".to_owned(), key_of(account).to_owned()));
        settings
    }

    /// The same with another server in between.
    pub fn settings_through(&self, endpoint: &str) -> Settings {
        let mut settings = self.settings_without_key(ACCOUNT, endpoint);
        settings.push(("AZURE_STORAGE_ACCOUNT_KEY".to_owned(), KEY.to_owned()));
        settings
    }

    /// A shared access signature in place of the key.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn sas_settings(&self) -> Settings {
        let output = self.script("account-sas.mjs").args([ACCOUNT, KEY]).output().expect("node runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let sas = String::from_utf8(output.stdout).expect("text");
        let mut settings = self.identity_settings();
        settings.push(("AZURE_STORAGE_SAS_KEY".to_owned(), sas));
        settings
    }

    /// Which account and where, and nothing to sign in with: a [`crate::TokenServer`] has that.
    pub fn identity_settings(&self) -> Settings {
        self.settings_without_key(ACCOUNT, &self.endpoint(ACCOUNT))
    }

    /// The authority of its certificate, as PEM.
    ///
    /// # Panics
    /// When it speaks without TLS.
    pub fn ca_file(&self) -> &Path {
        &self.authority.as_ref().expect("it was started with OAuth").ca
    }

    /// Scheme, host and port, without the account.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn account_path(&self) -> String {
        format!("/{ACCOUNT}")
    }

    fn endpoint(&self, account: &str) -> String {
        format!("{}/{account}", self.address)
    }

    fn settings_without_key(&self, account: &str, endpoint: &str) -> Settings {
        let mut settings = settings(&[("AZURE_STORAGE_ACCOUNT_NAME", account), ("AZURE_STORAGE_ENDPOINT", endpoint)]);
        if let Some(authority) = &self.authority {
            settings.push(("AZURE_CA_FILE".to_owned(), authority.ca.to_string_lossy().into_owned()));
        }
        settings
    }

    fn run(&mut self) {
        let program = install::from_npm("azurite", VERSION);
        let mut command = Command::new("node");
        command
            .arg(program.join("node_modules/azurite/dist/src/blob/main.js"))
            .args([
                "--blobPort",
                &self.port.number().to_string(),
                "--disableTelemetry",
                "--skipApiVersionCheck",
                "--location",
            ])
            .arg(self.folder.path())
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY};{SECOND_ACCOUNT}:{SECOND_KEY}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        if let Some(authority) = &self.authority {
            command
                .arg("--cert")
                .arg(&authority.certificate)
                .arg("--key")
                .arg(&authority.key)
                .args(["--oauth", "basic"]);
        }
        let mut process = command.spawn().expect("azurite starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("successfully listens on ")?.1.trim().to_owned()));
        let Some(address) = address else {
            process::end(&mut process, Signal::KILL).expect("azurite ends");
            panic!("azurite does not listen on port {}", self.port.number());
        };
        // Whatever else it says is read and dropped, so that its pipe never fills.
        std::thread::spawn(move || lines.for_each(drop));
        self.address = address;
        self.process = Some(process);
    }

    fn create_containers(&self) {
        let accounts = [ACCOUNT, KEY, SECOND_ACCOUNT, SECOND_KEY];
        let made =
            self.script("create-containers.mjs").args([self.address.as_str(), CONTAINER]).args(accounts).status();
        assert!(made.expect("node runs").success(), "the containers cannot be created");
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name));
        if let Some(authority) = &self.authority {
            command.env("NODE_EXTRA_CA_CERTS", &authority.ca);
        }
        command
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn key_of(account: &str) -> &'static str {
    match account {
        ACCOUNT => KEY,
        SECOND_ACCOUNT => SECOND_KEY,
        other => panic!("there is no account '{other}'"),
    }
}
