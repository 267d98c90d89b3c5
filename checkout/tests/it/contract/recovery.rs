//! What is due is handed out once, and what is over ends.

use checkout::domain::{
    BreakKind, Checkout, CheckoutState, Effects, IntentStatus, News, Order, PaymentState, RefundState, Refusal,
};
use checkout::ids::{OrderId, RefundId};
use checkout::store::{ClaimUse, FoundBreak, OpenBreak, Resolution, StockChange, Store, StoreSettings};

use super::shop::{
    ALL, HOLD_MS, LEASE_MS, NOW, audit, begin_refund, checkout, done, eur, intent, nothing, open_order, paid_order,
    place, refused, set_stock, stock, tell, tell_at,
};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("checkouts that are over give their stock back", |bench| Box::pin(expired(bench))),
    ("checkouts that came to nothing are swept, and nothing else", |bench| Box::pin(abandoned(bench))),
    ("orders are due when their payments are", |bench| Box::pin(due_by_payment(bench))),
    ("orders are due when their refunds are", |bench| Box::pin(due_by_refund(bench))),
    ("orders are due when nobody pays any more", |bench| Box::pin(due_by_hold(bench))),
    ("no more are handed out than asked for", |bench| Box::pin(due_in_parts(bench))),
    ("whoever waits longest is handed out first", |bench| Box::pin(longest_first(bench))),
    ("money that is under way holds nobody up", |bench| Box::pin(late_money(bench))),
    ("payments are compared page by page", |bench| Box::pin(compared(bench))),
    ("a note is in the audit", |bench| Box::pin(audited(bench))),
    ("a break is noted once", |bench| Box::pin(breaks_once(bench))),
    ("a break that was dealt with opens when it says something else", |bench| Box::pin(break_resolved(bench))),
    ("stock is set, adjusted and bounded", |bench| Box::pin(stock_changes(bench))),
    ("the backlog counts what waits", |bench| Box::pin(backlog(bench))),
];

async fn due(store: &dyn Store, now_ms: i64) -> Vec<OrderId> {
    store.due_orders(ALL, LEASE_MS, now_ms).await.expect("orders")
}

async fn expired(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(place(store, &checkout(&[("boots", 2, 100)])).await);
    }
    let with_order = place(store, &checkout(&[("boots", 1, 100)])).await;
    open_order(store, with_order.id).await;
    assert_eq!(store.expire_checkouts(ALL, NOW + HOLD_MS - 1).await.expect("none is over"), 0);
    assert_eq!(store.expire_checkouts(2, NOW + HOLD_MS).await.expect("two are over"), 2);
    assert_eq!(stock(store, "boots").await, (7, 3));
    assert_eq!(store.expire_checkouts(ALL, NOW + HOLD_MS).await.expect("one is over"), 1);
    assert_eq!(store.expire_checkouts(ALL, NOW + HOLD_MS).await.expect("none is left"), 0);
    assert_eq!(stock(store, "boots").await, (9, 1));
    for one in open {
        let state = store.checkout(one.id).await.expect("it is read").map(|checkout| checkout.state);
        assert_eq!(state, Some(CheckoutState::Expired));
    }
    let state = store.checkout(with_order.id).await.expect("it is read").map(|checkout| checkout.state);
    assert_eq!(state, Some(CheckoutState::Completing));
}

/// Whoever begins a checkout and goes away left a row for ever.
async fn abandoned(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 20).await;
    let mut over = Vec::new();
    for _ in 0..2 {
        let cancelled = place(store, &checkout(&[("boots", 1, 100)])).await;
        done(store.cancel_checkout(cancelled.id, &ClaimUse::None, NOW).await);
        over.push(cancelled.id);
    }
    over.push(place(store, &checkout(&[("boots", 2, 100)])).await.id);
    // One is still open, and others have an order: unpaid, cancelled, paid.
    let open = Checkout { held_until_ms: NOW + 2 * HOLD_MS, ..checkout(&[("boots", 1, 100)]) };
    let mut kept = vec![place(store, &open).await.id];
    for ends in [false, true] {
        let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
        let (order, payment) = open_order(store, placed.id).await;
        if ends {
            tell(store, order.id, News::CancelRequested).await;
            let dead = News::PaymentDead { payment, failure: "never_made".to_owned() };
            assert_eq!(tell(store, order.id, dead).await.checkout_state, CheckoutState::Cancelled);
        }
        kept.push(placed.id);
    }
    kept.push(paid_order(store, 100).await.0.checkout);
    let ended_ms = NOW + HOLD_MS;
    assert_eq!(store.expire_checkouts(ALL, ended_ms).await.expect("one is over"), 1);

    assert_eq!(store.sweep_checkouts(NOW, ALL).await.expect("none is old"), 0);
    assert_eq!(store.sweep_checkouts(ended_ms, 1).await.expect("one at most"), 1);
    assert_eq!(store.sweep_checkouts(ended_ms, ALL).await.expect("the other that was cancelled"), 1);
    assert_eq!(store.sweep_checkouts(ended_ms + 1, ALL).await.expect("the one that expired"), 1);
    assert_eq!(store.sweep_checkouts(NOW + 1_000 * HOLD_MS, ALL).await.expect("no other"), 0);
    for id in over {
        assert_eq!(store.checkout(id).await.expect("it is looked for"), None);
    }
    for id in kept {
        assert!(store.checkout(id).await.expect("it is read").is_some());
    }
    assert_eq!(bench.count("SELECT count(*) FROM checkout_lines").await, 4);
    assert_eq!(stock(store, "boots").await, (17, 2));
    assert_eq!(bench.count("SELECT count(*) FROM audit").await, 1);
}

async fn due_by_payment(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    let check_ms = order.payments[0].next_check_ms.expect("a check is due");
    assert!(due(store, check_ms - 1).await.is_empty());
    assert_eq!(due(store, check_ms).await, [order.id]);
    // Another process does not get it as well, until the lease is over.
    let other = bench.another(StoreSettings::default()).await;
    assert!(due(other.as_ref(), check_ms + LEASE_MS - 1).await.is_empty());
    assert_eq!(due(other.as_ref(), check_ms + LEASE_MS).await, [order.id]);
    tell(store, order.id, intent(payment, IntentStatus::Succeeded, eur(200))).await;
    assert!(due(store, NOW + 100 * HOLD_MS).await.is_empty());
}

async fn due_by_refund(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 1_000).await;
    let refund = RefundId::new();
    let change = begin_refund(refund, None);
    let order = done(store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await);
    let check_ms = order.refunds[0].next_check_ms.expect("a check is due");
    assert!(due(store, check_ms - 1).await.is_empty());
    assert_eq!(due(store, check_ms).await, [order.id]);
    assert!(due(store, check_ms + 1).await.is_empty());
    let news = News::Refund {
        refund: Some(refund),
        payment,
        stripe_refund: "re_1".to_owned(),
        state: RefundState::Succeeded,
        amount: eur(1_000),
        failure: None,
    };
    tell(store, order.id, news).await;
    assert!(due(store, NOW + 100 * HOLD_MS).await.is_empty());
}

async fn due_by_hold(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    tell(store, order.id, News::PaymentDead { payment, failure: "expired_card".to_owned() }).await;
    assert!(due(store, NOW + HOLD_MS - 1).await.is_empty());
    assert_eq!(due(store, NOW + HOLD_MS).await, [order.id]);
    assert!(due(store, NOW + HOLD_MS + LEASE_MS - 1).await.is_empty());
    assert_eq!(due(store, NOW + HOLD_MS + LEASE_MS).await, [order.id]);
    tell_at(store, order.id, News::HoldOver, NOW + HOLD_MS + LEASE_MS).await;
    assert!(due(store, NOW + 100 * HOLD_MS).await.is_empty());
    assert_eq!(stock(store, "boots").await, (10, 0));
}

async fn due_in_parts(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    let mut expected = Vec::new();
    for number in 0..5 {
        let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
        // Some have a payment, and some do not.
        let order = match number % 2 {
            0 => open_order(store, placed.id).await.0,
            _ => done(store.open_order(placed.id, OrderId::new(), &nothing, &ClaimUse::None, NOW).await),
        };
        expected.push(order.id);
    }
    let mut handed_out = Vec::new();
    for _ in 0..20 {
        let part = store.due_orders(2, LEASE_MS, NOW + HOLD_MS).await.expect("orders");
        assert!(part.len() <= 2, "{part:?}");
        handed_out.extend(part);
    }
    handed_out.sort();
    assert_eq!(handed_out, expected);
}

/// An order whose payment is in this state, and is to be looked at then.
async fn order_due_at(store: &dyn Store, held_until_ms: i64, state: PaymentState, check_ms: Option<i64>) -> OrderId {
    let new = Checkout { held_until_ms, ..checkout(&[("boots", 1, 100)]) };
    let (order, _) = open_order(store, place(store, &new).await.id).await;
    let change = |order: &mut Order| -> Result<Effects, Refusal> {
        order.payments[0].state = state;
        order.payments[0].next_check_ms = check_ms;
        Ok(Effects::default())
    };
    done(store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await).id
}

/// Payments came first, so that many of them kept refunds and ends of holds waiting for ever.
async fn longest_first(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    let over_ms = NOW + HOLD_MS;
    let later = order_due_at(store, over_ms + LEASE_MS, PaymentState::Unknown, Some(over_ms + 1)).await;
    let ended = order_due_at(store, over_ms, PaymentState::Failed, None).await;
    for expected in [vec![ended], vec![later], vec![]] {
        assert_eq!(store.due_orders(1, LEASE_MS, over_ms + 2).await.expect("orders"), expected);
    }
}

/// Orders whose late method took days were looked at every few seconds, before those whose hold ended after theirs.
async fn late_money(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    let (over_ms, far_ms) = (NOW + HOLD_MS, NOW + 1_000 * HOLD_MS);
    let late = order_due_at(store, over_ms, PaymentState::Processing, Some(far_ms)).await;
    let next_ms = over_ms + LEASE_MS + 1;
    let ended = order_due_at(store, next_ms, PaymentState::Failed, None).await;
    assert!(store.due_orders(1, LEASE_MS, over_ms).await.expect("orders").is_empty());
    assert_eq!(store.due_orders(1, LEASE_MS, next_ms).await.expect("orders"), [ended]);
    assert!(due(store, far_ms).await.contains(&late));
}

async fn compared(bench: Bench) {
    let store = bench.store.as_ref();
    let mut expected = Vec::new();
    for number in 0..5 {
        let (order, payment) = paid_order(store, 1_000 + number).await;
        expected.push((payment, order.id));
    }
    let change = begin_refund(RefundId::new(), Some(eur(10)));
    done(store.change_order(expected[4].1, &change, &ClaimUse::None, None, None, NOW).await);
    assert!(store.payments_between(NOW + 1, NOW + 2, None, ALL).await.expect("payments").is_empty());
    assert!(store.payments_between(NOW - 1, NOW, None, ALL).await.expect("payments").is_empty());
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = store.payments_between(NOW, NOW + 1, after, 2).await.expect("payments");
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        assert!(page.len() <= 2);
        pages.extend(page);
    }
    assert_eq!(pages.iter().map(|row| (row.id, row.order)).collect::<Vec<_>>(), expected);
    let last = &pages[4];
    assert_eq!((last.state, last.amount, last.captured_minor), (PaymentState::Succeeded, eur(1_004), 1_004));
    assert_eq!(last.intent, Some(format!("pi_{}", last.id)));
    assert_eq!(last.refunds, [(None, RefundState::Requesting, 10)]);
}

async fn audited(bench: Bench) {
    bench.store.note(&audit(), NOW).await.expect("it is noted");
    assert_eq!(bench.count("SELECT count(*) FROM audit WHERE actor = 'a clerk' AND action = 'stock.set'").await, 1);
}

async fn breaks_once(bench: Bench) {
    let store = bench.store.as_ref();
    let found = FoundBreak {
        kind: BreakKind::UnknownCharge,
        reference: "pi_1".to_owned(),
        detail: "12.00 EUR that nobody asked for".to_owned(),
    };
    for _ in 0..2 {
        store.record_break(&found, NOW).await.expect("it is noted");
    }
    let other = FoundBreak { kind: BreakKind::RefundDiffers, ..found.clone() };
    store.record_break(&other, NOW + 1).await.expect("it is noted");
    let mut breaks = store.breaks(ALL).await.expect("breaks");
    breaks.sort_by_key(|one| one.kind != BreakKind::UnknownCharge);
    let noted = |one: &FoundBreak, found_ms: i64| OpenBreak {
        kind: one.kind,
        reference: one.reference.clone(),
        detail: one.detail.clone(),
        found_ms,
    };
    assert_eq!(breaks, [noted(&found, NOW), noted(&other, NOW + 1)]);
    assert_eq!(store.breaks(1).await.expect("breaks").len(), 1);
    assert_eq!(store.backlog(NOW).await.expect("a backlog").open_breaks, 2);
}

/// Nobody could say that a break was dealt with: the alert on it never ended.
async fn break_resolved(bench: Bench) {
    let store = bench.store.as_ref();
    let found = FoundBreak {
        kind: BreakKind::UnknownCharge,
        reference: "pi_1".to_owned(),
        detail: "12.00 EUR that nobody asked for".to_owned(),
    };
    store.record_break(&found, NOW).await.expect("it is noted");
    let resolution =
        Resolution { kind: BreakKind::UnknownCharge, reference: "pi_1", reason: "sent back", actor: "anna" };
    let other = Resolution { kind: BreakKind::RefundDiffers, ..resolution };
    assert!(!store.resolve_break(&other, NOW + 1).await.expect("an answer"), "that is another one");
    assert!(store.resolve_break(&resolution, NOW + 1).await.expect("an answer"));
    assert!(!store.resolve_break(&resolution, NOW + 2).await.expect("an answer"), "it is dealt with");
    assert!(store.breaks(ALL).await.expect("breaks").is_empty());
    assert_eq!(store.backlog(NOW).await.expect("a backlog").open_breaks, 0);
    assert_eq!(bench.count("SELECT count(*) FROM audit WHERE action = 'break.resolve' AND actor = 'anna'").await, 1);
    // The comparison of the next night finds it once more.
    store.record_break(&found, NOW + 2).await.expect("it is noted");
    assert!(store.breaks(ALL).await.expect("breaks").is_empty());
    let other = FoundBreak { detail: "13.00 EUR".to_owned(), ..found };
    store.record_break(&other, NOW + 3).await.expect("it is noted");
    let breaks = store.breaks(ALL).await.expect("breaks");
    assert_eq!(
        breaks.iter().map(|one| (one.detail.as_str(), one.found_ms)).collect::<Vec<_>>(),
        [("13.00 EUR", NOW + 3)]
    );
    assert_eq!(store.backlog(NOW).await.expect("a backlog").open_breaks, 1);
}

async fn stock_changes(bench: Bench) {
    let store = bench.store.as_ref();
    let level = set_stock(store, "boots", 10).await;
    assert_eq!((level.product.as_str(), level.available, level.held), ("boots", 10, 0));
    place(store, &checkout(&[("boots", 4, 100)])).await;
    let adjust = |by: i64| StockChange::Adjust { product: "boots".to_owned(), by, reason: "broken".to_owned() };
    let levels = done(store.change_stock(&[adjust(-2), adjust(5)], &ClaimUse::None, &audit(), NOW).await);
    assert_eq!(levels.iter().map(|level| (level.available, level.held)).collect::<Vec<_>>(), [(9, 4)]);
    let refusal = refused(store.change_stock(&[adjust(-10)], &ClaimUse::None, &audit(), NOW).await);
    assert_eq!(refusal, Refusal::StockOutOfBounds(-1));
    // All of a call or nothing.
    let other = StockChange::Set { product: "lamp".to_owned(), available: 1, reason: "new".to_owned() };
    refused(store.change_stock(&[other, adjust(-10)], &ClaimUse::None, &audit(), NOW).await);
    assert_eq!(store.stock("lamp").await.expect("it is looked for"), None);
    assert_eq!(stock(store, "boots").await, (9, 4));
    assert_eq!(set_stock(store, "boots", 0).await.available, 0);
    assert_eq!(stock(store, "boots").await, (0, 4));
}

async fn backlog(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    place(store, &checkout(&[("boots", 1, 100)])).await;
    let unanswered = place(store, &checkout(&[("boots", 1, 100)])).await;
    open_order(store, unanswered.id).await;
    let waiting = place(store, &checkout(&[("boots", 1, 100)])).await;
    let (order, payment) = open_order(store, waiting.id).await;
    tell(store, order.id, intent(payment, IntentStatus::RequiresAction, eur(0))).await;
    let (paid, _) = paid_order(store, 1_000).await;
    let change = begin_refund(RefundId::new(), Some(eur(10)));
    done(store.change_order(paid.id, &change, &ClaimUse::None, None, None, NOW).await);
    let backlog = store.backlog(NOW).await.expect("a backlog");
    assert_eq!((backlog.payments_unanswered, backlog.payments_waiting, backlog.refunds_open), (1, 1, 1));
    assert_eq!((backlog.checkouts_held, backlog.inbox, backlog.outbox), (1, 0, 4));
    store.ping().await.expect("it answers");
}
