//! Events that are signed as Stripe signs them (<https://docs.stripe.com/webhooks#verify-manually>).

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::servers::WEBHOOK_SECRET;

/// The value of the header `Stripe-Signature`.
pub fn signature(body: &str) -> String {
    let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("a key of any length");
    mac.update(format!("{time_s}.{body}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time_s},v1={digits}")
}
