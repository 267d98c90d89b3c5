//! The commands that look at snapshots, and the one that makes up a catalogue.

use std::path::PathBuf;

use clap::Args;

use super::{StoreArgs, TrustArgs};
use crate::evaluate::Bound;

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub store: StoreArgs,
    /// How many of the newest to list, newest first.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub last: u16,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub store: StoreArgs,
    /// A snapshot's id, or a channel.
    #[arg(default_value = "live")]
    pub snapshot: String,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// The older snapshot: a folder that 'build' wrote to (its newest snapshot), or a store's URL (what is live); @ID
    /// behind it for another.
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// The newer snapshot.
    #[arg(value_name = "AFTER")]
    pub after: String,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How many products to name for each thing that changes.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub examples: u16,
    /// Also write it as a page that stands alone.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also say what 'check' finds in the newer snapshot by this policy, and ask its golden queries of both.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Keep what was downloaded here for the next run, but no more than this one used. No edge may use the same folder.
    #[arg(long, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// A folder that 'build' wrote to (its newest snapshot), or a store's URL (what is live); @ID behind it for another.
    #[arg(long, value_name = "FOLDER|URL[@ID]")]
    pub snapshot: String,
    /// The snapshot that it would replace. Without one, only what needs no comparison is judged.
    #[arg(long, value_name = "FOLDER|URL[@ID]")]
    pub against: Option<String>,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Thresholds in TOML; without it, those that stop a catastrophe.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Check these rules in place of the snapshot's own.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Also write what changes and what is found as a page that stands alone.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Keep what was downloaded here for the next run, but no more than this one used. No edge may use the same folder.
    #[arg(long, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// A folder that 'build' wrote to (its newest snapshot), or a store's URL (what is live); @ID behind it for another.
    #[arg(long, value_name = "FOLDER|URL[@ID]")]
    pub snapshot: String,
    /// The queries: JSON Lines of id and query.
    #[arg(long, value_name = "FILE")]
    pub queries: PathBuf,
    /// The judgements: query id, product id and grade, separated by tabs.
    #[arg(long, value_name = "FILE")]
    pub judgments: PathBuf,
    /// Leave out queries with fewer judged products.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub min_judged: usize,
    /// How many of the worst queries to list.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub worst: usize,
    /// Another snapshot to compare with, such as what is live: the same query is scored on both.
    #[arg(long, value_name = "FOLDER|URL[@ID]")]
    pub against: Option<String>,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Also write the report as a page, with the hits of up to 1,000 queries: the worst, or those that moved most.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Fail when a measure is below a floor, such as ndcg=0.38. Measures: ndcg, judged_ndcg, recall, mrr. Repeatable.
    #[arg(long = "floor", value_name = "MEASURE=VALUE", value_parser = Bound::floor)]
    pub floors: Vec<Bound>,
    /// Fail when a measure is above a ceiling, such as zero_results=0.05: queries without a result, as a share of all.
    /// Repeatable.
    #[arg(long = "ceiling", value_name = "MEASURE=VALUE", value_parser = Bound::ceiling)]
    pub ceilings: Vec<Bound>,
    /// Ask as shoppers of this market do, whose rules hold beside those that name no market. Without it, only the latter.
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// Evaluate with these rules in place of the snapshot's own. What it is compared with keeps its own.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DemoCatalogue {
    /// How many products.
    #[arg(long, default_value_t = 50_000)]
    pub products: u64,
    /// The same seed gives the same shop.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The folder to write catalogue.toml, products.jsonl and pictures/ into.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}
