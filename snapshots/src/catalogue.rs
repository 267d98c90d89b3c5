//! `catalogue.toml`: how one shop's catalogue is searched, filtered, sorted and shown. An object of every snapshot.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use crate::money::Currency;

/// Bounds on the settings of one catalogue.
pub mod limits {
    pub const FACETS: usize = 200;
    pub const SORTS: usize = 32;
    pub const SEARCH_FIELDS: usize = 16;
    pub const FIELD_WEIGHT: u8 = 16;
    pub const DECIMALS: u8 = 6;
    pub const SETTINGS_BYTES: usize = 256 * 1024;
}

/// The settings of one catalogue: one locale, one currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// What the catalogue is called in URLs and metrics, such as `shop-us`.
    pub name: String,
    pub title: String,
    pub locale: String,
    pub currency: Currency,
    /// A looser tier of matching opens while fewer products than this match.
    pub min_results: usize,
    pub search_fields: Vec<SearchField>,
    /// The searched field that says what kind of product it is: `category`, or `attributes.NAME`.
    pub product_type: String,
    pub facets: Vec<Facet>,
    pub sorts: Vec<Sort>,
    /// Attributes that leave the indexer in no form.
    pub private_attributes: BTreeSet<String>,
    /// What a hit shows when the request does not say.
    pub hit_fields: Vec<String>,
}

/// A part of a product that is searched.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchField {
    /// `title`, `brand`, `category`, `sku`, `gtins`, `description`, `attributes.NAME` for one attribute, or
    /// `attributes` for all that are public and have no entry of their own.
    pub name: String,
    /// How many times a word here counts, 1 to 16.
    pub weight: u8,
    /// How many words the field usually has: longer texts count less. A constant, so that scores do not shift
    /// when other products change. With 0, how long the text is does not matter.
    pub length: u32,
}

impl SearchField {
    /// The attribute that is searched, where it is one.
    pub fn attribute(&self) -> Option<&str> {
        self.name.strip_prefix("attributes.")
    }
}

/// Something that answers are counted and filtered by.
#[derive(Clone, Debug, PartialEq)]
pub struct Facet {
    pub name: String,
    pub kind: FacetKind,
    pub order: FacetOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FacetKind {
    Value,
    Hierarchy,
    /// Filtered by ranges and counted as minimum, maximum and sum; the column keeps this many decimals.
    #[serde(skip)]
    Number {
        decimals: u8,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FacetOrder {
    #[default]
    Count,
    Value,
}

/// A named order that a request may ask for instead of relevance.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    pub name: String,
    /// The number to sort by; products without one come last.
    pub by: String,
    pub order: SortOrder,
    /// The index name that chooses this order on the InstantSearch wire.
    pub index: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SortOrder {
    #[serde(rename = "asc")]
    Ascending,
    #[serde(rename = "desc")]
    Descending,
}

/// The settings are at fault.
#[derive(Debug, Error)]
pub enum CatalogueError {
    #[error("catalogue.toml: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("catalogue.toml: {at}: {reason}")]
    Invalid { at: String, reason: String },
}

/// The numbers that every product has a column for, with their decimals; a price has its currency's.
const BUILT_IN_NUMBERS: [(&str, Option<u8>); 6] = [
    ("price", None),
    ("list_price", None),
    ("rating", Some(2)),
    ("rating_count", Some(0)),
    ("popularity", Some(3)),
    ("updated_at", Some(0)),
];

/// What can be searched.
const SEARCHABLE: [&str; 7] = ["title", "brand", "category", "sku", "gtins", "attributes", "description"];

/// The fields of a product on the wire, in the order in which they are written.
pub const PRODUCT_FIELDS: [&str; 18] = [
    "id",
    "sku",
    "title",
    "description",
    "brand",
    "gtins",
    "category",
    "price",
    "list_price",
    "availability",
    "rating",
    "rating_count",
    "popularity",
    "images",
    "link",
    "group",
    "updated_at",
    "attributes",
];

const DEFAULT_HIT_FIELDS: [&str; 14] = [
    "id",
    "sku",
    "title",
    "brand",
    "category",
    "price",
    "list_price",
    "availability",
    "rating",
    "rating_count",
    "images",
    "link",
    "group",
    "attributes",
];

impl Catalogue {
    /// # Errors
    /// Says which setting is at fault, and for a syntax error in which line.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        if text.len() > limits::SETTINGS_BYTES {
            return Err(invalid("file", format!("is larger than {} bytes", limits::SETTINGS_BYTES)));
        }
        let file: CatalogueFile = toml::from_str(text)?;
        let facets = file.facets.into_iter().map(|facet| facet.resolve(file.currency)).collect::<Result<_, _>>()?;
        let catalogue = Self {
            title: file.title.unwrap_or_else(|| file.name.clone()),
            name: file.name,
            locale: file.locale,
            currency: file.currency,
            min_results: file.search.min_results,
            search_fields: file.search.fields,
            product_type: file.search.product_type,
            facets,
            sorts: file.sorts,
            private_attributes: file.attributes.private,
            hit_fields: file.hits.fields,
        };
        catalogue.validate()?;
        Ok(catalogue)
    }

    /// Decimals of the column called `name`, or None when there is no such number.
    pub fn number_decimals(&self, name: &str) -> Option<u8> {
        if let Some((_, decimals)) = BUILT_IN_NUMBERS.iter().find(|(number, _)| *number == name) {
            return Some(decimals.unwrap_or(self.currency.exponent()));
        }
        self.facets.iter().find(|facet| facet.name == name).and_then(|facet| match facet.kind {
            FacetKind::Number { decimals } => Some(decimals),
            _ => None,
        })
    }

    /// Every number that has a column: the built-in ones, then numeric attributes in the order of the facets.
    pub fn number_names(&self) -> Vec<&str> {
        let built_in = BUILT_IN_NUMBERS.iter().map(|(name, _)| *name);
        let attributes = self.facets.iter().filter(|facet| matches!(facet.kind, FacetKind::Number { .. }));
        let attributes = attributes.map(|facet| facet.name.as_str()).filter(|name| !is_built_in_number(name));
        built_in.chain(attributes).collect()
    }

    /// The facets that count values, in their order.
    pub fn value_facets(&self) -> impl Iterator<Item = &Facet> {
        self.facets.iter().filter(|facet| !matches!(facet.kind, FacetKind::Number { .. }))
    }

    pub fn facet(&self, name: &str) -> Option<&Facet> {
        self.facets.iter().find(|facet| facet.name == name)
    }

    fn validate(&self) -> Result<(), CatalogueError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            return Err(invalid("name", "must be 1 to 64 of a-z, 0-9, - and _"));
        }
        if self.locale.is_empty() || !self.locale.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(invalid("locale", "must be a language tag such as en or pt-BR"));
        }
        self.validate_search_fields()?;
        self.validate_facets()?;
        self.validate_sorts()?;
        match self.hit_fields.iter().find(|field| !PRODUCT_FIELDS.contains(&field.as_str())) {
            Some(field) => Err(invalid("hits.fields", format!("'{field}' is none of {}", PRODUCT_FIELDS.join(", ")))),
            None => Ok(()),
        }
    }

    fn validate_search_fields(&self) -> Result<(), CatalogueError> {
        if self.product_type != "category" && !self.product_type.starts_with("attributes.") {
            return Err(invalid("search.product_type", "must be category or attributes.NAME"));
        }
        if self.search_fields.is_empty() || self.search_fields.len() > limits::SEARCH_FIELDS {
            return Err(invalid("search.fields", format!("must have 1 to {} entries", limits::SEARCH_FIELDS)));
        }
        let mut seen = BTreeSet::new();
        for field in &self.search_fields {
            let at = format!("search.fields '{}'", field.name);
            let attribute = field.attribute();
            if attribute.is_none() && !SEARCHABLE.contains(&field.name.as_str()) {
                return Err(invalid(at, format!("is none of {}, attributes.NAME", SEARCHABLE.join(", "))));
            }
            if attribute.is_some_and(|name| self.private_attributes.contains(name)) {
                return Err(invalid(at, "is a private attribute, which cannot be searched"));
            }
            if !(1..=limits::FIELD_WEIGHT).contains(&field.weight) {
                return Err(invalid(at, format!("weight must be from 1 to {}", limits::FIELD_WEIGHT)));
            }
            if field.length > 10_000 {
                return Err(invalid(at, "length must be from 0 to 10000"));
            }
            if !seen.insert(&field.name) {
                return Err(invalid(at, "stands twice"));
            }
        }
        Ok(())
    }

    fn validate_facets(&self) -> Result<(), CatalogueError> {
        if self.facets.len() > limits::FACETS {
            return Err(invalid("facets", format!("{} of them, the limit is {}", self.facets.len(), limits::FACETS)));
        }
        let mut seen = BTreeSet::new();
        for facet in &self.facets {
            let at = format!("facets '{}'", facet.name);
            if self.private_attributes.contains(&facet.name) {
                return Err(invalid(at, "is a private attribute, which cannot be counted or filtered by"));
            }
            if !seen.insert(&facet.name) {
                return Err(invalid(at, "stands twice"));
            }
            if facet.kind == FacetKind::Hierarchy && facet.name != "category" {
                return Err(invalid(at, "only 'category' is a hierarchy"));
            }
        }
        Ok(())
    }

    fn validate_sorts(&self) -> Result<(), CatalogueError> {
        if self.sorts.len() > limits::SORTS {
            return Err(invalid("sorts", format!("{} of them, the limit is {}", self.sorts.len(), limits::SORTS)));
        }
        let mut seen = BTreeSet::new();
        for sort in &self.sorts {
            let at = format!("sorts '{}'", sort.name);
            if self.number_decimals(&sort.by).is_none() {
                return Err(invalid(at, format!("'{}' is none of {}", sort.by, self.number_names().join(", "))));
            }
            if sort.name == "relevance" || !seen.insert(&sort.name) {
                return Err(invalid(at, "the name is taken"));
            }
        }
        Ok(())
    }
}

fn is_built_in_number(name: &str) -> bool {
    BUILT_IN_NUMBERS.iter().any(|(number, _)| *number == name)
}

fn invalid(at: impl Into<String>, reason: impl Into<String>) -> CatalogueError {
    CatalogueError::Invalid { at: at.into(), reason: reason.into() }
}

/// The file as it is written; [`Catalogue`] is what it means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    name: String,
    title: Option<String>,
    #[serde(default = "default_locale")]
    locale: String,
    currency: Currency,
    #[serde(default)]
    search: SearchTable,
    #[serde(default)]
    facets: Vec<FacetTable>,
    #[serde(default)]
    sorts: Vec<Sort>,
    #[serde(default)]
    attributes: AttributesTable,
    #[serde(default)]
    hits: HitsTable,
}

fn default_locale() -> String {
    "en".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SearchTable {
    min_results: usize,
    product_type: String,
    fields: Vec<SearchField>,
}

impl Default for SearchTable {
    fn default() -> Self {
        let field = |name: &str, weight, length| SearchField { name: name.to_owned(), weight, length };
        let fields = vec![
            field("title", 8, 10),
            field("brand", 8, 1),
            field("category", 8, 3),
            field("sku", 8, 0),
            field("gtins", 8, 0),
            field("attributes", 1, 0),
            field("description", 8, 30),
        ];
        Self { min_results: 20, product_type: "category".to_owned(), fields }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FacetTable {
    name: String,
    kind: Option<FacetKindName>,
    decimals: Option<u8>,
    #[serde(default)]
    order: FacetOrder,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FacetKindName {
    Value,
    Hierarchy,
    Number,
}

impl FacetTable {
    fn resolve(self, currency: Currency) -> Result<Facet, CatalogueError> {
        let at = format!("facets '{}'", self.name);
        if self.name.is_empty() || self.name.contains([':', '"', '(', ')', ',']) {
            return Err(invalid(at, "a name has none of : \" ( ) ,"));
        }
        let built_in = BUILT_IN_NUMBERS.iter().find(|(name, _)| *name == self.name);
        let kind = match (built_in, self.kind) {
            (Some((_, decimals)), None | Some(FacetKindName::Number)) => {
                FacetKind::Number { decimals: decimals.unwrap_or(currency.exponent()) }
            }
            (Some(_), Some(_)) => return Err(invalid(at, "is a number")),
            (None, Some(FacetKindName::Number)) => FacetKind::Number { decimals: self.decimals.unwrap_or(3) },
            (None, Some(FacetKindName::Hierarchy)) => FacetKind::Hierarchy,
            (None, None) if self.name == "category" => FacetKind::Hierarchy,
            (None, None | Some(FacetKindName::Value)) => FacetKind::Value,
        };
        if self.decimals.is_some() && (built_in.is_some() || !matches!(kind, FacetKind::Number { .. })) {
            return Err(invalid(at, "decimals are for attributes of kind \"number\""));
        }
        if self.decimals.is_some_and(|decimals| decimals > limits::DECIMALS) {
            return Err(invalid(at, format!("at most {} decimals", limits::DECIMALS)));
        }
        Ok(Facet { name: self.name, kind, order: self.order })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AttributesTable {
    private: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HitsTable {
    fields: Vec<String>,
}

impl Default for HitsTable {
    fn default() -> Self {
        Self { fields: DEFAULT_HIT_FIELDS.map(str::to_owned).to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        name = "shop"
        currency = "EUR"
        [[facets]]
        name = "brand"
        [[facets]]
        name = "category"
        [[facets]]
        name = "price"
        [[facets]]
        name = "screen_inches"
        kind = "number"
        decimals = 1
        [[sorts]]
        name = "price_asc"
        by = "price"
        order = "asc"
        [attributes]
        private = ["cost_of_goods"]
    "#;

    #[test]
    fn kinds_follow_from_names() {
        let catalogue = Catalogue::parse(SMALL).expect("valid settings");
        let kinds: Vec<_> = catalogue.facets.iter().map(|facet| facet.kind).collect();
        let number = |decimals| FacetKind::Number { decimals };
        assert_eq!(kinds, [FacetKind::Value, FacetKind::Hierarchy, number(2), number(1)]);
        assert_eq!(catalogue.number_names().last(), Some(&"screen_inches"));
        assert_eq!(catalogue.number_decimals("rating"), Some(2));
        assert_eq!(catalogue.min_results, 20);
    }

    #[test]
    fn faults_name_the_setting() {
        let check = |addition: &str, expected: &str| {
            let error = Catalogue::parse(&format!("{SMALL}\n{addition}")).expect_err(addition).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("[[facets]]\nname = \"cost_of_goods\"", "'cost_of_goods': is a private attribute");
        check("[[facets]]\nname = \"brand\"", "'brand': stands twice");
        check("[[sorts]]\nname = \"x\"\nby = \"colour\"\norder = \"asc\"", "'colour' is none of price");
        check("[hits]\nfields = [\"nope\"]", "hits.fields: 'nope'");
        check("[search]\nfields = [{ name = \"title\", weight = 99, length = 1 }]", "weight must be from 1 to 16");
        check("[serach]\n", "unknown field `serach`");
    }
}
