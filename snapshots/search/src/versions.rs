//! What follows from the rules that are active, kept while they are.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// So many versions are kept: time only goes on, but around a change both sides of it are asked for.
const MAX_KEPT: usize = 2;

/// Something of each version of the rules that was asked for lately.
pub(crate) struct Versions<T>(Mutex<Vec<Kept<T>>>);

struct Kept<T> {
    version: usize,
    value: Arc<OnceLock<Arc<T>>>,
}

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T> Versions<T> {
    /// What a version has; the first that asks makes it, and others wait for that.
    pub(crate) fn get_or(&self, version: usize, make: impl FnOnce() -> T) -> Arc<T> {
        self.of(version).get_or_init(|| Arc::new(make())).clone()
    }

    fn of(&self, version: usize) -> Arc<OnceLock<Arc<T>>> {
        let (value, gone) = {
            // The one that was asked for last stands last.
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = kept.iter().position(|one| one.version == version).map(|place| kept.remove(place));
            let one = known.unwrap_or_else(|| Kept { version, value: Arc::default() });
            let value = one.value.clone();
            let gone = (kept.len() == MAX_KEPT).then(|| kept.remove(0));
            kept.push(one);
            (value, gone)
        };
        // It may be much, and others wait for the lock no longer.
        drop(gone);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each version that rules ever had was kept as long as the index.
    #[test]
    fn the_last_two_versions_are_kept() {
        let versions = Versions::default();
        let first = versions.get_or(7, || 70);
        versions.get_or(8, || 80);
        assert!(Arc::ptr_eq(&first, &versions.get_or(7, || 71)));
        versions.get_or(9, || 90);
        assert_eq!(*versions.get_or(8, || 81), 81, "it was not asked for for longest");
        assert_eq!(Arc::strong_count(&first), 1, "what is not kept is freed");
        assert_eq!(*versions.get_or(9, || 91), 90);
    }
}
