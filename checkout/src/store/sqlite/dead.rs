//! What was given up: webhooks that could not be applied, and events that nobody took. They are tried again, or webhooks are
//! put away.

use sqlx::SqliteConnection;

use super::fault::Fault;
use super::{audit, inbox, outbox};
use crate::store::queues::{discard_audit, replay_audit};

pub(super) async fn replay(
    conn: &mut SqliteConnection,
    ids: &[String],
    actor: &str,
    now_ms: i64,
) -> Result<Vec<String>, Fault> {
    // None stands for all.
    let wanted: Vec<Option<&str>> =
        if ids.is_empty() { vec![None] } else { ids.iter().map(|id| Some(id.as_str())).collect() };
    let mut replayed = Vec::new();
    for id in wanted {
        replayed.extend(inbox::replay(conn, id, now_ms).await?);
        replayed.extend(outbox::replay(conn, id, now_ms).await?);
    }
    if !replayed.is_empty() {
        audit::write(conn, &replay_audit(actor, &replayed), now_ms).await?;
    }
    Ok(replayed)
}

pub(super) async fn discard(
    conn: &mut SqliteConnection,
    ids: &[String],
    reason: &str,
    actor: &str,
    now_ms: i64,
) -> Result<Vec<String>, Fault> {
    let mut discarded = Vec::new();
    for id in ids {
        discarded.extend(inbox::discard(conn, id, now_ms).await?);
    }
    if !discarded.is_empty() {
        audit::write(conn, &discard_audit(actor, reason, &discarded), now_ms).await?;
    }
    Ok(discarded)
}
