//! What keeps a source from being followed, told as long as it does.

use std::time::Duration;

use tokio::time::Instant;

use crate::progress::Progress;

/// It is told so often, as long as it lasts.
const TELL_EVERY: Duration = Duration::from_secs(180);

pub(crate) const HELD: &str = "the channel is held: nothing is read until it is resumed";

/// What keeps a source from being followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    Held,
    Fault(String),
}

/// What was told last, and when.
#[derive(Default)]
pub(crate) struct Told {
    hindrance: Option<Hindrance>,
    at: Option<Instant>,
}

impl Told {
    /// Whether it is to be told: the same state every few seconds is one event, and one again after a while, as nobody may
    /// have read the first.
    fn is_due(&mut self, hindrance: Option<&Hindrance>, now: Instant) -> bool {
        let is_new = self.hindrance.as_ref() != hindrance;
        let is_old = self.at.is_none_or(|at| now.duration_since(at) >= TELL_EVERY);
        if !is_new && (hindrance.is_none() || !is_old) {
            return false;
        }
        *self = Self { hindrance: hindrance.cloned(), at: Some(now) };
        true
    }
}

pub(crate) fn tell_hindrance(hindrance: Option<Hindrance>, told: &mut Told, progress: &Progress) {
    if !told.is_due(hindrance.as_ref(), Instant::now()) {
        return;
    }
    match hindrance {
        None => progress.note("following again"),
        Some(Hindrance::Held) => progress.note(HELD),
        Some(Hindrance::Fault(text)) => progress.fault(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch that stood still for a day had said so once.
    #[test]
    fn a_fault_is_told_again_as_long_as_it_lasts() {
        let (mut told, began) = (Told::default(), Instant::now());
        let fault = |text: &str| Some(Hindrance::Fault(text.to_owned()));
        let mut check = |hindrance: Option<Hindrance>, seconds: u64, expected: bool| {
            let is_due = told.is_due(hindrance.as_ref(), began + Duration::from_secs(seconds));
            assert_eq!(is_due, expected, "{hindrance:?} after {seconds} s");
        };
        check(None, 0, false);
        check(fault("down"), 10, true);
        check(fault("down"), 20, false);
        check(fault("still down"), 30, true);
        check(fault("still down"), 209, false);
        check(fault("still down"), 210, true);
        check(fault("still down"), 220, false);
        check(Some(Hindrance::Held), 230, true);
        check(None, 240, true);
        check(None, 1_000, false);
    }
}
