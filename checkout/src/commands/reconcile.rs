//! Compares the books with Stripe's.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::say;
use crate::config::Stripe;
use crate::database::Opened;
use crate::http::answers::time;
use crate::store::Audit;
use crate::stripe;
use crate::work::{Settings, Work, now_ms};

const WEBHOOK_TOLERANCE_S: i64 = 300;

/// Exits with 1 where the books differ.
pub(super) async fn run(
    opened: &Opened,
    stripe: &Stripe,
    actor: String,
    from_ms: i64,
    to_ms: i64,
    is_json: bool,
) -> anyhow::Result<ExitCode> {
    let client = stripe::Client::new(stripe::Settings {
        base_url: stripe.api_url.clone(),
        secret_key: stripe.secret_key.clone(),
        timeout_ms: stripe.timeout_ms,
        requests_per_s: stripe.requests_per_s,
    });
    // Its loops are not started: nothing but the comparison runs here.
    let settings = Settings {
        webhook_secrets: Vec::new(),
        webhook_tolerance_s: WEBHOOK_TOLERANCE_S,
        events: None,
        outbox_max_tries: 1,
        reconcile_at: None,
        keep_abandoned_ms: i64::MAX,
        poll_ms: 1_000,
    };
    // What it finds is written as it goes, so that who began it is noted before.
    let detail = json!({ "from": time(from_ms), "to": time(to_ms) });
    let audit = Audit { actor, action: "reconcile".to_owned(), subject: "books".to_owned(), detail };
    opened.store().note(&audit, now_ms()).await?;
    let work = Work::new(opened.store(), client.context("Stripe")?, settings);
    let done = work.reconcile(from_ms, to_ms).await.context("comparing with Stripe")?;
    let breaks: Vec<Value> = done
        .breaks
        .iter()
        .map(|found| json!({ "kind": found.kind, "reference": found.reference, "detail": found.detail }))
        .collect();
    match is_json {
        true => say(json!({
            "payments": done.payments,
            "intents": done.intents,
            "refunds": done.refunds,
            "disputes": done.disputes,
            "breaks": breaks,
        })),
        false => {
            say(format_args!(
                "compared {} payments with {} of Stripe's, {} refunds and {} disputes",
                done.payments, done.intents, done.refunds, done.disputes
            ));
            for found in &breaks {
                let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
                say(format_args!("{} {}: {}", text("kind"), text("reference"), text("detail")));
            }
        }
    }
    Ok(if done.breaks.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
