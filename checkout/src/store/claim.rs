//! An idempotency key while its request is worked on, and its answer afterwards.

use std::fmt;

pub const FINGERPRINT_BYTES: usize = 32;

/// A key as its caller and path have it, and what they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who asks: a hash, never a token.
    pub caller: String,
    /// Method and path.
    pub endpoint: String,
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
