//! Where rows come from, and the commands that read them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use secrecy::SecretString;
use snapshots::{ChannelName, Inbox, Store, secret_of};

use super::{Faults, StoresArgs, TrustArgs, azure_settings, read_text};
use crate::build::{BuildRequest, RowsRequest};
use crate::policy::Policy;
use crate::rejects::RejectPolicy;
use crate::source::{Format, Input, Mapping, SqlQuery};
use crate::watch::{WatchRequest, WatchedSource};

/// The column with the time of a row's last change, where no other is named.
const UPDATED_AT: &str = "updated_at";
/// Where rows are set aside.
const REJECTS: &str = "rejects.jsonl";

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
    /// Take a column for a field: name=title, attributes.ean=gtins, Colour=attributes.color, gone=delete, cost=ignore.
    /// Repeatable.
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
        let url = secret_of("--read-sql-url", self.read_sql_url.clone(), self.read_sql_url_file.as_deref())?;
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
    /// Where to begin when what is live does not say: after this file, or from this time on. An inbox that takes the place of a
    /// query needs it.
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
            let is_url = inbox.contains("://");
            let store = if is_url { Store::open(inbox, &azure_settings())? } else { Store::folder(Path::new(inbox))? };
            return Ok(WatchedSource::Files(Inbox::new(store)));
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
