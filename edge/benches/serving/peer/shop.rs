//! What both sides hold, and what they are asked: products as the edge serves them, and questions made of their titles.

use anyhow::{Context, Result, ensure};
use edge::stages::Stages;
use serde_json::Value;
use snapshots::{Catalogue, PRODUCT_FIELDS, write_scaled};

use crate::queries::{two_words, unfinished, with_typo};

/// Of what the catalogue counts, what is counted here.
const FACETS: [&str; 3] = ["category", "brand", "price"];
/// Where a document has the values of all its attributes: peers search lists of texts, not objects of any kind.
pub const ATTRIBUTE_VALUES: &str = "attribute_values";
/// Hits of an answer, and values of a facet, which are what the edge answers with when it is not told.
pub const HITS: usize = 20;
pub const FACET_VALUES: usize = 20;
/// Questions of each set.
const QUESTIONS: usize = 500;

/// A catalogue, in the words of those who search it.
pub struct Shop {
    /// An object of JSON for each product.
    pub documents: Vec<String>,
    /// The fields that are searched, in the catalogue's order.
    pub searched: Vec<&'static str>,
    /// The fields that a hit shows.
    pub shown: Vec<String>,
    pub facets: Vec<&'static str>,
    /// Half of the products that have a price cost less. None where none has.
    pub price_below: Option<Price>,
    queries: Vec<String>,
}

/// A price as documents have it, and as the edge's filters take it.
pub struct Price {
    pub minor: i64,
    pub major: String,
}

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Plain,
    /// With the shop's facets, and only what costs less than half of the products do.
    Filtered,
    /// While the last word is being typed.
    Prefix,
    Typo,
}

#[derive(Debug)]
pub struct Question {
    pub set: Set,
    pub text: String,
}

impl Set {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Filtered, Self::Prefix, Self::Typo];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Filtered => "facets and filter",
            Self::Prefix => "prefix, as typed",
            Self::Typo => "one typo",
        }
    }
}

impl Shop {
    /// # Errors
    /// When no title has words to ask for.
    pub fn read(stages: &Stages) -> Result<Self> {
        let catalogue = stages.catalogue();
        let (mut documents, mut titles, mut prices) = (Vec::new(), Vec::new(), Vec::new());
        for product in stages.all_products() {
            let product: Value = serde_json::from_slice(&product).context("a product that is no JSON")?;
            titles.push(product["title"].as_str().unwrap_or_default().to_owned());
            prices.extend(product["price"]["amount_minor"].as_i64());
            documents.push(document(documents.len(), product));
        }
        let queries = queries(&titles);
        ensure!(!queries.is_empty(), "no title has a word of four letters to ask for");
        Ok(Self {
            documents,
            searched: searched(catalogue),
            shown: catalogue.hit_fields.clone(),
            facets: FACETS.into_iter().filter(|name| catalogue.facet(name).is_some()).collect(),
            price_below: median(prices).map(|minor| Price::new(minor, catalogue)),
            queries,
        })
    }

    /// The same queries in every set, but for what the set makes of them. None where there is nothing to count or to
    /// filter by.
    pub fn questions(&self, set: Set) -> Vec<Question> {
        if set == Set::Filtered && self.facets.is_empty() && self.price_below.is_none() {
            return Vec::new();
        }
        let text = |query: &String| match set {
            Set::Plain | Set::Filtered => Some(query.clone()),
            Set::Prefix => Some(unfinished(query).to_owned()),
            Set::Typo => with_typo(query),
        };
        self.queries.iter().filter_map(|query| Some(Question { set, text: text(query)? })).collect()
    }

    /// The fields that are counted or filtered by.
    pub fn filterable(&self) -> Vec<&'static str> {
        let price = self.price_below.as_ref().map(|_| "price").filter(|price| !self.facets.contains(price));
        self.facets.iter().copied().chain(price).collect()
    }
}

impl Price {
    fn new(minor: i64, catalogue: &Catalogue) -> Self {
        let mut major = String::new();
        // Writing to a string cannot fail.
        let _ = write_scaled(&mut major, minor, catalogue.currency.exponent());
        Self { minor, major }
    }
}

/// A product as peers get it: numbered, since Meilisearch takes no ids but of letters, digits, - and _; with a price
/// that is a number, and with the values of its attributes in a list.
fn document(number: usize, mut product: Value) -> String {
    let attributes = product["attributes"].as_object();
    let values = attributes.into_iter().flat_map(|attributes| attributes.values()).flat_map(|value| match value {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    });
    let values: Vec<Value> = values.collect();
    product["id"] = number.to_string().into();
    if let Some(minor) = product["price"]["amount_minor"].as_i64() {
        product["price"] = minor.into();
    }
    product[ATTRIBUTE_VALUES] = values.into();
    product.to_string()
}

/// The fields that the catalogue searches; an attribute is searched with the others.
fn searched(catalogue: &Catalogue) -> Vec<&'static str> {
    let known = |name: &str| PRODUCT_FIELDS.into_iter().find(|field| *field == name && name != "attributes");
    let mut fields = Vec::new();
    for field in &catalogue.search_fields {
        let name = known(&field.name).unwrap_or(ATTRIBUTE_VALUES);
        if !fields.contains(&name) {
            fields.push(name);
        }
    }
    fields
}

fn median(mut prices: Vec<i64>) -> Option<i64> {
    prices.sort_unstable();
    prices.get(prices.len() / 2).copied()
}

/// Spread over the catalogue, which is in the order of popularity. Those that cannot be mistyped are left out, so that each
/// set asks for the same.
fn queries(titles: &[String]) -> Vec<String> {
    let some = titles.iter().step_by((titles.len() / QUESTIONS).max(1)).enumerate();
    let queries = some.filter_map(|(number, title)| two_words(title, number));
    queries.filter(|query| with_typo(query).is_some()).take(QUESTIONS).collect()
}
