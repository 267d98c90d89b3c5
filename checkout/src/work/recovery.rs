//! Finishes what was left undone: by a fault of Stripe's, by a webhook that never came, or by being killed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::asking::warn_of;
use super::counters::count;
use super::crew::{Crew, is_stopped, stopped};
use super::news::take_in;
use super::{Work, now_ms};
use crate::domain::{Effects, News, Order, PaymentState, RefundState, Refusal};
use crate::fail_points;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::store::{ClaimUse, Claimed, StoreError};

const MAX_ORDERS_AT_ONCE: usize = 4;
/// How long an order is left to the step that took it. Short, so that those of a process that was killed go on soon; two
/// steps at once do no harm, since Stripe knows both by one key.
const LEASE_MS: i64 = 4_000;
const KEEPING_LIMIT: u32 = 100;
const SWEEP_EVERY_MS: i64 = 60_000;
/// Rows that are deleted in one transaction. As long as there are so many, the next follows with the next look.
const SWEEP_LIMIT: u32 = 1_000;
const HOUR_MS: i64 = 3_600_000;
/// Promised are 24 hours.
const KEEP_ANSWERS_MS: i64 = 48 * HOUR_MS;
/// Stripe repeats an event for three days, by whose id it is known.
const KEEP_QUEUES_MS: i64 = 7 * 24 * HOUR_MS;

/// Whether there was more to put away than one transaction may.
#[derive(Default)]
struct Kept {
    has_more: bool,
    has_more_to_sweep: bool,
}

/// What a step looked at, and what Stripe said.
struct Step {
    news: Vec<News>,
    payments: Vec<(PaymentId, PaymentState)>,
    /// Those of the payments of which Stripe said anything.
    heard: Vec<PaymentId>,
    refunds: Vec<(RefundId, RefundState)>,
}

impl Work {
    /// Takes orders as they fall due.
    pub(super) async fn run_recovery(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let poll = Duration::from_millis(self.settings.poll_ms);
        let nobody_calls = Notify::new();
        let mut crew = Crew::new(MAX_ORDERS_AT_ONCE);
        while !is_stopped(&shutdown) {
            let free = crew.free_seats();
            let due = match self.store.due_orders(free as u32, LEASE_MS, now_ms()).await {
                Ok(orders) => orders,
                Err(error) => {
                    warn!(error = %error, "due orders cannot be read");
                    Vec::new()
                }
            };
            for order in due {
                fail_points::reach(fail_points::RECOVERY_CLAIMED);
                let work = Arc::clone(&self);
                crew.start(order, async move {
                    if let Err(error) = work.resolve(order).await {
                        warn!(order.id = %order, error = %error, "an order could not be brought further");
                    }
                });
            }
            crew.pause(poll, &nobody_calls, &mut shutdown).await;
        }
        crew.finish().await;
    }

    /// Ends what has run out, tells what can be bought, and forgets what is old.
    pub(super) async fn run_keeping(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let poll = Duration::from_millis(self.settings.poll_ms);
        let mut swept_ms = 0;
        while !is_stopped(&shutdown) {
            let now = now_ms();
            let is_time_to_sweep = now - swept_ms >= SWEEP_EVERY_MS;
            let kept = self.keep(now, is_time_to_sweep).await.unwrap_or_else(|error| {
                warn!(error = %error, "what is over cannot be put away");
                Kept::default()
            });
            if is_time_to_sweep && !kept.has_more_to_sweep {
                swept_ms = now;
            }
            if kept.has_more {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                () = stopped(&mut shutdown) => {}
            }
        }
    }

    /// One step with an order: looks at all of it that is due, and applies what Stripe says. What brought nothing new is
    /// looked at again later and later.
    pub(super) async fn resolve(&self, id: OrderId) -> Result<(), StoreError> {
        let Some(order) = self.store.order(id).await? else {
            return Ok(());
        };
        let step = self.look_at_order(&order).await;
        let now = now_ms();
        let change = |order: &mut Order| take_step(order, &step, now);
        let done = self.store.change_order(id, &change, &ClaimUse::None, None, None, now).await?;
        self.outbox_filled.notify_one();
        if let Claimed::Done(after, _) = done {
            self.note_progress(&step, &after);
        }
        Ok(())
    }

    async fn look_at_order(&self, order: &Order) -> Step {
        let now = now_ms();
        let is_due = |next_check_ms: Option<i64>| next_check_ms.is_some_and(|next| next <= now + LEASE_MS);
        let mut step = Step { news: Vec::new(), payments: Vec::new(), heard: Vec::new(), refunds: Vec::new() };
        for payment in order.payments.iter().filter(|one| one.state.is_live() && is_due(one.next_check_ms)) {
            step.payments.push((payment.id, payment.state));
            match self.asker.look(order, payment, now).await {
                Ok(news) => {
                    step.heard.push(payment.id);
                    step.news.extend(news);
                }
                Err(error) => warn_of(order, payment, &error),
            }
        }
        for refund in order.refunds.iter().filter(|one| is_due(one.next_check_ms)) {
            step.refunds.push((refund.id, refund.state));
            match self.asker.look_at_refund(order, refund, now).await {
                Ok(news) => step.news.extend(news),
                Err(error) => {
                    warn!(order.id = %order.id, refund.id = %refund.id, error = %error, "Stripe did not answer");
                }
            }
        }
        step
    }

    fn note_progress(&self, step: &Step, after: &Order) {
        let payments = step
            .payments
            .iter()
            .map(|(id, before)| after.payments.iter().any(|payment| payment.id == *id && payment.state != *before));
        let refunds = step
            .refunds
            .iter()
            .map(|(id, before)| after.refunds.iter().any(|refund| refund.id == *id && refund.state != *before));
        for went_on in payments.chain(refunds) {
            match went_on {
                true => {
                    info!(order.id = %after.id, order.state = ?after.state, "recovery brought an order further");
                    count(&self.counters.recovered);
                }
                false => count(&self.counters.recovery_postponed),
            }
        }
    }

    async fn keep(&self, now_ms: i64, sweeps: bool) -> Result<Kept, StoreError> {
        let expired = self.store.expire_checkouts(KEEPING_LIMIT, now_ms).await?;
        let told = self.store.tell_availability(KEEPING_LIMIT, now_ms).await?;
        if expired + told > 0 {
            self.outbox_filled.notify_one();
        }
        let mut kept = Kept { has_more: expired.max(told) >= u64::from(KEEPING_LIMIT), ..Kept::default() };
        if sweeps {
            let answers = self.store.forget_answers(now_ms - KEEP_ANSWERS_MS, SWEEP_LIMIT).await?;
            let rows = self.store.sweep(now_ms - KEEP_QUEUES_MS, SWEEP_LIMIT, now_ms).await?;
            let checkouts = self.store.sweep_checkouts(now_ms - self.settings.keep_abandoned_ms, SWEEP_LIMIT).await?;
            self.counters.checkouts_swept.fetch_add(checkouts, Ordering::Relaxed);
            info!(
                swept.answers = answers,
                swept.rows = rows,
                swept.checkouts = checkouts,
                checkouts.expired = expired,
                "old rows were put away"
            );
            kept.has_more_to_sweep = answers.max(rows).max(checkouts) >= u64::from(SWEEP_LIMIT);
        }
        Ok(kept)
    }
}

/// Applies a step; what it looked at and did not change waits longer than the last time.
fn take_step(order: &mut Order, step: &Step, now_ms: i64) -> Result<Effects, Refusal> {
    let before = order.clone();
    let effects = take_in(order, &step.news, now_ms)?;
    let held_until_ms = order.held_until_ms;
    for (payment, old) in order.payments.iter_mut().zip(&before.payments) {
        let was_looked_at = step.payments.iter().any(|(id, _)| *id == payment.id);
        if was_looked_at && payment.state == old.state {
            // One that is missing is dead after so many looks in vain; where Stripe did not answer, it was none.
            if !payment.is_missing() || step.heard.contains(&payment.id) {
                payment.checks = payment.checks.saturating_add(1);
            }
            payment.schedule(held_until_ms, now_ms);
        }
    }
    for (refund, old) in order.refunds.iter_mut().zip(&before.refunds) {
        let was_looked_at = step.refunds.iter().any(|(id, _)| *id == refund.id);
        if was_looked_at && refund.state == old.state {
            refund.checks = refund.checks.saturating_add(1);
            refund.schedule(now_ms);
        }
    }
    Ok(effects)
}
