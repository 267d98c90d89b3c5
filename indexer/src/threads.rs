//! Work that would keep everything else waiting.

use anyhow::{Context, Result};
use tokio::sync::oneshot;

/// Works beside everything else. Where nobody waits any more, the process ends without waiting for it.
///
/// # Errors
/// When there is no thread, or it has died.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (done, wait) = oneshot::channel();
    // Where nobody waits any more, nobody wants it.
    let work = move || drop(done.send(work()));
    std::thread::Builder::new().name(name.to_owned()).spawn(work).context("a thread")?;
    wait.await.with_context(|| format!("the thread '{name}' has ended too early"))
}
