//! Meilisearch, by the API of <https://www.meilisearch.com/docs/reference/api>, with its own rules of ranking and typos.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::http::{Http, encoded};
use super::shop::{FACET_VALUES, HITS, Question, Set, Shop};
use super::{INDEX, Peer, Target};

pub const KEY_VARIABLE: &str = "MEILI_KEY";
/// Documents of a request.
const BATCH: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(50);
const INDEXING_TIMEOUT: Duration = Duration::from_secs(60 * 60);

pub struct Meilisearch {
    http: Http,
    version: String,
}

impl Meilisearch {
    /// # Errors
    /// As [`super::Kind::open`].
    pub fn open(url: &str, key: &str) -> Result<Self> {
        let header = (!key.is_empty()).then(|| ("authorization", format!("Bearer {key}")));
        let http = Http::open(url, header, KEY_VARIABLE)?;
        let version = http.call_json("GET", "/version", "")?;
        let version = version["pkgVersion"].as_str().with_context(|| format!("{url} is no Meilisearch"))?.to_owned();
        Ok(Self { http, version })
    }

    /// What is wanted is done later, and in the order in which it was wanted.
    fn wait_for(&self, tasks: &[Value]) -> Result<()> {
        let started = Instant::now();
        for task in tasks {
            let path = format!("/tasks/{}", task["taskUid"]);
            loop {
                let task = self.http.call_json("GET", &path, "")?;
                match task["status"].as_str() {
                    Some("succeeded") => break,
                    Some("enqueued" | "processing") if started.elapsed() < INDEXING_TIMEOUT => {
                        std::thread::sleep(PAUSE)
                    }
                    status => bail!("Meilisearch: {} is {status:?}: {}", task["type"], task["error"]["message"]),
                }
            }
        }
        Ok(())
    }
}

impl Peer for Meilisearch {
    fn version(&self) -> &str {
        &self.version
    }

    fn local_port(&self) -> Option<u16> {
        self.http.local_port()
    }

    fn remove(&self) -> Result<()> {
        let path = format!("/indexes/{INDEX}");
        if self.http.call("GET", &path, "")?.status == 404 {
            return Ok(());
        }
        self.wait_for(&[self.http.call_json("DELETE", &path, "")?])
    }

    fn load(&self, shop: &Shop) -> Result<()> {
        let index = json!({ "uid": INDEX, "primaryKey": "id" });
        let settings = json!({
            "searchableAttributes": shop.searched,
            "displayedAttributes": shop.shown,
            "filterableAttributes": shop.filterable(),
            "faceting": { "maxValuesPerFacet": FACET_VALUES },
        });
        let mut tasks = vec![
            self.http.call_json("POST", "/indexes", &index.to_string())?,
            self.http.call_json("PATCH", &format!("/indexes/{INDEX}/settings"), &settings.to_string())?,
        ];
        for batch in shop.documents.chunks(BATCH) {
            let documents = format!("[{}]", batch.join(","));
            tasks.push(self.http.call_json("POST", &format!("/indexes/{INDEX}/documents"), &documents)?);
        }
        self.wait_for(&tasks)
    }

    fn target(&self, shop: &Shop) -> Box<dyn Target> {
        let mut filtered = String::new();
        if !shop.facets.is_empty() {
            filtered += &format!("&facets={}", shop.facets.join(","));
        }
        if let Some(price) = &shop.price_below {
            filtered += &format!("&filter={}", encoded(&format!("price < {}", price.minor)));
        }
        let path = move |question: &Question| {
            let rest = if question.set == Set::Filtered { filtered.as_str() } else { "" };
            format!("/indexes/{INDEX}/search?limit={HITS}&q={}{rest}", encoded(&question.text))
        };
        self.http.target(path, "estimatedTotalHits")
    }
}
