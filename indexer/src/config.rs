//! The command line and the environment. Nothing else in the indexer reads either.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use snapshots::{ChannelName, SnapshotId};

use crate::evaluate::Floor;
use crate::rejects::RejectPolicy;
use crate::source::{Format, Mapping};

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
    /// Build a snapshot from catalogue files into a folder.
    Build(Build),
    /// Bring a built snapshot to a store and announce it to a channel.
    Publish(Publish),
    /// Show what each channel of a store points at.
    Status(StoreArgs),
    /// List the snapshots of a store.
    List(StoreArgs),
    /// Show one snapshot of a store.
    Show(Show),
    /// Look for rules that can never fire or that name products that are not there.
    Check(Check),
    /// Score a snapshot's answers by judged queries, alone or beside those of another snapshot.
    Evaluate(Evaluate),
    /// Write a made-up catalogue with pictures, for demos and benchmarks.
    DemoCatalogue(DemoCatalogue),
}

#[derive(Debug, Args)]
pub struct Build {
    /// The catalogue's settings.
    #[arg(long, value_name = "FILE")]
    pub catalogue: PathBuf,
    /// The folder to build into; 'publish' takes it from there.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// The catalogue's rules: synonyms, pins, boosts and the like. Without it, rules.toml beside the settings, if there is
    /// one.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Recorded queries to suggest: lines of a query and its count, separated by a tab.
    #[arg(long, value_name = "FILE")]
    pub recorded_queries: Option<PathBuf>,
    /// How the input is written; told by the file's name where it is not given.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// A TOML file with a table 'columns' (COLUMN = "FIELD") and 'list_separator'.
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Take a column for a field: name=title, attributes.ean=gtins, Colour=attributes.color, cost=ignore. Repeatable.
    #[arg(long = "map", value_name = "COLUMN=FIELD")]
    pub map: Vec<String>,
    /// What divides several values in one cell, for categories, images, GTINs and attributes.
    #[arg(long, value_name = "TEXT")]
    pub list_separator: Option<String>,
    /// Stop at the first row that is no product.
    #[arg(long)]
    pub strict: bool,
    /// Where rows that are no products are set aside, with their reasons.
    #[arg(long, value_name = "FILE", default_value = "rejects.jsonl")]
    pub rejects: PathBuf,
    /// Fail when more rows than this are no products.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub max_rejects: u64,
    /// Catalogue files (.jsonl, .csv, .tsv; plain, .gz or .zst), or - for standard input.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The store: file:///folder or az://container/prefix.
    #[arg(long, value_name = "URL", env = "VITRINE_STORE")]
    pub store: String,
}

#[derive(Debug, Args)]
pub struct Publish {
    #[command(flatten)]
    pub store: StoreArgs,
    /// The channel to announce to: 'live' is what storefronts see.
    #[arg(long, default_value = "live")]
    pub channel: ChannelName,
    /// The snapshot to publish; the newest one of the folder where it is not given.
    #[arg(long, value_name = "ID")]
    pub snapshot: Option<SnapshotId>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The folder that 'build' wrote to.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
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
pub struct Check {
    /// A folder that 'build' wrote to (its newest snapshot), or a store's URL (what is live); @ID behind it for another.
    #[arg(long, value_name = "FOLDER|URL[@ID]")]
    pub snapshot: String,
    /// Check these rules in place of the snapshot's own.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
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
    /// Also write the whole report, with every query's hits, as a page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Fail when a measure is below a floor, such as ndcg=0.38. Measures: ndcg, judged_ndcg, recall, mrr. Repeatable.
    #[arg(long = "floor", value_name = "MEASURE=VALUE")]
    pub floors: Vec<Floor>,
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

impl Build {
    /// # Errors
    /// When the mapping file cannot be read, or the mapping is at fault.
    pub fn mapping(&self) -> anyhow::Result<Mapping> {
        let mut mapping = match &self.mapping {
            None => Mapping::default(),
            Some(path) => {
                let fault = |error: &dyn std::fmt::Display| anyhow::anyhow!("{}: {error}", path.display());
                let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
                Mapping::from_toml(&text).map_err(|error| fault(&error))?
            }
        };
        for text in &self.map {
            mapping.add(text)?;
        }
        if let Some(separator) = &self.list_separator {
            mapping.set_list_separator(separator.clone());
        }
        Ok(mapping)
    }

    pub fn reject_policy(&self) -> RejectPolicy {
        RejectPolicy { file: self.rejects.clone(), strict: self.strict, max_rejects: self.max_rejects }
    }
}

/// What the environment says about Azure, for [`snapshots::Store::open`].
pub fn azure_settings() -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with("AZURE_")).collect()
}
