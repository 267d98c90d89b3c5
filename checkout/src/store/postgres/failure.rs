//! What went wrong with an attempt at a transaction, and whether another one may end better.

use sqlx::Error;

use crate::domain::Refusal;
use crate::store::StoreError;

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt would end the same way, or there is no time for one.
    Final(StoreError),
    /// Others were in the way: nothing was written, and another attempt may succeed on the same server.
    Again(String),
    /// The connection or the server went away: whether it was written is not known.
    Lost(String),
}

impl Failure {
    pub(super) fn broken(what: impl Into<String>) -> Self {
        Self::Final(StoreError::Broken(what.into()))
    }

    /// What the caller is told when there is no other attempt.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Final(error) => error,
            Self::Again(why) | Self::Lost(why) => StoreError::Unavailable(why),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Final(StoreError::Refused(refusal))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Database(told) => of_state(told.code().as_deref().unwrap_or_default(), told.message()),
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed | Error::BeginFailed => {
                Self::Lost(error.to_string())
            }
            _ => Self::broken(error.to_string()),
        }
    }
}

/// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn of_state(state: &str, message: &str) -> Failure {
    let text = format!("{message} ({state})");
    match state {
        // A conflict, a deadlock, a lock that others keep.
        "40001" | "40P01" | "55P03" => Failure::Again(text),
        // The server shuts down, crashes or starts, ended an idle session, or is a standby by now.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25006" => Failure::Lost(text),
        _ if state.starts_with("08") => Failure::Lost(text),
        // It took too long, or too many are connected.
        "57014" => Failure::Final(StoreError::Unavailable(text)),
        _ if state.starts_with("53") => Failure::Final(StoreError::Unavailable(text)),
        // A table or a column is missing.
        "42P01" | "42703" => Failure::broken(format!("{text}: run 'checkout migrate'")),
        _ => Failure::broken(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_end_better_is_told_from_what_will_not() {
        for state in ["40001", "40P01", "55P03"] {
            assert!(matches!(of_state(state, ""), Failure::Again(_)), "{state}");
        }
        for state in ["57P01", "57P02", "57P03", "25006", "08006", "08P01"] {
            assert!(matches!(of_state(state, ""), Failure::Lost(_)), "{state}");
        }
        for state in ["57014", "53300", "53100"] {
            assert!(matches!(of_state(state, ""), Failure::Final(StoreError::Unavailable(_))), "{state}");
        }
        for state in ["23505", "23514", "22P02", ""] {
            assert!(matches!(of_state(state, ""), Failure::Final(StoreError::Broken(_))), "{state}");
        }
        assert!(matches!(Failure::from(Error::Io(std::io::ErrorKind::BrokenPipe.into())), Failure::Lost(_)));
    }

    #[test]
    fn a_missing_table_says_what_to_do() {
        let Failure::Final(error) = of_state("42P01", "relation \"orders\" does not exist") else {
            panic!("another attempt would not help");
        };
        assert!(error.to_string().contains("checkout migrate"), "{error}");
    }
}
