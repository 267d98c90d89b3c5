//! `rules.toml` as a merchandiser writes it.

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

/// Bounds on the rules of one catalogue.
pub mod limits {
    pub const FILE_BYTES: usize = 4 * 1024 * 1024;
    pub const RULES: usize = 10_000;
    pub const SYNONYMS: usize = 20_000;
    /// Words of one group of synonyms.
    pub const SYNONYM_WORDS: usize = 50;
    pub const HIDDEN: usize = 100_000;
    pub const PINS: usize = 100;
    /// Products that one rule hides, and filters that it boosts or buries by.
    pub const HIDES: usize = 1_000;
    pub const BOOSTS: usize = 50;
    /// The last position that a product can be pinned to.
    pub const PIN_POSITION: usize = 1_000;
    pub const USER_DATA_BYTES: usize = 16 * 1024;
}

/// The rules are at fault.
#[derive(Debug, Error)]
pub enum RulesError {
    #[error("rules.toml: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("rules.toml: {at}: {reason}")]
    Invalid { at: String, reason: String },
}

impl RulesError {
    pub(super) fn new(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { at: at.into(), reason: reason.into() }
    }
}

/// The file as it is written; [`super::Rules`] is what it means.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RulesFile {
    /// Words that products need not have, besides those of the language.
    pub(super) stop_words: Vec<String>,
    pub(super) synonyms: Vec<SynonymTable>,
    pub(super) replacements: Vec<ReplacementTable>,
    pub(super) hidden: Vec<HiddenTable>,
    pub(super) rules: Vec<RuleTable>,
}

/// A time as TOML writes it, or as a text; either has an offset, such as Z.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a time with an offset, such as 2026-06-01T00:00:00Z")]
    enum Written {
        Time(toml::value::Datetime),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Time(time) => time.to_string(),
        Written::Text(text) => text,
    };
    let time = text
        .parse()
        .map_err(|_| D::Error::custom(format!("'{text}' is no time with an offset, such as 2026-06-01T00:00:00Z")));
    time.map(Some)
}

/// `words`: each finds the others. `from` and `to`: one way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SynonymTable {
    #[serde(default)]
    pub(super) words: Vec<String>,
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) to: Vec<String>,
}

/// A query for `from` is a query for `to`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplacementTable {
    pub(super) from: String,
    pub(super) to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HiddenTable {
    pub(super) id: String,
    #[serde(default)]
    pub(super) markets: Vec<String>,
    #[serde(default, deserialize_with = "time")]
    pub(super) from: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    pub(super) until: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) when: WhenTable,
    pub(super) then: ThenTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WhenTable {
    pub(super) query_is: Option<String>,
    pub(super) query_starts_with: Option<String>,
    pub(super) query_contains: Option<String>,
    /// A condition that the request's own filter must hold.
    pub(super) filters: Option<String>,
    pub(super) contexts: Vec<String>,
    pub(super) markets: Vec<String>,
    #[serde(default, deserialize_with = "time")]
    pub(super) from: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    pub(super) until: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ThenTable {
    pub(super) pin: Vec<PinTable>,
    pub(super) boost: Vec<BoostTable>,
    pub(super) bury: Vec<BoostTable>,
    pub(super) hide: Vec<String>,
    pub(super) replace_query: Option<String>,
    pub(super) filter: Option<String>,
    pub(super) redirect: Option<String>,
    pub(super) user_data: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinTable {
    pub(super) id: String,
    pub(super) position: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BoostTable {
    pub(super) filter: String,
    /// The share of its score that a product gains, or loses.
    pub(super) by: f32,
}
