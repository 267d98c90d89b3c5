//! A product as a shop describes it, before anything is indexed.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::catalogue::Catalogue;
use crate::money::Money;

/// Bounds on what one product may hold.
pub mod limits {
    pub const ID_BYTES: usize = 128;
    pub const TITLE_BYTES: usize = 2_048;
    pub const DESCRIPTION_BYTES: usize = 128 * 1024;
    pub const TEXT_BYTES: usize = 4_096;
    pub const CATEGORY_LEVELS: usize = 10;
    pub const GTINS: usize = 1_000;
    pub const IMAGES: usize = 50;
    pub const ATTRIBUTES: usize = 500;
    pub const VALUES_PER_ATTRIBUTE: usize = 1_000;
    /// Feeds list hundreds of compatible models in one value.
    pub const ATTRIBUTE_BYTES: usize = 32 * 1024;
}

/// The end of the year 9999, beyond which RFC 3339 writes no time.
const MAX_TIME_S: i64 = 253_402_300_799;

/// What separates the levels of a category path where it is written as one text.
pub const CATEGORY_SEPARATOR: &str = " > ";

/// The key that the storefront, the shopping cart and the next snapshot know a product by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ProductId(String);

impl ProductId {
    /// # Errors
    /// When the text is empty, longer than [`limits::ID_BYTES`], or has a control character, a quote, a backslash
    /// or a comma: an id stands unescaped in URLs, lists and JSON.
    pub fn new(text: impl Into<String>) -> Result<Self, ProductError> {
        let text = text.into();
        let forbidden = |c: char| c.is_control() || matches!(c, '"' | '\\' | ',');
        if text.is_empty() || text.len() > limits::ID_BYTES {
            return Err(ProductError::new("id", format!("must have 1 to {} bytes", limits::ID_BYTES)));
        }
        if text.contains(forbidden) || text.trim() != text {
            let reason = format!("'{text}' has a comma, quote, backslash, control character or outer space");
            return Err(ProductError::new("id", reason));
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Whether a product can be bought, in the words of schema.org and merchant feeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Availability {
    #[default]
    InStock,
    Preorder,
    Backorder,
    OutOfStock,
}

impl Availability {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InStock => "in_stock",
            Self::Preorder => "preorder",
            Self::Backorder => "backorder",
            Self::OutOfStock => "out_of_stock",
        }
    }

    /// Reads a name in any common spelling, that of schema.org's addresses too.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let schema = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let name = schema.and_then(|rest| rest.strip_prefix("schema.org/")).unwrap_or(&text);
        match name.replace([' ', '-'], "_").as_str() {
            "in_stock" | "instock" | "true" => Some(Self::InStock),
            "preorder" | "pre_order" => Some(Self::Preorder),
            "backorder" | "back_order" => Some(Self::Backorder),
            "out_of_stock" | "outofstock" | "false" => Some(Self::OutOfStock),
            _ => None,
        }
    }
}

/// One sellable product. Amounts that are not known are absent, never zero.
#[derive(Clone, Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Product {
    pub id: ProductId,
    pub sku: Option<String>,
    pub title: String,
    pub description: Option<String>,
    pub brand: Option<String>,
    pub gtins: Vec<String>,
    /// The path from the widest category to the narrowest.
    pub category: Vec<String>,
    pub price: Option<Money>,
    pub list_price: Option<Money>,
    pub availability: Availability,
    /// Mean rating in hundredths of a star: 450 is 4.5 of 5.
    pub rating_hundredths: Option<u16>,
    pub rating_count: u32,
    /// How much is sold or viewed, in thousandths of any unit of the shop's choosing; higher stands first.
    pub popularity_thousandths: Option<i64>,
    pub images: Vec<String>,
    pub link: Option<String>,
    /// What the variants of one article share.
    pub variant_group: Option<String>,
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Seconds since 1970, UTC.
    pub updated_at_s: Option<i64>,
}

/// The value of an attribute, kept as its source wrote it: one text, or a list.
#[derive(Clone, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum AttributeValue {
    One(String),
    Many(Vec<String>),
}

impl AttributeValue {
    pub fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// A product that cannot be indexed: the field at fault and why.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {reason}")]
pub struct ProductError {
    pub field: String,
    pub reason: String,
}

impl ProductError {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl Product {
    /// A product with nothing but what every product must have.
    pub fn new(id: ProductId, title: impl Into<String>) -> Self {
        Self {
            id,
            sku: None,
            title: title.into(),
            description: None,
            brand: None,
            gtins: Vec::new(),
            category: Vec::new(),
            price: None,
            list_price: None,
            availability: Availability::default(),
            rating_hundredths: None,
            rating_count: 0,
            popularity_thousandths: None,
            images: Vec::new(),
            link: None,
            variant_group: None,
            attributes: BTreeMap::new(),
            updated_at_s: None,
        }
    }

    /// Checks the product against the catalogue's settings and the limits of a snapshot.
    ///
    /// # Errors
    /// Names the first field at fault.
    pub fn validate(&self, catalogue: &Catalogue) -> Result<(), ProductError> {
        if self.title.trim().is_empty() {
            return Err(ProductError::new("title", "is empty"));
        }
        at_most("title", self.title.len(), limits::TITLE_BYTES, "bytes")?;
        at_most("description", self.description.as_ref().map_or(0, String::len), limits::DESCRIPTION_BYTES, "bytes")?;
        at_most("gtins", self.gtins.len(), limits::GTINS, "values")?;
        at_most("images", self.images.len(), limits::IMAGES, "values")?;
        at_most("attributes", self.attributes.len(), limits::ATTRIBUTES, "entries")?;
        let texts = [("sku", &self.sku), ("brand", &self.brand), ("link", &self.link), ("group", &self.variant_group)];
        for (field, text) in texts {
            at_most(field, text.as_ref().map_or(0, String::len), limits::TEXT_BYTES, "bytes")?;
        }
        for text in self.gtins.iter().chain(&self.images) {
            at_most("gtins or images", text.len(), limits::TEXT_BYTES, "bytes")?;
        }
        self.validate_category()?;
        self.validate_prices(catalogue)?;
        if self.rating_hundredths.is_some_and(|rating| rating > 500) {
            return Err(ProductError::new("rating", "must be from 0 to 5"));
        }
        if self.updated_at_s.is_some_and(|seconds| !(0..=MAX_TIME_S).contains(&seconds)) {
            return Err(ProductError::new("updated_at", "must be seconds since 1970; are these milliseconds?"));
        }
        if self.popularity_thousandths.is_some_and(i64::is_negative) {
            return Err(ProductError::new("popularity", "must not be negative"));
        }
        self.validate_attributes()
    }

    fn validate_category(&self) -> Result<(), ProductError> {
        at_most("category", self.category.len(), limits::CATEGORY_LEVELS, "levels")?;
        for level in &self.category {
            at_most("category", level.len(), limits::TEXT_BYTES, "bytes")?;
            if level.is_empty() || level.contains(CATEGORY_SEPARATOR) {
                let reason = format!("level '{level}' is empty or holds the separator '{CATEGORY_SEPARATOR}'");
                return Err(ProductError::new("category", reason));
            }
        }
        Ok(())
    }

    fn validate_prices(&self, catalogue: &Catalogue) -> Result<(), ProductError> {
        for (field, price) in [("price", self.price), ("list_price", self.list_price)] {
            let Some(price) = price else { continue };
            if price.currency() != catalogue.currency {
                let reason = format!("is in {}, but the catalogue is in {}", price.currency(), catalogue.currency);
                return Err(ProductError::new(field, reason));
            }
            if price.amount_minor() < 0 {
                return Err(ProductError::new(field, format!("{price} is negative")));
            }
        }
        Ok(())
    }

    fn validate_attributes(&self) -> Result<(), ProductError> {
        for (name, value) in &self.attributes {
            let field = || format!("attributes.{name}");
            if name.is_empty() || name.len() > limits::ID_BYTES || name.contains(char::is_control) {
                return Err(ProductError::new(field(), format!("a name has 1 to {} bytes", limits::ID_BYTES)));
            }
            at_most(&field(), value.values().len(), limits::VALUES_PER_ATTRIBUTE, "values")?;
            for value in value.values() {
                at_most(&field(), value.len(), limits::ATTRIBUTE_BYTES, "bytes")?;
            }
        }
        Ok(())
    }

    /// The category path and each of its ancestors as one text each: "Women", "Women > Shoes".
    pub fn category_paths(&self) -> impl Iterator<Item = String> {
        (1..=self.category.len()).map(|levels| self.category[..levels].join(CATEGORY_SEPARATOR))
    }

    /// Where the product stands when a query does not tell: popularity, then rating, as one number, higher first.
    ///
    /// The number depends on this product alone, so that segments written at different times can be merged by it.
    /// It is ln(1 + popularity) plus a rating that few votes pull towards 3.5 (a Bayesian mean with a prior of
    /// five votes), in 2^-20 steps.
    pub fn static_rank(&self) -> u32 {
        const PRIOR_STARS: f64 = 3.5;
        const PRIOR_VOTES: f64 = 5.0;
        let popularity = self.popularity_thousandths.unwrap_or(0) as f64 / 1000.0;
        let votes = if self.rating_hundredths.is_some() { f64::from(self.rating_count) } else { 0.0 };
        let stars = f64::from(self.rating_hundredths.unwrap_or(0)) / 100.0;
        let rating = (stars * votes + PRIOR_STARS * PRIOR_VOTES) / (votes + PRIOR_VOTES);
        ((popularity.ln_1p() + rating) * f64::from(1 << 20)) as u32
    }
}

fn at_most(field: &str, count: usize, limit: usize, unit: &str) -> Result<(), ProductError> {
    match count > limit {
        true => Err(ProductError::new(field, format!("has {count} {unit}, the limit is {limit}"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn availability_is_read_in_any_spelling() {
        let check =
            |text: &str, expected: Option<Availability>| assert_eq!(Availability::parse(text), expected, "{text}");
        check(" In Stock", Some(Availability::InStock));
        check("out-of-stock", Some(Availability::OutOfStock));
        check("https://schema.org/InStock", Some(Availability::InStock));
        check("http://schema.org/OutOfStock", Some(Availability::OutOfStock));
        check("https://schema.org/PreOrder", Some(Availability::Preorder));
        check("https://schema.org/BackOrder", Some(Availability::Backorder));
        check("https://schema.org/Discontinued", None);
        check("https://example.com/InStock", None);
    }
}
