//! A store that keeps everything in memory, with the methods that the tests of the working parts reach.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{KEEP_ABANDONED_MS, now_ms};
use crate::domain::{Checkout, Order, Payment, Refusal};
use crate::ids::{CartId, CheckoutId, OrderId, OutboxId, PaymentId};
use crate::store::*;

#[derive(Clone, Default)]
pub(super) struct Memory {
    orders: Arc<Mutex<BTreeMap<OrderId, Order>>>,
    books: Arc<Mutex<Books>>,
    /// Told of each sweep.
    pub(super) swept: Arc<Notify>,
    /// None where each transaction has its own time.
    left: Option<Duration>,
}

/// What was written beside orders.
#[derive(Default)]
pub(super) struct Books {
    pub(super) events: Vec<InboxEvent>,
    /// Events that were applied, or settled.
    pub(super) applied: Vec<String>,
    /// How much time there was for the last change of an order.
    pub(super) time_to_change: Duration,
    pub(super) failed: Vec<(String, String)>,
    pub(super) given_up: Vec<(String, String)>,
    pub(super) breaks: Vec<FoundBreak>,
    /// What is due next.
    pub(super) outbox: Vec<OutboxEvent>,
    pub(super) delivered: Vec<OutboxId>,
    /// With the time of the next try; none where it is dead.
    pub(super) undelivered: Vec<(OutboxId, Option<i64>)>,
    /// Rows that nobody needs any more.
    pub(super) old_rows: u64,
    pub(super) old_checkouts: u64,
}

impl Books {
    /// What is to be swept.
    pub(super) fn old(&self) -> u64 {
        self.old_rows + self.old_checkouts
    }
}

impl Memory {
    pub(super) fn with(order: Order) -> Self {
        Self { orders: Arc::new(Mutex::new(BTreeMap::from([(order.id, order)]))), ..Self::default() }
    }

    /// The same store for a request that has so much time left to write. What it reads takes none.
    pub(super) fn with_left(&self, left: Duration) -> Self {
        Self { left: Some(left), ..self.clone() }
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("the books")
    }

    /// The only order.
    pub(super) fn only(&self) -> Order {
        self.kept().values().next().expect("an order").clone()
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<OrderId, Order>> {
        self.orders.lock().expect("the orders")
    }
}

fn never_asked<T>() -> T {
    unreachable!("the tests of the working parts ask for nothing else")
}

#[async_trait]
impl Store for Memory {
    fn with_terms(&self, terms: Terms) -> Arc<dyn Store> {
        Arc::new(self.with_left(terms.time_left()))
    }

    fn time_left(&self) -> Duration {
        self.left.unwrap_or(Duration::MAX)
    }

    fn is_crowded(&self) -> bool {
        never_asked()
    }

    async fn place_checkout(
        &self,
        _new: &Checkout,
        _claim: &ClaimUse<'_, Checkout>,
    ) -> Result<Claimed<Checkout>, StoreError> {
        never_asked()
    }

    async fn checkout(&self, _id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        never_asked()
    }

    async fn change_checkout(
        &self,
        _id: CheckoutId,
        _version: u32,
        _change: &CheckoutChange,
        _now_ms: i64,
    ) -> Result<Checkout, StoreError> {
        never_asked()
    }

    async fn cancel_checkout(
        &self,
        _id: CheckoutId,
        _claim: &ClaimUse<'_, Checkout>,
        _now_ms: i64,
    ) -> Result<Claimed<Checkout>, StoreError> {
        never_asked()
    }

    async fn open_order(
        &self,
        _checkout: CheckoutId,
        _new_order: OrderId,
        _change: OrderChange<'_>,
        _claim: &ClaimUse<'_, Order>,
        _now_ms: i64,
    ) -> Result<Claimed<Order>, StoreError> {
        never_asked()
    }

    async fn change_order(
        &self,
        order: OrderId,
        change: OrderChange<'_>,
        _claim: &ClaimUse<'_, Order>,
        _audit: Option<&Audit>,
        inbox: Option<&str>,
        _now_ms: i64,
    ) -> Result<Claimed<Order>, StoreError> {
        if self.time_left().is_zero() {
            return Err(StoreError::Unavailable("there is no time left for this request".to_owned()));
        }
        let mut orders = self.kept();
        let stored = orders.get_mut(&order).ok_or(Refusal::NotFound("order"))?;
        let mut changed = stored.clone();
        let effects = change(&mut changed)?;
        *stored = changed.clone();
        let mut books = self.books();
        books.time_to_change = self.time_left();
        books.applied.extend(inbox.map(str::to_owned));
        books.breaks.extend(effects.breaks.iter().map(|found| FoundBreak {
            kind: found.kind,
            reference: found.reference.clone(),
            detail: found.detail.clone(),
        }));
        Ok(Claimed::Done(changed, None))
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.kept().get(&id).cloned())
    }

    async fn order_of_checkout(&self, _id: CheckoutId) -> Result<Option<OrderId>, StoreError> {
        never_asked()
    }

    async fn find_payment(&self, reference: &PaymentRef<'_>) -> Result<Option<(OrderId, PaymentId)>, StoreError> {
        let orders = self.kept();
        let owner = |order: &Order| {
            let is_it = |one: &Payment| match reference {
                PaymentRef::Id(id) => one.id == *id,
                PaymentRef::Intent(intent) => one.intent.as_deref() == Some(*intent),
                PaymentRef::Session(session) => one.session.as_deref() == Some(*session),
                _ => false,
            };
            let of_refund = order.refunds.iter().find(|one| match reference {
                PaymentRef::Refund(id) => one.id == *id,
                PaymentRef::StripeRefund(id) => one.stripe_refund.as_deref() == Some(*id),
                _ => false,
            });
            let payment = order.payments.iter().find(|one| is_it(one)).map(|one| one.id);
            payment.or(of_refund.map(|one| one.payment)).map(|payment| (order.id, payment))
        };
        Ok(orders.values().find_map(owner))
    }

    async fn orders(&self, _filter: &OrderFilter) -> Result<Vec<OrderRow>, StoreError> {
        never_asked()
    }

    async fn look_up_key(&self, _claim: &Claim) -> Result<Option<Claimed<()>>, StoreError> {
        never_asked()
    }

    async fn forget_answers(&self, _before_ms: i64, _limit: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn cart(&self, _id: CartId, _now_ms: i64) -> Result<Option<Cart>, StoreError> {
        never_asked()
    }

    async fn put_cart(&self, _cart: &Cart) -> Result<(), StoreError> {
        never_asked()
    }

    async fn delete_cart(&self, _id: CartId) -> Result<bool, StoreError> {
        never_asked()
    }

    async fn change_stock(
        &self,
        _changes: &[StockChange],
        _claim: &ClaimUse<'_, Vec<StockLevel>>,
        _audit: &Audit,
        _now_ms: i64,
    ) -> Result<Claimed<Vec<StockLevel>>, StoreError> {
        never_asked()
    }

    async fn stock(&self, _product: &str) -> Result<Option<StockLevel>, StoreError> {
        never_asked()
    }

    async fn tell_availability(&self, _limit: u32, _now_ms: i64) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn expire_checkouts(&self, _limit: u32, _now_ms: i64) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn due_orders(&self, _limit: u32, _lease_ms: i64, _now_ms: i64) -> Result<Vec<OrderId>, StoreError> {
        never_asked()
    }

    async fn sweep(&self, _before_ms: i64, limit: u32, _now_ms: i64) -> Result<u64, StoreError> {
        let mut books = self.books();
        let swept = books.old_rows.min(u64::from(limit));
        books.old_rows -= swept;
        self.swept.notify_one();
        Ok(swept)
    }

    async fn sweep_checkouts(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        assert!(before_ms <= now_ms() - KEEP_ABANDONED_MS, "they are kept for as long as is set");
        let mut books = self.books();
        let swept = books.old_checkouts.min(u64::from(limit));
        books.old_checkouts -= swept;
        self.swept.notify_one();
        Ok(swept)
    }

    async fn receive(&self, event: &NewInboxEvent<'_>) -> Result<bool, StoreError> {
        let mut books = self.books();
        let is_new = !books.events.iter().any(|known| known.id == event.id);
        if is_new {
            let (id, kind, body) = (event.id.to_owned(), event.kind.to_owned(), event.body.to_owned());
            books.events.push(InboxEvent { id, kind, body, tries: 0 });
        }
        Ok(is_new)
    }

    async fn due_events(&self, _limit: u32, _lease_ms: i64, _now_ms: i64) -> Result<Vec<InboxEvent>, StoreError> {
        never_asked()
    }

    async fn settle_event(&self, id: &str, _now_ms: i64) -> Result<(), StoreError> {
        self.books().applied.push(id.to_owned());
        Ok(())
    }

    async fn fail_event(&self, id: &str, why: &str) -> Result<(), StoreError> {
        self.books().failed.push((id.to_owned(), why.to_owned()));
        Ok(())
    }

    async fn give_up_event(&self, id: &str, why: &str, _now_ms: i64) -> Result<(), StoreError> {
        self.books().given_up.push((id.to_owned(), why.to_owned()));
        Ok(())
    }

    async fn dead_webhooks(&self, _limit: u32) -> Result<Vec<DeadWebhook>, StoreError> {
        never_asked()
    }

    async fn due_outbox(&self, _limit: u32, _lease_ms: i64, _now_ms: i64) -> Result<Vec<OutboxEvent>, StoreError> {
        Ok(std::mem::take(&mut self.books().outbox))
    }

    async fn delivered(&self, ids: &[OutboxId], _now_ms: i64) -> Result<(), StoreError> {
        self.books().delivered.extend_from_slice(ids);
        Ok(())
    }

    async fn undelivered(&self, id: OutboxId, _why: &str, next_ms: Option<i64>) -> Result<(), StoreError> {
        self.books().undelivered.push((id, next_ms));
        Ok(())
    }

    async fn dead_letters(&self, _limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        never_asked()
    }

    async fn replay_dead(&self, _ids: &[String], _actor: &str, _now_ms: i64) -> Result<Vec<String>, StoreError> {
        never_asked()
    }

    async fn discard_dead(
        &self,
        _ids: &[String],
        _reason: &str,
        _actor: &str,
        _now_ms: i64,
    ) -> Result<Vec<String>, StoreError> {
        never_asked()
    }

    async fn payments_between(
        &self,
        _from_ms: i64,
        _to_ms: i64,
        after: Option<PaymentId>,
        _limit: u32,
    ) -> Result<Vec<PaymentRow>, StoreError> {
        let orders = self.kept();
        let payments = orders.values().flat_map(|order| order.payments.iter().map(move |payment| (order, payment)));
        let row = |(order, payment): (&Order, &Payment)| PaymentRow {
            id: payment.id,
            order: order.id,
            state: payment.state,
            intent: payment.intent.clone(),
            amount: payment.amount,
            captured_minor: payment.captured_minor,
            refunds: order
                .refunds
                .iter()
                .filter(|refund| refund.payment == payment.id)
                .map(|refund| (refund.stripe_refund.clone(), refund.state, refund.amount.amount_minor()))
                .collect(),
        };
        Ok(payments.map(row).filter(|row| after.is_none_or(|after| row.id > after)).collect())
    }

    async fn record_break(&self, found: &FoundBreak, _now_ms: i64) -> Result<(), StoreError> {
        self.books().breaks.push(found.clone());
        Ok(())
    }

    async fn breaks(&self, _limit: u32) -> Result<Vec<OpenBreak>, StoreError> {
        never_asked()
    }

    async fn resolve_break(&self, _resolution: &Resolution<'_>, _now_ms: i64) -> Result<bool, StoreError> {
        never_asked()
    }

    async fn note(&self, _audit: &Audit, _now_ms: i64) -> Result<(), StoreError> {
        never_asked()
    }

    async fn backlog(&self, _now_ms: i64) -> Result<Backlog, StoreError> {
        never_asked()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        never_asked()
    }

    async fn violations(&self) -> Result<Vec<Violation>, StoreError> {
        never_asked()
    }
}
