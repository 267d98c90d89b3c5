//! How the database is, and what waits.

use std::process::ExitCode;

use serde_json::json;

use super::say;
use crate::config::Database;
use crate::database::Opened;
use crate::store::Backlog;
use crate::work::now_ms;

/// Exits with 1 where the database does not answer, or its tables are not those of this version.
pub(super) async fn tell(database: &Database, is_json: bool) -> anyhow::Result<ExitCode> {
    let opened = Opened::open(database).await?;
    let schema = opened.check_schema().await;
    let backlog = match &schema {
        Ok(()) => Some(opened.store().backlog(now_ms()).await?),
        Err(_) => None,
    };
    let fault = schema.err().map(|error| error.to_string());
    let rows = backlog.as_ref().map(rows).unwrap_or_default();
    match is_json {
        true => {
            let waiting: serde_json::Map<_, _> =
                rows.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
            say(json!({ "database": opened.name(), "fault": fault, "waiting": waiting }));
        }
        false => {
            say(format_args!("database: {}, {}", opened.name(), fault.as_deref().unwrap_or("ok")));
            rows.iter().for_each(|(name, count)| say(format_args!("{name}: {count}")));
        }
    }
    Ok(if fault.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn rows(backlog: &Backlog) -> Vec<(&'static str, u64)> {
    vec![
        ("payments_unanswered", backlog.payments_unanswered),
        ("payments_waiting", backlog.payments_waiting),
        ("refunds_open", backlog.refunds_open),
        ("inbox", backlog.inbox),
        ("oldest_inbox_ms", backlog.oldest_inbox_ms),
        ("dead_webhooks", backlog.dead_webhooks),
        ("outbox", backlog.outbox),
        ("oldest_outbox_ms", backlog.oldest_outbox_ms),
        ("dead_letters", backlog.dead_letters),
        ("open_breaks", backlog.open_breaks),
        ("checkouts_held", backlog.checkouts_held),
    ]
}
