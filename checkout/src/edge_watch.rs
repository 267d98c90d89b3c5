//! Whether the edge beside us answers, looked at again and again. Without its prices nobody can begin a checkout here, while
//! in another region somebody could: that is for the balancer to know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::pricing::EdgeClient;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many looks in a row have to say otherwise before it is believed: an edge that starts anew, or is busy for a moment,
/// takes no region out of the balancer, and one that answers now and then brings none back.
const LOOKS_TO_TURN: u32 = 5;

#[derive(Debug)]
pub(crate) struct EdgeWatch {
    is_up: AtomicBool,
}

/// What is believed, until enough looks say otherwise.
struct Belief {
    is_up: bool,
    /// Looks in a row that said otherwise.
    contrary: u32,
}

impl EdgeWatch {
    /// An edge is taken to be there until it is missed.
    pub fn new() -> Self {
        Self { is_up: AtomicBool::new(true) }
    }

    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Looks until it is told to stop.
    pub async fn run(&self, edge: &EdgeClient, mut stops: watch::Receiver<bool>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut belief = Belief { is_up: self.is_up(), contrary: 0 };
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stops.wait_for(|stops| *stops) => return,
            }
            if belief.is_turned_by(edge.is_well().await) {
                self.is_up.store(belief.is_up, Ordering::Relaxed);
                match belief.is_up {
                    true => info!("the edge answers again: health is 200"),
                    false => warn!("the edge does not answer, and nothing has a price: health is 503"),
                }
            }
        }
    }
}

impl Belief {
    fn is_turned_by(&mut self, is_well: bool) -> bool {
        if is_well == self.is_up {
            self.contrary = 0;
            return false;
        }
        self.contrary += 1;
        if self.contrary < LOOKS_TO_TURN {
            return false;
        }
        *self = Self { is_up: is_well, contrary: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is believed after each look; `+` is one that says that it is well.
    fn check(looks: &str, expected: &str) {
        let mut belief = Belief { is_up: true, contrary: 0 };
        let believed = looks.chars().map(|look| {
            belief.is_turned_by(look == '+');
            if belief.is_up { '+' } else { '-' }
        });
        assert_eq!(believed.collect::<String>(), expected, "{looks}");
    }

    #[test]
    fn only_several_looks_in_a_row_turn_it() {
        check("+----+", "++++++");
        check("------", "++++--");
        check("-----++++-+++++", "++++----------+");
        check("-+-+-+-+-+-+-+", "++++++++++++++");
    }
}
