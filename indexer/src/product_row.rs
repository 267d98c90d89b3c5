//! From a row to a product: every value is read exactly, and every fault names its field.

use serde_json::Value;
use snapshots::{
    AttributeValue, Availability, CATEGORY_SEPARATOR, Catalogue, Currency, Decimal, Money, Product, ProductError,
    ProductId,
};

use crate::source::Row;

/// Fields of a row that are not attributes. Anything else at the top becomes an attribute.
const KNOWN: [&str; 22] = [
    "id",
    "sku",
    "title",
    "description",
    "brand",
    "gtins",
    "gtin",
    "category",
    "categories",
    "price",
    "list_price",
    "currency",
    "availability",
    "rating",
    "rating_count",
    "popularity",
    "images",
    "image",
    "link",
    "group",
    "updated_at",
    "attributes",
];

/// Reads a row as a product of the catalogue.
///
/// # Errors
/// Names the first field at fault and says why.
pub fn product_of(row: &Row, catalogue: &Catalogue) -> Result<Product, ProductError> {
    let reader = RowReader { row };
    let id = reader.text("id")?.ok_or_else(|| ProductError::new("id", "is missing"))?;
    let title = reader.text("title")?.ok_or_else(|| ProductError::new("title", "is missing"))?;
    let mut product = Product::new(ProductId::new(id)?, title);
    product.sku = reader.text("sku")?;
    product.description = reader.text("description")?;
    product.brand = reader.text("brand")?;
    product.gtins = reader.list(&["gtins", "gtin"])?;
    product.category = reader.category()?;
    let currency = match reader.text("currency")? {
        Some(code) => code.parse::<Currency>().map_err(|error| ProductError::new("currency", error.to_string()))?,
        None => catalogue.currency,
    };
    product.price = reader.money("price", currency)?;
    product.list_price = reader.money("list_price", currency)?;
    if let Some(text) = reader.text("availability")? {
        let known = "none of in_stock, preorder, backorder, out_of_stock";
        let availability = Availability::parse(&text);
        product.availability =
            availability.ok_or_else(|| ProductError::new("availability", format!("'{text}' is {known}")))?;
    }
    let rating = reader.number("rating", 2)?;
    product.rating_hundredths = rating.map(|rating| u16::try_from(rating).unwrap_or(u16::MAX));
    if let Some(count) = reader.number("rating_count", 0)? {
        let out_of_range = |_| ProductError::new("rating_count", format!("{count} is out of range"));
        product.rating_count = u32::try_from(count).map_err(out_of_range)?;
    }
    product.popularity_thousandths = reader.number("popularity", 3)?;
    product.images = reader.list(&["images", "image"])?;
    product.link = reader.text("link")?;
    product.variant_group = reader.text("group")?;
    product.updated_at_s = reader.time("updated_at")?;
    reader.attributes(&mut product)?;
    product.validate(catalogue)?;
    // What is private ends here: it is not even in a temporary file.
    product.attributes.retain(|name, _| !catalogue.private_attributes.contains(name));
    Ok(product)
}

struct RowReader<'a> {
    row: &'a Row,
}

impl RowReader<'_> {
    fn value(&self, field: &str) -> Option<&Value> {
        self.row.get(field).filter(|value| !value.is_null())
    }

    /// A text, or a number as its digits. What is empty is absent.
    fn text(&self, field: &str) -> Result<Option<String>, ProductError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let text = scalar(value).ok_or_else(|| ProductError::new(field, "must be a text"))?;
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// Several texts under the first of these names that is there; one text alone is a list of one.
    fn list(&self, fields: &[&str]) -> Result<Vec<String>, ProductError> {
        let Some(field) = fields.iter().find(|field| self.value(field).is_some()) else { return Ok(Vec::new()) };
        list_of(field, &self.row[*field])
    }

    /// A path as a list of levels, or as one text with " > " between them.
    fn category(&self) -> Result<Vec<String>, ProductError> {
        let levels = self.list(&["category", "categories"])?;
        match levels.as_slice() {
            [path] => Ok(path.split(CATEGORY_SEPARATOR).map(|level| level.trim().to_owned()).collect()),
            _ => Ok(levels),
        }
    }

    /// A decimal in major units; a text may have its currency behind it, as merchant feeds do ("15.00 USD").
    fn money(&self, field: &str, currency: Currency) -> Result<Option<Money>, ProductError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let fault = |error: snapshots::MoneyError| ProductError::new(field, error.to_string());
        let (amount, currency) = match text.split_once(' ') {
            Some((amount, code)) => (amount, code.trim().parse().map_err(fault)?),
            None => (text.as_str(), currency),
        };
        Money::parse_major(amount, currency).map(Some).map_err(fault)
    }

    fn number(&self, field: &str, decimals: u8) -> Result<Option<i64>, ProductError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let exact = Decimal::parse(&text).and_then(|decimal| decimal.rounded_at(decimals));
        match exact.or_else(|| from_scientific(&text, decimals)) {
            Some(number) => Ok(Some(number)),
            None => Err(ProductError::new(field, format!("'{text}' is not a decimal number"))),
        }
    }

    /// Seconds since 1970, or a time as RFC 3339 writes it.
    fn time(&self, field: &str) -> Result<Option<i64>, ProductError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        if let Ok(seconds) = text.parse::<i64>() {
            return Ok(Some(seconds));
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Some(time.as_second())),
            Err(_) => Err(ProductError::new(field, format!("'{text}' is no time such as 2026-01-31T12:00:00Z"))),
        }
    }

    fn attributes(&self, product: &mut Product) -> Result<(), ProductError> {
        match self.value("attributes") {
            None => {}
            Some(Value::Object(entries)) => {
                for (name, value) in entries {
                    put_attribute(product, name, value)?;
                }
            }
            Some(_) => return Err(ProductError::new("attributes", "must be an object")),
        }
        for (name, value) in self.row.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())) {
            put_attribute(product, name, value)?;
        }
        Ok(())
    }
}

/// Reads "1.5e3", as some programs write large and small numbers. Never used for money.
fn from_scientific(text: &str, decimals: u8) -> Option<i64> {
    let scaled = text.parse::<f64>().ok()? * 10_f64.powi(i32::from(decimals));
    (scaled.abs() < 9e15).then_some(scaled.round() as i64)
}

fn put_attribute(product: &mut Product, name: &str, value: &Value) -> Result<(), ProductError> {
    let field = format!("attributes.{name}");
    let value = match value {
        Value::Null => return Ok(()),
        Value::Array(_) => AttributeValue::Many(list_of(&field, value)?),
        other => {
            let text = scalar(other).ok_or_else(|| ProductError::new(&field, "must be a text or a list"))?;
            AttributeValue::One(text.trim().to_owned())
        }
    };
    if value.values().iter().any(|value| !value.is_empty()) {
        product.attributes.insert(name.to_owned(), value);
    }
    Ok(())
}

fn list_of(field: &str, value: &Value) -> Result<Vec<String>, ProductError> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let text = |value| scalar(value).ok_or_else(|| ProductError::new(field, "must be a list of texts"));
    let mut texts = values.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    texts.iter_mut().for_each(|text| *text = text.trim().to_owned());
    texts.retain(|text| !text.is_empty());
    Ok(texts)
}

/// A text; numbers keep the digits they were written with, so that 28.99 never passes through a float.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Product, ProductError> {
        let catalogue = Catalogue::parse("name = \"t\"\ncurrency = \"USD\"").expect("valid settings");
        product_of(&serde_json::from_str(json).expect("an object"), &catalogue)
    }

    #[test]
    fn private_attributes_end_here() {
        let settings = "name = \"t\"\ncurrency = \"USD\"\n[attributes]\nprivate = [\"cost\"]";
        let catalogue = Catalogue::parse(settings).expect("valid settings");
        let row = r#"{"id": 1, "title": "x", "cost": "7", "attributes": {"cost": 8, "a": " b "}}"#;
        let product = product_of(&serde_json::from_str(row).expect("an object"), &catalogue).expect("a product");
        assert_eq!(product.attributes, [("a".to_owned(), AttributeValue::One("b".into()))].into());
    }

    #[test]
    fn a_row_becomes_a_product() {
        let product = read(
            r#"{"id": 7, "title": " Lamp ", "price": 28.99, "list_price": "30.00 usd", "gtin": "123",
                "category": "Home > Light", "rating": 4.567, "rating_count": "12", "availability": "in stock", "image": "i.png",
                "updated_at": "2026-01-01T00:00:00Z", "popularity": 1.5e2, "attributes": {"color": ["red", "blue"], "none": null}, "wattage": 5}"#,
        )
        .expect("a product");
        assert_eq!((product.id.as_str(), product.title.as_str()), ("7", "Lamp"));
        assert_eq!(product.price.map(Money::amount_minor), Some(2899));
        assert_eq!(product.list_price.map(Money::amount_minor), Some(3000));
        assert_eq!(product.category, ["Home", "Light"]);
        assert_eq!((product.rating_hundredths, product.rating_count), (Some(457), 12));
        assert_eq!(product.popularity_thousandths, Some(150_000));
        assert_eq!(product.updated_at_s, Some(1_767_225_600));
        let names: Vec<&str> = product.attributes.keys().map(String::as_str).collect();
        assert_eq!(names, ["color", "wattage"]);
    }

    #[test]
    fn faults_name_the_field() {
        let check = |json: &str, field: &str, reason: &str| {
            let error = read(json).expect_err(json);
            assert_eq!(error.field, field, "{error}");
            assert!(error.reason.contains(reason), "{error}");
        };
        check(r#"{"title": "x"}"#, "id", "is missing");
        check(r#"{"id": "a,b", "title": "x"}"#, "id", "comma");
        check(r#"{"id": "a", "title": "  "}"#, "title", "is missing");
        check(r#"{"id": "a", "title": {}}"#, "title", "must be a text");
        check(r#"{"id": "a", "title": "x", "price": "12,50"}"#, "price", "'12,50' is not a decimal");
        check(r#"{"id": "a", "title": "x", "price": 1.234}"#, "price", "more than the 2 decimals");
        check(r#"{"id": "a", "title": "x", "price": "5 EUR"}"#, "price", "is in EUR");
        check(r#"{"id": "a", "title": "x", "price": -1}"#, "price", "is negative");
        check(r#"{"id": "a", "title": "x", "price": 1e2}"#, "price", "'1e+2' is not a decimal");
        check(r#"{"id": "a", "title": "x", "rating": 7}"#, "rating", "from 0 to 5");
        check(r#"{"id": "a", "title": "x", "availability": "soon"}"#, "availability", "'soon' is none of");
        check(r#"{"id": "a", "title": "x", "updated_at": 1767225600000}"#, "updated_at", "milliseconds");
        check(r#"{"id": "a", "title": "x", "updated_at": "today"}"#, "updated_at", "no time");
        check(r#"{"id": "a", "title": "x", "attributes": {"a": {}}}"#, "attributes.a", "must be a text or a list");
    }
}
