//! Where everything is kept: one method a business transaction, so that no transaction is open while anybody waits for
//! the network. PostgreSQL and SQLite do the same; tests/it/contract is what both are held to.

mod claim;
mod error;
pub mod migrations;
mod postgres;
mod queues;
mod rows;
mod rules;
mod settings;
mod sqlite;
mod terms;
mod text;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use claim::{Answer, Claim, ClaimUse, Claimed, FINGERPRINT_BYTES, Render};
pub use error::StoreError;
pub use migrations::Migration;
pub use postgres::PostgresStore;
pub use queues::{Backlog, DeadLetter, DeadWebhook, InboxEvent, NewInboxEvent, OutboxEvent};
pub use rows::{
    Audit, Cart, CartLine, CheckoutChange, FoundBreak, OpenBreak, OrderFilter, OrderRow, PaymentRef, PaymentRow,
    Resolution, StockChange, StockLevel, Violation,
};
pub use settings::StoreSettings;
pub use sqlite::SqliteStore;
pub use terms::{Lane, Terms};

use crate::domain::{Checkout, Effects, Order, Refusal};
use crate::ids::{CartId, CheckoutId, OrderId, OutboxId, PaymentId};

/// A change of an order: pure, and run again where its transaction is.
pub type OrderChange<'a> = &'a (dyn Fn(&mut Order) -> Result<Effects, Refusal> + Send + Sync);

/// All times are milliseconds since 1970, by the clock of the caller. Every method that writes is one transaction, which is
/// run again when it fails by a conflict, a deadlock or a failover (40001, 40P01, 57P01, a lost connection); since all
/// ids are made before, running it again after a lost acknowledgement changes nothing more.
#[async_trait]
pub trait Store: Send + Sync {
    /// The same store for somebody with these terms.
    fn with_terms(&self, terms: Terms) -> Arc<dyn Store>;
    /// How long the next transaction may take, by those terms.
    fn time_left(&self) -> Duration;
    /// Whether more is asked than can be done, so that nothing new should be begun.
    fn is_crowded(&self) -> bool;

    // Checkouts and orders.

    /// Writes a new checkout and takes its stock out of what can be sold (products that are not tracked: see
    /// `sells_untracked` of the store's settings). With `ClaimUse::Whole`, the key and the answer with them.
    ///
    /// # Errors
    /// `Refusal::SoldOut` where a product has too little, after waiting for those who hold rows at the moment.
    async fn place_checkout(
        &self,
        new: &Checkout,
        claim: &ClaimUse<'_, Checkout>,
    ) -> Result<Claimed<Checkout>, StoreError>;

    /// From the primary.
    async fn checkout(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError>;

    /// Changes details of an open checkout whose version is the given one, and adds one to it.
    ///
    /// # Errors
    /// `Refusal::{NotFound, CheckoutClosed, HoldOver, VersionConflict}`.
    async fn change_checkout(
        &self,
        id: CheckoutId,
        version: u32,
        change: &CheckoutChange,
        now_ms: i64,
    ) -> Result<Checkout, StoreError>;

    /// Cancels a checkout that has no order, and releases its stock. One that is cancelled already stays so.
    ///
    /// # Errors
    /// `Refusal::{NotFound, CheckoutClosed}`; `Refusal::PaymentInProgress` where it has an order, which `change_order` is for.
    async fn cancel_checkout(
        &self,
        id: CheckoutId,
        claim: &ClaimUse<'_, Checkout>,
        now_ms: i64,
    ) -> Result<Claimed<Checkout>, StoreError>;

    /// Locks the checkout; makes its order (`Order::of`, with `new_order` as its id) where it has none yet, which writes
    /// the event order.created; then runs `change` on it, and writes what changed. The checkout is Completing from then on.
    ///
    /// # Errors
    /// `Refusal::NotFound`, and what `Order::of` and `change` refuse.
    async fn open_order(
        &self,
        checkout: CheckoutId,
        new_order: OrderId,
        change: OrderChange<'_>,
        claim: &ClaimUse<'_, Order>,
        now_ms: i64,
    ) -> Result<Claimed<Order>, StoreError>;

    /// Locks an order (by the row of its checkout, so that everything about one order happens in turn), runs `change`,
    /// and writes the order, its payments and refunds, the stock's effect, one row of the outbox an event (with the
    /// version that it has: the last event has `order.version`, the one before one less), and the breaks. Stock that is
    /// sold or released twice is so once: the hold's rows are what is moved.
    /// With `audit`, a row in the audit. With `inbox`, that event of the inbox is marked as applied.
    ///
    /// # Errors
    /// `Refusal::NotFound`, and what `change` refuses.
    async fn change_order(
        &self,
        order: OrderId,
        change: OrderChange<'_>,
        claim: &ClaimUse<'_, Order>,
        audit: Option<&Audit>,
        inbox: Option<&str>,
        now_ms: i64,
    ) -> Result<Claimed<Order>, StoreError>;

    /// From the primary.
    async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError>;
    async fn order_of_checkout(&self, id: CheckoutId) -> Result<Option<OrderId>, StoreError>;
    /// Whose payment something of Stripe's is.
    async fn find_payment(&self, reference: &PaymentRef<'_>) -> Result<Option<(OrderId, PaymentId)>, StoreError>;
    /// Newest first, from the replica where there is one that does not lag.
    async fn orders(&self, filter: &OrderFilter) -> Result<Vec<OrderRow>, StoreError>;

    // Keys.

    /// What a key that was used before says of a request; None where the request may do its work. Nothing is written, also
    /// where what was begun may be resumed, and nobody is waited for: a transaction that is under way is not seen.
    async fn look_up_key(&self, claim: &Claim) -> Result<Option<Claimed<()>>, StoreError>;
    /// Forgets keys whose answers are older than that, at most `limit`.
    async fn forget_answers(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError>;

    // Carts, where no Redis keeps them.

    async fn cart(&self, id: CartId, now_ms: i64) -> Result<Option<Cart>, StoreError>;
    /// Writes a cart whose stored version is `cart.version - 1` (none, for version 1).
    ///
    /// # Errors
    /// `Refusal::{NotFound, VersionConflict}`.
    async fn put_cart(&self, cart: &Cart) -> Result<(), StoreError>;
    async fn delete_cart(&self, id: CartId) -> Result<bool, StoreError>;

    // Stock.

    /// Returns the levels of the products that were changed. An adjustment counts each time that it is asked for: with
    /// `ClaimUse::Whole`, the key and the answer are written with it, and it counts once.
    ///
    /// # Errors
    /// `Refusal::StockOutOfBounds` where less than nothing could be sold, `Refusal::TooMany` beyond the number of products.
    async fn change_stock(
        &self,
        changes: &[StockChange],
        claim: &ClaimUse<'_, Vec<StockLevel>>,
        audit: &Audit,
        now_ms: i64,
    ) -> Result<Claimed<Vec<StockLevel>>, StoreError>;
    async fn stock(&self, product: &str) -> Result<Option<StockLevel>, StoreError>;
    /// Compares products whose stock moved with what was last told, and writes `product.availability_changed` (data:
    /// product, in_stock, version) for those that differ. Returns how many were looked at, at most `limit`.
    async fn tell_availability(&self, limit: u32, now_ms: i64) -> Result<u64, StoreError>;

    // Recovery: each hands out what is due, and puts its next time off by `lease_ms`, so that of several processes one has it.

    /// Expires open checkouts without an order whose hold is over, and releases their stock.
    async fn expire_checkouts(&self, limit: u32, now_ms: i64) -> Result<u64, StoreError>;
    /// Orders that have a payment or a refund whose `next_check_ms` is over (put off by `lease_ms`), or that are pending without
    /// a live payment though their hold is over. Those that have been due for longest come first.
    async fn due_orders(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<OrderId>, StoreError>;
    /// Deletes carts that are over, answers of the inbox and the outbox that were dealt with before that.
    async fn sweep(&self, before_ms: i64, limit: u32, now_ms: i64) -> Result<u64, StoreError>;
    /// Deletes checkouts with their lines that ended before that, expired or cancelled, and never became an order.
    async fn sweep_checkouts(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError>;

    // The inbox of webhooks.

    /// False where the event is there already.
    async fn receive(&self, event: &NewInboxEvent<'_>) -> Result<bool, StoreError>;
    /// Oldest first. An event that is handed out again is put off for twice as long each time, up to eight leases.
    async fn due_events(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<InboxEvent>, StoreError>;
    /// Marks an event as applied that changes no order.
    async fn settle_event(&self, id: &str, now_ms: i64) -> Result<(), StoreError>;
    /// Notes why an event was not applied; the lease decides when it is tried again.
    async fn fail_event(&self, id: &str, why: &str) -> Result<(), StoreError>;
    /// Marks an event as dead, with the reason: it is not tried again, and not swept, until it is replayed or discarded.
    async fn give_up_event(&self, id: &str, why: &str, now_ms: i64) -> Result<(), StoreError>;
    /// Oldest first.
    async fn dead_webhooks(&self, limit: u32) -> Result<Vec<DeadWebhook>, StoreError>;

    // The outbox.

    /// Events that are due, at most one of each subject: the oldest that is not delivered. One that is dead holds back
    /// those after it, so that subscribers see every subject in order. Those that are held back are put off as long as
    /// the one before them is, and are due once that is delivered.
    async fn due_outbox(&self, limit: u32, lease_ms: i64, now_ms: i64) -> Result<Vec<OutboxEvent>, StoreError>;
    async fn delivered(&self, ids: &[OutboxId], now_ms: i64) -> Result<(), StoreError>;
    /// Not delivered: tried again at `next_ms`, or dead where that is None.
    async fn undelivered(&self, id: OutboxId, why: &str, next_ms: Option<i64>) -> Result<(), StoreError>;
    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError>;
    /// Makes dead events of both queues due again, those that are named or all where none are, with a row in the audit.
    /// Returns their ids: whoever was named and is not among them was not dead.
    async fn replay_dead(&self, ids: &[String], actor: &str, now_ms: i64) -> Result<Vec<String>, StoreError>;
    /// Counts dead webhooks as dealt with, so that they are swept, with a row in the audit. Returns the ids of those that were
    /// dead. Events of the outbox are none: subscribers would miss a version.
    async fn discard_dead(
        &self,
        ids: &[String],
        reason: &str,
        actor: &str,
        now_ms: i64,
    ) -> Result<Vec<String>, StoreError>;

    // Comparing with Stripe.

    /// Payments made from one moment to another with their refunds, by id after `after`.
    async fn payments_between(
        &self,
        from_ms: i64,
        to_ms: i64,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<PaymentRow>, StoreError>;
    /// Notes a break once: the same kind and reference is the same break. One that was dealt with opens again where its detail
    /// is another: that it is found once more says nothing new.
    async fn record_break(&self, found: &FoundBreak, now_ms: i64) -> Result<(), StoreError>;
    /// Those that nobody dealt with, newest first.
    async fn breaks(&self, limit: u32) -> Result<Vec<OpenBreak>, StoreError>;
    /// Notes that somebody dealt with a break, with a row in the audit. False where it is not open.
    async fn resolve_break(&self, resolution: &Resolution<'_>, now_ms: i64) -> Result<bool, StoreError>;

    /// A row in the audit for what is no transaction of its own.
    async fn note(&self, audit: &Audit, now_ms: i64) -> Result<(), StoreError>;

    // Its own state.

    async fn backlog(&self, now_ms: i64) -> Result<Backlog, StoreError>;
    /// Answers where the primary does.
    async fn ping(&self) -> Result<(), StoreError>;
    /// Looks for what must never be: the books of stock, money and events against each other.
    async fn violations(&self) -> Result<Vec<Violation>, StoreError>;
}
