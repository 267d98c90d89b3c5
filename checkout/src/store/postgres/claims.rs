//! Idempotency keys inside a transaction.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::failure::Failure;
use crate::store::{Answer, Claim, ClaimUse, Claimed};

/// Who inserts a key that another transaction is inserting waits for that one; should it vanish in between, it is tried
/// again.
const MAX_VANISHED: u32 = 5;

const READ: &str = "
SELECT fingerprint, subject, lease_until_ms, answer_status, answer_body FROM idempotency_keys
WHERE caller = $1 AND endpoint = $2 AND key = $3";

const LOCK: &str = "
SELECT fingerprint, subject, lease_until_ms, answer_status, answer_body FROM idempotency_keys
WHERE caller = $1 AND endpoint = $2 AND key = $3 FOR UPDATE";

/// What a key says about the work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has it, or nobody is at it any more: the work is to be done.
    Free,
    /// This very request committed before, and did not hear of it: the work is done.
    Ours(Option<Answer>),
    /// The work is not to be done.
    Taken(Taken),
}

/// What the caller is told in place of the work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Resumed { subject: String },
    Replayed(Answer),
    InFlight { retry_after_ms: i64 },
    Reused,
}

impl<T> From<Taken> for Claimed<T> {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Resumed { subject } => Self::Resumed { subject },
            Taken::Replayed(answer) => Self::Replayed(answer),
            Taken::InFlight { retry_after_ms } => Self::InFlight { retry_after_ms },
            Taken::Reused => Self::Reused,
        }
    }
}

/// A key as it is stored.
struct Stored {
    fingerprint: Vec<u8>,
    subject: String,
    lease_until_ms: i64,
    answer: Option<Answer>,
}

/// Takes the key of a work that begins. A second transaction with the same key waits here for the first one to end.
pub(super) async fn enter<T>(connection: &mut PgConnection, claim: &ClaimUse<'_, T>) -> Result<Standing, Failure> {
    let (claim, is_whole) = match claim {
        ClaimUse::None | ClaimUse::Finish(..) => return Ok(Standing::Free),
        ClaimUse::Begin(claim) => (*claim, false),
        ClaimUse::Whole(claim, _) => (*claim, true),
    };
    for _ in 0..MAX_VANISHED {
        if insert(connection, claim).await? {
            return Ok(Standing::Free);
        }
        let Some(stored) = find(connection, LOCK, claim).await? else { continue };
        let standing = standing(&stored, claim, is_whole);
        let is_taken_over = matches!(standing, Standing::Free | Standing::Taken(Taken::Resumed { .. }));
        if is_taken_over {
            // Who resumes works on the first request's id; who does the whole work anew has its own.
            let subject = if is_whole { claim.subject.as_str() } else { stored.subject.as_str() };
            take_over(connection, claim, subject).await?;
        }
        return Ok(standing);
    }
    Err(Failure::Again("an idempotency key comes and goes".to_owned()))
}

/// Stores the answer to what was done, and returns the one that holds: the first.
pub(super) async fn answer<T>(
    connection: &mut PgConnection,
    claim: &ClaimUse<'_, T>,
    done: &T,
) -> Result<Option<Answer>, Failure> {
    let (claim, answer) = match claim {
        ClaimUse::None | ClaimUse::Begin(_) => return Ok(None),
        ClaimUse::Finish(claim, render) | ClaimUse::Whole(claim, render) => (*claim, render(done)),
    };
    let stored = sqlx::query(
        "UPDATE idempotency_keys SET answer_status = $4, answer_body = $5
         WHERE caller = $1 AND endpoint = $2 AND key = $3 AND answer_status IS NULL",
    )
    .bind(claim.caller.as_str())
    .bind(claim.endpoint.as_str())
    .bind(claim.kept_key())
    .bind(i32::from(answer.status))
    .bind(claim.seal(&answer)?)
    .execute(&mut *connection)
    .await?;
    if stored.rows_affected() > 0 {
        return Ok(Some(answer));
    }
    Ok(Some(first_answer(connection, claim, answer).await?))
}

/// What a key says of a request, without taking it.
pub(super) async fn look_up(connection: &mut PgConnection, claim: &Claim) -> Result<Option<Claimed<()>>, Failure> {
    let Some(stored) = find(connection, READ, claim).await? else { return Ok(None) };
    // Whole work leaves no key without its answer.
    Ok(match standing(&stored, claim, false) {
        Standing::Free => None,
        Standing::Ours(answer) => Some(Claimed::Done((), answer)),
        Standing::Taken(taken) => Some(taken.into()),
    })
}

/// The answer that holds where another one was stored first. A key that was forgotten meanwhile has no other.
pub(super) async fn first_answer(
    connection: &mut PgConnection,
    claim: &Claim,
    answer: Answer,
) -> Result<Answer, Failure> {
    let first = find(connection, LOCK, claim).await?.and_then(|stored| stored.answer);
    Ok(first.unwrap_or(answer))
}

fn standing(stored: &Stored, claim: &Claim, is_whole: bool) -> Standing {
    if stored.fingerprint != claim.fingerprint {
        return Standing::Taken(Taken::Reused);
    }
    let is_ours = stored.subject == claim.subject;
    match &stored.answer {
        Some(answer) if is_ours => Standing::Ours(Some(answer.clone())),
        Some(answer) => Standing::Taken(Taken::Replayed(answer.clone())),
        None if is_ours && !is_whole => Standing::Ours(None),
        None if !is_ours && claim.now_ms < stored.lease_until_ms => {
            Standing::Taken(Taken::InFlight { retry_after_ms: stored.lease_until_ms - claim.now_ms })
        }
        None if is_whole => Standing::Free,
        None => Standing::Taken(Taken::Resumed { subject: stored.subject.clone() }),
    }
}

/// False where the key is there.
async fn insert(connection: &mut PgConnection, claim: &Claim) -> Result<bool, Failure> {
    let inserted = sqlx::query(
        "INSERT INTO idempotency_keys (caller, endpoint, key, fingerprint, subject, lease_until_ms, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(claim.caller.as_str())
    .bind(claim.endpoint.as_str())
    .bind(claim.kept_key())
    .bind(claim.fingerprint.as_slice())
    .bind(claim.subject.as_str())
    .bind(claim.lease_until_ms)
    .bind(claim.now_ms)
    .execute(&mut *connection)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// By `READ` or `LOCK`.
async fn find(
    connection: &mut PgConnection,
    statement: &'static str,
    claim: &Claim,
) -> Result<Option<Stored>, Failure> {
    let row = sqlx::query(statement)
        .bind(claim.caller.as_str())
        .bind(claim.endpoint.as_str())
        .bind(claim.kept_key())
        .fetch_optional(&mut *connection)
        .await?;
    row.map(|row| read(&row, claim)).transpose()
}

async fn take_over(connection: &mut PgConnection, claim: &Claim, subject: &str) -> Result<(), Failure> {
    sqlx::query(
        "UPDATE idempotency_keys SET lease_until_ms = $4, subject = $5
         WHERE caller = $1 AND endpoint = $2 AND key = $3",
    )
    .bind(claim.caller.as_str())
    .bind(claim.endpoint.as_str())
    .bind(claim.kept_key())
    .bind(claim.lease_until_ms)
    .bind(subject)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

fn read(row: &PgRow, claim: &Claim) -> Result<Stored, Failure> {
    let status: Option<i32> = row.try_get("answer_status")?;
    let body: Option<Vec<u8>> = row.try_get("answer_body")?;
    let answer = match (status, body) {
        (Some(status), Some(body)) => {
            let status = u16::try_from(status).map_err(|_| Failure::broken(format!("an answer of status {status}")))?;
            Some(claim.open(status, body)?)
        }
        _ => None,
    };
    Ok(Stored {
        fingerprint: row.try_get("fingerprint")?,
        subject: row.try_get("subject")?,
        lease_until_ms: row.try_get("lease_until_ms")?,
        answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(subject: &str, now_ms: i64) -> Claim {
        Claim {
            caller: "a shopper".to_owned(),
            endpoint: "POST /checkouts".to_owned(),
            key: "key".to_owned(),
            fingerprint: [1; 32],
            subject: subject.to_owned(),
            now_ms,
            lease_until_ms: now_ms + 1_000,
        }
    }

    fn stored(subject: &str, answer: Option<u16>) -> Stored {
        Stored {
            fingerprint: vec![1; 32],
            subject: subject.to_owned(),
            lease_until_ms: 1_000,
            answer: answer.map(|status| Answer { status, body: b"{}".to_vec() }),
        }
    }

    #[test]
    fn a_key_with_another_body_is_reused_whatever_became_of_it() {
        let mut other = claim("b", 0);
        other.fingerprint = [2; 32];
        for answer in [None, Some(201)] {
            assert_eq!(standing(&stored("a", answer), &other, false), Standing::Taken(Taken::Reused));
        }
    }

    #[test]
    fn an_answer_is_replayed_to_others_and_is_ours_after_a_lost_acknowledgement() {
        let answer = Answer { status: 201, body: b"{}".to_vec() };
        for is_whole in [false, true] {
            let replayed = standing(&stored("a", Some(201)), &claim("b", 5_000), is_whole);
            assert_eq!(replayed, Standing::Taken(Taken::Replayed(answer.clone())));
            let ours = standing(&stored("a", Some(201)), &claim("a", 5_000), is_whole);
            assert_eq!(ours, Standing::Ours(Some(answer.clone())));
        }
    }

    #[test]
    fn a_lease_keeps_others_away_until_it_is_over() {
        let in_flight = standing(&stored("a", None), &claim("b", 400), false);
        assert_eq!(in_flight, Standing::Taken(Taken::InFlight { retry_after_ms: 600 }));
        let resumed = standing(&stored("a", None), &claim("b", 1_000), false);
        assert_eq!(resumed, Standing::Taken(Taken::Resumed { subject: "a".to_owned() }));
        assert_eq!(standing(&stored("a", None), &claim("b", 1_000), true), Standing::Free);
        assert_eq!(standing(&stored("a", None), &claim("a", 0), false), Standing::Ours(None));
    }
}
