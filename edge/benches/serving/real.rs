//! A shop of real products, each as often as it takes to make so many, and what real shoppers typed.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::browsing::FACETS;
use crate::queries::unfinished;
use crate::shops::{build, publish};
use crate::workloads::{Workload, searching};

const CATALOGUES: [&str; 3] = ["chorus", "homedepot", "livostyle"];
/// The facets that are asked for; the rest is as it is where nothing is said.
const SETTINGS: &str = r#"name = "real"
currency = "USD"

[[facets]]
name = "category"
[[facets]]
name = "brand"
[[facets]]
name = "price"
"#;
/// Whoever types has typed more than what is still to come.
const LEAST_LETTERS: usize = 6;
/// So many products are asked for by id.
const IDS: usize = 2_000;

/// Builds and publishes it; gives its store.
pub fn real_shop(indexer: &Path, data: &Path, folder: &Path, products: u64) -> String {
    let shop = folder.join("shop");
    std::fs::create_dir_all(&shop).expect("a temporary folder");
    std::fs::write(shop.join("catalogue.toml"), SETTINGS).expect("settings");
    let mut rows = BufWriter::new(File::create(shop.join("products.jsonl")).expect("a file"));
    let real: Vec<Value> = CATALOGUES.into_iter().flat_map(|name| rows_of(data, name)).collect();
    let products = products as usize;
    for number in 0..products {
        // Where they are fewer, they are of all catalogues.
        let place = if products < real.len() { number * real.len() / products } else { number % real.len() };
        let mut row = real[place].clone();
        row["id"] = id(number).into();
        writeln!(rows, "{row}").expect("room for the rows");
    }
    rows.flush().expect("room for the rows");
    build(indexer, folder, &folder.join("built"), &[]);
    publish(indexer, folder, "store")
}

/// What is asked of it, named as what is asked of a demo shop.
pub fn real_workloads(data: &Path, address: SocketAddr) -> Vec<Workload> {
    let typed = column(&data.join("queries.tsv"), 1);
    let mistyped = column(&data.join("homedepot/typos.tsv"), 0);
    let paths = |queries: &mut dyn Iterator<Item = &str>, before: &str, rest: &str| -> Vec<String> {
        let encoded = |query: &str| form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>();
        queries.map(|query| format!("{before}{}{rest}", encoded(query))).collect()
    };
    let whole = || typed.iter().map(String::as_str);
    let is_long = |query: &&str| query.is_ascii() && query.len() >= LEAST_LETTERS;
    let (search, facets) = ("/v1/search?q=", format!("&{FACETS}"));
    let kinds = [
        ("product by id", (0..IDS).map(|number| format!("/v1/products/{}", id(number))).collect()),
        ("search", paths(&mut whole(), search, "")),
        ("search, 3 facets", paths(&mut whole(), search, &facets)),
        ("as you type, 3 facets", paths(&mut whole().filter(is_long).map(unfinished), search, &facets)),
        ("search, one typo", paths(&mut mistyped.iter().map(String::as_str), search, "")),
        ("suggest, 4 letters", paths(&mut whole().filter(is_long).map(|query| &query[..4]), "/v1/suggest?q=", "")),
    ];
    kinds.map(|(name, paths)| searching(name, paths, address)).into()
}

fn id(number: usize) -> String {
    format!("real-{number}")
}

fn rows_of(data: &Path, name: &str) -> Vec<Value> {
    let path = data.join(name).join("products.jsonl.zst");
    let file = File::open(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    let lines = BufReader::new(zstd::Decoder::new(file).expect("what zstd made")).lines();
    lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("a row")).collect()
}

/// A column of tab-separated values.
fn column(path: &Path, place: usize) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    text.lines().filter_map(|line| line.split('\t').nth(place)).map(str::to_owned).collect()
}
