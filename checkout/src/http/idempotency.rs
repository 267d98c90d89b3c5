//! Keys that make a request safe to send again.

use axum::http::header::AUTHORIZATION;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::call::{Answered, Call};
use super::caller::{Caller, token};
use super::problem::{Code, Problem};
use super::reply::Reply;
use crate::store::{Answer, Claim, Claimed, Store};
use crate::tokens::{hex, sha256};

const HEADER: &str = "idempotency-key";
pub(crate) const MAX_KEY_BYTES: usize = 255;
/// All who show no token share their keys, and are told what was answered to them, tokens too: such a key must be none
/// that somebody else hits upon.
const MIN_GUEST_KEY_BYTES: usize = 16;
/// How long a request may work before another one with its key goes on with it.
const LEASE_MS: i64 = 30_000;

/// What came of a transaction with a key, for who asked.
pub(crate) enum Outcome<T> {
    /// It was done, and this is the answer where one was made.
    Done(T, Option<Answer>),
    /// Go on with this.
    Resumed(String),
    /// There is nothing to do but to answer so.
    Known(Reply),
}

/// Whether a request that needs no key has one.
pub(crate) fn is_given(call: &Call) -> bool {
    call.headers.contains_key(HEADER)
}

/// The key of a request.
///
/// # Errors
/// When there is none, or it is none that can be kept.
pub(crate) fn key(call: &Call) -> Result<&str, Problem> {
    let mut given = call.headers.get_all(HEADER).iter();
    let Some(value) = given.next() else {
        let detail = "this request needs a header Idempotency-Key: a random text, and the same when it is sent again";
        return Err(Problem::new(Code::IdempotencyKeyMissing, detail));
    };
    let least = if call.headers.contains_key(AUTHORIZATION) { 1 } else { MIN_GUEST_KEY_BYTES };
    let fault = || {
        let detail = format!("Idempotency-Key is not one text of {least} to {MAX_KEY_BYTES} visible ASCII characters");
        Problem::new(Code::IdempotencyKeyInvalid, detail)
    };
    let text = value.to_str().map_err(|_| fault())?;
    match is_key(text) && text.len() >= least && given.next().is_none() {
        true => Ok(text),
        false => Err(fault()),
    }
}

/// Whether a text can be a key at all.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The key of a request as the store has it. `subject` is the id of the work that it asks for.
///
/// # Errors
/// When there is no key.
pub(crate) fn claim(call: &Call, caller: &Caller, body: &Value, subject: String) -> Result<Claim, Problem> {
    let token = match caller {
        // Staff's token may be another one by the time that a refund is asked for again, which must be the same refund.
        Caller::Staff(_) => "",
        Caller::Guest | Caller::Owner(_) => token(&call.headers)?.unwrap_or_default(),
    };
    Ok(Claim {
        caller: caller.key_scope(),
        endpoint: endpoint(call),
        key: with_token(key(call)?, token),
        fingerprint: fingerprint(body),
        subject,
        now_ms: call.now_ms,
        lease_until_ms: call.now_ms + LEASE_MS,
    })
}

/// A key together with the token of its owner: answers are sealed with it, and a key alone may be easy to guess. A guest,
/// whose key may not, has no token; staff, whose token counts for nothing here, does well to take random ones.
fn with_token(key: &str, token: &str) -> String {
    hex(&sha256(format!("{key}\n{token}").as_bytes()))
}

/// Method and path, which a key is scoped to.
pub(crate) fn endpoint(call: &Call) -> String {
    format!("{} {}", call.method, call.path)
}

/// SHA-256 of what a body says: the order of its fields and its spaces say nothing.
pub(crate) fn fingerprint(body: &Value) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hash(body, &mut hasher);
    hasher.finalize().into()
}

/// Every part is preceded by its kind and its length, so that no two values look the same.
fn hash(value: &Value, hasher: &mut Sha256) {
    let mut part = |kind: u8, bytes: &[u8]| {
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match value {
        Value::Null => part(b'z', b""),
        Value::Bool(value) => part(b'b', &[u8::from(*value)]),
        Value::Number(number) => part(b'n', number.to_string().as_bytes()),
        Value::String(text) => part(b's', text.as_bytes()),
        Value::Array(list) => {
            part(b'l', &(list.len() as u64).to_le_bytes());
            list.iter().for_each(|value| hash(value, hasher));
        }
        Value::Object(map) => {
            part(b'o', &(map.len() as u64).to_le_bytes());
            let mut names: Vec<_> = map.iter().collect();
            names.sort_unstable_by_key(|(name, _)| name.as_str());
            for (name, value) in names {
                hash(&Value::String(name.clone()), hasher);
                hash(value, hasher);
            }
        }
    }
}

/// What came of it, where that is no matter of the handler's own.
///
/// # Errors
/// When the key is in use, or stands for something else.
pub(crate) fn outcome<T>(claimed: Claimed<T>) -> Result<Outcome<T>, Problem> {
    match claimed {
        Claimed::Done(done, answer) => Ok(Outcome::Done(done, answer)),
        Claimed::Resumed { subject } => Ok(Outcome::Resumed(subject)),
        Claimed::Replayed(answer) => Ok(Outcome::Known(Reply::replayed(answer))),
        Claimed::InFlight { retry_after_ms } => {
            let seconds = u32::try_from(retry_after_ms.max(1).unsigned_abs().div_ceil(1_000)).unwrap_or(u32::MAX);
            let detail = "a request with this key is still being worked on";
            Err(Problem::new(Code::IdempotencyKeyInFlight, detail).after_s(seconds))
        }
        Claimed::Reused => {
            let detail = "this key was used for another request: take a new one";
            Err(Problem::new(Code::IdempotencyKeyReused, detail))
        }
    }
}

/// The answer to what is refused before a transaction has seen its key: a request that was done is answered as it was, even
/// where it would be refused today.
pub(crate) async fn refused(store: &dyn Store, claim: &Claim, problem: Problem) -> Answered {
    match look_up(store, claim).await? {
        Some(Outcome::Known(reply)) => Ok(reply),
        // It is this request's own, which did not hear that it was done.
        Some(Outcome::Done((), Some(answer))) => Ok(Reply::of(answer)),
        _ => Err(problem),
    }
}

/// What came of a key before; None where nobody had it.
///
/// # Errors
/// When somebody is at it, or it stands for something else.
pub(crate) async fn look_up(store: &dyn Store, claim: &Claim) -> Result<Option<Outcome<()>>, Problem> {
    store.look_up_key(claim).await?.map(outcome).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> [u8; 32] {
        fingerprint(&serde_json::from_str(text).expect("JSON"))
    }

    #[test]
    fn bodies_that_say_the_same_are_the_same() {
        assert_eq!(of(r#"{"a": 1, "b": [true, null]}"#), of("{\"b\":[true,null],\n\"a\":1}"));
        assert_eq!(of("\"\\u00e4\""), of("\"ä\""));
    }

    #[test]
    fn bodies_that_differ_are_not() {
        let texts = [
            "null",
            "{}",
            "[]",
            "\"\"",
            "0",
            "\"0\"",
            "[0]",
            "[[0]]",
            "[0,0]",
            "[[0],0]",
            "[[0,0]]",
            r#"{"a":0}"#,
            r#"{"a":"0"}"#,
            r#"{"a":{"b":0}}"#,
            r#"{"a":{},"b":0}"#,
            r#"["a","b"]"#,
            r#"["ab"]"#,
            "true",
            "false",
        ];
        let mut prints: Vec<_> = texts.iter().map(|text| of(text)).collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), texts.len());
    }

    #[test]
    fn the_same_key_of_two_callers_seals_two_ways() {
        let keys = [with_token("pay-1", "ot_1"), with_token("pay-1", "ot_2"), with_token("pay-1", "")];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        assert_eq!(with_token("pay-1", "ot_1"), keys[0]);
    }

    #[test]
    fn a_key_in_flight_says_when_to_come_again() {
        let in_flight: Result<Outcome<()>, _> = outcome(Claimed::InFlight { retry_after_ms: 1_001 });
        let Err(problem) = in_flight else { panic!("a problem") };
        assert_eq!((problem.status().as_u16(), problem.retry_after_s()), (409, Some(2)));
        assert!(matches!(outcome::<()>(Claimed::Reused), Err(problem) if problem.status() == 409));
    }
}
