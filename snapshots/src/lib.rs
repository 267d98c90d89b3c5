//! What a snapshot is: products, money and settings, the file format, the manifest, the store, and opening it all.
//!
//! This crate knows nothing of queries: the text index inside a segment is written and read by `search`.

mod azure;
mod cache;
mod catalogue;
mod channel;
mod deletions;
mod digest;
mod draft;
mod error;
mod hints;
mod inbox;
mod liveness;
mod manifest;
mod mapping;
mod money;
mod product;
mod secrets;
mod segment;
mod signing;
mod snapshot;
mod status;
mod store;
mod times;
mod watch;

pub use azure::azure_settings;
pub use cache::{Cache, Installed, Remembered};
pub use catalogue::{
    Catalogue, CatalogueError, Facet, FacetKind, FacetOrder, PRODUCT_FIELDS, SearchField, Sort, SortOrder,
};
pub use channel::{ChannelName, Pointer, RegionName};
pub use digest::Digest;
pub use draft::{Draft, DraftSegment, KeptSegment};
pub use error::Error;
pub use hints::{Heard, Hint, HintError, Hints};
pub use inbox::{Arrived, Inbox};
pub use liveness::Liveness;
pub use manifest::{
    FORMAT_VERSION, Manifest, OLDEST_FORMAT_VERSION, ObjectRef, Override, Role, SegmentRef, SnapshotId, Statistics,
    ValidationReport, limits,
};
pub use mapping::Mapping;
pub use money::{Currency, Decimal, Money, MoneyError, write_scaled};
pub use product::{
    AttributeValue, Availability, CATEGORY_SEPARATOR, Product, ProductError, ProductId, limits as product_limits,
};
pub use secrets::{SecretError, secret_of};
pub use segment::{
    ABSENT, ColumnReport, FacetInfo, FacetRows, FragmentKey, NumberInfo, RecordView, SectionWriter, Segment,
    SegmentWriter, first_from_hash, id_hash,
};
pub use signing::{KeyId, SigningKey, Trust};
pub use snapshot::{LiveSegment, Snapshot, install};
pub use status::{MarketStatus, NodeStatus, SILENT_AFTER, ServedStatus, StatusBoard, Traffic, heard_lately};
pub use store::{
    LateFiles, Lease, ListedManifest, ListedObject, MAX_MARKED, Marks, PointerName, PointerState, PointerVersion,
    ReadPointer, Store, Sweep, WrittenPointer,
};
pub use times::Times;
pub use watch::{Followed, Place, Target, Watcher};
