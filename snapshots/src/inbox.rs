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
        let mut names = self.0.list_files(after, most).await?;
        names.retain(|name| !(name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".partial")));
        names.sort_unstable();
        Ok(names)
    }

    /// Brings a file to disk.
    ///
    /// # Errors
    /// When the store fails, or the disk is full.
    pub async fn fetch(&self, name: &str, to: &Path) -> Result<(), Error> {
        self.0.get_file(name, to).await
    }
}
