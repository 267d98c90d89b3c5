//! A search from request to answer: what the rules want, what the words mean, tier by tier until enough is found.

use jiff::Timestamp;

use crate::curation::Curation;
use crate::error::Error;
use crate::facets::FacetAnswer;
use crate::gather::Gathered;
use crate::index::{Index, TextReader};
use crate::matching::{FoundSlot, is_dense};
use crate::plan::{Plan, Reading};
use crate::predicate::SplitFilter;
use crate::rank::{HEAD, ScoreParts};
use crate::request::SearchRequest;
use crate::score::WordWeight;
use crate::vocabulary::LeadWord;

/// What a request is answered with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub hits: Vec<Hit>,
    pub found: u64,
    pub facets: Vec<FacetAnswer>,
    /// The words that were looked for; [`Hit::missing`] counts them.
    pub words: Vec<String>,
    /// The query as it was understood, where it was misspelled or is replaced by a rule.
    pub corrected: Option<String>,
    /// Words of the query that were not looked for: they say nothing, or no product has them.
    pub dropped: Vec<String>,
    /// The names of the rules that applied.
    pub rules: Vec<String>,
    /// Where a rule sends the shopper instead.
    pub redirect: Option<String>,
    /// What rules hand to the page, each as JSON.
    pub user_data: Vec<String>,
}

/// A product of an answer, by its segment and document.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub segment: usize,
    pub doc: u32,
    pub score: f32,
    /// The words that the product lacks, as bits of their places in [`Answer::words`].
    pub missing: u32,
    /// Where one variant of a group stands for all: the others that were found, best first.
    pub variants: Vec<(usize, u32)>,
    /// What the score is made of, where the request asks for it.
    pub parts: Option<ScoreParts>,
    /// What comes before the score, where the request asks for it, and where words and relevance place the product.
    pub level: Option<Level>,
    /// A rule put the product here.
    pub is_pinned: bool,
}

/// What comes before the score of a hit: those of the query as it was typed first, then those that lack least, a word
/// that is weak being half of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// How many words the product lacks.
    pub missing: u32,
    /// How many it has only where they count little, or as the beginning of another.
    pub weak: u32,
    /// The query had to be corrected to find it.
    pub is_corrected: bool,
}

/// How much of a query a product has. A worse tier opens only while too few products are found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// All words, as they were typed.
    Typed,
    /// All words, misspelled ones corrected, joined ones split.
    Corrected,
    /// All words but so many.
    AllBut(u32),
    /// Any word, whatever is lacking: what is like a product.
    AnyWord,
}

impl Tier {
    /// Its number in their order, where hits that lack several words are not told apart.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Typed => 0,
            Self::Corrected => 1,
            Self::AllBut(1) => 2,
            Self::AllBut(_) | Self::AnyWord => 3,
        }
    }
}

/// What facets count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    All,
    /// Those that have all words, as they were typed.
    Typed,
}

/// The words of a plan, in every segment, and what each is worth.
pub(crate) struct FoundPlan<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) is_corrected: bool,
    /// By segment, then by word.
    pub(crate) found: Vec<Vec<FoundSlot>>,
    pub(crate) weights: Vec<WordWeight>,
    /// How many products have each word at the most.
    counts: Vec<u64>,
    phrases: Vec<Phrase>,
    /// What has its last word only where that counts little is not found.
    is_strict: bool,
}

/// Words of a reading that should stand side by side.
struct Phrase {
    /// Their stems, as each segment numbers them; none where it lacks one.
    stems: Vec<Vec<u32>>,
    /// The place of the first of them, as a bit.
    first: u32,
    /// What has them apart is not found.
    is_strict: bool,
}

impl FoundPlan<'_> {
    /// How many products the tiers up to this one find at the most. Readings have words of their own.
    pub(crate) fn at_most(&self, tier: Tier) -> u64 {
        match tier {
            _ if !self.plan.readings.is_empty() => u64::MAX,
            Tier::Typed | Tier::Corrected => self.counts.iter().copied().min().unwrap_or(0),
            Tier::AllBut(_) | Tier::AnyWord => self.counts.iter().sum(),
        }
    }

    /// Whether most products that have any of the words would be looked at to find those that lack so many.
    fn is_dense(&self, lacking: u32, products: u64) -> bool {
        let mut counts = self.counts.clone();
        counts.sort_unstable();
        is_dense(counts.iter().take(lacking as usize + 1).sum(), counts.iter().sum(), products)
    }

    /// Whether a document that has the words, these of them only where they count little, is what is asked for.
    pub(crate) fn admits(&self, text: &TextReader, segment: usize, doc: u32, weak: u32) -> bool {
        let is_last_weak = || weak >> (self.plan.slots.len() - 1) & 1 == 1;
        if self.is_strict && is_last_weak() {
            return false;
        }
        self.phrases.iter().all(|phrase| !phrase.is_strict || phrase.is_together(text, segment, doc))
    }

    /// The places of a reading's phrases, as bits, that what says what a product is has apart: they may mean something
    /// else there.
    pub(crate) fn apart(&self, text: &TextReader, segment: usize, doc: u32) -> u32 {
        let apart = self.phrases.iter().filter(|phrase| !phrase.is_together(text, segment, doc));
        apart.fold(0, |places, phrase| places | phrase.first)
    }
}

impl Phrase {
    /// Whether what says what a product is has the words side by side.
    fn is_together(&self, text: &TextReader, segment: usize, doc: u32) -> bool {
        let stems = &self.stems[segment];
        let (lead, _) = text.vocabulary.lead(doc);
        let is_phrase = |words: &[LeadWord]| {
            words.iter().zip(stems).all(|(word, stem)| word.stem() == *stem && word.part() == words[0].part())
        };
        !stems.is_empty() && lead.windows(stems.len()).any(is_phrase)
    }
}

impl Index {
    /// Answers a request.
    ///
    /// # Errors
    /// When the text index cannot be read.
    pub fn search(&self, request: &SearchRequest) -> Result<Answer, Error> {
        self.search_at(request, Timestamp::now())
    }

    /// Answers a request as at a time, which says which rules are active.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn search_at(&self, request: &SearchRequest, now: Timestamp) -> Result<Answer, Error> {
        self.search_counting(Counted::All, request, now)
    }

    pub(crate) fn search_counting(
        &self,
        counted_hits: Counted,
        request: &SearchRequest,
        now: Timestamp,
    ) -> Result<Answer, Error> {
        let mut curation = Curation::new(self, request, now);
        let counted =
            |name: &str| request.facets.iter().copied().find(|place| self.catalogue().facets[*place].name == name);
        let filter = SplitFilter::new(request.filter.as_ref(), &curation.filters, counted);
        if request.distinct {
            curation.fold_pins(self, &filter);
        }
        let mut gathered = Gathered::new(self, request, &curation);
        if curation.words().is_empty() {
            gathered.browse(&filter);
            return Ok(gathered.into_answer(Plan::default()));
        }
        gathered.take_first(&filter);
        let mut typed = Plan::as_typed(self, curation.words())?;
        let found = self.look_up(&typed, false)?;
        gathered.ask(&found, Tier::Typed)?;
        let enough = self.catalogue().min_results as u64;
        let mut matched = self.run_whole(&mut gathered, &found, &filter, Tier::Typed)?;
        if counted_hits == Counted::Typed {
            gathered.settle_facets();
        }
        if matched >= enough {
            gathered.rank();
            return Ok(gathered.into_answer(typed));
        }
        let known = typed.readings.len();
        if typed.read_in_parts(self)? {
            let found = self.look_up(&typed, false)?;
            gathered.ask(&found, Tier::Typed)?;
            gathered.note_seen(&found)?;
            for reading in &typed.readings[known..] {
                matched = gathered.run(&self.look_up_reading(reading, &found)?, &filter, Tier::Typed)?;
            }
            if matched >= enough {
                gathered.rank();
                return Ok(gathered.into_answer(typed));
            }
        }
        let corrected = typed.corrected(self, &curation)?;
        let loosest = corrected.as_ref().unwrap_or(&typed);
        let found = self.look_up(loosest, corrected.is_some())?;
        // Beside a single word that says something, a stop word is half of a name: neither "a" nor "line" is "a-line".
        let may_lack = loosest.telling().count_ones() > 1;
        gathered.ask(&found, if may_lack { Tier::AnyWord } else { Tier::Corrected })?;
        if corrected.is_some() {
            matched = self.run_whole(&mut gathered, &found, &filter, Tier::Corrected)?;
        }
        // Whatever has any word would be half of the catalogue where some word is common. What lacks one word more than others
        // stands behind them, so that nobody sees it where these fill what is looked at again.
        let enough = |lacking: u32| if lacking > 2 { enough.max(HEAD as u64) } else { enough };
        let words = if may_lack { loosest.slots.len() as u32 } else { 1 };
        for lacking in 1..words {
            if matched >= enough(lacking) {
                break;
            }
            if found.is_dense(lacking, self.product_count()) {
                gathered.run_lacking(&found, &filter, lacking, enough)?;
                break;
            }
            matched = gathered.run(&found, &filter, Tier::AllBut(lacking))?;
        }
        gathered.rank();
        Ok(gathered.into_answer(corrected.unwrap_or(typed)))
    }

    /// Gathers what has all words of a query, in each of its readings; returns how many products match by now.
    fn run_whole(
        &self,
        gathered: &mut Gathered<'_>,
        found: &FoundPlan<'_>,
        filter: &SplitFilter,
        tier: Tier,
    ) -> Result<u64, Error> {
        if let Some(ending) = &found.plan.ending {
            // All that it finds is found without the letter, too: it only stands before the rest.
            let ending = FoundPlan { is_strict: true, ..self.look_up_reading(ending, found)? };
            gathered.run(&ending, filter, tier)?;
        }
        let mut matched = gathered.run(found, filter, tier)?;
        for reading in &found.plan.readings {
            matched = gathered.run(&self.look_up_reading(reading, found)?, filter, tier)?;
        }
        Ok(matched)
    }

    pub(crate) fn look_up<'a>(&self, plan: &'a Plan, is_corrected: bool) -> Result<FoundPlan<'a>, Error> {
        let mut found = Vec::with_capacity(self.texts.len());
        for (text, part) in self.texts.iter().zip(self.segments()) {
            let docs = part.segment.product_count();
            let slots = plan.slots.iter().map(|slot| FoundSlot::look_up(text, slot, docs));
            found.push(slots.collect::<Result<Vec<_>, _>>()?);
        }
        let sum = |count: fn(&FoundSlot) -> u64, place: usize| found.iter().map(|slots| count(&slots[place])).sum();
        let (mut weights, mut counts) = (Vec::with_capacity(plan.slots.len()), Vec::with_capacity(plan.slots.len()));
        for (place, slot) in plan.slots.iter().enumerate() {
            let (exact, prefix): (u64, u64) = (sum(FoundSlot::exact_count, place), sum(FoundSlot::prefix_count, place));
            // What stands for the word need not begin like it.
            let begun = if slot.has_short_prefix() { prefix.max(exact) } else { prefix };
            weights.push(WordWeight::new(self.scale, self.product_count(), exact, begun));
            counts.push(if slot.has_short_prefix() { exact + prefix } else { prefix });
        }
        Ok(FoundPlan { plan, is_corrected, weights, counts, found, phrases: Vec::new(), is_strict: false })
    }

    /// Looks a reading up. Its other words together count no more than the words of the query that they stand for.
    fn look_up_reading<'a>(&self, reading: &'a Reading, query: &FoundPlan<'_>) -> Result<FoundPlan<'a>, Error> {
        let mut found = self.look_up(&reading.plan, query.is_corrected)?;
        let sum = |weights: &[WordWeight]| weights.iter().map(|weight| weight.whole()).sum::<f32>();
        for part in &reading.parts {
            let others = &mut found.weights[part.others.clone()];
            let share = (part.weight * sum(&query.weights[part.replaced.clone()]) / sum(others)).min(1.0);
            others.iter_mut().for_each(|weight| *weight = weight.scaled(share));
            if !part.phrase.is_empty() {
                let mut stems = Vec::with_capacity(self.texts.len());
                for text in &self.texts {
                    let numbers = part.phrase.iter().map(|stem| text.stem_number(stem));
                    let numbers: Option<Vec<u32>> = numbers.collect::<Result<_, _>>()?;
                    stems.push(numbers.unwrap_or_default());
                }
                found.phrases.push(Phrase { stems, first: 1 << part.others.start, is_strict: part.is_strict });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists of types are read where more may be found than are looked at again: too low a number would lose them.
    #[test]
    fn a_plan_knows_how_many_products_it_finds_at_the_most() {
        let plan = Plan::default();
        let (found, weights, phrases) = (Vec::new(), Vec::new(), Vec::new());
        let counts = vec![300, 5, 40];
        let found = FoundPlan { plan: &plan, is_corrected: false, found, weights, counts, phrases, is_strict: false };
        let at_most = [Tier::Typed, Tier::Corrected, Tier::AllBut(1), Tier::AnyWord].map(|tier| found.at_most(tier));
        assert_eq!(at_most, [5, 5, 345, 345]);
        let reading = Reading { plan: Plan::default(), parts: Vec::new() };
        let plan = Plan { readings: vec![reading], ..Plan::default() };
        assert_eq!(FoundPlan { plan: &plan, ..found }.at_most(Tier::Typed), u64::MAX);
    }
}
