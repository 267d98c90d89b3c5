//! The store on files of its own. What both stores have in common is tested once more, for both, in tests/it/contract.

mod books;
mod file;
mod keys;
mod orders;
mod queues;
mod stock;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use snapshots::{Currency, Money};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

use crate::domain::{
    Checkout, CheckoutState, Effects, IntentStatus, Line, News, Order, PaymentMethod, RefundState, Refusal,
};
use crate::ids::{CheckoutId, OrderId, PaymentId, RefundId};
use crate::store::{Audit, ClaimUse, Claimed, SqliteStore, StockChange, Store, StoreError, StoreSettings};

const NOW: i64 = 1_700_000_000_000;
const HOLD_MS: i64 = 600_000;
const UNIT_PRICE_MINOR: i64 = 250;

struct Bench {
    folder: TempDir,
    store: Arc<SqliteStore>,
}

impl Bench {
    /// A store whose tables are made.
    async fn start() -> Self {
        Self::start_with(StoreSettings::default()).await
    }

    async fn start_with(settings: StoreSettings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = SqliteStore::open(&folder.path().join("checkout.db"), settings).await.expect("a new file");
        store.migrate(false).await.expect("its tables");
        Self { folder, store: Arc::new(store) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("checkout.db")
    }

    /// A connection as another process has it.
    async fn other_process(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).connect().await.expect("the same file")
    }

    async fn set_stock(&self, product: &str, available: i64) {
        let change = StockChange::Set { product: product.to_owned(), available, reason: "count".to_owned() };
        done(self.store.change_stock(&[change], &ClaimUse::None, &audit(), NOW).await);
    }

    /// What can be sold, and what is held.
    async fn stock(&self, product: &str) -> (i64, i64) {
        let level = self.store.stock(product).await.expect("a level").expect("a tracked product");
        (level.available, level.held)
    }

    async fn place(&self, lines: &[(&str, u32)]) -> Checkout {
        done(self.store.place_checkout(&checkout(lines), &ClaimUse::None).await)
    }

    /// An order whose payment Stripe is being asked for.
    async fn open(&self, checkout: CheckoutId, payment: PaymentId) -> Order {
        done(self.store.open_order(checkout, OrderId::new(), &begins(payment), &ClaimUse::None, NOW).await)
    }

    async fn tell(&self, order: OrderId, told: News, now_ms: i64) -> Order {
        let change = move |order: &mut Order| order.apply(&told, now_ms);
        done(self.store.change_order(order, &change, &ClaimUse::None, None, None, now_ms).await)
    }

    /// An order that is paid, of two lamps.
    async fn paid(&self) -> (Order, PaymentId) {
        self.set_stock("lamp", 10).await;
        let checkout = self.place(&[("lamp", 2)]).await;
        let payment = PaymentId::new();
        let order = self.open(checkout.id, payment).await;
        let order = self.tell(order.id, succeeded(payment, "pi_paid", order.total), NOW).await;
        (order, payment)
    }

    async fn refund(&self, order: OrderId, refund: RefundId, amount_minor: i64) -> Result<Order, StoreError> {
        let change = move |order: &mut Order| -> Result<Effects, Refusal> {
            order.begin_refund(refund, Some(euros(amount_minor)), None, NOW)?;
            Ok(Effects::default())
        };
        let claimed = self.store.change_order(order, &change, &ClaimUse::None, Some(&audit()), None, NOW).await?;
        Ok(done(Ok(claimed)))
    }

    async fn expect_sound_books(&self) {
        assert_eq!(self.store.violations().await.expect("the books"), []);
    }
}

fn euros(amount_minor: i64) -> Money {
    Money::from_minor(amount_minor, euro())
}

fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

fn checkout(lines: &[(&str, u32)]) -> Checkout {
    let line = |(product, quantity): &(&str, u32)| Line {
        product: (*product).to_owned(),
        title: format!("A {product}"),
        quantity: *quantity,
        unit_price: euros(UNIT_PRICE_MINOR),
    };
    let units: u32 = lines.iter().map(|(_, quantity)| quantity).sum();
    Checkout {
        id: CheckoutId::new(),
        state: CheckoutState::Open,
        version: 1,
        market: "de".to_owned(),
        currency: euro(),
        lines: lines.iter().map(line).collect(),
        total: euros(UNIT_PRICE_MINOR * i64::from(units)),
        snapshot: "snapshot-1".to_owned(),
        held_until_ms: NOW + HOLD_MS,
        cart: None,
        email: None,
        shipping_address: Some(json!({ "city": "Köln", "lines": ["Domkloster 4"] })),
        token_hash: [7; 32],
        created_ms: NOW,
    }
}

fn audit() -> Audit {
    Audit {
        actor: "staff".to_owned(),
        action: "test".to_owned(),
        subject: "something".to_owned(),
        detail: json!({ "why": "a test" }),
    }
}

fn begins(payment: PaymentId) -> impl Fn(&mut Order) -> Result<Effects, Refusal> + Send + Sync {
    move |order: &mut Order| {
        order.begin_payment(payment, PaymentMethod::PaymentIntent, None, NOW)?;
        Ok(Effects::default())
    }
}

fn nothing(_: &mut Order) -> Result<Effects, Refusal> {
    Ok(Effects::default())
}

fn intent(payment: PaymentId, intent: &str, status: IntentStatus, received: Money) -> News {
    News::Intent { payment, intent: intent.to_owned(), status, received, client_secret: None, failure: None }
}

fn succeeded(payment: PaymentId, id: &str, received: Money) -> News {
    intent(payment, id, IntentStatus::Succeeded, received)
}

fn refunded(payment: PaymentId, refund: RefundId, stripe_refund: &str, amount_minor: i64) -> News {
    News::Refund {
        refund: Some(refund),
        payment,
        stripe_refund: stripe_refund.to_owned(),
        state: RefundState::Succeeded,
        amount: euros(amount_minor),
        failure: None,
    }
}

/// What was done, where it was.
fn done<T: Debug>(outcome: Result<Claimed<T>, StoreError>) -> T {
    match outcome {
        Ok(Claimed::Done(made, _)) => made,
        other => panic!("it was to be done: {other:?}"),
    }
}

fn refusal<T: Debug>(outcome: Result<T, StoreError>) -> Refusal {
    match outcome {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("it was to be refused: {other:?}"),
    }
}
