//! From a record back to the product that it was made of: what merging segments, and comparing with what is new, need.

use jiff::Timestamp;
use serde::Deserialize;

use super::Segment;
use super::record::FragmentKey;
use crate::catalogue::PRODUCT_FIELDS;
use crate::error::Error;
use crate::money::{Decimal, Money};
use crate::product::{AttributeValue, Availability, Product, ProductId};

impl Segment {
    /// The product of a document, as it was given to the build but for what is private.
    ///
    /// # Errors
    /// When the record is not as this build writes it.
    pub fn product(&self, doc: u32) -> Result<Product, Error> {
        let record = self.record(doc);
        let corrupt =
            |what: &str| Error::corrupt("product record", format!("{}: its {what} cannot be read", record.id()));
        let id = ProductId::new(record.id()).map_err(|_| corrupt("id"))?;
        let mut product = Product::new(id, "");
        for (key, json) in record.fragments() {
            match key {
                FragmentKey::Field(place) => {
                    let field = PRODUCT_FIELDS.get(place).copied().unwrap_or_default();
                    read_field(&mut product, field, json).ok_or_else(|| corrupt(field))?;
                }
                FragmentKey::Attribute(number) => {
                    let name = self.attribute_names.get(number).ok_or_else(|| corrupt("attributes"))?;
                    let value = read_attribute(json).ok_or_else(|| corrupt(name))?;
                    product.attributes.insert(name.clone(), value);
                }
            }
        }
        Ok(product)
    }
}

fn read<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

fn read_field(product: &mut Product, field: &str, json: &[u8]) -> Option<()> {
    match field {
        "id" => {}
        "sku" => product.sku = Some(read(json)?),
        "title" => product.title = read(json)?,
        "description" => product.description = Some(read(json)?),
        "brand" => product.brand = Some(read(json)?),
        "gtins" => product.gtins = read(json)?,
        "category" => product.category = read(json)?,
        "price" => product.price = Some(read_money(json)?),
        "list_price" => product.list_price = Some(read_money(json)?),
        "availability" => product.availability = Availability::parse(&read::<String>(json)?)?,
        "rating" => product.rating_hundredths = u16::try_from(read_number(json, 2)?).ok(),
        "rating_count" => product.rating_count = read(json)?,
        "popularity" => product.popularity_thousandths = Some(read_number(json, 3)?),
        "images" => product.images = read(json)?,
        "link" => product.link = Some(read(json)?),
        "group" => product.variant_group = Some(read(json)?),
        "updated_at" => product.updated_at_s = Some(read::<String>(json)?.parse::<Timestamp>().ok()?.as_second()),
        _ => return None,
    }
    Some(())
}

fn read_money(json: &[u8]) -> Option<Money> {
    #[derive(Deserialize)]
    struct Amount {
        amount_minor: i64,
        currency: String,
    }
    let amount: Amount = read(json)?;
    Some(Money::from_minor(amount.amount_minor, amount.currency.parse().ok()?))
}

/// A decimal as so many parts of one.
fn read_number(json: &[u8], decimals: u8) -> Option<i64> {
    Decimal::parse(std::str::from_utf8(json).ok()?)?.rounded_at(decimals)
}

fn read_attribute(json: &[u8]) -> Option<AttributeValue> {
    match json.first()? {
        b'[' => read(json).map(AttributeValue::Many),
        _ => read(json).map(AttributeValue::One),
    }
}
