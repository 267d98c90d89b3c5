//! What clients were told. Whatever was acknowledged must be in the books at the end, and be told again in the same words.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;
use serde_json::Value;

use crate::harness::World;
use crate::harness::client::{Reply, Request};

/// Questions at a time.
const AT_ONCE: usize = 8;
/// How often an answer is asked for again that must be there.
const TRIES: u32 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Place,
    Complete,
    Cancel,
    Refund,
}

/// An answer of status 2xx, and what it answers.
#[derive(Clone, Debug)]
pub struct Promise {
    kind: Kind,
    request: Request,
    status: u16,
    text: String,
    body: Value,
}

#[derive(Default)]
pub struct Promises(Mutex<Vec<Promise>>);

impl Promises {
    /// Takes note of an answer, where it promises something.
    pub fn note(&self, kind: Kind, request: &Request, reply: &Reply) {
        if !reply.is_success() {
            return;
        }
        let promise = Promise {
            kind,
            request: request.clone(),
            status: reply.status,
            text: reply.text.clone(),
            body: reply.body.clone(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(promise);
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The promises that were broken.
    pub async fn broken(&self, world: &World) -> Vec<String> {
        let promises = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let books = Books::read(world);
        let mut broken: Vec<String> = promises.iter().filter_map(|promise| books.contradict(promise)).collect();
        for some in promises.chunks(AT_ONCE) {
            let asked = join_all(some.iter().map(|promise| ask_again(world, promise))).await;
            broken.extend(asked.into_iter().flatten());
        }
        broken
    }
}

/// What the database has at the end.
struct Books {
    payments: BTreeSet<String>,
    refunds: BTreeSet<String>,
    undecided: BTreeSet<String>,
    placed: BTreeSet<String>,
    open: BTreeSet<String>,
}

impl Books {
    fn read(world: &World) -> Self {
        let ids = |sql: &str| world.sql(sql).lines().map(str::to_owned).collect();
        Self {
            payments: ids("SELECT id FROM payments"),
            refunds: ids("SELECT id FROM refunds"),
            undecided: ids("SELECT id FROM orders WHERE state = 'pending_payment'"),
            placed: ids("SELECT id FROM checkouts"),
            open: ids("SELECT id FROM checkouts WHERE state IN ('open', 'completing')"),
        }
    }

    /// How the books speak against a promise.
    fn contradict(&self, promise: &Promise) -> Option<String> {
        let id = |value: &Value| value["id"].as_str().unwrap_or_default().to_owned();
        let (payment, refund) = (id(&promise.body["payment"]), id(&promise.body["refund"]));
        let (order, checkout) = (id(&promise.body["order"]), id(&promise.body["checkout"]));
        let is_kept = match promise.kind {
            Kind::Place => self.placed.contains(&checkout),
            Kind::Complete => self.payments.contains(&payment),
            Kind::Refund => self.refunds.contains(&refund),
            // It ended, be it as paid: whoever paid before it was cancelled has paid.
            Kind::Cancel => !self.undecided.contains(&order) && !self.open.contains(&checkout),
        };
        (!is_kept).then(|| format!("what was acknowledged is in the books: {:?} {}", promise.kind, promise.text))
    }
}

/// Asks with the same key; says what is wrong with the answer.
async fn ask_again(world: &World, promise: &Promise) -> Option<String> {
    let key = promise.request.headers.iter().find(|(name, _)| *name == "idempotency-key");
    let (_, key) = key.expect("a key");
    let client = world.client(0);
    for _ in 0..TRIES {
        match client.send(&promise.request).await {
            Ok(reply) if reply.is_to_be_asked_again() => {}
            Ok(reply) if !reply.is_replayed => {
                return Some(format!("an answer is kept under its key: {key} {}", promise.text));
            }
            Ok(reply) => {
                let is_same = (reply.status, &reply.text) == (promise.status, &promise.text);
                return (!is_same).then(|| {
                    let (first, second) = ((promise.status, &promise.text), (reply.status, &reply.text));
                    format!("a key has one answer: {key} {first:?}, and then {second:?}")
                });
            }
            Err(_) => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Some(format!("whoever asks again is answered: {key}"))
}
