//! Google Merchant feeds: what their attributes are here, after the product data specification of Merchant Center.
//!
//! `price` is the usual price there and `sale_price` what is asked now. What is the merchant's own secret (cost of goods
//! sold, the lowest price for automatic pricing) goes no further than this file.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Mapping, Row};

/// Attributes that are no shopper's business, or say nothing about a product.
const DROPPED: [&str; 22] = [
    "cost_of_goods_sold",
    "auto_pricing_min_price",
    "shipping",
    "shipping_label",
    "shipping_weight",
    "shipping_length",
    "shipping_width",
    "shipping_height",
    "ships_from_country",
    "transit_time_label",
    "min_handling_time",
    "max_handling_time",
    "tax",
    "tax_category",
    "ads_redirect",
    "mobile_link",
    "excluded_destination",
    "included_destination",
    "shopping_ads_excluded_country",
    "pause",
    "return_policy_label",
    "promotion_id",
];

/// The name of an attribute in its plainest form: feeds write `Image Link`, `g:image_link` and
/// `shipping(country:price)`.
pub(super) fn plain_name(name: &str) -> String {
    let name = name.split('(').next().unwrap_or(name).trim();
    let name = name.strip_prefix("g:").unwrap_or(name);
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// A row of the attributes of one item, by their plain names: a text, a list of texts, or what lies within.
///
/// # Errors
/// Says which attribute cannot be read.
pub(super) fn row(attributes: Row, mapping: &Mapping, now: Timestamp) -> Result<Row, String> {
    let mut reader = Reader { row: Row::new(), attributes: Map::new() };
    let (own, mut rest): (Vec<_>, Vec<_>) = attributes.into_iter().partition(|(name, _)| mapping.maps(name));
    let take = |rest: &mut Vec<(String, Value)>, name: &str| {
        let place = rest.iter().position(|(other, _)| other == name)?;
        Some(rest.swap_remove(place).1)
    };
    let prices = ["price", "sale_price", "sale_price_effective_date"].map(|name| take(&mut rest, name));
    reader.price(prices, now)?;
    // Images in their order, the main one first.
    for name in ["image_link", "additional_image_link"] {
        for value in take(&mut rest, name).iter().flat_map(texts) {
            reader.images(&value);
        }
    }
    rest.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in rest {
        reader.attribute(&name, value);
    }
    let Reader { mut row, attributes } = reader;
    if !attributes.is_empty() {
        row.insert("attributes".to_owned(), Value::Object(attributes));
    }
    row.extend(own);
    Ok(mapping.apply(row))
}

struct Reader {
    row: Row,
    attributes: Map<String, Value>,
}

impl Reader {
    fn attribute(&mut self, name: &str, value: Value) {
        let first = || texts(&value).into_iter().next().map(Value::String);
        match name {
            "id" | "title" | "description" | "link" | "brand" | "availability" => self.set(name, first()),
            "gtin" => self.set("gtins", Some(list(&value, ","))),
            "item_group_id" => self.set("group", first()),
            "mpn" => {
                self.set("sku", first());
                self.keep("mpn", first());
            }
            "product_type" => {
                let all = texts(&value);
                self.set("category", all.first().cloned().map(Value::String));
                let rest: Vec<Value> = all.into_iter().skip(1).map(Value::String).collect();
                self.keep("product_type", (!rest.is_empty()).then_some(Value::Array(rest)));
            }
            "google_product_category" => {
                // A number names a category only to those who have Google's list.
                let path = first().filter(|path| path.as_str().is_some_and(|path| path.contains('>')));
                if !self.row.contains_key("category") {
                    self.set("category", path);
                }
                self.keep(name, first());
            }
            "structured_title" | "structured_description" => {
                let field = &name["structured_".len()..];
                let content = value.get("content").cloned();
                if !self.row.contains_key(field) {
                    self.set(field, content);
                }
            }
            "color" | "material" => self.keep(name, Some(list(&value, "/"))),
            "size_type" => self.keep(name, Some(list(&value, ","))),
            "product_detail" => self.details(&value),
            _ if DROPPED.contains(&name) || name.starts_with("display_ads_") => {}
            _ => self.keep(name, plain(&value)),
        }
    }

    fn set(&mut self, field: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.row.insert(field.to_owned(), value);
        }
    }

    fn keep(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.attributes.insert(name.to_owned(), value);
        }
    }

    fn price(&mut self, [price, sale, interval]: [Option<Value>; 3], now: Timestamp) -> Result<(), String> {
        let text = |value: Option<Value>| value.iter().flat_map(texts).next().filter(|text| !text.trim().is_empty());
        let (price, sale, interval) = (text(price), text(sale), text(interval));
        let holds = match &interval {
            Some(interval) if sale.is_some() => holds(interval, now)
                .ok_or_else(|| format!("sale_price_effective_date: '{interval}' is no interval of two times"))?,
            _ => true,
        };
        match sale.filter(|_| holds) {
            Some(sale) => {
                self.set("price", Some(Value::String(sale)));
                self.set("list_price", price.map(Value::String));
            }
            None => self.set("price", price.map(Value::String)),
        }
        Ok(())
    }

    /// Addresses divided by commas; one may hold a comma itself.
    fn images(&mut self, text: &str) {
        let images = self.row.entry("images").or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(images) = images else { return };
        let mut start = 0;
        for (at, _) in text.match_indices(',') {
            if text[at + 1..].trim_start().starts_with("http") {
                images.push(Value::String(text[start..at].trim().to_owned()));
                start = at + 1;
            }
        }
        images.push(Value::String(text[start..].trim().to_owned()));
    }

    /// Each detail is an attribute of its own: "section:name:value", or elements of those names.
    fn details(&mut self, value: &Value) {
        let details: Vec<&Value> = match value {
            Value::Array(details) => details.iter().collect(),
            detail => vec![detail],
        };
        for detail in details {
            let part = |name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
            if let (Some(name), Some(value)) = (part("attribute_name"), part("attribute_value")) {
                self.keep(name.trim(), Some(Value::String(value)));
            }
            for one in detail.as_str().into_iter().flat_map(|text| text.split(',')) {
                if let [_, name, value] = one.splitn(3, ':').collect::<Vec<_>>()[..] {
                    self.keep(name.trim(), Some(Value::String(value.trim().to_owned())));
                }
            }
        }
    }
}

/// The texts of a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// A value without what lies deeper than a list; None where nothing is left.
fn plain(value: &Value) -> Option<Value> {
    let texts = texts(value);
    match texts.as_slice() {
        [] => None,
        [one] => Some(Value::String(one.clone())),
        _ => Some(Value::Array(texts.into_iter().map(Value::String).collect())),
    }
}

/// The values of a list that one text may hold as well.
fn list(value: &Value, separator: &str) -> Value {
    let all = texts(value);
    let parts = all.iter().flat_map(|text| text.split(separator)).map(str::trim).filter(|part| !part.is_empty());
    Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
}

/// Whether a time lies in "start/end" (ISO 8601; without an offset in UTC). None where that is no interval.
fn holds(interval: &str, now: Timestamp) -> Option<bool> {
    let (start, end) = interval.split_once('/')?;
    Some(time(start)? <= now && now < time(end)?)
}

fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    text.parse::<Timestamp>().ok().or_else(|| Some(local()?.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Row, String> {
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        row(serde_json::from_str(json).expect("an object"), &Mapping::default(), now)
    }

    fn check(json: &str, expected: &str) {
        let expected: Row = serde_json::from_str(expected).expect("an object");
        assert_eq!(read(json).expect("a row"), expected);
    }

    #[test]
    fn attributes_become_fields() {
        check(
            r#"{"id": "7", "title": "Lamp", "gtin": "1,2", "mpn": "L-7", "item_group_id": "g", "color": "red/blue",
                "image_link": "http://a/1,2.png", "additional_image_link": "http://a/2.png,http://a/3.png",
                "product_type": ["Home > Light", "Sale"], "google_product_category": "594", "cost_of_goods_sold": "3 USD",
                "custom_label_0": "x", "shipping": {"country": "US"},
                "product_detail": [{"section_name": "s", "attribute_name": "Wattage", "attribute_value": "5 W"}]}"#,
            r#"{"id": "7", "title": "Lamp", "gtins": ["1", "2"], "sku": "L-7", "group": "g", "category": "Home > Light",
                "images": ["http://a/1,2.png", "http://a/2.png", "http://a/3.png"],
                "attributes": {"mpn": "L-7", "color": ["red", "blue"], "product_type": ["Sale"],
                    "google_product_category": "594", "custom_label_0": "x", "Wattage": "5 W"}}"#,
        );
        check(
            r#"{"google_product_category": "Home > Lamps", "structured_title": {"content": "Lamp"}}"#,
            r#"{"category": "Home > Lamps", "title": "Lamp", "attributes": {"google_product_category": "Home > Lamps"}}"#,
        );
    }

    #[test]
    fn a_sale_is_a_price_while_it_holds() {
        let of = |interval: &str| {
            let json = format!(r#"{{"price": "15.00 USD", "sale_price": "9 USD"{interval}}}"#);
            read(&json).map(|row| (row["price"].as_str().map(str::to_owned), row.contains_key("list_price")))
        };
        let dated = |interval: &str| of(&format!(r#", "sale_price_effective_date": "{interval}""#));
        assert_eq!(of(""), Ok((Some("9 USD".into()), true)));
        assert_eq!(dated("2026-05-01T11:07+0100/2026-06-29T23:07+0100"), Ok((Some("9 USD".into()), true)));
        assert_eq!(dated("2026-05-01/2026-05-02"), Ok((Some("15.00 USD".into()), false)));
        assert_eq!(dated("2026-06-01T00:00:00Z/2026-06-02T00:00:00Z"), Ok((Some("9 USD".into()), true)));
        assert!(dated("next week").is_err_and(|reason| reason.contains("sale_price_effective_date")));
    }

    #[test]
    fn what_the_user_maps_is_no_longer_read_as_usual() {
        let mut mapping = Mapping::default();
        mapping.add("custom_label_0=popularity").expect("a mapping");
        mapping.add("mpn=ignore").expect("a mapping");
        let now = Timestamp::now();
        let json = r#"{"custom_label_0": "12", "mpn": "x", "title": "Lamp"}"#;
        let row = row(serde_json::from_str(json).expect("an object"), &mapping, now).expect("a row");
        assert_eq!(Value::Object(row), serde_json::json!({ "popularity": "12", "title": "Lamp" }));
    }

    #[test]
    fn names_are_made_plain() {
        for name in ["image_link", "g:image_link", "Image Link", "g:Image link ", "image link(x:y)"] {
            assert_eq!(plain_name(name), "image_link");
        }
    }
}
