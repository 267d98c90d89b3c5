//! Webhooks of any bytes: a signature that is none of ours opens nothing, and a body that was signed is refused, or is
//! stored and dealt with. The first byte picks what the rest is.

#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use checkout::store::{SqliteStore, StoreSettings};
use checkout::stripe::{self, KeySource, verify};
use checkout::work::{self, Work, now_ms};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

const SECRET: &str = "whsec_fuzz";
const TOLERANCE_S: i64 = 300;
const KINDS: &[&str] = &[
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.canceled",
    "checkout.session.completed",
    "checkout.session.expired",
    "charge.refunded",
    "refund.updated",
    "charge.dispute.created",
    "a.kind.that.nobody.knows",
];

struct Place {
    _folder: TempDir,
    runtime: Runtime,
    store: Arc<SqliteStore>,
    work: Arc<Work>,
    _running: watch::Sender<bool>,
    number: AtomicU64,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = Runtime::new().expect("a runtime");
    let (running, shutdown) = watch::channel(false);
    let (store, work) = runtime.block_on(async {
        let store = SqliteStore::open(&folder.path().join("checkout.db"), StoreSettings::default()).await;
        let store = Arc::new(store.expect("a store"));
        store.migrate(false).await.expect("its tables");
        // Nobody listens there: what has to be asked for is not answered.
        let settings = stripe::Settings {
            base_url: "http://127.0.0.1:9".to_owned(),
            secret_key: KeySource::Fixed(SecretString::from("sk_test_fuzz")),
            timeout_ms: 100,
            requests_per_s: 10_000,
        };
        let client = stripe::Client::new(settings).expect("a client");
        let settings = work::Settings {
            webhook_secrets: vec![SecretString::from(SECRET)],
            webhook_tolerance_s: TOLERANCE_S,
            events: None,
            outbox_max_tries: 1,
            reconcile_at: None,
            keep_abandoned_ms: i64::MAX,
            poll_ms: 500,
        };
        let work = Work::new(store.clone(), client, settings);
        // They run as long as the process does.
        let mut loops = work.run(shutdown);
        tokio::spawn(async move { while loops.join_next().await.is_some() {} });
        (store, work)
    });
    Place { _folder: folder, runtime, store, work, _running: running, number: AtomicU64::new(0) }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    match first % 4 {
        0 => forge(rest),
        1 => receive(rest),
        _ => {
            let kind = KINDS[usize::from(first / 4) % KINDS.len()];
            let number = PLACE.number.fetch_add(1, Ordering::Relaxed);
            let head = format!("{{\"id\":\"evt_{number}\",\"type\":\"{kind}\",\"data\":{{\"object\":");
            receive(&[head.as_bytes(), rest, b"}}"].concat());
        }
    }
});

/// A header and a body, neither of which is signed with the secret.
fn forge(bytes: &[u8]) {
    let (header, body) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let secrets = [SecretString::from(SECRET)];
    let now_s = now_ms() / 1_000;
    let header = String::from_utf8_lossy(header);
    assert!(verify(&header, body, &secrets, TOLERANCE_S, now_s).is_err(), "nobody can guess a signature");
    let signed = sign(now_s, body);
    assert!(verify(&signed, body, &secrets, TOLERANCE_S, now_s).is_ok(), "what is signed is taken");
    assert!(verify(&signed, &[body, b"x"].concat(), &secrets, TOLERANCE_S, now_s).is_err(), "and nothing else");
}

/// Waits until an event that was stored is dealt with, so that what breaks is this input's doing.
fn receive(body: &[u8]) {
    let (now, place) = (now_ms(), &*PLACE);
    let counters = place.work.metrics();
    let dealt = || counters.webhooks_applied.load(Ordering::Relaxed) + counters.webhooks_failed.load(Ordering::Relaxed);
    let before = dealt();
    let signature = sign(now / 1_000, body);
    let received = place.work.receive(&*place.store, Some(&signature), body, now);
    let received = place.runtime.block_on(received);
    if matches!(received, Ok(work::Receipt::New)) {
        while dealt() == before {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

fn sign(at_s: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    mac.update(format!("{at_s}.").as_bytes());
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at_s},v1={digits}")
}
