//! Settings, rules, policies and mappings of any text are refused or read.

#![no_main]

use std::sync::LazyLock;

use indexer::policy::Policy;
use indexer::source::Mapping;
use libfuzzer_sys::fuzz_target;
use search::{Filter, Rules};
use snapshots::Catalogue;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let settings = "name = \"fuzz\"\ncurrency = \"USD\"\n[[facets]]\nname = \"brand\"\n[[facets]]\nname = \"price\"";
    Catalogue::parse(settings).expect("settings")
});

fuzz_target!(|text: &str| {
    let _ = Catalogue::parse(text);
    let _ = Rules::parse(text, &CATALOGUE, None);
    let _ = Policy::parse(text);
    let _ = Mapping::from_toml(text);
    let _ = Filter::parse(text, &CATALOGUE);
});
