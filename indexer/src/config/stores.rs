//! Which stores are meant, whom they trust, and who is told.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use secrecy::SecretString;
use snapshots::{Hints, RegionName, SigningKey, StatusBoard, Store, Trust, secret_of};

use super::{azure_settings, read_text};
use crate::ending::Ending;
use crate::lease::MAX_HELD_HOURS;
use crate::regions::{DEFAULT_TIMEOUT_S, Regions};

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
        let url = secret_of("--redis-url", self.redis_url.clone(), self.redis_url_file.as_deref())?;
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

pub(super) fn board(url: Option<&str>) -> Result<Option<StatusBoard>> {
    let own = snapshots::azure_settings(std::env::vars(), Some(StatusBoard::ACCOUNT));
    let open = |url: &str| Ok(StatusBoard::new(Store::open(url, &own).map_err(Ending::settings)?));
    url.map(open).transpose()
}
