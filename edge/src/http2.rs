//! What bounds an HTTP/2 connection, which hyper leaves open as long as its client answers pings.
//!
//! Requests are counted from their head until no byte of their answer is kept. A connection is cut that says nothing for too
//! long, or leaves answers unread; and what it has not read may not grow beyond a bound.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::{Method, Response};
use tokio::sync::watch;

use crate::connection::{FIRST_TIMEOUT, IDLE_TIMEOUT, UNREAD_TIMEOUT};
use crate::error::ApiError;
use crate::idle::Waiting;
use crate::reply::HttpResponse;
use crate::unread::Unread;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Answers of a connection that were not read to their end yet, together. More are refused.
const MAX_UNREAD_BYTES: usize = 32 * 1024 * 1024;
/// An answer is handed on in such pieces: that one is kept no more tells that the client reads. It is what a frame has room
/// for unless the client wants larger ones (RFC 9113, 6.5.2), and answers are sent in turn, frame by frame.
const PIECE_BYTES: usize = 16 * 1024;

/// What a connection is doing.
pub(crate) struct Activity {
    begun: Instant,
    /// When something last went on, in milliseconds after it began.
    last_ms: AtomicU64,
    /// The same, for a full house.
    waiting: Waiting,
    /// How many requests have no answer yet. A lock, so that `waiting` is told of the last change last.
    unanswered: Mutex<usize>,
    requests: AtomicUsize,
    open: AtomicUsize,
    unread_bytes: AtomicUsize,
}

impl Activity {
    pub(crate) fn new(waiting: Waiting) -> Arc<Self> {
        let (requests, open, unread_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let (begun, last_ms, unanswered) = (Instant::now(), AtomicU64::new(0), Mutex::new(0));
        Arc::new(Self { begun, last_ms, waiting, unanswered, requests, open, unread_bytes })
    }

    /// Takes note that something goes on, by which other requests may be unanswered than before.
    fn touch(&self, change: impl FnOnce(&mut usize)) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut unanswered);
        match *unanswered {
            0 => self.waiting.begin(),
            _ => self.waiting.end(),
        }
        drop(unanswered);
        self.last_ms.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Counts a request, until what this gives is dropped.
    pub(crate) fn request(self: &Arc<Self>, method: &Method) -> OpenRequest {
        self.touch(|unanswered| *unanswered += 1);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        let (unanswered, open) = (Unanswered(self.clone()), Open(self.clone()));
        OpenRequest { is_head: method == Method::HEAD, unanswered, open }
    }

    /// Ends once the connection is to be cut; one that has asked for nothing yet, as soon as all are to close.
    pub(crate) async fn overdue(&self, mut closes: watch::Receiver<bool>) {
        let mut is_closing = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
                closing = closes.wait_for(|closes| *closes), if !is_closing => is_closing = closing.is_ok(),
            }
            let idle = self.begun.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)));
            let patience = match (self.requests.load(Ordering::Relaxed), self.open.load(Ordering::Relaxed)) {
                (0, _) if is_closing => return,
                (0, _) => FIRST_TIMEOUT,
                (_, 0) => IDLE_TIMEOUT,
                _ => UNREAD_TIMEOUT,
            };
            if idle > patience {
                return;
            }
        }
    }
}

/// A request without an answer.
pub(crate) struct OpenRequest {
    is_head: bool,
    unanswered: Unanswered,
    open: Open,
}

/// One more is unanswered, until this is dropped.
struct Unanswered(Arc<Activity>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.touch(|unanswered| *unanswered -= 1);
    }
}

/// One more is open, until this is dropped.
struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.touch(|_| ());
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OpenRequest {
    /// Makes sure that neither this connection nor all together leave too much unread, with this answer.
    ///
    /// # Errors
    /// When it would be too much.
    pub(crate) fn hold(&self, unread: &Unread, response: HttpResponse) -> Result<HttpResponse, ApiError> {
        let bytes = response.body().size_hint().lower() as usize;
        let unread_bytes = self.open.0.unread_bytes.load(Ordering::Relaxed);
        if unread_bytes > 0 && unread_bytes + bytes > MAX_UNREAD_BYTES {
            return Err(ApiError::unavailable("unread", "too much of this connection's answers is unread"));
        }
        unread.hold(unread_bytes, response)
    }

    /// The answer, which is handed on piece by piece.
    pub(crate) fn answer(self, response: HttpResponse) -> Response<Answer> {
        let (mut head, body) = response.into_parts();
        let Self { is_head, unanswered, open } = self;
        let (mut rest, activity) = (body.into_inner().unwrap_or_default(), open.0.clone());
        if is_head && !rest.is_empty() {
            // Over HTTP/1.1 hyper leaves out the body by itself, and says how long it would be.
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(rest.len() as u64));
            rest = Bytes::new();
        }
        if !rest.is_empty() {
            activity.unread_bytes.fetch_add(rest.len(), Ordering::Relaxed);
            rest = Bytes::from_owner(Kept { answer: rest, open });
        }
        drop(unanswered);
        Response::from_parts(head, Answer { rest, activity })
    }
}

/// An answer that is unread, and its request open, while any part of it is kept, whoever keeps it: what hyper has taken waits
/// there, and in h2, for a client that gives no window.
struct Kept {
    answer: Bytes,
    open: Open,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.open.0.unread_bytes.fetch_sub(self.answer.len(), Ordering::Relaxed);
    }
}

/// A part of an answer that was handed on.
struct Piece {
    bytes: Bytes,
    activity: Arc<Activity>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.activity.touch(|_| ());
    }
}

/// What was not handed on yet of an answer.
pub(crate) struct Answer {
    rest: Bytes,
    activity: Arc<Activity>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = Piece { bytes: self.rest.split_to(length), activity: self.activity.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::idle::IdleWatch;
    use crate::idle::tests::{alone, settle};

    fn response(bytes: usize) -> HttpResponse {
        Response::new(Full::new(Bytes::from(vec![b'x'; bytes])))
    }

    async fn piece_of(answer: &mut Answer) -> Bytes {
        answer.frame().await.expect("a piece").expect("no error").into_data().expect("data")
    }

    #[tokio::test]
    async fn answers_are_handed_on_in_pieces_and_counted_while_any_is_kept() {
        let activity = Activity::new(alone());
        let counted = || (activity.unread_bytes.load(Ordering::Relaxed), activity.open.load(Ordering::Relaxed));
        let mut answer = activity.request(&Method::GET).answer(response(PIECE_BYTES + 1)).into_body();
        assert_eq!(counted(), (PIECE_BYTES + 1, 1));
        let piece = piece_of(&mut answer).await;
        assert_eq!((piece.len(), answer.size_hint().exact()), (PIECE_BYTES, Some(1)));
        drop(answer);
        assert_eq!(counted(), (PIECE_BYTES + 1, 1), "hyper or h2 has it still");
        drop(piece);
        assert_eq!(counted(), (0, 0));
        let head = activity.request(&Method::HEAD).answer(response(1));
        assert_eq!((head.headers()[CONTENT_LENGTH].to_str().ok(), counted()), (Some("1"), (0, 0)));
    }

    /// A client without a window had 8 MiB kept for it on each connection, which nothing counted.
    #[tokio::test]
    async fn what_is_handed_on_and_not_read_counts() {
        let (activity, node_bytes) = (Activity::new(alone()), Arc::<AtomicUsize>::default());
        let node = Unread::new(node_bytes.clone(), usize::MAX);
        let (bytes, mut kept) = (4 * PIECE_BYTES, Vec::new());
        for _ in 0..3 {
            let open = activity.request(&Method::GET);
            let held = open.hold(&node, response(bytes)).expect("an answer");
            kept.push(piece_of(open.answer(held).body_mut()).await);
        }
        assert_eq!(node_bytes.load(Ordering::Relaxed), 2 * bytes, "the first of a connection is free");
        drop(kept);
        assert_eq!(node_bytes.load(Ordering::Relaxed), 0);
    }

    /// Only an answer that was read to its end told that: who read many at once, in turn, was cut in the middle of them.
    #[tokio::test]
    async fn whatever_is_read_of_an_answer_is_a_sign_of_life() {
        let activity = Activity::new(alone());
        let mut answer = activity.request(&Method::GET).answer(response(2 * PIECE_BYTES)).into_body();
        let (first, last) = (piece_of(&mut answer).await, piece_of(&mut answer).await);
        assert!(answer.is_end_stream());
        let last_ms = || activity.last_ms.load(Ordering::Relaxed);
        // What no clock shows tells when it is written anew.
        activity.last_ms.store(u64::MAX, Ordering::Relaxed);
        drop(first);
        assert_ne!(last_ms(), u64::MAX, "a part of it was read");
        assert_eq!(activity.unread_bytes.load(Ordering::Relaxed), 2 * PIECE_BYTES);
        activity.last_ms.store(u64::MAX, Ordering::Relaxed);
        drop(last);
        assert_ne!(last_ms(), u64::MAX, "the rest was read");
    }

    #[test]
    fn more_than_may_be_unread_is_refused() {
        let (activity, node_bytes) = (Activity::new(alone()), Arc::<AtomicUsize>::default());
        let node = Unread::new(node_bytes.clone(), usize::MAX);
        let ask = |bytes| {
            let open = activity.request(&Method::GET);
            open.hold(&node, response(bytes)).map(|response| open.answer(response))
        };
        let first = ask(MAX_UNREAD_BYTES).expect("an answer");
        assert_eq!(node_bytes.load(Ordering::Relaxed), MAX_UNREAD_BYTES, "the node counts it, too");
        assert_eq!(ask(1).err().map(|error| error.status.as_u16()), Some(503));
        drop(first);
        assert!(ask(1).is_ok());
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_is_overdue_at_once_when_all_close() {
        let (closing, closes) = watch::channel(false);
        let activity = Activity::new(alone());
        closing.send(true).expect("somebody listens");
        activity.overdue(closes).await;
    }

    /// Such a connection once kept its place in a full house for two minutes.
    #[tokio::test]
    async fn a_connection_that_asks_no_more_makes_room() {
        let house = IdleWatch::new(Duration::from_secs(1), 120);
        let (_closing, closes) = watch::channel(false);
        let inside = Arc::new(());
        let seen = Arc::downgrade(&inside);
        house.spawn(move |waiting| async move {
            let activity = Activity::new(waiting);
            drop(activity.request(&Method::GET));
            activity.overdue(closes).await;
            drop(inside);
        });
        settle().await;
        (0..2).for_each(|_| house.look());
        assert_eq!(seen.strong_count(), 1, "it is there");
        house.make_room(1);
        settle().await;
        assert_eq!(seen.strong_count(), 0, "it was cut");
    }

    /// One whose request waited for a preview was cut after a second, with whatever else it asked for.
    #[tokio::test]
    async fn a_connection_with_a_request_to_answer_makes_no_room() {
        let house = IdleWatch::new(Duration::from_secs(1), 120);
        let (give, given) = tokio::sync::oneshot::channel();
        let inside = Arc::new(());
        let seen = Arc::downgrade(&inside);
        house.spawn(move |waiting| async move {
            let activity = Activity::new(waiting);
            drop(give.send([activity.request(&Method::GET), activity.request(&Method::GET)]));
            std::future::pending::<()>().await;
            drop(inside);
        });
        let [first, second] = given.await.expect("it has begun");
        let make_room = async || {
            (0..2).for_each(|_| house.look());
            house.make_room(1);
            settle().await;
        };
        drop(first);
        make_room().await;
        assert_eq!(seen.strong_count(), 1, "one is to be answered");
        let answer = second.answer(response(1));
        make_room().await;
        assert_eq!(seen.strong_count(), 0, "nobody reads what it was answered");
        drop(answer);
    }
}
