//! Orders, their money and what is looked up of them.

use super::{Bench, HOLD_MS, NOW, begins, checkout, done, euros, intent, nothing, refunded, refusal, succeeded};
use crate::domain::{
    BreakKind, CheckoutState, Effects, IntentStatus, News, Order, OrderState, PaymentState, RefundState, Refusal,
};
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::store::{ClaimUse, FoundBreak, NewInboxEvent, OrderFilter, PaymentRef, Store};

#[tokio::test]
async fn an_order_is_opened_once_and_reads_as_it_was_written() {
    let bench = Bench::start().await;
    let store = &bench.store;
    bench.set_stock("lamp", 5).await;
    let placed = bench.place(&[("lamp", 2)]).await;
    let order = bench.open(placed.id, PaymentId::new()).await;
    assert_eq!(store.order(order.id).await.expect("an order"), Some(order.clone()));
    assert_eq!(store.order_of_checkout(placed.id).await.expect("an order"), Some(order.id));
    let completing = store.checkout(placed.id).await.expect("a checkout").map(|checkout| checkout.state);
    assert_eq!(completing, Some(CheckoutState::Completing));
    // A second attempt comes upon the first order, which has a live payment.
    let again = store.open_order(placed.id, OrderId::new(), &begins(PaymentId::new()), &ClaimUse::None, NOW).await;
    assert_eq!(refusal(again), Refusal::PaymentInProgress);
    let cancelled = store.cancel_checkout(placed.id, &ClaimUse::None, NOW).await;
    assert_eq!(refusal(cancelled), Refusal::PaymentInProgress);
    let unknown =
        store.open_order(checkout(&[]).id, OrderId::new(), &begins(PaymentId::new()), &ClaimUse::None, NOW).await;
    assert_eq!(refusal(unknown), Refusal::NotFound("checkout"));
    let unknown = store.change_order(OrderId::new(), &nothing, &ClaimUse::None, None, None, NOW).await;
    assert_eq!(refusal(unknown), Refusal::NotFound("order"));
    assert_eq!(bench.stock("lamp").await, (3, 2));
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn what_is_paid_is_sold_and_refunds_never_exceed_it() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let (order, payment) = bench.paid().await;
    assert_eq!((order.state, order.version, order.checkout_state), (OrderState::Paid, 2, CheckoutState::Completed));
    assert_eq!(bench.stock("lamp").await, (8, 0));
    // The same news once more sells nothing more.
    let again = bench.tell(order.id, succeeded(payment, "pi_paid", order.total), NOW).await;
    assert_eq!((again.version, bench.stock("lamp").await), (2, (8, 0)));

    let (first, second) = (RefundId::new(), RefundId::new());
    bench.refund(order.id, first, 200).await.expect("a refund");
    let left = Refusal::RefundTooLarge { left: euros(300) };
    assert_eq!(refusal(bench.refund(order.id, second, 400).await), left);
    let partly = bench.tell(order.id, refunded(payment, first, "re_1", 200), NOW).await;
    assert_eq!(partly.state, OrderState::PartiallyRefunded);
    bench.refund(order.id, second, 300).await.expect("the rest");
    let refused = News::RefundRefused { refund: second, failure: "lost_or_stolen_card".to_owned() };
    let refused = bench.tell(order.id, refused, NOW).await;
    assert_eq!(refused.refunds.last().map(|refund| refund.state), Some(RefundState::Failed));
    assert_eq!(store.order(order.id).await.expect("an order"), Some(refused));
    bench.expect_sound_books().await;

    let expected = Some((order.id, payment));
    for reference in [
        PaymentRef::Id(payment),
        PaymentRef::Intent("pi_paid"),
        PaymentRef::Refund(second),
        PaymentRef::StripeRefund("re_1"),
    ] {
        assert_eq!(store.find_payment(&reference).await.expect("an answer"), expected, "{reference:?}");
    }
    assert_eq!(store.find_payment(&PaymentRef::Session("cs_1")).await.expect("an answer"), None);

    let rows = store.payments_between(NOW, NOW + 1, None, 10).await.expect("payments");
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.id, row.order, row.state, row.captured_minor), (payment, order.id, PaymentState::Succeeded, 500));
    let refunds = [(Some("re_1".to_owned()), RefundState::Succeeded, 200), (None, RefundState::Failed, 300)];
    assert_eq!(row.refunds, refunds);
    assert_eq!(store.payments_between(NOW, NOW + 1, Some(payment), 10).await.expect("none"), []);
    assert_eq!(store.payments_between(NOW + 1, NOW + 2, None, 10).await.expect("none"), []);
}

#[tokio::test]
async fn a_charge_after_the_end_goes_back_and_is_noted_once() {
    let bench = Bench::start().await;
    let store = &bench.store;
    bench.set_stock("lamp", 1).await;
    let placed = bench.place(&[("lamp", 1)]).await;
    let payment = PaymentId::new();
    let order = bench.open(placed.id, payment).await;
    let over = NOW + HOLD_MS;
    let dead = News::PaymentDead { payment, failure: "never_made".to_owned() };
    let order = bench.tell(order.id, dead, over).await;
    assert_eq!((order.state, order.checkout_state), (OrderState::Cancelled, CheckoutState::Expired));
    assert_eq!(bench.stock("lamp").await, (1, 0));
    for _ in 0..2 {
        let order = bench.tell(order.id, succeeded(payment, "pi_late", order.total), over).await;
        assert_eq!(order.refunds.iter().map(|refund| refund.id).collect::<Vec<_>>(), [RefundId::like(payment)]);
    }
    let expected = FoundBreak {
        kind: BreakKind::ChargedAfterCancel,
        reference: payment.to_string(),
        detail: "a person looks at it".to_owned(),
    };
    store.record_break(&expected, over).await.expect("it is noted already");
    let breaks = store.breaks(10).await.expect("breaks");
    assert_eq!(
        breaks.iter().map(|one| (one.kind, &one.reference)).collect::<Vec<_>>(),
        [(expected.kind, &expected.reference)]
    );
    assert_ne!(breaks[0].detail, expected.detail, "the first stays");
    assert_eq!(store.backlog(over).await.expect("a backlog").open_breaks, 1);
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn what_is_due_is_handed_to_one_at_a_time() {
    let bench = Bench::start().await;
    let store = &bench.store;
    bench.set_stock("lamp", 9).await;
    let (asked, payment) = (bench.place(&[("lamp", 1)]).await, PaymentId::new());
    let asked = bench.open(asked.id, payment).await;
    let due_ms = asked.payments[0].next_check_ms.expect("a payment that is under way is looked at");
    assert_eq!(store.due_orders(10, 1_000, due_ms - 1).await.expect("none"), []);
    assert_eq!(store.due_orders(10, 1_000, due_ms).await.expect("one"), [asked.id]);
    assert_eq!(store.due_orders(10, 1_000, due_ms + 999).await.expect("none"), []);
    assert_eq!(store.due_orders(10, 1_000, due_ms + 1_000).await.expect("one"), [asked.id]);
    let backlog = store.backlog(NOW).await.expect("a backlog");
    assert_eq!((backlog.payments_unanswered, backlog.payments_waiting, backlog.checkouts_held), (1, 0, 0));
    bench.tell(asked.id, intent(payment, "pi_1", IntentStatus::Processing, euros(0)), NOW).await;
    let backlog = store.backlog(NOW).await.expect("a backlog");
    assert_eq!((backlog.payments_unanswered, backlog.payments_waiting), (0, 1));

    // Nobody pays this one any more, and only the clock can end it.
    let (left, payment) = (bench.place(&[("lamp", 1)]).await, PaymentId::new());
    let left = bench.open(left.id, payment).await;
    bench.tell(left.id, News::PaymentDead { payment, failure: "refused".to_owned() }, NOW).await;
    let over = NOW + HOLD_MS;
    assert!(!store.due_orders(10, 1_000, over - 1).await.expect("orders").contains(&left.id));
    assert!(store.due_orders(10, 1_000, over).await.expect("orders").contains(&left.id));
    assert!(!store.due_orders(10, 1_000, over + 999).await.expect("orders").contains(&left.id));
    let ended = bench.tell(left.id, News::HoldOver, over + 999).await;
    assert_eq!(ended.state, OrderState::Cancelled);
    assert!(!store.due_orders(10, 1_000, over + 1_000).await.expect("orders").contains(&left.id));
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn orders_are_listed_newest_first_and_page_by_page() {
    let bench = Bench::start().await;
    let store = &bench.store;
    bench.set_stock("lamp", 9).await;
    let mut newest_first = Vec::new();
    for _ in 0..3 {
        let placed = bench.place(&[("lamp", 1)]).await;
        newest_first.insert(0, bench.open(placed.id, PaymentId::new()).await.id);
    }
    let listed = async |filter: OrderFilter| {
        let rows = store.orders(&filter).await.expect("orders");
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let all = OrderFilter { limit: 10, ..OrderFilter::default() };
    assert_eq!(listed(all.clone()).await, newest_first);
    assert_eq!(listed(OrderFilter { limit: 2, ..all.clone() }).await, newest_first[..2]);
    assert_eq!(listed(OrderFilter { before: Some(newest_first[1]), ..all.clone() }).await, newest_first[2..]);
    assert_eq!(listed(OrderFilter { state: Some(OrderState::Paid), ..all.clone() }).await, []);
    assert_eq!(listed(OrderFilter { from_ms: Some(NOW + 1), ..all.clone() }).await, []);
    assert_eq!(listed(OrderFilter { to_ms: Some(NOW), ..all.clone() }).await, []);
    let these =
        OrderFilter { state: Some(OrderState::PendingPayment), from_ms: Some(NOW), to_ms: Some(NOW + 1), ..all };
    assert_eq!(listed(these).await, newest_first);
}

#[tokio::test]
async fn an_event_of_the_inbox_is_applied_with_the_order() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let (order, _) = bench.paid().await;
    let event = NewInboxEvent { id: "evt_1", kind: "charge.updated", body: b"{}", received_ms: NOW };
    assert!(store.receive(&event).await.expect("received"));
    let refused = |_: &mut Order| -> Result<Effects, Refusal> { Err(Refusal::NothingToPay) };
    let outcome = store.change_order(order.id, &refused, &ClaimUse::None, None, Some("evt_1"), NOW).await;
    assert_eq!(refusal(outcome), Refusal::NothingToPay);
    assert_eq!(store.backlog(NOW + 5).await.expect("a backlog").oldest_inbox_ms, 5, "it was not applied");
    done(store.change_order(order.id, &nothing, &ClaimUse::None, None, Some("evt_1"), NOW).await);
    assert_eq!(store.due_events(10, 1_000, NOW).await.expect("none"), []);
}
