//! A made-up shop for demos, tests and benchmarks: the same number of products and seed give the same bytes.
//!
//! Nothing here is real: brands, articles, prices and pictures are this project's own, and every product says that it
//! is synthetic.

mod pictures;
mod words;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::progress::Progress;
use words::{ADJECTIVES, BRANDS, COLORS, Color, DEPARTMENTS, LINES, TYPES, Type};

/// Writes `catalogue.toml`, `rules.toml`, `products.jsonl`, `stock.csv` and `pictures/` into a folder.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, products: u64, seed: u64, progress: &mut Progress) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    std::fs::write(folder.join("catalogue.toml"), CATALOGUE).with_context(|| folder.display().to_string())?;
    std::fs::write(folder.join("rules.toml"), RULES).with_context(|| folder.display().to_string())?;
    pictures::write(&folder.join("pictures"))?;
    let path = folder.join("products.jsonl");
    let mut out = BufWriter::new(File::create(&path).with_context(|| path.display().to_string())?);
    let stock_path = folder.join("stock.csv");
    let mut stock = BufWriter::new(File::create(&stock_path).with_context(|| stock_path.display().to_string())?);
    writeln!(stock, "product,quantity,reason").with_context(|| stock_path.display().to_string())?;
    // Of its own, so that what products are does not depend on how many there are of each.
    let mut quantities = Random(!seed);
    progress.begin("demo", "products", Some(products));
    for (number, product) in Shop::new(seed).take(products as usize).enumerate() {
        writeln!(out, "{product}").with_context(|| path.display().to_string())?;
        let quantity = if product["availability"] == "out_of_stock" { 0 } else { 1 + quantities.below(200) };
        let id = product["id"].as_str().unwrap_or_default();
        writeln!(stock, "{id},{quantity},demo").with_context(|| stock_path.display().to_string())?;
        progress.at(number as u64);
    }
    out.flush().with_context(|| path.display().to_string())?;
    stock.flush().with_context(|| stock_path.display().to_string())?;
    progress.end();
    Ok(())
}

const CATALOGUE: &str = include_str!("catalogue.toml");
const RULES: &str = include_str!("rules.toml");

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, but without, `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// An endless row of products, article by article.
struct Shop {
    random: Random,
    article: u64,
    /// Variants of the current article that are still to come, last first.
    pending: Vec<Value>,
}

/// What the variants of an article share.
struct Article {
    number: u64,
    kind: &'static Type,
    brand: &'static str,
    name: String,
    material: &'static str,
    price_minor: i64,
    list_price_minor: Option<i64>,
    rating: f64,
    rating_count: u64,
    popularity: f64,
    number_value: Option<f64>,
    updated_at: i64,
}

impl Shop {
    fn new(seed: u64) -> Self {
        Self { random: Random(seed), article: 0, pending: Vec::new() }
    }

    fn article(&mut self) -> Article {
        self.article += 1;
        let random = &mut self.random;
        let kind = random.pick(TYPES);
        // Every ninth brand is at home in the type's department.
        let at_home: Vec<&'static str> =
            BRANDS.iter().copied().skip(kind.department()).step_by(DEPARTMENTS.len()).collect();
        let brand = *if random.share() < 0.85 { random.pick(&at_home) } else { random.pick(BRANDS) };
        let material = random.pick(kind.materials);
        let (low, high) = kind.price;
        let price = (low.ln() + random.share() * (high.ln() - low.ln())).exp();
        // Prices end in 9: 12.99, 249.00.
        let price_minor = if price < 100.0 { price as i64 * 100 + 99 } else { (price / 10.0) as i64 * 1000 + 900 };
        let list_price_minor =
            (random.share() < 0.25).then(|| price_minor * (110 + random.below(50) as i64) / 100 / 10 * 10 + 9);
        // Few articles sell a lot, most sell little (a Pareto tail), and votes follow sales.
        let popularity = (1.0 / (1.0 - random.share() * 0.9999)).powf(0.9) * 2.0;
        let rating_count = (popularity * random.share() * 3.0) as u64;
        let rating = 5.0 - (random.share() * random.share()) * 3.0;
        let name = match random.share() < 0.6 {
            true => format!("{} {}", random.pick(LINES), random.pick(ADJECTIVES)),
            false => format!("{} {}", random.pick(LINES), 100 + random.below(900)),
        };
        let number_value = kind.number.map(|(_, values)| *random.pick(values));
        let updated_at = 1_735_689_600 + (random.share() * 31_536_000.0) as i64;
        let number = self.article;
        let material = *material;
        Article {
            number,
            kind,
            brand,
            name,
            material,
            price_minor,
            list_price_minor,
            rating,
            rating_count,
            popularity,
            number_value,
            updated_at,
        }
    }

    fn variants(&mut self) -> Vec<Value> {
        let article = self.article();
        let random = &mut self.random;
        let color_count = 1 + random.below(if article.kind.sizes.is_empty() { 5 } else { 4 });
        let first = random.below(COLORS.len());
        let mut variants = Vec::new();
        for color in 0..color_count {
            let color = &COLORS[(first + color * 5) % COLORS.len()];
            let sizes = if article.kind.sizes.is_empty() { &[""][..] } else { article.kind.sizes };
            let offered = random.below(2)..sizes.len() - random.below(2);
            let offered = if offered.len() > 1 { &sizes[offered] } else { &sizes[..1] };
            for size in offered {
                variants.push(article.variant(color, size, variants.len(), random));
            }
        }
        if variants.len() == 1
            && let Some(only) = variants[0].as_object_mut()
        {
            only.remove("group");
        }
        variants.reverse();
        variants
    }
}

impl Iterator for Shop {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        if self.pending.is_empty() {
            self.pending = self.variants();
        }
        self.pending.pop()
    }
}

impl Article {
    fn variant(&self, color: &Color, size: &str, place: usize, random: &mut Random) -> Value {
        let id = format!("{}-{place}", 10_000 + self.number);
        let mut title = format!("{} {} {} {}", self.brand, self.name, self.material, self.kind.name);
        if let (Some((unit, _)), Some(value)) = (self.kind.number, self.number_value) {
            title = format!("{title} {value} {}", unit.rsplit('_').next().unwrap_or(unit));
        }
        title = format!("{title}, {}", color.name);
        let stock = random.share();
        let availability = match () {
            () if stock < 0.90 => "in_stock",
            () if stock < 0.94 => "preorder",
            () => "out_of_stock",
        };
        let mut attributes = Map::new();
        attributes.insert("color".into(), color.name.into());
        attributes.insert("material".into(), self.material.into());
        if !size.is_empty() {
            attributes.insert("size".into(), size.into());
            title = format!("{title}, {size}");
        }
        if let (Some((unit, _)), Some(value)) = (self.kind.number, self.number_value) {
            attributes.insert(unit.into(), json!(value.to_string()));
        }
        let features = self.kind.features;
        let first = random.below(features.len());
        let second = (first + 1 + random.below(features.len() - 1)) % features.len();
        attributes.insert("features".into(), json!([features[first], features[second]]));
        attributes.insert("synthetic".into(), "true".into());
        // Feeds carry what a thing costs the shop; it must never reach a shopper.
        attributes.insert("cost_of_goods".into(), json!(major(self.price_minor * 55 / 100)));
        let mut product = json!({
            "id": id, "sku": format!("{}-{}", self.kind.code, id), "title": title,
            "description": self.description(color, [features[first], features[second]], random), "brand": self.brand, "gtins": [gtin(self.number * 100 + place as u64)],
            "category": self.kind.path, "price": major(self.price_minor), "currency": "USD", "availability": availability,
            "popularity": format!("{:.3}", self.popularity / (1.0 + place as f64)),
            "images": [format!("/pictures/{}-{}.svg", self.kind.shape, color.name)], "link": format!("/?id={id}"),
            "group": format!("article-{}", self.number), "updated_at": self.updated_at, "attributes": attributes,
        });
        if let Some(fields) = product.as_object_mut() {
            if let Some(list_price) = self.list_price_minor {
                fields.insert("list_price".into(), major(list_price).into());
            }
            if self.rating_count > 0 {
                fields.insert("rating".into(), format!("{:.2}", self.rating).into());
                fields.insert("rating_count".into(), self.rating_count.into());
            }
        }
        product
    }

    fn description(&self, color: &Color, [feature, other]: [&str; 2], random: &mut Random) -> String {
        format!(
            "{} in {} {}, made by {}: {feature} and {other}. {} Synthetic product of the Vitrine demo shop.",
            self.kind.name,
            color.name,
            self.material.to_lowercase(),
            self.brand,
            random.pick(words::SENTENCES),
        )
    }
}

fn major(amount_minor: i64) -> String {
    format!("{}.{:02}", amount_minor / 100, amount_minor % 100)
}

/// A GTIN-13 from the range that is kept for numbers inside a shop (prefix 29), with its check digit.
fn gtin(number: u64) -> String {
    let digits = format!("29{number:010}");
    let sum: u32 =
        digits.bytes().enumerate().map(|(place, b)| u32::from(b - b'0') * if place % 2 == 0 { 1 } else { 3 }).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product_row::product_of;
    use snapshots::Catalogue;
    use std::collections::HashSet;

    #[test]
    fn the_shop_is_sound_and_always_the_same() {
        let catalogue = Catalogue::parse(CATALOGUE).expect("valid settings");
        let mut ids = HashSet::new();
        let rows: Vec<Value> = Shop::new(7).take(5_000).collect();
        assert_eq!(rows.len(), 5_000);
        for row in rows {
            let row = row.as_object().expect("an object");
            let product = product_of(row, &catalogue).expect("a sound product");
            assert_eq!(product.gtins[0].len(), 13);
            assert!(ids.insert(product.id), "ids are distinct");
        }
        let some = |seed| Shop::new(seed).take(50).map(|row| row.to_string()).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        assert_eq!(search::Rules::parse(RULES, &catalogue, None).expect("sound rules").count(), 2);
    }

    #[test]
    fn check_digits_are_right() {
        assert_eq!(gtin(7_312_345_678), "2973123456789");
    }
}
