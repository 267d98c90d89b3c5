//! Products like another one: what shares the words that say what it is, its category and its brand.

use jiff::Timestamp;
use snapshots::FacetKind;

use crate::curation::Curation;
use crate::error::Error;
use crate::gather::Gathered;
use crate::index::Index;
use crate::plan::{Plan, Slot};
use crate::predicate::SplitFilter;
use crate::rank::HEAD;
use crate::request::{FieldSet, SearchRequest};
use crate::search::{Hit, Tier};
use crate::vocabulary::LeadPart;

/// So many of a product's most telling words are looked for.
const WORDS: usize = 8;
/// Where more products than this have them, the most telling two are enough.
const MAX_PRODUCTS: u64 = 4_096;
/// What a product of the same category, and one of the same brand, has more of its score.
const SAME_CATEGORY_SHARE: f32 = 0.5;
const SAME_BRAND_SHARE: f32 = 0.1;
/// The most that [`Index::similar`] gives.
pub const MAX_SIMILAR: usize = 50;

impl Index {
    /// The products most like the one with this id, its variants left out; None where there is no such product.
    ///
    /// # Errors
    /// When the text index cannot be read.
    pub fn similar(&self, id: &str, count: usize) -> Result<Option<Vec<Hit>>, Error> {
        self.similar_at(id, count, Timestamp::now())
    }

    /// The same at a time, which says which rules are active.
    ///
    /// # Errors
    /// As [`Index::similar`].
    pub fn similar_at(&self, id: &str, count: usize, now: Timestamp) -> Result<Option<Vec<Hit>>, Error> {
        let Some((segment, doc)) = self.find(id, now) else { return Ok(None) };
        let request = SearchRequest {
            query: String::new(),
            words: Vec::new(),
            page: 1,
            per_page: HEAD,
            sort: None,
            filter: None,
            facets: Vec::new(),
            facet_limit: 0,
            fields: FieldSet::default(),
            highlight: FieldSet::default(),
            distinct: false,
            contexts: Vec::new(),
            explain: false,
        };
        let filters = self.likeness(segment, doc);
        let mut curation = Curation::new(self, &request, now);
        curation.boosts.extend(filters.iter().map(|(filter, share)| (filter, *share)));
        // What is pinned for searches is not therefore like this product.
        curation.pins.clear();
        let filter = SplitFilter::new(None, &curation.filters, |_| None);
        let slots = self.telling_words(segment, doc)?;
        let plan = Plan { head: slots.len().checked_sub(1), slots, ..Plan::default() };
        if plan.slots.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let found = self.look_up(&plan, false)?;
        let mut gathered = Gathered::new(self, &request, &curation);
        gathered.like(segment, doc);
        gathered.ask(&found, Tier::AnyWord)?;
        gathered.run(&found, &filter, Tier::AnyWord)?;
        gathered.rank();
        let mut answer = gathered.into_answer(plan);
        self.keep_one_of_each_group(&mut answer, count.min(MAX_SIMILAR));
        Ok(Some(answer.hits))
    }

    /// The words of a product's title and type that fewest products have.
    fn telling_words(&self, segment: usize, doc: u32) -> Result<Vec<Slot>, Error> {
        let vocabulary = &self.texts[segment].vocabulary;
        let (lead, words) = vocabulary.lead(doc);
        let mut telling: Vec<(u64, Slot)> = Vec::new();
        for (word, number) in lead.iter().zip(words) {
            let text = vocabulary.word(*number);
            let says = matches!(word.part(), LeadPart::Title | LeadPart::Type);
            let is_noun = text.chars().all(char::is_alphabetic) && !self.analyzer.is_stop_word(text);
            let slot = Slot::word(&self.analyzer, text);
            if says && is_noun && !telling.iter().any(|(_, known)| known.alternatives == slot.alternatives) {
                telling.push((self.stem_count(&slot.alternatives[0].stem)?, slot));
            }
        }
        // What only this product has finds no other.
        telling.retain(|(count, _)| *count > 1);
        telling.sort_by_key(|(count, _)| *count);
        let mut products = 0;
        let words = telling.iter().take(WORDS).take_while(|(count, _)| {
            products += count;
            products <= MAX_PRODUCTS
        });
        let words = words.count().max(2);
        telling.truncate(words);
        Ok(telling.into_iter().map(|(_, slot)| slot).collect())
    }

    /// What a product shares with those like it, beyond words.
    fn likeness(&self, segment: usize, doc: u32) -> Vec<(crate::filter::Filter, f32)> {
        let part = &self.segments()[segment].segment;
        let row = part.facet_rows().row(doc);
        let mut filters = Vec::new();
        for facet in part.facets() {
            let mut values = row.iter().filter(|value| facet.range().contains(&(**value as usize)));
            let is_category = self.catalogue().facet(&facet.name).is_some_and(|one| one.kind == FacetKind::Hierarchy);
            let share = match facet.name.as_str() {
                _ if is_category => SAME_CATEGORY_SHARE,
                "brand" => SAME_BRAND_SHARE,
                _ => continue,
            };
            // Of a category path the longest text is the narrowest.
            let narrowest = values.by_ref().max_by_key(|value| part.facet_value(**value).len());
            filters.extend(narrowest.map(|value| {
                let value = part.facet_value(*value).to_owned();
                (crate::filter::Filter::Value { facet: facet.name.clone(), value }, share)
            }));
        }
        filters
    }
}
