//! A place where others leave files of rows: a folder, or a prefix in Blob storage.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::error::Error;
use crate::store::{LateFiles, Seen, Store};

/// Where files arrive. They are taken in the order of their names, so each name must stand behind those before it: a time
/// or a number at its beginning does.
#[derive(Clone, Debug)]
pub struct Inbox {
    store: Store,
    /// What was there at the last look, by the store's clock. All clones share it.
    seen: Arc<Mutex<Option<Seen>>>,
}

/// What a look at an inbox finds.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The names of those to be taken next, in their order.
    pub next: Vec<String>,
    /// Those that came, or were written anew, when one of that name or of a later one was taken already: nobody will take them.
    pub late: Option<LateFiles>,
}

impl Inbox {
    pub fn new(store: Store) -> Self {
        Self { store, seen: Arc::default() }
    }

    pub fn url(&self) -> &str {
        self.store.url()
    }

    /// The files behind `after`, which was the last to be taken, up to `most`; and those that have come too late since the last
    /// look, or, at the first, since `taken_at`: however few are to be taken, since no other look finds these. What has a dot at
    /// its beginning, or `.tmp` or `.partial` at its end, is still being written.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look(&self, after: Option<&str>, taken_at: Timestamp, most: usize) -> Result<Arrived, Error> {
        let is_whole = |name: &str| !(name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".partial"));
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let seen_to = seen.as_ref().map(|seen| seen.to);
        let seen = seen.unwrap_or_else(|| Seen::up_to(taken_at));
        let found = self.store.list_files(after, &seen, most, is_whole).await?;
        // The newest may have been moved away.
        if found.seen.as_ref().map(|seen| seen.to) >= seen_to {
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = found.seen;
        }
        Ok(Arrived { next: found.next.into_iter().collect(), late: found.late })
    }

    /// Brings a file to disk.
    ///
    /// # Errors
    /// When the store fails, or the disk is full.
    pub async fn fetch(&self, name: &str, to: &Path) -> Result<(), Error> {
        self.store.get_file(name, to).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    #[tokio::test]
    async fn the_first_whole_files_are_named_however_many_there_are() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inbox = Inbox::new(Store::directory(folder.path()).expect("a store"));
        let leave = |name: String| std::fs::write(folder.path().join(name), "").expect("a file");
        // Of so many, some that come first in a directory's own order came before others by name.
        (0..12_000).for_each(|number| leave(format!("{number:05}.jsonl")));
        (0..5).for_each(|number| leave(format!(".{number}")));
        leave("00000.jsonl.partial".to_owned());
        let found = inbox.look(None, at(0), 3).await.expect("names");
        assert_eq!(found.next, ["00000.jsonl", "00001.jsonl", "00002.jsonl"], "what is unfinished takes no place");
        let found = inbox.look(Some("00002.jsonl"), at(0), 2).await.expect("names");
        assert_eq!(found.next, ["00003.jsonl", "00004.jsonl"]);
        assert!(inbox.look(Some("11999.jsonl"), at(0), 2).await.expect("no name").next.is_empty());
    }

    async fn check(inbox: &Inbox, after: Option<&str>, taken_s: i64, next: &[&str], late: Option<&str>) {
        let found = inbox.look(after, at(taken_s), 9).await.expect("names");
        let late = late.map(|first| LateFiles { first: first.to_owned(), count: 1 });
        let next = next.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, Arrived { next, late }, "after {after:?}, taken at {taken_s}");
    }

    /// It is never taken, and nobody was told.
    #[tokio::test]
    async fn a_file_that_comes_too_late_is_named_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = || Inbox::new(Store::directory(folder.path()).expect("a store"));
        let inbox = open();
        let leave = |name: &str, second: i64| {
            let file = std::fs::File::create(folder.path().join(name)).expect("a file");
            file.set_modified(at(second).into()).expect("its time");
        };
        leave("2.jsonl", 10);
        check(&inbox, None, 0, &["2.jsonl"], None).await;
        // While that one was being taken.
        leave("1.jsonl", 11);
        leave(".0.jsonl", 11);
        check(&inbox, Some("2.jsonl"), 20, &[], Some("1.jsonl")).await;
        check(&inbox, Some("2.jsonl"), 20, &[], None).await;
        // In the same second, which is all that Azure tells.
        leave("15.jsonl", 11);
        check(&inbox, Some("2.jsonl"), 20, &[], Some("15.jsonl")).await;
        check(&inbox, Some("2.jsonl"), 20, &[], None).await;
        // It was taken as it was before.
        leave("2.jsonl", 21);
        leave("3.jsonl", 22);
        check(&inbox, Some("2.jsonl"), 20, &["3.jsonl"], Some("2.jsonl")).await;
        // Who begins goes by when what is live was made.
        check(&open(), Some("3.jsonl"), 30, &[], None).await;
        leave("0.jsonl", 31);
        check(&open(), Some("3.jsonl"), 30, &[], Some("0.jsonl")).await;
    }

    /// Where a file that is at fault stops all others, one is asked for, and of the late ones no more were told.
    #[tokio::test]
    async fn all_late_files_are_counted_however_few_are_asked_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inbox = Inbox::new(Store::directory(folder.path()).expect("a store"));
        let names = ["4.jsonl", "2.jsonl", "5.jsonl", "1.jsonl", "3.jsonl"];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").expect("a file"));
        let found = inbox.look(Some("3.jsonl"), Timestamp::UNIX_EPOCH, 1).await.expect("names");
        let late = LateFiles { first: "1.jsonl".to_owned(), count: 3 };
        assert_eq!(found, Arrived { next: vec!["4.jsonl".to_owned()], late: Some(late) });
    }
}
