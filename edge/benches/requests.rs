//! What each step from a request to its answer costs in-process: in time, or in instructions.
//!
//! `cargo bench --bench requests -- --store URL` times them with criterion. What a stage takes alone that is done only
//! within others is told by two steps: ranking by "match and rank" less "match, sorted by price", counting by "match and
//! count 3 facets" less "match and rank", marking by "write 20 hits, titles marked" less "write 20 hits", and writing names
//! and the frame by "write 20 hits" less "hydrate 20 hits".
//! `cargo bench --bench requests -- --store URL --instructions FILE` counts instructions with callgrind and fails where
//! a step takes a tenth more than FILE says; `--record` writes FILE anew. Steps that FILE lacks, and those that it has and
//! nobody counts any more, are told; with `--check` they fail, too. Counts are the same on a busy machine, and are compared
//! only between builds of one compiler: those of another may differ by a quarter.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use criterion::Criterion;
use edge::stages::{Desk, Stages};
use http_body_util::Empty;
use hyper::Request;
use serde_json::Value;
use snapshots::Store;

#[path = "serving/browsing.rs"]
mod browsing;
#[path = "serving/queries.rs"]
mod queries;
#[path = "requests/recorded.rs"]
mod recorded;

use browsing::{FACETS, browsing, first_letters};
use queries::{two_words, unfinished, with_typo};
use recorded::{Differences, Recorded};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many requests of each kind are counted together.
const REQUESTS: u32 = 200;
const SORTED: &str = "match, sorted by price";
const HYDRATED: &str = "hydrate 20 hits";
/// What other steps do as well is only timed: its instructions are counted with theirs.
const ONLY_TIMED: [&str; 2] = [SORTED, HYDRATED];

/// What is done with the counts.
#[derive(Clone, Copy)]
enum Counts {
    Compare,
    /// And every step must be recorded, and every recorded one be counted.
    Check,
    Record,
}

/// A step, done for one request after the other.
struct Step<'a> {
    name: &'static str,
    run: Box<dyn FnMut(usize) + 'a>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1).cloned());
    let Some(url) = flag("--store") else {
        eprintln!("give --store URL with a published demo shop: make bench and make instructions do");
        return ExitCode::from(64);
    };
    let cache = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&url, &[]).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stages = runtime.block_on(Stages::open(&store, cache.path())).expect("an open snapshot");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let desk = runtime.block_on(stages.serve(folder.path())).expect("an edge");
    if let Some(file) = flag("--instructions") {
        let names = steps(&stages, &desk).into_iter().map(|step| step.name);
        let names: Vec<&str> = names.filter(|name| !ONLY_TIMED.contains(name)).collect();
        let is_given = |name: &str| args.iter().any(|arg| arg == name);
        let counts = match () {
            () if is_given("--record") => Counts::Record,
            () if is_given("--check") => Counts::Check,
            () => Counts::Compare,
        };
        return instructions(&url, &names, Path::new(&file), counts);
    }
    match flag("--step") {
        Some(name) => {
            let mut step = steps(&stages, &desk).into_iter().find(|step| step.name == name).expect("a step");
            // What is made ready by the first requests is not counted.
            (0..REQUESTS as usize).for_each(|number| (step.run)(number));
            counted(&mut step);
        }
        None => {
            let mut criterion = Criterion::default()
                .measurement_time(Duration::from_millis(1_500))
                .warm_up_time(Duration::from_millis(500));
            let mut group = criterion.benchmark_group(format!("step/{}k", stages.product_count() / 1_000));
            for mut step in steps(&stages, &desk) {
                let mut number = 0;
                group.bench_function(step.name, |bencher| {
                    bencher.iter(|| {
                        number += 1;
                        (step.run)(number);
                    });
                });
            }
            group.finish();
        }
    }
    ExitCode::SUCCESS
}

/// callgrind counts while this function runs.
#[inline(never)]
fn counted(step: &mut Step<'_>) {
    (0..REQUESTS as usize).for_each(|number| (step.run)(number));
}

/// The steps, over words and ids of the shop.
fn steps<'a>(stages: &'a Stages, desk: &'a Desk) -> Vec<Step<'a>> {
    let products = stages.products(REQUESTS);
    let titles = products.iter().enumerate();
    let queries: Vec<String> = titles.filter_map(|(number, (_, title))| two_words(title, number)).collect();
    let asked = |queries: Vec<String>, rest: &str| -> Vec<String> {
        queries.iter().map(|query| format!("q={}{rest}", query.replace(' ', "+"))).collect()
    };
    let search = |name: &'static str, strings: Vec<String>| {
        let requests: Vec<_> = strings.iter().map(|string| stages.understand(string).expect("a request")).collect();
        let run = move |number: usize| {
            black_box(stages.search(&requests[number % requests.len()]).expect("an answer"));
        };
        Step { name, run: Box::new(run) }
    };
    let answered = |strings: Vec<String>| -> Vec<_> {
        let requests = strings.iter().map(|string| stages.understand(string).expect("a request"));
        requests.map(|request| (stages.search(&request).expect("an answer"), request)).collect()
    };
    let write = |name: &'static str, strings: Vec<String>| {
        let answered = answered(strings);
        let run = move |number: usize| {
            let (answer, request) = &answered[number % answered.len()];
            black_box(stages.write(request, answer));
        };
        Step { name, run: Box::new(run) }
    };
    // From a parsed head to an answer that can be sent; what is searched was searched before.
    let answer = |name: &'static str, paths: Vec<String>| {
        let requests = paths.iter().filter_map(|path| Request::get(path.as_str()).body(Empty::new()).ok());
        let requests: Vec<_> = requests.collect();
        for request in &requests {
            assert_eq!(desk.answer(request).status(), 200, "{}", request.uri());
        }
        let run = move |number: usize| {
            black_box(desk.answer(&requests[number % requests.len()]));
        };
        Step { name, run: Box::new(run) }
    };
    let plain = || asked(queries.clone(), "");
    let facets = &format!("&{FACETS}");
    let strings = asked(queries.clone(), facets);
    let understand = move |number: usize| {
        black_box(stages.understand(&strings[number % strings.len()]).expect("a request"));
    };
    let beginnings: Vec<String> =
        queries.iter().map(|query| format!("q={}", &query[..query.floor_char_boundary(4)])).collect();
    let suggest = move |number: usize| {
        black_box(stages.suggest(&beginnings[number % beginnings.len()]).expect("suggestions"));
    };
    let (ids, similar_ids) = (products.clone(), products.clone());
    let similar = move |number: usize| {
        black_box(stages.similar(&similar_ids[number % similar_ids.len()].0).expect("products"));
    };
    let product = move |number: usize| {
        black_box(stages.product(&ids[number % ids.len()].0).expect("a product"));
    };
    let hydrated = answered(plain());
    let hydrate = move |number: usize| {
        let (answer, request) = &hydrated[number % hydrated.len()];
        black_box(stages.hydrate(request, answer));
    };
    let unfinished = queries.iter().map(|query| unfinished(query).to_owned()).collect();
    let mistyped = queries.iter().filter_map(|query| with_typo(query)).collect();
    let categories: BTreeSet<String> = products.iter().filter_map(|(id, _)| first_category(stages, id)).collect();
    let mut steps = vec![
        Step { name: "understand", run: Box::new(understand) },
        search(SORTED, asked(queries.clone(), "&sort=price_asc")),
        search("match and rank", plain()),
        search("match, one typo", asked(mistyped, "")),
        search("match, unfinished word", asked(unfinished, "")),
        search("match and count 3 facets", asked(queries.clone(), facets)),
        search("match, filter, count 3 facets", asked(queries.clone(), &format!("{facets}&filters=price%3C150"))),
        search("match and fold variants", asked(queries.clone(), "&distinct=true")),
        search("one letter, variants folded", first_letters(&queries)),
        Step { name: HYDRATED, run: Box::new(hydrate) },
        write("write 20 hits", plain()),
        write("write 20 hits, titles marked", asked(queries.clone(), "&highlight=title")),
        Step { name: "suggest", run: Box::new(suggest) },
        Step { name: "similar", run: Box::new(similar) },
        Step { name: "product by id", run: Box::new(product) },
        answer("product, answered", products.iter().map(|(id, _)| format!("/v1/products/{id}")).collect()),
        answer("search cached, answered", plain().iter().map(|query| format!("/v1/search?{query}")).collect()),
    ];
    steps.extend(browsing(&categories).map(|(name, strings)| search(name, strings)));
    steps
}

/// The outermost category of a product.
fn first_category(stages: &Stages, id: &str) -> Option<String> {
    let product: Value = serde_json::from_slice(&stages.product(id).ok()?).ok()?;
    Some(product["category"][0].as_str()?.to_owned())
}

/// Counts every step in a process of its own under callgrind, and compares.
fn instructions(store: &str, names: &[&'static str], file: &Path, counts: Counts) -> ExitCode {
    let rustc = Command::new("rustc").arg("--version").output().expect("rustc runs");
    let rustc = String::from_utf8_lossy(&rustc.stdout).trim().to_owned();
    let known: Recorded = std::fs::read_to_string(file)
        .map(|text| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
        .unwrap_or_default();
    if known.rustc != rustc {
        println!("recorded with '{}', now {rustc}: {} times is allowed", known.rustc, known.allowed(&rustc));
    }
    let mut now = Recorded { rustc, ..Recorded::default() };
    println!("{:<32} {:>12} {:>12} {:>7}", "instructions a request", "recorded", "now", "times");
    for name in names.iter().copied() {
        let count = count(store, name) / u64::from(REQUESTS);
        let before = known.instructions_per_request.get(name).copied();
        let times = before.map(|before| count as f64 / before as f64);
        let told = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
        let (before, ratio) =
            (told(before.map(|count| count.to_string())), told(times.map(|times| format!("{times:.2}"))));
        println!("{name:<32} {before:>12} {count:>12} {ratio:>7}");
        now.instructions_per_request.insert(name.to_owned(), count);
    }
    match counts {
        Counts::Record => {
            let text = serde_json::to_string_pretty(&now).expect("JSON") + "\n";
            std::fs::write(file, text).expect("the file is written");
            println!("recorded in {}", file.display());
            ExitCode::SUCCESS
        }
        Counts::Compare => judge(&known.differences(&now), false),
        Counts::Check => judge(&known.differences(&now), true),
    }
}

/// Tells in what the counts differ. Steps that were not recorded, or not counted, fail only where that is asked for.
fn judge(differences: &Differences, all_must_match: bool) -> ExitCode {
    let Differences { dearer, not_recorded, not_counted } = differences;
    let tell = |what: &str, names: &[String], advice: &str| {
        if !names.is_empty() {
            println!("{what}: {}\n  {advice}", names.join("; "));
        }
    };
    tell(
        "DEARER than recorded",
        dearer,
        "make them cheaper, or say in the commit why they cost more and run this with --record",
    );
    tell("NOT RECORDED, so not compared", not_recorded, "run this with --record");
    tell("recorded, but COUNTED NO LONGER", not_counted, "was it renamed? run this with --record");
    let is_matched = not_recorded.is_empty() && not_counted.is_empty();
    if dearer.is_empty() && (is_matched || !all_must_match) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The instructions that a step takes for all its requests.
fn count(store: &str, step: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("callgrind.out");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=requests::counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().expect("this program"))
        .args(["--store", store, "--step", step])
        .output()
        .expect("valgrind runs: apt-get install valgrind");
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{told}");
    let text = std::fs::read_to_string(&out).expect("callgrind's counts");
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    totals.trim().parse().expect("a number")
}
