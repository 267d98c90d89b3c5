//! Whether an update was made of what is live. What came to be live beside it is not in it, and would be undone by it.

use anyhow::Result;
use snapshots::{Manifest, SnapshotId, Store};

use crate::checks::{Stored, is_damage};
use crate::policy::Violation;

/// An update is followed back over so many others to what they were made of.
const MAX_STEPS: usize = 1_000;

/// Says whether `next`, in place of `live`, would undo something: where it is an update of something else, which was
/// built before `live` was made. A build of everything undoes nothing, and neither does an update of a newer build.
///
/// # Errors
/// When a store fails.
pub(crate) async fn undone_by(next: Stored<'_>, live: Stored<'_>) -> Result<Option<Violation>> {
    let Some(parent) = &next.manifest.parent else { return Ok(None) };
    let mut oldest = next.manifest.clone();
    for _ in 0..MAX_STEPS {
        if is_same(&oldest, live.manifest) {
            return Ok(None);
        }
        let Some(parent) = oldest.parent.clone() else { break };
        if parent == live.manifest.id {
            return Ok(None);
        }
        // Where it is not known any more, what is known is all there is to go by.
        let Some(found) = find(&parent, &[next.store, live.store]).await? else { break };
        oldest = found;
    }
    if oldest.created_at >= live.manifest.created_at {
        return Ok(None);
    }
    let message = format!(
        "it is an update of {parent}, and what has become live beside that would be undone: update what is live, {}, \
         with --base",
        live.manifest.id
    );
    Ok(Some(Violation { code: "undone_update", message, products: Vec::new() }))
}

/// Whether a snapshot is another, or was made from it by updates, as far as the store knows.
///
/// # Errors
/// When the store fails.
pub(crate) async fn is_made_of(made: &Manifest, of: &Manifest, store: &Store) -> Result<bool> {
    let mut oldest = made.clone();
    for _ in 0..MAX_STEPS {
        if oldest.id == of.id {
            return Ok(true);
        }
        let Some(parent) = oldest.parent.filter(|_| oldest.created_at >= of.created_at) else { break };
        let Some(found) = find(&parent, &[store]).await? else { break };
        oldest = found;
    }
    Ok(false)
}

/// Whether these are one snapshot, which has another id where it was published in spite of a policy.
pub(crate) fn is_same(one: &Manifest, other: &Manifest) -> bool {
    one.created_at == other.created_at && one.objects == other.objects
}

async fn find(id: &SnapshotId, stores: &[&Store]) -> Result<Option<Manifest>> {
    for store in stores {
        match store.get_manifest(id).await {
            Ok(manifest) => return Ok(Some(manifest)),
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
