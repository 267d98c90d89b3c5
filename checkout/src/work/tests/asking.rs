//! What is asked of Stripe, and what is made of its answers, for payments and refunds in every state.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::{IntentStatus, News, OrderState, PaymentState, Refund, RefundState};
use crate::ids::RefundId;
use crate::stripe::StripeError;
use crate::work::asking::Asker;
use crate::work::news::{is_wanted, take_in};

fn asker(url: String) -> Asker {
    Asker { stripe: client(url) }
}

async fn look(fake: &Fake, order: &Order) -> Result<Vec<News>, StripeError> {
    asker(fake.url()).look(order, &order.payments[0], now_ms()).await
}

fn form(body: &str) -> HashMap<String, String> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

fn status_in(news: &[News]) -> Vec<IntentStatus> {
    let status = |one: &News| match one {
        News::Intent { status, .. } => Some(*status),
        _ => None,
    };
    news.iter().filter_map(status).collect()
}

#[tokio::test]
async fn an_intent_is_asked_for_by_its_payment_s_key_and_names() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let answer = intent(&order.payments[0], "requires_payment_method");
    let fake = Fake::start(move |_| ok(&answer)).await;
    let news = look(&fake, &order).await.expect("news");
    assert_eq!(status_in(&news), [IntentStatus::RequiresAction]);
    let seen = fake.seen();
    assert_eq!(lines_of(&fake), ["POST /v1/payment_intents"]);
    let payment = order.payments[0].id.to_string();
    assert!(seen[0].head.contains(&format!("\r\nidempotency-key: {payment}\r\n")), "{}", seen[0].head);
    let form = form(&seen[0].body);
    let (order_id, checkout_id) = (order.id.to_string(), order.checkout.to_string());
    let expected = [
        ("amount", "1250"),
        ("currency", "eur"),
        ("automatic_payment_methods[enabled]", "true"),
        ("metadata[payment_id]", payment.as_str()),
        ("metadata[order_id]", order_id.as_str()),
        ("metadata[checkout_id]", checkout_id.as_str()),
    ];
    for (name, value) in expected {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name} of {form:?}");
    }
    assert_eq!(form.len(), expected.len());
}

#[tokio::test]
async fn a_hosted_page_is_asked_for_in_the_same_words_each_time() {
    let order = order(PaymentMethod::HostedPage, 0);
    let answer = session(&order.payments[0], "open", None);
    let fake = Fake::start(move |_| ok(&answer)).await;
    for _ in 0..2 {
        let news = look(&fake, &order).await.expect("news");
        assert!(matches!(&news[..], [News::Session { hosted_url: Some(_), .. }]), "{news:?}");
    }
    let seen = fake.seen();
    assert_eq!(seen[0].body, seen[1].body);
    let form = form(&seen[0].body);
    let (order_id, payment_id) = (order.id.to_string(), order.payments[0].id.to_string());
    let expires_s = (order.payments[0].created_ms + 23 * HOUR_MS).div_euclid(1_000).to_string();
    for (name, value) in [
        ("mode", "payment"),
        ("line_items[0][price_data][currency]", "eur"),
        ("line_items[0][price_data][unit_amount]", "625"),
        ("line_items[0][price_data][product_data][name]", "A lamp"),
        ("line_items[0][quantity]", "2"),
        ("metadata[payment_id]", payment_id.as_str()),
        ("payment_intent_data[metadata][payment_id]", payment_id.as_str()),
        ("client_reference_id", order_id.as_str()),
        ("success_url", "https://shop.example/thanks"),
        ("expires_at", expires_s.as_str()),
    ] {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name} of {form:?}");
    }
}

#[tokio::test]
async fn each_fault_becomes_the_news_that_it_is() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let payment = order.payments[0].id;
    let dead = News::PaymentDead { payment, failure: "amount_too_small".into() };
    for (act, expected) in [
        (Act::answer(500, "{}"), News::PaymentUnanswered { payment }),
        (Act::answer(502, "<html>"), News::PaymentUnanswered { payment }),
        (Act::HangUp, News::PaymentUnanswered { payment }),
        (Act::answer(200, "not JSON"), News::PaymentUnanswered { payment }),
        (Act::answer(409, r#"{"error":{"type":"idempotency_error"}}"#), News::PaymentUnanswered { payment }),
        (Act::answer(429, "{}"), News::PaymentDeferred { payment }),
        (Act::answer(401, "{}"), News::PaymentDeferred { payment }),
        (Act::answer(403, "{}"), News::PaymentDeferred { payment }),
        (refused("amount_too_small"), dead),
    ] {
        let told = format!("{act:?}");
        let fake = Fake::start(move |_| act.clone()).await;
        assert_eq!(look(&fake, &order).await.expect("news"), [expected], "{told}");
    }
    let nobody = asker(Fake::url_of_nobody().await);
    let news = nobody.look(&order, &order.payments[0], now_ms()).await.expect("news");
    assert_eq!(news, [News::PaymentDeferred { payment }]);
}

#[tokio::test]
async fn a_failure_that_is_kept_is_looked_up() {
    let order = order(PaymentMethod::PaymentIntent, 0);
    let ours = intent(&order.payments[0], "requires_payment_method");
    let mut other = ours.clone();
    other["id"] = json!("pi_0");
    other["metadata"] = json!({"payment_id": PaymentId::new()});
    let listed = list(vec![other, ours]);
    let fake = Fake::start(move |seen| match line_of(seen).starts_with("POST") {
        true => replayed_500(),
        false => ok(&listed),
    })
    .await;
    let news = look(&fake, &order).await.expect("news");
    assert!(matches!(&news[..], [News::Intent { intent, .. }] if intent == "pi_1"), "{news:?}");
    assert_eq!(lines_of(&fake), ["POST /v1/payment_intents", "GET /v1/payment_intents"]);
}

#[tokio::test]
async fn what_stripe_does_not_list_is_given_up_only_after_a_while() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    let payment = order.payments[0].id;
    let fake = Fake::start(|seen| match line_of(seen).starts_with("POST") {
        true => replayed_500(),
        false => ok(&list(Vec::new())),
    })
    .await;
    assert_eq!(look(&fake, &order).await.expect("news"), [News::PaymentUnanswered { payment }]);
    order.payments[0].state = PaymentState::Unknown;
    order.payments[0].checks = 3;
    assert_eq!(look(&fake, &order).await.expect("news"), [News::PaymentUnanswered { payment }]);
    order.payments[0].checks = 4;
    let news = look(&fake, &order).await.expect("news");
    assert_eq!(news, [News::PaymentDead { payment, failure: "never_made".into() }]);
}

#[tokio::test]
async fn a_key_that_stripe_may_have_forgotten_is_not_used() {
    for (method, path) in [
        (PaymentMethod::PaymentIntent, "GET /v1/payment_intents"),
        (PaymentMethod::HostedPage, "GET /v1/checkout/sessions"),
    ] {
        let order = order(method, 24 * HOUR_MS);
        let fake = Fake::start(|_| ok(&list(Vec::new()))).await;
        let news = look(&fake, &order).await.expect("news");
        assert!(matches!(&news[..], [News::PaymentDead { .. }]), "{news:?}");
        assert_eq!(lines_of(&fake), [path, path], "the minutes around, and the rest of the day");
    }
}

#[tokio::test]
async fn who_pays_in_the_last_moment_has_paid() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.cancel_requested = true;
    order.payments[0].intent = Some("pi_1".into());
    order.payments[0].state = PaymentState::RequiresAction;
    let [waiting, paid] = ["requires_action", "succeeded"].map(|status| intent(&order.payments[0], status));
    let gets = AtomicUsize::new(0);
    let fake = Fake::start(move |seen| match line_of(seen).as_str() {
        "POST /v1/payment_intents/pi_1/cancel" => refused("payment_intent_unexpected_state"),
        _ if gets.fetch_add(1, Ordering::SeqCst) == 0 => ok(&waiting),
        _ => ok(&paid),
    })
    .await;
    let news = look(&fake, &order).await.expect("news");
    assert_eq!(status_in(&news), [IntentStatus::Succeeded]);
    take_in(&mut order, &news, now_ms()).expect("news is never refused");
    assert_eq!(order.state, OrderState::Paid);
}

#[tokio::test]
async fn what_was_never_answered_is_closed_once_it_is_not_wanted() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    order.cancel_requested = true;
    let [waiting, closed] = ["requires_payment_method", "canceled"].map(|status| intent(&order.payments[0], status));
    let fake = Fake::start(move |seen| match line_of(seen).ends_with("/cancel") {
        true => ok(&closed),
        false => ok(&waiting),
    })
    .await;
    let news = look(&fake, &order).await.expect("news");
    take_in(&mut order, &news, now_ms()).expect("news is never refused");
    assert_eq!((order.state, order.checkout_state), (OrderState::Cancelled, CheckoutState::Cancelled));
    assert_eq!(lines_of(&fake), ["POST /v1/payment_intents", "POST /v1/payment_intents/pi_1/cancel"]);
}

#[tokio::test]
async fn a_hosted_page_is_expired_with_the_hold() {
    let mut order = order(PaymentMethod::HostedPage, 0);
    order.payments[0].session = Some("cs_1".into());
    order.payments[0].state = PaymentState::RequiresAction;
    let [open, expired] = ["open", "expired"].map(|status| session(&order.payments[0], status, None));
    let fake = Fake::start(move |seen| match line_of(seen).ends_with("/expire") {
        true => ok(&expired),
        false => ok(&open),
    })
    .await;
    let later_ms = order.held_until_ms;
    let news = asker(fake.url()).look(&order, &order.payments[0], later_ms).await.expect("news");
    take_in(&mut order, &news, later_ms).expect("news is never refused");
    assert_eq!((order.state, order.checkout_state), (OrderState::Cancelled, CheckoutState::Expired));
    assert_eq!(lines_of(&fake), ["GET /v1/checkout/sessions/cs_1", "POST /v1/checkout/sessions/cs_1/expire"]);
}

#[tokio::test]
async fn a_complete_page_is_as_its_intent_is() {
    for (status, state) in [
        ("succeeded", PaymentState::Succeeded),
        ("processing", PaymentState::Processing),
        // A voucher is still to be paid.
        ("requires_action", PaymentState::RequiresAction),
        // A late method failed, and nobody can try another on this page.
        ("requires_payment_method", PaymentState::Failed),
    ] {
        let mut order = order(PaymentMethod::HostedPage, 0);
        order.payments[0].session = Some("cs_1".into());
        order.payments[0].state = PaymentState::RequiresAction;
        let complete = session(&order.payments[0], "complete", Some("pi_1"));
        let intent = intent(&order.payments[0], status);
        let fake = Fake::start(move |seen| match line_of(seen).as_str() {
            "GET /v1/checkout/sessions/cs_1" => ok(&complete),
            "GET /v1/payment_intents/pi_1" => ok(&intent),
            _ => refused("payment_intent_unexpected_state"),
        })
        .await;
        let news = look(&fake, &order).await.expect("news");
        take_in(&mut order, &news, now_ms()).expect("news is never refused");
        assert_eq!(order.payments[0].state, state, "{status}");
        assert_eq!(order.payments[0].intent.as_deref(), Some("pi_1"));
    }
}

/// The answer 404 was an error that was logged, again and again; then each look read a whole day of Stripe's list, and never
/// ended where that is long.
#[tokio::test]
async fn what_stripe_does_not_know_any_more_is_looked_up_by_its_name() {
    for method in [PaymentMethod::PaymentIntent, PaymentMethod::HostedPage] {
        let mut order = order(method, 0);
        let is_hosted = method == PaymentMethod::HostedPage;
        let ours = if is_hosted { session(&order.payments[0], "open", None) } else { waiting(&order) };
        let known = Some("gone_1".to_owned());
        (order.payments[0].intent, order.payments[0].session) = if is_hosted { (None, known) } else { (known, None) };
        order.payments[0].state = PaymentState::RequiresAction;
        for listed in [Vec::new(), vec![ours]] {
            let is_listed = !listed.is_empty();
            let page = list(listed);
            let fake = Fake::start(move |seen| match line_of(seen).ends_with("/gone_1") {
                true => Act::answer(404, r#"{"error":{"type":"invalid_request_error","code":"resource_missing"}}"#),
                false => ok(&page),
            })
            .await;
            let news = look(&fake, &order).await.expect("news");
            let is_missing = news == [News::PaymentMissing { payment: order.payments[0].id }];
            assert_eq!(is_missing, !is_listed, "{news:?}");
            assert_eq!(lines_of(&fake).len(), 2, "the minutes around alone: {:?}", lines_of(&fake));
        }
    }
}

fn waiting(order: &Order) -> Value {
    intent(&order.payments[0], "requires_action")
}

/// A paid order with a refund.
fn refunding(age_ms: i64) -> (Order, Refund) {
    let mut order = order(PaymentMethod::PaymentIntent, age_ms);
    let news = News::Intent {
        payment: order.payments[0].id,
        intent: "pi_1".into(),
        status: IntentStatus::Succeeded,
        received: money(1_250),
        client_secret: None,
        failure: None,
    };
    let made_ms = now_ms() - age_ms;
    take_in(&mut order, &[news], made_ms).expect("news is never refused");
    order.begin_refund(RefundId::new(), Some(money(500)), None, made_ms).expect("a refund");
    let refund = order.refunds[0].clone();
    (order, refund)
}

fn refund_view(refund: &Refund) -> Value {
    json!({
        "id": "re_1", "status": "succeeded", "amount": 500, "currency": "eur", "payment_intent": "pi_1",
        "metadata": {"refund_id": refund.id},
    })
}

#[tokio::test]
async fn a_refund_is_asked_for_once_and_looked_for_afterwards() {
    let (order, mut refund) = refunding(0);
    let made = refund_view(&refund);
    let fake = Fake::start(move |seen| match line_of(seen).as_str() {
        "POST /v1/refunds" => ok(&made),
        _ => ok(&list(vec![made.clone()])),
    })
    .await;
    let asker = asker(fake.url());
    for checks in 0..2 {
        refund.checks = checks;
        let news = asker.look_at_refund(&order, &refund, now_ms()).await.expect("news");
        assert!(matches!(&news[..], [News::Refund { state: RefundState::Succeeded, .. }]), "{news:?}");
    }
    assert_eq!(lines_of(&fake), ["POST /v1/refunds", "GET /v1/refunds"]);
    let form = form(&fake.seen()[0].body);
    assert_eq!(form["amount"], "500");
    assert_eq!(form["payment_intent"], "pi_1");
    assert_eq!(form["metadata[refund_id]"], refund.id.to_string());
}

#[tokio::test]
async fn a_refund_s_faults_become_the_news_that_they_are() {
    let (order, refund) = refunding(0);
    let refused_news = News::RefundRefused { refund: refund.id, failure: "charge_already_refunded".into() };
    for (act, expected) in [
        (refused("charge_already_refunded"), refused_news),
        (Act::answer(500, "{}"), News::RefundUnanswered { refund: refund.id }),
        (replayed_500(), News::RefundUnanswered { refund: refund.id }),
        (Act::HangUp, News::RefundUnanswered { refund: refund.id }),
    ] {
        let told = format!("{act:?}");
        let fake = Fake::start(move |_| act.clone()).await;
        let news = asker(fake.url()).look_at_refund(&order, &refund, now_ms()).await.expect("news");
        assert_eq!(news, [expected], "{told}");
    }
    for status in [429, 403] {
        let fake = Fake::start(move |_| Act::answer(status, "{}")).await;
        let outcome = asker(fake.url()).look_at_refund(&order, &refund, now_ms()).await;
        assert!(outcome.expect_err("nothing new").is_undone(), "{status}");
    }
}

#[tokio::test]
async fn an_old_refund_is_only_looked_for() {
    let (order, refund) = refunding(24 * HOUR_MS);
    let fake = Fake::start(|_| ok(&list(Vec::new()))).await;
    let news = asker(fake.url()).look_at_refund(&order, &refund, now_ms()).await.expect("news");
    assert_eq!(news, [News::RefundRefused { refund: refund.id, failure: "never_made".into() }]);
    assert_eq!(lines_of(&fake), ["GET /v1/refunds"]);
}

#[test]
fn an_order_wants_a_payment_while_it_is_pending_and_held() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    let now = now_ms();
    assert!(is_wanted(&order, &order.payments[0], now));
    assert!(!is_wanted(&order, &order.payments[0], order.held_until_ms));
    order.cancel_requested = true;
    assert!(!is_wanted(&order, &order.payments[0], now));
    order.cancel_requested = false;
    order.state = OrderState::Paid;
    assert!(!is_wanted(&order, &order.payments[0], now));
}
