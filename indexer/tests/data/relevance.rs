//! How good the answers on the real catalogues are, against floors set just under what was reached.
//!
//! Run by `make test-data` and `make relevance`. Counted as `indexer evaluate` counts; README.md has the figures beside
//! those of other engines.

use std::collections::{HashMap, HashSet};

use indexer::evaluate::{Evaluation, JudgedQuery, evaluate, read};
use search::RawRequest;
use serde_json::Value;

use crate::{Served, data, serve};

/// The least that a set of queries must score: nDCG@10, judged-only nDCG@10 and recall@100.
struct Floors(f64, f64, f64);

fn judged(name: &str, min_judged: usize) -> Vec<JudgedQuery> {
    let folder = data().join(name);
    read(&folder.join("queries.jsonl"), &folder.join("judgments.tsv"), min_judged).expect("judged queries")
}

fn check(name: &str, evaluation: &Evaluation, floors: &Floors) {
    let Evaluation { queries, ndcg, judged_ndcg, recall, mrr, zero_results, .. } = evaluation;
    println!(
        "{name}: {queries} queries, nDCG@10 {ndcg:.4}, judged-only {judged_ndcg:.4}, recall@100 {recall:.4}, \
         MRR {mrr:.4}, without a result {zero_results:.4}"
    );
    assert!(*ndcg >= floors.0, "{name}: nDCG@10 fell to {ndcg:.4}, below {}", floors.0);
    assert!(*judged_ndcg >= floors.1, "{name}: judged-only nDCG@10 fell to {judged_ndcg:.4}, below {}", floors.1);
    assert!(*recall >= floors.2, "{name}: recall@100 fell to {recall:.4}, below {}", floors.2);
}

/// The share of products whose title, asked as a query, finds them or one that is called the same first.
fn exact_titles(served: &Served) -> f64 {
    let titles: HashMap<&str, &str> = served.rows.iter().map(|row| (text(&row["id"]), text(&row["title"]))).collect();
    let plain = |title: &str| title.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let mut first = 0;
    for row in &served.rows {
        let title = text(&row["title"]);
        let raw = RawRequest { q: title.to_owned(), per_page: Some(1), ..Default::default() };
        // What is refused is not found.
        let ids = served.try_search(raw).unwrap_or_default();
        let found = ids.first().and_then(|id| titles.get(id.as_str()));
        first += usize::from(found.is_some_and(|found| plain(found) == plain(title)));
    }
    first as f64 / served.rows.len() as f64
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[tokio::test]
async fn relevance_of_chorus() {
    let served = serve("chorus", &["attributes.ean=gtins", "attributes.model=sku"]).await;
    let evaluation = evaluate(&served.index, &judged("chorus", 1)).expect("an evaluation");
    assert_eq!(evaluation.queries, 59);
    check("chorus", &evaluation, &Floors(0.805, 0.88, 0.92));
    let share = exact_titles(&served);
    println!("chorus: exact titles first {share:.4}");
    assert!(share >= 0.995, "exact titles first: {share:.4}");
    codes_come_first(&served);
}

/// Every SKU, in three spellings of its separators, and every GTIN finds a product that has it first.
fn codes_come_first(served: &Served) {
    let mut asked = 0;
    for row in &served.rows {
        let sku = text(&row["attributes"]["model"]).trim();
        let gtins = row["attributes"]["ean"].as_array().map_or(&[][..], Vec::as_slice).iter().map(text);
        let bare = |separator: &str| sku.replace(['-', ' ', '/', '.', '_'], separator);
        let spellings = [sku.to_owned(), bare(" "), bare("")];
        let codes = spellings.into_iter().filter(|code| !code.trim().is_empty());
        let codes = codes.chain(gtins.take(1).map(str::to_owned));
        for code in codes {
            let raw = RawRequest { q: code.clone(), per_page: Some(1), ..Default::default() };
            let ids = served.try_search(raw).unwrap_or_else(|| panic!("{code} is refused"));
            let found = ids.first().unwrap_or_else(|| panic!("{code} finds nothing"));
            assert!(served.has_code(found, &code), "{code} finds {found} first, which does not have it");
            asked += 1;
        }
    }
    println!("chorus: {asked} codes, each first");
    assert!(asked > 50_000);
}

#[tokio::test]
async fn relevance_of_homedepot() {
    let served = serve("homedepot", &[]).await;
    let all = judged("homedepot", 1);
    let often: Vec<JudgedQuery> = judged("homedepot", 8);
    let evaluation = evaluate(&served.index, &often).expect("an evaluation");
    assert_eq!(evaluation.queries, 2_337);
    check("homedepot", &evaluation, &Floors(0.395, 0.74, 0.775));
    let share = exact_titles(&served);
    println!("homedepot: exact titles first {share:.4}");
    assert!(share >= 0.995, "exact titles first: {share:.4}");

    // The same judgements for a query as it was typed, and as it should have been.
    let by_id: HashMap<&str, &JudgedQuery> = all.iter().map(|query| (query.id.as_str(), query)).collect();
    let lines = std::fs::read_to_string(data().join("homedepot/typos.tsv")).expect("the typos");
    let mut sets = [Vec::new(), Vec::new()];
    for line in lines.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [typed, corrected, id] = parts.as_slice() else { continue };
        let Some(query) = by_id.get(id) else { continue };
        for (set, text) in sets.iter_mut().zip([typed, corrected]) {
            set.push(JudgedQuery { query: (*text).to_owned(), ..(*query).clone() });
        }
    }
    assert_eq!(sets[0].len(), 817);
    let [typed, corrected] = sets.map(|set| evaluate(&served.index, &set).expect("an evaluation"));
    check("homedepot, typos as typed", &typed, &Floors(0.36, 0.0, 0.0));
    check("homedepot, typos corrected", &corrected, &Floors(0.35, 0.0, 0.0));
    let apart = corrected.ndcg - typed.ndcg;
    assert!(apart <= 0.015, "typed queries score {apart:.4} below corrected ones");
    let without = |evaluation: &Evaluation| -> HashSet<usize> {
        let scores = evaluation.per_query.iter().enumerate();
        scores.filter(|(_, score)| score.found == 0).map(|(place, _)| place).collect()
    };
    let lost: Vec<usize> = without(&typed).difference(&without(&corrected)).copied().collect();
    let lost: Vec<&str> = lost.iter().map(|place| typed.per_query[*place].query.as_str()).collect();
    assert!(lost.is_empty(), "queries without a result that have one corrected: {lost:?}");
}

#[tokio::test]
async fn relevance_of_livostyle() {
    let mapping = ["attributes.url=link", "attributes.in_stock=availability", "attributes.updated_at=updated_at"];
    let served = serve("livostyle", &mapping).await;
    let share = exact_titles(&served);
    println!("livostyle: exact titles first {share:.4}");
    assert!(share >= 0.995, "exact titles first: {share:.4}");
}

#[tokio::test]
async fn the_same_query_gives_the_same_hits_in_the_same_order() {
    let (one, other) = (serve("homedepot", &[]).await, serve("homedepot", &[]).await);
    let queries = std::fs::read_to_string(data().join("queries.tsv")).expect("the queries");
    for query in queries.lines().filter_map(|line| line.split('\t').nth(1)).step_by(5) {
        let raw = RawRequest { q: query.to_owned(), per_page: Some(50), ..Default::default() };
        assert_eq!(one.try_search(raw.clone()), other.try_search(raw), "{query}");
    }
}
