//! What requests cost without a socket: over updates, and where they are mistyped.

use std::hint::black_box;
use std::time::{Duration, Instant};

use edge::stages::Stages;
use serde_json::{Value, json};
use test_servers::processes;

use crate::Settings;
use crate::limits::{KIND, in_turn};
use crate::queries::{two_words, with_typo};
use crate::wanted::{Limit, Wanted};
use crate::workloads::Workload;

/// What must not be much dearer over updates.
const OVER_UPDATES: [&str; 5] =
    [KIND, "browse, 3 facets", "suggest, 4 letters", "suggest, nothing kept", "product by id"];
/// So many products are asked for with a letter wrong, of those whose words can be mistyped.
const MISTYPED: u32 = 2_000;

/// What requests cost over a segment with three updates on top, over one segment with the same products: the kind for which
/// that is the most.
pub fn updated(settings: &Settings, updated: &Stages, one: &Stages, workloads: &[Workload]) -> Limit {
    // Each kind as long as is enough to tell: there are several.
    let lasts = Duration::from_secs(settings.load.seconds.into()) / 2;
    let compared = OVER_UPDATES.map(|kind| {
        let paths = &workloads.iter().find(|workload| workload.name == kind).expect("a workload").paths;
        (kind, in_turn(settings, || [updated, one].map(|stages| in_process_us(stages, paths, lasts))))
    });
    let parts = compared.iter().map(|(kind, (ratio, [updated_us, one_us]))| {
        json!({ "kind": kind, "ratio": ratio, "updated_cpu_us": updated_us, "one_segment_cpu_us": one_us })
    });
    Limit {
        name: "CPU of a request over three updates, over one segment, at worst",
        wanted: Wanted::AtMost(1.5),
        seen: compared.iter().map(|(_, (ratio, _))| *ratio).fold(0.0, f64::max),
        parts: Value::Array(parts.collect()),
    }
}

/// What searches cost with one letter wrong, over the same as they are written.
pub fn mistyping(settings: &Settings, stages: &Stages) -> Limit {
    let titles = stages.products(MISTYPED).into_iter().map(|(_, title)| title).enumerate();
    let queries = titles.filter_map(|(number, title)| two_words(&title, number));
    let pairs: Vec<(String, String)> = queries.filter_map(|query| Some((with_typo(&query)?, query))).collect();
    let path = |query: &String| format!("/v1/search?q={}", query.replace(' ', "+"));
    let mistyped: Vec<String> = pairs.iter().map(|(mistyped, _)| path(mistyped)).collect();
    let right: Vec<String> = pairs.iter().map(|(_, right)| path(right)).collect();
    let lasts = Duration::from_secs(settings.load.seconds.into());
    let (ratio, [mistyped_us, right_us]) =
        in_turn(settings, || [&mistyped, &right].map(|paths| in_process_us(stages, paths, lasts)));
    Limit {
        name: "CPU of a search with one letter wrong, over the same without",
        wanted: Wanted::AtMost(2.0),
        seen: ratio,
        parts: json!({ "mistyped_cpu_us": mistyped_us, "right_cpu_us": right_us, "queries": pairs.len() }),
    }
}

/// What a request costs: read, answered, and written. All paths are asked for in turn, as often as there is time for.
pub fn in_process_us(stages: &Stages, paths: &[String], lasts: Duration) -> f64 {
    let ends = Instant::now() + lasts;
    let (before, mut count) = (own_cpu_us(), 0_u32);
    while Instant::now() < ends {
        for path in paths {
            black_box(answer(stages, path));
            count += 1;
        }
    }
    (own_cpu_us() - before) / f64::from(count)
}

fn answer(stages: &Stages, path: &str) -> Vec<u8> {
    match path.split_once('?') {
        Some(("/v1/search", query)) => {
            let request = stages.understand(query).expect("a request");
            let answer = stages.search(&request).expect("an answer");
            stages.write(&request, &answer)
        }
        Some(("/v1/suggest", query)) => stages.suggest(query).expect("suggestions"),
        _ => stages.product(path.strip_prefix("/v1/products/").expect("a path of a product")).expect("a product"),
    }
}

pub fn own_cpu_us() -> f64 {
    processes::own_cpu_us(std::process::id()).expect("this process's times")
}
