//! Files of rows that others leave in a store, under names of their own.

use std::collections::BTreeSet;
use std::path::Path as FilePath;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::{Path, PathPart};

use super::Store;
use super::retention::modified_at;
use crate::error::Error;

/// Some of the files directly under a store, by name.
#[derive(Default)]
pub(crate) struct FoundFiles {
    /// The first of those behind the last one that was taken.
    pub(crate) next: BTreeSet<String>,
    /// The first of the others, as far as they were written lately.
    pub(crate) late: BTreeSet<String>,
    /// When the newest of all was written.
    pub(crate) newest: Option<Timestamp>,
}

impl Store {
    /// The files directly under this store that are wanted: up to `most` behind `after` in the order of their names, and up to
    /// `most` of those that are not, and were written later than `since`.
    pub(crate) async fn list_files(
        &self,
        after: Option<&str>,
        since: Timestamp,
        most: usize,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<FoundFiles, Error> {
        // All are looked at: directories are listed in no order, and who comes late may stand anywhere. Few are kept.
        let mut metas = self.objects.list(Some(&self.prefix));
        let mut found = FoundFiles::default();
        while let Some(meta) = metas.try_next().await? {
            let mut below = meta.location.prefix_match(&self.prefix).into_iter().flatten();
            let (Some(name), None) = (below.next(), below.next()) else { continue };
            let name: &str = name.as_ref();
            if !is_wanted(name) {
                continue;
            }
            let written_at = modified_at(&meta)?;
            found.newest = found.newest.max(Some(written_at));
            let kept = match after.is_none_or(|after| name > after) {
                true => &mut found.next,
                false if written_at > since => &mut found.late,
                false => continue,
            };
            kept.insert(name.to_owned());
            if kept.len() > most {
                kept.pop_last();
            }
        }
        Ok(found)
    }

    pub(crate) async fn get_file(&self, name: &str, to: &FilePath) -> Result<(), Error> {
        self.fetch(&self.file_path(name)?, to).await
    }

    /// The path of a file that others have named, which is kept as it is: `Path` would escape a `~` or a `[`.
    fn file_path(&self, name: &str) -> Result<Path, Error> {
        let part = PathPart::parse(name).map_err(|error| Error::corrupt(self.url(), error))?;
        Ok(self.prefix.clone().join(part))
    }
}
