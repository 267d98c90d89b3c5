//! An open index: a snapshot, the text readers of its segments, and one numbering of facet values over all of them.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use snapshots::{Catalogue, LiveSegment, PRODUCT_FIELDS, RecordView, Segment, Snapshot};
use tantivy::{InvertedIndexReader, SegmentReader};

use crate::amend::{self, Dead};
use crate::analysis::Analyzer;
use crate::codes::Codes;
use crate::completions::Completions;
use crate::directory::SegmentDirectory;
use crate::doc_sets::DocSets;
use crate::error::Error;
use crate::folded::Variants;
use crate::kinds::TypePairs;
use crate::of_type::TypeLists;
use crate::phrases::Phrases;
use crate::postings::Postings;
use crate::rank::{ScoreParts, availability_share, popularity_share};
use crate::rules::Rules;
use crate::score::{Lengths, Scale};
use crate::sections::numbers;
use crate::suggest::{Firsts, Known};
use crate::text::{AVAILABILITY, Fields, LENGTHS};
use crate::top::Candidate;
use crate::versions::Versions;
use crate::vocabulary::Vocabulary;

/// A snapshot that can be searched.
pub struct Index {
    snapshot: Snapshot,
    pub(crate) texts: Vec<TextReader>,
    /// The completions of all segments as one.
    pub(crate) phrases: Phrases,
    pub(crate) values: FacetValues,
    pub(crate) scale: Scale,
    pub(crate) analyzer: Analyzer,
    pub(crate) rules: Rules,
    pub(crate) variants: OnceLock<Variants>,
    /// Whether completions find something, by list and place.
    pub(crate) finds: Versions<Vec<Vec<Known>>>,
    /// The products of first suggestions.
    pub(crate) firsts: Firsts,
    pub(crate) doc_sets: DocSets,
}

/// The text index of one segment.
pub(crate) struct TextReader {
    pub(crate) words: Arc<InvertedIndexReader>,
    pub(crate) prefixes: Arc<InvertedIndexReader>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) codes: Codes,
    pub(crate) completions: Completions,
    pub(crate) postings: Postings,
    /// Pairs of words of which the first names a type.
    pub(crate) type_pairs: TypePairs,
    /// The documents of each type that was asked for.
    pub(crate) type_lists: TypeLists,
    /// What is to be left out of account, since other segments have it in a newer version.
    pub(crate) dead: Dead,
    /// The documents that are current, as bits, where not all are.
    pub(crate) live: Option<Vec<u64>>,
    /// Where the weighted length of each document's text stands in the segment.
    lengths: Range<usize>,
    /// Where its availability stands, a byte each.
    availability: Range<usize>,
    pub(crate) fields: Fields,
}

impl Index {
    /// Opens the text index of every segment. Blocks.
    ///
    /// # Errors
    /// When a segment's text is damaged or does not fit its columns.
    pub fn open(snapshot: Snapshot) -> Result<Self, Error> {
        Self::open_for(snapshot, None)
    }

    /// Opens an index for one market, whose rules apply. Blocks.
    ///
    /// # Errors
    /// As [`Index::open`], and when the snapshot's rules are at fault.
    pub fn open_for(snapshot: Snapshot, market: Option<&str>) -> Result<Self, Error> {
        let texts = snapshot.segments.iter().map(|part| TextReader::open(&part.segment));
        let mut texts = texts.collect::<Result<Vec<_>, _>>()?;
        let values = FacetValues::new(&snapshot);
        let scale = Scale::new(&snapshot.catalogue);
        let analyzer = Analyzer::new(&snapshot.catalogue.locale);
        let phrases = amend::amend(&snapshot, &analyzer, &mut texts)?;
        let index = Self {
            snapshot,
            texts,
            phrases,
            values,
            scale,
            analyzer,
            rules: Rules::default(),
            variants: OnceLock::new(),
            finds: Versions::default(),
            firsts: Firsts::default(),
            doc_sets: DocSets::default(),
        };
        index.with_rules_of(market)
    }

    /// The same index with the rules of one market; None takes those of all.
    ///
    /// # Errors
    /// When the snapshot's rules are at fault.
    pub fn with_rules_of(self, market: Option<&str>) -> Result<Self, Error> {
        let rules = self.snapshot.rules.as_deref().unwrap_or_default();
        let rules = Rules::parse(rules, &self.snapshot.catalogue, market)?;
        let (finds, firsts, doc_sets) = (Versions::default(), Firsts::default(), DocSets::default());
        Ok(Self { rules, finds, firsts, doc_sets, ..self })
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.snapshot.catalogue
    }

    pub(crate) fn segments(&self) -> &[LiveSegment] {
        &self.snapshot.segments
    }

    pub fn product_count(&self) -> u64 {
        self.snapshot.manifest.statistics.product_count
    }

    pub(crate) fn vocabularies(&self) -> impl Iterator<Item = &Vocabulary> {
        self.texts.iter().map(|text| &text.vocabulary)
    }

    pub(crate) fn lengths(&self, segment: usize) -> Lengths<'_> {
        let part = &self.snapshot.segments[segment].segment;
        Lengths::new(numbers(part, &self.texts[segment].lengths), self.scale)
    }

    /// The record of a hit.
    pub fn record(&self, segment: usize, doc: u32) -> RecordView<'_> {
        self.snapshot.segments[segment].segment.record(doc)
    }

    /// The title of a product.
    pub fn title(&self, segment: usize, doc: u32) -> String {
        self.field(segment, doc, "title")
    }

    /// What a product has in a field; nothing where it has none.
    pub(crate) fn field<T: DeserializeOwned + Default>(&self, segment: usize, doc: u32, name: &str) -> T {
        let place = PRODUCT_FIELDS.iter().position(|field| *field == name);
        let json = place.and_then(|place| self.record(segment, doc).field(place)).unwrap_or_default();
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// The words of a text as queries are read, for marking them.
    pub fn words_of(&self, text: &str) -> Vec<String> {
        crate::query::read_query(&self.analyzer, text).into_iter().map(|word| word.text).collect()
    }

    /// The queries that the snapshot was built with, and how often each was typed.
    pub fn recorded_queries(&self) -> impl Iterator<Item = (&str, u64)> {
        self.texts.iter().flat_map(|text| text.completions.recorded())
    }

    /// The rules of the catalogue.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The record and segment of a current product that may be seen.
    pub fn product(&self, id: &str) -> Option<(usize, RecordView<'_>)> {
        self.product_at(id, Timestamp::now())
    }

    /// The same at a time, which says which products are hidden.
    pub fn product_at(&self, id: &str, now: Timestamp) -> Option<(usize, RecordView<'_>)> {
        let (segment, doc) = self.find(id, now)?;
        Some((segment, self.record(segment, doc)))
    }

    /// The segment and document of a current product that may be seen at a time.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<(usize, u32)> {
        let (segment, doc) = self.snapshot.find(id)?;
        self.seen_at(now).is_none_or(|seen| seen.docs(segment).contains(doc)).then_some((segment, doc))
    }

    /// The order of documents within a segment, continued over all: rank, then id.
    pub(crate) fn rank_order(&self, a: (usize, u32), b: (usize, u32)) -> Ordering {
        let rank = |(segment, doc): (usize, u32)| self.segments()[segment].segment.static_ranks()[doc as usize];
        let id = |(segment, doc): (usize, u32)| self.record(segment, doc).id();
        match a.0 == b.0 {
            true => a.1.cmp(&b.1),
            false => rank(b).cmp(&rank(a)).then_with(|| id(a).cmp(id(b))),
        }
    }

    /// Reads the beginnings of what a second look at a document reads.
    #[inline]
    pub(crate) fn fetch_ranked(&self, segment: usize, doc: u32) -> u32 {
        let (part, text) = (&self.segments()[segment].segment, &self.texts[segment]);
        let (lead, words) = text.vocabulary.lead(doc);
        let first = lead.first().map_or(0, |word| word.stem()) ^ words.first().copied().unwrap_or(0);
        first ^ part.static_ranks()[doc as usize] ^ u32::from(self.availability(segment, doc))
    }

    /// Adds to a score what says nothing about the query: popularity, rating and availability.
    pub(crate) fn with_priors(&self, mut parts: ScoreParts, candidate: &Candidate, segment: usize) -> ScoreParts {
        let doc = candidate.doc();
        let rank = self.segments()[segment].segment.static_ranks()[doc as usize];
        parts.popularity = parts.text * popularity_share(rank);
        parts.availability = parts.text * self.availability_share(segment, doc);
        parts.rules = parts.text * candidate.boost;
        parts
    }

    /// What the availability of a document adds to its score, as a share of it.
    pub(crate) fn availability_share(&self, segment: usize, doc: u32) -> f32 {
        availability_share(self.availability(segment, doc))
    }

    fn availability(&self, segment: usize, doc: u32) -> u8 {
        self.segments()[segment].segment.bytes()[self.texts[segment].availability.clone()][doc as usize]
    }
}

impl TextReader {
    /// How many documents the segment has, current or not.
    pub(crate) fn doc_count(&self) -> usize {
        self.availability.len()
    }

    fn open(segment: &Segment) -> Result<Self, Error> {
        let fields = Fields::new();
        let index = tantivy::Index::open(SegmentDirectory::new(segment))?;
        let segments = index.searchable_segments()?;
        let corrupt = |reason: &str| Error::Snapshot(snapshots::Error::corrupt("text index", reason));
        let [text] = segments.as_slice() else { return Err(corrupt("it is not one tantivy segment")) };
        if index.schema() != fields.schema {
            return Err(corrupt("its schema is not the one of this build"));
        }
        let reader = SegmentReader::open(text)?;
        if reader.max_doc() as usize != segment.product_count() || reader.has_deletes() {
            return Err(corrupt("it does not have the segment's number of products"));
        }
        let words = reader.inverted_index(fields.text)?;
        let postings = Postings::open(segment)?;
        if postings.stem_count() != words.terms().num_terms() {
            return Err(corrupt("it does not have the postings' stems"));
        }
        let vocabulary = Vocabulary::open(segment)?;
        let lengths = segment.section(LENGTHS).ok_or_else(|| corrupt("it has no lengths"))?;
        if lengths.len() != 2 * segment.product_count() {
            return Err(corrupt("it does not have a length for each product"));
        }
        let availability = segment.section(AVAILABILITY).ok_or_else(|| corrupt("it has no availability"))?;
        if availability.len() != segment.product_count() {
            return Err(corrupt("it does not have an availability for each product"));
        }
        let text = Self {
            lengths,
            availability,
            codes: Codes::open(segment)?,
            completions: Completions::open(segment)?,
            words,
            postings,
            type_pairs: vocabulary.type_pairs().iter().copied().collect(),
            type_lists: TypeLists::default(),
            dead: Dead::default(),
            live: None,
            prefixes: reader.inverted_index(fields.prefix)?,
            vocabulary,
            fields,
        };
        // It reads all of the text, and the same bytes stay as sound as they were.
        segment.check_text_once(|| text.check(segment))?;
        Ok(text)
    }

    /// Reads all of it: that no number points outside of what it counts.
    fn check(&self, segment: &Segment) -> Result<(), Error> {
        self.postings.check()?;
        self.vocabulary.check(self.postings.stem_count())?;
        self.codes.check(segment)?;
        self.completions.check()
    }
}

/// One numbering of facet values over all segments: a facet's values are a range, in the order of their text.
///
/// A lone segment's own numbers serve as they are. With several, each segment has a table from its numbers to the
/// common ones.
pub(crate) struct FacetValues {
    /// The range of each value facet, by its place in the catalogue's facets; empty for numbers.
    ranges: Vec<Range<usize>>,
    tables: Vec<Vec<u32>>,
    /// Where to find the text of a common number; empty with a lone segment.
    origins: Vec<(u16, u32)>,
    total: usize,
}

impl FacetValues {
    fn new(snapshot: &Snapshot) -> Self {
        let segments = &snapshot.segments;
        let lone = segments.len() == 1;
        let mut values = Self { ranges: Vec::new(), tables: Vec::new(), origins: Vec::new(), total: 0 };
        if !lone {
            values.tables = segments.iter().map(|part| vec![0; part.segment.facet_value_count()]).collect();
        }
        for facet in &snapshot.catalogue.facets {
            let start = values.total;
            if let (true, Some(info)) = (lone, segments[0].segment.facet(&facet.name)) {
                values.ranges.push(info.range());
                values.total = info.range().end;
                continue;
            }
            values.merge(segments, &facet.name);
            values.ranges.push(start..values.total);
        }
        values
    }

    /// Numbers the values of one facet: a merge of the segments' sorted lists.
    fn merge(&mut self, segments: &[LiveSegment], facet: &str) {
        let info = |part: &LiveSegment| part.segment.facet(facet).map_or(0..0, |info| info.range());
        let mut lists: Vec<Range<usize>> = segments.iter().map(info).collect();
        let text = |place: usize, value: usize| segments[place].segment.facet_value(value as u32);
        loop {
            let heads = lists.iter().enumerate().filter(|(_, list)| list.start < list.end);
            let least = heads.min_by(|(a, left), (b, right)| text(*a, left.start).cmp(text(*b, right.start)));
            let Some((origin, list)) = least else { return };
            let (first, value) = (text(origin, list.start), list.start as u32);
            for (place, list) in lists.iter_mut().enumerate() {
                if list.start < list.end && text(place, list.start).cmp(first) == Ordering::Equal {
                    self.tables[place][list.start] = self.total as u32;
                    list.start += 1;
                }
            }
            self.origins.push((origin as u16, value));
            self.total += 1;
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn range(&self, facet_place: usize) -> Range<usize> {
        self.ranges[facet_place].clone()
    }

    /// The table from a segment's numbers to the common ones; None where they are the same.
    pub(crate) fn table(&self, segment: usize) -> Option<&[u32]> {
        self.tables.get(segment).map(Vec::as_slice)
    }

    pub(crate) fn text<'a>(&self, segments: &'a [LiveSegment], value: usize) -> &'a str {
        let (segment, value) =
            self.origins.get(value).map_or((0, value as u32), |(place, value)| (usize::from(*place), *value));
        segments[segment].segment.facet_value(value)
    }
}
