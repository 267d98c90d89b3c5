//! Products on their way from input order to static-rank order, kept in a temporary file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rkyv::util::AlignedVec;
use snapshots::{Mapping, Product};

/// Takes products in any order. Memory holds their ranks and ids; the rest is on disk.
pub(crate) struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    entries: Vec<Entry>,
    end: u64,
}

/// A product as it is written.
pub(crate) struct Packed {
    rank: u32,
    id: Box<str>,
    bytes: AlignedVec,
}

/// Where a product stands.
pub(crate) struct Entry {
    rank: u32,
    id: Box<str>,
    start: u64,
    end: u64,
}

/// All products by falling static rank, then by id.
pub(crate) struct Ranked {
    entries: Vec<Entry>,
    /// None where there are none: an empty file cannot be mapped.
    bytes: Option<Mapping>,
}

impl Packed {
    pub(crate) fn of(product: &Product) -> Result<Self> {
        let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(product)?;
        Ok(Self { rank: product.static_rank(), id: product.id.as_str().into(), bytes })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Spool {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("products.spool");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, out: BufWriter::with_capacity(1 << 20, file), entries: Vec::new(), end: 0 })
    }

    pub(crate) fn push(&mut self, product: Packed) -> Result<()> {
        let Packed { rank, id, bytes } = product;
        self.out.write_all(&bytes).with_context(|| self.path.display().to_string())?;
        let (start, end) = (self.end, self.end + bytes.len() as u64);
        self.end = end;
        self.entries.push(Entry { rank, id, start, end });
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn into_ranked(mut self) -> Result<Ranked> {
        self.out.flush()?;
        let mut entries = self.entries;
        entries.sort_unstable_by(|a, b| b.rank.cmp(&a.rank).then_with(|| a.id.cmp(&b.id)));
        let bytes = if entries.is_empty() { None } else { Some(Mapping::open(&self.path, false)?) };
        Ok(Ranked { entries, bytes })
    }
}

impl Ranked {
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn product(&self, entry: &Entry) -> Result<Product> {
        let bytes = self.bytes.as_ref().map_or(&[][..], |bytes| &bytes[entry.start as usize..entry.end as usize]);
        let mut aligned = AlignedVec::<16>::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        Ok(rkyv::from_bytes::<Product, rkyv::rancor::Error>(&aligned)?)
    }
}

impl Entry {
    pub(crate) fn size_bytes(&self) -> usize {
        (self.end - self.start) as usize
    }
}
