//! Installs what is missing, one process of this workspace at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of the system, where `is_there` says that they are missing.
pub(crate) fn from_apt(packages: &[&str], is_there: impl Fn() -> bool) {
    if is_there() {
        return;
    }
    let _lock = lock(&tools());
    // Whoever had the lock before may have installed them.
    if is_there() {
        return;
    }
    apt_get(&["update", "-qq"]);
    apt_get(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat());
    assert!(is_there(), "{} is still missing after its installation", packages.join(", "));
}

/// A package of npm in a folder of its own, which is returned.
pub(crate) fn from_npm(name: &str, version: &str) -> PathBuf {
    from_apt(&["nodejs", "npm"], || runs("node") && runs("npm"));
    let folder = tools().join(name);
    std::fs::create_dir_all(&folder).expect("a folder for tools");
    let _lock = lock(&folder);
    let done = folder.join(format!("installed-{version}"));
    if !done.exists() {
        let (prefix, package) = (folder.to_string_lossy(), format!("{name}@{version}"));
        run("npm", &["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", &prefix, &package]);
        File::create(done).expect("a note that it is installed");
    }
    folder
}

/// Packages of Python in a folder of their own, whose Python is returned.
pub(crate) fn from_pip(name: &str, packages: &[&str]) -> PathBuf {
    let folder = tools().join(name);
    std::fs::create_dir_all(&folder).expect("a folder for tools");
    let _lock = lock(&folder);
    let (python, done) = (folder.join("venv/bin/python"), folder.join("installed"));
    if !done.exists() {
        run("python3", &["-m", "venv", "--clear", &folder.join("venv").to_string_lossy()]);
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&python.to_string_lossy(), &[&install[..], packages].concat());
        File::create(done).expect("a note that it is installed");
    }
    python
}

pub(crate) fn runs(program: &str) -> bool {
    runs_with(program, &["--version"])
}

pub(crate) fn runs_with(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn tools() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    std::fs::create_dir_all(&folder).expect("a folder for tools");
    folder
}

/// Is let go when it is dropped, or when the process ends.
fn lock(folder: &Path) -> File {
    let file = File::create(folder.join("lock")).expect("a lock file");
    file.lock().expect("the lock");
    file
}

fn apt_get(args: &[&str]) {
    match is_root() {
        true => run("apt-get", args),
        false => run("sudo", &[&["-n", "apt-get"], args].concat()),
    }
}

fn run(program: &str, args: &[&str]) {
    // Packages must neither ask nor start their servers.
    let quiet = [("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")];
    let status = Command::new(program).args(args).envs(quiet).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{program} {}: {status:?}", args.join(" "));
}
