//! Moments at which tests kill the process, as hard as `kill -9`: between two steps of which the first is done for good.
//!
//! Armed once at the start by a hidden setting, `name` or `name:nth`; never armed otherwise, and then a point costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;

/// All points.
pub const NAMES: &[&str] = &[
    ORDER_COMMITTED,
    STRIPE_ANSWERED,
    PAYMENT_COMMITTED,
    REFUND_COMMITTED,
    REFUND_ANSWERED,
    CANCEL_ANSWERED,
    WEBHOOK_STORED,
    WEBHOOK_ACKNOWLEDGED,
    WEBHOOK_APPLIED,
    OUTBOX_DELIVERED,
    RECOVERY_CLAIMED,
];
/// The order, its hold and its key are committed, and Stripe was not asked.
pub const ORDER_COMMITTED: &str = "order.committed";
/// Stripe answered about a payment, and the news is not committed.
pub const STRIPE_ANSWERED: &str = "stripe.answered";
/// The news of a payment is committed, and the client is not answered.
pub const PAYMENT_COMMITTED: &str = "payment.committed";
/// A refund is committed, and Stripe was not asked.
pub const REFUND_COMMITTED: &str = "refund.committed";
/// Stripe answered about a refund, and the news is not committed.
pub const REFUND_ANSWERED: &str = "refund.answered";
/// Stripe answered about a cancellation, and the news is not committed.
pub const CANCEL_ANSWERED: &str = "cancel.answered";
/// A webhook is in the inbox, and not acknowledged.
pub const WEBHOOK_STORED: &str = "webhook.stored";
/// A webhook is acknowledged, and not applied.
pub const WEBHOOK_ACKNOWLEDGED: &str = "webhook.acknowledged";
/// A webhook is applied.
pub const WEBHOOK_APPLIED: &str = "webhook.applied";
/// An event was delivered, and is not marked as delivered.
pub const OUTBOX_DELIVERED: &str = "outbox.delivered";
/// Recovery took an order that is due, and did nothing with it.
pub const RECOVERY_CLAIMED: &str = "recovery.claimed";

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

#[derive(Debug, PartialEq, Eq, Error)]
pub enum FailPointError {
    #[error("there is no fail point '{name}'; there are {}", NAMES.join(", "))]
    Unknown { name: String },
    #[error("'{0}' is no number from 1 of the time at which to fail")]
    BadCount(String),
    #[error("fail points were armed before")]
    ArmedBefore,
}

#[derive(Debug)]
struct Armed {
    name: &'static str,
    /// How often the point is passed before it kills, and once more.
    left: AtomicU32,
}

/// Says at which point, and at which time that it is reached, the process dies; None for never. Once a process.
///
/// # Errors
/// When there is no such point, or its number is none, or it was called before.
pub fn arm(spec: Option<&str>) -> Result<(), FailPointError> {
    // So templates leave out what is not set.
    let armed = spec.filter(|spec| !spec.is_empty()).map(parse).transpose()?;
    ARMED.set(armed).map_err(|_| FailPointError::ArmedBefore)
}

/// Dies here where it was told to.
pub fn reach(name: &'static str) {
    if let Some(Some(armed)) = ARMED.get()
        && armed.strikes(name)
    {
        std::process::abort();
    }
}

impl Armed {
    fn strikes(&self, name: &str) -> bool {
        // Past its time it wraps, and does not come to one again while anybody lives.
        self.name == name && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

fn parse(spec: &str) -> Result<Armed, FailPointError> {
    let (name, nth) = spec.split_once(':').unwrap_or((spec, "1"));
    let known = NAMES.iter().copied().find(|known| *known == name);
    let name = known.ok_or_else(|| FailPointError::Unknown { name: name.to_owned() })?;
    match nth.parse() {
        Ok(nth) if nth > 0 => Ok(Armed { name, left: AtomicU32::new(nth) }),
        _ => Err(FailPointError::BadCount(nth.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_strikes_at_its_time_and_once() {
        let armed = parse("webhook.stored:3").expect("a point");
        let struck: Vec<bool> = (0..5).map(|_| armed.strikes(WEBHOOK_STORED)).collect();
        assert_eq!(struck, [false, false, true, false, false]);
        assert!(!parse(STRIPE_ANSWERED).expect("a point").strikes(WEBHOOK_STORED));
        assert!(parse(STRIPE_ANSWERED).expect("a point").strikes(STRIPE_ANSWERED));
    }

    #[test]
    fn unknown_points_and_bad_numbers_are_told() {
        let told = parse("webhook.stolen").expect_err("no point").to_string();
        assert!(NAMES.iter().all(|name| told.contains(name)), "{told}");
        for spec in ["webhook.stored:", "webhook.stored:0", "webhook.stored:-1", "webhook.stored:x"] {
            assert!(matches!(parse(spec), Err(FailPointError::BadCount(_))), "{spec}");
        }
    }
}
