//! The store in one file, by SQLite: for demonstrations and for shops of one process. It writes one transaction after
//! the other, so that nothing here is locked but the file.

mod audit;
mod breaks;
mod carts;
mod checkouts;
mod claims;
mod dead;
mod fault;
mod inbox;
mod order_rows;
mod orders;
mod outbox;
mod payments;
mod pool;
mod reading;
mod recovery;
mod rows;
mod schema;
mod stock;
#[cfg(test)]
mod tests;
mod violations;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::orders::Beside;
use self::pool::Pools;
use super::{
    Audit, Backlog, Cart, CheckoutChange, Claim, ClaimUse, Claimed, DeadLetter, DeadWebhook, FoundBreak, InboxEvent,
    NewInboxEvent, OpenBreak, OrderChange, OrderFilter, OrderRow, OutboxEvent, PaymentRef, PaymentRow, Resolution,
    StockChange, StockLevel, Store, StoreError, StoreSettings, Terms, Violation,
};
use crate::domain::{Checkout, Order};
use crate::ids::{CartId, CheckoutId, OrderId, OutboxId, PaymentId};

#[derive(Debug)]
pub struct SqliteStore {
    pools: Pools,
    sells_untracked: bool,
}

impl SqliteStore {
    /// Opens the file, or makes it; its tables are made by `migrate`. Another process may have it open too: whoever
    /// writes waits for the other, up to a few times `statement_timeout_ms`.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or stays locked.
    pub async fn open(path: &Path, settings: StoreSettings) -> Result<Self, StoreError> {
        Ok(Self { pools: Pools::open(path, settings).await?, sells_untracked: settings.sells_untracked })
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn with_terms(&self, terms: Terms) -> Arc<dyn Store> {
        Arc::new(Self { pools: self.pools.with_terms(terms), sells_untracked: self.sells_untracked })
    }

    fn time_left(&self) -> Duration {
        self.pools.terms().time_left()
    }

    /// The one who writes is waited for in turn; requests at once are few enough to be bounded by their number.
    fn is_crowded(&self) -> bool {
        false
    }

    async fn place_checkout(
        &self,
        new: &Checkout,
        claim: &ClaimUse<'_, Checkout>,
    ) -> Result<Claimed<Checkout>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = checkouts::place(&mut transaction, new, self.sells_untracked, claim).await;
        transaction.end(outcome).await
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = checkouts::load(&mut transaction, id).await;
        transaction.end(outcome).await
    }

    async fn change_checkout(
        &self,
        id: CheckoutId,
        version: u32,
        change: &CheckoutChange,
        now_ms: i64,
    ) -> Result<Checkout, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = checkouts::change(&mut transaction, id, version, change, now_ms).await;
        transaction.end(outcome).await
    }

    async fn cancel_checkout(
        &self,
        id: CheckoutId,
        claim: &ClaimUse<'_, Checkout>,
        now_ms: i64,
    ) -> Result<Claimed<Checkout>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = checkouts::cancel(&mut transaction, id, claim, now_ms).await;
        transaction.end(outcome).await
    }

    async fn open_order(
        &self,
        checkout: CheckoutId,
        new_order: OrderId,
        change: OrderChange<'_>,
        claim: &ClaimUse<'_, Order>,
        now_ms: i64,
    ) -> Result<Claimed<Order>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = orders::open(&mut transaction, checkout, new_order, change, claim, now_ms).await;
        transaction.end(outcome).await
    }

    async fn change_order(
        &self,
        order: OrderId,
        change: OrderChange<'_>,
        claim: &ClaimUse<'_, Order>,
        audit: Option<&Audit>,
        inbox: Option<&str>,
        now_ms: i64,
    ) -> Result<Claimed<Order>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = orders::change(&mut transaction, order, change, claim, Beside { audit, inbox }, now_ms).await;
        transaction.end(outcome).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = order_rows::load(&mut transaction, id).await;
        transaction.end(outcome).await
    }

    async fn order_of_checkout(&self, id: CheckoutId) -> Result<Option<OrderId>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = orders::of_checkout(&mut transaction, id).await;
        transaction.end(outcome).await
    }

    async fn find_payment(&self, reference: &PaymentRef<'_>) -> Result<Option<(OrderId, PaymentId)>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = reading::find_payment(&mut transaction, reference).await;
        transaction.end(outcome).await
    }

    async fn orders(&self, filter: &OrderFilter) -> Result<Vec<OrderRow>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = reading::orders(&mut transaction, filter).await;
        transaction.end(outcome).await
    }

    async fn look_up_key(&self, claim: &Claim) -> Result<Option<Claimed<()>>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = claims::look_up(&mut transaction, claim).await;
        transaction.end(outcome).await
    }

    async fn forget_answers(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = claims::forget(&mut transaction, before_ms, limit).await;
        transaction.end(outcome).await
    }

    async fn cart(&self, id: CartId, now_ms: i64) -> Result<Option<Cart>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = carts::load(&mut transaction, id, now_ms).await;
        transaction.end(outcome).await
    }

    async fn put_cart(&self, cart: &Cart) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = carts::put(&mut transaction, cart).await;
        transaction.end(outcome).await
    }

    async fn delete_cart(&self, id: CartId) -> Result<bool, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = carts::delete(&mut transaction, id).await;
        transaction.end(outcome).await
    }

    async fn change_stock(
        &self,
        changes: &[StockChange],
        claim: &ClaimUse<'_, Vec<StockLevel>>,
        audit: &Audit,
        now_ms: i64,
    ) -> Result<Claimed<Vec<StockLevel>>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = stock::change(&mut transaction, changes, claim, audit, now_ms).await;
        transaction.end(outcome).await
    }

    async fn stock(&self, product: &str) -> Result<Option<StockLevel>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = stock::level(&mut transaction, product).await;
        transaction.end(outcome).await
    }

    async fn tell_availability(&self, limit: u32, now_ms: i64) -> Result<u64, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = stock::tell_availability(&mut transaction, limit, now_ms).await;
        transaction.end(outcome).await
    }

    async fn expire_checkouts(&self, limit: u32, now_ms: i64) -> Result<u64, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = recovery::expire_checkouts(&mut transaction, limit, now_ms).await;
        transaction.end(outcome).await
    }

    async fn due_orders(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<OrderId>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = recovery::due_orders(&mut transaction, limit, lease_ms, now_ms).await;
        transaction.end(outcome).await
    }

    async fn sweep(&self, before_ms: i64, limit: u32, now_ms: i64) -> Result<u64, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = recovery::sweep(&mut transaction, before_ms, limit, now_ms).await;
        transaction.end(outcome).await
    }

    async fn sweep_checkouts(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = recovery::sweep_checkouts(&mut transaction, before_ms, limit).await;
        transaction.end(outcome).await
    }

    async fn receive(&self, event: &NewInboxEvent<'_>) -> Result<bool, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = inbox::receive(&mut transaction, event).await;
        transaction.end(outcome).await
    }

    async fn due_events(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<InboxEvent>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = inbox::due(&mut transaction, limit, lease_ms, now_ms).await;
        transaction.end(outcome).await
    }

    async fn settle_event(&self, id: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = inbox::settle(&mut transaction, id, now_ms).await;
        transaction.end(outcome).await
    }

    async fn fail_event(&self, id: &str, why: &str) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = inbox::fail(&mut transaction, id, why).await;
        transaction.end(outcome).await
    }

    async fn give_up_event(&self, id: &str, why: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = inbox::give_up(&mut transaction, id, why, now_ms).await;
        transaction.end(outcome).await
    }

    async fn dead_webhooks(&self, limit: u32) -> Result<Vec<DeadWebhook>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = inbox::dead(&mut transaction, limit).await;
        transaction.end(outcome).await
    }

    async fn due_outbox(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<OutboxEvent>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = outbox::due(&mut transaction, limit, lease_ms, now_ms).await;
        transaction.end(outcome).await
    }

    async fn delivered(&self, ids: &[OutboxId], now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = outbox::delivered(&mut transaction, ids, now_ms).await;
        transaction.end(outcome).await
    }

    async fn undelivered(&self, id: OutboxId, why: &str, next_ms: Option<i64>) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = outbox::undelivered(&mut transaction, id, why, next_ms).await;
        transaction.end(outcome).await
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = outbox::dead_letters(&mut transaction, limit).await;
        transaction.end(outcome).await
    }

    async fn replay_dead(&self, ids: &[String], actor: &str, now_ms: i64) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = dead::replay(&mut transaction, ids, actor, now_ms).await;
        transaction.end(outcome).await
    }

    async fn discard_dead(
        &self,
        ids: &[String],
        reason: &str,
        actor: &str,
        now_ms: i64,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = dead::discard(&mut transaction, ids, reason, actor, now_ms).await;
        transaction.end(outcome).await
    }

    async fn payments_between(
        &self,
        from_ms: i64,
        to_ms: i64,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<PaymentRow>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = reading::payments_between(&mut transaction, from_ms, to_ms, after, limit).await;
        transaction.end(outcome).await
    }

    async fn record_break(&self, found: &FoundBreak, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = breaks::record(&mut transaction, found.kind, &found.reference, &found.detail, now_ms).await;
        transaction.end(outcome).await
    }

    async fn breaks(&self, limit: u32) -> Result<Vec<OpenBreak>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = breaks::open(&mut transaction, limit).await;
        transaction.end(outcome).await
    }

    async fn resolve_break(&self, resolution: &Resolution<'_>, now_ms: i64) -> Result<bool, StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = breaks::resolve(&mut transaction, resolution, now_ms).await;
        transaction.end(outcome).await
    }

    async fn note(&self, audit: &Audit, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.pools.write().await?;
        let outcome = audit::write(&mut transaction, audit, now_ms).await;
        transaction.end(outcome).await
    }

    async fn backlog(&self, now_ms: i64) -> Result<Backlog, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = recovery::backlog(&mut transaction, now_ms).await;
        transaction.end(outcome).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = reading::ping(&mut transaction).await;
        transaction.end(outcome).await
    }

    async fn violations(&self) -> Result<Vec<Violation>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = violations::find(&mut transaction).await;
        transaction.end(outcome).await
    }
}
