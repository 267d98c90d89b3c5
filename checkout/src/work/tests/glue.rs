//! What the working parts write into a store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::watch;

use super::memory::Memory;
use super::*;
use crate::domain::{BreakKind, DisputeState, News, OrderState, PaymentState, RefundState};
use crate::ids::OutboxId;
use crate::store::{ClaimUse, Claimed, InboxEvent, OutboxEvent};
use crate::work::{self, EventGrid, Receipt, WebhookError, Work};

const SECRET: &str = "whsec_test";

/// The working parts on a store with one order.
pub(super) fn work(order: &Order, stripe_url: String, events: Option<EventGrid>) -> (Arc<Work>, Arc<Memory>) {
    let store = Arc::new(Memory::with(order.clone()));
    let settings = work::Settings {
        webhook_secrets: vec![SecretString::from(SECRET)],
        webhook_tolerance_s: 300,
        events,
        outbox_max_tries: 3,
        reconcile_at: None,
        keep_abandoned_ms: KEEP_ABANDONED_MS,
        poll_ms: 10,
    };
    (Work::new(Arc::clone(&store) as Arc<dyn crate::store::Store>, client(stripe_url), settings), store)
}

fn event(kind: &str, object: &Value) -> InboxEvent {
    let body = json!({"id": "evt_1", "type": kind, "data": {"object": object}}).to_string();
    InboxEvent { id: "evt_1".into(), kind: kind.into(), body: body.into_bytes(), tries: 1 }
}

fn signature(body: &[u8], time_s: i64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{time_s}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time_s},v1={hex}")
}

#[tokio::test]
async fn a_webhook_is_stored_once_and_only_when_it_is_right() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let (work, store) = work(&order, Fake::url_of_nobody().await, None);
    let (body, now) = (br#"{"id":"evt_9","type":"payment_intent.succeeded"}"#.as_slice(), now_ms());
    let right = signature(body, now / 1_000);
    let received = work.receive(&*store, Some(&right), body, now).await;
    assert!(matches!(received, Ok(Receipt::New)), "{received:?}");
    let received = work.receive(&*store, Some(&right), body, now).await;
    assert!(matches!(received, Ok(Receipt::Known)), "{received:?}");
    let late = work.receive(&*store, Some(&right), body, now + 301_000).await;
    assert!(matches!(late, Err(WebhookError::Stale)), "{late:?}");
    let bare = work.receive(&*store, None, body, now).await;
    assert!(matches!(bare, Err(WebhookError::MissingSignature)), "{bare:?}");
    let other = work.receive(&*store, Some(&right), b"{}", now).await;
    assert!(matches!(other, Err(WebhookError::BadSignature)), "{other:?}");
    let empty = work.receive(&*store, Some(&signature(b"{}", now / 1_000)), b"{}", now).await;
    assert!(matches!(empty, Err(WebhookError::NotAnEvent)), "{empty:?}");
    assert_eq!(store.books().events.len(), 1);
}

/// A request whose time the database had spent asked Stripe, and threw away what it said.
#[tokio::test]
async fn what_stripe_said_is_written_where_a_request_has_no_time_left() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let payment = order.payments[0].id;
    let answer = intent(&order.payments[0], "requires_action");
    let fake = Fake::start(move |_| ok(&answer)).await;
    let (work, store) = work(&order, fake.url(), None);
    let request = store.with_left(Duration::ZERO);
    let paid = work.pay(&request, order.id, payment, &ClaimUse::None).await;
    assert!(matches!(paid, Ok(Claimed::Done(..))), "{paid:?}");
    assert_eq!(store.only().payments[0].state, PaymentState::RequiresAction);
    let cancelled = work.cancel(&request, order.id, &ClaimUse::None).await;
    assert!(matches!(cancelled, Ok(Claimed::Done(..))), "{cancelled:?}");
    assert_eq!(lines_of(&fake), ["POST /v1/payment_intents", "GET /v1/payment_intents/pi_1"]);
    assert_eq!(store.books().time_to_change, Duration::from_secs(2));
}

/// A request that had more time was given less of it.
#[tokio::test]
async fn what_stripe_said_is_written_in_all_the_time_that_a_request_has_left() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let payment = order.payments[0].id;
    let answer = intent(&order.payments[0], "requires_action");
    let fake = Fake::start(move |_| ok(&answer)).await;
    let (work, store) = work(&order, fake.url(), None);
    let left = Duration::from_secs(3);
    let paid = work.pay(&store.with_left(left), order.id, payment, &ClaimUse::None).await;
    assert!(matches!(paid, Ok(Claimed::Done(..))), "{paid:?}");
    assert_eq!(store.books().time_to_change, left);
}

#[tokio::test]
async fn a_final_event_is_applied_as_it_is_even_before_the_answer_came() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let (work, store) = work(&order, Fake::url_of_nobody().await, None);
    work.deal_with(&event("payment_intent.succeeded", &intent(&order.payments[0], "succeeded"))).await;
    assert_eq!(store.only().state, OrderState::Paid);
    assert_eq!(store.books().applied, ["evt_1"]);
}

#[tokio::test]
async fn an_event_that_is_not_final_is_asked_after() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let answer = intent(&order.payments[0], "succeeded");
    let fake = Fake::start(move |_| ok(&answer)).await;
    let (work, store) = work(&order, fake.url(), None);
    work.deal_with(&event("payment_intent.payment_failed", &intent(&order.payments[0], "requires_payment_method")))
        .await;
    assert_eq!(store.only().state, OrderState::Paid);
    assert_eq!(lines_of(&fake), ["GET /v1/payment_intents/pi_1"]);
}

#[tokio::test]
async fn a_dead_payment_that_can_still_be_paid_is_cancelled_at_stripe() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.payments[0].state = PaymentState::Failed;
    let [waiting, closed] = ["requires_action", "canceled"].map(|status| intent(&order.payments[0], status));
    let told = waiting.clone();
    let fake = Fake::start(move |seen| match line_of(seen).ends_with("/cancel") {
        true => ok(&closed),
        false => ok(&waiting),
    })
    .await;
    let (work, _store) = work(&order, fake.url(), None);
    work.deal_with(&event("payment_intent.requires_action", &told)).await;
    assert_eq!(lines_of(&fake), ["GET /v1/payment_intents/pi_1", "POST /v1/payment_intents/pi_1/cancel"]);
}

#[tokio::test]
async fn a_refund_that_comes_before_its_charge_brings_the_charge_along() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.payments[0].intent = Some("pi_1".into());
    let paid = intent(&order.payments[0], "succeeded");
    let refund =
        json!({"id": "re_1", "status": "succeeded", "amount": 250, "currency": "eur", "payment_intent": "pi_1"});
    let listed = list(vec![refund]);
    let fake = Fake::start(move |seen| match line_of(seen).as_str() {
        "GET /v1/refunds" => ok(&listed),
        _ => ok(&paid),
    })
    .await;
    let (work, store) = work(&order, fake.url(), None);
    work.deal_with(&event("charge.refunded", &json!({"id": "ch_1", "payment_intent": "pi_1"}))).await;
    let after = store.only();
    assert_eq!((after.state, after.refunds[0].state), (OrderState::PartiallyRefunded, RefundState::Succeeded));
    assert!(store.books().breaks.is_empty());
}

/// The event that tells the intent of a hosted page came later: the refund and the dispute were taken for somebody else's.
#[tokio::test]
async fn events_of_an_intent_that_is_not_known_yet_are_ours_by_its_name() {
    let refund =
        json!({"id": "re_1", "status": "succeeded", "amount": 250, "currency": "eur", "payment_intent": "pi_1"});
    let dispute = json!({"id": "du_1", "payment_intent": "pi_1", "status": "needs_response"});
    for (kind, object) in [
        ("charge.refunded", json!({"id": "ch_1", "payment_intent": "pi_1"})),
        ("refund.created", refund.clone()),
        ("charge.dispute.created", dispute),
    ] {
        let mut order = order(PaymentMethod::HostedPage, 0);
        order.payments[0].session = Some("cs_1".into());
        order.payments[0].state = PaymentState::RequiresAction;
        let (paid, listed) = (intent(&order.payments[0], "succeeded"), list(vec![refund.clone()]));
        let fake = Fake::start(move |seen| match line_of(seen).as_str() {
            "GET /v1/refunds" => ok(&listed),
            _ => ok(&paid),
        })
        .await;
        let (work, store) = work(&order, fake.url(), None);
        work.deal_with(&event(kind, &object)).await;
        let after = store.only();
        match kind {
            "charge.dispute.created" => assert_eq!(after.dispute, DisputeState::Open),
            _ => assert_eq!(after.state, OrderState::PartiallyRefunded, "{kind}"),
        }
    }
}

#[tokio::test]
async fn disputes_are_found_by_their_intent_and_others_mean_nothing() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.payments[0].intent = Some("pi_1".into());
    let mut of_others = intent(&order.payments[0], "succeeded");
    of_others["metadata"] = json!({"payment_id": PaymentId::new()});
    let dispute = json!({"id": "du_1", "payment_intent": "pi_1", "status": "needs_response"});
    let fake = Fake::start(move |_| ok(&of_others)).await;
    let (work, store) = work(&order, fake.url(), None);
    work.deal_with(&event("charge.dispute.created", &dispute)).await;
    assert_eq!(store.only().dispute, DisputeState::Open);
    let before = store.only();
    let foreign = json!({"id": "du_2", "payment_intent": "pi_2", "status": "lost"});
    work.deal_with(&event("charge.dispute.closed", &foreign)).await;
    work.deal_with(&event("customer.created", &json!({}))).await;
    assert_eq!(store.only(), before);
    assert_eq!(store.books().applied.len(), 3, "all are marked");
}

fn dispute(status: &str) -> Value {
    json!({"id": "du_1", "payment_intent": "pi_1", "status": status})
}

/// Two decisions that were due at once both found an open dispute in the books: the one that was overturned came last, and
/// stayed.
#[tokio::test]
async fn a_decision_is_asked_after() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.payments[0].intent = Some("pi_1".into());
    let won = dispute("won");
    let fake = Fake::start(move |_| ok(&won)).await;
    let (work, store) = work(&order, fake.url(), None);
    for (status, state, asked) in [
        ("needs_response", DisputeState::Open, 0),
        // The first decision, which Stripe has overturned.
        ("lost", DisputeState::Won, 1),
        ("under_review", DisputeState::Won, 1),
        ("won", DisputeState::Won, 2),
    ] {
        work.deal_with(&event("charge.dispute.updated", &dispute(status))).await;
        assert_eq!((store.only().dispute, fake.seen().len()), (state, asked), "{status}");
    }
    assert_eq!(lines_of(&fake), ["GET /v1/disputes/du_1", "GET /v1/disputes/du_1"]);
}

/// The event of a decision that overturned another was tried again for ever.
#[tokio::test]
async fn a_decision_that_our_key_may_not_ask_after_is_taken_as_it_was_told() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.payments[0].intent = Some("pi_1".into());
    let fake = Fake::start(|_| Act::answer(403, "{}")).await;
    let (work, store) = work(&order, fake.url(), None);
    for (status, state) in [("lost", DisputeState::Lost), ("won", DisputeState::Won)] {
        work.deal_with(&event("charge.dispute.closed", &dispute(status))).await;
        assert_eq!(store.only().dispute, state);
    }
    assert_eq!((store.books().applied.len(), fake.seen().len()), (2, 2));
    // Where Stripe does not answer, it waits.
    let (work, store) = self::work(&order, Fake::url_of_nobody().await, None);
    work.deal_with(&event("charge.dispute.closed", &dispute("lost"))).await;
    assert_eq!((store.only().dispute, failed_and_given_up(&store)), (DisputeState::None, (1, 0)));
}

/// A copy of a hosted page that expired ended the payment, whose own page was open.
#[tokio::test]
async fn a_page_decides_about_its_own_payment_alone() {
    let mut order = order(PaymentMethod::HostedPage, 0);
    order.payments[0].session = Some("cs_1".into());
    order.payments[0].state = PaymentState::RequiresAction;
    let own = session(&order.payments[0], "expired", None);
    let mut copy = own.clone();
    copy["id"] = json!("cs_copy");
    let (work, store) = work(&order, Fake::url_of_nobody().await, None);
    work.deal_with(&event("checkout.session.expired", &copy)).await;
    assert_eq!(store.only().payments[0].state, PaymentState::RequiresAction);
    work.deal_with(&event("checkout.session.expired", &own)).await;
    assert_eq!(store.only().payments[0].state, PaymentState::Failed);
    assert_eq!(store.books().applied.len(), 2);
}

fn failed_and_given_up(store: &Memory) -> (usize, usize) {
    let books = store.books();
    (books.failed.len(), books.given_up.len())
}

/// One that was given up was marked as applied, and the reason was lost.
#[tokio::test]
async fn what_cannot_be_applied_is_noted_and_given_up_after_many_tries() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let (work, store) = work(&order, Fake::url_of_nobody().await, None);
    let mut drifted = event("payment_intent.succeeded", &json!({"id": "pi_1"}));
    work.deal_with(&drifted).await;
    assert_eq!(failed_and_given_up(&store), (1, 0));
    drifted.tries = 6;
    work.deal_with(&drifted).await;
    assert_eq!(failed_and_given_up(&store), (1, 1));
    assert!(store.books().given_up[0].1.contains("cannot be read"));
    assert_eq!(store.books().applied, [""; 0]);
    // Stripe being away is no reason to give up.
    let mut waiting = event("payment_intent.processing", &intent(&order.payments[0], "processing"));
    waiting.tries = 1_000;
    work.deal_with(&waiting).await;
    assert_eq!(failed_and_given_up(&store), (2, 1));
}

#[tokio::test]
async fn recovery_looks_later_each_time_that_it_hears_nothing_new() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let (work, store) = work(&order, Fake::url_of_nobody().await, None);
    let mut last = 0;
    for checks in 0..2 {
        work.resolve(order.id).await.expect("a step");
        let payment = store.only().payments[0].clone();
        assert_eq!((payment.state, payment.checks), (PaymentState::Prepared, checks));
        let next = payment.next_check_ms.expect("a next check");
        assert!(next > last, "{next} after {last}");
        last = next;
    }
}

/// An outage of Stripe's ended a payment that it had not known for a moment.
#[tokio::test]
async fn only_what_stripe_answers_is_a_look_in_vain() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    let payment = order.payments[0].id;
    order.payments[0].intent = Some("pi_1".into());
    order.payments[0].state = PaymentState::RequiresAction;
    order.apply(&News::PaymentMissing { payment }, now_ms()).expect("news is never refused");
    let unknown = r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#;
    for (status, body, checks) in [(500, "{}", 0), (403, "{}", 0), (404, unknown, 1)] {
        order.payments[0].next_check_ms = Some(now_ms());
        let fake = Fake::start(move |seen| match line_of(seen).ends_with("/pi_1") {
            true => Act::answer(status, body),
            false => ok(&list(Vec::new())),
        })
        .await;
        let (work, store) = work(&order, fake.url(), None);
        work.resolve(order.id).await.expect("a step");
        let after = store.only().payments[0].clone();
        assert_eq!((after.state, after.checks), (PaymentState::RequiresAction, checks), "{status}");
        assert!(after.next_check_ms > order.payments[0].next_check_ms, "{status}");
    }
}

fn outbox_event(tries: u32) -> OutboxEvent {
    let id = OutboxId::new();
    let (kind, subject) = ("order.paid".to_owned(), format!("orders/{id}"));
    OutboxEvent { id, kind, subject, version: 2, data: json!({"n": tries}), created_ms: 0, tries }
}

async fn deliver(events: Vec<OutboxEvent>, grid: Option<&Fake>) -> Arc<Memory> {
    let grid = grid.map(|fake| EventGrid {
        url: fake.url(),
        key: SecretString::from("topic-key"),
        source: "/vitrine/checkout".to_owned(),
    });
    let (work, store) = work(&order(PaymentMethod::PaymentIntent, 0), Fake::url_of_nobody().await, grid);
    store.books().outbox = events;
    work.deliver_due().await.expect("a delivery");
    store
}

#[tokio::test]
async fn one_event_that_is_refused_does_not_hold_back_its_batch() {
    let (good, bad) = (outbox_event(1), outbox_event(2));
    let fake = Fake::start(|seen| match seen.body.contains(r#""n":2"#) {
        true => Act::answer(400, ""),
        false => Act::answer(200, ""),
    })
    .await;
    let store = deliver(vec![good.clone(), bad.clone()], Some(&fake)).await;
    assert_eq!(store.books().delivered, [good.id]);
    assert_eq!(store.books().undelivered, [(bad.id, None)], "it failed before, went alone, and is at fault");
}

#[tokio::test]
async fn of_a_batch_that_is_refused_each_event_is_tried_again_alone() {
    let (good, bad) = (outbox_event(0), outbox_event(1));
    let fake = Fake::start(|_| Act::answer(400, "")).await;
    let store = deliver(vec![good.clone(), bad.clone()], Some(&fake)).await;
    let undelivered = store.books().undelivered.clone();
    assert!(undelivered.len() == 2 && undelivered.iter().all(|(_, next_ms)| next_ms.is_some()), "{undelivered:?}");
}

#[tokio::test]
async fn a_subscriber_that_fails_gets_it_later_until_it_is_dead() {
    let (second, last) = (outbox_event(2), outbox_event(3));
    let fake = Fake::start(|_| Act::answer(503, "")).await;
    let store = deliver(vec![second.clone(), last.clone()], Some(&fake)).await;
    let mut undelivered = store.books().undelivered.clone();
    undelivered.sort_by_key(|(id, _)| *id);
    assert!(matches!(undelivered[0], (id, Some(_)) if id == second.id), "{undelivered:?}");
    assert_eq!(undelivered[1], (last.id, None), "three tries are allowed");
}

/// Of many that had failed before, a few were tried and all were counted: the others died without having been sent.
#[tokio::test]
async fn all_events_that_are_taken_are_tried() {
    let events: Vec<_> = (0..32).map(|_| outbox_event(2)).collect();
    let fake = Fake::start(|_| Act::answer(503, "")).await;
    let store = deliver(events, Some(&fake)).await;
    assert_eq!((fake.seen().len(), store.books().undelivered.len()), (32, 32));
}

#[tokio::test]
async fn without_a_topic_events_do_not_pile_up() {
    let event = outbox_event(0);
    assert_eq!(deliver(vec![event.clone()], None).await.books().delivered, [event.id]);
}

#[tokio::test]
async fn what_the_books_missed_is_applied_and_what_they_lack_is_a_break() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let missed = intent(&order.payments[0], "succeeded");
    let mut unknown = missed.clone();
    unknown["id"] = json!("pi_2");
    unknown["metadata"] = json!({"payment_id": PaymentId::new(), "order_id": OrderId::new()});
    let mut foreign = missed.clone();
    foreign["id"] = json!("pi_3");
    foreign["metadata"] = json!({});
    let (intents, refunds) = (list(vec![missed, unknown, foreign]), list(Vec::new()));
    let fake = Fake::start(move |seen| match line_of(seen).as_str() {
        "GET /v1/payment_intents" => ok(&intents),
        _ => ok(&refunds),
    })
    .await;
    let (work, store) = work(&order, fake.url(), None);
    let result = work.reconcile(now_ms() - HOUR_MS, now_ms()).await.expect("a comparison");
    assert_eq!((result.payments, result.intents, result.refunds), (1, 3, 0));
    let breaks: Vec<_> = result.breaks.iter().map(|found| (found.kind, found.reference.as_str())).collect();
    assert_eq!(breaks, [(BreakKind::UnknownCharge, "pi_2")]);
    assert_eq!(store.only().state, OrderState::Paid);
}

#[tokio::test]
async fn a_charge_that_stripe_does_not_know_is_a_break() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.payments[0].intent = Some("pi_1".into());
    order.payments[0].state = PaymentState::Succeeded;
    let payment = order.payments[0].id.to_string();
    let nothing = list(Vec::new());
    let fake = Fake::start(move |seen| match line_of(seen).ends_with("/pi_1") {
        true => Act::answer(404, r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#),
        false => ok(&nothing),
    })
    .await;
    let (work, _store) = work(&order, fake.url(), None);
    let result = work.reconcile(now_ms() - HOUR_MS, now_ms()).await.expect("a comparison");
    let breaks: Vec<_> = result.breaks.iter().map(|found| (found.kind, found.reference.clone())).collect();
    assert_eq!(breaks, [(BreakKind::MissingCharge, payment)]);
}

/// Both have the name of the payment, so that the second charge was taken for the first one.
#[tokio::test]
async fn a_second_charge_in_the_name_of_one_payment_is_a_break() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.payments[0].intent = Some("pi_1".into());
    order.payments[0].state = PaymentState::Succeeded;
    order.payments[0].captured_minor = 1_250;
    let own = intent(&order.payments[0], "succeeded");
    let mut second = own.clone();
    second["id"] = json!("pi_2");
    let (intents, refunds) = (list(vec![own, second]), list(Vec::new()));
    let fake = Fake::start(move |seen| match line_of(seen).as_str() {
        "GET /v1/payment_intents" => ok(&intents),
        _ => ok(&refunds),
    })
    .await;
    let (work, _store) = work(&order, fake.url(), None);
    let result = work.reconcile(now_ms() - HOUR_MS, now_ms()).await.expect("a comparison");
    let breaks: Vec<_> = result.breaks.iter().map(|found| (found.kind, found.reference.as_str())).collect();
    assert_eq!(breaks, [(BreakKind::UnknownCharge, "pi_2")]);
}

/// A thousand rows went each minute, however many came: tables grew without a bound.
#[tokio::test]
async fn old_rows_are_swept_until_none_are_left() {
    let (work, store) = work(&order(PaymentMethod::PaymentIntent, 0), Fake::url_of_nobody().await, None);
    store.books().old_rows = 2_500;
    store.books().old_checkouts = 3_500;
    let (stop, shutdown) = watch::channel(false);
    let keeping = tokio::spawn(Arc::clone(&work).run_keeping(shutdown));
    let swept = async {
        while store.books().old() > 0 {
            store.swept.notified().await;
        }
    };
    let is_swept = tokio::time::timeout(Duration::from_secs(30), swept).await.is_ok();
    stop.send(true).expect("it keeps on");
    keeping.await.expect("it ends");
    assert!(is_swept, "{} are left", store.books().old());
    assert_eq!(work.metrics().checkouts_swept.load(Ordering::Relaxed), 3_500);
}
