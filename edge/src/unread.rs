//! Bounds what answers take that clients leave unread, over all connections together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Body;

use crate::error::ApiError;
use crate::reply::HttpResponse;

/// So much a connection may leave unread without its being counted, as nearly all do: there is a bound on connections.
const FREE_BYTES: usize = 64 * 1024;

/// What is unread, and how much may be.
pub(crate) struct Unread {
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

impl Unread {
    /// What is unread is told in `bytes`.
    pub(crate) fn new(bytes: Arc<AtomicUsize>, max_bytes: usize) -> Self {
        Self { bytes, max_bytes }
    }

    /// Counts an answer until the last of it is sent, where its connection has this and `unread_bytes` of others to read.
    ///
    /// # Errors
    /// When too much is unread already. One answer alone never is.
    pub(crate) fn hold(&self, unread_bytes: usize, response: HttpResponse) -> Result<HttpResponse, ApiError> {
        let bytes = response.body().size_hint().lower() as usize;
        if unread_bytes + bytes <= FREE_BYTES {
            return Ok(response);
        }
        self.take(bytes)?;
        let (head, body) = response.into_parts();
        let answer = Counted { answer: body.into_inner().unwrap_or_default(), bytes: self.bytes.clone() };
        Ok(Response::from_parts(head, Full::new(Bytes::from_owner(answer))))
    }

    /// Counts so much, or nothing: what is refused must not have others refused that come at that moment.
    fn take(&self, bytes: usize) -> Result<(), ApiError> {
        let mut before = self.bytes.load(Ordering::Relaxed);
        while before == 0 || before + bytes <= self.max_bytes {
            match self.bytes.compare_exchange_weak(before, before + bytes, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => before = now,
            }
        }
        Err(ApiError::unavailable("unread", "too many large answers are unread"))
    }
}

/// An answer that is counted while any part of it is kept, whoever keeps it: hyper until it is written.
struct Counted {
    answer: Bytes,
    bytes: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.answer.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn response(bytes: usize) -> HttpResponse {
        Response::new(Full::new(Bytes::from(vec![b'x'; bytes])))
    }

    fn body(response: HttpResponse) -> Bytes {
        response.into_body().into_inner().unwrap_or_default()
    }

    #[test]
    fn large_answers_are_counted_until_no_part_of_them_is_kept() {
        let unread = Unread::new(Arc::default(), 4 * FREE_BYTES);
        let counted = || unread.bytes.load(Ordering::Relaxed);
        let small = body(unread.hold(0, response(FREE_BYTES)).expect("an answer"));
        assert_eq!((small.len(), counted()), (FREE_BYTES, 0));
        let mut rest = body(unread.hold(0, response(FREE_BYTES + 1)).expect("an answer"));
        let piece = rest.split_to(1);
        drop(rest);
        assert_eq!((&*piece, counted()), (&b"x"[..], FREE_BYTES + 1));
        drop(piece);
        assert_eq!(counted(), 0);
        // Many small ones are as much.
        let one_more = unread.hold(FREE_BYTES, response(1)).expect("an answer");
        assert_eq!(counted(), 1);
        drop(one_more);
    }

    #[test]
    fn more_than_all_may_leave_unread_is_refused() {
        let unread = Unread::new(Arc::default(), 2 * FREE_BYTES);
        let first = unread.hold(0, response(3 * FREE_BYTES)).expect("one alone is never too much");
        let refused = unread.hold(0, response(FREE_BYTES + 1)).expect_err("it is too much");
        assert_eq!((refused.status.as_u16(), refused.retry_after_s), (503, Some(1)));
        assert_eq!(unread.bytes.load(Ordering::Relaxed), 3 * FREE_BYTES, "what is refused is not counted");
        assert!(unread.hold(0, response(FREE_BYTES)).is_ok(), "small ones are");
        drop(first);
        assert!(unread.hold(0, response(FREE_BYTES + 1)).is_ok());
    }

    /// What was refused was counted until then, and had others refused for which there was room.
    #[test]
    fn what_is_refused_keeps_nobody_out() {
        static LARGE: [u8; 8 * FREE_BYTES] = [b'x'; 8 * FREE_BYTES];
        let (unread, is_over) = (Unread::new(Arc::default(), 4 * FREE_BYTES), AtomicBool::new(false));
        let answer = |bytes: usize| unread.hold(0, Response::new(Full::new(Bytes::from_static(&LARGE[..bytes]))));
        let _kept = answer(FREE_BYTES + 1).expect("an answer");
        let kept_out = std::thread::scope(|scope| {
            let refused = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(answer(LARGE.len()).is_err(), "it is too much");
                }
            });
            let kept_out = (0..20_000).filter(|_| answer(FREE_BYTES + 1).is_err()).count();
            is_over.store(true, Ordering::Relaxed);
            refused.join().expect("all were refused");
            kept_out
        });
        assert_eq!(kept_out, 0);
    }
}
