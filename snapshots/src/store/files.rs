//! Files of rows that others leave in a store, under names of their own.

use std::collections::BTreeSet;
use std::path::Path as FilePath;

use futures::TryStreamExt;
use object_store::path::{Path, PathPart};

use super::Store;
use crate::error::Error;

impl Store {
    /// The names of files directly under this store, behind `after` in the order of their names: the first `most` of those
    /// that are wanted.
    pub(crate) async fn list_files(
        &self,
        after: Option<&str>,
        most: usize,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Error> {
        let offset = after.map(|name| self.file_path(name)).transpose()?;
        let mut metas = match &offset {
            Some(offset) => self.objects.list_with_offset(Some(&self.prefix), offset),
            None => self.objects.list(Some(&self.prefix)),
        };
        // Directories are listed in no order: the first name of all may come last. So all are looked at, and few are kept.
        let mut first = BTreeSet::new();
        while let Some(meta) = metas.try_next().await? {
            let mut below = meta.location.prefix_match(&self.prefix).into_iter().flatten();
            let (Some(name), None) = (below.next(), below.next()) else { continue };
            let name: &str = name.as_ref();
            // Blob storage may pass over where a list is to begin, and begin with the first name.
            if after.is_none_or(|after| name > after) && is_wanted(name) {
                first.insert(name.to_owned());
            }
            if first.len() > most {
                first.pop_last();
            }
        }
        Ok(first.into_iter().collect())
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
