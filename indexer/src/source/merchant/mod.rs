//! Google Merchant feeds: which attribute of a feed is which field of a row.
//!
//! The names and what they hold are Google's product data specification
//! (<https://support.google.com/merchants/answer/7052112>); TSV and XML share them.

mod cells;
mod item;
mod plain_text;
mod times;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use snapshots::{Decimal, product_limits};

use super::{Mapping, Row};

pub(crate) use cells::add_cell;
use item::put;
pub(crate) use item::{FeedItem, FeedValue, Standing};
use plain_text::plain_text;

/// What a merchant tells Google and nobody else. It is in no row, even where a mapping names it.
const SECRETS: [&str; 2] = ["auto_pricing_min_price", "cost_of_goods_sold"];

/// Stands in the place of a row's text where that may hold a secret.
pub(crate) const WITHHELD: &str = "not shown, since it may hold what only Google may know";

/// What is about advertising and delivery, or about the feed itself, and not about the product.
const IGNORED: [&str; 36] = [
    "ads_grouping",
    "ads_labels",
    "ads_redirect",
    "author",
    "canonical_link",
    "carrier_shipping",
    "comments",
    "contributor",
    "enclosure",
    "external_seller_id",
    "free_shipping_threshold",
    "guid",
    "handling_cutoff_time",
    "identifier_exists",
    "installment",
    "link_template",
    "loyalty_points",
    "loyalty_program",
    "max_handling_time",
    "min_handling_time",
    "minimum_order_value",
    "mobile_link",
    "mobile_link_template",
    "pause",
    "promotion_id",
    "pubdate",
    "published",
    "return_address_label",
    "rights",
    "ships_from_country",
    "shopping_ads_excluded_country",
    "source",
    "tax",
    "tax_category",
    "transit_time_label",
    "updated",
];

/// What all names of a kind begin with, which is ignored as well.
/// Custom labels are for campaigns, and often hold margins.
const IGNORED_BEGINNINGS: [&str; 5] = ["custom_label_", "display_ads_", "pickup_", "return_policy", "shipping"];

/// An item of a feed as a row.
pub(crate) struct ItemRow {
    pub row: Row,
    /// Google shows it no longer, and this shop sells it no longer: the row deletes it, by its id.
    pub is_expired: bool,
}

/// Reads what a feed says about a product as a row.
pub struct Merchant {
    /// The user's word on an attribute stands above what is known of it here.
    mapping: Mapping,
    /// Decides which sales are on and what has expired: one moment for the whole feed.
    now: Timestamp,
}

impl Merchant {
    pub fn new(mapping: Mapping, now: Timestamp) -> Self {
        Self { mapping, now }
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// # Errors
    /// When an attribute that decides about others cannot be read; it is named.
    pub(crate) fn row(&self, mut item: FeedItem) -> Result<ItemRow, String> {
        SECRETS.iter().for_each(|name| drop(item.take(name)));
        let columns = item.take_columns(&self.mapping);
        if self.has_expired(&mut item)? {
            return Ok(ItemRow { row: self.deletion(&mut item, columns), is_expired: true });
        }
        let mut row = Row::new();
        let mut attributes = Row::new();
        for (name, field) in [
            ("id", "id"),
            ("link", "link"),
            ("availability", "availability"),
            ("brand", "brand"),
            ("item_group_id", "group"),
        ] {
            put(&mut row, field, item.text(name));
        }
        put_texts(&mut item, &mut row);
        self.put_prices(&mut item, &mut row)?;
        put_codes_and_images(&mut item, &mut row, &mut attributes);
        put_category(&mut item, &mut row, &mut attributes);
        put_attributes(item, &mut attributes);
        row.insert("attributes".to_owned(), Value::Object(attributes));
        Ok(ItemRow { row: self.mapping.apply_over(columns, row), is_expired: false })
    }

    fn has_expired(&self, item: &mut FeedItem) -> Result<bool, String> {
        let Some(time) = item.text("expiration_date") else { return Ok(false) };
        times::has_passed(&time, self.now).map_err(|reason| format!("expiration_date: {reason}"))
    }

    /// A row that deletes the product of an item. What else the item says may be as old as its date.
    fn deletion(&self, item: &mut FeedItem, columns: Row) -> Row {
        let mut row = Row::new();
        put(&mut row, "id", item.text("id"));
        let id = self.mapping.apply_over(columns, row).remove("id");
        id.map(|id| ("delete".to_owned(), id)).into_iter().collect()
    }

    /// To Google a `price` is the regular one, and `sale_price` what is to be paid while its interval lasts.
    fn put_prices(&self, item: &mut FeedItem, row: &mut Row) -> Result<(), String> {
        let price = item.text("price");
        let interval = item.text("sale_price_effective_date");
        let Some(sale_price) = item.text("sale_price") else {
            put(row, "price", price);
            return Ok(());
        };
        let is_on = match interval {
            Some(interval) => {
                times::holds(&interval, self.now).map_err(|reason| format!("sale_price_effective_date: {reason}"))?
            }
            None => true,
        };
        if is_on && is_reduced(&sale_price, price.as_deref()) {
            put(row, "list_price", price);
            put(row, "price", Some(sale_price));
        } else {
            put(row, "price", price);
        }
        Ok(())
    }
}

/// The name of an attribute in one spelling: `g:Image Link` is `image_link`, `shipping(country:price)` is `shipping`.
pub(crate) fn attribute_name(written: &str) -> String {
    let name = written.trim().to_lowercase();
    let name = name.strip_prefix("g:").unwrap_or(&name);
    let name = name.split('(').next().unwrap_or(name);
    name.trim().replace(' ', "_")
}

pub(crate) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

fn is_ignored(name: &str) -> bool {
    IGNORED.contains(&name)
        || name.ends_with("_destination")
        || IGNORED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether a sale price is one: more than nothing, and less than the regular price where there is that. What cannot be
/// read is taken for one, so that the fault is told.
fn is_reduced(sale_price: &str, price: Option<&str>) -> bool {
    let Some(sale) = amount(sale_price) else { return true };
    sale > 0 && price.and_then(amount).is_none_or(|regular| sale < regular)
}

/// The amount of a price such as "15.00 USD", in millionths.
fn amount(price: &str) -> Option<i128> {
    let amount = price.split_once(' ').map_or(price, |(amount, _)| amount);
    Decimal::parse(amount)?.at_scale(6).map(|(millionths, _)| millionths)
}

fn put_texts(item: &mut FeedItem, row: &mut Row) {
    let structured = item.structured("structured_title");
    put(row, "title", item.text("title").or(structured));
    let descriptions = [
        item.text("description"),
        item.structured("structured_description"),
        item.text("content:encoded"),
        item.text("content"),
        item.text("summary"),
    ];
    let description = descriptions.into_iter().flatten().next();
    put(row, "description", description.map(|written| plain_text(&written)));
}

fn put_codes_and_images(item: &mut FeedItem, row: &mut Row, attributes: &mut Row) {
    put(row, "gtins", split_all(&item.texts("gtin"), ','));
    if let Some(number) = item.text("mpn") {
        put(row, "sku", Some(number.clone()));
        put(attributes, "mpn", Some(number));
    }
    let mut images: Vec<String> = item.text("image_link").into_iter().collect();
    for urls in item.texts("additional_image_link") {
        images.extend(urls_of(&urls));
    }
    // What is beyond would cost the whole product.
    images.truncate(product_limits::IMAGES);
    put(row, "images", images);
}

/// The merchant's own category comes first; Google's takes its place where it is a path and not a number, and RSS's where
/// there is neither.
fn put_category(item: &mut FeedItem, row: &mut Row, attributes: &mut Row) {
    let mut own = item.texts("product_type").into_iter();
    let google = item.text("google_product_category");
    let of_rss = item.text("category");
    let google_path = google.clone().filter(|text| text.parse::<u64>().is_err());
    let path = own.next().or(google_path).or(of_rss);
    let levels = path.iter().flat_map(|path| path.split('>')).map(str::trim).filter(|level| !level.is_empty());
    put(row, "category", levels.map(str::to_owned));
    put(attributes, "product_type", own);
    put(attributes, "google_product_category", google);
}

/// All that has no field of its own.
fn put_attributes(mut item: FeedItem, attributes: &mut Row) {
    let details = item.take("product_detail");
    for (name, texts) in item.into_texts().filter(|(name, _)| !is_ignored(name)) {
        let texts = match name.as_str() {
            "color" | "material" => split_all(&texts, '/'),
            "size_type" => split_all(&texts, ','),
            _ => texts,
        };
        put(attributes, &name, texts);
    }
    let mut named: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for detail in &details {
        if let (Some(name), Some(value)) = (detail.part("attribute_name"), detail.part("attribute_value")) {
            named.entry(name).or_default().push(value.to_owned());
        }
    }
    // An attribute of Google's own is the better word.
    named.retain(|name, _| !attributes.contains_key(*name) && !is_secret(&attribute_name(name)));
    for (name, values) in named {
        put(attributes, name, values);
    }
}

fn split_all(texts: &[String], separator: char) -> Vec<String> {
    let parts = texts.iter().flat_map(|text| text.split(separator)).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Addresses that commas divide. They may hold commas themselves, so that only one before another address counts.
fn urls_of(text: &str) -> Vec<String> {
    let mut urls = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(',') {
        if text[at + 1..].trim_start().starts_with("http") {
            urls.push(&text[start..at]);
            start = at + 1;
        }
    }
    urls.push(&text[start..]);
    urls.into_iter().map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_with(mapping: Mapping, cells: &[(&str, &str)]) -> Result<Row, String> {
        let mut item = FeedItem::default();
        cells.iter().for_each(|(name, cell)| add_cell(&mut item, name, cell));
        Merchant::new(mapping, "2026-03-01T12:00:00Z".parse().expect("a time")).row(item).map(|item| item.row)
    }

    fn check(cells: &[(&str, &str)], expected: &str) {
        let expected: Row = serde_json::from_str(expected).expect("an object");
        assert_eq!(row_with(Mapping::default(), cells), Ok(expected));
    }

    #[test]
    fn names_are_read_in_any_spelling() {
        let check = |written: &str, expected: &str| assert_eq!(attribute_name(written), expected);
        check("image_link", "image_link");
        check(" Image Link", "image_link");
        check("g:ID", "id");
        check("shipping(country:price)", "shipping");
        check("product detail (section_name:attribute_name)", "product_detail");
    }

    #[test]
    fn attributes_become_fields() {
        check(
            &[
                ("id", "7"),
                ("title", "Lamp"),
                ("structured_title", "default:Other"),
                ("description", "<p>Oak</p>"),
                ("item_group_id", "g"),
                ("image_link", "https://i/1,2.png"),
                ("additional_image_link", "https://i/w_1,h_2/3.png, https://i/4.png,http://i/5.png"),
                ("gtin", "1, 2"),
                ("mpn", "M-1"),
                ("color", "black / oak"),
                ("size_type", "petite,tall"),
                ("material", "oak"),
                ("custom_label_0", "margin of 40%"),
                ("custom_label_4", "new"),
                ("fabric", "a/b"),
                ("product_detail", "General:Socket:E27,:color:red"),
                ("cost_of_goods_sold", "3.00 USD"),
                ("auto_pricing_min_price", "4.00 USD"),
                ("shipping", "US:::5 USD"),
                ("free_shipping_threshold", "US:50 USD"),
                ("ships_from_country", "US"),
                ("carrier_shipping", "US:::ups"),
                ("minimum_order_value", "US::10 USD"),
                ("included_destination", "Shopping_ads"),
                ("pause", "ads"),
            ],
            r#"{"id": "7", "title": "Lamp", "description": "Oak", "group": "g", "gtins": ["1", "2"], "sku": "M-1",
                "images": ["https://i/1,2.png", "https://i/w_1,h_2/3.png", "https://i/4.png", "http://i/5.png"],
                "attributes": {"mpn": "M-1", "color": ["black", "oak"], "size_type": ["petite", "tall"],
                    "material": "oak", "fabric": "a/b", "Socket": "E27"}}"#,
        );
        check(
            &[("structured_title", "default:Lamp"), ("structured_description", "trained_algorithmic_media:Oak")],
            r#"{"title": "Lamp", "description": "Oak"}"#,
        );
    }

    #[test]
    fn too_many_images_cost_only_themselves() {
        let urls = (1..=product_limits::IMAGES).map(|number| format!("https://i/{number}.png"));
        let urls = urls.collect::<Vec<_>>().join(",");
        let cells = [("image_link", "https://i/0.png"), ("additional_image_link", urls.as_str())];
        let row = row_with(Mapping::default(), &cells).expect("a row");
        let images = row["images"].as_array().expect("images");
        assert_eq!(images.len(), product_limits::IMAGES);
        assert_eq!((&images[0], &images[49]), (&"https://i/0.png".into(), &"https://i/49.png".into()));
    }

    #[test]
    fn the_merchants_category_stands_before_googles() {
        let google = ("google_product_category", "Home & Garden > Lighting");
        check(
            &[("product_type", "Lamps>Desk"), google],
            r#"{"category": ["Lamps", "Desk"], "attributes": {"google_product_category": "Home & Garden > Lighting"}}"#,
        );
        check(
            &[google],
            r#"{"category": ["Home & Garden", "Lighting"],
                "attributes": {"google_product_category": "Home & Garden > Lighting"}}"#,
        );
        check(&[("google_product_category", "594")], r#"{"attributes": {"google_product_category": "594"}}"#);
        check(
            &[("product_type", "A > B"), ("product_type", "C"), ("product_type", "D")],
            r#"{"category": ["A", "B"], "attributes": {"product_type": ["C", "D"]}}"#,
        );
    }

    #[test]
    fn a_sale_price_counts_while_its_interval_lasts() {
        let prices = [("price", "15.00 USD"), ("sale_price", "12.00 USD")];
        let during = |interval| [prices[0], prices[1], ("sale_price_effective_date", interval)];
        let sale = r#"{"price": "12.00 USD", "list_price": "15.00 USD"}"#;
        check(&prices, sale);
        check(&prices[..1], r#"{"price": "15.00 USD"}"#);
        check(&during("2026-02-24T11:07+0100/2026-03-02T23:07+0100"), sale);
        check(&during("2026-02-24T11:07+0100/2026-02-28T23:07+0100"), r#"{"price": "15.00 USD"}"#);
        let error = row_with(Mapping::default(), &during("always")).expect_err("no interval");
        assert!(error.starts_with("sale_price_effective_date: 'always' is no interval"), "{error}");
    }

    #[test]
    fn a_sale_price_is_above_nothing_and_below_the_price() {
        let of = |sale_price| [("price", "15.00 USD"), ("sale_price", sale_price)];
        for no_sale in ["0.00 USD", "-1.00 USD", "15.00 USD", "15 USD", "15.01 USD", "100.00 USD"] {
            check(&of(no_sale), r#"{"price": "15.00 USD"}"#);
        }
        check(&of("9.50 USD"), r#"{"price": "9.50 USD", "list_price": "15.00 USD"}"#);
        check(&of("0.01 USD"), r#"{"price": "0.01 USD", "list_price": "15.00 USD"}"#);
        // Whoever makes a product of it says what is wrong.
        check(&of("9,50 USD"), r#"{"price": "9,50 USD", "list_price": "15.00 USD"}"#);
        check(&[("sale_price", "0 USD")], "{}");
    }

    #[test]
    fn what_has_expired_is_deleted() {
        let at = |time| [("id", "7"), ("title", "Lamp"), ("mpn", "M-1"), ("expiration_date", time)];
        check(&at("2026-03-01T12:01Z"), r#"{"id": "7", "title": "Lamp", "sku": "M-1", "attributes": {"mpn": "M-1"}}"#);
        check(&at("2026-03-01T11:59Z"), r#"{"delete": "7"}"#);
        let fault = row_with(Mapping::default(), &at("soon")).expect_err("no row");
        assert!(fault.starts_with("expiration_date: 'soon' is no time"), "{fault}");
        let mapped = |text: &str| {
            let mut mapping = Mapping::default();
            mapping.add(text).expect("a mapping");
            row_with(mapping, &at("2026-03-01T11:59Z")).expect("a row")
        };
        assert!(mapped("expiration_date=ignore").contains_key("title"));
        assert_eq!(
            mapped("mpn=id"),
            Row::from_iter([("delete".to_owned(), "M-1".into())]),
            "the id that it is known by"
        );
    }

    #[test]
    fn a_mapping_stands_above_what_is_known() {
        let mut mapping = Mapping::default();
        for text in [
            "custom_label_0=popularity",
            "mpn=ignore",
            "price=attributes.regular",
            "brand=title",
            "pause=attributes.pause",
            "custom_label_1=attributes.season",
        ] {
            mapping.add(text).expect("a mapping");
        }
        let cells = [
            ("title", "Lamp"),
            ("brand", "Acme"),
            ("custom_label_0", "5"),
            ("mpn", "M"),
            ("price", "15.00 USD"),
            ("sale_price", "12.00 USD"),
            ("pause", "ads"),
            ("custom_label_1", "winter"),
            ("size", "L"),
        ];
        let expected = r#"{"title": "Acme", "popularity": "5", "price": "12.00 USD",
            "attributes": {"regular": "15.00 USD", "pause": "ads", "season": "winter", "size": "L"}}"#;
        let expected: Row = serde_json::from_str(expected).expect("an object");
        assert_eq!(row_with(mapping, &cells), Ok(expected));
    }
}
