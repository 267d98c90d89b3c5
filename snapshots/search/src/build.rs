//! Builds a segment: products in static-rank order become one object with columns, records and text index.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snapshots::{Catalogue, Product, SegmentWriter};
use tantivy::schema::TantivyDocument;
use tantivy::{Index, IndexSettings, SingleSegmentIndexWriter};

use crate::error::Error;
use crate::text::{Fields, searched_text, searched_words, tokenizers};

/// tantivy sizes its tables by this; a segment is never split, however much memory its text needs.
const TEXT_BUDGET_BYTES: usize = 256 * 1024 * 1024;

/// tantivy addresses a segment's text in memory with 32 bits, and panics beyond.
const MAX_TEXT_BYTES: usize = 3 << 30;

/// The name that a segment's text files have in place of a random one, so that the same input gives the same bytes.
pub(crate) const TEXT_SEGMENT_ID: &str = "00000000000000000000000000000001";

/// Writes one segment into a file.
pub struct SegmentBuilder {
    segment: SegmentWriter<BufWriter<File>>,
    text: SingleSegmentIndexWriter,
    text_folder: PathBuf,
    fields: Fields,
    catalogue: Arc<Catalogue>,
    searched: String,
    report: BuildReport,
}

/// What a segment came to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildReport {
    pub product_count: u32,
    /// Words of each searched field.
    pub words: Vec<(String, u64)>,
    /// Distinct values of each facet that counts values.
    pub facet_values: Vec<(String, u64)>,
    /// How many products have an attribute that should be a number and is none, by its name.
    pub unread_numbers: Vec<(String, u64)>,
}

impl SegmentBuilder {
    /// Writes to `target`; `scratch` is an empty folder for the time of the build.
    ///
    /// # Errors
    /// When a file cannot be written, here and below.
    pub fn new(catalogue: Arc<Catalogue>, target: &Path, scratch: &Path) -> Result<Self, Error> {
        let text_folder = scratch.join("text");
        std::fs::create_dir_all(&text_folder).map_err(|error| Error::io(&text_folder, error))?;
        let file = File::create(target).map_err(|error| Error::io(target, error))?;
        let fields = Fields::new();
        let settings = IndexSettings { docstore_compression: tantivy::store::Compressor::None, ..Default::default() };
        let builder = Index::builder().schema(fields.schema.clone()).settings(settings);
        let directory = tantivy::directory::MmapDirectory::open(&text_folder).map_err(tantivy::TantivyError::from)?;
        let text =
            builder.tokenizers(tokenizers(&catalogue)).single_segment_index_writer(directory, TEXT_BUDGET_BYTES)?;
        let words = catalogue.search_fields.iter().map(|field| (field.name.clone(), 0)).collect();
        Ok(Self {
            segment: SegmentWriter::new(BufWriter::with_capacity(1 << 20, file), &catalogue)?,
            text,
            text_folder,
            fields,
            catalogue,
            searched: String::new(),
            report: BuildReport { product_count: 0, words, facet_values: Vec::new(), unread_numbers: Vec::new() },
        })
    }

    /// Adds the next product; the order is that of [`SegmentWriter::add`].
    ///
    /// # Errors
    /// As [`SegmentWriter::add`].
    pub fn add(&mut self, product: &Product) -> Result<(), Error> {
        self.segment.add(product)?;
        searched_text(&self.catalogue, product, &mut self.searched);
        let words = &mut self.report.words;
        searched_words(&self.searched, |place, _, _| words[place].1 += 1);
        let mut document = TantivyDocument::new();
        document.add_text(self.fields.text, &self.searched);
        document.add_text(self.fields.prefix, &self.searched);
        self.text.add_document(document)?;
        if self.text.mem_usage() > MAX_TEXT_BYTES {
            let reason = format!(
                "the text of {} products; leave the longest fields out of the search",
                self.report.product_count
            );
            return Err(snapshots::Error::TooLarge(reason).into());
        }
        self.report.product_count += 1;
        Ok(())
    }

    /// Finishes the file.
    ///
    /// # Errors
    /// As [`SegmentWriter::finish`].
    pub fn finish(mut self) -> Result<BuildReport, Error> {
        let (mut sections, columns) = self.segment.finish()?;
        self.report.unread_numbers = columns.unread_numbers;
        self.report.facet_values =
            columns.facets.into_iter().map(|facet| (facet.name, u64::from(facet.count))).collect();
        let index = self.text.finalize()?;
        let metas = index.searchable_segment_metas()?;
        let id = metas.first().map(|meta| meta.id().uuid_string()).unwrap_or_default();
        let folder = &self.text_folder;
        let io = |error| Error::io(folder, error);
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            names.extend(entry.map_err(io)?.file_name().to_str().map(str::to_owned));
        }
        names.sort_unstable();
        for name in &names {
            if let Some(extension) = name.strip_prefix(&id).and_then(|rest| rest.strip_prefix('.')) {
                sections.begin(&format!("text/{TEXT_SEGMENT_ID}.{extension}")).map_err(io)?;
                let mut file = File::open(folder.join(name)).map_err(io)?;
                std::io::copy(&mut file, &mut sections).map_err(io)?;
            }
        }
        let meta = std::fs::read_to_string(folder.join("meta.json")).map_err(io)?;
        let hyphenated = |id: &str| [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        let meta = meta.replace(&hyphenated(&id), &hyphenated(TEXT_SEGMENT_ID)).replace(&id, TEXT_SEGMENT_ID);
        sections.section("text/meta.json", meta.as_bytes()).map_err(io)?;
        sections.finish().map_err(io)?.flush().map_err(io)?;
        Ok(self.report)
    }
}
