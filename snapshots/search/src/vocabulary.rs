//! The words of a segment as its products write them: how many have each, what it is indexed by, which words resemble
//! it, and of every product its lead: the words that say what it is, in their order.
//!
//! tantivy's dictionary holds stems; this one holds the words behind them. Words are numbered in the order of their
//! bytes, stems likewise, so that a stem's number is its ordinal in tantivy's dictionary.

use std::io::Write;
use std::ops::Range;

use rustc_hash::FxHashMap;
use snapshots::{SectionWriter, Segment};

use crate::analysis::{Analyzer, Token, TokenKind};
use crate::error::Error;
use crate::kinds;
use crate::sections::numbers;

/// A longer word is no word that is mistyped, but a code.
pub(crate) const MAX_SPELLED_LETTERS: usize = 24;
const MIN_SPELLED_LETTERS: usize = 3;
/// Words from this length on are found at two mistakes.
const MIN_TWICE_SPELLED_LETTERS: usize = 6;
/// Only so many first letters are varied: a mistake further behind leaves them as they are.
const VARIED_LETTERS: usize = 7;
const VARIANTS_PER_BUCKET: usize = 16;
const MAX_BUCKETS: usize = 1 << 16;

/// A word of a product's lead: the number of its stem, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(crate) struct LeadWord(u32);

/// Which part of a lead a word stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeadPart {
    Title = 0,
    /// The first words of the description.
    Description = 1,
    /// What kind of product it is.
    Type = 2,
    Brand = 3,
}

const ENDS_GROUP: u32 = 1 << 31;
const PART_SHIFT: u32 = 29;
const IS_MENTIONED: u32 = 1 << 28;
/// A stem's number takes the bits below the flags.
const MAX_STEMS: u32 = IS_MENTIONED;

impl LeadWord {
    fn new(stem: u32, lead: Lead) -> Self {
        let flag = |holds: bool, flag: u32| if holds { flag } else { 0 };
        let flags = flag(lead.ends_group, ENDS_GROUP) | flag(lead.is_mentioned, IS_MENTIONED);
        Self(stem | (lead.part as u32) << PART_SHIFT | flags)
    }

    #[inline]
    pub(crate) fn stem(self) -> u32 {
        self.0 & (MAX_STEMS - 1)
    }

    #[inline]
    pub(crate) fn part(self) -> LeadPart {
        match self.0 >> PART_SHIFT & 3 {
            0 => LeadPart::Title,
            1 => LeadPart::Description,
            2 => LeadPart::Type,
            _ => LeadPart::Brand,
        }
    }

    /// Whether it is the last word of a group of words: no further noun follows it.
    #[inline]
    pub(crate) fn ends_group(self) -> bool {
        self.0 & ENDS_GROUP != 0
    }

    /// Whether the product is not it, but for it or with it.
    #[inline]
    pub(crate) fn is_mentioned(self) -> bool {
        self.0 & IS_MENTIONED != 0
    }
}

/// A word of a lead while a segment is built; see [`LeadWord`].
#[derive(Clone, Copy)]
pub(crate) struct Lead {
    /// As the builder numbers words.
    pub(crate) word: u32,
    pub(crate) part: LeadPart,
    pub(crate) ends_group: bool,
    pub(crate) is_mentioned: bool,
}

/// Gathers the words of a segment while it is built.
#[derive(Default)]
pub(crate) struct VocabularyBuilder {
    numbers: FxHashMap<String, u32>,
    words: Vec<GatheredWord>,
    lead_ends: Vec<u32>,
    leads: Vec<Lead>,
}

#[derive(Clone)]
struct GatheredWord {
    products: u32,
    /// The last product that was seen to have it, plus one.
    last: u32,
    is_spelled: bool,
}

impl VocabularyBuilder {
    /// Takes note of a word of the product that comes next; gives its number, and whether the product had it before.
    pub(crate) fn add(&mut self, token: Token<'_>) -> (u32, bool) {
        let number = match self.numbers.get(token.text) {
            Some(number) => *number,
            None => {
                let number = self.words.len() as u32;
                self.numbers.insert(token.text.to_owned(), number);
                let is_spelled = is_spelled(token.text) && token.kind != TokenKind::Unit;
                self.words.push(GatheredWord { products: 0, last: 0, is_spelled });
                number
            }
        };
        let current = self.lead_ends.len() as u32 + 1;
        let word = &mut self.words[number as usize];
        let is_known = word.last == current;
        if !is_known {
            (word.last, word.products) = (current, word.products + 1);
        }
        (number, is_known)
    }

    /// Takes note of the product's lead, which ends the product.
    pub(crate) fn end_product(&mut self, lead: impl Iterator<Item = Lead>) {
        self.leads.extend(lead);
        self.lead_ends.push(self.leads.len() as u32);
    }

    /// Writes the sections.
    pub(crate) fn write<W: Write>(mut self, analyzer: &Analyzer, out: &mut SectionWriter<W>) -> std::io::Result<()> {
        let leads = std::mem::take(&mut self.leads);
        let mut sorted: Vec<(&str, u32)> = self.numbers.iter().map(|(word, number)| (word.as_str(), *number)).collect();
        sorted.sort_unstable();
        let stems: Vec<String> = sorted.iter().map(|(word, _)| analyzer.stem(word).into_owned()).collect();
        let mut distinct: Vec<&str> = stems.iter().map(String::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let stem_number = |stem: &String| distinct.binary_search(&stem.as_str()).unwrap_or(0) as u32;
        let stem_numbers: Vec<u32> = stems.iter().map(stem_number).collect();
        let (mut bytes, mut offsets, mut renumbered) = (String::new(), vec![0_u32], vec![0_u32; sorted.len()]);
        let mut variants = Vec::new();
        for (place, (word, number)) in sorted.iter().enumerate() {
            bytes.push_str(word);
            offsets.push(u32::try_from(bytes.len()).map_err(std::io::Error::other)?);
            renumbered[*number as usize] = place as u32;
            if self.words[*number as usize].is_spelled {
                let depth = if word.chars().count() >= MIN_TWICE_SPELLED_LETTERS { 2 } else { 1 };
                each_variant(word, depth, |variant| variants.push((variant, place as u32)));
            }
        }
        let counts: Vec<u32> = sorted.iter().map(|(_, number)| self.words[*number as usize].products).collect();
        out.section("words/bytes", bytes.as_bytes())?;
        out.section("words/offsets", bytemuck::cast_slice(&offsets))?;
        out.section("words/counts", bytemuck::cast_slice(&counts))?;
        out.section("words/stems", bytemuck::cast_slice(&stem_numbers))?;
        if analyzer.has_compounds() {
            let mut endings: Vec<u32> = (0..sorted.len() as u32).collect();
            endings.sort_by(|a, b| sorted[*a as usize].0.bytes().rev().cmp(sorted[*b as usize].0.bytes().rev()));
            out.section("words/endings", bytemuck::cast_slice(&endings))?;
        }
        variants.sort_unstable();
        variants.dedup();
        write_variants(&mut variants, out)?;
        let words: Vec<u32> = leads.iter().map(|lead| renumbered[lead.word as usize]).collect();
        let leads = words.iter().zip(&leads);
        let leads = leads.map(|(word, lead)| LeadWord::new(stem_numbers[*word as usize], *lead));
        let leads: Vec<LeadWord> = leads.collect();
        out.section("leads/words", bytemuck::cast_slice(&words))?;
        let mut ends = vec![0];
        ends.extend_from_slice(&self.lead_ends);
        let each = ends.windows(2).map(|range| &leads[range[0] as usize..range[1] as usize]);
        out.section("leads/type_pairs", bytemuck::cast_slice(&kinds::learn(each)))?;
        out.section("leads/stems", bytemuck::cast_slice(&leads))?;
        out.section("leads/offsets", bytemuck::cast_slice(&ends))
    }
}

/// Variants by the first bits of their hash, which pick a bucket; its last half is stored beside the word.
fn write_variants<W: Write>(variants: &mut [(u32, u32)], out: &mut SectionWriter<W>) -> std::io::Result<()> {
    let count = (variants.len() / VARIANTS_PER_BUCKET).next_power_of_two().min(MAX_BUCKETS);
    variants.sort_unstable_by_key(|(variant, word)| (bucket_of(*variant, count), *variant as u16, *word));
    let mut buckets = vec![0_u32; count + 1];
    for (variant, _) in variants.iter() {
        buckets[bucket_of(*variant, count) + 1] += 1;
    }
    for bucket in 0..count {
        buckets[bucket + 1] += buckets[bucket];
    }
    let rest: Vec<u16> = variants.iter().map(|(variant, _)| *variant as u16).collect();
    let words: Vec<u32> = variants.iter().map(|(_, word)| *word).collect();
    out.section("spelling/buckets", bytemuck::cast_slice(&buckets))?;
    out.section("spelling/variants", bytemuck::cast_slice(&rest))?;
    out.section("spelling/words", bytemuck::cast_slice(&words))
}

/// One of `count` buckets, a power of two.
fn bucket_of(variant: u32, count: usize) -> usize {
    ((u64::from(variant) * count as u64) >> 32) as usize
}

/// Whether a word can be the right spelling of another: letters only, neither very short nor very long.
pub(crate) fn is_spelled(word: &str) -> bool {
    let letters = word.chars().count();
    (MIN_SPELLED_LETTERS..=MAX_SPELLED_LETTERS).contains(&letters) && word.chars().all(char::is_alphabetic)
}

/// Calls `each` with a hash of the word's first letters and of all that is left of them when up to `depth` are left
/// out (the symmetric deletes of W. Garbe's SymSpell): two words within that many mistakes share one of these.
pub(crate) fn each_variant(word: &str, depth: usize, mut each: impl FnMut(u32)) {
    let mut letters = [0 as char; VARIED_LETTERS];
    let mut count = 0;
    for letter in word.chars().take(VARIED_LETTERS) {
        letters[count] = letter;
        count += 1;
    }
    let letters = &letters[..count];
    each(hash_without(letters, usize::MAX, usize::MAX));
    for first in 0..count {
        each(hash_without(letters, first, usize::MAX));
        if depth > 1 {
            (first + 1..count).for_each(|second| each(hash_without(letters, first, second)));
        }
    }
}

/// FNV-1a over the letters but two, mixed so that its upper half is as good as its lower one.
fn hash_without(letters: &[char], first: usize, second: usize) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (place, letter) in letters.iter().enumerate() {
        if place != first && place != second {
            hash = (hash ^ u64::from(*letter)).wrapping_mul(0x100_0000_01b3);
        }
    }
    (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) as u32
}

/// The first place of a range that something does not hold of, where it holds of all before and of none after.
pub(crate) fn first_without(places: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (places.start, places.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// Whether offsets begin at 0, never fall, and end at `end`.
pub(crate) fn rises(offsets: &[u32], end: usize) -> bool {
    offsets.first() == Some(&0) && offsets.last().is_some_and(|last| *last as usize == end) && offsets.is_sorted()
}

/// The vocabulary of an open segment.
pub(crate) struct Vocabulary {
    segment: Segment,
    count: usize,
    sections: Sections,
    /// How many of the products that have a word are no longer current.
    dead: FxHashMap<u32, u32>,
}

struct Sections {
    bytes: Range<usize>,
    offsets: Range<usize>,
    counts: Range<usize>,
    stems: Range<usize>,
    /// The words in the order of their reversed bytes, in languages with compounds.
    endings: Option<Range<usize>>,
    buckets: Range<usize>,
    variants: Range<usize>,
    variant_words: Range<usize>,
    lead_words: Range<usize>,
    leads: Range<usize>,
    lead_offsets: Range<usize>,
    type_pairs: Range<usize>,
}

impl Vocabulary {
    /// # Errors
    /// When a section is missing.
    pub(crate) fn open(segment: &Segment) -> Result<Self, Error> {
        let find = |name: &str| {
            let missing = || snapshots::Error::corrupt("segment", format!("it has no section '{name}'"));
            segment.section(name).ok_or_else(missing)
        };
        let sections = Sections {
            bytes: find("words/bytes")?,
            offsets: find("words/offsets")?,
            counts: find("words/counts")?,
            stems: find("words/stems")?,
            endings: segment.section("words/endings"),
            buckets: find("spelling/buckets")?,
            variants: find("spelling/variants")?,
            variant_words: find("spelling/words")?,
            lead_words: find("leads/words")?,
            leads: find("leads/stems")?,
            lead_offsets: find("leads/offsets")?,
            type_pairs: find("leads/type_pairs")?,
        };
        let count = sections.counts.len() / 4;
        Ok(Self { segment: segment.clone(), count, sections, dead: FxHashMap::default() })
    }

    /// Reads all of it: that no number points outside of what it counts.
    ///
    /// # Errors
    /// When a section does not fit the others.
    pub(crate) fn check(&self, stem_count: usize) -> Result<(), Error> {
        let corrupt =
            |what: &str| Err(snapshots::Error::corrupt("vocabulary", format!("its {what} are damaged")).into());
        let sections = &self.sections;
        let bytes = &self.segment.bytes()[sections.bytes.clone()];
        let Ok(text) = std::str::from_utf8(bytes) else { return corrupt("words") };
        let offsets = self.numbers(&sections.offsets);
        if offsets.len() != self.count + 1
            || !rises(offsets, bytes.len())
            || offsets.iter().any(|offset| !text.is_char_boundary(*offset as usize))
        {
            return corrupt("words");
        }
        let stems = self.numbers(&sections.stems);
        if stems.len() != self.count || stems.iter().any(|stem| *stem as usize >= stem_count) {
            return corrupt("stems");
        }
        if let Some(endings) = sections.endings.as_ref().map(|range| self.numbers(range))
            && (endings.len() != self.count || endings.iter().any(|word| *word as usize >= self.count))
        {
            return corrupt("endings");
        }
        let buckets = self.numbers(&sections.buckets);
        let words = self.numbers(&sections.variant_words);
        if buckets.len() < 2
            || !rises(buckets, words.len())
            || sections.variants.len() != 2 * words.len()
            || words.iter().any(|word| *word as usize >= self.count)
        {
            return corrupt("spellings");
        }
        let words = self.numbers(&sections.lead_words);
        let ends = self.numbers(&sections.lead_offsets);
        if ends.len() != self.segment.product_count() + 1
            || !rises(ends, words.len())
            || sections.leads.len() != sections.lead_words.len()
            || words.iter().any(|word| *word as usize >= self.count)
        {
            return corrupt("leads");
        }
        Ok(())
    }

    fn numbers(&self, range: &Range<usize>) -> &[u32] {
        numbers(&self.segment, range)
    }

    #[inline]
    pub(crate) fn word(&self, number: u32) -> &str {
        let offsets = self.numbers(&self.sections.offsets);
        let bytes = &self.segment.bytes()[self.sections.bytes.clone()];
        let word = &bytes[offsets[number as usize] as usize..offsets[number as usize + 1] as usize];
        // The check has read it as UTF-8.
        std::str::from_utf8(word).unwrap_or_default()
    }

    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        let number = self.first_from(word);
        ((number as usize) < self.count && self.word(number) == word).then_some(number)
    }

    /// The number of the first word that is not below `word`.
    fn first_from(&self, word: &str) -> u32 {
        first_without(0..self.count, |number| self.word(number as u32) < word) as u32
    }

    /// The words that begin with a prefix.
    pub(crate) fn with_prefix(&self, prefix: &str) -> Range<u32> {
        let start = self.first_from(prefix);
        // No word holds this letter, so it stands above all that begin with the prefix.
        start..self.first_from(&format!("{prefix}\u{10ffff}"))
    }

    /// The first `count` letters that words have behind a prefix, rising.
    pub(crate) fn letters_behind(&self, prefix: &str, count: usize) -> Vec<char> {
        let range = self.with_prefix(prefix);
        let (mut at, mut letters) = (range.start, Vec::new());
        while at < range.end && letters.len() < count {
            let behind = self.word(at).strip_prefix(prefix).and_then(|rest| rest.chars().next());
            letters.extend(behind);
            // The words of a damaged segment may not rise.
            at = behind.map_or(at, |letter| self.with_prefix(&format!("{prefix}{letter}")).end).max(at + 1);
        }
        letters
    }

    /// Longer words that end like this.
    pub(crate) fn with_ending(&self, ending: &str) -> impl Iterator<Item = u32> + '_ {
        let all = self.sections.endings.as_ref().map_or(&[][..], |range| self.numbers(range));
        let start = all.partition_point(|word| self.word(*word).bytes().rev().lt(ending.bytes().rev()));
        let ending = ending.to_owned();
        let length = ending.len();
        let alike = all[start..].iter().copied().take_while(move |word| self.word(*word).ends_with(&ending));
        alike.filter(move |word| self.word(*word).len() > length)
    }

    /// How many current products of the segment have a word.
    #[inline]
    pub(crate) fn product_count(&self, number: u32) -> u32 {
        let all = self.numbers(&self.sections.counts)[number as usize];
        match self.dead.is_empty() {
            true => all,
            false => all.saturating_sub(self.dead.get(&number).copied().unwrap_or(0)),
        }
    }

    /// Whether any current product has a word.
    pub(crate) fn is_current(&self, number: u32) -> bool {
        self.dead.is_empty() || self.product_count(number) > 0
    }

    /// Takes note of how many of the products that have a word are no longer current.
    pub(crate) fn bury(&mut self, dead: FxHashMap<u32, u32>) {
        self.dead = dead;
    }

    /// What the segment's titles and types teach when it is alone; see [`kinds`].
    pub(crate) fn type_pairs(&self) -> &[u64] {
        numbers(&self.segment, &self.sections.type_pairs)
    }

    /// The number of what a word is indexed by.
    #[inline]
    pub(crate) fn stem(&self, number: u32) -> u32 {
        self.numbers(&self.sections.stems)[number as usize]
    }

    /// Calls `each` with the words that share a variant; some of them more than once, some of them by chance.
    pub(crate) fn sharing_variant(&self, variant: u32, mut each: impl FnMut(u32)) {
        let buckets = self.numbers(&self.sections.buckets);
        let bucket = bucket_of(variant, buckets.len() - 1);
        let range = buckets[bucket] as usize..buckets[bucket + 1] as usize;
        let rest: &[u16] = numbers(&self.segment, &self.sections.variants);
        let words = &self.numbers(&self.sections.variant_words)[range.clone()];
        let wanted = variant as u16;
        let first = rest[range.clone()].partition_point(|rest| *rest < wanted);
        for (place, rest) in rest[range].iter().enumerate().skip(first) {
            if *rest != wanted {
                break;
            }
            each(words[place]);
        }
    }

    /// The words that say what a product is, its title first, and their numbers in the vocabulary.
    #[inline]
    pub(crate) fn lead(&self, doc: u32) -> (&[LeadWord], &[u32]) {
        let offsets = self.numbers(&self.sections.lead_offsets);
        let range = offsets[doc as usize] as usize..offsets[doc as usize + 1] as usize;
        let leads: &[LeadWord] = numbers(&self.segment, &self.sections.leads);
        (&leads[range.clone()], &self.numbers(&self.sections.lead_words)[range])
    }
}
