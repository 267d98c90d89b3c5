//! What can go wrong in the engine itself, and in a request to it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A segment cannot be built, opened or read.
#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Snapshot(#[from] snapshots::Error),
    #[error(transparent)]
    Rules(#[from] crate::rules::RulesError),
    #[error("the text index: {0}")]
    Text(#[from] tantivy::TantivyError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// A request that cannot be answered as it stands: the parameter at fault, why, and for a filter where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{parameter}: {reason}")]
pub struct RequestError {
    pub parameter: &'static str,
    pub reason: String,
    /// The character of the parameter's text at which reading stopped, from 0.
    pub position: Option<usize>,
}

impl RequestError {
    pub fn new(parameter: &'static str, reason: impl Into<String>) -> Self {
        Self { parameter, reason: reason.into(), position: None }
    }
}
