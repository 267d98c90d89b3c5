//! The second look at the best of what was found, and what the answer tells of it.

use std::hint::black_box;

use super::{CORRECTED_LEVEL, Gathered, TYPED_LEVEL};
use crate::error::Error;
use crate::rank::{Asked, HEAD, ScoreParts};
use crate::search::{FoundPlan, Level, Tier};
use crate::top::{Candidate, score_key};

impl Gathered<'_> {
    /// Takes note of a query, where relevance decides. Whether a product is of the type that it names counts from here on
    /// where the tiers up to this one may find more than are looked at again, and where variants are compared before.
    pub(crate) fn ask(&mut self, found: &FoundPlan<'_>, tier: Tier) -> Result<(), Error> {
        if self.request.sort.is_some() {
            return Ok(());
        }
        let index = self.index;
        let is_first = index.analyzer.head().is_first;
        let at_most = found.at_most(tier).saturating_add(self.candidates.len() as u64);
        let lists_type = self.groups.is_some() || at_most > HEAD as u64;
        let segments = index.texts.iter().zip(&found.found);
        let asked = segments.map(|(text, slots)| Asked::new(text, found.plan, slots, is_first, lists_type));
        self.asked = asked.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Looks again at the best candidates, where relevance decides.
    pub(crate) fn rank(&mut self) {
        self.fold();
        if self.request.sort.is_some() {
            return;
        }
        let index = self.index;
        let mut candidates = std::mem::take(&mut self.candidates);
        if candidates.len() > HEAD {
            candidates.select_nth_unstable_by(HEAD, |a, b| self.order(a, b));
        }
        let mut rest = candidates.split_off(candidates.len().min(HEAD));
        // What is looked at lies all over memory; asked for in a short loop, much of it comes at once.
        black_box(candidates.iter().fold(0, |all, (segment, one)| all ^ index.fetch_ranked(*segment, one.doc())));
        for (segment, candidate) in candidates.iter_mut().filter(|(_, one)| one.level() >= TYPED_LEVEL) {
            *candidate = candidate.with_key(score_key(self.parts(*segment, candidate).total()));
        }
        self.head = candidates.len();
        self.sort(&mut candidates);
        if self.reach() > self.head {
            self.sort(&mut rest);
        }
        candidates.extend(rest);
        self.candidates = candidates;
    }

    /// What the score of a candidate that was looked at again is made of.
    fn parts(&self, segment: usize, candidate: &Candidate) -> ScoreParts {
        let lead = self.asked[segment].read(candidate.doc());
        self.index.with_priors(lead.parts(candidate.text, self.asked[segment].words()), candidate, segment)
    }

    /// What comes before the score of a candidate that lacks these words; None where a rule, its name or a sort places
    /// it.
    pub(super) fn level(&self, candidate: &Candidate, missing: u32) -> Option<Level> {
        let is_corrected = candidate.level() >= CORRECTED_LEVEL;
        let halves = candidate.level().checked_sub(if is_corrected { CORRECTED_LEVEL } else { TYPED_LEVEL })?;
        let missing = missing.count_ones();
        let is_placed_so = self.request.sort.is_none() && !self.curation.words().is_empty();
        let weak = u32::from(halves).saturating_sub(2 * missing);
        is_placed_so.then_some(Level { missing, weak, is_corrected })
    }

    /// What the score of the candidate at a place is made of.
    pub(super) fn explain(&self, place: usize, segment: usize, candidate: &Candidate) -> ScoreParts {
        match place < self.head && candidate.level() >= TYPED_LEVEL {
            true => self.parts(segment, candidate),
            false => {
                let (base, rules) = (candidate.text, candidate.text * candidate.boost);
                match self.curation.words().is_empty() {
                    true => ScoreParts { popularity: base, rules, ..ScoreParts::default() },
                    false => {
                        let product_type = base * candidate.type_share;
                        ScoreParts { text: base, product_type, rules, ..ScoreParts::default() }
                    }
                }
            }
        }
    }
}
