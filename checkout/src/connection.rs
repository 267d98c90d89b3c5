//! Connections: accepted, bounded, and ended in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::http::Counted;

/// How long a connection may stay without a request's head. Longer than a balancer keeps one idle (Front Door: 90 s),
/// or its next request meets a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a client may leave answers unread before its connection is cut: otherwise those who ask and never read would
/// take all connections there may be, for ever.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEAD_BYTES: usize = 32 * 1024;
const FULL_PAUSE: Duration = Duration::from_millis(5);
const FAULT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come in.
pub(crate) struct Door {
    pub router: Router,
    pub connections: GracefulShutdown,
    pub open: Arc<AtomicUsize>,
    /// How many there may be.
    pub most: usize,
}

impl Door {
    /// Serves whoever comes, for ever.
    pub async fn accept(&self, listener: &TcpListener) {
        loop {
            // A full house waits at the door: the system's queue is short and bounded.
            while self.open.load(Ordering::Relaxed) >= self.most {
                tokio::time::sleep(FULL_PAUSE).await;
            }
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file handles, most likely; ending the loop would end the service.
                    warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(FAULT_PAUSE).await;
                    continue;
                }
            };
            prepare(&stream);
            let guard = Counted::new(&self.open);
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
            let service = TowerToHyperService::new(self.router.clone());
            let connection = self.connections.watch(builder.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                // A client that goes away in the middle is no event.
                let _ = connection.await;
                drop(guard);
            });
        }
    }
}

/// A system that refuses either serves nevertheless.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, UNREAD_TIMEOUT.as_millis() as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that asked again and again and never read kept its connection for ever.
    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_by_the_system() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let _client = client.expect("a connection");
        let (stream, _) = accepted.expect("the same at its other end");
        prepare(&stream);
        let timeout_ms = rustix::net::sockopt::tcp_user_timeout(&stream).expect("what was set");
        assert_eq!(timeout_ms, 30_000);
        assert!(stream.nodelay().expect("what was set"));
    }
}
