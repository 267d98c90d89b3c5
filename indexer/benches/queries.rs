//! What a file of real queries costs in-process: mean, median and 99th percentile of each way to ask them.
//!
//! `cargo bench --bench queries -- --snapshot FOLDER --queries FILE [--facets a,b,c] [--rounds 5] [--only NAME]`

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use indexer::evaluate::read_queries;
use indexer::opened::{NO_MARKET, open};
use search::{Index, RawRequest, SuggestRequest};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1).cloned());
    let (Some(snapshot), Some(queries)) = (flag("--snapshot"), flag("--queries")) else {
        eprintln!(
            "give --snapshot FOLDER (what `indexer build` wrote) and --queries FILE (JSON Lines of id and query)"
        );
        std::process::exit(64);
    };
    let rounds: usize = flag("--rounds").map_or(5, |text| text.parse().expect("a number of rounds"));
    let facets: Vec<String> = flag("--facets").unwrap_or_default().split(',').map(str::to_owned).collect();
    let facets: Vec<String> = facets.into_iter().filter(|name| !name.is_empty()).collect();
    let only = flag("--only").unwrap_or_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let opened = runtime.block_on(open(&snapshot, &[], None, NO_MARKET, None)).expect("a snapshot");
    let queries = read_queries(&PathBuf::from(queries)).expect("queries");
    println!("{:<16} {:>8} {:>9} {:>9} {:>9} {:>9}", "microseconds", "queries", "mean", "p50", "p99", "found");
    let row = |name: &str, ask: &mut dyn FnMut(&str) -> Box<dyn FnMut() -> u64>| {
        if !name.contains(&only) {
            return;
        }
        let (mut costs, mut found) = (Vec::with_capacity(queries.len()), 0);
        for query in &queries {
            let mut run = ask(query);
            found += run();
            // The best of several: what a neighbour on the machine takes is not the query's.
            let best = (0..rounds).map(|_| {
                let start = Instant::now();
                black_box(run());
                start.elapsed().as_nanos()
            });
            costs.push(best.min().unwrap_or(0) as f64 / 1000.0);
        }
        costs.sort_unstable_by(f64::total_cmp);
        let mean = costs.iter().sum::<f64>() / costs.len().max(1) as f64;
        let at = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
        let found = found / queries.len().max(1) as u64;
        println!("{name:<16} {:>8} {mean:>9.1} {:>9.1} {:>9.1} {found:>9}", costs.len(), at(0.5), at(0.99));
    };
    // It lives as long as the program.
    let index: &'static Index = &Box::leak(Box::new(opened)).index;
    let search = |raw: RawRequest| -> Box<dyn FnMut() -> u64> {
        Box::new(move || {
            let request = index.request(raw.clone()).expect("a request");
            index.search(&request).expect("an answer").found
        })
    };
    let raw = |query: &str| RawRequest { q: query.to_owned(), ..RawRequest::default() };
    row("plain", &mut |query| search(raw(query)));
    row("facets", &mut |query| search(RawRequest { facets: facets.clone(), ..raw(query) }));
    row("unfinished", &mut |query| search(raw(&query[..query.floor_char_boundary(query.len() - query.len().min(2))])));
    row("one typo", &mut |query| search(raw(&with_typo(query))));
    row("distinct", &mut |query| search(RawRequest { distinct: true, ..raw(query) }));
    row("suggest", &mut |query| {
        let beginning = raw(&query[..query.floor_char_boundary(query.len().min(5))]);
        Box::new(move || {
            let request = SuggestRequest::new(beginning.clone(), None, None, index).expect("a request");
            index.suggest(&request).expect("suggestions").suggestions.len() as u64
        })
    });
}

/// Swaps the middle letters of the longest word.
fn with_typo(query: &str) -> String {
    let longest = query.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).max_by_key(|word| word.len());
    let Some(word) = longest.filter(|word| word.chars().count() > 3) else { return query.to_owned() };
    let mut letters: Vec<char> = word.chars().collect();
    let middle = letters.len() / 2;
    letters.swap(middle - 1, middle);
    query.replacen(word, &letters.into_iter().collect::<String>(), 1)
}
