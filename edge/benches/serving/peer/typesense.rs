//! Typesense, by the API of <https://typesense.org/docs/latest/api>, with its own rules of ranking and typos.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::http::{Http, encoded};
use super::shop::{ATTRIBUTE_VALUES, FACET_VALUES, HITS, Question, Set, Shop};
use super::{INDEX, Peer, Target};

pub const KEY_VARIABLE: &str = "TYPESENSE_API_KEY";
/// Documents of a request, which is answered when all of them are found.
const BATCH: usize = 1_000;

pub struct Typesense {
    http: Http,
    version: String,
}

impl Typesense {
    /// # Errors
    /// As [`super::Kind::open`].
    pub fn open(url: &str, key: &str) -> Result<Self> {
        let http = Http::open(url, Some(("x-typesense-api-key", key.to_owned())), KEY_VARIABLE)?;
        let version = http.call_json("GET", "/debug", "")?;
        let version = version["version"].as_str().with_context(|| format!("{url} is no Typesense"))?.to_owned();
        Ok(Self { http, version })
    }
}

impl Peer for Typesense {
    fn version(&self) -> &str {
        &self.version
    }

    fn local_port(&self) -> Option<u16> {
        self.http.local_port()
    }

    fn remove(&self) -> Result<()> {
        self.http.call("DELETE", &format!("/collections/{INDEX}"), "").map(drop)
    }

    fn load(&self, shop: &Shop) -> Result<()> {
        let mut fields: Vec<Value> = shop.searched.iter().map(|name| field(name, shop)).collect();
        let only_filtered = shop.filterable().into_iter().filter(|name| !shop.searched.contains(name));
        fields.extend(only_filtered.map(|name| field(name, shop)));
        let collection = json!({ "name": INDEX, "fields": fields });
        self.http.call_json("POST", "/collections", &collection.to_string())?;
        for batch in shop.documents.chunks(BATCH) {
            let path = format!("/collections/{INDEX}/documents/import?action=create");
            let answer = self.http.call("POST", &path, &batch.join("\n"))?.text();
            if let Some(refused) = answer.lines().find(|line| !line.contains("\"success\":true")) {
                bail!("Typesense refuses a product: {refused}");
            }
        }
        Ok(())
    }

    fn target(&self, shop: &Shop) -> Box<dyn Target> {
        // The edge marks no words where it is not asked to.
        let always = format!(
            "query_by={}&include_fields={}&highlight_fields=none&per_page={HITS}",
            shop.searched.join(","),
            shop.shown.join(",")
        );
        let mut filtered = String::new();
        if !shop.facets.is_empty() {
            filtered += &format!("&facet_by={}&max_facet_values={FACET_VALUES}", shop.facets.join(","));
        }
        if let Some(price) = &shop.price_below {
            filtered += &format!("&filter_by={}", encoded(&format!("price:<{}", price.minor)));
        }
        let path = move |question: &Question| {
            let rest = if question.set == Set::Filtered { filtered.as_str() } else { "" };
            format!("/collections/{INDEX}/documents/search?{always}&q={}{rest}", encoded(&question.text))
        };
        self.http.target(path, "found")
    }
}

fn field(name: &str, shop: &Shop) -> Value {
    let kind = match name {
        "price" => "int64",
        "category" | "gtins" | ATTRIBUTE_VALUES => "string[]",
        _ => "string",
    };
    json!({ "name": name, "type": kind, "facet": shop.filterable().contains(&name), "optional": name != "title" })
}
