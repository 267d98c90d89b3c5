//! Answers that were given already: shoppers type the same beginnings, and open the same pages.
//!
//! Each generation has a cache of its own, so that a swap forgets everything. An answer is found by the request as it was
//! written, but for the order of names and for what goes without saying: understanding it takes longer than finding it.
//! Whoever writes it otherwise has an entry of their own. It is found only while the set of rules is active that it was
//! made under. When there is no room, a hand goes round: what was asked for since it last came by is spared once, the rest goes (the "clock" of
//! F. Corbató's page replacement).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use search::{FieldSet, RawRequest, SuggestRequest};
use snapshots::Catalogue;

use crate::coding::Coding;

/// Requests wait for one another only where they fall into the same part.
const PARTS: usize = 16;
/// What an entry takes besides its body and its request, about.
const ENTRY_BYTES: usize = 512;
/// No body takes more than this share of a part.
const MAX_SHARE: usize = 8;

/// A request whose answer depends on nothing but the snapshot and the active rules. Whom it is asked of, and by whom, is
/// no part of it: each generation of a market has a cache of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    Search(RawRequest),
    /// What is typed, and how many suggestions and products are wanted.
    Suggest(RawRequest, usize, usize),
    Similar(String, usize, FieldSet),
    /// The category tree, or what lies below a path.
    Categories(Option<String>),
}

impl Asked {
    pub fn search(raw: RawRequest, catalogue: &Catalogue) -> Self {
        Self::Search(raw.normalised(catalogue))
    }

    pub fn suggest(raw: RawRequest, limit: Option<usize>, products: Option<usize>, catalogue: &Catalogue) -> Self {
        let limit = limit.unwrap_or(SuggestRequest::DEFAULT_LIMIT);
        Self::Suggest(raw.normalised(catalogue), limit, products.unwrap_or(SuggestRequest::DEFAULT_PRODUCTS))
    }

    /// About how much memory it takes.
    fn size_bytes(&self) -> usize {
        match self {
            Self::Search(raw) | Self::Suggest(raw, ..) => raw.size_bytes(),
            Self::Similar(id, ..) => id.capacity(),
            Self::Categories(below) => below.as_ref().map_or(0, String::capacity),
        }
    }
}

/// A body, in a buffer that is no larger, and for a search how many it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub body: Bytes,
    pub found: Option<u64>,
}

/// The answers of one generation.
pub struct ResultCache {
    parts: Vec<Mutex<Part>>,
    part_bytes: usize,
    is_encoding: AtomicBool,
}

#[derive(Default)]
struct Part {
    places: HashMap<u64, usize>,
    entries: Vec<Entry>,
    hand: usize,
    bytes: usize,
}

struct Entry {
    hash: u64,
    asked: Asked,
    rules: usize,
    coding: Coding,
    answered: Answered,
    size_bytes: usize,
    is_used: bool,
}

/// An answer is being made smaller until this is dropped, however that ends.
struct Encoding(Arc<ResultCache>);

impl Encoding {
    /// None while another one is.
    fn begin(cache: &Arc<ResultCache>) -> Option<Self> {
        let is_free = !cache.is_encoding.swap(true, Ordering::Acquire);
        is_free.then(|| Self(cache.clone()))
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        self.0.is_encoding.store(false, Ordering::Release);
    }
}

impl ResultCache {
    /// Keeps at most so many bytes; none at all with 0.
    pub fn new(size_bytes: usize) -> Self {
        let parts = std::iter::repeat_with(Mutex::default).take(PARTS).collect();
        Self { parts, part_bytes: size_bytes / PARTS, is_encoding: AtomicBool::new(false) }
    }

    /// The answer to what has this hash, if it was given under this set of rules, in this coding.
    pub fn get(&self, hash: u64, asked: &Asked, rules: usize, coding: Coding) -> Option<Answered> {
        self.look_up(hash, asked, rules, coding, |entry| entry.is_used = true)
    }

    /// The same, for one who asks on behalf of nobody.
    pub fn peek(&self, hash: u64, asked: &Asked, rules: usize, coding: Coding) -> Option<Answered> {
        self.look_up(hash, asked, rules, coding, |_| ())
    }

    fn look_up(
        &self,
        hash: u64,
        asked: &Asked,
        rules: usize,
        coding: Coding,
        found: impl FnOnce(&mut Entry),
    ) -> Option<Answered> {
        let hash = in_coding(hash, coding);
        let mut part = self.part(hash)?.lock().unwrap_or_else(PoisonError::into_inner);
        let place = *part.places.get(&hash)?;
        let entry = &mut part.entries[place];
        // A hash is no proof.
        let is_it = entry.rules == rules && entry.coding == coding && entry.asked == *asked;
        is_it.then(|| {
            found(entry);
            entry.answered.clone()
        })
    }

    /// Keeps an answer, as it is.
    pub fn put(&self, hash: u64, asked: Asked, rules: usize, coding: Coding, answered: Answered) {
        let hash = in_coding(hash, coding);
        let Some(part) = self.part(hash) else { return };
        let size_bytes = answered.body.len() + ENTRY_BYTES + asked.size_bytes();
        if size_bytes > self.part_bytes / MAX_SHARE {
            return;
        }
        let entry = Entry { hash, asked, rules, coding, answered, size_bytes, is_used: false };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = part.places.get(&hash).copied() {
            part.bytes -= part.entries[place].size_bytes;
            part.bytes += entry.size_bytes;
            part.entries[place] = entry;
            return;
        }
        part.make_room(self.part_bytes - entry.size_bytes);
        part.bytes += entry.size_bytes;
        let place = part.entries.len();
        part.places.insert(hash, place);
        part.entries.push(entry);
    }

    /// Makes an answer smaller for those that ask next, on a thread that does not serve: one at a time, and until then all
    /// go out as they are.
    pub fn encode_later(self: &Arc<Self>, hash: u64, asked: &Asked, rules: usize, coding: Coding, answered: Answered) {
        let Some(encoding) = Encoding::begin(self) else { return };
        let asked = asked.clone();
        tokio::task::spawn_blocking(move || {
            if let Some(body) = coding.encode(&answered.body) {
                encoding.0.put(hash, asked, rules, coding, Answered { body, ..answered });
            }
        });
    }

    /// What was asked for and in which codings, first what was asked for again; so many requests at the most.
    pub fn asked(&self, most: usize) -> Vec<(Asked, Coding)> {
        let mut asked: Vec<(bool, (Asked, Coding))> = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let (used, unused): (Vec<_>, Vec<_>) = part.entries.iter().partition(|entry| entry.is_used);
            let all = [used, unused].concat();
            let first = &all[..count_of_first(most, all.iter().map(|entry| &entry.asked))];
            asked.extend(first.iter().map(|entry| (!entry.is_used, (entry.asked.clone(), entry.coding))));
        }
        asked.sort_by_key(|(is_unused, _)| *is_unused);
        asked.truncate(count_of_first(most, asked.iter().map(|(_, (asked, _))| asked)));
        asked.into_iter().map(|(_, asked)| asked).collect()
    }

    /// What was asked for again, so many requests at the most, of all parts alike.
    pub fn asked_again(&self, most: usize) -> Vec<Asked> {
        let mut asked = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let used = part.entries.iter().filter(|entry| entry.is_used);
            asked.extend(used.take(most / PARTS).map(|entry| entry.asked.clone()));
        }
        asked
    }

    fn part(&self, hash: u64) -> Option<&Mutex<Part>> {
        (self.part_bytes > 0).then(|| &self.parts[(hash >> 32) as usize % PARTS])
    }
}

/// How many come before one more request than these begins, each in whatever codings.
fn count_of_first<'a>(requests: usize, asked: impl Iterator<Item = &'a Asked>) -> usize {
    let mut seen = HashSet::new();
    let is_one = |asked: &&'a Asked| {
        seen.insert(*asked);
        seen.len() <= requests
    };
    asked.take_while(is_one).count()
}

/// Each coding of an answer is an entry of its own.
fn in_coding(hash: u64, coding: Coding) -> u64 {
    hash ^ coding as u64
}

impl Part {
    /// Drops entries until no more than so many bytes are left.
    fn make_room(&mut self, left_bytes: usize) {
        while self.bytes > left_bytes && !self.entries.is_empty() {
            self.hand %= self.entries.len();
            let entry = &mut self.entries[self.hand];
            if std::mem::take(&mut entry.is_used) {
                self.hand += 1;
                continue;
            }
            let gone = self.entries.swap_remove(self.hand);
            self.bytes -= gone.size_bytes;
            self.places.remove(&gone.hash);
            // The last one has taken its place.
            if let Some(moved) = self.entries.get(self.hand) {
                self.places.insert(moved.hash, self.hand);
            }
            self.hand += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Coding = Coding::Identity;

    fn asked(number: usize) -> Asked {
        Asked::Similar(format!("p{number}"), 8, FieldSet::ALL)
    }

    fn answer(number: usize) -> Answered {
        Answered { body: Bytes::from(format!("{number:0>500}")), found: Some(number as u64) }
    }

    fn short(text: &'static str) -> Answered {
        Answered { body: Bytes::from_static(text.as_bytes()), found: None }
    }

    /// All in one part.
    fn hash(number: usize) -> u64 {
        8 * number as u64
    }

    #[test]
    fn what_was_put_in_is_found_under_the_same_rules_alone() {
        let cache = ResultCache::new(1 << 20);
        cache.put(hash(1), asked(1), 0, PLAIN, answer(1));
        assert_eq!(cache.get(hash(1), &asked(1), 0, PLAIN), Some(answer(1)));
        assert_eq!(cache.get(hash(1), &asked(1), 1, PLAIN), None);
        assert_eq!(cache.get(hash(1), &asked(2), 0, PLAIN), None, "another request with the same hash");
        cache.put(hash(1), asked(2), 1, PLAIN, answer(2));
        assert_eq!(cache.get(hash(1), &asked(2), 1, PLAIN), Some(answer(2)), "the newer one has the place");
        assert_eq!(cache.get(hash(1), &asked(2), 1, Coding::Zstd), None);
        cache.put(hash(1), asked(2), 1, Coding::Zstd, short("smaller"));
        assert_eq!(cache.get(hash(1), &asked(2), 1, Coding::Zstd), Some(short("smaller")));
        assert_eq!(cache.get(hash(1), &asked(2), 1, PLAIN), Some(answer(2)));
        cache.put(hash(3), asked(3), 1, PLAIN, answer(3));
        let all = [(asked(2), PLAIN), (asked(2), Coding::Zstd), (asked(3), PLAIN)];
        assert_eq!((cache.asked(9), cache.asked(2)), (all.to_vec(), all.to_vec()));
        assert_eq!(cache.asked(1), all[..2], "its codings count as one request");
        let again = [asked(2), asked(2)];
        assert_eq!(cache.asked_again(PARTS * 9), again, "in two codings");
        assert_eq!(cache.asked_again(PARTS), again[..1]);
        cache.put(hash(4), asked(4), 1, PLAIN, answer(4));
        assert_eq!(cache.get(hash(4), &asked(4), 1, PLAIN), Some(answer(4)));
        assert_eq!(
            cache.asked(2).pop(),
            Some((asked(4), PLAIN)),
            "what was asked for again goes first, wherever it lies"
        );
    }

    #[test]
    fn it_never_grows_beyond_its_size_and_spares_what_is_used() {
        let size_bytes = PARTS * 20 * 1_200;
        let cache = ResultCache::new(size_bytes);
        for number in 0..1_000 {
            cache.put(hash(number), asked(number), 0, PLAIN, answer(number));
            assert_eq!(
                cache.get(hash(0), &asked(0), 0, PLAIN),
                Some(answer(0)),
                "it was asked for all the time, at {number}"
            );
            let part = cache.parts[0].lock().expect("no panic");
            assert!(part.bytes <= size_bytes / PARTS);
            assert_eq!(part.bytes, part.entries.iter().map(|entry| entry.size_bytes).sum::<usize>());
            assert!(part.places.iter().all(|(hash, place)| part.entries[*place].hash == *hash));
            assert_eq!(part.places.len(), part.entries.len());
        }
        assert_eq!(cache.get(hash(1), &asked(1), 0, PLAIN), None);
    }

    #[test]
    fn a_long_request_takes_room_too() {
        let cache = ResultCache::new(PARTS * 10_000);
        let long = Asked::Similar("x".repeat(5_000), 8, FieldSet::ALL);
        cache.put(hash(1), long.clone(), 0, PLAIN, short("{}"));
        assert_eq!(cache.get(hash(1), &long, 0, PLAIN), None);
        let facets = vec![String::new(); 100];
        let many = Asked::Search(RawRequest { facets, ..RawRequest::default() });
        cache.put(hash(2), many.clone(), 0, PLAIN, short("{}"));
        assert_eq!(cache.get(hash(2), &many, 0, PLAIN), None, "short texts take room as well");
    }

    /// All answers went out as they were from then on.
    #[test]
    fn a_panic_while_an_answer_is_made_smaller_holds_up_no_other() {
        let cache = Arc::new(ResultCache::new(1 << 20));
        let encoding = Encoding::begin(&cache).expect("nothing else is made smaller");
        assert!(Encoding::begin(&cache).is_none(), "one at a time");
        let broken = move || {
            let _held = encoding;
            panic!("broken");
        };
        let done: std::thread::Result<()> = std::panic::catch_unwind(std::panic::AssertUnwindSafe(broken));
        assert!(done.is_err() && Encoding::begin(&cache).is_some());
    }

    #[test]
    fn what_is_too_large_and_what_has_no_room_is_left_out() {
        let cache = ResultCache::new(PARTS * 10_000);
        cache.put(hash(1), asked(1), 0, PLAIN, Answered { body: Bytes::from(vec![b'x'; 5_000]), found: None });
        assert_eq!(cache.get(hash(1), &asked(1), 0, PLAIN), None);
        let none = ResultCache::new(0);
        none.put(hash(1), asked(1), 0, PLAIN, answer(1));
        assert_eq!(none.get(hash(1), &asked(1), 0, PLAIN), None);
    }
}
