//! Answers before anybody asks for them: what was asked of the generation before, or, where a process has just started,
//! what the snapshot says that shoppers type.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use search::RawRequest;

use crate::coding::Coding;
use crate::live::Generation;
use crate::result_cache::{Answered, Asked};
use crate::routes::{answer_to, hashed};

/// So many requests are answered again before a newer snapshot is served.
const MAX_REPEATED: usize = 1_000;
/// So many recorded queries are answered before the first snapshot is served.
const MAX_RECORDED: usize = 300;
/// No snapshot waits longer than this to be served, least of all one that takes a bad one's place.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Answers from a new generation what was asked of the one before it, so that a swap is no slower than other moments: first
/// what was asked again and again. With other settings a request may be at fault: that one is passed over.
pub fn answer_again(generation: &Generation, before: &Generation) {
    let ends = Instant::now() + TIMEOUT;
    let asked = before.results.asked(MAX_REPEATED).into_iter();
    asked.take_while(|_| Instant::now() < ends).for_each(|(asked, coding)| answer(generation, asked, coding));
}

/// Answers what shoppers type most by the snapshot's recorded queries: suggestions for every beginning, then the search.
pub fn answer_recorded(generation: &Generation) {
    let mut recorded: Vec<(&str, u64)> = generation.index.recorded_queries().collect();
    recorded.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let (ends, mut typed) = (Instant::now() + TIMEOUT, HashSet::new());
    let raw = |q: &str| RawRequest { q: q.to_owned(), ..RawRequest::default() };
    for (query, _) in recorded.into_iter().take(MAX_RECORDED) {
        if Instant::now() > ends {
            return;
        }
        let new = beginnings(query).filter(|beginning| typed.insert(*beginning));
        let suggest = new.map(|beginning| Asked::suggest(raw(beginning), None, None));
        let asked = suggest.chain([Asked::search(raw(query))]);
        asked.for_each(|asked| answer(generation, asked, Coding::Identity));
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
    let plain = results.get(hash, &asked, rules, Coding::Identity).or_else(|| {
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
    use super::*;

    #[test]
    fn a_text_is_typed_letter_by_letter() {
        assert_eq!(beginnings("öl 5").collect::<Vec<_>>(), ["ö", "öl", "öl ", "öl 5"]);
        assert_eq!(beginnings("").count(), 0);
    }
}
