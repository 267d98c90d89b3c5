//! The fields of products in two snapshots, under one numbering, read in place.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use snapshots::{CATEGORY_SEPARATOR, FragmentKey, PRODUCT_FIELDS, RecordView, Snapshot};

use super::prices::Price;

pub(super) const ID: usize = place("id");
pub(super) const TITLE: usize = place("title");
pub(super) const CATEGORY: usize = place("category");
pub(super) const PRICE: usize = place("price");
pub(super) const AVAILABILITY: usize = place("availability");
pub(super) const IMAGES: usize = place("images");

/// A field's place in [`PRODUCT_FIELDS`]. Where there is none, this does not compile.
const fn place(name: &str) -> usize {
    let mut place = 0;
    while !same(PRODUCT_FIELDS[place].as_bytes(), name.as_bytes()) {
        place += 1;
    }
    place
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// A product as a report names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    pub id: String,
    pub title: String,
    /// Its first image, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// One number for each field of both snapshots: the fields of every product first, then attributes. Each segment
/// numbers its attributes for itself.
pub(super) struct FieldNumbers {
    /// The fields' names by their numbers.
    pub names: Vec<String>,
    by_key: HashMap<String, usize>,
}

impl FieldNumbers {
    pub fn new() -> Self {
        Self { names: PRODUCT_FIELDS.map(str::to_owned).to_vec(), by_key: HashMap::new() }
    }

    /// The numbers of each segment's attributes.
    pub fn of_segments(&mut self, snapshot: &Snapshot) -> Vec<Vec<usize>> {
        let segments = snapshot.segments.iter();
        segments.map(|part| part.segment.attribute_keys().iter().map(|key| self.of(key)).collect()).collect()
    }

    /// The number of an attribute, whose name is quoted as in JSON.
    fn of(&mut self, key: &str) -> usize {
        if let Some(number) = self.by_key.get(key) {
            return *number;
        }
        let number = self.names.len();
        self.names.push(format!("attributes.{}", shown(key.as_bytes(), "")));
        self.by_key.insert(key.to_owned(), number);
        number
    }
}

/// The fields of one product with their JSON, by number and rising. Made once and read into, product after product.
#[derive(Default)]
pub(super) struct Fields<'a>(Vec<(usize, &'a [u8])>);

impl<'a> Fields<'a> {
    /// Reads a product of a segment whose attributes have these numbers.
    pub fn read(&mut self, record: RecordView<'a>, attributes: &[usize]) {
        self.0.clear();
        self.0.extend(record.fragments().map(|(key, json)| match key {
            FragmentKey::Field(place) => (place, json),
            FragmentKey::Attribute(number) => (attributes[number], json),
        }));
        self.0.sort_unstable_by_key(|(number, _)| *number);
    }

    pub fn get(&self, number: usize) -> Option<&'a [u8]> {
        let place = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.0[place].1)
    }

    pub fn named(&self) -> Named {
        let text = |number| self.get(number).map(|json| shown(json, "")).unwrap_or_default();
        let images = self.get(IMAGES).and_then(|json| serde_json::from_slice::<Vec<String>>(json).ok());
        Named { id: text(ID), title: text(TITLE), image: images.and_then(|images| images.into_iter().next()) }
    }

    /// Tells every field that differs: its number, and what it was before and is now, where it is there at all.
    pub fn differences(&self, now: &Self, mut tell: impl FnMut(usize, Option<&'a [u8]>, Option<&'a [u8]>)) {
        let (mut was, mut is) = (self.0.iter().peekable(), now.0.iter().peekable());
        loop {
            let order = match (was.peek(), is.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((left, _)), Some((right, _))) => left.cmp(right),
            };
            let left = if order.is_le() { was.next() } else { None };
            let right = if order.is_ge() { is.next() } else { None };
            let number = left.or(right).map_or(0, |(number, _)| *number);
            let (left, right) = (left.map(|(_, json)| *json), right.map(|(_, json)| *json));
            if left != right {
                tell(number, left, right);
            }
        }
    }
}

/// What a fragment of JSON says, for people: texts without quotes, lists with `separator` between their values, prices
/// in major units.
pub(super) fn shown(json: &[u8], separator: &str) -> String {
    match serde_json::from_slice(json) {
        Ok(Value::String(text)) => text,
        Ok(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(separator),
        _ => match serde_json::from_slice::<Price>(json) {
            Ok(price) => price.to_string(),
            Err(_) => String::from_utf8_lossy(json).into_owned(),
        },
    }
}

/// What a field says, for people.
pub(super) fn shown_field(number: usize, json: &[u8]) -> String {
    shown(json, if number == CATEGORY { CATEGORY_SEPARATOR } else { ", " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told_once() {
        let fields = |list: &[(usize, &'static str)]| {
            Fields(list.iter().map(|(number, json)| (*number, json.as_bytes())).collect())
        };
        let before = fields(&[(0, "\"a\""), (2, "\"Lamp\""), (7, "1"), (20, "\"red\"")]);
        let after = fields(&[(0, "\"a\""), (2, "\"Desk lamp\""), (8, "2"), (20, "\"red\""), (21, "\"new\"")]);
        let mut told = Vec::new();
        before.differences(&after, |number, was, is| told.push((number, was.is_some(), is.is_some())));
        assert_eq!(told, [(2, true, true), (7, true, false), (8, false, true), (21, false, true)]);
        before.differences(&before, |number, _, _| panic!("field {number} differs from itself"));
    }

    #[test]
    fn values_are_shown_as_people_write_them() {
        let check = |number, json: &str, expected: &str| assert_eq!(shown_field(number, json.as_bytes()), expected);
        check(TITLE, r#""a \"lamp\"""#, "a \"lamp\"");
        check(CATEGORY, r#"["Home","Lighting"]"#, "Home > Lighting");
        check(IMAGES, r#"["a.jpg","b.jpg"]"#, "a.jpg, b.jpg");
        check(PRICE, r#"{"amount_minor":1250,"currency":"EUR"}"#, "12.50 EUR");
        check(10, "4.5", "4.5");
    }
}
