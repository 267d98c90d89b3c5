//! Orders are made once and change in turn.

use checkout::domain::{
    CheckoutState, Effects, IntentStatus, News, Order, OrderState, PaymentMethod, PaymentState, RefundState, Refusal,
};
use checkout::ids::{CheckoutId, OrderId, PaymentId, RefundId};
use checkout::store::{ClaimUse, NewInboxEvent, OrderFilter, PaymentRef, Store};
use futures::future::join_all;

use super::shop::{
    ALL, HOLD_MS, LEASE_MS, NOW, audit, begin_payment, begin_refund, checkout, deliver_all, done, eur, hear, intent,
    kinds, named, nothing, open_order, paid_order, place, refused, set_stock, stock, tell, tell_at,
};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("an order is made of its checkout", |bench| Box::pin(made_of_its_checkout(bench))),
    ("an order is made once, however many ask", |bench| Box::pin(made_once(bench))),
    ("an order is not made of what is over", |bench| Box::pin(not_made(bench))),
    ("an order that ends as it is made gives its stock back", |bench| Box::pin(made_and_ended(bench))),
    ("one payment of many is begun", |bench| Box::pin(one_payment(bench))),
    ("a change that changes nothing writes nothing", |bench| Box::pin(nothing_changes(bench))),
    ("a change that is refused writes nothing", |bench| Box::pin(refused_change(bench))),
    ("changes happen in turn", |bench| Box::pin(in_turn(bench))),
    ("payments are found by what Stripe calls them", |bench| Box::pin(found(bench))),
    ("orders are listed newest first", |bench| Box::pin(listed(bench))),
];

async fn made_of_its_checkout(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    set_stock(store, "lamp", 5).await;
    let mut new = checkout(&[("boots", 2, 8_950), ("lamp", 1, 4_999)]);
    new.shipping_address = Some(serde_json::json!({ "city": "Köln" }));
    new.email = Some("ada@example.com".to_owned());
    place(store, &new).await;
    assert_eq!(store.order_of_checkout(new.id).await.expect("it is looked for"), None);
    let (order, payment) = open_order(store, new.id).await;
    assert_eq!(
        (order.state, order.checkout_state, order.version),
        (OrderState::PendingPayment, CheckoutState::Completing, 1)
    );
    assert_eq!((&order.lines, order.total, &order.email), (&new.lines, new.total, &new.email));
    assert_eq!((&order.shipping_address, order.token_hash), (&new.shipping_address, new.token_hash));
    assert_eq!(order.live_payment().map(|one| (one.id, one.amount)), Some((payment, new.total)));
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(order.clone()));
    assert_eq!(store.order_of_checkout(new.id).await.expect("it is found"), Some(order.id));
    let checkout = store.checkout(new.id).await.expect("it is read").expect("it is there");
    assert_eq!(checkout.state, CheckoutState::Completing);
    assert_eq!(stock(store, "boots").await, (3, 2));
    assert_eq!(store.order(OrderId::new()).await.expect("it is looked for"), None);
    let events = deliver_all(store, NOW).await;
    let subject = format!("orders/{}", order.id);
    assert_eq!(kinds(&events, &subject), named(&[("order.created", 1)]));
    let event = events.iter().find(|event| event.subject == subject).expect("the event");
    assert_eq!(event.data, order.event_data(1));
}

async fn made_once(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let tries = (0..10).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(
            async move { done(store.open_order(placed.id, OrderId::new(), &nothing, &ClaimUse::None, NOW).await) },
        )
    });
    let orders: Vec<Order> = join_all(tries).await.into_iter().map(|order| order.expect("it ends")).collect();
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    let events = deliver_all(store, NOW).await;
    assert_eq!(kinds(&events, &format!("orders/{}", orders[0].id)), named(&[("order.created", 1)]));
}

async fn refused_to_open(store: &dyn Store, checkout: CheckoutId, now_ms: i64) -> Refusal {
    refused(store.open_order(checkout, OrderId::new(), &nothing, &ClaimUse::None, now_ms).await)
}

async fn not_made(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    assert!(matches!(refused_to_open(store, CheckoutId::new(), NOW).await, Refusal::NotFound(_)));
    let late = place(store, &checkout(&[("boots", 1, 100)])).await;
    assert_eq!(refused_to_open(store, late.id, NOW + HOLD_MS).await, Refusal::HoldOver);
    let cancelled = place(store, &checkout(&[("boots", 1, 100)])).await;
    done(store.cancel_checkout(cancelled.id, &ClaimUse::None, NOW).await);
    assert_eq!(refused_to_open(store, cancelled.id, NOW).await, Refusal::CheckoutClosed(CheckoutState::Cancelled));
    let free = place(store, &checkout(&[("boots", 1, 0)])).await;
    assert_eq!(refused_to_open(store, free.id, NOW).await, Refusal::NothingToPay);
    // Whoever may not begin a payment makes no order either.
    let refuse = begin_payment(PaymentId::new(), NOW + HOLD_MS);
    let outcome = store.open_order(late.id, OrderId::new(), &refuse, &ClaimUse::None, NOW).await;
    assert_eq!(refused(outcome), Refusal::HoldOver);
    assert_eq!(store.order_of_checkout(late.id).await.expect("it is looked for"), None);
}

async fn made_and_ended(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let payment = PaymentId::new();
    let change = |order: &mut Order| -> Result<Effects, Refusal> {
        order.begin_payment(payment, PaymentMethod::PaymentIntent, None, NOW)?;
        order.apply(&News::CancelRequested, NOW)?;
        order.apply(&News::PaymentDead { payment, failure: "refused".to_owned() }, NOW)
    };
    let order = done(store.open_order(placed.id, OrderId::new(), &change, &ClaimUse::None, NOW).await);
    assert_eq!((order.state, order.checkout_state), (OrderState::Cancelled, CheckoutState::Cancelled));
    assert_eq!(store.order(order.id).await.expect("it is read").as_ref(), Some(&order));
    assert_eq!(stock(store, "boots").await, (5, 0));
    let events = deliver_all(store, NOW).await;
    let expected = named(&[("order.created", 1), ("order.cancelled", 2)]);
    assert_eq!(kinds(&events, &format!("orders/{}", order.id)), expected);
}

async fn one_payment(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 5).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let order = done(store.open_order(placed.id, OrderId::new(), &nothing, &ClaimUse::None, NOW).await);
    let tries = (0..10).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let change = begin_payment(PaymentId::new(), NOW);
            store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await
        })
    });
    let outcomes: Vec<_> = join_all(tries).await.into_iter().map(|outcome| outcome.expect("it ends")).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(refused(outcome), Refusal::PaymentInProgress);
    }
    let order = store.order(order.id).await.expect("it is read").expect("it is there");
    assert_eq!(order.payments.len(), 1);
    // When Stripe says that nothing comes of it, another one may be begun.
    let dead = News::PaymentDead { payment: order.payments[0].id, failure: "expired_card".to_owned() };
    tell(store, order.id, dead).await;
    let second = PaymentId::new();
    let change = begin_payment(second, NOW);
    let order = done(store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await);
    let states: Vec<_> = order.payments.iter().map(|payment| payment.state).collect();
    assert_eq!(states, [PaymentState::Failed, PaymentState::Requesting]);
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(order));
}

async fn nothing_changes(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 100).await;
    deliver_all(store, NOW).await;
    let event = NewInboxEvent { id: "evt_1", kind: "payment_intent.succeeded", body: b"{}", received_ms: NOW };
    assert!(store.receive(&event).await.expect("it is new"));
    let again = hear(intent(payment, IntentStatus::Succeeded, eur(100)), NOW + 5);
    let same = store.change_order(order.id, &again, &ClaimUse::None, Some(&audit()), Some("evt_1"), NOW + 5).await;
    assert_eq!(done(same), order);
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(order));
    assert!(deliver_all(store, NOW + 5).await.is_empty());
    // The event is dealt with all the same.
    assert!(store.due_events(ALL, LEASE_MS, NOW + 10).await.expect("events").is_empty());
}

async fn refused_change(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, _) = paid_order(store, 100).await;
    let change = |order: &mut Order| -> Result<Effects, Refusal> {
        order.cancel_requested = true;
        Err(Refusal::NothingToPay)
    };
    let outcome = store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await;
    assert_eq!(refused(outcome), Refusal::NothingToPay);
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(order));
    let unknown = store.change_order(OrderId::new(), &nothing, &ClaimUse::None, None, None, NOW).await;
    assert!(matches!(refused(unknown), Refusal::NotFound(_)));
}

async fn in_turn(bench: Bench) {
    let (order, _) = paid_order(bench.store.as_ref(), 1_000).await;
    let tries = (0..20).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let change = begin_refund(RefundId::new(), Some(eur(10)));
            done(store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await);
        })
    });
    for outcome in join_all(tries).await {
        outcome.expect("it ends");
    }
    let order = bench.store.order(order.id).await.expect("it is read").expect("it is there");
    assert_eq!((order.refunds.len(), order.payments[0].refunded_minor), (20, 200));
}

async fn found(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 1_000).await;
    let refund = RefundId::new();
    let change = begin_refund(refund, Some(eur(10)));
    done(store.change_order(order.id, &change, &ClaimUse::None, None, None, NOW).await);
    let news = News::Refund {
        refund: Some(refund),
        payment,
        stripe_refund: "re_1".to_owned(),
        state: RefundState::Pending,
        amount: eur(10),
        failure: None,
    };
    tell(store, order.id, news).await;
    let hosted = place(store, &checkout(&[("boots", 1, 100)])).await;
    let (hosted, page) = open_order(store, hosted.id).await;
    let news = News::Session { payment: page, session: "cs_1".to_owned(), hosted_url: Some("https://pay".to_owned()) };
    tell(store, hosted.id, news).await;
    let intent = format!("pi_{payment}");
    for (reference, expected) in [
        (PaymentRef::Id(payment), (order.id, payment)),
        (PaymentRef::Intent(&intent), (order.id, payment)),
        (PaymentRef::Refund(refund), (order.id, payment)),
        (PaymentRef::StripeRefund("re_1"), (order.id, payment)),
        (PaymentRef::Session("cs_1"), (hosted.id, page)),
    ] {
        assert_eq!(store.find_payment(&reference).await.expect("it is found"), Some(expected), "{reference:?}");
    }
    for reference in [
        PaymentRef::Id(PaymentId::new()),
        PaymentRef::Intent("cs_1"),
        PaymentRef::Session("pi_unknown"),
        PaymentRef::Refund(RefundId::new()),
        PaymentRef::StripeRefund("re_2"),
    ] {
        assert_eq!(store.find_payment(&reference).await.expect("it is looked for"), None, "{reference:?}");
    }
}

async fn ask(store: &dyn Store, filter: OrderFilter) -> Vec<OrderId> {
    let rows = store.orders(&filter).await.expect("they are listed");
    rows.into_iter().map(|row| row.id).collect()
}

async fn listed(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 50).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let placed = place(store, &checkout(&[("boots", 1, 100 + number)])).await;
        let order = done(store.open_order(placed.id, OrderId::new(), &nothing, &ClaimUse::None, NOW + number).await);
        ids.push(order.id);
    }
    let newest_first: Vec<OrderId> = ids.iter().rev().copied().collect();
    let all = OrderFilter { limit: ALL, ..OrderFilter::default() };
    assert_eq!(ask(store, all.clone()).await, newest_first);
    assert_eq!(ask(store, OrderFilter { limit: 2, ..all.clone() }).await, newest_first[..2]);
    assert_eq!(ask(store, OrderFilter { before: Some(ids[3]), limit: 2, ..all.clone() }).await, [ids[2], ids[1]]);
    let between = OrderFilter { from_ms: Some(NOW + 1), to_ms: Some(NOW + 3), ..all.clone() };
    assert_eq!(ask(store, between).await, [ids[2], ids[1]]);
    tell_at(store, ids[1], News::CancelRequested, NOW + 9).await;
    let cancelled = OrderFilter { state: Some(OrderState::Cancelled), ..all.clone() };
    assert_eq!(ask(store, cancelled).await, [ids[1]]);
    let rows = store.orders(&OrderFilter { limit: 1, ..all }).await.expect("they are listed");
    let row = &rows[0];
    assert_eq!((row.total, row.created_ms, row.market.as_str()), (eur(104), NOW + 4, "de"));
    assert_eq!(row.state, OrderState::PendingPayment);
}
