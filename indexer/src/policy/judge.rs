//! What a policy has against a snapshot.

use serde::Serialize;
use snapshots::ValidationReport;

use super::{GoldenPolicy, Policy};
use crate::diff::{CategoryChange, Diff, Named, PriceMove, Side};
use crate::evaluate::QueryScore;
use crate::golden::Golden;
use crate::percent::Percent;
use crate::report::bytes;

/// Products, categories or queries that one violation names.
pub const NAMED: usize = 10;
/// Fewer rows set aside are no sign of a broken feed, whatever their share is.
const MIN_REJECTED_ROWS: u64 = 20;
/// Floats that differ by less are the same.
const NOTHING: f64 = 1e-9;

/// One rule of a policy that a snapshot breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What is wrong, for programs: `removed_products`.
    pub code: &'static str,
    /// What is wrong, for people: a sentence with the numbers and the policy's key.
    pub message: String,
    /// Products at fault, the first ten.
    pub products: Vec<Named>,
}

impl Violation {
    fn new(code: &'static str, message: String, products: &[Named]) -> Self {
        Self { code, message, products: products.iter().take(NAMED).cloned().collect() }
    }
}

/// Judges a comparison, and what the newer snapshot's builder saw of its input, where it was built of all rows: a bad row
/// among the few of an update leaves a product as it was. What a comparison tells is judged only where there is a snapshot to
/// compare with.
pub fn judge(
    policy: &Policy,
    diff: &Diff,
    build: Option<&ValidationReport>,
    golden: Option<&Golden>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    whole(policy, diff, build, &mut found);
    if let Some(before) = &diff.before {
        products(policy, diff, before, &mut found);
        prices(policy, diff, before, &mut found);
        size(policy, diff, before, &mut found);
        found.extend(categories(policy, diff));
    }
    found.extend(facets(policy, diff));
    if let (Some(policy), Some(golden)) = (&policy.golden, golden) {
        queries(policy, golden, &mut found);
    }
    found
}

/// A share of a whole, and the most that it may be.
struct Share<'a> {
    code: &'static str,
    key: &'static str,
    /// None is not judged.
    limit: Option<Percent>,
    part: u64,
    /// What the part is, as the beginning of a sentence: "products are gone".
    what: &'static str,
    whole: u64,
    products: &'a [Named],
}

impl Share<'_> {
    fn judge(self, found: &mut Vec<Violation>) {
        let (part, whole) = (self.part, self.whole);
        let Some(limit) = self.limit.filter(|limit| whole > 0 && limit.is_exceeded_by(part, whole)) else { return };
        let (what, key, percent) = (self.what, self.key, Percent::of(part, whole));
        let message = format!("{part} {what}, of {whole} ({percent}%); {key} allows {limit}%");
        found.push(Violation::new(self.code, message, self.products));
    }
}

/// What is judged of the newer snapshot alone.
fn whole(policy: &Policy, diff: &Diff, build: Option<&ValidationReport>, found: &mut Vec<Violation>) {
    let products = diff.after.products;
    let build = build.filter(|build| build.rows_rejected >= MIN_REJECTED_ROWS);
    if products < policy.min_products {
        let message = format!("{products} products are too few; min_products asks for {}", policy.min_products);
        found.push(Violation::new("too_few_products", message, &[]));
    }
    let shares = [
        Share {
            code: "without_images",
            key: "max_without_images_percent",
            limit: policy.max_without_images_percent,
            part: diff.without_images.after,
            what: "products have no image",
            whole: products,
            products: &diff.without_images.examples,
        },
        Share {
            code: "without_price",
            key: "max_without_price_percent",
            limit: policy.max_without_price_percent,
            part: diff.without_price.after,
            what: "products have no price",
            whole: products,
            products: &diff.without_price.examples,
        },
        Share {
            code: "rejected_rows",
            key: "max_rejected_percent",
            limit: build.map(|_| policy.max_rejected_percent),
            part: build.map_or(0, |build| build.rows_rejected),
            what: "rows of the input are no products",
            whole: build.map_or(0, |build| build.rows_read),
            products: &[],
        },
    ];
    shares.into_iter().for_each(|share| share.judge(found));
}

/// Which products came and went, and what those that stayed have lost.
fn products(policy: &Policy, diff: &Diff, before: &Side, found: &mut Vec<Violation>) {
    let shares = [
        Share {
            code: "removed_products",
            key: "max_removed_percent",
            limit: Some(policy.max_removed_percent),
            part: diff.products.removed.count,
            what: "products are gone",
            whole: before.products,
            products: &diff.products.removed.examples,
        },
        Share {
            code: "added_products",
            key: "max_added_percent",
            limit: policy.max_added_percent,
            part: diff.products.added.count,
            what: "products are new",
            whole: before.products,
            products: &diff.products.added.examples,
        },
        Share {
            code: "changed_products",
            key: "max_changed_percent",
            limit: policy.max_changed_percent,
            part: diff.products.changed,
            what: "products changed",
            whole: before.products,
            products: &[],
        },
        Share {
            code: "lost_images",
            key: "max_lost_images_percent",
            limit: Some(policy.max_lost_images_percent),
            part: diff.without_images.lost,
            what: "products lost all their images",
            whole: before.products.saturating_sub(diff.without_images.before),
            products: &diff.without_images.lost_examples,
        },
        Share {
            code: "lost_prices",
            key: "max_lost_price_percent",
            limit: Some(policy.max_lost_price_percent),
            part: diff.without_price.lost,
            what: "products lost their price",
            whole: before.products.saturating_sub(diff.without_price.before),
            products: &diff.without_price.lost_examples,
        },
    ];
    shares.into_iter().for_each(|share| share.judge(found));
}

fn prices(policy: &Policy, diff: &Diff, before: &Side, found: &mut Vec<Violation>) {
    let prices = &diff.prices;
    let after = &diff.after.currency;
    if before.currency != *after && !policy.allow_currency_change {
        let message = format!(
            "the catalogue was in {} and is in {after}, so that no price can be compared; allow_currency_change is false",
            before.currency
        );
        let products: Vec<Named> = prices.currency_examples.iter().map(|moved| moved.product.clone()).collect();
        found.push(Violation::new("currency_changed", message, &products));
    }
    let beyond = policy.max_price_change_percent;
    let (count, in_both) = (prices.beyond(beyond), prices.in_both);
    let share = policy.max_price_outliers_percent;
    let allowed = match policy.max_price_outliers.filter(|most| count > *most) {
        Some(most) => format!("max_price_outliers allows {most}"),
        None if share.is_exceeded_by(count, in_both) => format!("max_price_outliers_percent allows {share}%"),
        None => return,
    };
    let outliers = outliers(diff, beyond);
    let mut message =
        format!("{count} of {in_both} prices moved by more than the {beyond}% of max_price_change_percent; {allowed}");
    if let Some(first) = outliers.first() {
        message += &format!("; product {} went from {} to {}", first.product.id, first.before, first.after);
    }
    let products: Vec<Named> = outliers.into_iter().map(|moved| moved.product.clone()).collect();
    found.push(Violation::new("price_outliers", message, &products));
}

/// The prices that moved most among those that moved too far, up or down.
fn outliers(diff: &Diff, beyond: Percent) -> Vec<&PriceMove> {
    let moves = diff.prices.largest_rises.iter().chain(&diff.prices.largest_falls);
    let mut outliers: Vec<&PriceMove> = moves.filter(|moved| moved.factor.is_beyond(beyond)).collect();
    outliers.sort_by(|a, b| b.factor.compare(a.factor));
    outliers
}

fn size(policy: &Policy, diff: &Diff, before: &Side, found: &mut Vec<Violation>) {
    let (was, is) = (before.size_bytes, diff.after.size_bytes);
    let growth = is.saturating_sub(was);
    if let Some(limit) = policy.max_size_growth_percent.filter(|limit| limit.is_exceeded_by(growth, was)) {
        let (percent, was, is) = (Percent::of(growth, was), bytes(was), bytes(is));
        let message = format!("it grew from {was} to {is} ({percent}%); max_size_growth_percent allows {limit}%");
        found.push(Violation::new("size_growth", message, &[]));
    }
}

fn categories(policy: &Policy, diff: &Diff) -> Option<Violation> {
    let (least, limit) = (policy.min_category_products, policy.max_category_change_percent);
    let moved = |change: &CategoryChange| change.after.abs_diff(change.before);
    let is_beyond = |change: &&CategoryChange| {
        change.before > 0 && change.before >= least && limit.is_exceeded_by(moved(change), change.before)
    };
    let all = diff.categories.top.changes.iter().chain(&diff.categories.full.changes);
    let mut changes: Vec<&CategoryChange> = all.filter(is_beyond).collect();
    changes.sort_by(|a, b| moved(b).cmp(&moved(a)).then_with(|| a.category.cmp(&b.category)));
    // A path of one level is of both kinds.
    changes.dedup();
    if changes.is_empty() {
        return None;
    }
    let names = changes.iter().take(NAMED);
    let names: Vec<String> =
        names.map(|change| format!("'{}' from {} to {}", change.category, change.before, change.after)).collect();
    let message = format!(
        "{} categories changed by more than the {limit}% of max_category_change_percent: {}",
        changes.len(),
        names.join(", ")
    );
    Some(Violation::new("category_changed", message, &[]))
}

fn facets(policy: &Policy, diff: &Diff) -> Option<Violation> {
    let (names, key) = match policy.forbid_empty_facets {
        true => (&diff.facets.empty, "forbid_empty_facets is true"),
        false => (&diff.facets.became_empty, "they had values before"),
    };
    let names: Vec<&str> =
        names.iter().filter(|name| !policy.allow_empty_facets.contains(name)).map(String::as_str).collect();
    let message = format!("no product has a value for these facets: {}; {key}", names.join(", "));
    (!names.is_empty()).then(|| Violation::new("empty_facets", message, &[]))
}

fn queries(policy: &GoldenPolicy, golden: &Golden, found: &mut Vec<Violation>) {
    let ndcg = golden.after.ndcg;
    if let Some(least) = policy.min_ndcg.filter(|least| ndcg < *least - NOTHING) {
        let worst = names(golden.after.worst_first().into_iter());
        let message =
            format!("golden queries score nDCG@10 {ndcg:.4}; golden.min_ndcg asks for {least}; the worst are {worst}");
        found.push(Violation::new("golden_ndcg", message, &[]));
    }
    if let (Some(most), Some(before)) = (policy.max_ndcg_drop, &golden.before)
        && before.ndcg - ndcg > most + NOTHING
    {
        let mut moves: Vec<(f64, &QueryScore)> = golden.after.moves(before).filter(|(by, _)| *by < -NOTHING).collect();
        moves.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.id.cmp(&b.1.id)));
        let fallen = names(moves.into_iter().map(|(_, score)| score));
        let message = format!(
            "golden queries fell from nDCG@10 {:.4} to {ndcg:.4}; golden.max_ndcg_drop allows {most}; the most by {fallen}",
            before.ndcg
        );
        found.push(Violation::new("golden_ndcg_drop", message, &[]));
    }
    let scores = &golden.after.per_query;
    let nothing: Vec<&QueryScore> = scores.iter().filter(|score| score.found == 0).collect();
    let (part, whole) = (nothing.len() as u64, scores.len() as u64);
    if let Some(limit) = policy.max_zero_results_percent.filter(|limit| limit.is_exceeded_by(part, whole)) {
        let percent = Percent::of(part, whole);
        let names = names(nothing.into_iter());
        let message = format!(
            "{part} golden queries find nothing, of {whole} ({percent}%); golden.max_zero_results_percent allows {limit}%: {names}"
        );
        found.push(Violation::new("golden_zero_results", message, &[]));
    }
}

fn names<'a>(queries: impl Iterator<Item = &'a QueryScore>) -> String {
    let quoted = queries.take(NAMED).map(|score| format!("'{}'", score.query));
    quoted.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Drift, Facets, Group, Lacking};
    use crate::evaluate::Evaluation;

    fn named(id: &str) -> Named {
        Named { id: id.into(), title: format!("product {id}"), image: None }
    }

    fn side(products: u64) -> Side {
        Side { products, currency: "EUR".into(), size_bytes: 1_000, ..Default::default() }
    }

    /// Nothing has changed in a shop of 100 products.
    fn quiet() -> Diff {
        Diff { before: Some(side(100)), after: side(100), ..Default::default() }
    }

    fn policy(text: &str) -> Policy {
        Policy::parse(text).expect("a policy")
    }

    fn codes(policy: &Policy, diff: &Diff) -> Vec<&'static str> {
        let build = ValidationReport { rows_read: 100, ..Default::default() };
        judge(policy, diff, Some(&build), None).iter().map(|violation| violation.code).collect()
    }

    #[test]
    fn a_quiet_day_and_a_first_publish_pass() {
        assert_eq!(codes(&Policy::default(), &quiet()), [""; 0]);
        let first = Diff { after: side(1), ..Default::default() };
        assert_eq!(codes(&Policy::default(), &first), [""; 0]);
        let empty = Diff::default();
        assert_eq!(codes(&Policy::default(), &empty), ["too_few_products"]);
    }

    #[test]
    fn shares_are_judged_at_their_edges() {
        let check = |count: u64, expected: &[&str]| {
            let mut diff = quiet();
            diff.products.removed = Group { count, examples: vec![named("a")] };
            diff.products.added.count = count;
            diff.products.changed = count;
            diff.without_images = Lacking { lost: count, after: count, ..Default::default() };
            diff.without_price = Lacking { lost: count, after: count, ..Default::default() };
            let policy = policy(
                "max_removed_percent = 30\nmax_added_percent = 30\nmax_changed_percent = 30\n\
                 max_lost_images_percent = 30\nmax_lost_price_percent = 30\n\
                 max_without_images_percent = 30\nmax_without_price_percent = 30\n",
            );
            assert_eq!(codes(&policy, &diff), expected, "{count}");
        };
        check(30, &[]);
        let all = [
            "without_images",
            "without_price",
            "removed_products",
            "added_products",
            "changed_products",
            "lost_images",
            "lost_prices",
        ];
        check(31, &all);
    }

    #[test]
    fn a_violation_has_its_numbers_and_products() {
        let mut diff = quiet();
        diff.products.removed = Group { count: 51, examples: (0..20).map(|id| named(&id.to_string())).collect() };
        let violations = judge(&Policy::default(), &diff, None, None);
        assert_eq!(violations[0].message, "51 products are gone, of 100 (51%); max_removed_percent allows 50%");
        assert_eq!((violations[0].products.len(), &violations[0].products[0]), (NAMED, &named("0")));
    }

    #[test]
    fn rows_that_are_no_products_are_judged() {
        let check = |rows_read, rows_rejected, expected: usize| {
            let build = ValidationReport { rows_read, rows_rejected, ..Default::default() };
            let found = judge(&Policy::default(), &quiet(), Some(&build), None);
            assert_eq!(found.len(), expected, "{rows_rejected} of {rows_read}");
        };
        check(1_000, 100, 0);
        check(1_000, 101, 1);
        // One bad row of three stopped a first publish.
        check(3, 1, 0);
        check(100, 19, 0);
        check(100, 20, 1);
    }

    #[test]
    fn prices_that_moved_too_far_are_counted_and_named() {
        let json = |amount: u64| format!(r#"{{"amount_minor":{amount},"currency":"EUR"}}"#);
        let diff = |prices: &[(u64, u64)]| {
            let mut diff = quiet();
            for (number, (before, after)) in prices.iter().enumerate() {
                let (before, after) = (json(*before), json(*after));
                let product = || named(&number.to_string());
                diff.prices.count(Some(before.as_bytes()), Some(after.as_bytes()), NAMED, product).expect("prices");
            }
            diff
        };
        // One of five is a fifth; what doubles or halves is not beyond 100%.
        let one = diff(&[(100, 201), (100, 200), (200, 100), (100, 100), (100, 100)]);
        assert_eq!(codes(&Policy::default(), &one), [""; 0]);
        assert_eq!(codes(&policy("max_price_outliers = 1"), &one), [""; 0]);
        assert_eq!(codes(&policy("max_price_outliers = 0"), &one), ["price_outliers"]);
        let two = diff(&[(100, 201), (1_000, 100), (100, 100)]);
        let violations = judge(&Policy::default(), &two, None, None);
        assert_eq!(violations[0].products, [named("1"), named("0")]);
        assert!(violations[0].message.contains("product 1 went from 10.00 EUR to 1.00 EUR"), "{violations:?}");
    }

    #[test]
    fn another_currency_needs_leave() {
        let mut diff = quiet();
        diff.after.currency = "USD".into();
        assert_eq!(codes(&Policy::default(), &diff), ["currency_changed"]);
        assert_eq!(codes(&policy("allow_currency_change = true"), &diff), [""; 0]);
    }

    #[test]
    fn categories_are_judged_from_their_least_size_on() {
        let change = |category: &str, before, after| CategoryChange { category: category.into(), before, after };
        let mut diff = quiet();
        let changes = vec![change("A", 100, 9), change("B", 100, 10), change("C", 99, 0), change("D", 0, 900)];
        diff.categories.top = Drift { changes: changes.clone(), ..Default::default() };
        diff.categories.full = Drift { changes, ..Default::default() };
        let violations = judge(&Policy::default(), &diff, None, None);
        assert!(violations[0].message.starts_with("1 categories changed"), "{violations:?}");
        assert!(violations[0].message.ends_with("'A' from 100 to 9"), "{violations:?}");
    }

    #[test]
    fn facets_and_size_are_judged() {
        let mut diff = quiet();
        diff.facets = Facets { empty: vec!["brand".into(), "color".into()], became_empty: vec!["color".into()] };
        assert_eq!(codes(&Policy::default(), &diff), ["empty_facets"]);
        assert_eq!(codes(&policy("allow_empty_facets = [\"color\"]"), &diff), [""; 0]);
        let strict = policy("forbid_empty_facets = true\nallow_empty_facets = [\"color\"]");
        assert_eq!(codes(&strict, &diff), ["empty_facets"]);
        let mut diff = quiet();
        diff.after.size_bytes = 1_501;
        assert_eq!(codes(&policy("max_size_growth_percent = 50.1"), &diff), [""; 0]);
        assert_eq!(codes(&policy("max_size_growth_percent = 50"), &diff), ["size_growth"]);
    }

    #[test]
    fn golden_queries_are_judged() {
        let score = |query: &str, ndcg, found| QueryScore {
            id: query.into(),
            query: query.into(),
            found,
            judged: 1,
            ndcg,
            judged_ndcg: ndcg,
            ..Default::default()
        };
        let evaluation = |ndcg: f64, lamp, sofa| Evaluation {
            ndcg,
            per_query: vec![score("lamp", lamp, 3), score("sofa", sofa, 0)],
            ..Default::default()
        };
        let golden = Golden { judged: true, after: evaluation(0.4, 0.8, 0.0), before: Some(evaluation(0.5, 1.0, 0.0)) };
        let codes = |keys: &str| -> Vec<&'static str> {
            let policy = policy(&format!("[golden]\nqueries = \"q\"\njudgments = \"j\"\n{keys}"));
            let violations = judge(&policy, &quiet(), None, Some(&golden));
            violations.iter().map(|violation| violation.code).collect()
        };
        assert_eq!(codes("min_ndcg = 0.4\nmax_ndcg_drop = 0.1\nmax_zero_results_percent = 50"), [""; 0]);
        assert_eq!(codes("min_ndcg = 0.41"), ["golden_ndcg"]);
        assert_eq!(codes("max_ndcg_drop = 0.09"), ["golden_ndcg_drop"]);
        assert_eq!(codes("max_zero_results_percent = 49.9"), ["golden_zero_results"]);
    }
}
