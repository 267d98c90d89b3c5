//! From a merchandiser's catalogue to a snapshot in a store.
//!
//! Read from top to bottom, a publish is: [`source`] reads rows, [`product_row`] makes products of them, [`build`]
//! writes a snapshot into a folder, [`publish`] brings it to a store and announces it. [`checks`] compares it with what
//! is live ([`diff`]) and judges that by a [`policy`].

mod background;
pub mod bring;
pub mod build;
pub mod canary;
mod changes;
pub mod channels;
pub mod checks;
pub mod config;
pub mod demo;
pub mod diff;
pub mod ending;
pub mod evaluate;
pub mod evaluation_page;
mod filling;
pub mod gc;
pub mod golden;
mod hindrance;
mod in_order;
pub mod keys;
pub mod lease;
mod lineage;
pub mod look;
pub mod mend;
mod merging;
pub mod nodes;
pub mod opened;
pub mod percent;
pub mod policy;
pub mod product_row;
pub mod progress;
pub mod publish;
pub mod recorded;
pub mod regions;
pub mod rejects;
pub mod report;
mod row_sink;
pub mod source;
mod spool;
pub mod stdout;
pub mod telling;
mod threads;
pub mod update;
pub mod verdict;
pub mod watch;
mod watched_inputs;
pub mod workshop;
