//! A place where others leave files of rows: a folder, or a prefix in Blob storage.

use std::path::Path;

use crate::error::Error;
use crate::store::Store;

/// Where files arrive. They are taken in the order of their names, so each name must stand behind those before it: a time
/// or a number at its beginning does.
#[derive(Clone, Debug)]
pub struct Inbox(Store);

impl Inbox {
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// The names of the next files behind `after`, up to `most`. What has a dot at its beginning, or `.tmp` or `.partial` at
    /// its end, is still being written.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn names_after(&self, after: Option<&str>, most: usize) -> Result<Vec<String>, Error> {
        let is_whole = |name: &str| !(name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".partial"));
        self.0.list_files(after, most, is_whole).await
    }

    /// Brings a file to disk.
    ///
    /// # Errors
    /// When the store fails, or the disk is full.
    pub async fn fetch(&self, name: &str, to: &Path) -> Result<(), Error> {
        self.0.get_file(name, to).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_whole_files_are_named_however_many_there_are() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inbox = Inbox::new(Store::directory(folder.path()).expect("a store"));
        let leave = |name: String| std::fs::write(folder.path().join(name), "").expect("a file");
        // Of so many, some that come first in a directory's own order came before others by name.
        (0..12_000).for_each(|number| leave(format!("{number:05}.jsonl")));
        (0..5).for_each(|number| leave(format!(".{number}")));
        leave("00000.jsonl.partial".to_owned());
        let names = inbox.names_after(None, 3).await.expect("names");
        assert_eq!(names, ["00000.jsonl", "00001.jsonl", "00002.jsonl"], "what is unfinished takes no place");
        let names = inbox.names_after(Some("00002.jsonl"), 2).await.expect("names");
        assert_eq!(names, ["00003.jsonl", "00004.jsonl"]);
        assert!(inbox.names_after(Some("11999.jsonl"), 2).await.expect("no name").is_empty());
    }
}
