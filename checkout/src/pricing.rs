//! What products cost, by asking the edge beside us: all prices are of one snapshot, whose id they are kept with.

use std::time::Duration;

use bytes::BytesMut;
use form_urlencoded::byte_serialize;
use futures::future::try_join_all;
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use serde_json::Value;
use snapshots::{Currency, Money};
use thiserror::Error;
use url::Url;

use crate::domain::{Price, chargeable};

/// The edge takes so many ids in one call.
const MAX_IDS: usize = 100;
/// Of a list of ids as it stands in an address: the edge reads no heads beyond 32 KiB.
const MAX_LIST_BYTES: usize = 16 * 1024;
/// A comma in an address.
const COMMA_BYTES: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// An edge tells how it is at once, however much it has to do.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);
/// A hundred products with four fields are far below it.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// What a title is cut to: it stands in every answer about an order, and the database takes no zero byte.
const MAX_TITLE_CHARS: usize = 2_048;
const SNAPSHOT_HEADER: &str = "x-snapshot";

/// Asks one edge.
#[derive(Clone, Debug)]
pub(crate) struct EdgeClient {
    client: reqwest::Client,
    products: Url,
    health: Url,
}

/// Prices of one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Priced {
    pub snapshot: String,
    /// None where there is no price at all.
    pub currency: Option<Currency>,
    pub prices: Vec<Price>,
    /// Products that the catalogue does not have.
    pub missing: Vec<String>,
}

#[derive(Debug, Error)]
pub(crate) enum PricingError {
    #[error("the edge does not answer: {0}")]
    Away(String),
    #[error("there is no such market")]
    Market,
    /// Asked again, it is the same.
    #[error("{product} cannot be bought: {why}")]
    Unpriced { product: String, why: String },
    #[error("{0} has a price of another currency than the others")]
    Mixed(String),
    #[error("the snapshot changed between two questions")]
    Swapped,
    #[error("the edge's answer cannot be used: {0}")]
    Answer(String),
}

impl EdgeClient {
    /// # Errors
    /// When the system has no TLS to offer, or the URL cannot have a path.
    pub fn new(edge: &Url) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        let (products, health) = (below(edge, &["v1", "products"])?, below(edge, &["healthz"])?);
        Ok(Self { client, products, health })
    }

    /// Whether it says that it has something to serve, and goes on to.
    pub async fn is_well(&self) -> bool {
        let asked = self.client.get(self.health.clone()).timeout(HEALTH_TIMEOUT).send().await;
        asked.is_ok_and(|response| response.status().is_success())
    }

    /// What these products cost in a market, or in the edge's first one.
    ///
    /// # Errors
    /// When the edge does not answer, does not know the market, or says what cannot be charged together.
    pub async fn prices(&self, market: Option<&str>, ids: &[String]) -> Result<Priced, PricingError> {
        // The edge divides the list at commas and cuts spaces off, so that it knows no such product.
        let (askable, unknown): (Vec<_>, Vec<_>) = ids.iter().partition(|id| is_askable(id));
        if askable.len() > MAX_IDS {
            return Err(PricingError::Answer(format!("more than {MAX_IDS} products")));
        }
        let asked = lists(&askable).into_iter().map(|list| self.ask(market, list));
        let mut answers = try_join_all(asked).await?.into_iter();
        let mut priced = answers.next().unwrap_or_default();
        for answer in answers {
            priced.add(answer)?;
        }
        priced.missing.extend(unknown.into_iter().cloned());
        Ok(priced)
    }

    /// One question, about ids that commas divide.
    async fn ask(&self, market: Option<&str>, list: String) -> Result<Priced, PricingError> {
        let mut url = self.products.clone();
        url.query_pairs_mut().append_pair("ids", &list).append_pair("fields", "id,title,price,availability");
        if let Some(market) = market {
            url.query_pairs_mut().append_pair("market", market);
        }
        let (snapshot, body) = self.get(url).await?;
        read(snapshot, &body)
    }

    /// The snapshot and the body of an answer.
    async fn get(&self, url: Url) -> Result<(String, Vec<u8>), PricingError> {
        let away = |error: reqwest::Error| PricingError::Away(error.without_url().to_string());
        let mut response = self.client.get(url).send().await.map_err(away)?;
        let status = response.status();
        let header = response.headers().get(SNAPSHOT_HEADER).and_then(|value| value.to_str().ok());
        let snapshot = header.map(str::to_owned);
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(PricingError::Answer(format!("it is larger than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            StatusCode::OK => {
                let snapshot = snapshot.ok_or_else(|| PricingError::Answer("it names no snapshot".to_owned()))?;
                Ok((snapshot, body.to_vec()))
            }
            StatusCode::BAD_REQUEST if names_market(&body) => Err(PricingError::Market),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(PricingError::Away(status.to_string()))
            }
            status => Err(PricingError::Answer(status.to_string())),
        }
    }
}

/// An address of the edge's.
fn below(edge: &Url, path: &[&str]) -> Result<Url, String> {
    let mut url = edge.clone();
    url.path_segments_mut().map_err(|()| format!("{edge} has no path"))?.pop_if_empty().extend(path);
    Ok(url)
}

impl Priced {
    pub fn of(&self, product: &str) -> Option<&Price> {
        self.prices.iter().find(|price| price.product == product)
    }

    /// Takes in the answer about other products.
    fn add(&mut self, other: Self) -> Result<(), PricingError> {
        if other.snapshot != self.snapshot {
            return Err(PricingError::Swapped);
        }
        self.prices.extend(other.prices);
        self.missing.extend(other.missing);
        self.currency = one_currency(&self.prices)?;
        Ok(())
    }
}

/// The currency of all prices; None where there are none.
fn one_currency(prices: &[Price]) -> Result<Option<Currency>, PricingError> {
    let currency = prices.first().map(|price| price.unit_price.currency());
    match prices.iter().find(|price| Some(price.unit_price.currency()) != currency) {
        Some(other) => Err(PricingError::Mixed(other.product.clone())),
        None => Ok(currency),
    }
}

/// Divides ids into lists that an address has room for.
fn lists(ids: &[&String]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    let mut bytes = 0;
    for id in ids {
        let more = byte_serialize(id.as_bytes()).map(str::len).sum::<usize>() + COMMA_BYTES;
        match lists.last_mut() {
            Some(list) if bytes + more <= MAX_LIST_BYTES => {
                list.push(',');
                list.push_str(id);
                bytes += more;
            }
            _ => {
                lists.push((*id).clone());
                bytes = more;
            }
        }
    }
    lists
}

fn is_askable(id: &str) -> bool {
    !id.is_empty() && !id.contains(',') && id.trim() == id
}

/// Whether a refusal is about the market.
fn names_market(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|problem| problem["parameter"] == "market")
}

/// Reads the edge's answer: `{"products": [{"id", "title", "price", "availability"}], "missing": [...], ...}`.
fn read(snapshot: String, body: &[u8]) -> Result<Priced, PricingError> {
    let fault = |reason: &str| PricingError::Answer(reason.to_owned());
    let answer: Value = serde_json::from_slice(body).map_err(|error| fault(&error.to_string()))?;
    let products = answer["products"].as_array().ok_or_else(|| fault("it has no products"))?;
    let prices = products.iter().map(price).collect::<Result<Vec<_>, _>>()?;
    let missing = answer["missing"].as_array().map(Vec::as_slice).unwrap_or_default();
    let missing = missing.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    Ok(Priced { snapshot, currency: one_currency(&prices)?, prices, missing })
}

/// A product's price, rounded once to what can be charged.
fn price(product: &Value) -> Result<Price, PricingError> {
    let fault = PricingError::Answer;
    let id = product["id"].as_str().ok_or_else(|| fault("a product has no id".to_owned()))?;
    let unpriced = |why: String| PricingError::Unpriced { product: id.to_owned(), why };
    let told = &product["price"];
    if told.is_null() {
        return Err(unpriced("it has no price".to_owned()));
    }
    // A number that is no whole one, 12.0 too, is not the integer that the edge writes.
    let amount = told["amount_minor"].as_i64();
    let currency = told["currency"].as_str().and_then(|code| code.parse::<Currency>().ok());
    let (Some(amount), Some(currency)) = (amount, currency) else {
        return Err(fault(format!("the price of {id} is no amount")));
    };
    let unit_price = chargeable(Money::from_minor(amount, currency)).map_err(|error| unpriced(error.to_string()))?;
    Ok(Price {
        product: id.to_owned(),
        title: title(product["title"].as_str().unwrap_or(id)),
        unit_price,
        in_stock: product["availability"] != "out_of_stock",
    })
}

/// A title in one line.
fn title(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TITLE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the edge writes it (edge/tests/it/api.rs).
    const ANSWER: &str = r#"{"products":[
        {"id":"p1","title":"Oak lamp","price":{"amount_minor":4990,"currency":"EUR"},"availability":"in_stock"},
        {"id":"p2","title":"Steel lamp","price":{"amount_minor":100,"currency":"EUR"},"availability":"out_of_stock"}
        ],"missing":["p3"],"snapshot":{"id":"s1","sequence":7}}"#;

    fn check(body: &str) -> PricingError {
        read("s1".to_owned(), body.as_bytes()).expect_err("no prices")
    }

    fn with_price(price: &str) -> String {
        format!(r#"{{"products":[{{"id":"p1","title":"t","price":{price},"availability":"in_stock"}}],"missing":[]}}"#)
    }

    #[test]
    fn the_edges_answer_is_read() {
        let priced = read("s1".to_owned(), ANSWER.as_bytes()).expect("prices");
        assert_eq!((priced.snapshot.as_str(), &priced.missing[..]), ("s1", &["p3".to_owned()][..]));
        let euro: Currency = "EUR".parse().expect("a currency");
        assert_eq!(priced.currency, Some(euro));
        let lamp = priced.of("p1").expect("a price");
        assert_eq!(
            (lamp.title.as_str(), lamp.unit_price, lamp.in_stock),
            ("Oak lamp", Money::from_minor(4990, euro), true)
        );
        assert!(!priced.of("p2").expect("a price").in_stock);
        assert!(priced.of("p3").is_none());
    }

    #[test]
    fn amounts_are_whole_and_rounded_once_to_what_can_be_charged() {
        let read = |price: &str| read("s".to_owned(), with_price(price).as_bytes());
        let rounded = read(r#"{"amount_minor":1235,"currency":"KWD"}"#).expect("a price");
        assert_eq!(rounded.prices[0].unit_price.amount_minor(), 1240);
        for price in [
            r#"{"amount_minor":12.5,"currency":"EUR"}"#,
            r#"{"amount_minor":12.0,"currency":"EUR"}"#,
            r#"{"amount_minor":"12","currency":"EUR"}"#,
            r#"{"amount_minor":12,"currency":"E"}"#,
            r#"{"amount_minor":12}"#,
            "12",
        ] {
            assert!(matches!(read(price), Err(PricingError::Answer(_))), "{price}");
        }
        // Those were told as an edge that is away, and asked for again for ever.
        for price in [
            "null",
            r#"{"amount_minor":-1,"currency":"EUR"}"#,
            r#"{"amount_minor":99999999999999,"currency":"EUR"}"#,
            r#"{"amount_minor":4,"currency":"KWD"}"#,
        ] {
            assert!(matches!(read(price), Err(PricingError::Unpriced { product, .. }) if product == "p1"), "{price}");
        }
    }

    /// A zero byte in a title was refused by PostgreSQL, and the checkout failed with 500.
    #[test]
    fn titles_are_one_line_that_is_not_too_long() {
        let body = ANSWER.replacen("Oak lamp", &format!("Oak\\u0000\\n lamp{}", "p".repeat(3_000)), 1);
        let priced = read("s1".to_owned(), body.as_bytes()).expect("prices");
        let lamp = priced.of("p1").expect("a price");
        assert!(lamp.title.starts_with("Oak lampp") && lamp.title.len() == MAX_TITLE_CHARS, "{}", lamp.title);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let mixed = ANSWER.replacen("EUR", "USD", 1);
        assert!(matches!(check(&mixed), PricingError::Mixed(product) if product == "p2"));
        assert!(check("<html>").to_string().contains("cannot be used"));
        assert!(check("{}").to_string().contains("no products"));
        assert!(names_market(br#"{"code": "invalid_parameter", "parameter": "market"}"#));
        assert!(!names_market(b"market"));
    }

    #[test]
    fn long_ids_are_asked_for_in_several_lists() {
        let ids: Vec<String> = (0..100).map(|number| format!("{number:03}{}", "/".repeat(250))).collect();
        let divided = lists(&ids.iter().collect::<Vec<_>>());
        assert_eq!(divided.join(","), ids.join(","));
        assert!(divided.len() > 1);
        for list in &divided {
            let bytes: usize = byte_serialize(list.as_bytes()).map(str::len).sum();
            assert!(bytes <= MAX_LIST_BYTES, "{bytes}");
        }
        assert_eq!(lists(&[&"a".to_owned(), &"b".to_owned()]), ["a,b"]);
        assert!(lists(&[]).is_empty());
    }

    #[test]
    fn answers_about_some_products_each_are_of_one_snapshot_and_currency() {
        let answer = |snapshot: &str, id: &str, code: &str| {
            let body = with_price(&format!(r#"{{"amount_minor":100,"currency":"{code}"}}"#)).replace("p1", id);
            read(snapshot.to_owned(), body.as_bytes()).expect("prices")
        };
        let mut priced = answer("s1", "p1", "EUR");
        priced.add(answer("s1", "p2", "EUR")).expect("both");
        assert!(priced.of("p1").is_some() && priced.of("p2").is_some());
        assert!(matches!(priced.add(answer("s2", "p3", "EUR")), Err(PricingError::Swapped)));
        assert!(matches!(priced.add(answer("s1", "p3", "USD")), Err(PricingError::Mixed(product)) if product == "p3"));
    }

    #[test]
    fn ids_that_the_edge_cannot_be_asked_for_are_not_asked() {
        assert!(is_askable("p1") && is_askable("a b&c"));
        assert!(!is_askable("") && !is_askable("a,b") && !is_askable(" a"));
    }
}
