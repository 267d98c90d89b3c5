//! Connections: accepted, bounded, and ended in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tracing::warn;

use crate::http::Counted;

/// How long a connection may stay without a request's head. Longer than a balancer keeps one idle (Front Door: 90 s),
/// or its next request meets a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
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
            let _ = stream.set_nodelay(true);
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
