//! Tells others what happened: CloudEvents 1.0 in batches over HTTP
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>), at least once, and those of
//! one subject in their order.
//!
//! Where no topic is set, events are logged at debug level and count as delivered: the outbox would grow without bound
//! otherwise.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{debug, error, warn};

use super::counters::count;
use super::crew::{is_stopped, stopped};
use super::{EventGrid, Work, now_ms};
use crate::fail_points;
use crate::ids::OutboxId;
use crate::store::{OutboxEvent, StoreError};

/// Events of one request, each of another subject; and requests at once for events that failed before. All that are taken
/// are tried: taking one counts as a try.
const MAX_BATCH: u32 = 32;
/// Longer than a delivery takes, and short, so that the events of a process that was killed go on soon.
const LEASE_MS: i64 = 5_000;
const TIMEOUT_MS: u64 = 4_000;
const FIRST_BACKOFF_MS: i64 = 1_000;
const LAST_BACKOFF_MS: i64 = 300_000;
/// What a subscriber answers is not read further; reading some of it keeps the connection.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What a subscriber made of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Delivery {
    Done,
    /// It may be taken later.
    Later(String),
    /// It will never be taken as it is.
    Refused(String),
}

impl Work {
    pub(super) async fn run_outbox(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let poll = Duration::from_millis(self.settings.poll_ms);
        while !is_stopped(&shutdown) {
            match self.deliver_due().await {
                // The next events of the same subjects are due at once.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => warn!(error = %error, "the outbox cannot be read or written"),
            }
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                () = self.outbox_filled.notified() => {}
                () = stopped(&mut shutdown) => {}
            }
        }
    }

    /// Delivers what is due, and says whether anything was delivered.
    pub(super) async fn deliver_due(&self) -> Result<bool, StoreError> {
        let events = self.store.due_outbox(MAX_BATCH, LEASE_MS, now_ms()).await?;
        if events.is_empty() {
            return Ok(false);
        }
        let Some(grid) = &self.settings.events else {
            for event in &events {
                debug!(event.id = %event.id, event.kind = event.kind, event.subject = event.subject,
                    event.version = event.version, "an event that nobody is told of");
            }
            self.mark_delivered(&events).await?;
            return Ok(true);
        };
        let (fresh, failed): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.tries <= 1);
        // One that failed before may be what spoils a batch, so that it goes alone.
        let alone = failed.iter().map(|event| post(self.stripe.http(), grid, std::slice::from_ref(event)));
        let (fresh, answers) = futures::join!(self.deliver_batch(grid, &fresh), futures::future::join_all(alone));
        // One after the other, so that many failures do not use all connections to the database.
        let mut delivered = false;
        for (event, answer) in failed.iter().zip(answers) {
            delivered |= self.note(std::slice::from_ref(event), answer).await?;
        }
        Ok(fresh? || delivered)
    }

    async fn deliver_batch(&self, grid: &EventGrid, events: &[OutboxEvent]) -> Result<bool, StoreError> {
        if events.is_empty() {
            return Ok(false);
        }
        let answer = post(self.stripe.http(), grid, events).await;
        self.note(events, answer).await
    }

    /// Notes what became of events that went together, and says whether they were delivered.
    async fn note(&self, events: &[OutboxEvent], answer: Delivery) -> Result<bool, StoreError> {
        match answer {
            Delivery::Done => {
                self.mark_delivered(events).await?;
                Ok(true)
            }
            Delivery::Refused(why) if events.len() == 1 => self.give_up(&events[0], &why).await.map(|()| false),
            // Of a batch that is refused one event may be at fault: from now on each goes alone.
            Delivery::Later(why) | Delivery::Refused(why) => {
                for event in events {
                    self.put_off(event, &why).await?;
                }
                Ok(false)
            }
        }
    }

    async fn mark_delivered(&self, events: &[OutboxEvent]) -> Result<(), StoreError> {
        fail_points::reach(fail_points::OUTBOX_DELIVERED);
        let ids: Vec<OutboxId> = events.iter().map(|event| event.id).collect();
        self.store.delivered(&ids, now_ms()).await?;
        ids.iter().for_each(|_| count(&self.counters.outbox_delivered));
        Ok(())
    }

    async fn put_off(&self, event: &OutboxEvent, why: &str) -> Result<(), StoreError> {
        // This one is counted.
        if event.tries >= self.settings.outbox_max_tries {
            return self.give_up(event, why).await;
        }
        count(&self.counters.outbox_failed);
        warn!(event.id = %event.id, event.kind = event.kind, event.tries = event.tries, why, "an event was not taken");
        let random = RandomState::new().hash_one(event.tries);
        self.store.undelivered(event.id, why, Some(now_ms() + backoff_ms(event.tries, random))).await
    }

    async fn give_up(&self, event: &OutboxEvent, why: &str) -> Result<(), StoreError> {
        count(&self.counters.outbox_failed);
        count(&self.counters.outbox_dead);
        error!(event.id = %event.id, event.kind = event.kind, event.subject = event.subject, why, "an event is dead");
        self.store.undelivered(event.id, why, None).await
    }
}

async fn post(http: &reqwest::Client, grid: &EventGrid, events: &[OutboxEvent]) -> Delivery {
    let batch: Vec<Value> = events.iter().map(|event| to_cloud_event(event, &grid.source)).collect();
    let Ok(mut key) = HeaderValue::from_str(grid.key.expose_secret()) else {
        return Delivery::Later("the topic's key is no header".to_owned());
    };
    key.set_sensitive(true);
    let request = http
        .post(&grid.url)
        .timeout(Duration::from_millis(TIMEOUT_MS))
        .header(CONTENT_TYPE, "application/cloudevents-batch+json; charset=utf-8")
        .header("aeg-sas-key", key)
        .body(Value::Array(batch).to_string());
    match request.send().await {
        Ok(response) => {
            let delivery = judge(response.status().as_u16());
            drain(response).await;
            delivery
        }
        Err(error) => Delivery::Later(error.without_url().to_string()),
    }
}

/// What a status says about later tries. 401, 403 and 404 are about our settings, which are mended without losing events.
fn judge(status: u16) -> Delivery {
    let why = format!("status {status}");
    match status {
        200..=299 => Delivery::Done,
        400 | 413 | 415 | 422 => Delivery::Refused(why),
        _ => Delivery::Later(why),
    }
}

async fn drain(mut response: Response) {
    let mut left_bytes = MAX_ANSWER_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        left_bytes = left_bytes.saturating_sub(chunk.len());
        if left_bytes == 0 {
            return;
        }
    }
}

fn to_cloud_event(event: &OutboxEvent, source: &str) -> Value {
    // A time that no calendar has is none of ours; such an event is still told.
    let time = Timestamp::from_millisecond(event.created_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": format!("vitrine.{}", event.kind),
        "subject": event.subject,
        "time": time.to_string(),
        "datacontenttype": "application/json",
        "data": event.data,
    })
}

/// Doubles with each try, and spreads over the upper half, so that events which failed together do not come back together.
fn backoff_ms(tries: u32, random: u64) -> i64 {
    let whole_ms = FIRST_BACKOFF_MS.saturating_mul(1 << tries.min(20)).min(LAST_BACKOFF_MS);
    let half_ms = whole_ms / 2;
    half_ms + (random % (half_ms.unsigned_abs() + 1)) as i64
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::stripe::tests::fake::{Act, Fake};

    fn event() -> OutboxEvent {
        OutboxEvent {
            id: OutboxId::new(),
            kind: "order.paid".to_owned(),
            subject: "orders/ord_1".to_owned(),
            version: 2,
            data: json!({"version": 2}),
            created_ms: 1_700_000_000_123,
            tries: 0,
        }
    }

    async fn deliver(act: Act) -> (Delivery, String, String) {
        let fake = Fake::start(move |_| act.clone()).await;
        let (url, key) = (format!("{}/api/events", fake.url()), SecretString::from("topic-key"));
        let grid = EventGrid { url, key, source: "/vitrine/checkout".to_owned() };
        let delivery = post(&reqwest::Client::new(), &grid, &[event(), event()]).await;
        let seen = fake.seen().pop().expect("a request");
        (delivery, seen.head, seen.body)
    }

    #[tokio::test]
    async fn a_batch_goes_out_with_the_topic_s_key() {
        let (delivery, head, body) = deliver(Act::answer(200, "")).await;
        assert_eq!(delivery, Delivery::Done);
        assert!(head.starts_with("POST /api/events HTTP/1.1"), "{head}");
        assert!(head.contains("\r\naeg-sas-key: topic-key\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/cloudevents-batch+json; charset=utf-8\r\n"), "{head}");
        let batch: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(batch.as_array().map(Vec::len), Some(2));
    }

    #[tokio::test]
    async fn a_subscriber_that_fails_is_asked_again() {
        for act in [Act::answer(503, "busy"), Act::HangUp] {
            let (delivery, ..) = deliver(act).await;
            assert!(matches!(&delivery, Delivery::Later(_)), "{delivery:?}");
        }
        let (delivery, ..) = deliver(Act::answer(413, "")).await;
        assert!(matches!(&delivery, Delivery::Refused(_)), "{delivery:?}");
    }

    #[test]
    fn an_event_is_a_cloud_event() {
        let event = event();
        let expected = json!({
            "specversion": "1.0",
            "id": event.id.to_string(),
            "source": "/vitrine/checkout",
            "type": "vitrine.order.paid",
            "subject": "orders/ord_1",
            "time": "2023-11-14T22:13:20.123Z",
            "datacontenttype": "application/json",
            "data": {"version": 2},
        });
        assert_eq!(to_cloud_event(&event, "/vitrine/checkout"), expected);
    }

    #[test]
    fn back_off_doubles_up_to_a_bound_and_spreads() {
        for (tries, least, most) in [
            (0, 500_i64, 1_000_i64),
            (1, 1_000, 2_000),
            (4, 8_000, 16_000),
            (9, 150_000, 300_000),
            (u32::MAX, 150_000, 300_000),
        ] {
            assert_eq!((backoff_ms(tries, 0), backoff_ms(tries, least.unsigned_abs())), (least, most), "{tries}");
            assert!((least..=most).contains(&backoff_ms(tries, u64::MAX)), "{tries}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_event_itself_kills_it() {
        assert_eq!(judge(202), Delivery::Done);
        for status in [401, 403, 404, 408, 429, 500, 503, 302] {
            assert!(matches!(judge(status), Delivery::Later(_)), "{status}");
        }
        for status in [400, 413] {
            assert!(matches!(judge(status), Delivery::Refused(_)), "{status}");
        }
    }
}
