//! What is open for previews: a few snapshots, of so many bytes at the most. The least recently used makes room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snapshots::SnapshotId;

/// However small they are: each snapshot takes mappings of the system, which are counted.
const MAX_HELD: usize = 32;

/// A snapshot as it is previewed: the rules of its market are part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewName {
    pub market: String,
    pub id: SnapshotId,
}

/// Open snapshots by name.
pub struct Shelf<T> {
    max_bytes: u64,
    held: Vec<Held<T>>,
}

struct Held<T> {
    name: PreviewName,
    snapshot: Arc<T>,
    size_bytes: u64,
    used_at: Instant,
}

impl<T> Shelf<T> {
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes, held: Vec::new() }
    }

    /// The snapshot of this name, which is used now.
    pub fn get(&mut self, name: &PreviewName, now: Instant) -> Option<Arc<T>> {
        let held = self.held.iter_mut().find(|held| held.name == *name)?;
        held.used_at = now;
        Some(held.snapshot.clone())
    }

    /// Takes out what was not used for longest, until so many bytes fit in.
    pub fn make_room(&mut self, size_bytes: u64) -> Vec<Arc<T>> {
        let mut gone = Vec::new();
        while self.held.len() >= MAX_HELD || self.size_bytes().saturating_add(size_bytes) > self.max_bytes {
            let oldest = self.held.iter().enumerate().min_by_key(|(_, held)| held.used_at).map(|(place, _)| place);
            let Some(oldest) = oldest else { break };
            gone.push(self.held.swap_remove(oldest).snapshot);
        }
        gone
    }

    /// Takes in a snapshot that room was made for.
    pub fn put(&mut self, name: PreviewName, snapshot: Arc<T>, size_bytes: u64, now: Instant) {
        self.held.push(Held { name, snapshot, size_bytes, used_at: now });
    }

    /// Takes out what was not used for so long.
    pub fn take_idle(&mut self, now: Instant, idle: Duration) -> Vec<Arc<T>> {
        let is_idle = |held: &mut Held<T>| now.saturating_duration_since(held.used_at) >= idle;
        self.held.extract_if(.., is_idle).map(|held| held.snapshot).collect()
    }

    pub fn snapshots(&self) -> impl Iterator<Item = &Arc<T>> {
        self.held.iter().map(|held| &held.snapshot)
    }

    pub fn count(&self) -> usize {
        self.held.len()
    }

    pub fn size_bytes(&self) -> u64 {
        self.held.iter().fold(0, |sum, held| sum.saturating_add(held.size_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: &str) -> PreviewName {
        PreviewName { market: "us".into(), id: id.parse().expect("an id") }
    }

    /// Makes room and puts in; returns what had to go.
    fn add(shelf: &mut Shelf<String>, id: &str, size_bytes: u64, now: Instant) -> Vec<String> {
        let gone = shelf.make_room(size_bytes);
        shelf.put(name(id), Arc::new(id.to_owned()), size_bytes, now);
        gone.iter().map(|snapshot| snapshot.as_str().to_owned()).collect()
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut shelf = Shelf::new(100);
        assert!(add(&mut shelf, "a", 40, at(0)).is_empty());
        assert!(add(&mut shelf, "b", 40, at(1)).is_empty());
        assert!(add(&mut shelf, "c", 20, at(2)).is_empty(), "a full shelf");
        assert!(shelf.get(&name("a"), at(3)).is_some());
        assert_eq!(add(&mut shelf, "d", 10, at(4)), ["b"]);
        assert_eq!(add(&mut shelf, "e", 60, at(5)), ["c", "a"]);
        assert_eq!((shelf.size_bytes(), shelf.count()), (70, 2));
        assert!(shelf.get(&name("b"), at(6)).is_none());
        let other_market = PreviewName { market: "eu".into(), ..name("e") };
        assert!(shelf.get(&other_market, at(6)).is_none(), "other rules apply there");
        assert_eq!(add(&mut shelf, "f", 100, at(7)), ["d", "e"]);
    }

    #[test]
    fn small_ones_are_counted() {
        let now = Instant::now();
        let mut shelf = Shelf::new(u64::MAX);
        let gone: Vec<String> = (0..40).flat_map(|number| add(&mut shelf, &format!("s{number}"), 1, now)).collect();
        assert_eq!((shelf.count(), gone.len()), (MAX_HELD, 40 - MAX_HELD));
    }

    #[test]
    fn what_is_idle_goes_and_what_is_used_stays_alive() {
        let start = Instant::now();
        let mut shelf = Shelf::new(100);
        add(&mut shelf, "a", 10, start);
        let used = shelf.get(&name("a"), start).expect("it is there");
        add(&mut shelf, "b", 10, start + Duration::from_secs(5));
        let gone = shelf.take_idle(start + Duration::from_secs(10), Duration::from_secs(10));
        assert_eq!(gone.len(), 1);
        drop(gone);
        assert_eq!((used.as_str(), shelf.count(), shelf.size_bytes()), ("a", 1, 10));
    }
}
