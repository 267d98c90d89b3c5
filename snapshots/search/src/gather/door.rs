//! What keeps products out that match the words: they were taken before, are hidden, or are no longer current.

use super::Gathered;
use crate::bits::Bits;
use crate::curation::Curation;
use crate::cursor::Match;
use crate::index::Index;
use crate::search::FoundPlan;

/// Where those products stop that match the words and must not be found.
pub(super) struct Door<'f> {
    index: &'f Index,
    curation: &'f Curation<'f>,
    found: &'f FoundPlan<'f>,
    /// The segment that they come from.
    place: usize,
    /// Most searches keep no product out, and must not pay for those that do.
    is_open: bool,
    /// See [`Gathered`].
    taken: Vec<(usize, u32)>,
    left_out: u64,
    seen: Option<Vec<Bits>>,
}

impl Door<'_> {
    pub(super) fn stand_at(&mut self, place: usize) {
        self.place = place;
        let is_whole = self.index.segments()[place].liveness.is_none();
        self.is_open = self.taken.is_empty() && self.seen.is_none() && is_whole && !self.curation.hides_any();
    }

    /// Whether a product was taken before any word was looked up.
    pub(super) fn has_taken(&self, doc: u32) -> bool {
        !self.taken.is_empty() && self.taken.binary_search(&(self.place, doc)).is_ok()
    }

    #[inline]
    pub(super) fn admits(&mut self, hit: &mut Match<'_>) -> bool {
        self.is_open || self.admits_some(hit)
    }

    fn admits_some(&mut self, hit: &mut Match<'_>) -> bool {
        let (place, text, found) = (self.place, &self.index.texts[self.place], self.found);
        let part = &self.index.segments()[place];
        if self.has_taken(hit.doc)
            || self.left_out != 0 && part.segment.groups()[hit.doc as usize] == self.left_out
            || !part.is_live(hit.doc)
            || self.curation.is_hidden(place, hit.doc)
            || !found.admits(text, place, hit.doc, hit.weak)
            || self.seen.as_mut().is_some_and(|seen| !seen[place].insert(hit.doc))
        {
            return false;
        }
        // A reading has other words; what it finds lacks none of the query's.
        if found.plan.is_reading {
            hit.has = u32::MAX;
            hit.weak |= found.apart(text, place, hit.doc);
        }
        true
    }
}

impl<'a> Gathered<'a> {
    /// What keeps out products that match, and is the answer's again when it is given back by [`Gathered::come_from`].
    pub(super) fn door<'f>(&mut self, found: &'f FoundPlan<'f>) -> Door<'f>
    where
        'a: 'f,
    {
        let index = self.index;
        let mut seen = std::mem::take(&mut self.seen);
        if seen.is_none() && (!found.plan.readings.is_empty() || found.plan.is_reading) {
            seen = Some(index.segments().iter().map(|part| Bits::none(part.segment.product_count())).collect());
        }
        let (taken, left_out) = (std::mem::take(&mut self.taken), self.left_out);
        Door { index, curation: self.curation, found, place: 0, is_open: false, taken, left_out, seen }
    }

    pub(super) fn come_from(&mut self, door: Door<'_>) {
        (self.taken, self.seen) = (door.taken, door.seen);
    }
}
