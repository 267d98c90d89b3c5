//! Events that could not be delivered.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::say;
use crate::config::DeadLetters;
use crate::database::Opened;
use crate::http::answers::time;
use crate::store::DeadLetter;
use crate::work::now_ms;

/// More than a person reads; replaying takes them all.
const MAX_LISTED: u32 = 1_000;

pub(super) async fn run(opened: &Opened, task: DeadLetters, is_json: bool) -> anyhow::Result<ExitCode> {
    match task {
        DeadLetters::List => {
            let letters = opened.store().dead_letters(MAX_LISTED).await?;
            match is_json {
                true => {
                    let told: Vec<Value> = letters.iter().map(letter).collect();
                    say(json!({ "dead_letters": told }));
                }
                false => letters.iter().for_each(|one| {
                    let event = &one.event;
                    say(format_args!(
                        "{} {} {} after {} tries: {}",
                        event.id, event.kind, event.subject, event.tries, one.why
                    ));
                }),
            }
        }
        DeadLetters::Replay(ids) => {
            let count = opened.store().replay_dead_letters(&ids, now_ms()).await?;
            match is_json {
                true => say(json!({ "replayed": count })),
                false => say(format_args!("{count} events are delivered again")),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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
