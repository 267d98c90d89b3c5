//! Compares the books with Stripe's. What the books merely missed is applied as the news that it is; what remains is a break,
//! for a person to look at.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use snapshots::Money;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{error, info};

use super::asking::Found;
use super::crew::stopped;
use super::events::{EventError, unknown_charge};
use super::news::of_dispute;
use super::payments::load;
use super::{Work, now_ms};
use crate::domain::{BreakKind, IntentStatus, News, Order, PaymentState, RefundState, breaks};
use crate::ids::{OrderId, PaymentId};
use crate::store::{ClaimUse, Claimed, FoundBreak, PaymentRef, PaymentRow, StoreError};
use crate::stripe::{Client, DisputeView, IntentView, RefundView, StripeError, Window};

/// Intents, refunds or disputes of one comparison, whose ids are kept meanwhile.
const MAX_OBJECTS: usize = 500_000;
const ROWS_AT_ONCE: u32 = 500;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The last hour is left to recovery. With two days, every payment is compared twice.
const DAILY_FROM_MS: i64 = 49 * HOUR_MS;
const DAILY_TO_MS: i64 = HOUR_MS;
/// Disputes are few, and are decided weeks after they were made.
const DISPUTES_FROM_MS: i64 = 120 * DAY_MS;

/// What a comparison saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    pub payments: u64,
    pub intents: u64,
    pub refunds: u64,
    pub disputes: u64,
    /// All of them are recorded as well.
    pub breaks: Vec<FoundBreak>,
}

#[derive(Debug, Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Stripe(#[from] StripeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("more than {MAX_OBJECTS} objects were made in that time: compare a shorter one")]
    TooMany,
    #[error("{0}")]
    Unreadable(String),
}

impl ReconcileError {
    /// Whether another try may go further.
    fn is_transient(&self) -> bool {
        match self {
            // Asked the same again, Stripe would answer the same.
            Self::Stripe(
                StripeError::Refused { .. }
                | StripeError::Settings(_)
                | StripeError::KeyMisused { .. }
                | StripeError::Forbidden(_),
            ) => false,
            Self::Stripe(_) => true,
            Self::Store(error) => error.is_transient(),
            Self::TooMany | Self::Unreadable(_) => false,
        }
    }
}

impl From<EventError> for ReconcileError {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Stripe(error) => Self::Stripe(error),
            EventError::Store(error) => Self::Store(error),
            EventError::Drifted(why) => Self::Unreadable(why),
        }
    }
}

/// A comparison that is under way.
struct Comparison<'a> {
    work: &'a Work,
    /// Leaves most of the allowance to those who wait.
    stripe: Client,
    window: Window,
    intents: HashSet<String>,
    refunds: HashSet<String>,
    result: Reconciliation,
}

impl Work {
    /// Compares payments, intents and refunds that were made from one moment to another, and disputes from long before.
    ///
    /// # Errors
    /// When Stripe or the store does not answer; what was found before is recorded.
    pub async fn reconcile(&self, from_ms: i64, to_ms: i64) -> Result<Reconciliation, ReconcileError> {
        let mut comparison = Comparison {
            work: self,
            stripe: self.stripe.patient(),
            window: Window { from_ms, to_ms },
            intents: HashSet::new(),
            refunds: HashSet::new(),
            result: Reconciliation::default(),
        };
        comparison.compare_intents().await?;
        comparison.compare_refunds().await?;
        comparison.compare_payments().await?;
        comparison.compare_disputes().await?;
        let result = comparison.result;
        info!(
            compared.payments = result.payments,
            compared.intents = result.intents,
            compared.refunds = result.refunds,
            compared.disputes = result.disputes,
            compared.breaks = result.breaks.len(),
            "the books were compared with Stripe's"
        );
        Ok(result)
    }

    /// Compares once a day, and again after an hour where Stripe or the database did not answer.
    pub(super) async fn run_reconciliation(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let Some(at) = self.settings.reconcile_at else {
            return stopped(&mut shutdown).await;
        };
        let at_ms = i64::from(at.hour()) * HOUR_MS + i64::from(at.minute()) * 60_000 + i64::from(at.second()) * 1_000;
        let mut pause_ms = wait_ms(at_ms, now_ms());
        loop {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                () = stopped(&mut shutdown) => return,
            }
            let now = now_ms();
            // Whatever it is at, each of its writes is a transaction of its own, so that it can end anywhere.
            tokio::select! {
                done = self.reconcile(now - DAILY_FROM_MS, now - DAILY_TO_MS) => {
                    if let Err(error) = &done {
                        error!(error = %error, "the books could not be compared with Stripe's");
                    }
                    pause_ms = pause_after_ms(done.as_ref().err(), at_ms, now_ms());
                }
                () = stopped(&mut shutdown) => return,
            }
        }
    }
}

impl Comparison<'_> {
    async fn compare_intents(&mut self) -> Result<(), ReconcileError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.stripe.intents(self.window, after.as_deref()).await?;
            after = page.data.last().map(|last| last.id.clone());
            for view in &page.data {
                self.result.intents += 1;
                self.compare_intent(view).await?;
                remember(&mut self.intents, &view.id)?;
            }
            if !page.has_more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn compare_intent(&mut self, view: &IntentView) -> Result<(), ReconcileError> {
        let owner = self.work.owner(view.metadata().payment(), &[PaymentRef::Intent(&view.id)]).await?;
        let Some((order, payment)) = owner else {
            return match (view.status(), view.metadata().order()) {
                (IntentStatus::Succeeded, Some(order)) => self.note(unknown_charge(view, order)).await,
                _ => Ok(()),
            };
        };
        let mut order = load(&*self.work.store, order).await?;
        let state = state_of(&order, payment);
        let is_missed = view.status() == IntentStatus::Succeeded && state != Some(PaymentState::Succeeded);
        let can_be_paid = view.status() == IntentStatus::RequiresAction && state == Some(PaymentState::Failed);
        if is_missed || can_be_paid {
            order = self.catch_up(order, payment, view).await?;
        }
        if view.status() != IntentStatus::Succeeded {
            return Ok(());
        }
        match order.payments.iter().find(|one| one.id == payment) {
            // A second intent with the name of one payment is a second charge.
            Some(payment)
                if payment.state == PaymentState::Succeeded && payment.intent.as_deref() == Some(view.id.as_str()) =>
            {
                let is_same = view.received().currency() == payment.amount.currency()
                    && view.received().amount_minor() == payment.captured_minor;
                match is_same {
                    true => Ok(()),
                    false => self.note(differs(payment.id, payment.amount, view)).await,
                }
            }
            _ => self.note(unknown_charge(view, order.id)).await,
        }
    }

    /// Applies what an intent says, as if its webhook had come.
    async fn catch_up(&self, order: Order, payment: PaymentId, view: &IntentView) -> Result<Order, ReconcileError> {
        let Some(found) = order.payments.iter().find(|one| one.id == payment) else {
            return Ok(order);
        };
        let news = self.work.asker.follow(&order, found, Found::Intent(view.clone()), now_ms()).await?;
        match self.work.apply(&*self.work.store, order.id, &news, &ClaimUse::None, None).await? {
            Claimed::Done(after, _) => Ok(after),
            _ => Ok(order),
        }
    }

    async fn compare_refunds(&mut self) -> Result<(), ReconcileError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.stripe.refunds(self.window, after.as_deref()).await?;
            after = page.data.last().map(|last| last.id.clone());
            for view in &page.data {
                self.result.refunds += 1;
                self.compare_refund(view).await?;
                remember(&mut self.refunds, &view.id)?;
            }
            if !page.has_more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn compare_refund(&mut self, view: &RefundView) -> Result<(), ReconcileError> {
        let Some(owner) = self.work.owner_of_refund(view).await? else {
            return Ok(());
        };
        if has_refund(&load(&*self.work.store, owner.0).await?, view) {
            return Ok(());
        }
        // Since it was listed it may have gone on, and the books with it.
        let view = self.stripe.refund(&view.id).await?;
        let done = self.work.apply_refunds(owner, std::slice::from_ref(&view), None).await?;
        if matches!(&done, Claimed::Done(after, _) if has_refund(after, &view)) {
            return Ok(());
        }
        // Or between the two.
        let view = self.stripe.refund(&view.id).await?;
        if has_refund(&load(&*self.work.store, owner.0).await?, &view) {
            return Ok(());
        }
        let detail = format!("{} of payment {} is {:?} at Stripe and not here", view.amount(), owner.1, view.status.0);
        self.note(FoundBreak { kind: BreakKind::RefundDiffers, reference: view.id.clone(), detail }).await
    }

    /// What the books missed of disputes is taken in: none is a break.
    async fn compare_disputes(&mut self) -> Result<(), ReconcileError> {
        let window = Window { from_ms: self.window.from_ms - DISPUTES_FROM_MS, to_ms: self.window.to_ms };
        let mut after: Option<String> = None;
        loop {
            let page = self.stripe.disputes(window, after.as_deref()).await?;
            after = page.data.last().map(|last| last.id.clone());
            for view in &page.data {
                self.result.disputes += 1;
                if self.result.disputes > MAX_OBJECTS as u64 {
                    return Err(ReconcileError::TooMany);
                }
                let Some(intent) = view.payment_intent.as_deref() else { continue };
                if let Some((order, payment)) = self.work.owner_of_intent(intent).await? {
                    self.compare_dispute(order, payment, view).await?;
                }
            }
            if !page.has_more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Since it was listed it may have been decided, or the decision overturned, and the books told: it is asked for anew.
    async fn compare_dispute(
        &self,
        order: OrderId,
        payment: PaymentId,
        view: &DisputeView,
    ) -> Result<(), ReconcileError> {
        if load(&*self.work.store, order).await?.disputes.contains(&of_dispute(payment, view)) {
            return Ok(());
        }
        let now = of_dispute(payment, &self.stripe.dispute(&view.id).await?);
        self.work.apply(&*self.work.store, order, &[News::Dispute(now)], &ClaimUse::None, None).await?;
        Ok(())
    }

    async fn compare_payments(&mut self) -> Result<(), ReconcileError> {
        let mut after = None;
        loop {
            let Window { from_ms, to_ms } = self.window;
            let rows = self.work.store.payments_between(from_ms, to_ms, after, ROWS_AT_ONCE).await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for row in &rows {
                self.result.payments += 1;
                if row.state == PaymentState::Succeeded {
                    self.compare_payment(row).await?;
                }
                self.compare_refunds_of(row).await?;
            }
        }
    }

    /// Looks for a charge of ours at Stripe, where the list of the window did not show it.
    async fn compare_payment(&mut self, row: &PaymentRow) -> Result<(), ReconcileError> {
        let Some(intent) = &row.intent else {
            return self.note(missing(row, "it has no intent")).await;
        };
        if self.intents.contains(intent) {
            return Ok(());
        }
        match self.stripe.intent(intent).await {
            Ok(view) if view.status() != IntentStatus::Succeeded => {
                self.note(missing(row, "its intent did not succeed at Stripe")).await
            }
            Ok(view) if view.received().amount_minor() != row.captured_minor => {
                self.note(differs(row.id, row.amount, &view)).await
            }
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => self.note(missing(row, "Stripe does not know its intent")).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn compare_refunds_of(&mut self, row: &PaymentRow) -> Result<(), ReconcileError> {
        for (id, state, amount_minor) in &row.refunds {
            let (Some(id), RefundState::Pending | RefundState::Succeeded) = (id, *state) else {
                continue;
            };
            if self.refunds.contains(id) {
                continue;
            }
            match self.stripe.refund(id).await {
                Ok(view) => self.compare_refund(&view).await?,
                Err(error) if error.is_missing() => {
                    let detail = format!("{amount_minor} minor units of payment {} are not at Stripe", row.id);
                    let kind = BreakKind::RefundDiffers;
                    self.note(FoundBreak { kind, reference: id.clone(), detail }).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn note(&mut self, found: FoundBreak) -> Result<(), ReconcileError> {
        error!(found.kind = ?found.kind, found.reference = found.reference, "the books differ from Stripe's");
        self.work.store.record_break(&found, now_ms()).await?;
        self.result.breaks.push(found);
        Ok(())
    }
}

fn state_of(order: &Order, payment: PaymentId) -> Option<PaymentState> {
    order.payments.iter().find(|one| one.id == payment).map(|one| one.state)
}

fn has_refund(order: &Order, view: &RefundView) -> bool {
    let is_it = |refund: &crate::domain::Refund| refund.stripe_refund.as_deref() == Some(view.id.as_str());
    order.refunds.iter().any(|one| is_it(one) && one.state == view.status.0 && one.amount == view.amount())
}

fn differs(payment: PaymentId, asked: Money, view: &IntentView) -> FoundBreak {
    let detail = breaks::amount_differs(asked, view.received());
    FoundBreak { kind: BreakKind::AmountDiffers, reference: payment.to_string(), detail }
}

fn missing(row: &PaymentRow, why: &str) -> FoundBreak {
    let detail = format!("{} of order {}: {why}", row.amount, row.order);
    FoundBreak { kind: BreakKind::MissingCharge, reference: row.id.to_string(), detail }
}

fn remember(ids: &mut HashSet<String>, id: &str) -> Result<(), ReconcileError> {
    if ids.len() >= MAX_OBJECTS {
        return Err(ReconcileError::TooMany);
    }
    ids.insert(id.to_owned());
    Ok(())
}

/// How long it is until that time of the day, in UTC; a whole day where it is now.
fn wait_ms(at_ms: i64, now_ms: i64) -> u64 {
    let left_ms = (at_ms - now_ms).rem_euclid(DAY_MS);
    if left_ms == 0 { DAY_MS.unsigned_abs() } else { left_ms.unsigned_abs() }
}

/// How long it is until the next comparison, by what came of the last one.
fn pause_after_ms(fault: Option<&ReconcileError>, at_ms: i64, now_ms: i64) -> u64 {
    let wait_ms = wait_ms(at_ms, now_ms);
    match fault {
        Some(error) if error.is_transient() => wait_ms.min(HOUR_MS.unsigned_abs()),
        _ => wait_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The books of a day on which Stripe was away at that time were not compared.
    #[test]
    fn a_comparison_that_failed_is_tried_again_after_an_hour() {
        let (three, now) = (3 * HOUR_MS, 20_000 * DAY_MS + 4 * HOUR_MS);
        let away = ReconcileError::Stripe(StripeError::RateLimited);
        assert_eq!(pause_after_ms(Some(&away), three, now), HOUR_MS.unsigned_abs());
        assert_eq!(pause_after_ms(Some(&away), three, now + 23 * HOUR_MS - 5), 5);
        let misused = ReconcileError::Stripe(StripeError::KeyMisused { message: String::new() });
        let settings = ReconcileError::Stripe(StripeError::Settings(String::new()));
        let forbidden = ReconcileError::Stripe(StripeError::Forbidden("/disputes".to_owned()));
        let refused = ReconcileError::Stripe(StripeError::Refused {
            status: 400,
            code: "parameter_invalid".to_owned(),
            decline_code: None,
            message: String::new(),
            param: None,
        });
        let faults = [&ReconcileError::TooMany, &misused, &settings, &forbidden, &refused];
        for fault in faults.into_iter().map(Some).chain([None]) {
            assert_eq!(pause_after_ms(fault, three, now), (23 * HOUR_MS).unsigned_abs(), "{fault:?}");
        }
    }

    #[test]
    fn it_waits_for_the_next_time_of_day() {
        let three = 3 * HOUR_MS;
        let day = 20_000 * DAY_MS;
        assert_eq!(wait_ms(three, day), three.unsigned_abs());
        assert_eq!(wait_ms(three, day + three), DAY_MS.unsigned_abs());
        assert_eq!(wait_ms(three, day + three - 1), 1);
        assert_eq!(wait_ms(three, day + three + 1), DAY_MS.unsigned_abs() - 1);
        assert_eq!(wait_ms(0, day + 23 * HOUR_MS), HOUR_MS.unsigned_abs());
    }
}
