//! Over random catalogues, splits into segments, queries and filters, an answer equals a plain reading of the products.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use search::RawRequest;
use snapshots::{AttributeValue, CATEGORY_SEPARATOR, Catalogue, FacetKind, Money, Product, ProductId};

use crate::support::{Found, Outdated, open_shop, open_shop_with_rules, search};

const SETTINGS: &str = r#"
    name = "random"
    currency = "EUR"
    [search]
    min_results = 3
    fields = [{ name = "title", weight = 3, length = 3 }, { name = "brand", weight = 2, length = 1 }]
    [[facets]]
    name = "brand"
    [[facets]]
    name = "category"
    [[facets]]
    name = "color"
    order = "value"
    [[facets]]
    name = "price"
    [[facets]]
    name = "size"
    kind = "number"
    decimals = 1
    [[sorts]]
    name = "cheap"
    by = "price"
    order = "asc"
    [[sorts]]
    name = "large"
    by = "size"
    order = "desc"
"#;

const WORDS: [&str; 8] = ["red", "redder", "shoe", "shoes", "shoelace", "a", "ab", "lamp"];
const BRANDS: [&str; 3] = ["Acme", "acme", "Lamp"];
const COLORS: [&str; 4] = ["blue", "green", "red", "\"odd\" one"];
const LEVELS: [&str; 3] = ["Home", "Home & Co", "Garden"];

fn product() -> impl Strategy<Value = Product> {
    let title = prop::collection::vec(prop::sample::select(&WORDS[..]), 1..4);
    let brand = prop::option::of(prop::sample::select(&BRANDS[..]));
    let category = prop::collection::vec(prop::sample::select(&LEVELS[..]), 0..4);
    let colors = prop::collection::vec(prop::sample::select(&COLORS[..]), 0..3);
    let group = prop::option::of(0..6);
    let numbers = (prop::option::of(0_i64..2000), prop::option::of(0_u32..99), prop::option::of(0_i64..3));
    let parts = (title, brand, category, colors, group, numbers);
    parts.prop_map(|(title, brand, category, colors, group, (price, size, popularity))| {
        let mut product = Product::new(ProductId::new("set later").expect("an id"), title.join(" "));
        product.brand = brand.map(str::to_owned);
        product.category = category.into_iter().map(str::to_owned).collect();
        let colors = colors.into_iter().map(str::to_owned).collect();
        product.attributes.insert("color".into(), AttributeValue::Many(colors));
        if let Some(size) = size {
            product.attributes.insert("size".into(), AttributeValue::One(format!("{}.{}", size / 10, size % 10)));
        }
        product.variant_group = group.map(|group| format!("g{group}"));
        product.price = price.map(|price| Money::from_minor(price, "EUR".parse().expect("a currency")));
        product.popularity_thousandths = popularity.map(|popularity| popularity * 1000);
        product
    })
}

/// A condition that can be written as a filter and asked of a product.
#[derive(Clone, Debug)]
enum Condition {
    Brand(&'static str),
    Color(&'static str),
    Category(Vec<&'static str>),
    Price(&'static str, i64),
    Size(i64, i64),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        prop::sample::select(&BRANDS[..]).prop_map(Condition::Brand),
        prop::sample::select(&COLORS[..]).prop_map(Condition::Color),
        prop::collection::vec(prop::sample::select(&LEVELS[..]), 1..3).prop_map(Condition::Category),
        (prop::sample::select(&["<", "<=", "=", "!=", ">=", ">"][..]), 0_i64..2000)
            .prop_map(|(operator, amount)| Condition::Price(operator, amount)),
        (0_i64..99, 0_i64..99).prop_map(|(low, high)| Condition::Size(low, high)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Condition::Not(Box::new(inner))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::And),
            // One alternative in brackets reads as itself, so there are always two.
            prop::collection::vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
}

impl Condition {
    fn write(&self) -> String {
        let join = |parts: &[Self], word: &str| {
            format!("({})", parts.iter().map(Self::write).collect::<Vec<_>>().join(&format!(" {word} ")))
        };
        let quote = |text: &str| format!("\"{}\"", text.replace('"', "\\\""));
        match self {
            Self::Brand(brand) => format!("brand:{}", quote(brand)),
            Self::Color(color) => format!("color:{}", quote(color)),
            Self::Category(levels) => format!("category:{}", quote(&levels.join(CATEGORY_SEPARATOR))),
            Self::Price(operator, amount) => format!("price{operator}{}.{:02}", amount / 100, amount % 100),
            Self::Size(low, high) => format!("size:{}.{} TO {}.{}", low / 10, low % 10, high / 10, high % 10),
            Self::Not(inner) => format!("NOT {}", inner.write()),
            Self::And(parts) => join(parts, "AND"),
            Self::Or(parts) => join(parts, "OR"),
        }
    }

    fn holds(&self, product: &Product) -> bool {
        match self {
            Self::Brand(brand) => product.brand.as_deref() == Some(*brand),
            Self::Color(color) => product.attributes["color"].values().iter().any(|value| value == color),
            Self::Category(levels) => {
                product.category.len() >= levels.len() && product.category[..levels.len()] == *levels
            }
            Self::Price(operator, amount) => {
                let price = product.price.map(Money::amount_minor);
                match *operator {
                    "<" => price.is_some_and(|price| price < *amount),
                    "<=" => price.is_some_and(|price| price <= *amount),
                    "=" => price == Some(*amount),
                    "!=" => price != Some(*amount),
                    ">=" => price.is_some_and(|price| price >= *amount),
                    _ => price.is_some_and(|price| price > *amount),
                }
            }
            Self::Size(low, high) => size(product).is_some_and(|size| (*low..=*high).contains(&size)),
            Self::Not(inner) => !inner.holds(product),
            Self::And(parts) => parts.iter().all(|part| part.holds(product)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(product)),
        }
    }

    /// The conjuncts of a filter, and the facet that all of a conjunct's conditions are about.
    fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(parts) => parts.iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }

    fn subjects(&self) -> BTreeSet<&'static str> {
        match self {
            Self::Brand(_) => ["brand"].into(),
            Self::Color(_) => ["color"].into(),
            Self::Category(_) => ["category"].into(),
            Self::Price(..) => ["price"].into(),
            Self::Size(..) => ["size"].into(),
            Self::Not(inner) => inner.subjects(),
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::subjects).collect(),
        }
    }
}

fn size(product: &Product) -> Option<i64> {
    let value = product.attributes.get("size")?.values()[0].replace('.', "");
    value.parse().ok()
}

/// The words of the sample have one plural among them.
fn stem(word: &str) -> &str {
    if word == "shoes" { "shoe" } else { word }
}

fn text_words(product: &Product) -> Vec<String> {
    let text = format!("{} {}", product.title, product.brand.as_deref().unwrap_or("")).to_lowercase();
    text.split_whitespace().map(str::to_owned).collect()
}

/// What a plain reading makes of a query: the words that are looked for, and who has which of them.
struct Reading<'a> {
    words: Vec<&'a str>,
    /// The last of them may be unfinished.
    has_prefix: bool,
    /// The last word is one as it stands.
    last_is_known: bool,
}

impl<'a> Reading<'a> {
    /// `all` are the products that the index knows, outdated ones among them.
    fn new(query: &[&'a str], all: &[&Product]) -> Self {
        let has_prefix = query.last() != Some(&"a") || query.len() == 1;
        // "a" says nothing, unless it is all there is.
        let words: Vec<&str> = query.iter().copied().filter(|word| *word != "a" || query.len() == 1).collect();
        let any =
            |test: &dyn Fn(&str) -> bool| all.iter().any(|product| text_words(product).iter().any(|word| test(word)));
        let last = words.last().copied().unwrap_or_default();
        let is_known = |word: &str| any(&|one| stem(one) == stem(word));
        let last_is_known = is_known(last);
        let is_found =
            |word: &&str| is_known(word) || (has_prefix && *word == last && any(&|one| one.starts_with(last)));
        let found: Vec<&str> = words.iter().copied().filter(is_found).collect();
        // No product has any of the words: nothing is found, whatever is dropped.
        let has_prefix = has_prefix && found.last() == words.last();
        let words = if found.is_empty() { words } else { found };
        Self { words, has_prefix, last_is_known }
    }

    /// The words that a product has, and whether it has all of those as they stand.
    fn has(&self, product: &Product) -> (u32, bool) {
        let text = text_words(product);
        let (mut bits, mut weak) = (0, false);
        for (place, wanted) in self.words.iter().enumerate() {
            let exact = text.iter().any(|word| stem(word) == stem(wanted));
            let is_last = place + 1 == self.words.len();
            let prefix = self.has_prefix && is_last && text.iter().any(|word| word.starts_with(wanted));
            bits |= u32::from(exact || prefix) << place;
            weak |= !exact && prefix && self.last_is_known;
        }
        (bits, weak)
    }

    fn lacking(&self, has: u32) -> usize {
        self.words.len() - has.count_ones() as usize
    }

    /// How many words a hit may lack.
    fn allowed(&self, products: &[Product]) -> usize {
        let strong = |lacks: usize| {
            let has = products.iter().map(|product| self.has(product));
            has.filter(|(has, weak)| self.lacking(*has) <= lacks && *has != 0 && !weak).count()
        };
        match self.words.len() {
            0 | 1 => 0,
            _ if strong(0) >= 3 => 0,
            2 => 1,
            _ if strong(1) >= 3 => 1,
            words => words - 1,
        }
    }
}

/// What counts as one where variants are folded: the group, or the product alone.
fn unit(product: &Product) -> &str {
    product.variant_group.as_deref().unwrap_or(product.id.as_str())
}

/// The products that a request finds, with the words each lacks.
fn expected_hits<'a>(
    products: &'a [Product],
    reading: &Reading<'_>,
    passes: impl Fn(&Product) -> bool,
) -> Vec<(&'a Product, u32)> {
    if reading.words.is_empty() {
        return products.iter().filter(|product| passes(product)).map(|product| (product, 0)).collect();
    }
    let allowed = reading.allowed(products);
    let all = products.iter().map(|product| (product, reading.has(product).0));
    all.filter(|(product, has)| *has != 0 && reading.lacking(*has) <= allowed && passes(product)).collect()
}

fn check_facets(
    found: &Found,
    products: &[Product],
    reading: &Reading<'_>,
    filter: Option<&Condition>,
    is_distinct: bool,
) {
    let unit = |product: &Product| if is_distinct { unit(product).to_owned() } else { product.id.to_string() };
    let catalogue = Catalogue::parse(SETTINGS).expect("valid settings");
    let conjuncts = filter.map(Condition::conjuncts).unwrap_or_default();
    for answer in &found.facets {
        let facet = &catalogue.facets[answer.facet];
        // A refined facet counts as if it were not refined.
        let others = conjuncts.iter().filter(|part| part.subjects() != BTreeSet::from([facet.name.as_str()]));
        let others: Vec<_> = others.collect();
        let counted = expected_hits(products, reading, |product| others.iter().all(|part| part.holds(product)));
        match facet.kind {
            FacetKind::Number { .. } => {
                let number = |product: &Product| match facet.name.as_str() {
                    "price" => product.price.map(Money::amount_minor),
                    _ => size(product),
                };
                let values = counted.iter().filter_map(|(product, _)| Some((unit(product), number(product)?)));
                let values: BTreeSet<(String, i64)> = values.collect();
                let values: Vec<i64> = values.into_iter().map(|(_, number)| number).collect();
                let stats = answer.stats.map(|stats| (stats.min, stats.max, stats.sum, stats.count as usize));
                let sum = values.iter().map(|value| i128::from(*value)).sum();
                let expected = values.iter().min().zip(values.iter().max());
                assert_eq!(stats, expected.map(|(min, max)| (*min, *max, sum, values.len())), "{}", facet.name);
            }
            _ => {
                let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                let mut pairs: BTreeSet<(String, String)> = BTreeSet::new();
                for (product, _) in &counted {
                    let values: BTreeSet<String> = match facet.name.as_str() {
                        "brand" => product.brand.iter().cloned().collect(),
                        "category" => product.category_paths().collect(),
                        _ => product.attributes["color"].values().iter().cloned().collect(),
                    };
                    pairs.extend(values.into_iter().map(|value| (unit(product), value)));
                }
                pairs.into_iter().for_each(|(_, value)| *counts.entry(value).or_default() += 1);
                if facet.name == "category" {
                    let open = wanted_paths(filter);
                    counts.retain(|path, _| {
                        path.rsplit_once(CATEGORY_SEPARATOR).is_none_or(|(parent, _)| {
                            open.iter().any(|open| {
                                open == parent || open.starts_with(&format!("{parent}{CATEGORY_SEPARATOR}"))
                            })
                        })
                    });
                }
                let mut expected: Vec<(String, u64)> = counts.into_iter().collect();
                if facet.name != "color" {
                    expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                }
                assert_eq!(answer.values, expected, "{}", facet.name);
            }
        }
    }
}

fn wanted_paths(filter: Option<&Condition>) -> Vec<String> {
    match filter {
        Some(Condition::Category(levels)) => vec![levels.join(CATEGORY_SEPARATOR)],
        Some(Condition::And(parts) | Condition::Or(parts)) => {
            parts.iter().flat_map(|part| wanted_paths(Some(part))).collect()
        }
        _ => Vec::new(),
    }
}

fn check_order(ids: &[String], hits: &[(&Product, u32)], reading: &Reading<'_>, sort: Option<&str>) {
    let Some(sort) = sort else { return };
    let mut expected: Vec<&(&Product, u32)> = hits.iter().collect();
    expected.sort_by_key(|(product, has)| {
        let key = match sort {
            "cheap" => product.price.map_or((true, 0), |price| (false, price.amount_minor())),
            _ => size(product).map_or((true, 0), |size| (false, -size)),
        };
        (reading.lacking(*has).min(2), key, std::cmp::Reverse(product.static_rank()), product.id.clone())
    });
    let expected: Vec<&str> = expected.iter().map(|(product, _)| product.id.as_str()).collect();
    assert_eq!(ids, expected, "sorted by {sort}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn answers_equal_a_plain_reading(
        products in prop::collection::vec(product(), 1..40),
        outdated in prop_oneof![Just(Vec::new()), prop::collection::vec(product(), 1..10)],
        splits in prop::collection::vec(0_usize..4, 50),
        requests in prop::collection::vec((
            prop::collection::vec(prop::sample::select(&WORDS[..]), 0..4),
            prop::option::of(condition()),
            prop::option::of(prop::sample::select(&["cheap", "large"][..])),
        ), 12),
    ) {
        let (numbered, segments) = split(products, outdated, &splits);
        let known: Vec<&Product> = numbered.iter().collect();
        let shop = open_shop(SETTINGS, segments);
        let whole = open_shop(SETTINGS, vec![(numbered.clone(), Vec::new())]);

        for (words, filter, sort) in requests {
            let mut query: Vec<&str> = Vec::new();
            for word in &words {
                query.retain(|earlier| earlier != word);
                query.push(word);
            }
            let raw = RawRequest {
                q: words.join(" "),
                filters: filter.as_ref().map(Condition::write),
                facets: vec!["*".into()],
                facet_limit: Some(1000),
                sort: sort.map(str::to_owned),
                per_page: Some(100),
                ..Default::default()
            };
            let found = search(&shop.index, raw.clone());
            let reading = Reading::new(&query, &known);
            let hits = expected_hits(&numbered, &reading, |product| filter.as_ref().is_none_or(|filter| filter.holds(product)));
            prop_assert_eq!(found.found as usize, hits.len(), "{:?}", raw);
            let ids: BTreeSet<&str> = found.ids.iter().map(String::as_str).collect();
            prop_assert_eq!(ids, hits.iter().map(|(product, _)| product.id.as_str()).collect(), "{:?}", raw);
            check_order(&found.ids, &hits, &reading, sort);
            check_facets(&found, &numbered, &reading, filter.as_ref(), false);
            let folded = search(&shop.index, RawRequest { distinct: true, ..raw.clone() });
            let units: BTreeSet<&str> = hits.iter().map(|(product, _)| unit(product)).collect();
            prop_assert_eq!(folded.found as usize, units.len(), "{:?}", raw);
            check_facets(&folded, &numbered, &reading, filter.as_ref(), true);
            // Every hit is shown once, as a hit or as another variant of one.
            let shown = folded.ids.iter().chain(folded.variants.iter().flatten());
            let shown: Vec<&String> = shown.collect();
            prop_assert_eq!(shown.len(), hits.len());
            prop_assert_eq!(shown.into_iter().collect::<BTreeSet<_>>().len(), hits.len());
            check_paging(&shop.index, &RawRequest { distinct: true, ..raw.clone() }, &folded.ids);
            for (id, missing) in found.ids.iter().zip(&found.missing) {
                let (_, has) = hits.iter().find(|(product, _)| product.id.as_str() == id).expect("a hit");
                let lacks = reading.words.iter().enumerate().filter(|(place, _)| has >> place & 1 == 0);
                prop_assert_eq!(missing, &lacks.map(|(_, word)| (*word).to_owned()).collect::<Vec<_>>());
            }
            check_paging(&shop.index, &raw, &found.ids);
            // However it is split, and whatever is outdated, a snapshot is ranked the same.
            let in_one = search(&whole.index, RawRequest { distinct: true, ..raw.clone() });
            prop_assert_eq!((in_one.ids, in_one.variants), (folded.ids, folded.variants), "{:?}", raw);
            let in_one = search(&whole.index, raw.clone());
            prop_assert_eq!(in_one.found, found.found);
            prop_assert_eq!(in_one.facets, found.facets);
            prop_assert_eq!(in_one.ids, found.ids, "{:?}", raw);
        }
    }

    #[test]
    fn browsing_equals_a_plain_reading_however_often_it_is_asked_for(
        products in prop::collection::vec(product(), 1..40),
        outdated in prop_oneof![Just(Vec::new()), prop::collection::vec(product(), 1..10)],
        splits in prop::collection::vec(0_usize..4, 50),
        hidden in prop::collection::btree_set(0_usize..40, 0..4),
        requests in prop::collection::vec((
            prop::option::of(condition()),
            prop::option::of(prop::sample::select(&["cheap", "large"][..])),
        ), 6),
    ) {
        let (mut seen, segments) = split(products, outdated, &splits);
        let hidden: Vec<String> = hidden.iter().map(|number| format!("p{number}")).collect();
        let rules: String = hidden.iter().map(|id| format!("[[hidden]]\nid = \"{id}\"\n")).collect();
        let shop = open_shop_with_rules(SETTINGS, &rules, segments);
        seen.retain(|product| !hidden.iter().any(|id| id == product.id.as_str()));
        // Documents stand in this order, which a sort keeps where it says nothing.
        seen.sort_by_key(|product| (std::cmp::Reverse(product.static_rank()), product.id.clone()));
        let reading = Reading::new(&[], &[]);

        for (filter, sort) in requests {
            let raw = RawRequest {
                filters: filter.as_ref().map(Condition::write),
                facets: vec!["*".into()],
                facet_limit: Some(1000),
                sort: sort.map(str::to_owned),
                per_page: Some(100),
                ..Default::default()
            };
            let hits = expected_hits(&seen, &reading, |product| filter.as_ref().is_none_or(|filter| filter.holds(product)));
            // The first is answered anew, the second makes the sets that are kept, and the third finds them.
            for distinct in [false, false, false, true] {
                let found = search(&shop.index, RawRequest { distinct, ..raw.clone() });
                check_facets(&found, &seen, &reading, filter.as_ref(), distinct);
                if distinct {
                    let units: BTreeSet<&str> = hits.iter().map(|(product, _)| unit(product)).collect();
                    prop_assert_eq!(found.found as usize, units.len(), "{:?}", raw);
                    continue;
                }
                prop_assert_eq!(found.found as usize, hits.len(), "{:?}", raw);
                check_order(&found.ids, &hits, &reading, sort);
                if sort.is_none() {
                    let ids: Vec<&str> = hits.iter().map(|(product, _)| product.id.as_str()).collect();
                    prop_assert_eq!(&found.ids, &ids, "{:?}", raw);
                }
                check_paging(&shop.index, &raw, &found.ids);
            }
        }
    }
}

type Segments = Vec<(Vec<Product>, Outdated)>;

/// Numbers products, and deals them and outdated versions of the first of them to segments.
fn split(products: Vec<Product>, outdated: Vec<Product>, splits: &[usize]) -> (Vec<Product>, Segments) {
    let mut segments = vec![(Vec::new(), Vec::new()); 4];
    let mut numbered = Vec::new();
    for (number, mut product) in products.into_iter().enumerate() {
        product.id = ProductId::new(format!("p{number}")).expect("an id");
        segments[splits[number]].0.push(product.clone());
        numbered.push(product);
    }
    for (number, mut product) in outdated.into_iter().enumerate() {
        // An older version of a product lies in another segment than the current one.
        product.id = ProductId::new(format!("p{number}")).expect("an id");
        segments[(splits[number] + 1) % 4].1.push(product);
    }
    segments.retain(|(live, outdated)| !live.is_empty() || !outdated.is_empty());
    (numbered, segments)
}

/// Pages of three, one after another, are the whole list.
fn check_paging(index: &search::Index, raw: &RawRequest, ids: &[String]) {
    let mut paged = Vec::new();
    for page in 1..=ids.len().div_ceil(3) {
        let raw = RawRequest { page: Some(page), per_page: Some(3), facets: Vec::new(), ..raw.clone() };
        // Facets change nothing about the hits, but a refined facet is only kept apart when it is counted.
        index.request(raw.clone()).expect("a request");
        paged.extend(search(index, raw).ids);
    }
    assert_eq!(paged, ids);
}
