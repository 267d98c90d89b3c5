//! Money and stock follow what Stripe says, and go back when it has to.

use checkout::domain::{
    BreakKind, CheckoutState, Dispute, DisputeState, Effects, IntentStatus, News, Order, OrderState, PaymentState,
    RefundState, Refusal, breaks,
};
use checkout::ids::{OrderId, PaymentId, RefundId};
use checkout::store::{ClaimUse, FoundBreak, NewInboxEvent, Resolution, Store};
use futures::future::join_all;
use snapshots::Money;

use super::shop::{
    ALL, HOLD_MS, LEASE_MS, NOW, begin_refund, checkout, deliver_all, done, eur, hear, intent, kinds, named,
    open_order, paid_order, place, refused, set_stock, stock, tell, tell_at,
};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("an order is paid by its intent", |bench| Box::pin(paid(bench))),
    ("late and repeated news change nothing more", |bench| Box::pin(late_news(bench))),
    ("an order that is cancelled gives its stock back", |bench| Box::pin(cancelled(bench))),
    ("an order whose hold is over gives its stock back", |bench| Box::pin(over(bench))),
    ("a charge after the end goes back", |bench| Box::pin(charged_after_cancel(bench))),
    ("refunds never exceed what was captured", |bench| Box::pin(refund_race(bench))),
    ("refunds move the order, and back when they fail", |bench| Box::pin(refunds_move_the_order(bench))),
    ("a refund of the dashboard is taken in once", |bench| Box::pin(foreign_refund(bench))),
    ("a break stays closed that a comparison finds again", |bench| Box::pin(found_again(bench))),
    ("a dispute is noted", |bench| Box::pin(disputed(bench))),
];

fn refund_news(refund: Option<RefundId>, payment: PaymentId, id: &str, state: RefundState, amount: Money) -> News {
    News::Refund { refund, payment, stripe_refund: id.to_owned(), state, amount, failure: None }
}

async fn paid(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    tell(store, order.id, intent(payment, IntentStatus::RequiresAction, eur(0))).await;
    tell(store, order.id, intent(payment, IntentStatus::Processing, eur(0))).await;
    assert_eq!(stock(store, "boots").await, (3, 2));
    let event = NewInboxEvent { id: "evt_1", kind: "payment_intent.succeeded", body: b"{}", received_ms: NOW };
    store.receive(&event).await.expect("it is received");
    let news = hear(intent(payment, IntentStatus::Succeeded, eur(200)), NOW + 1);
    let changed = store.change_order(order.id, &news, &ClaimUse::None, None, Some("evt_1"), NOW + 1).await;
    let paid = done(changed);
    assert_eq!((paid.state, paid.checkout_state, paid.version), (OrderState::Paid, CheckoutState::Completed, 2));
    assert_eq!((paid.payments[0].state, paid.payments[0].captured_minor), (PaymentState::Succeeded, 200));
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(paid));
    assert_eq!(stock(store, "boots").await, (3, 0));
    assert!(store.due_events(ALL, LEASE_MS, NOW + 10).await.expect("events").is_empty());
    let subject = format!("orders/{}", order.id);
    let expected = named(&[("order.created", 1), ("order.paid", 2)]);
    assert_eq!(kinds(&deliver_all(store, NOW + 10).await, &subject), expected);
    let checkout = store.checkout(placed.id).await.expect("it is read").expect("it is there");
    assert_eq!(checkout.state, CheckoutState::Completed);
}

async fn late_news(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 100).await;
    for news in [
        intent(payment, IntentStatus::Succeeded, eur(100)),
        intent(payment, IntentStatus::Processing, eur(0)),
        News::PaymentUnanswered { payment },
        News::PaymentDead { payment, failure: "late".to_owned() },
        News::HoldOver,
    ] {
        let after = tell_at(store, order.id, news, NOW + 72 * 3_600_000).await;
        assert_eq!((after.state, after.version), (OrderState::Paid, 2));
    }
    assert_eq!(deliver_all(store, NOW).await.iter().filter(|event| event.kind == "order.paid").count(), 1);
    assert!(store.breaks(ALL).await.expect("breaks").is_empty());
    assert_eq!(stock(store, "boots").await, (99, 0));
}

async fn cancelled(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    let asked = tell(store, order.id, News::CancelRequested).await;
    // Stripe has to confirm it: until then, the money may come.
    assert_eq!((asked.state, asked.cancel_requested), (OrderState::PendingPayment, true));
    assert_eq!(stock(store, "boots").await, (3, 2));
    let ended = tell(store, order.id, intent(payment, IntentStatus::Canceled, eur(0))).await;
    assert_eq!((ended.state, ended.checkout_state), (OrderState::Cancelled, CheckoutState::Cancelled));
    assert_eq!(stock(store, "boots").await, (5, 0));
    let expected = named(&[("order.created", 1), ("order.cancelled", 2)]);
    assert_eq!(kinds(&deliver_all(store, NOW).await, &format!("orders/{}", order.id)), expected);
}

async fn over(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    let waiting = tell_at(store, order.id, News::HoldOver, NOW + HOLD_MS).await;
    assert_eq!(waiting.state, OrderState::PendingPayment);
    let dead = News::PaymentDead { payment, failure: "abandoned".to_owned() };
    let ended = tell_at(store, order.id, dead, NOW + HOLD_MS).await;
    assert_eq!((ended.state, ended.checkout_state), (OrderState::Cancelled, CheckoutState::Expired));
    assert_eq!(stock(store, "boots").await, (5, 0));
}

async fn charged_after_cancel(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    tell(store, order.id, News::CancelRequested).await;
    tell(store, order.id, News::PaymentDead { payment, failure: "cancelled".to_owned() }).await;
    let charged = tell(store, order.id, intent(payment, IntentStatus::Succeeded, eur(200))).await;
    assert_eq!(charged.state, OrderState::Cancelled);
    let back: Vec<_> = charged.refunds.iter().map(|refund| (refund.id, refund.amount)).collect();
    assert_eq!(back, [(RefundId::like(payment), eur(200))]);
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(charged));
    let breaks = store.breaks(ALL).await.expect("breaks");
    let noted: Vec<_> = breaks.iter().map(|found| (found.kind, found.reference.clone())).collect();
    assert_eq!(noted, [(BreakKind::ChargedAfterCancel, payment.to_string())]);
    assert_eq!(stock(store, "boots").await, (5, 0));
}

async fn refund_race(bench: Bench) {
    let (order, _) = paid_order(bench.store.as_ref(), 1_000).await;
    let tries = (0..10).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let change = begin_refund(RefundId::new(), Some(eur(600)));
            store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await
        })
    });
    let outcomes: Vec<_> = join_all(tries).await.into_iter().map(|outcome| outcome.expect("it ends")).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(refused(outcome), Refusal::RefundTooLarge { left: eur(400) });
    }
    let order = bench.store.order(order.id).await.expect("it is read").expect("it is there");
    assert_eq!((order.refunds.len(), order.payments[0].refunded_minor), (1, 600));
}

async fn refunds_move_the_order(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 1_000).await;
    let (first, second) = (RefundId::new(), RefundId::new());
    for (refund, amount) in [(first, Some(eur(300))), (second, None)] {
        let change = begin_refund(refund, amount);
        done(store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await);
    }
    let partly =
        tell(store, order.id, refund_news(Some(first), payment, "re_1", RefundState::Succeeded, eur(300))).await;
    assert_eq!(partly.state, OrderState::PartiallyRefunded);
    let wholly =
        tell(store, order.id, refund_news(Some(second), payment, "re_2", RefundState::Succeeded, eur(700))).await;
    assert_eq!((wholly.state, wholly.payments[0].refunded_minor), (OrderState::Refunded, 1_000));
    // The bank may send it back days later.
    let failed = tell(store, order.id, refund_news(Some(second), payment, "re_2", RefundState::Failed, eur(700))).await;
    assert_eq!((failed.state, failed.payments[0].refunded_minor), (OrderState::PartiallyRefunded, 300));
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(failed));
    let expected = named(&[
        ("order.created", 1),
        ("order.paid", 2),
        ("order.partially_refunded", 3),
        ("order.refunded", 4),
        ("order.refund_failed", 5),
    ]);
    assert_eq!(kinds(&deliver_all(store, NOW).await, &format!("orders/{}", order.id)), expected);
}

/// The breaks that are open, by their references.
async fn noted(store: &dyn Store) -> Vec<(BreakKind, String)> {
    let breaks = store.breaks(ALL).await.expect("breaks");
    let mut noted: Vec<_> = breaks.into_iter().map(|found| (found.kind, found.reference)).collect();
    noted.sort_by(|(_, one), (_, other)| one.cmp(other));
    noted
}

async fn foreign_refund(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 1_000).await;
    for _ in 0..2 {
        let news = refund_news(None, payment, "re_9", RefundState::Succeeded, eur(250));
        let after = tell(store, order.id, news).await;
        assert_eq!((after.refunds.len(), after.payments[0].refunded_minor), (1, 250));
    }
    let too_much = refund_news(None, payment, "re_10", RefundState::Succeeded, eur(900));
    for _ in 0..2 {
        tell(store, order.id, too_much.clone()).await;
    }
    assert_eq!(noted(store).await, [(BreakKind::RefundedTooMuch, "re_10".to_owned())]);
    // A second one of the same payment was swallowed by the first.
    tell(store, order.id, refund_news(None, payment, "re_11", RefundState::Succeeded, eur(800))).await;
    let both = ["re_10", "re_11"].map(|id| (BreakKind::RefundedTooMuch, id.to_owned()));
    assert_eq!(noted(store).await, both);
    let resolution =
        Resolution { kind: BreakKind::RefundedTooMuch, reference: "re_10", reason: "as agreed", actor: "anna" };
    assert!(store.resolve_break(&resolution, NOW).await.expect("an answer"));
    assert_eq!(noted(store).await, both[1..]);
    // The state of the payment changed meanwhile, and the break did not.
    tell(store, order.id, refund_news(None, payment, "re_13", RefundState::Succeeded, eur(100))).await;
    tell(store, order.id, too_much).await;
    assert_eq!(noted(store).await, both[1..], "it came again, and says the same");
    tell(store, order.id, refund_news(None, payment, "re_10", RefundState::Succeeded, eur(950))).await;
    assert_eq!(noted(store).await, both, "it says something else");
    // Told twice in one change, it is one.
    let third = refund_news(None, payment, "re_12", RefundState::Succeeded, eur(900));
    let twice = |order: &mut Order| -> Result<Effects, Refusal> {
        let mut effects = order.apply(&third, NOW)?;
        effects.breaks.extend(effects.breaks.clone());
        Ok(effects)
    };
    done(store.change_order(order.id, &twice, &ClaimUse::None, None, None, NOW).await);
    assert_eq!(noted(store).await.len(), 3);
}

/// An order was told one thing, and the comparison of the next night said the same in other words.
async fn found_again(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    tell(store, order.id, intent(payment, IntentStatus::Succeeded, eur(120))).await;
    let mut second = intent(payment, IntentStatus::Succeeded, eur(100));
    if let News::Intent { intent, .. } = &mut second {
        *intent = "pi_second".to_owned();
    }
    tell(store, order.id, second).await;
    let compared = [
        (BreakKind::AmountDiffers, payment.to_string(), breaks::amount_differs(eur(100), eur(120))),
        (BreakKind::UnknownCharge, "pi_second".to_owned(), breaks::unknown_charge(eur(100), order.id)),
    ];
    assert_eq!(noted(store).await.len(), compared.len());
    for (kind, reference, detail) in compared {
        let resolution = Resolution { kind, reference: &reference, reason: "sent back", actor: "anna" };
        assert!(store.resolve_break(&resolution, NOW + 1).await.expect("an answer"), "{kind:?}");
        store.record_break(&FoundBreak { kind, reference, detail }, NOW + 2).await.expect("it is noted");
    }
    assert!(noted(store).await.is_empty());
}

async fn disputed(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 1_000).await;
    for (id, state, together, version) in [
        ("dp_1", DisputeState::Open, DisputeState::Open, 3),
        ("dp_1", DisputeState::Open, DisputeState::Open, 3),
        ("dp_1", DisputeState::Lost, DisputeState::Lost, 4),
        // One more after that was dropped.
        ("dp_2", DisputeState::Open, DisputeState::Open, 5),
        ("dp_2", DisputeState::Won, DisputeState::Lost, 6),
    ] {
        let told = tell(store, order.id, News::Dispute(Dispute { id: id.to_owned(), payment, state })).await;
        assert_eq!((told.dispute, told.version), (together, version), "{id} {state:?}");
        assert_eq!(store.order(order.id).await.expect("it is read"), Some(told));
    }
    // Of an order that there is not, nobody is told.
    let unknown =
        store.change_order(OrderId::new(), &hear(News::HoldOver, NOW), &ClaimUse::None, None, None, NOW).await;
    assert!(matches!(refused(unknown), Refusal::NotFound(_)));
}
