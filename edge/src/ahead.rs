//! What is done with a snapshot before it is served. It is warmed, and answers before anybody asks: what was asked of the
//! generation before, or, where a process has just started, what the snapshot says that shoppers type.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use search::{Index, RawRequest};

use crate::coding::Coding;
use crate::live::Generation;
use crate::result_cache::{Answered, Asked};
use crate::routes::{answer_to, hashed};
use crate::shapes::Shape;

/// So many requests are answered again before a newer snapshot is served.
const MAX_REPEATED: usize = 1_000;
/// So many recorded queries are answered before the first snapshot is served.
const MAX_RECORDED: usize = 300;
/// How many titles are searched for, so that the first shopper does not wait: as many of each segment, since each search
/// goes through all of them.
const WARMING_QUERIES: usize = 64;

/// How long a snapshot may be prepared before it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    warming: Duration,
    answering: Duration,
}

impl Patience {
    /// No snapshot waits longer than this.
    pub const FULL: Self = Self { warming: Duration::from_secs(1), answering: Duration::from_secs(2) };
    /// What takes a bad one's place is to be served a second after that was decided, and finding out and opening need most
    /// of it. Shoppers wait a little longer for their first answers, but not for prices that are wrong.
    pub const SHORT: Self = Self { warming: Duration::from_millis(50), answering: Duration::from_millis(150) };

    /// One that is held, or older than what is served, takes the place of a bad one.
    pub fn with(is_held: bool, created_at: Timestamp, served_of: Option<Timestamp>) -> Self {
        match served_of {
            Some(served_of) if is_held || created_at < served_of => Self::SHORT,
            _ => Self::FULL,
        }
    }
}

/// Searches for the titles of the first products, word by word: this reads the pages that shoppers read first.
pub fn warm(index: &Index, patience: Patience) {
    let (segments, ends) = (&index.snapshot().segments, Instant::now() + patience.warming);
    let most = WARMING_QUERIES.div_ceil(segments.len().max(1));
    let first = segments.iter().enumerate().flat_map(move |(number, part)| {
        let count = part.segment.product_count().min(most);
        (0..count as u32).map(move |doc| index.record(number, doc))
    });
    for record in first.take_while(|_| Instant::now() < ends) {
        let title = record.field(2).map(String::from_utf8_lossy).unwrap_or_default();
        let words: Vec<&str> = title.split_whitespace().take(4).collect();
        let raw = RawRequest { q: words.join(" "), facets: vec!["*".into()], ..Default::default() };
        if let Ok(request) = index.request(raw) {
            let _ = index.search(&request);
        }
    }
}

/// What the next generation is to answer ahead, first what was asked again and again. Those that are served wait for as long as
/// it takes to copy it: no work for a thread that gives way.
pub fn asked_of(before: &Generation) -> Vec<(Asked, Coding)> {
    before.results.asked(MAX_REPEATED)
}

/// Answers from a new generation what was asked of the one before it, so that a swap is no slower than other moments. With
/// other settings a request may be at fault: that one is passed over.
pub fn answer_again(generation: &Generation, asked: Vec<(Asked, Coding)>, patience: Patience) {
    let ends = Instant::now() + patience.answering;
    let in_time = asked.into_iter().take_while(|_| Instant::now() < ends);
    in_time.for_each(|(asked, coding)| answer(generation, asked, coding));
}

/// Answers what shoppers type most by the snapshot's recorded queries, in the forms in which they ask: suggestions for every
/// beginning, then the search. What comes before any query is the search without one.
pub fn answer_recorded(generation: &Generation, shapes: &[Shape], patience: Patience) {
    let (catalogue, ends) = (generation.index.catalogue(), Instant::now() + patience.answering);
    let mut recorded: Vec<(&str, u64)> = generation.index.recorded_queries().collect();
    recorded.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let queries = recorded.into_iter().map(|(query, _)| query).take(MAX_RECORDED);
    let (searches, suggestions): (Vec<&Shape>, Vec<&Shape>) =
        shapes.iter().partition(|shape| matches!(shape, Shape::Search(_)));
    let mut typed = HashSet::new();
    for query in std::iter::once("").chain(queries) {
        let new = beginnings(query).filter(|beginning| typed.insert(*beginning));
        let suggest = new.flat_map(|beginning| suggestions.iter().map(move |shape| (shape, beginning)));
        let asked = suggest.chain(searches.iter().map(|shape| (shape, query)));
        for (shape, text) in asked.take_while(|_| Instant::now() < ends) {
            answer(generation, shape.with(text, catalogue), Coding::Identity);
        }
    }
}

/// A text as it is typed, from its first letter on.
fn beginnings(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().map(move |(at, letter)| &text[..at + letter.len_utf8()])
}

/// Keeps an answer as it is, and in the coding that it was asked for in.
fn answer(generation: &Generation, asked: Asked, coding: Coding) {
    let (now, results) = (Timestamp::now(), &generation.results);
    let (rules, hash) = (generation.index.rules().version_at(now), hashed(generation, now, &asked));
    let plain = results.peek(hash, &asked, rules, Coding::Identity).or_else(|| {
        let answered = answer_to(generation, &asked, now).ok()?;
        results.put(hash, asked.clone(), rules, Coding::Identity, answered.clone());
        Some(answered)
    });
    if let Some((body, found)) = plain.and_then(|plain| Some((coding.encode(&plain.body)?, plain.found))) {
        results.put(hash, asked, rules, coding, Answered { body, found });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample;

    const NONE: Patience = Patience { warming: Duration::ZERO, answering: Duration::ZERO };

    fn lamps() -> Shape {
        Shape::Search(RawRequest { per_page: Some(30), ..RawRequest::default() })
    }

    /// What was compressed once counted as asked for again in every later generation.
    #[tokio::test]
    async fn what_nobody_asks_for_any_more_is_not_asked_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let index = sample::open(folder.path()).await;
        let [first, second, third] = std::array::from_fn(|_| sample::generation(&index));
        let asked = lamps().with("lamp", index.catalogue());
        answer(&first, asked.clone(), Coding::Zstd);
        answer_again(&second, asked_of(&first), Patience::FULL);
        answer_again(&third, asked_of(&second), Patience::FULL);
        let mut codings: Vec<Coding> = third.results.asked(9).into_iter().map(|(_, coding)| coding).collect();
        codings.sort_unstable_by_key(|coding| coding.name());
        assert_eq!(codings, [Coding::Identity, Coding::Zstd], "it is kept in both");
        assert!(third.results.asked_again(1_000).is_empty());
        let (now, index) = (Timestamp::now(), &third.index);
        let (rules, hash) = (index.rules().version_at(now), hashed(&third, now, &asked));
        assert!(third.results.get(hash, &asked, rules, Coding::Zstd).is_some());
        assert_eq!(third.results.asked_again(1_000), [asked]);
    }

    /// How much is kept of a new generation after that.
    fn count_after(index: &Arc<Index>, prepare: impl FnOnce(&Generation)) -> usize {
        let generation = sample::generation(index);
        prepare(&generation);
        generation.results.asked(1_000).len()
    }

    /// Nothing failed where a rollback answered ahead for as long as a new snapshot may.
    #[tokio::test]
    async fn nothing_is_answered_ahead_beyond_its_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let index = sample::open(folder.path()).await;
        let before = sample::generation(&index);
        answer(&before, lamps().with("lamp", index.catalogue()), Coding::Identity);
        assert_eq!(count_after(&index, |next| answer_again(next, asked_of(&before), NONE)), 0);
        assert_eq!(count_after(&index, |next| answer_again(next, asked_of(&before), Patience::FULL)), 1);
        assert_eq!(count_after(&index, |next| answer_recorded(next, &[lamps()], NONE)), 0);
        let recorded = count_after(&index, |next| answer_recorded(next, &[lamps()], Patience::FULL));
        assert_eq!(recorded, 2, "without a query, and with the one that is recorded");
    }

    /// A rollback was served once all was answered ahead that a new snapshot may be, three seconds later.
    #[test]
    fn what_is_gone_back_to_is_not_kept_waiting() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert_eq!(Patience::with(false, at(2), Some(at(1))), Patience::FULL, "a new snapshot");
        assert_eq!(Patience::with(true, at(1), None), Patience::FULL, "nothing bad is served");
        assert_eq!(
            Patience::with(true, at(2), Some(at(1))),
            Patience::SHORT,
            "a rollback to what was announced before"
        );
        assert_eq!(Patience::with(false, at(1), Some(at(2))), Patience::SHORT, "a canary that was withdrawn");
    }

    #[test]
    fn a_text_is_typed_letter_by_letter() {
        assert_eq!(beginnings("öl 5").collect::<Vec<_>>(), ["ö", "öl", "öl ", "öl 5"]);
        assert_eq!(beginnings("").count(), 0);
    }
}
