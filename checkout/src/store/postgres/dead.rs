//! What was given up: webhooks that could not be applied, and events that nobody took. They are tried again, or webhooks are
//! put away.

use serde::Deserialize;
use sqlx::PgConnection;

use super::failure::Failure;
use super::records::from_json;
use super::{audit, inbox, outbox};
use crate::store::queues::{discard_audit, replay_audit};

#[derive(Deserialize)]
struct Noted {
    ids: Vec<String>,
}

/// In a transaction that was begun. One that runs again says what the one before it did.
pub(super) async fn replay(
    connection: &mut PgConnection,
    transaction: &str,
    ids: &[String],
    actor: &str,
    now_ms: i64,
    is_rerun: bool,
) -> Result<Vec<String>, Failure> {
    if is_rerun && let Some(done) = done_before(connection, transaction).await? {
        return Ok(done);
    }
    let mut replayed = inbox::replay(connection, ids, now_ms).await?;
    replayed.extend(outbox::replay(connection, ids, now_ms).await?);
    if !replayed.is_empty() {
        audit::note(connection, transaction, &replay_audit(actor, &replayed), now_ms).await?;
    }
    Ok(replayed)
}

/// The same of webhooks that are put away.
pub(super) async fn discard(
    connection: &mut PgConnection,
    transaction: &str,
    ids: &[String],
    reason: &str,
    actor: &str,
    now_ms: i64,
    is_rerun: bool,
) -> Result<Vec<String>, Failure> {
    if is_rerun && let Some(done) = done_before(connection, transaction).await? {
        return Ok(done);
    }
    let discarded = inbox::discard(connection, ids, now_ms).await?;
    if !discarded.is_empty() {
        audit::note(connection, transaction, &discard_audit(actor, reason, &discarded), now_ms).await?;
    }
    Ok(discarded)
}

/// What the run before this one did, where it was committed all the same.
async fn done_before(connection: &mut PgConnection, transaction: &str) -> Result<Option<Vec<String>>, Failure> {
    let detail = audit::detail(connection, transaction).await?;
    detail.map(|detail| from_json::<Noted>(&detail).map(|noted| noted.ids)).transpose()
}
