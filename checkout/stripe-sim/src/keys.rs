//! Idempotency keys, as version 1 of Stripe's API has them: the first answer of work that had begun is kept for a day,
//! whether it succeeded or failed, and given again.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// The longest key.
pub(crate) const MAX_KEY_CHARS: usize = 255;
/// How long an answer is kept.
const KEPT_S: i64 = 24 * 60 * 60;
/// How many keys are kept; beyond, the oldest goes before its day is over.
const MAX_KEYS: usize = 100_000;

/// An answer that was given under a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The request that was answered first.
    pub(crate) request: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    /// What was asked: endpoint and parameters.
    fingerprint: String,
    begun_s: i64,
    place: u64,
    /// None while the first request is running.
    answer: Option<Kept>,
}

/// All keys of the account.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Keys {
    entries: HashMap<String, Entry>,
    /// The keys in the order they were begun, to find the oldest.
    order: BTreeMap<u64, String>,
    begun: u64,
}

/// What a key says about a request.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is the first: the work is to be done, and `finish` or `let_go` to be called.
    Fresh,
    Replay(Kept),
}

impl Keys {
    pub(crate) fn begin(&mut self, key: &str, fingerprint: &str, now_s: i64) -> Result<Begun, ApiError> {
        self.forget_old(now_s);
        match self.entries.get(key) {
            None => {}
            Some(entry) if entry.fingerprint != fingerprint => return Err(ApiError::idempotency_mismatch()),
            Some(Entry { answer: None, .. }) => return Err(ApiError::idempotency_key_in_use()),
            Some(Entry { answer: Some(kept), .. }) => return Ok(Begun::Replay(kept.clone())),
        }
        self.begun += 1;
        let entry = Entry { fingerprint: fingerprint.to_owned(), begun_s: now_s, place: self.begun, answer: None };
        self.entries.insert(key.to_owned(), entry);
        self.order.insert(self.begun, key.to_owned());
        Ok(Begun::Fresh)
    }

    /// Keeps the answer.
    pub(crate) fn finish(&mut self, key: &str, answer: Kept) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.answer = Some(answer);
        }
    }

    /// Lets go of a key whose work did not begin, or was broken off; one with an answer stays.
    pub(crate) fn let_go(&mut self, key: &str) {
        if self.entries.get(key).is_some_and(|entry| entry.answer.is_none()) {
            self.abandon(key);
        }
    }

    fn abandon(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.place);
        }
    }

    /// Lets go of what was running when the state was written.
    pub(crate) fn abandon_running(&mut self) {
        let keys: Vec<String> = self.entries.keys().cloned().collect();
        keys.iter().for_each(|key| self.let_go(key));
    }

    fn forget_old(&mut self, now_s: i64) {
        while let Some((_, key)) = self.order.first_key_value() {
            let is_old = self.entries.get(key).is_none_or(|entry| now_s - entry.begun_s >= KEPT_S);
            if !is_old && self.order.len() < MAX_KEYS {
                return;
            }
            if let Some((_, key)) = self.order.pop_first() {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        Kept { status: 200, body: "{}".to_owned(), request: "req_1".to_owned() }
    }

    #[test]
    fn the_first_answer_is_given_again_for_a_day() {
        let mut keys = Keys::default();
        assert!(matches!(keys.begin("k", "a", 0), Ok(Begun::Fresh)));
        assert_eq!(keys.begin("k", "a", 0).expect_err("it is running").status(), 409);
        assert_eq!(keys.begin("k", "b", 0).expect_err("other parameters").status(), 400);
        keys.finish("k", kept());
        assert!(matches!(keys.begin("k", "a", KEPT_S - 1), Ok(Begun::Replay(answer)) if answer == kept()));
        assert!(matches!(keys.begin("k", "b", KEPT_S), Ok(Begun::Fresh)));
        keys.let_go("k");
        assert!(matches!(keys.begin("k", "c", KEPT_S), Ok(Begun::Fresh)));
    }

    #[test]
    fn what_was_running_at_a_stop_can_be_begun_again() {
        let mut keys = Keys::default();
        keys.begin("done", "a", 0).expect("the first");
        keys.finish("done", kept());
        keys.begin("running", "a", 0).expect("the first");
        let mut keys: Keys = serde_json::from_str(&serde_json::to_string(&keys).expect("JSON")).expect("the keys");
        keys.abandon_running();
        assert!(matches!(keys.begin("done", "a", 0), Ok(Begun::Replay(_))));
        assert!(matches!(keys.begin("running", "a", 0), Ok(Begun::Fresh)));
    }
}
