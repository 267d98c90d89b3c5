//! Files of rows that others leave in a store, under names of their own.

use std::collections::BTreeSet;
use std::path::Path as FilePath;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::{Path, PathPart};

use super::Store;
use super::retention::modified_at;
use crate::error::Error;

/// So many names of files that were written at one time are kept. Of more, what comes at that time is not known to be new.
const MAX_NAMES: usize = 10_000;

/// What has been seen: the files that were written before a time, and some that were at it, which may be a whole second.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) to: Timestamp,
    names: BTreeSet<String>,
}

impl Seen {
    pub(crate) fn up_to(to: Timestamp) -> Self {
        Self { to, names: BTreeSet::new() }
    }

    fn has(&self, name: &str, written_at: Timestamp) -> bool {
        let has_name = || self.names.len() >= MAX_NAMES || self.names.contains(name);
        written_at < self.to || (written_at == self.to && has_name())
    }

    fn add(&mut self, name: &str, written_at: Timestamp) {
        if written_at > self.to {
            *self = Self::up_to(written_at);
        }
        if written_at == self.to && self.names.len() < MAX_NAMES {
            self.names.insert(name.to_owned());
        }
    }
}

/// Files that were not taken while it was their turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateFiles {
    /// By name.
    pub first: String,
    /// How many there are, the first among them.
    pub count: usize,
}

impl LateFiles {
    fn add(&mut self, name: &str) {
        self.count += 1;
        if name < self.first.as_str() {
            self.first = name.to_owned();
        }
    }
}

/// Some of the files directly under a store, by name.
#[derive(Default)]
pub(crate) struct FoundFiles {
    /// The first of those behind the last one that was taken.
    pub(crate) next: BTreeSet<String>,
    /// The others, as far as they have not been seen.
    pub(crate) late: Option<LateFiles>,
    /// All that there is.
    pub(crate) seen: Option<Seen>,
}

impl Store {
    /// The files directly under this store that are wanted: up to `most` behind `after` in the order of their names, and those
    /// that are not, and have not been seen.
    pub(crate) async fn list_files(
        &self,
        after: Option<&str>,
        seen: &Seen,
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
            found.seen.get_or_insert_with(|| Seen::up_to(written_at)).add(name, written_at);
            if after.is_none_or(|after| name > after) {
                found.next.insert(name.to_owned());
                if found.next.len() > most {
                    found.next.pop_last();
                }
            } else if !seen.has(name, written_at) {
                found.late.get_or_insert_with(|| LateFiles { first: name.to_owned(), count: 0 }).add(name);
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
