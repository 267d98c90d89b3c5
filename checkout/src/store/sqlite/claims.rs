//! Idempotency keys: what is to be done about a request, and what it was told.

use sqlx::SqliteConnection;

use super::fault::{Fault, broken};
use super::rows::{get, hash};
use crate::store::{Answer, Claim, ClaimUse, Claimed, FINGERPRINT_BYTES};

struct Stored {
    fingerprint: [u8; FINGERPRINT_BYTES],
    subject: String,
    lease_until_ms: i64,
    answer: Option<Answer>,
}

/// What a key says about the work.
pub(super) enum Entry<T> {
    /// It is to be done.
    Work,
    /// This very request did it before, and did not hear of it: what it made is there, and this was its answer.
    Ours(Option<Answer>),
    /// It is not to be done.
    Stopped(Claimed<T>),
}

/// Looks whether the work is to be done, before it is begun, and writes the key of a new request.
pub(super) async fn enter<T>(conn: &mut SqliteConnection, claim_use: &ClaimUse<'_, T>) -> Result<Entry<T>, Fault> {
    let (claim, is_whole) = match claim_use {
        // What a second worker found out is written all the same; its client is told what the first one's was.
        ClaimUse::None | ClaimUse::Finish(..) => return Ok(Entry::Work),
        ClaimUse::Begin(claim) => (*claim, false),
        ClaimUse::Whole(claim, _) => (*claim, true),
    };
    let Some(stored) = find(conn, claim).await? else {
        insert(conn, claim).await?;
        return Ok(Entry::Work);
    };
    if stored.fingerprint != claim.fingerprint {
        return Ok(Entry::Stopped(Claimed::Reused));
    }
    let is_ours = stored.subject == claim.subject;
    if let Some(answer) = stored.answer {
        return Ok(if is_ours { Entry::Ours(Some(answer)) } else { Entry::Stopped(Claimed::Replayed(answer)) });
    }
    if is_ours && !is_whole {
        return Ok(Entry::Ours(None));
    }
    if !is_ours && stored.lease_until_ms > claim.now_ms {
        return Ok(Entry::Stopped(Claimed::InFlight { retry_after_ms: stored.lease_until_ms - claim.now_ms }));
    }
    if is_whole {
        // Work that is one transaction left nothing behind to be resumed: it is done, with its own id.
        take_over(conn, claim, &claim.subject).await?;
        return Ok(Entry::Work);
    }
    take_over(conn, claim, &stored.subject).await?;
    Ok(Entry::Stopped(Claimed::Resumed { subject: stored.subject }))
}

/// Writes the answer once the work is done, where one is to be written. The first answer stays, and is returned.
pub(super) async fn leave<T>(
    conn: &mut SqliteConnection,
    claim_use: &ClaimUse<'_, T>,
    made: &T,
) -> Result<Option<Answer>, Fault> {
    let (claim, answer) = match claim_use {
        ClaimUse::None | ClaimUse::Begin(_) => return Ok(None),
        ClaimUse::Finish(claim, render) | ClaimUse::Whole(claim, render) => (*claim, render(made)),
    };
    if answer.status >= 500 {
        return Err(broken(format!("an answer of status {} is not kept", answer.status)));
    }
    sqlx::query(
        "INSERT INTO idempotency_keys (caller, endpoint, key, fingerprint, subject, lease_until_ms, created_ms,
             status, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (caller, endpoint, key) DO UPDATE SET status = excluded.status, body = excluded.body
         WHERE idempotency_keys.status IS NULL",
    )
    .bind(&claim.caller)
    .bind(&claim.endpoint)
    .bind(claim.kept_key())
    .bind(&claim.fingerprint[..])
    .bind(&claim.subject)
    .bind(claim.lease_until_ms)
    .bind(claim.now_ms)
    .bind(answer.status)
    .bind(claim.seal(&answer)?)
    .execute(&mut *conn)
    .await?;
    Ok(find(conn, claim).await?.and_then(|stored| stored.answer))
}

/// What a key says of a request, without taking it.
pub(super) async fn look_up(conn: &mut SqliteConnection, claim: &Claim) -> Result<Option<Claimed<()>>, Fault> {
    let Some(stored) = find(conn, claim).await? else { return Ok(None) };
    let is_ours = stored.subject == claim.subject;
    let left_ms = stored.lease_until_ms - claim.now_ms;
    Ok(Some(match stored.answer {
        _ if stored.fingerprint != claim.fingerprint => Claimed::Reused,
        answer if is_ours => Claimed::Done((), answer),
        Some(answer) => Claimed::Replayed(answer),
        None if left_ms > 0 => Claimed::InFlight { retry_after_ms: left_ms },
        None => Claimed::Resumed { subject: stored.subject },
    }))
}

/// Forgets keys that are older than that, and that nobody works on.
pub(super) async fn forget(conn: &mut SqliteConnection, before_ms: i64, limit: u32) -> Result<u64, Fault> {
    let forgotten = sqlx::query(
        "DELETE FROM idempotency_keys WHERE rowid IN (
             SELECT rowid FROM idempotency_keys WHERE created_ms < ?1 AND (status IS NOT NULL OR lease_until_ms < ?1)
             ORDER BY created_ms LIMIT ?2)",
    )
    .bind(before_ms)
    .bind(limit)
    .execute(&mut *conn)
    .await?;
    Ok(forgotten.rows_affected())
}

async fn find(conn: &mut SqliteConnection, claim: &Claim) -> Result<Option<Stored>, Fault> {
    let row = sqlx::query(
        "SELECT fingerprint, subject, lease_until_ms, status, body FROM idempotency_keys
         WHERE caller = ?1 AND endpoint = ?2 AND key = ?3",
    )
    .bind(&claim.caller)
    .bind(&claim.endpoint)
    .bind(claim.kept_key())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let answer = match (get::<Option<u16>>(&row, "status")?, get::<Option<Vec<u8>>>(&row, "body")?) {
        (Some(status), Some(body)) => Some(claim.open(status, body)?),
        _ => None,
    };
    Ok(Some(Stored {
        fingerprint: hash(&row, "fingerprint")?,
        subject: get(&row, "subject")?,
        lease_until_ms: get(&row, "lease_until_ms")?,
        answer,
    }))
}

async fn insert(conn: &mut SqliteConnection, claim: &Claim) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO idempotency_keys (caller, endpoint, key, fingerprint, subject, lease_until_ms, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(&claim.caller)
    .bind(&claim.endpoint)
    .bind(claim.kept_key())
    .bind(&claim.fingerprint[..])
    .bind(&claim.subject)
    .bind(claim.lease_until_ms)
    .bind(claim.now_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

async fn take_over(conn: &mut SqliteConnection, claim: &Claim, subject: &str) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE idempotency_keys SET subject = ?4, lease_until_ms = ?5
         WHERE caller = ?1 AND endpoint = ?2 AND key = ?3",
    )
    .bind(&claim.caller)
    .bind(&claim.endpoint)
    .bind(claim.kept_key())
    .bind(subject)
    .bind(claim.lease_until_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}
