//! The engine over an open snapshot: text analysis, matching, ranking, filters and facets.
//!
//! This crate does no I/O of its own but for building: it reads what `snapshots` has mapped.

mod amend;
mod analysis;
mod bits;
mod build;
mod categories;
mod codes;
mod completions;
mod curation;
mod cursor;
mod directory;
mod distinct;
mod error;
mod facets;
mod filter;
mod gather;
mod highlight;
mod index;
mod kinds;
mod lead;
mod matching;
mod phrases;
mod plan;
mod postings;
mod predicate;
mod query;
mod rank;
mod request;
mod rules;
mod score;
mod search;
mod similar;
mod spelling;
mod suggest;
mod text;
mod text_writer;
mod top;
mod vocabulary;
mod window;
mod words;

pub use build::{BuildReport, SegmentBuilder};
pub use categories::Category;
pub use completions::recorded_queries;
pub use error::{Error, RequestError};
pub use facets::{FacetAnswer, NumberStats};
pub use filter::Filter;
pub use highlight::Highlighter;
pub use index::Index;
pub use rank::ScoreParts;
pub use request::{FieldSet, RawRequest, SearchRequest, limits};
pub use rules::{RuleFindings, Rules, RulesError};
pub use search::{Answer, Hit, Level};
pub use similar::MAX_SIMILAR;
pub use suggest::{SuggestRequest, Suggestion, Suggestions, limits as suggest_limits};
pub use words::WordCounter;
