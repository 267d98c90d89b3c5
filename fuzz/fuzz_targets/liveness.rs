//! Liveness of any bytes is refused, or is written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use snapshots::Liveness;

fuzz_target!(|bytes: &[u8]| {
    let Ok(liveness) = Liveness::from_bytes(bytes) else { return };
    assert_eq!(liveness.to_bytes(), bytes);
    assert!(liveness.live_count() <= liveness.doc_count());
    (0..liveness.doc_count().min(10_000)).for_each(|doc| {
        std::hint::black_box(liveness.is_live(doc));
    });
});
