//! A pointer of any bytes is refused or read; where only some are trusted, it is refused.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use snapshots::{ChannelName, SigningKey, Store, Trust};
use tempfile::TempDir;

struct Place {
    folder: TempDir,
    store: Store,
    careful: Store,
    runtime: tokio::runtime::Runtime,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("channels")).expect("a folder");
    let store = Store::directory(folder.path()).expect("a store");
    let (_, public) = SigningKey::generate().expect("a key");
    let careful = store.clone().trusting(Some(Trust::from_pem(&public).expect("a public key")));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Place { folder, store, careful, runtime }
});

fuzz_target!(|bytes: &[u8]| {
    let place = &*PLACE;
    std::fs::write(place.folder.path().join("channels/live.json"), bytes).expect("a file");
    let live = ChannelName::live();
    let _ = place.runtime.block_on(place.store.pointer(&live));
    assert!(place.runtime.block_on(place.careful.pointer(&live)).is_err(), "nobody has this key");
    let _ = Trust::from_pem(&String::from_utf8_lossy(bytes));
    let _ = SigningKey::from_pem(&String::from_utf8_lossy(bytes));
});
