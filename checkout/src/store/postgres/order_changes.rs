//! How the transaction of an order goes: at once where that can be, else under the lock of its checkout.

use super::primary::Primary;
use super::{at_once, audit, orders};
use crate::domain::Order;
use crate::ids::{CheckoutId, OrderId};
use crate::store::{Audit, ClaimUse, Claimed, OrderChange, StoreError};

/// Opens the order of a checkout, or changes the one that it has.
pub(super) async fn open(
    primary: &Primary,
    checkout: CheckoutId,
    new_order: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    now_ms: i64,
) -> Result<Claimed<Order>, StoreError> {
    let transaction = &audit::transaction_id();
    primary
        .run(move |mut lease, is_rerun| async move {
            // Whoever runs again has to find out first what was written before.
            let at_once = match is_rerun {
                false => at_once::open(&mut lease, transaction, checkout, new_order, change, claim, now_ms).await,
                true => Ok(None),
            };
            if let Some(outcome) = at_once.transpose() {
                return lease.end(outcome).await;
            }
            lease.begin().await?;
            let outcome = orders::open(&mut lease, transaction, checkout, new_order, change, claim, now_ms).await;
            lease.end(outcome).await
        })
        .await
}

pub(super) async fn change(
    primary: &Primary,
    order: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    audit: Option<&Audit>,
    inbox: Option<&str>,
    now_ms: i64,
) -> Result<Claimed<Order>, StoreError> {
    let notes = &orders::Notes { transaction: &audit::transaction_id(), audit, inbox };
    primary
        .run(move |mut lease, is_rerun| async move {
            let at_once = match is_rerun {
                false => at_once::change(&mut lease, order, change, claim, notes, now_ms).await,
                true => Ok(None),
            };
            if let Some(outcome) = at_once.transpose() {
                return lease.end(outcome).await;
            }
            lease.begin().await?;
            let outcome = orders::change(&mut lease, order, change, claim, notes, now_ms).await;
            lease.end(outcome).await
        })
        .await
}
