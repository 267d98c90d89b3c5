//! Finding what lacks words of the query, and no more of them than it takes to find enough.

use std::cell::Cell;

use super::{CORRECTED_LEVEL, Gathered, TYPED_LEVEL, level};
use crate::bits::every_word;
use crate::cursor::{Match, Worth};
use crate::error::Error;
use crate::matching::Matcher;
use crate::predicate::SplitFilter;
use crate::search::{FoundPlan, Tier};

/// A product that may turn out to be too much. There are no more of them than products.
struct Deferred {
    doc: u32,
    has: u32,
    weak: u32,
    score: f32,
}

impl Gathered<'_> {
    /// Matches what lacks words, `least` and as many more as it takes until there are enough: each more opens only while
    /// fewer products match than `enough` says for it. One walk finds out, since how many that are is only known at its end;
    /// what turned out to be too much is left out. It is the last that is matched.
    pub(crate) fn run_lacking(
        &mut self,
        found: &FoundPlan<'_>,
        filter: &SplitFilter,
        least: u32,
        enough: impl Fn(u32) -> u64,
    ) -> Result<(), Error> {
        let (index, words) = (self.index, found.plan.slots.len() as u32);
        let every_word = every_word(found.plan.slots.len());
        let base = if found.is_corrected { CORRECTED_LEVEL } else { TYPED_LEVEL };
        let by_sort = self.request.sort.is_some();
        let most = Cell::new(words - 1);
        let level = |lacking: u32, weak: u32| base + level(by_sort, Tier::AllBut(lacking), lacking, weak);
        let (mut counts, mut deferred) = (vec![0_u64; words as usize], Vec::new());
        let (matched, mut door) = (self.matched_count, self.door(found));
        for (place, slots) in found.found.iter().enumerate() {
            let matcher = Matcher::new(&index.texts[place], index.lengths(place), slots, &found.weights)?;
            let mut collector = self.collector(place, filter);
            let mut later: Vec<Deferred> = Vec::new();
            door.stand_at(place);
            let mut each = |mut hit: Match<'_>| {
                let lacking = (every_word & !hit.has).count_ones();
                if lacking > most.get() || !door.admits(&mut hit) {
                    return;
                }
                match lacking == least {
                    true => collector.offer(hit, level(lacking, hit.weak)),
                    false => later.push(Deferred { doc: hit.doc, has: hit.has, weak: hit.weak, score: hit.score() }),
                }
                counts[lacking as usize] += u64::from(hit.begun == 0);
                if lacking < most.get() {
                    let mut matched = matched;
                    let opens = |next: &u32| {
                        matched += counts[*next as usize - 1];
                        matched < enough(*next)
                    };
                    most.set((least + 1..=most.get()).take_while(opens).last().unwrap_or(least));
                }
            };
            matcher.lacking(least, &most, found.plan.telling(), &mut each);
            let done = collector.finish();
            self.keep(place, done);
            deferred.push(later);
        }
        self.come_from(door);
        for (place, later) in deferred.into_iter().enumerate().filter(|(_, later)| !later.is_empty()) {
            let mut collector = self.collector(place, filter);
            for Deferred { doc, has, weak, score } in later {
                let lacking = (every_word & !has).count_ones();
                if lacking <= most.get() {
                    let hit = Match { doc, has, weak, begun: 0, worth: Worth::Known(score) };
                    collector.offer(hit, level(lacking, weak));
                }
            }
            let done = collector.finish();
            self.keep(place, done);
        }
        Ok(())
    }
}
