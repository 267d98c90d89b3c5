//! Products on their way from input order to static-rank order, kept in a temporary file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use snapshots::{Mapping, Product};

/// Takes products in any order. Memory holds their ranks and ids; the rest is on disk.
pub(crate) struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    entries: Vec<Entry>,
    end: u64,
}

struct Entry {
    rank: u32,
    id: Box<str>,
    start: u64,
    end: u64,
}

impl Spool {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("products.spool");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, out: BufWriter::with_capacity(1 << 20, file), entries: Vec::new(), end: 0 })
    }

    pub(crate) fn push(&mut self, product: &Product) -> Result<()> {
        let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(product)?;
        self.out.write_all(&bytes).with_context(|| self.path.display().to_string())?;
        let (start, end) = (self.end, self.end + bytes.len() as u64);
        self.end = end;
        self.entries.push(Entry { rank: product.static_rank(), id: product.id.as_str().into(), start, end });
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The products by falling static rank, then by id.
    pub(crate) fn into_ranked(mut self) -> Result<impl Iterator<Item = Result<Product>>> {
        self.out.flush()?;
        let mut entries = self.entries;
        entries.sort_unstable_by(|a, b| b.rank.cmp(&a.rank).then_with(|| a.id.cmp(&b.id)));
        // An empty file cannot be mapped.
        let bytes = if entries.is_empty() { None } else { Some(Mapping::open(&self.path, false)?) };
        let mut aligned = rkyv::util::AlignedVec::<16>::new();
        Ok(entries.into_iter().map(move |entry| {
            aligned.clear();
            aligned.extend_from_slice(
                bytes.as_ref().map_or(&[], |bytes| &bytes[entry.start as usize..entry.end as usize]),
            );
            Ok(rkyv::from_bytes::<Product, rkyv::rancor::Error>(&aligned)?)
        }))
    }
}
