//! The engine over an open snapshot: text analysis, matching, ranking, filters and facets.
//!
//! This crate does no I/O of its own but for building: it reads what `snapshots` has mapped.

mod analysis;
mod bits;
mod build;
mod categories;
mod directory;
mod error;
mod facets;
mod filter;
mod highlight;
mod index;
mod matching;
mod predicate;
mod request;
mod score;
mod search;
mod text;
mod top;

pub use build::{BuildReport, SegmentBuilder};
pub use categories::Category;
pub use error::{Error, RequestError};
pub use facets::{FacetAnswer, NumberStats};
pub use filter::Filter;
pub use highlight::highlight;
pub use index::Index;
pub use request::{FieldSet, RawRequest, SearchRequest, limits};
pub use search::{Answer, Hit};
