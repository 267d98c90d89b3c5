//! Delivering events: signed as Stripe signs them, again and again until they are acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use sha2::Sha256;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::form::hex;
use crate::shared::Shared;
use crate::webhook_queue::{Delivery, Next};

/// How long an endpoint may take to acknowledge.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many deliveries run at once.
const MAX_AT_ONCE: usize = 16;
/// How long a call waits for its events to be acknowledged before it is answered all the same.
const BEFORE_RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A delivery as it is sent.
struct Letter {
    url: String,
    body: String,
    signature: String,
}

/// The client that delivers.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().timeout(ACKNOWLEDGE_TIMEOUT).http1_only().no_proxy();
    builder.redirect(reqwest::redirect::Policy::none()).build()
}

/// Delivers what is due, until the task is ended.
pub(crate) async fn deliver_all(shared: Arc<Shared>) {
    let free = Arc::new(Semaphore::new(MAX_AT_ONCE));
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        let next = shared.lock().webhooks.next(Instant::now());
        match next {
            Next::Send(delivery) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    deliver(&shared, delivery).await;
                    drop(permit);
                });
            }
            Next::WaitUntil(due) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = shared.deliver.notified() => {}
                }
            }
            Next::Idle => shared.deliver.notified().await,
        }
    }
}

/// Delivers one after the other, once.
pub(crate) async fn deliver_in_order(shared: &Shared, deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        deliver(shared, delivery).await;
    }
}

/// The same, for as long as an API call waits for it. What takes longer goes on.
pub(crate) async fn deliver_before_response(shared: &Arc<Shared>, deliveries: Vec<Delivery>) {
    if deliveries.is_empty() {
        return;
    }
    let shared = shared.clone();
    let delivering = tokio::spawn(async move { deliver_in_order(&shared, deliveries).await });
    let _ = tokio::time::timeout(BEFORE_RESPONSE_TIMEOUT, delivering).await;
}

/// The value of the header `Stripe-Signature`.
pub(crate) fn signature(secret: &str, time_s: u64, body: &str) -> String {
    let mut signed = time_s.to_string().into_bytes();
    signed.push(b'.');
    signed.extend_from_slice(body.as_bytes());
    format!("t={time_s},v1={}", hex(&hmac_sha256(secret.as_bytes(), &signed)))
}

/// One attempt.
async fn deliver(shared: &Shared, delivery: Delivery) {
    let Some(letter) = write_letter(shared, &delivery) else {
        shared.lock().webhooks.give_up();
        return;
    };
    let Letter { url, body, signature } = letter;
    let request = shared.http.post(&url).header(CONTENT_TYPE, "application/json; charset=utf-8");
    let sent = request.header("stripe-signature", signature).body(body).send().await;
    let is_acknowledged = match &sent {
        Ok(response) => response.status().is_success(),
        Err(_) => false,
    };
    debug!(event.id = %delivery.event, attempt = delivery.attempts, is_acknowledged, "webhook");
    let mut state = shared.lock();
    if is_acknowledged && let Some(event) = state.data.events.get_mut(&delivery.event) {
        event.pending_webhooks = event.pending_webhooks.saturating_sub(1);
    }
    state.webhooks.report(delivery, is_acknowledged, Instant::now());
    drop(state);
    shared.deliver.notify_one();
}

/// None where the event or the endpoint is not there any more.
fn write_letter(shared: &Shared, delivery: &Delivery) -> Option<Letter> {
    let state = shared.lock();
    let target = state.targets.get(delivery.endpoint)?.clone();
    let body = state.data.events.get(&delivery.event)?.to_text();
    let secret = match state.webhooks.plan.bad_signature {
        true => "whsec_of_nobody",
        false => target.secret.as_str(),
    };
    // Receivers compare with their own clock, which is the real one.
    let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let signature = signature(secret, time_s, &body);
    Some(Letter { url: target.url, body, signature })
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length, so that there is no error to tell.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_hmacs() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")), expected);
        let signed = signature("whsec_a", 5, "{}");
        assert_eq!(signed, format!("t=5,v1={}", hex(&hmac_sha256(b"whsec_a", b"5.{}"))));
    }
}
