//! Python with packages, in a folder of its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use crate::install;

/// A Python that has these packages, each pinned as `name==version`; its program is returned.
///
/// # Panics
/// When it cannot be installed: a test that needs it must fail.
pub fn python_with(packages: &[&str]) -> PathBuf {
    install::from_apt(&["python3", "python3-venv"], || {
        install::runs_with("python3", &["-c", "import ensurepip, venv"])
    });
    let mut hasher = DefaultHasher::new();
    packages.hash(&mut hasher);
    install::from_pip(&format!("python-{:016x}", hasher.finish()), packages)
}
