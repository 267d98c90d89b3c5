//! Checkouts, orders and keys as cases need them.

use checkout::domain::{Checkout, CheckoutState, Effects, IntentStatus, Line, News, Order, PaymentMethod, Refusal};
use checkout::ids::{CheckoutId, OrderId, PaymentId, RefundId};
use checkout::store::{
    Answer, Audit, Claim, ClaimUse, Claimed, OutboxEvent, StockChange, StockLevel, Store, StoreError,
};
use snapshots::{Currency, Money};

/// The moment that cases begin at.
pub const NOW: i64 = 1_900_000_000_000;
/// How long stock is held.
pub const HOLD_MS: i64 = 600_000;
/// How long a key or a row is kept for one worker.
pub const LEASE_MS: i64 = 60_000;
/// More than any case writes.
pub const ALL: u32 = 1_000;
/// A store that is asked too much at once says so; clients of the cases ask again.
const MAX_ASKED: u32 = 50;

pub fn eur(amount_minor: i64) -> Money {
    Money::from_minor(amount_minor, currency())
}

pub fn currency() -> Currency {
    "EUR".parse().expect("a currency")
}

/// An open checkout of so many units of products at a price.
pub fn checkout(lines: &[(&str, u32, i64)]) -> Checkout {
    let line = |(product, quantity, price): &(&str, u32, i64)| Line {
        product: (*product).to_owned(),
        title: format!("A {product}"),
        quantity: *quantity,
        unit_price: eur(*price),
    };
    let mut lines: Vec<Line> = lines.iter().map(line).collect();
    lines.sort_by(|one, other| one.product.cmp(&other.product));
    let mut checkout = Checkout {
        id: CheckoutId::new(),
        state: CheckoutState::Open,
        version: 1,
        market: "de".to_owned(),
        currency: currency(),
        lines,
        total: eur(0),
        snapshot: "a-snapshot".to_owned(),
        held_until_ms: NOW + HOLD_MS,
        cart: None,
        email: None,
        shipping_address: None,
        token_hash: [7; 32],
        created_ms: NOW,
    };
    checkout.total = checkout.sum_of_lines().expect("a sum");
    checkout
}

pub fn audit() -> Audit {
    Audit {
        actor: "a clerk".to_owned(),
        action: "stock.set".to_owned(),
        subject: "products".to_owned(),
        detail: serde_json::json!({ "why": "a test" }),
    }
}

pub async fn set_stock(store: &dyn Store, product: &str, available: i64) -> StockLevel {
    set_stock_at(store, product, available, NOW).await
}

pub async fn set_stock_at(store: &dyn Store, product: &str, available: i64, now_ms: i64) -> StockLevel {
    let set = StockChange::Set { product: product.to_owned(), available, reason: "counted".to_owned() };
    let levels = done(store.change_stock(&[set], &ClaimUse::None, &audit(), now_ms).await);
    levels.into_iter().next().expect("a level")
}

/// What can be sold, and what is held.
pub async fn stock(store: &dyn Store, product: &str) -> (i64, i64) {
    let level = store.stock(product).await.expect("stock is read").expect("it is tracked");
    (level.available, level.held)
}

/// What must have been done.
pub fn done<T: std::fmt::Debug>(claimed: Result<Claimed<T>, StoreError>) -> T {
    match claimed {
        Ok(Claimed::Done(done, _)) => done,
        other => panic!("it was not done: {other:?}"),
    }
}

/// Why it must have been refused.
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> Refusal {
    match outcome {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("it was not refused: {other:?}"),
    }
}

pub async fn place(store: &dyn Store, new: &Checkout) -> Checkout {
    done(store.place_checkout(new, &ClaimUse::None).await)
}

/// Places as a client does that asks again when too many ask: whether it got what it wanted.
pub async fn try_to_place(store: &dyn Store, new: &Checkout) -> bool {
    for _ in 0..MAX_ASKED {
        match store.place_checkout(new, &ClaimUse::None).await {
            Ok(Claimed::Done(..)) => return true,
            Err(StoreError::Refused(Refusal::SoldOut { .. })) => return false,
            Err(error) if error.is_transient() => {}
            other => panic!("neither placed nor sold out: {other:?}"),
        }
    }
    panic!("the store has no time");
}

/// A change that is none.
pub fn nothing(_: &mut Order) -> Result<Effects, Refusal> {
    Ok(Effects::default())
}

/// A change that begins a payment.
pub fn begin_payment(payment: PaymentId, now_ms: i64) -> impl Fn(&mut Order) -> Result<Effects, Refusal> + Send + Sync {
    move |order: &mut Order| {
        order.begin_payment(payment, PaymentMethod::PaymentIntent, None, now_ms)?;
        Ok(Effects::default())
    }
}

/// A change that begins a refund.
pub fn begin_refund(
    refund: RefundId,
    amount: Option<Money>,
) -> impl Fn(&mut Order) -> Result<Effects, Refusal> + Send + Sync {
    move |order: &mut Order| {
        order.begin_refund(refund, amount, Some("damaged".to_owned()), NOW)?;
        Ok(Effects::default())
    }
}

/// A change that takes news in.
pub fn hear(news: News, now_ms: i64) -> impl Fn(&mut Order) -> Result<Effects, Refusal> + Send + Sync {
    move |order: &mut Order| order.apply(&news, now_ms)
}

/// Stripe says how an intent stands.
pub fn intent(payment: PaymentId, status: IntentStatus, received: Money) -> News {
    News::Intent {
        payment,
        intent: format!("pi_{payment}"),
        status,
        received,
        client_secret: Some("a secret".to_owned()),
        failure: None,
    }
}

pub async fn tell(store: &dyn Store, order: OrderId, news: News) -> Order {
    tell_at(store, order, news, NOW).await
}

pub async fn tell_at(store: &dyn Store, order: OrderId, news: News, now_ms: i64) -> Order {
    done(store.change_order(order, &hear(news, now_ms), &ClaimUse::None, None, None, now_ms).await)
}

/// The order of a checkout, with a payment that was begun.
pub async fn open_order(store: &dyn Store, checkout: CheckoutId) -> (Order, PaymentId) {
    let payment = PaymentId::new();
    let change = begin_payment(payment, NOW);
    let order = done(store.open_order(checkout, OrderId::new(), &change, &ClaimUse::None, NOW).await);
    (order, payment)
}

/// An order that is paid: one unit of a product that there is enough of.
pub async fn paid_order(store: &dyn Store, price: i64) -> (Order, PaymentId) {
    if store.stock("boots").await.expect("stock is read").is_none() {
        set_stock(store, "boots", 100).await;
    }
    let placed = place(store, &checkout(&[("boots", 1, price)])).await;
    let (order, payment) = open_order(store, placed.id).await;
    let order = tell(store, order.id, intent(payment, IntentStatus::Succeeded, eur(price))).await;
    (order, payment)
}

/// A key of a request whose work has this id.
pub fn claim(key: &str, subject: &str, now_ms: i64) -> Claim {
    Claim {
        caller: "a shopper".to_owned(),
        endpoint: "POST /checkout/v1/checkouts".to_owned(),
        key: key.to_owned(),
        fingerprint: [1; 32],
        subject: subject.to_owned(),
        now_ms,
        lease_until_ms: now_ms + LEASE_MS,
    }
}

pub fn answer_with_checkout(checkout: &Checkout) -> Answer {
    Answer { status: 201, body: checkout.id.to_string().into_bytes() }
}

pub fn answer_with_order(order: &Order) -> Answer {
    Answer { status: 200, body: format!("{} {:?}", order.id, order.state).into_bytes() }
}

pub fn answer_with_levels(levels: &[StockLevel]) -> Answer {
    let levels = levels.iter().map(|level| format!("{}: {}, {}", level.product, level.available, level.held));
    Answer { status: 200, body: levels.collect::<String>().into_bytes() }
}

/// Delivers everything, and returns it in the order of its delivery.
pub async fn deliver_all(store: &dyn Store, now_ms: i64) -> Vec<OutboxEvent> {
    let mut delivered = Vec::new();
    loop {
        let due = store.due_outbox(ALL, LEASE_MS, now_ms).await.expect("events are due");
        if due.is_empty() {
            return delivered;
        }
        let ids: Vec<_> = due.iter().map(|event| event.id).collect();
        store.delivered(&ids, now_ms).await.expect("they are delivered");
        delivered.extend(due);
    }
}

/// Kinds and versions of a subject's events.
pub fn kinds(events: &[OutboxEvent], subject: &str) -> Vec<(String, u32)> {
    events.iter().filter(|event| event.subject == subject).map(|event| (event.kind.clone(), event.version)).collect()
}

pub fn named(kinds: &[(&str, u32)]) -> Vec<(String, u32)> {
    kinds.iter().map(|(kind, version)| ((*kind).to_owned(), *version)).collect()
}
