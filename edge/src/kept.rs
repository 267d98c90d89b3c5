//! What stays in the cache's folder on the disk, of what was announced and of what is previewed.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use snapshots::{Digest, Manifest, SnapshotId};
use tokio::sync::Notify;

/// How many snapshots' objects stay in the cache, so that going back is quick.
const KEPT_SNAPSHOTS: usize = 3;

/// The objects that the last snapshots of all markets consist of, and those of previews: those that are being installed
/// among them.
#[derive(Default)]
pub struct KeptObjects {
    announced: Mutex<VecDeque<KeptSnapshot>>,
    previews: Mutex<HashSet<Digest>>,
    /// The markets that cannot follow their channels since the disk is full, as far as the last try of each shows.
    cramped: Mutex<HashSet<String>>,
    /// Another market is among these, or one once more.
    space_needed: Notify,
}

struct KeptSnapshot {
    market: String,
    id: SnapshotId,
    objects: Vec<Digest>,
}

impl KeptObjects {
    /// Takes note of a market's newest snapshot, before its first object is downloaded.
    pub fn add(&self, market: &str, manifest: &Manifest, served: Option<&SnapshotId>) {
        let mut kept = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|snapshot| snapshot.market != market || snapshot.id != manifest.id);
        let objects = manifest.objects.iter().map(|object| object.blake3).collect();
        kept.push_front(KeptSnapshot { market: market.to_owned(), id: manifest.id.clone(), objects });
        keep_newest(&mut kept, KEPT_SNAPSHOTS, market, served);
    }

    /// Forgets all but a market's newest snapshot and the one it serves, and has previews closed and none opened: their space
    /// is needed.
    pub fn shrink(&self, market: &str, served: Option<&SnapshotId>) {
        let mut kept = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        keep_newest(&mut kept, 1, market, served);
        drop(kept);
        self.cramped().insert(market.to_owned());
        self.space_needed.notify_one();
    }

    /// Takes note that a market needs no more space than it has.
    pub fn found_space(&self, market: &str) {
        self.cramped().remove(market);
    }

    /// Whether what is announced finds no space on the disk.
    pub fn lacks_space(&self) -> bool {
        !self.cramped().is_empty()
    }

    fn cramped(&self) -> MutexGuard<'_, HashSet<String>> {
        self.cramped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the space that previews take is needed: to one who waits for that.
    pub async fn space_is_needed(&self) {
        self.space_needed.notified().await;
    }

    /// Takes note of the objects of all previews, in the place of those that were noted before.
    pub fn set_previews(&self, objects: HashSet<Digest>) {
        *self.previews.lock().unwrap_or_else(PoisonError::into_inner) = objects;
    }

    /// Every object that is to stay.
    pub fn objects(&self) -> HashSet<Digest> {
        let mut objects = self.previews.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kept = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        objects.extend(kept.iter().flat_map(|snapshot| snapshot.objects.iter().copied()));
        objects
    }
}

/// Forgets a market's snapshots but the newest few and the one that is served.
fn keep_newest(kept: &mut VecDeque<KeptSnapshot>, count: usize, market: &str, served: Option<&SnapshotId>) {
    let mut seen = 0;
    kept.retain(|snapshot| {
        seen += usize::from(snapshot.market == market);
        snapshot.market != market || seen <= count || Some(&snapshot.id) == served
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest with one object.
    fn manifest(name: &str) -> Manifest {
        let digest = Digest::of(name.as_bytes());
        let json = serde_json::json!({
            "format_version": 4, "id": name, "catalogue": "shop", "parent": null, "created_at": "2026-01-01T00:00:00Z",
            "builder_version": "test", "segments": [], "statistics": {"product_count": 0, "words": {}},
            "objects": [{"role": "segment", "blake3": digest, "size_bytes": 1}], "source_watermark": null,
            "validation": {"rows_read": 0, "rows_rejected": 0, "rejected_by_field": {}, "facet_value_counts": {}},
        });
        serde_json::from_value(json).expect("a manifest")
    }

    #[test]
    fn what_another_market_is_installing_stays() {
        let kept = KeptObjects::default();
        let has = |kept: &KeptObjects, name: &str| kept.objects().contains(&Digest::of(name.as_bytes()));
        let slow = manifest("slow");
        kept.add("eu", &slow, None);
        (0..9).for_each(|number| kept.add("us", &manifest(&format!("us{number}")), None));
        assert!(has(&kept, "slow"), "eu's first snapshot is still on its way");
        assert!(has(&kept, "us8") && has(&kept, "us6") && !has(&kept, "us5"));
        let served = manifest("us6").id;
        (0..5).for_each(|number| kept.add("us", &manifest(&format!("bad{number}")), Some(&served)));
        assert!(has(&kept, "us6"), "what is served stays, however many announcements fail");
        kept.shrink("us", Some(&served));
        assert!(has(&kept, "us6") && has(&kept, "bad4") && !has(&kept, "bad3") && has(&kept, "slow"));
        kept.found_space("eu");
        assert!(kept.lacks_space(), "us does still");
        kept.found_space("us");
        assert!(!kept.lacks_space());
        let preview = |name: &str| kept.set_previews([Digest::of(name.as_bytes())].into());
        preview("first");
        assert!(has(&kept, "first") && has(&kept, "us6"));
        preview("second");
        assert!(has(&kept, "second") && !has(&kept, "first"));
    }
}
