//! The command line and the environment. Nothing else in the indexer reads either.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use snapshots::{ChannelName, Hints, Inbox, RegionName, SigningKey, SnapshotId, StatusBoard, Store, Trust};

use crate::build::{BuildRequest, RowsRequest};
use crate::canary::CanaryPlan;
use crate::ending::Ending;
use crate::evaluate::Bound;
use crate::gc::{Mode, Retention};
use crate::lease::MAX_HELD_HOURS;
use crate::mend::{MAX_SEQUENCE, MendRequest};
use crate::opened::folder_url;
use crate::policy::Policy;
use crate::regions::{DEFAULT_TIMEOUT_S, Regions};
use crate::rejects::RejectPolicy;
use crate::source::{Format, Input, Mapping, SqlQuery};
use crate::watch::{WatchRequest, WatchedSource};

/// The column with the time of a row's last change, where no other is named.
const UPDATED_AT: &str = "updated_at";
/// Where rows are set aside.
const REJECTS: &str = "rejects.jsonl";

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
    /// The last file of a watched inbox whose changes are in these rows already. Without it, 'watch' takes all files of the
    /// inbox once more on top of this build.
    #[arg(long, value_name = "NAME", conflicts_with = "updated_at")]
    pub inbox_read_to: Option<String>,
    #[command(flatten)]
    pub rows: RowArgs,
}

/// Where rows come from, and how they are read.
#[derive(Debug, Args)]
pub struct RowArgs {
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
    /// Where rows that are no products are set aside, with their reasons: rejects.jsonl where it is not given, and of 'watch'
    /// that in its folder of updates.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Fail when more rows than this are no products.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub max_rejects: u64,
    #[command(flatten)]
    pub sql: SqlArgs,
    /// Catalogue files (.jsonl, .csv, .tsv, or .xml for Google Merchant feeds; plain, .gz or .zst), or - for standard
    /// input.
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
}

/// Rows from a database, besides those of files.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// A query whose rows are products, and whose columns are their fields.
    #[arg(long, value_name = "SELECT", conflicts_with = "sql_file")]
    pub sql: Option<String>,
    /// The file that holds the query.
    #[arg(long, value_name = "FILE")]
    pub sql_file: Option<PathBuf>,
    /// The column with the time of a row's last change: 'watch' asks for what is new by it, from where a build left off. Both
    /// take updated_at where it is not given; a build of a query without that column leaves nothing to go on from.
    #[arg(long, value_name = "COLUMN")]
    pub updated_at: Option<String>,
    /// The database that is asked: postgres://user:password@host/database. Whoever lists processes sees a flag, so that the
    /// environment or a file is the better place.
    #[arg(long, value_name = "URL", env = "READ_SQL_URL", hide_env_values = true)]
    pub read_sql_url: Option<SecretString>,
    /// The file that holds that URL.
    #[arg(long, value_name = "FILE", env = "READ_SQL_URL_FILE")]
    pub read_sql_url_file: Option<PathBuf>,
}

impl SqlArgs {
    /// What is to be asked, if anything.
    fn query(&self) -> Result<Option<SqlQuery>> {
        let text = match (&self.sql, &self.sql_file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => read_text(file)?,
            (None, None) => return Ok(None),
        };
        let url = secret("READ_SQL_URL", self.read_sql_url.as_ref(), self.read_sql_url_file.as_deref())?;
        let url = url.context("say which database to ask: READ_SQL_URL, or READ_SQL_URL_FILE for a file")?;
        let query = SqlQuery::new(&text, url)?;
        Ok(Some(match &self.updated_at {
            Some(column) => query.since(column, None, 0),
            None => query,
        }))
    }
}

#[derive(Debug, Args)]
pub struct Update {
    /// The folder that a snapshot was built into; the updated one is written there, beside it.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// The snapshot to update: a folder, or a store's URL (what is live); @ID behind it for another. Without it, the newest
    /// one of the folder.
    #[arg(long, value_name = "FOLDER|URL[@ID]")]
    pub base: Option<String>,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Other rules than the snapshot has.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    pub rows: RowArgs,
}

#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The channel to publish to.
    #[arg(long, default_value = "live")]
    pub channel: ChannelName,
    /// The folder to write updates into, of which the ten newest stay; one process uses it at a time.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Where files of changed rows arrive: a folder, or az://container/prefix. They are taken in the order of their names.
    #[arg(long, value_name = "FOLDER|URL", conflicts_with_all = ["sql", "sql_file"])]
    pub inbox: Option<String>,
    /// Where to begin when what is live does not say: after this file, or from this time on.
    #[arg(long, value_name = "NAME|TIME")]
    pub from: Option<String>,
    /// How far back a query's rows are read once more, in seconds. PostgreSQL's now() is the beginning of a transaction, whose
    /// rows show at its end: those of one that takes longer than this may never be seen.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub overlap_s: u32,
    /// Publish at most every so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub every_s: u64,
    /// Publish what is there, and end. Nothing is merged in the background then: 'merge' does that.
    #[arg(long)]
    pub once: bool,
    /// What a publish may change, as TOML; without it, only what looks like a catastrophe is stopped.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    pub rows: RowArgs,
}

#[derive(Debug, Args)]
pub struct Merge {
    /// The folder that the snapshot is in; the merged one is written there, beside it.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// The snapshot to merge, as for 'update'.
    #[arg(long, value_name = "FOLDER|URL[@ID]")]
    pub base: Option<String>,
    #[command(flatten)]
    pub trust: TrustArgs,
}

#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The store: file:///folder or az://container/prefix.
    #[arg(long, value_name = "URL", env = "VITRINE_STORE")]
    pub store: String,
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Whose word is taken.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// A file of public keys, as PEM: of a store only what one of them has signed is read. Repeatable.
    #[arg(long = "trust", value_name = "FILE", env = "VITRINE_TRUST", value_delimiter = ',')]
    pub trust: Vec<PathBuf>,
}

/// The home store, the other regions, and the nodes.
#[derive(Debug, Args)]
pub struct StoresArgs {
    #[command(flatten)]
    pub home: StoreArgs,
    /// The store of another region: NAME=URL. Repeatable; in the environment, separate several by commas. Its account is
    /// that of the environment, but for variables with the region's name before theirs: EASTUS_AZURE_STORAGE_ACCOUNT_NAME.
    #[arg(long = "region", value_name = "NAME=URL", env = "VITRINE_REGIONS", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// How long a region may take over what it is brought, or over anything else, in seconds; for each MiB that it is brought it
    /// may take one more. A slower one is told as behind, and brought up later.
    #[arg(
        long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT_S,
        value_parser = clap::value_parser!(u64).range(1..=MAX_HELD_HOURS * 3_600)
    )]
    pub region_timeout_s: u64,
    /// The private key to sign with, as PEM.
    #[arg(long, value_name = "FILE", env = "VITRINE_SIGN_KEY")]
    pub sign_key: Option<PathBuf>,
    /// The Redis that edges hear of announcements by: redis://host:port/ or rediss://host:port/. It may hold a password, so
    /// that the environment or a file is the better place.
    #[arg(long, value_name = "URL", env = "VITRINE_REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    /// The file that holds that URL.
    #[arg(long, value_name = "FILE", env = "VITRINE_REDIS_URL_FILE")]
    pub redis_url_file: Option<PathBuf>,
    /// Where nodes tell what they serve.
    #[arg(long, value_name = "URL", env = "VITRINE_STATUS_STORE")]
    pub status_store: Option<String>,
}

#[derive(Debug, Args)]
pub struct ChannelArgs {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The channel that is meant.
    #[arg(long, default_value = "live")]
    pub channel: ChannelName,
}

/// Waiting for the nodes.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Wait until every node that was heard of in the last minute serves it; fail with those that do not.
    #[arg(long, requires = "status_store")]
    pub wait: bool,
    /// How long to wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait_timeout_s: u64,
}

#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub channel: ChannelArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The snapshot to go back to; what was live before where it is not given.
    #[arg(long, value_name = "ID")]
    pub to: Option<SnapshotId>,
    /// Why, for those who find the channel held.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Write the channel's pointer anew where what stands there is damaged, not trusted, or gone: beyond the highest sequence
    /// that the regions, and the nodes of the status store, know of. Edges follow no lower one.
    #[arg(long, requires = "to")]
    pub mend: bool,
    /// The sequence to write with --mend, where you know better: a higher one than any edge has seen.
    #[arg(
        long, value_name = "NUMBER", requires = "mend",
        value_parser = clap::value_parser!(u64).range(1..=MAX_SEQUENCE)
    )]
    pub sequence: Option<u64>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Rollback {
    /// What to write anew, if that is what is asked for.
    pub fn mend(&self) -> Option<MendRequest> {
        let to = self.to.clone().filter(|_| self.mend)?;
        let (channel, reason) = (self.channel.channel.clone(), self.reason.clone());
        Some(MendRequest { channel, to, reason, sequence: self.sequence, dry_run: self.dry_run })
    }
}

#[derive(Debug, Args)]
pub struct Hold {
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Why, for those who find the channel held.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct Pin {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The region, as its edges are told by --region.
    #[arg(value_name = "REGION")]
    pub pinned: RegionName,
    /// The snapshot that it is to serve.
    #[arg(long, value_name = "ID")]
    pub to: SnapshotId,
    /// Why, for those who find it pinned.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Pin it in the home store although nothing tells that there is such a region: neither --region nor a node of the status
    /// store.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Unpin {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// The region that is pinned.
    #[arg(value_name = "REGION")]
    pub pinned: RegionName,
}

#[derive(Debug, Args)]
pub struct Withdraw {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct Sync {
    #[command(flatten)]
    pub stores: StoresArgs,
    /// Say how far each region is behind, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Gc {
    #[command(flatten)]
    pub store: StoreArgs,
    /// Keep so many of the newest snapshots.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub keep: usize,
    /// Keep what was written in the last days, so many of them.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub keep_days: u32,
    /// Keep what was needed so many seconds ago: an edge may be opening it.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub grace_s: u32,
    /// Take leases for expired after so many hours: their publishes have died.
    #[arg(
        long, value_name = "HOURS", default_value_t = 24,
        value_parser = clap::value_parser!(u64).range(MAX_HELD_HOURS + 1..=8_760)
    )]
    pub lease_hours: u64,
    /// Where nodes tell what they serve, which is kept too.
    #[arg(long, value_name = "URL", env = "VITRINE_STATUS_STORE")]
    pub status_store: Option<String>,
    /// Go on although this manifest cannot be read, and let go of what it needs. Repeatable.
    #[arg(long = "ignore-manifest", value_name = "ID")]
    pub ignored: Vec<SnapshotId>,
    /// Remove what was unreachable a grace ago and still is, and mark what is unreachable now.
    #[arg(long)]
    pub apply: bool,
    /// Then wait for the grace, and remove that too.
    #[arg(long, requires = "apply")]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Keygen {
    /// The file for the private key; the public one goes beside it, as FILE.pub.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Publish {
    #[command(flatten)]
    pub stores: StoresArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The channel to announce to: 'live' is what storefronts see.
    #[arg(long, default_value = "live")]
    pub channel: ChannelName,
    /// Let a share of the nodes try it first, such as 5%: one at the least.
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "status_store")]
    pub canary: Option<u32>,
    /// How long a canary is tried, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub canary_window_s: u64,
    /// A canary with fewer requests is withdrawn.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub canary_min_requests: u64,
    /// What a publish may change, as TOML; without it, only what looks like a catastrophe is stopped.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Publish in spite of what the policy says, and why; the manifest keeps it.
    #[arg(long = "override", value_name = "REASON")]
    pub override_reason: Option<String>,
    /// Where objects are kept between runs that compare with what is live; a folder in FOLDER where it is not given.
    #[arg(long, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
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
    /// Also write the whole report, with every query's hits, as a page.
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

impl RowArgs {
    /// What is to be read.
    ///
    /// # Errors
    /// When a file cannot be read, a mapping is at fault, or it is not said which database to ask.
    pub fn request(&self) -> Result<RowsRequest> {
        let mut faults = Faults::default();
        let (inputs, mapping) = (faults.take(self.inputs()), faults.take(self.mapping()));
        let (Some(inputs), Some(mapping)) = (inputs, mapping) else { return Err(faults.told()) };
        Ok(RowsRequest {
            inputs,
            format: self.format,
            mapping,
            rejects: RejectPolicy {
                file: self.rejects.clone().unwrap_or_else(|| PathBuf::from(REJECTS)),
                strict: self.strict,
                max_rejects: self.max_rejects,
                keeps_earlier: false,
            },
        })
    }

    fn mapping(&self) -> Result<Mapping> {
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

    /// The files, then the query.
    fn inputs(&self) -> Result<Vec<Input>> {
        let files = self.inputs.iter().cloned().map(Input::File);
        Ok(files.chain(self.sql.query()?.map(Input::Sql)).collect())
    }
}

impl Build {
    /// # Errors
    /// As [`RowArgs::request`].
    pub fn request(self) -> Result<BuildRequest> {
        let mut rows = self.rows.request()?;
        if self.rows.sql.updated_at.is_none() {
            // An update is of some rows, and says nothing of how far all were read: this is for builds alone.
            rows.inputs.iter_mut().for_each(|input| {
                if let Input::Sql(query) = input {
                    *query = query.noting(UPDATED_AT);
                }
            });
        }
        Ok(BuildRequest {
            rows,
            rules: self.rules,
            recorded_queries: self.recorded_queries,
            inbox_read_to: self.inbox_read_to,
            catalogue: self.catalogue,
            out: self.out,
        })
    }
}

impl Watch {
    /// # Errors
    /// When it is not said what to follow, or a store, a file or a policy cannot be opened.
    pub fn request(self) -> Result<WatchRequest> {
        let mut faults = Faults::default();
        let rows = faults.take(self.rows.request());
        let source = rows.as_ref().and_then(|rows| faults.take(self.source(rows)));
        let to = faults.take(self.stores.open());
        let policy = faults.take(self.policy.as_deref().map(Policy::read).transpose());
        let (Some(mut rows), Some(source), Some(to), Some(policy)) = (rows, source, to, policy) else {
            return Err(faults.told());
        };
        rows.inputs.clear();
        rows.rejects.keeps_earlier = true;
        if self.rows.rejects.is_none() {
            // Those of a build or an update in the same folder would take their place.
            rows.rejects.file = self.out.join(REJECTS);
        }
        Ok(WatchRequest {
            source,
            rows,
            to,
            channel: self.channel,
            policy: policy.unwrap_or_default(),
            every: std::time::Duration::from_secs(self.every_s.max(1)),
            from: self.from,
            once: self.once,
            out: self.out,
        })
    }

    fn source(&self, rows: &RowsRequest) -> Result<WatchedSource> {
        if let Some(file) = self.rows.inputs.first() {
            bail!("files are followed by --inbox; leave out {}", file.display());
        }
        if let Some(inbox) = &self.inbox {
            let url = if inbox.contains("://") { inbox.clone() } else { folder_url(std::path::Path::new(inbox))? };
            return Ok(WatchedSource::Files(Inbox::new(Store::open(&url, &azure_settings())?)));
        }
        let query = rows.inputs.iter().find_map(|input| match input {
            Input::Sql(query) => Some(query.clone()),
            Input::File(_) => None,
        });
        let query = query.context("say what to follow: --inbox FOLDER, or --sql SELECT")?;
        let column = self.rows.sql.updated_at.clone().unwrap_or_else(|| UPDATED_AT.to_owned());
        Ok(WatchedSource::Sql { query, column, overlap_s: self.overlap_s })
    }
}

impl StoreArgs {
    /// # Errors
    /// When the store cannot be opened, or a key cannot be read.
    pub fn open(&self) -> Result<Store> {
        let store = Store::open(&self.store, &azure_settings()).map_err(Ending::settings)?;
        Ok(store.trusting(self.trust.read()?))
    }
}

impl TrustArgs {
    /// The keys that are trusted; None where all are.
    ///
    /// # Errors
    /// When a key cannot be read.
    pub fn read(&self) -> Result<Option<Trust>> {
        let texts = self.trust.iter().map(|file| read_text(file)).collect::<Result<Vec<_>>>();
        let texts = texts.map_err(Ending::settings)?;
        let pem = texts.join("\n");
        Ok(if texts.is_empty() { None } else { Some(Trust::from_pem(&pem).map_err(Ending::settings)?) })
    }
}

impl StoresArgs {
    /// Opens every store that has to be there.
    ///
    /// # Errors
    /// When a store cannot be opened, or a key cannot be read.
    pub fn open(&self) -> Result<Regions> {
        Ok(self.open_with(|url, settings| Ok(Store::open(url, settings)?)).map_err(Ending::settings)?)
    }

    /// Opens the stores to publish to: folders are made, but not by a dry run, which takes a missing one for an empty one.
    ///
    /// # Errors
    /// As [`StoresArgs::open`].
    pub fn create(&self, dry_run: bool) -> Result<Regions> {
        let opened = self.open_with(|url, settings| match (dry_run, Store::open(url, settings)) {
            (true, Err(snapshots::Error::NoFolder(_))) => Ok(Store::open("memory://", &[])?),
            (true, opened) => Ok(opened?),
            (false, _) => Ok(Store::create(url, settings)?),
        });
        Ok(opened.map_err(Ending::settings)?)
    }

    fn open_with(&self, open: impl Fn(&str, &[(String, String)]) -> Result<Store>) -> Result<Regions> {
        let trust = self.home.trust.read()?;
        let key = self.sign_key.as_ref().map(|file| Ok::<_, anyhow::Error>(SigningKey::from_pem(&read_text(file)?)?));
        let key = key.transpose()?;
        let finish = |store: Store| store.trusting(trust.clone()).signing(key.clone());
        let home = finish(open(&self.home.store, &azure_settings())?);
        let mut others: Vec<(RegionName, Store)> = Vec::new();
        for text in self.regions.iter().filter(|text| !text.is_empty()) {
            let (name, url) = text.split_once('=').with_context(|| format!("--region: '{text}' is not NAME=URL"))?;
            let name: RegionName = name.parse()?;
            ensure!(others.iter().all(|(other, _)| *other != name), "--region: '{name}' stands twice");
            let own = snapshots::azure_settings(std::env::vars(), Some(name.as_str()));
            let store = open(url, &own).with_context(|| format!("region {name}"))?;
            others.push((name, finish(store)));
        }
        let timeout = std::time::Duration::from_secs(self.region_timeout_s);
        Ok(Regions { others, hints: self.hints()?, timeout, ..Regions::of(home) })
    }

    fn hints(&self) -> Result<Option<Hints>> {
        let url = secret("--redis-url", self.redis_url.as_ref(), self.redis_url_file.as_deref())?;
        Ok(url.map(|url| Hints::new(&url)).transpose()?)
    }

    /// Where nodes tell of themselves, if that was said.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn board(&self) -> Result<Option<StatusBoard>> {
        board(self.status_store.as_deref())
    }
}

impl Gc {
    /// Where nodes tell of themselves, if that was said.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn board(&self) -> Result<Option<StatusBoard>> {
        board(self.status_store.as_deref())
    }

    pub fn retention(&self) -> Retention {
        Retention {
            keep: self.keep,
            keep_for: SignedDuration::from_hours(i64::from(self.keep_days) * 24),
            grace: SignedDuration::from_secs(self.grace_s.into()),
            lease_for: SignedDuration::from_hours(self.lease_hours as i64),
            ignored: self.ignored.clone(),
        }
    }

    pub fn mode(&self) -> Mode {
        match (self.apply, self.wait) {
            (false, _) => Mode::DryRun,
            (true, false) => Mode::Apply,
            (true, true) => Mode::ApplyAndWait,
        }
    }
}

fn board(url: Option<&str>) -> Result<Option<StatusBoard>> {
    let own = snapshots::azure_settings(std::env::vars(), Some(StatusBoard::ACCOUNT));
    let open = |url: &str| Ok(StatusBoard::new(Store::open(url, &own).map_err(Ending::settings)?));
    url.map(open).transpose()
}

impl Publish {
    /// How a canary is to be tried, if one is.
    ///
    /// # Errors
    /// When the status store cannot be opened, or the channel is not the live one.
    pub fn canary(&self) -> Result<Option<(CanaryPlan, StatusBoard)>> {
        let Some(percent) = self.canary else { return Ok(None) };
        let is_live = self.channel == ChannelName::live();
        ensure!(is_live, Ending::settings("a canary is tried before the live channel moves, and no other"));
        let window = std::time::Duration::from_secs(self.canary_window_s);
        let plan = CanaryPlan { percent, window, min_requests: self.canary_min_requests };
        Ok(self.stores.board()?.map(|board| (plan, board)))
    }
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

/// A secret as it is given, or what its file holds; one that is empty is none.
fn secret(name: &str, given: Option<&SecretString>, file: Option<&std::path::Path>) -> Result<Option<SecretString>> {
    let given = given.filter(|secret| !secret.expose_secret().trim().is_empty());
    match (given, file) {
        (Some(_), Some(_)) => bail!("{name} is given, and a file for it as well: leave one out"),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(file)) => Ok(Some(SecretString::from(read_text(file)?.trim()))),
        (None, None) => Ok(None),
    }
}

/// "5%" or "5" is 5.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.trim_end_matches('%').parse::<u32>().ok().filter(|number| (1..=99).contains(number));
    number.ok_or_else(|| format!("'{text}' is not a share from 1% to 99%"))
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
