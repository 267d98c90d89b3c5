//! Builds a segment: products in static-rank order become one object with columns, records and text index.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snapshots::{Catalogue, Product, SegmentWriter};
use tantivy::SegmentReader;

use crate::analysed::{AnalysedProduct, Analysis};
use crate::codes::CodesBuilder;
use crate::completions::CompletionsBuilder;
use crate::error::Error;
use crate::postings;
use crate::text::{AVAILABILITY, AnalysedText, Fields, IndexedWord, LENGTHS};
use crate::text_writer::TextWriter;
use crate::vocabulary::{Lead, VocabularyBuilder};

/// The name that a segment's text files have in place of a random one, so that the same input gives the same bytes.
pub(crate) const TEXT_SEGMENT_ID: &str = "00000000000000000000000000000001";

/// Writes one segment into a file.
pub struct SegmentBuilder {
    segment: SegmentWriter<BufWriter<File>>,
    text: TextWriter,
    text_folder: PathBuf,
    catalogue: Arc<Catalogue>,
    analysis: Analysis,
    vocabulary: VocabularyBuilder,
    codes: CodesBuilder,
    completions: CompletionsBuilder,
    indexed: AnalysedText,
    /// The numbers of the words of the product that was added last, token by token.
    numbers: Vec<u32>,
    /// The weighted length of each product's text.
    lengths: Vec<u16>,
    availability: Vec<u8>,
    /// What each word is indexed by, by its number in the vocabulary.
    words: Vec<IndexedWord>,
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
        let text = TextWriter::new(&catalogue, &text_folder)?;
        let words_of_fields = catalogue.search_fields.iter().map(|field| (field.name.clone(), 0)).collect();
        Ok(Self {
            segment: SegmentWriter::new(BufWriter::with_capacity(1 << 20, file), &catalogue)?,
            text,
            text_folder,
            analysis: Analysis::new(catalogue.clone()),
            catalogue,
            vocabulary: VocabularyBuilder::default(),
            codes: CodesBuilder::default(),
            completions: CompletionsBuilder::default(),
            indexed: AnalysedText::default(),
            numbers: Vec::new(),
            lengths: Vec::new(),
            availability: Vec::new(),
            words: Vec::new(),
            report: BuildReport {
                product_count: 0,
                words: words_of_fields,
                facet_values: Vec::new(),
                unread_numbers: Vec::new(),
            },
        })
    }

    /// Takes note of a query that shoppers typed so many times: it is suggested while it finds something.
    pub fn record_query(&mut self, query: &str, count: u64) {
        self.completions.add_recorded(&self.analysis.analyzer, query, count);
    }

    /// Reads products on any thread, for [`Self::add_analysed`].
    pub fn analysis(&self) -> Analysis {
        self.analysis.clone()
    }

    /// Adds the next product; the order is that of [`SegmentWriter::add`].
    ///
    /// # Errors
    /// As [`SegmentWriter::add`].
    pub fn add(&mut self, product: &Product) -> Result<(), Error> {
        let analysed = self.analysis.read(product);
        self.add_analysed(product, analysed)
    }

    /// As [`Self::add`], for a product that was read before.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_analysed(&mut self, product: &Product, analysed: AnalysedProduct) -> Result<(), Error> {
        let doc = self.report.product_count;
        self.segment.add(product)?;
        self.availability.push(product.availability as u8);
        self.codes.add(&analysed.codes, doc);
        self.add_words(&analysed);
        self.completions.add_product(product, analysed.said, doc);
        self.text.add(&self.indexed)?;
        self.report.product_count += 1;
        Ok(())
    }

    /// Numbers the words of a product, for everything that needs them.
    fn add_words(&mut self, analysed: &AnalysedProduct) {
        self.indexed.clear();
        self.numbers.clear();
        let mut length = 0_u32;
        for (place, (field, texts)) in self.catalogue.search_fields.iter().zip(&analysed.fields).enumerate() {
            self.indexed.begin_field(place);
            for token in texts.iter().flat_map(|text| text.iter()) {
                let (number, is_known) = self.vocabulary.add(token);
                if number as usize == self.words.len() {
                    self.words.push(self.indexed.index(&self.analysis.analyzer, token.text));
                }
                self.indexed.push(&self.words[number as usize], is_known);
                self.numbers.push(number);
                if token.kind.is_extra() {
                    continue;
                }
                self.report.words[place].1 += 1;
                if field.length > 0 {
                    length += u32::from(field.weight);
                }
            }
        }
        self.lengths.push(u16::try_from(length).unwrap_or(u16::MAX));
        let numbers = &self.numbers;
        let lead = analysed.lead.iter().map(|lead| Lead { word: numbers[lead.word as usize], ..*lead });
        self.vocabulary.end_product(lead);
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
        let index = self.text.finish()?;
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
        let reader = index.searchable_segments()?.first().map(SegmentReader::open).transpose()?;
        if let Some(reader) = reader {
            postings::write(&*reader.inverted_index(Fields::new().text)?, &mut sections)?;
        }
        sections.section(AVAILABILITY, &self.availability).map_err(io)?;
        sections.section(LENGTHS, bytemuck::cast_slice(&self.lengths)).map_err(io)?;
        self.codes.write(&mut sections).map_err(io)?;
        self.completions.write(&self.analysis.analyzer, &mut sections).map_err(io)?;
        self.vocabulary.write(&self.analysis.analyzer, &mut sections).map_err(io)?;
        let meta = std::fs::read_to_string(folder.join("meta.json")).map_err(io)?;
        let hyphenated = |id: &str| [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        let meta = meta.replace(&hyphenated(&id), &hyphenated(TEXT_SEGMENT_ID)).replace(&id, TEXT_SEGMENT_ID);
        sections.section("text/meta.json", meta.as_bytes()).map_err(io)?;
        sections.finish().map_err(io)?.flush().map_err(io)?;
        Ok(self.report)
    }
}
