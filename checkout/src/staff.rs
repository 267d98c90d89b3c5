//! The shop's staff: a file of names and token hashes, which is read again when it changes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use tracing::{info, warn};

use crate::tokens::TokenHash;

/// A longer file is no list of staff.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
const MAX_STAFF: usize = 1_000;
const MAX_NAME_BYTES: usize = 64;
/// How often the file's time is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Who may do what only staff may.
#[derive(Debug)]
pub(crate) struct Staff {
    /// None where no file is given: nobody is staff.
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    members: Vec<Member>,
    /// The file as it was read: its time and its length.
    read: Option<(SystemTime, u64)>,
    looked_at: Instant,
}

#[derive(Clone, Debug)]
struct Member {
    name: String,
    hash: TokenHash,
}

#[derive(Debug, Error)]
pub(crate) enum StaffError {
    #[error("{path}: {source}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}: is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge { path: PathBuf },
    #[error("{path}: line {line}: {reason}")]
    Line { path: PathBuf, line: usize, reason: &'static str },
}

impl Staff {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is at fault.
    pub fn read(path: Option<PathBuf>) -> Result<Self, StaffError> {
        let (members, read) = match &path {
            Some(path) => {
                let read = version(path);
                (read_members(path)?, read)
            }
            None => (Vec::new(), None),
        };
        Ok(Self { path, state: Mutex::new(State { members, read, looked_at: Instant::now() }) })
    }

    /// The name of whom a token belongs to. All are compared, so that time tells nothing.
    pub fn name_of(&self, hash: &TokenHash) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(&mut state);
        state.members.iter().fold(None, |found, member| match member.hash.is(hash) {
            true => Some(member.name.clone()),
            false => found,
        })
    }

    /// Reads the file again where it changed. One that is at fault changes nothing: a slip of the pen must not lock
    /// everybody out.
    fn look(&self, state: &mut State) {
        let Some(path) = &self.path else { return };
        if state.looked_at.elapsed() < LOOK_INTERVAL {
            return;
        }
        state.looked_at = Instant::now();
        let found = version(path);
        if found == state.read {
            return;
        }
        state.read = found;
        match read_members(path) {
            Ok(members) => {
                info!(staff.count = members.len(), "the staff's tokens were read again");
                state.members = members;
            }
            Err(error) => warn!(error = %error, "the staff's tokens stay as they were"),
        }
    }
}

fn version(path: &Path) -> Option<(SystemTime, u64)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

fn read_members(path: &Path) -> Result<Vec<Member>, StaffError> {
    let fault = |source| StaffError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(fault)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(fault)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(StaffError::TooLarge { path: path.to_owned() });
    }
    parse(&text).map_err(|(line, reason)| StaffError::Line { path: path.to_owned(), line, reason })
}

/// Reads lines of a name and a hash. Empty ones, and those that begin with #, say nothing.
fn parse(text: &str) -> Result<Vec<Member>, (usize, &'static str)> {
    let mut members: Vec<Member> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.split_whitespace();
        let (Some(name), Some(hash), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err((place + 1, "is not a name and a hash"));
        };
        let hash = TokenHash::from_hex(hash).ok_or((place + 1, "the hash is not 64 hexadecimal digits"))?;
        if !is_name(name) {
            return Err((place + 1, "the name is not 1 to 64 letters, digits, '.', '-', '_' and '@'"));
        }
        if members.len() == MAX_STAFF {
            return Err((place + 1, "there are more than 1000 tokens"));
        }
        members.push(Member { name: name.to_owned(), hash });
    }
    Ok(members)
}

/// Whether a text can be a name in the file.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_hashes() {
        let hash = TokenHash::of("secret").to_hex();
        let members = parse(&format!("# staff\n\nanna  {hash}\n b@shop {hash}\n")).expect("members");
        assert_eq!(members.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["anna", "b@shop"]);
        for (text, line) in [
            ("anna".to_owned(), 1),
            (format!("\nanna {hash} x"), 2),
            ("anna secret".to_owned(), 1),
            (format!("an;na {hash}"), 1),
            (format!("anna {hash}\n").repeat(MAX_STAFF + 1), MAX_STAFF + 1),
        ] {
            assert_eq!(parse(&text).expect_err("a fault").0, line);
        }
    }

    #[test]
    fn a_file_that_changed_is_read_again_and_one_at_fault_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("staff");
        let write = |text: &str| std::fs::write(&path, text).expect("a file");
        let (first, second) = (TokenHash::of("first"), TokenHash::of("second"));
        write(&format!("anna {}\n", first.to_hex()));
        let staff = Staff::read(Some(path.clone())).expect("staff");
        assert_eq!((staff.name_of(&first).as_deref(), staff.name_of(&second)), (Some("anna"), None));
        let look_again = || {
            let long_ago = Instant::now().checked_sub(LOOK_INTERVAL * 2).expect("a moment");
            staff.state.lock().expect("the state").looked_at = long_ago;
        };
        write("nonsense in here\n");
        look_again();
        assert_eq!(staff.name_of(&first).as_deref(), Some("anna"));
        write(&format!("bert {}\n", second.to_hex()));
        look_again();
        assert_eq!((staff.name_of(&first), staff.name_of(&second).as_deref()), (None, Some("bert")));
    }

    #[test]
    fn without_a_file_nobody_is_staff() {
        assert_eq!(Staff::read(None).expect("staff").name_of(&TokenHash::of("x")), None);
        assert!(Staff::read(Some("/nowhere/staff".into())).is_err());
    }
}
