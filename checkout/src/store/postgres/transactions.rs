//! The store's methods: each a transaction, run by the primary until it ends. What a transaction does stands in the
//! module of its subject; here stands how it begins and ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::failure::Failure;
use super::{
    PostgresStore, audit, breaks, carts, checkouts, claims, dead, inbox, listed, order_changes, orders, outbox,
    reading, recovery, stock, violations,
};
use crate::domain::{Checkout, Order};
use crate::ids::{CartId, CheckoutId, OrderId, OutboxId, PaymentId};
use crate::store::{
    Audit, Backlog, Cart, CheckoutChange, Claim, ClaimUse, Claimed, DeadLetter, DeadWebhook, FoundBreak, InboxEvent,
    NewInboxEvent, OpenBreak, OrderChange, OrderFilter, OrderRow, OutboxEvent, PaymentRef, PaymentRow, Resolution,
    StockChange, StockLevel, Store, StoreError, Terms, Violation,
};

/// How much of the time of a listing the replica leaves to the primary.
const KEPT_FOR_PRIMARY: Duration = Duration::from_secs(1);

#[async_trait]
impl Store for PostgresStore {
    fn with_terms(&self, terms: Terms) -> Arc<dyn Store> {
        let (primary, replica) = (self.primary.with_terms(terms), self.replica.clone());
        Arc::new(Self { primary, replica, settings: self.settings })
    }

    fn time_left(&self) -> Duration {
        self.primary.terms().time_left()
    }

    fn is_crowded(&self) -> bool {
        self.primary.is_crowded()
    }

    async fn place_checkout(
        &self,
        new: &Checkout,
        claim: &ClaimUse<'_, Checkout>,
    ) -> Result<Claimed<Checkout>, StoreError> {
        let sells_untracked = self.settings.sells_untracked;
        self.primary.run(move |lease, _| checkouts::place(lease, new, claim, sells_untracked)).await
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = checkouts::read(&mut lease, id).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn change_checkout(
        &self,
        id: CheckoutId,
        version: u32,
        change: &CheckoutChange,
        now_ms: i64,
    ) -> Result<Checkout, StoreError> {
        self.primary
            .run(move |mut lease, is_rerun| async move {
                lease.begin().await?;
                let outcome = checkouts::change(&mut lease, id, version, change, now_ms, is_rerun).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn cancel_checkout(
        &self,
        id: CheckoutId,
        claim: &ClaimUse<'_, Checkout>,
        now_ms: i64,
    ) -> Result<Claimed<Checkout>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                lease.begin().await?;
                let outcome = checkouts::cancel(&mut lease, id, claim, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn open_order(
        &self,
        checkout: CheckoutId,
        new_order: OrderId,
        change: OrderChange<'_>,
        claim: &ClaimUse<'_, Order>,
        now_ms: i64,
    ) -> Result<Claimed<Order>, StoreError> {
        order_changes::open(&self.primary, checkout, new_order, change, claim, now_ms).await
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
        order_changes::change(&self.primary, order, change, claim, audit, inbox, now_ms).await
    }

    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = orders::read(&mut lease, id).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn order_of_checkout(&self, id: CheckoutId) -> Result<Option<OrderId>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = orders::of_checkout(&mut lease, id).await;
                let id = lease.end(outcome).await?;
                id.map(|id| reading::id_of(&id)).transpose()
            })
            .await
    }

    async fn find_payment(&self, reference: &PaymentRef<'_>) -> Result<Option<(OrderId, PaymentId)>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = reading::find_payment(&mut lease, reference).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn orders(&self, filter: &OrderFilter) -> Result<Vec<OrderRow>, StoreError> {
        let terms = self.primary.terms();
        let most = terms.time_left().saturating_sub(KEPT_FOR_PRIMARY);
        if let Some(orders) = terms.within(self.orders_of_replica(filter, most)).await? {
            return Ok(orders);
        }
        self.primary.run(move |lease, _| listed(lease, filter)).await
    }

    async fn look_up_key(&self, claim: &Claim) -> Result<Option<Claimed<()>>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = claims::look_up(&mut lease, claim).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn forget_answers(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = recovery::forget_answers(&mut lease, before_ms, limit).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn cart(&self, id: CartId, now_ms: i64) -> Result<Option<Cart>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = carts::read(&mut lease, id, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn put_cart(&self, cart: &Cart) -> Result<(), StoreError> {
        self.primary
            .run(move |mut lease, is_rerun| async move {
                let outcome = carts::put(&mut lease, cart, is_rerun).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn delete_cart(&self, id: CartId) -> Result<bool, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = carts::delete(&mut lease, id).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn change_stock(
        &self,
        changes: &[StockChange],
        claim: &ClaimUse<'_, Vec<StockLevel>>,
        audit: &Audit,
        now_ms: i64,
    ) -> Result<Claimed<Vec<StockLevel>>, StoreError> {
        let transaction = &audit::transaction_id();
        self.primary
            .run(move |mut lease, is_rerun| async move {
                lease.begin().await?;
                let outcome = stock::change(&mut lease, transaction, changes, claim, audit, now_ms, is_rerun).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn stock(&self, product: &str) -> Result<Option<StockLevel>, StoreError> {
        let levels = self.primary.run(move |mut lease, _| async move {
            let outcome = stock::levels(&mut lease, &[product]).await;
            lease.end(outcome).await
        });
        Ok(levels.await?.pop())
    }

    async fn tell_availability(&self, limit: u32, now_ms: i64) -> Result<u64, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                lease.begin().await?;
                let outcome = stock::tell_availability(&mut lease, limit, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn expire_checkouts(&self, limit: u32, now_ms: i64) -> Result<u64, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                lease.begin().await?;
                let outcome = checkouts::expire(&mut lease, limit, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn due_orders(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<OrderId>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = recovery::due_orders(&mut lease, limit, lease_ms, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn sweep(&self, before_ms: i64, limit: u32, now_ms: i64) -> Result<u64, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = recovery::sweep(&mut lease, before_ms, limit, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn sweep_checkouts(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = recovery::sweep_checkouts(&mut lease, before_ms, limit).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn receive(&self, event: &NewInboxEvent<'_>) -> Result<bool, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = inbox::receive(&mut lease, event).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn due_events(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<InboxEvent>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = inbox::due(&mut lease, limit, lease_ms, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn settle_event(&self, id: &str, now_ms: i64) -> Result<(), StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = inbox::settle_alone(&mut lease, id, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn fail_event(&self, id: &str, why: &str) -> Result<(), StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = inbox::fail(&mut lease, id, why).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn give_up_event(&self, id: &str, why: &str, now_ms: i64) -> Result<(), StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = inbox::give_up(&mut lease, id, why, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn dead_webhooks(&self, limit: u32) -> Result<Vec<DeadWebhook>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = inbox::dead(&mut lease, limit).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn due_outbox(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<OutboxEvent>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                lease.begin().await?;
                let outcome = outbox::due(&mut lease, limit, lease_ms, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn delivered(&self, ids: &[OutboxId], now_ms: i64) -> Result<(), StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = outbox::delivered(&mut lease, ids, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn undelivered(&self, id: OutboxId, why: &str, next_ms: Option<i64>) -> Result<(), StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = outbox::undelivered(&mut lease, id, why, next_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = outbox::dead(&mut lease, limit).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn replay_dead(&self, ids: &[String], actor: &str, now_ms: i64) -> Result<Vec<String>, StoreError> {
        let transaction = &audit::transaction_id();
        self.primary
            .run(move |mut lease, is_rerun| async move {
                lease.begin().await?;
                let outcome = dead::replay(&mut lease, transaction, ids, actor, now_ms, is_rerun).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn discard_dead(
        &self,
        ids: &[String],
        reason: &str,
        actor: &str,
        now_ms: i64,
    ) -> Result<Vec<String>, StoreError> {
        let transaction = &audit::transaction_id();
        self.primary
            .run(move |mut lease, is_rerun| async move {
                lease.begin().await?;
                let outcome = dead::discard(&mut lease, transaction, ids, reason, actor, now_ms, is_rerun).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn payments_between(
        &self,
        from_ms: i64,
        to_ms: i64,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<PaymentRow>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = reading::payments_between(&mut lease, from_ms, to_ms, after, limit).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn record_break(&self, found: &FoundBreak, now_ms: i64) -> Result<(), StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = breaks::record(&mut lease, found, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn breaks(&self, limit: u32) -> Result<Vec<OpenBreak>, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = breaks::open(&mut lease, limit).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn resolve_break(&self, resolution: &Resolution<'_>, now_ms: i64) -> Result<bool, StoreError> {
        let transaction = &audit::transaction_id();
        self.primary
            .run(move |mut lease, is_rerun| async move {
                lease.begin().await?;
                let outcome = breaks::resolve(&mut lease, transaction, resolution, now_ms, is_rerun).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn note(&self, audit: &Audit, now_ms: i64) -> Result<(), StoreError> {
        let transaction = &audit::transaction_id();
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = audit::note(&mut lease, transaction, audit, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn backlog(&self, now_ms: i64) -> Result<Backlog, StoreError> {
        self.primary
            .run(move |mut lease, _| async move {
                let outcome = reading::backlog(&mut lease, now_ms).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.primary
            .run(|mut lease, _| async move {
                let outcome = reading::ping(&mut lease).await;
                lease.end(outcome).await
            })
            .await
    }

    async fn violations(&self) -> Result<Vec<Violation>, StoreError> {
        let search = async {
            let mut lease = self.primary.lease().await?;
            lease.begin().await?;
            let outcome = violations::find(&mut lease).await;
            lease.end(outcome).await
        };
        search.await.map_err(Failure::into_error)
    }
}
