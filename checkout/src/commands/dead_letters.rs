//! Events that could not be delivered, and webhooks that could not be applied.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::say;
use crate::config::DeadLetters;
use crate::database::Opened;
use crate::http::answers::time;
use crate::store::{DeadLetter, DeadWebhook};
use crate::work::now_ms;

/// More than a person reads; replaying takes them all.
const MAX_LISTED: u32 = 1_000;

pub(super) async fn run(opened: &Opened, task: DeadLetters, is_json: bool) -> anyhow::Result<ExitCode> {
    match task {
        DeadLetters::List => list(opened, is_json).await,
        DeadLetters::Replay { actor, ids } => {
            let replayed = opened.store().replay_dead(&ids, &actor, now_ms()).await?;
            Ok(tell(&ids, &replayed, "replayed", "are tried again", is_json))
        }
        DeadLetters::Discard { actor, reason, ids } => {
            let discarded = opened.store().discard_dead(&ids, &reason, &actor, now_ms()).await?;
            Ok(tell(&ids, &discarded, "discarded", "are put away", is_json))
        }
    }
}

async fn list(opened: &Opened, is_json: bool) -> anyhow::Result<ExitCode> {
    let letters = opened.store().dead_letters(MAX_LISTED).await?;
    let webhooks = opened.store().dead_webhooks(MAX_LISTED).await?;
    if is_json {
        let letters: Vec<Value> = letters.iter().map(letter).collect();
        let webhooks: Vec<Value> = webhooks.iter().map(webhook).collect();
        say(json!({ "dead_letters": letters, "dead_webhooks": webhooks }));
        return Ok(ExitCode::SUCCESS);
    }
    if letters.is_empty() && webhooks.is_empty() {
        say("there are no dead letters or webhooks");
    }
    for DeadLetter { event, why } in &letters {
        say(format_args!("{} {} {} after {} tries: {why}", event.id, event.kind, event.subject, event.tries));
    }
    for one in &webhooks {
        say(format_args!("{} {} of Stripe's after {} tries: {}", one.id, one.kind, one.tries, one.why));
    }
    Ok(ExitCode::SUCCESS)
}

/// Exits with 1 where one that is named is not dead.
fn tell(named: &[String], done: &[String], count: &str, what: &str, is_json: bool) -> ExitCode {
    let not_dead: Vec<&String> = named.iter().filter(|id| !done.contains(id)).collect();
    match is_json {
        true => say(json!({ count: done.len(), "not_dead": not_dead })),
        false => {
            say(format_args!("{} events {what}", done.len()));
            not_dead.iter().for_each(|id| say(format_args!("{id} is not dead")));
        }
    }
    if not_dead.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn letter(letter: &DeadLetter) -> Value {
    let event = &letter.event;
    json!({
        "id": event.id,
        "kind": event.kind,
        "subject": event.subject,
        "version": event.version,
        "tries": event.tries,
        "created": time(event.created_ms),
        "why": letter.why,
    })
}

fn webhook(webhook: &DeadWebhook) -> Value {
    json!({
        "id": webhook.id,
        "kind": webhook.kind,
        "tries": webhook.tries,
        "received": time(webhook.received_ms),
        "why": webhook.why,
    })
}
