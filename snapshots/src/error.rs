//! What can go wrong with a snapshot, and whether trying again may help.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::catalogue::CatalogueError;
use crate::digest::Digest;

#[derive(Debug, Error)]
pub enum Error {
    #[error("the store does not answer as it should: {0}")]
    Store(#[source] object_store::Error),
    /// Whoever asks may not, or is not known.
    #[error("the store refuses these credentials: {0}")]
    Refused(#[source] object_store::Error),
    #[error("{0} is not in the store")]
    NotFound(String),
    #[error("{0} is there already, with other bytes")]
    Exists(String),
    #[error("channel '{channel}' moved while this was under way: it is now at {now}")]
    Conflict { channel: String, now: String },
    #[error("{what} is damaged: {reason}")]
    Corrupt { what: String, reason: String },
    #[error("'{text}' is no name of a {what}: give 1 to 32 of a-z, 0-9 and -")]
    Name { what: String, text: String },
    #[error("{0}")]
    Key(String),
    #[error("{what} is not trusted: {reason}")]
    Untrusted { what: String, reason: String },
    #[error("sequence {announced} is announced, and {seen} was seen before: this copy of the pointer is behind")]
    Older { announced: u64, seen: u64 },
    #[error("object {expected} is damaged: its bytes have the digest {found}")]
    DigestMismatch { expected: Digest, found: Digest },
    #[error("{what} has format version {found}, and this build reads up to {supported}: a newer build is needed")]
    NewerFormat { what: String, found: u32, supported: u32 },
    #[error("{what} has format version {found}, and this build reads from {oldest} on: build the snapshot again")]
    OlderFormat { what: String, found: u32, oldest: u32 },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error("'{url}' is no store: {reason}")]
    Url { url: String, reason: String },
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    #[error("a segment cannot hold this: {0}")]
    TooLarge(String),
    #[error("{what} would be larger than {limit_bytes} bytes, and nobody reads that")]
    Unreadable { what: String, limit_bytes: u64 },
}

impl Error {
    pub fn corrupt(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Corrupt { what: what.into(), reason: reason.to_string() }
    }

    pub fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Whether space must be made before anything can be written.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }

    /// Whether the same call may succeed later without anything being mended.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => {
                !matches!(error, object_store::Error::InvalidPath { .. } | object_store::Error::NotSupported { .. })
            }
            // Bytes are checked on arrival; a second download may bring the right ones.
            Self::DigestMismatch { .. } | Self::Io { .. } | Self::Older { .. } => true,
            _ => false,
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { path, .. } => Self::NotFound(path),
            object_store::Error::AlreadyExists { path, .. } => Self::Exists(path),
            error if is_refusal(&error) => Self::Refused(error),
            other => Self::Store(other),
        }
    }
}

/// Whether the store, or whoever gives tokens for it, says no. object_store keeps the types of failed lists and of failed
/// requests for a token to itself, so that their text must tell.
fn is_refusal(error: &object_store::Error) -> bool {
    match error {
        object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. } => true,
        object_store::Error::Generic { source, .. } => {
            let text = source.to_string();
            let ended_with = |status: &str| text.contains(&format!("status code: {status} "));
            // Credentials that cannot even be read are told so by 400.
            let is_unreadable = text.contains("<Code>InvalidAuthenticationInfo</Code>");
            // Who is unknown to a token endpoint is told so by 400.
            is_unreadable
                || (text.starts_with("Error performing token request")
                    && ["400", "401", "403"].into_iter().any(ended_with))
                || (text.starts_with("Error performing list request") && ["401", "403"].into_iter().any(ended_with))
        }
        _ => false,
    }
}
