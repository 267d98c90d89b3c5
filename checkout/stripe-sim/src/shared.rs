//! What every connection and every task needs.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::state::State;

pub(crate) struct Shared {
    state: Mutex<State>,
    /// The keys that are accepted; empty for all test keys.
    pub(crate) api_keys: Vec<String>,
    /// Delivers events.
    pub(crate) http: reqwest::Client,
    /// Told when there is something to deliver.
    pub(crate) deliver: Notify,
    /// Where the state is kept; None where it is not.
    pub(crate) state_file: Option<PathBuf>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    writing: Mutex<()>,
}

impl Shared {
    pub(crate) fn new(state: State, api_keys: Vec<String>, http: reqwest::Client, state_file: Option<PathBuf>) -> Self {
        Self { state: Mutex::new(state), api_keys, http, deliver: Notify::new(), state_file, writing: Mutex::new(()) }
    }

    /// The right to write the file. To be asked for before the state is locked.
    pub(crate) fn lock_file(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for a moment. A panic elsewhere must not end the simulator.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
