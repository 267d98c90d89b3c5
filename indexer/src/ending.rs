//! What kept a command from doing what it should, as far as its exit code tells.

use std::fmt::Display;

use thiserror::Error;

/// That of wrong settings: EX_USAGE of sysexits.h.
pub const EXIT_SETTINGS: u8 = 64;
const EXIT_VERDICT: u8 = 2;

/// A failure that has an exit code of its own. All others have 1.
#[derive(Debug, Error)]
pub enum Ending {
    /// Flags, the environment, or files that they name are wrong: the same command fails again.
    #[error("{0}")]
    Settings(String),
    /// Everything was looked at, and the answer is no.
    #[error("{0}")]
    Verdict(String),
}

impl Ending {
    pub fn settings(reason: impl Display) -> Self {
        Self::Settings(format!("{reason:#}"))
    }

    pub fn verdict(reason: impl Display) -> Self {
        Self::Verdict(format!("{reason:#}"))
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => EXIT_SETTINGS,
            Self::Verdict(_) => EXIT_VERDICT,
        }
    }
}
