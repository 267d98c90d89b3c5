//! The steps from a request to its answer one by one, without a socket: what benches measure.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Parser;
use futures::FutureExt;
use http_body_util::{Empty, Full};
use hyper::{Request, Response};
use search::{Answer, FieldSet, Index, SearchRequest};
use snapshots::{Cache, Catalogue, ChannelName, Followed, FragmentKey, PointerState, Snapshot, Store, Target};

use crate::answers::{self, ATTRIBUTES, JsonOut};
use crate::config::Cli;
use crate::live::Generation;
use crate::metrics::Metrics;
use crate::params::{SearchParams, SuggestParams};
use crate::result_cache::ResultCache;
use crate::server::{Edge, Shared, handle};

/// An open snapshot, as it would be served.
pub struct Stages(Generation);

impl Stages {
    /// Installs what is live in a store into a cache folder, and opens it.
    ///
    /// # Errors
    /// When nothing is live, or it cannot be read or opened.
    pub async fn open(store: &Store, cache: &Path) -> anyhow::Result<Self> {
        let PointerState::Moved(read) = store.read_pointer(&ChannelName::live(), None).await? else {
            bail!("nothing is live in {}", store.url())
        };
        let manifest = store.get_manifest(&read.pointer.snapshot).await?;
        let cache = Cache::open(cache)?;
        snapshots::install(store, &cache, &manifest).await?;
        let index = Index::open(Snapshot::open(&cache, manifest)?)?;
        let target = Target { pointer: read.pointer, followed: Followed::Channel };
        Ok(Self(Generation::new(Arc::new(index), target, ResultCache::new(0), &Metrics::new(Vec::new()))))
    }

    /// Serves the snapshot as an edge does that logs nothing, but to nobody else. The folder is the edge's own.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub async fn serve(&self, folder: &Path) -> anyhow::Result<Desk> {
        let folder = folder.to_string_lossy();
        let (market, any) = ("bench=memory://", "127.0.0.1:0");
        let flags = ["edge", "--market", market, "--listen", any, "--admin-listen", any, "--cache-dir", &folder];
        let cli = Cli::try_parse_from(flags.into_iter().chain(["--no-access-log"]))?;
        let config = cli.resolve().map_err(|faults| anyhow::anyhow!("{}", faults.join("; ")))?;
        let results = ResultCache::new(config.result_cache_bytes);
        let shared = Edge::build(config).await?.shared();
        let generation = Generation::new(self.0.index.clone(), self.0.target(), results, &shared.metrics);
        shared.markets[0].live.replace(generation, || ());
        Ok(Desk(shared))
    }

    /// Reads a query string and understands it.
    ///
    /// # Errors
    /// When a parameter is at fault.
    pub fn understand(&self, query: &str) -> anyhow::Result<SearchRequest> {
        let params = SearchParams::from_query(query).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(self.0.index.request(params.raw)?)
    }

    /// Matches, ranks and counts.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn search(&self, request: &SearchRequest) -> anyhow::Result<Answer> {
        Ok(self.0.index.search(request)?)
    }

    /// Finds the records of hits and copies what is asked for of them as it is stored, without names and marks.
    pub fn hydrate(&self, request: &SearchRequest, answer: &Answer) -> Vec<u8> {
        let mut out = JsonOut::new();
        for hit in &answer.hits {
            for (key, json) in self.0.index.record(hit.segment, hit.doc).fragments() {
                let place = match key {
                    FragmentKey::Field(place) => place,
                    FragmentKey::Attribute(_) => ATTRIBUTES,
                };
                if request.fields.contains(place) {
                    out.0.extend_from_slice(json);
                }
            }
        }
        out.0
    }

    /// Copies and marks hits, and writes the frame around them.
    pub fn write(&self, request: &SearchRequest, answer: &Answer) -> Vec<u8> {
        let mut out = JsonOut::new();
        answers::search(&mut out, &self.0, request, answer);
        out.0
    }

    /// Suggestions for a query string, written.
    ///
    /// # Errors
    /// When a parameter is at fault.
    pub fn suggest(&self, query: &str) -> anyhow::Result<Vec<u8>> {
        let params = SuggestParams::from_query(query).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let index = &self.0.index;
        let request = search::SuggestRequest::new(params.raw, params.limit, params.products, index)?;
        let mut out = JsonOut::new();
        answers::suggestions(&mut out, &self.0, &request, &index.suggest(&request)?);
        Ok(out.0)
    }

    /// The products like another one, written.
    ///
    /// # Errors
    /// When there is no such product.
    pub fn similar(&self, id: &str) -> anyhow::Result<Vec<u8>> {
        let found = self.0.index.similar(id, 8)?.context("there is no such product")?;
        let mut out = JsonOut::new();
        answers::similar(&mut out, &self.0, &found, FieldSet::ALL);
        Ok(out.0)
    }

    /// A product, written.
    ///
    /// # Errors
    /// When there is no such product.
    pub fn product(&self, id: &str) -> anyhow::Result<Vec<u8>> {
        let (segment, record) = self.0.index.product(id).context("there is no such product")?;
        Ok(answers::product_body(&self.0.index, segment, record, FieldSet::ALL))
    }

    /// Every product that is served, written.
    pub fn all_products(&self) -> impl Iterator<Item = Vec<u8>> {
        let index = &self.0.index;
        index.snapshot().segments.iter().enumerate().flat_map(move |(number, part)| {
            let current = (0..part.segment.product_count() as u32).filter(move |doc| part.is_live(*doc));
            // What rules hide is asked for in vain.
            current.filter_map(move |doc| self.product(index.record(number, doc).id()).ok())
        })
    }

    /// The settings of the catalogue.
    pub fn catalogue(&self) -> &Catalogue {
        self.0.index.catalogue()
    }

    /// How many products are served.
    pub fn product_count(&self) -> u64 {
        self.0.index.product_count()
    }

    /// Ids and titles of some products, spread over the catalogue.
    pub fn products(&self, count: u32) -> Vec<(String, String)> {
        let index = &self.0.index;
        let all = index.product_count() as u32;
        let picks = (0..count).map(|number| number.wrapping_mul(2_654_435_761) % all);
        picks.map(|doc| (index.record(0, doc).id().to_owned(), index.title(0, doc))).collect()
    }
}

/// Where a snapshot is served without a socket.
pub struct Desk(Arc<Shared>);

impl Desk {
    /// The answer to a request, from its head on, of which a copy is made.
    pub fn answer(&self, request: &Request<Empty<Bytes>>) -> Response<Full<Bytes>> {
        let mut answering = std::pin::pin!(handle(self.0.clone(), request.clone(), None));
        loop {
            // What is searched goes to the back of a queue in which nobody else stands.
            if let Some(Ok(response)) = answering.as_mut().now_or_never() {
                return response;
            }
        }
    }
}
