//! Shoppers who place checkouts without a pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use checkout::ids::CheckoutId;
use checkout::store::{ClaimUse, Claimed, PostgresStore, Store};
use tokio::task::JoinSet;

use crate::contract::shop::{checkout, set_stock, stock};
use crate::http::shop::wait_until;

const SHOPPERS: usize = 8;
const STOCK: i64 = 1_000_000;

pub(super) struct Load {
    store: Arc<PostgresStore>,
    acknowledged: Arc<Mutex<Vec<CheckoutId>>>,
    is_over: Arc<AtomicBool>,
    shoppers: JoinSet<()>,
}

impl Load {
    pub(super) async fn start(store: Arc<PostgresStore>) -> Self {
        set_stock(store.as_ref(), "boots", STOCK).await;
        let mut load = Self { store, acknowledged: Arc::default(), is_over: Arc::default(), shoppers: JoinSet::new() };
        for _ in 0..SHOPPERS {
            let (store, is_over) = (load.store.clone(), load.is_over.clone());
            let acknowledged = load.acknowledged.clone();
            load.shoppers.spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let new = checkout(&[("boots", 1, 100)]);
                    match store.place_checkout(&new, &ClaimUse::None).await {
                        Ok(Claimed::Done(placed, _)) => {
                            acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(placed.id);
                        }
                        // Whether it was placed is not known.
                        Err(error) if error.is_transient() => {}
                        other => panic!("neither placed nor unavailable: {other:?}"),
                    }
                }
            });
        }
        load
    }

    /// Waits until so many more are acknowledged.
    pub(super) async fn wait_for(&self, more: usize) {
        let before = self.count();
        wait_until("more is placed", async || self.count() >= before + more).await;
    }

    /// Ends it, and compares what shoppers were told with what is there.
    pub(super) async fn settle(mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        while let Some(shopper) = self.shoppers.join_next().await {
            shopper.expect("a shopper ends");
        }
        let acknowledged = std::mem::take(&mut *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner));
        for id in &acknowledged {
            assert!(self.store.checkout(*id).await.expect("it is read").is_some(), "{id} is lost");
        }
        let (available, held) = stock(self.store.as_ref(), "boots").await;
        assert_eq!(available + held, STOCK);
        assert!(held >= i64::try_from(acknowledged.len()).expect("a small number"));
        let violations = self.store.violations().await.expect("the books are read");
        assert!(violations.is_empty(), "{violations:?}");
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
