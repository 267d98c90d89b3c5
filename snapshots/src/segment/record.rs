//! Product records: each holds its JSON already serialised, one fragment a field, stored once.

use std::fmt::Write;

use jiff::Timestamp;
use rkyv::{Archive, Serialize};

use crate::catalogue::PRODUCT_FIELDS;
use crate::error::Error;
use crate::money::{Money, write_scaled};
use crate::product::{AttributeValue, Product};

/// Fragment keys below this are places in [`PRODUCT_FIELDS`]; from here on they are attributes by number.
pub(super) const FIRST_ATTRIBUTE_KEY: u32 = 64;

/// A product as it is stored. The first fragment is the id.
#[derive(Archive, Serialize)]
pub(super) struct Record {
    keys: Vec<u32>,
    /// Where each fragment ends in `json`.
    ends: Vec<u32>,
    json: String,
}

impl Record {
    /// Serialises every public field; `attribute_key` numbers the attributes.
    pub(super) fn new(product: &Product, mut attribute_key: impl FnMut(&str) -> Option<u32>) -> Self {
        let mut record = Self { keys: Vec::new(), ends: Vec::new(), json: String::new() };
        record.field("id", |out| write_text(out, product.id.as_str()));
        record.optional("sku", product.sku.as_deref(), write_text);
        record.field("title", |out| write_text(out, &product.title));
        record.optional("description", product.description.as_deref(), write_text);
        record.optional("brand", product.brand.as_deref(), write_text);
        record.list("gtins", &product.gtins);
        record.list("category", &product.category);
        record.optional("price", product.price, write_money);
        record.optional("list_price", product.list_price, write_money);
        record.field("availability", |out| write_text(out, product.availability.as_str()));
        record.optional("rating", product.rating_hundredths, |out, rating| write_number(out, i64::from(rating), 2));
        if product.rating_hundredths.is_some() {
            record.field("rating_count", |out| write_number(out, i64::from(product.rating_count), 0));
        }
        record.optional("popularity", product.popularity_thousandths, |out, value| write_number(out, value, 3));
        record.list("images", &product.images);
        record.optional("link", product.link.as_deref(), write_text);
        record.optional("group", product.variant_group.as_deref(), write_text);
        record.optional("updated_at", product.updated_at_s, |out, seconds| match Timestamp::from_second(seconds) {
            Ok(time) => write_text(out, &time.to_string()),
            Err(_) => out.push_str("null"),
        });
        let mut attributes: Vec<(u32, &AttributeValue)> = Vec::with_capacity(product.attributes.len());
        for (name, value) in &product.attributes {
            attributes.extend(attribute_key(name).map(|key| (FIRST_ATTRIBUTE_KEY + key, value)));
        }
        attributes.sort_unstable_by_key(|(key, _)| *key);
        for (key, value) in attributes {
            record.fragment(key, |out| match value {
                AttributeValue::One(text) => write_text(out, text),
                AttributeValue::Many(texts) => write_list(out, texts),
            });
        }
        record
    }

    fn fragment(&mut self, key: u32, write: impl FnOnce(&mut String)) {
        write(&mut self.json);
        self.keys.push(key);
        self.ends.push(self.json.len() as u32);
    }

    fn field(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        let key = PRODUCT_FIELDS.iter().position(|field| *field == name).expect("a field of the list");
        self.fragment(key as u32, write);
    }

    fn optional<T>(&mut self, name: &str, value: Option<T>, write: impl FnOnce(&mut String, T)) {
        if let Some(value) = value {
            self.field(name, |out| write(out, value));
        }
    }

    fn list(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.field(name, |out| write_list(out, values));
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&json_text(text));
}

/// A text as it stands in JSON, quoted and escaped.
pub(super) fn json_text(text: &str) -> String {
    // Serialising a str cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

fn write_list(out: &mut String, values: &[String]) {
    out.push('[');
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_text(out, value);
    }
    out.push(']');
}

fn write_money(out: &mut String, money: Money) {
    // Writing to a String cannot fail.
    let _ = write!(out, r#"{{"amount_minor":{},"currency":"{}"}}"#, money.amount_minor(), money.currency());
}

/// Writes a fixed-point number without trailing zeros: (450, 2) is 4.5.
fn write_number(out: &mut String, value: i64, scale: u8) {
    let _ = write_scaled(out, value, scale);
    if scale > 0 {
        out.truncate(out.trim_end_matches('0').trim_end_matches('.').len());
    }
}

/// A stored product, read in place.
#[derive(Clone, Copy)]
pub struct RecordView<'a>(pub(super) &'a ArchivedRecord);

impl<'a> RecordView<'a> {
    /// Every fragment in order: the place of its field in [`PRODUCT_FIELDS`] or its attribute's number, and its JSON.
    pub fn fragments(self) -> impl Iterator<Item = (FragmentKey, &'a [u8])> {
        let json = self.0.json.as_bytes();
        let mut start = 0;
        self.0.keys.iter().zip(self.0.ends.iter()).map(move |(key, end)| {
            let end = end.to_native() as usize;
            let fragment = &json[start..end];
            start = end;
            (FragmentKey::from_raw(key.to_native()), fragment)
        })
    }

    /// The JSON of one field by its place in [`PRODUCT_FIELDS`].
    pub fn field(self, place: usize) -> Option<&'a [u8]> {
        self.fragments().find(|(key, _)| *key == FragmentKey::Field(place)).map(|(_, json)| json)
    }

    /// The product's id, which never needs escaping.
    pub fn id(self) -> &'a str {
        let end = self.0.ends.first().map_or(0, |end| end.to_native() as usize);
        let quoted: &'a str = &self.0.json.as_str()[..end];
        quoted.trim_matches('"')
    }

    /// What bytecheck cannot know: that the fragments lie inside the text, in order, and begin with an id.
    pub(super) fn check(self, attribute_count: usize) -> Result<(), Error> {
        let fault = |reason: &str| Err(Error::corrupt("product record", reason));
        let (keys, ends, json) = (&self.0.keys, &self.0.ends, &self.0.json);
        if keys.len() != ends.len() || keys.first().is_none_or(|key| key.to_native() != 0) {
            return fault("its fragments are not counted right");
        }
        let mut start = 0;
        for end in ends.iter().map(|end| end.to_native() as usize) {
            if end < start || !json.is_char_boundary(end) {
                return fault("a fragment lies outside of it");
            }
            start = end;
        }
        let rising = keys.iter().zip(keys.iter().skip(1)).all(|(a, b)| a.to_native() < b.to_native());
        let known = |key: u32| match FragmentKey::from_raw(key) {
            FragmentKey::Field(place) => place < PRODUCT_FIELDS.len(),
            FragmentKey::Attribute(number) => number < attribute_count,
        };
        match rising && keys.iter().all(|key| known(key.to_native())) {
            true => Ok(()),
            false => fault("its fields are not in order, or not known"),
        }
    }
}

/// What a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentKey {
    /// A place in [`PRODUCT_FIELDS`].
    Field(usize),
    /// A number in the segment's list of attribute names.
    Attribute(usize),
}

impl FragmentKey {
    fn from_raw(key: u32) -> Self {
        match key.checked_sub(FIRST_ATTRIBUTE_KEY) {
            None => Self::Field(key as usize),
            Some(attribute) => Self::Attribute(attribute as usize),
        }
    }
}
