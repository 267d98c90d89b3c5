//! One connection, from its first byte to its end: TLS or none, HTTP/1.1 or HTTP/2, and the bounds of both.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http2::Activity;
use crate::idle::Waiting;
use crate::reply::HttpResponse;
use crate::server::{Shared, handle};
use crate::tls::HTTP_2;

/// How long a connection may stay without a request's head. Longer than a balancer keeps one idle (Front Door: 90 s),
/// or its next request meets a connection that is being closed.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a client may take to agree on keys, to say anything at all, or over HTTP/2 to ask for something.
pub(crate) const FIRST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may leave an answer unread before its connection is cut. Over HTTP/1.1 it must have read all of it
/// within [`IDLE_TIMEOUT`], however steadily it reads: also where `Connection: close` says that it asks no more.
pub(crate) const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Requests that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;
/// What such a connection may have sent us that we have not read.
const WINDOW_BYTES: u32 = 256 * 1024;
/// What h2 takes of each answer for a client that does not read; `http2.rs` holds back the rest, and counts both.
const MAX_UNSENT_BYTES: usize = 64 * 1024;
/// A silent HTTP/2 connection is asked whether it lives, and cut where it does not say.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How an HTTP/2 connection begins, where nothing was agreed on before (RFC 9113, 3.4): no method of HTTP/1.1 does.
const PREFACE: &[u8; 4] = b"PRI ";
/// How often, and how far apart, a connection that began with only part of that is looked at again.
const PREFACE_LOOKS: u32 = 100;
const PREFACE_PAUSE: Duration = Duration::from_millis(10);

/// A connection that has said how it wants to be served.
pub(crate) enum Begun {
    Plain(TcpStream, Version),
    Tls(Box<TlsStream<TcpStream>>, Version),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Waits until a connection says what it speaks; None where it never does.
pub(crate) async fn begin(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Begun> {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNREAD_TIMEOUT.as_millis() as u32);
    let Some(tls) = tls else {
        let version = plain_version(&stream).await?;
        return Some(Begun::Plain(stream, version));
    };
    let stream = timeout(FIRST_TIMEOUT, tls.accept(stream)).await.ok()?.ok()?;
    let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    Some(Begun::Tls(Box::new(stream), if is_http_2 { Version::Http2 } else { Version::Http1 }))
}

impl Begun {
    /// Serves the connection to its end, or until `watcher` wants it to end; `closes` tells the latter, too.
    pub(crate) async fn serve(
        self,
        shared: Arc<Shared>,
        watcher: Watcher,
        closes: watch::Receiver<bool>,
        waiting: Waiting,
    ) {
        // A client that goes away in the middle is no event.
        let _ = match self {
            Self::Plain(stream, version) => serve(stream, version, shared, watcher, closes, waiting).await,
            Self::Tls(stream, version) => serve(stream, version, shared, watcher, closes, waiting).await,
        };
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    shared: Arc<Shared>,
    watcher: Watcher,
    closes: watch::Receiver<bool>,
    waiting: Waiting,
) -> hyper::Result<()> {
    match version {
        Version::Http1 => {
            serve_http1(stream, watcher, waiting, move |request| handle(shared.clone(), request, None)).await
        }
        Version::Http2 => {
            let activity = Activity::new(waiting);
            let counted = activity.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let (shared, open) = (shared.clone(), counted.request(request.method()));
                async move {
                    let answered = handle(shared, request, Some(&open)).await;
                    answered.map(|response| open.answer(response))
                }
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_HEAD_BYTES as u32)
                .initial_connection_window_size(WINDOW_BYTES)
                .max_send_buf_size(MAX_UNSENT_BYTES)
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT);
            let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                ended = connection => ended,
                () = activity.overdue(closes) => Ok(()),
            }
        }
    }
}

/// Serves HTTP/1.1. How long a head may take, and an answer to be read before the next head, is what `waiting` bounds.
async fn serve_http1<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    watcher: Watcher,
    waiting: Waiting,
    answer: impl Fn(Request<Incoming>) -> F,
) -> hyper::Result<()>
where
    F: Future<Output = Result<HttpResponse, Infallible>>,
{
    let waiting = Arc::new(waiting);
    let service = service_fn(move |request| {
        let (busy, answer) = (waiting.busy(), answer(request));
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None::<Duration>).max_buf_size(MAX_HEAD_BYTES);
    watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await
}

/// What a connection without TLS speaks, by how it begins; None where it says nothing.
async fn plain_version(stream: &TcpStream) -> Option<Version> {
    let mut start = [0; PREFACE.len()];
    let deadline = Instant::now() + FIRST_TIMEOUT;
    for _ in 0..PREFACE_LOOKS {
        let length = timeout_at(deadline, stream.peek(&mut start)).await.ok()?.ok()?;
        match &start[..length] {
            [] => return None,
            whole if whole == PREFACE => return Some(Version::Http2),
            part if PREFACE.starts_with(part) => tokio::time::sleep(PREFACE_PAUSE).await,
            _ => break,
        }
    }
    Some(Version::Http1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::Response;
    use hyper_util::server::graceful::GracefulShutdown;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::idle::IdleWatch;
    use crate::idle::tests::settle;

    /// So many looks a connection may wait for, and is cut at the next.
    const PATIENCE: u64 = 5;

    /// A client of a connection that waits already, and who looks at it when told to.
    async fn connect() -> (DuplexStream, Arc<IdleWatch>) {
        let watch = IdleWatch::new(Duration::from_secs(1), PATIENCE);
        let (client, stream) = duplex(1_024);
        let answer = |_| async { Ok(Response::new(Full::new(Bytes::from_static(b"{}")))) };
        watch.spawn(move |waiting| async move {
            let connections = GracefulShutdown::new();
            let _ = serve_http1(stream, connections.watcher(), waiting, answer).await;
        });
        settle().await;
        (client, watch)
    }

    /// The connection is gone, and nothing was said before that.
    async fn assert_cut(mut client: DuplexStream) {
        settle().await;
        client.write_all(b"y").await.expect_err("it is cut");
        let mut told = String::new();
        client.read_to_string(&mut told).await.expect("an end");
        assert_eq!(told, "", "it is cut without a word");
    }

    #[tokio::test]
    async fn a_connection_is_cut_that_asks_for_nothing() {
        let (client, watch) = connect().await;
        (0..=PATIENCE).for_each(|_| watch.look());
        assert_cut(client).await;
        let (mut client, watch) = connect().await;
        (0..PATIENCE).for_each(|_| watch.look());
        client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("a request");
        let mut answered: Vec<u8> = Vec::new();
        while !answered.ends_with(b"{}") {
            assert_ne!(client.read_buf(&mut answered).await.expect("an answer"), 0, "it broke off");
        }
        assert!(answered.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answered));
        (0..=PATIENCE).for_each(|_| watch.look());
        assert_cut(client).await;
    }

    #[tokio::test]
    async fn a_head_that_comes_byte_by_byte_is_no_sign_of_life() {
        let (mut client, watch) = connect().await;
        client.write_all(b"GET / HTTP/1.1\r\nx: ").await.expect("the start of a head");
        for _ in 0..=PATIENCE {
            client.write_all(b"y").await.expect("it is not cut yet");
            // The byte is read before anybody looks.
            settle().await;
            watch.look();
        }
        assert_cut(client).await;
    }
}
