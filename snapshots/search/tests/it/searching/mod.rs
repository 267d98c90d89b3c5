//! What a shopper sees: small shops with known products.

mod fields;
mod languages;
mod matching;
mod spellings;

use search::{Index, RawRequest};
use snapshots::{Money, Product, ProductId};

use crate::support::{Shop, open_shop, search};

const SETTINGS: &str = r#"
    name = "small"
    currency = "USD"
    [[facets]]
    name = "brand"
    [[facets]]
    name = "category"
    [attributes]
    private = ["cost_of_goods"]
"#;

const PLAIN: &str = "name = \"plain\"\ncurrency = \"USD\"\n";

/// One product with all words is enough: what is looser is found only where that is what is tested.
const STRICT: &str = "name = \"strict\"\ncurrency = \"USD\"\n[search]\nmin_results = 1\n";

fn product(id: &str, title: &str, popularity: i64) -> Product {
    let mut product = Product::new(ProductId::new(id).expect("an id"), title);
    product.popularity_thousandths = Some(popularity * 1000);
    product.price = Some(Money::from_minor(1999, "USD".parse().expect("a currency")));
    product
}

/// A shop with these titles and nothing else; ids are their places.
fn titles(settings: &str, titles: &[&str]) -> Shop {
    let products = titles.iter().enumerate();
    let products =
        products.map(|(number, title)| Product::new(ProductId::new(number.to_string()).expect("an id"), *title));
    open_shop(settings, vec![(products.collect(), Vec::new())])
}

fn strict(locale: &str, all: &[&str]) -> Shop {
    titles(&format!("locale = \"{locale}\"\n{STRICT}"), all)
}

fn ids(index: &Index, q: &str) -> Vec<String> {
    search(index, RawRequest { q: q.into(), ..Default::default() }).ids
}

fn check_finds(shop: &Shop, queries: &[&str], expected: &str) {
    for q in queries {
        let found = ids(&shop.index, q);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{q}: {found:?}");
    }
}

/// As [`check_finds`], where nothing else is found, no word is left out, and none is lacking.
fn check_finds_whole(shop: &Shop, queries: &[&str], expected: &str) {
    for q in queries {
        let found = search(&shop.index, RawRequest { q: (*q).into(), ..Default::default() });
        assert_eq!((found.ids, found.dropped), (vec![expected.to_owned()], Vec::new()), "{q}");
        assert_eq!(found.missing, [Vec::<String>::new()], "{q}");
    }
}
