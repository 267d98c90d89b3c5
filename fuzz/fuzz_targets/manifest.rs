//! A manifest of any bytes is refused, or says the same when it is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use snapshots::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::from_json(bytes) else { return };
    let _ = manifest.is_sealed_in(bytes);
    let _ = manifest.size_bytes();
    let again = Manifest::from_json(&manifest.to_json()).expect("what was written can be read");
    assert_eq!(again, manifest);
});
