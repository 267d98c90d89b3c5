//! An idempotency key while its request is worked on, and its answer afterwards.
//!
//! Answers hold tokens of owners, secrets of Stripe's and addresses. They are sealed with the key of the request, which is
//! kept as a hash alone: whoever repeats the request brings it along, and whoever has nothing but the database lacks it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;

use super::StoreError;
use crate::tokens::{hex, sha256};

pub const FINGERPRINT_BYTES: usize = 32;

/// A key as its caller and path have it, and what they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who asks: a hash or a name, never a token.
    pub caller: String,
    /// Method and path.
    pub endpoint: String,
    /// What nobody knows but who asks. It is never kept.
    pub key: String,
    /// SHA-256 of the parsed body, so that spaces and the order of fields make no other request.
    pub fingerprint: [u8; FINGERPRINT_BYTES],
    /// The id of the work, made for this request. Who resumes works on the id that the first request stored.
    pub subject: String,
    pub now_ms: i64,
    /// Until when nobody else may resume it.
    pub lease_until_ms: i64,
}

/// What the client was told. Never of status 5xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Makes the answer of what was written, inside its transaction. It must not wait.
pub type Render<'a, T> = &'a (dyn Fn(&T) -> Answer + Send + Sync);

/// What a transaction does with a key.
pub enum ClaimUse<'a, T> {
    None,
    /// Writes the key with its lease: the work goes on after this transaction.
    Begin(&'a Claim),
    /// Stores the answer to a key that was begun. The first answer stays.
    Finish(&'a Claim, Render<'a, T>),
    /// The whole work is this transaction: the key and its answer.
    Whole(&'a Claim, Render<'a, T>),
}

/// What became of the work.
#[derive(Debug)]
pub enum Claimed<T> {
    /// It was done. Where an answer was to be made, here it is: a second worker's, where that one was first.
    Done(T, Option<Answer>),
    /// An earlier request began it and its lease is over: it is now ours to go on with, and nothing was done.
    Resumed { subject: String },
    /// It was done before; nothing was done.
    Replayed(Answer),
    /// An earlier request is at it; nothing was done.
    InFlight { retry_after_ms: i64 },
    /// The key stands for another body; nothing was done.
    Reused,
}

impl Claim {
    /// What the key is kept as.
    pub(crate) fn kept_key(&self) -> String {
        hex(&self.derived("kept"))
    }

    /// The body of an answer as it is kept: sealed, and the nonce behind it.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn seal(&self, answer: &Answer) -> Result<Vec<u8>, StoreError> {
        let seal = || -> Result<Vec<u8>, Unspecified> {
            let mut body = answer.body.clone();
            let nonce = self.sealing_key()?.seal_in_place_append_tag(Aad::empty(), &mut body)?;
            let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
            body.extend_from_slice(nonce);
            Ok(body)
        };
        seal().map_err(|_| StoreError::Broken("an answer cannot be sealed".to_owned()))
    }

    /// # Errors
    /// When the body was sealed with another key, or changed since then.
    pub(crate) fn open(&self, status: u16, mut sealed: Vec<u8>) -> Result<Answer, StoreError> {
        let mut open = || -> Result<Vec<u8>, Unspecified> {
            let (body, nonce) = sealed.split_last_chunk_mut::<NONCE_LEN>().ok_or(Unspecified)?;
            let nonce = Nonce::assume_unique_for_key(*nonce);
            Ok(self.sealing_key()?.open_in_place(nonce, Aad::empty(), body)?.to_vec())
        };
        match open() {
            Ok(body) => Ok(Answer { status, body }),
            Err(_) => Err(StoreError::Broken(format!("the answer that is kept for {} cannot be opened", self.subject))),
        }
    }

    fn sealing_key(&self) -> Result<RandomizedNonceKey, Unspecified> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.derived("sealed"))
    }

    /// Of what is derived for one use nothing follows about the other.
    fn derived(&self, of: &str) -> [u8; 32] {
        sha256(format!("{of}\n{}", self.key).as_bytes())
    }
}

impl<T> ClaimUse<'_, T> {
    pub fn claim(&self) -> Option<&Claim> {
        match self {
            Self::None => None,
            Self::Begin(claim) | Self::Finish(claim, _) | Self::Whole(claim, _) => Some(claim),
        }
    }
}

impl<T> fmt::Debug for ClaimUse<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::None => "None",
            Self::Begin(_) => "Begin",
            Self::Finish(..) => "Finish",
            Self::Whole(..) => "Whole",
        };
        f.debug_tuple(name).field(&self.claim()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(key: &str) -> Claim {
        Claim {
            caller: "guest".to_owned(),
            endpoint: "POST /checkout/v1/checkouts".to_owned(),
            key: key.to_owned(),
            fingerprint: [1; FINGERPRINT_BYTES],
            subject: "chk_1".to_owned(),
            now_ms: 0,
            lease_until_ms: 1,
        }
    }

    #[test]
    fn an_answer_is_opened_by_its_key_alone() {
        let answer = Answer { status: 201, body: b"{\"token\":\"ot_1\"}".to_vec() };
        let sealed = claim("key").seal(&answer).expect("random bytes");
        assert_eq!(claim("key").open(201, sealed.clone()).expect("its key"), answer);
        assert!(claim("another").open(201, sealed.clone()).is_err());
        let mut changed = sealed.clone();
        changed[0] ^= 1;
        for body in [changed, sealed[1..].to_vec(), sealed[..NONCE_LEN].to_vec(), b"{}".to_vec(), Vec::new()] {
            assert!(claim("key").open(201, body).is_err());
        }
        assert_ne!(sealed, claim("key").seal(&answer).expect("random bytes"), "no nonce is used twice");
        let empty = Answer { status: 200, body: Vec::new() };
        let sealed = claim("key").seal(&empty).expect("random bytes");
        assert_eq!(claim("key").open(200, sealed).expect("its key"), empty);
    }

    /// Keys stood in the database beside the tokens and secrets that were answered to them.
    #[test]
    fn what_is_kept_tells_neither_the_key_nor_the_answer() {
        let (claim, answer) = (claim("a-key-of-a-guest"), Answer { status: 201, body: b"ot_secret".to_vec() });
        assert!(!claim.kept_key().contains("guest"));
        let sealed = claim.seal(&answer).expect("random bytes");
        assert!(!sealed.windows(answer.body.len()).any(|part| part == answer.body));
    }
}
