//! The command line and the environment. Nothing else in the indexer reads either.

mod looking;
mod publishing;
mod rows;
mod stores;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

pub use looking::{Check, DemoCatalogue, Diff, Evaluate, List, Show};
pub use publishing::{ChannelArgs, Gc, Hold, Keygen, Pin, Publish, Rollback, Sync, Unpin, WaitArgs, Withdraw};
pub use rows::{Build, Merge, RowArgs, SqlArgs, Update, Watch};
pub use stores::{StoreArgs, StoresArgs, TrustArgs};

use crate::ending::Ending;

/// Builds catalogue snapshots and publishes them.
#[derive(Debug, Parser)]
#[command(name = "indexer", version, max_term_width = 100)]
pub struct Cli {
    /// Print JSON instead of text: progress and result, one object a line.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a snapshot from catalogue files or a database into a folder.
    Build(Build),
    /// Change some products of a snapshot: rows replace those of the same id, and {"delete": "ID"} removes one.
    Update(Update),
    /// Follow a source: update what is live by what is new there, publish that, again and again, and merge beside it.
    Watch(Watch),
    /// Write all segments of a snapshot as one; it answers as before.
    Merge(Merge),
    /// Bring a built snapshot to a store and announce it to a channel.
    Publish(Publish),
    /// Show what each channel points at, in every region, and what every node serves; fail where a channel or a pin is damaged.
    Status(StoresArgs),
    /// Go back to an older snapshot, and hold the channel there until it is resumed.
    Rollback(Rollback),
    /// Hold a channel where it is: publishers refuse until it is resumed.
    Hold(Hold),
    /// Let publishers go on after a rollback or a hold.
    Resume(ChannelArgs),
    /// Hold one region at a snapshot, whatever the channel says.
    Pin(Pin),
    /// Let a pinned region follow its channel again.
    Unpin(Unpin),
    /// Take back a canary that is under way.
    Withdraw(Withdraw),
    /// Bring regions that are behind to where the home store is.
    Sync(Sync),
    /// Remove from a store what nothing needs any more; without --apply, say what that is.
    Gc(Gc),
    /// Make a key pair to sign what is published.
    Keygen(Keygen),
    /// Sign what a channel points at with another key, before the old one is no longer trusted.
    Sign(ChannelArgs),
    /// List the newest snapshots of a store.
    List(List),
    /// Show one snapshot of a store.
    Show(Show),
    /// Show what changes between two snapshots: products, prices, categories, rules.
    Diff(Diff),
    /// Check a snapshot's rules, and by a policy what it would change: fails when something is at fault.
    Check(Check),
    /// Score a snapshot's answers by judged queries, alone or beside those of another snapshot.
    Evaluate(Evaluate),
    /// Write a made-up catalogue with pictures, for demos and benchmarks.
    DemoCatalogue(DemoCatalogue),
}

/// Faults of settings, which are told at once.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn take<T>(&mut self, read: Result<T>) -> Option<T> {
        read.map_err(|error| self.0.push(format!("{error:#}"))).ok()
    }

    fn told(self) -> anyhow::Error {
        Ending::settings(self.0.join("; ")).into()
    }
}

/// # Errors
/// Names the file that cannot be read.
pub fn read_text(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// What the environment says about Azure, for [`snapshots::Store::open`].
pub fn azure_settings() -> Vec<(String, String)> {
    snapshots::azure_settings(std::env::vars(), None)
}
