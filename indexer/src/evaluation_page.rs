//! An evaluation as a page that stands alone: the measures, and queries with their hits.

use std::fmt::Write;

use crate::evaluate::{Evaluation, QueryScore};

/// The page lists so many queries at the most.
const MAX_QUERIES: usize = 1_000;

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;color:#1f2430;max-width:70rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:0 0 1.5rem}th,td{text-align:right;padding:.2rem .8rem;border-bottom:1px solid #e4e7ec}\
th:first-child,td:first-child{text-align:left}details{border-bottom:1px solid #e4e7ec;padding:.3rem 0}summary{cursor:pointer}\
summary b{display:inline-block;width:4rem;font-variant-numeric:tabular-nums}.g{display:inline-block;width:2rem;color:#667085}\
.g3{color:#0f5c4d;font-weight:700}.g2{color:#0f5c4d}.g0{color:#9b2c2c}.up{color:#0f5c4d}.down{color:#9b2c2c}";

/// Writes the page, the worst queries first; with another evaluation of the same queries, those that moved most.
pub fn page(name: &str, evaluation: &Evaluation, against: Option<&Evaluation>) -> String {
    let mut out =
        String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Relevance</title><style>");
    out.push_str(STYLE);
    let _ = write!(out, "</style><h1>Relevance of {}</h1>", escaped(name));
    measures(evaluation, against, &mut out);
    let (order, others) = match against {
        None => ("worst first", "scored no worse"),
        Some(_) => ("most moved first", "moved no more"),
    };
    let _ = write!(out, "<h2>Queries, {order}</h2>");
    let queries: Vec<(Option<f64>, &QueryScore)> = match against {
        None => evaluation.worst_first().into_iter().map(|score| (None, score)).collect(),
        Some(against) => {
            evaluation.most_moved_first(against).into_iter().map(|(by, score)| (Some(by), score)).collect()
        }
    };
    queries.iter().take(MAX_QUERIES).for_each(|(moved, score)| query(score, *moved, &mut out));
    if queries.len() > MAX_QUERIES {
        let _ = write!(out, "<p>{} more queries {others}, and are left out.</p>", queries.len() - MAX_QUERIES);
    }
    out.push_str("</html>\n");
    out
}

fn measures(evaluation: &Evaluation, against: Option<&Evaluation>, out: &mut String) {
    type Measure = (&'static str, fn(&Evaluation) -> f64);
    let measures: [Measure; 5] = [
        ("nDCG@10", |one| one.ndcg),
        ("judged-only nDCG@10", |one| one.judged_ndcg),
        ("recall@100", |one| one.recall),
        ("MRR", |one| one.mrr),
        ("without a result", |one| one.zero_results),
    ];
    let _ = write!(out, "<table><tr><th>{} queries<th>here", evaluation.queries);
    out.push_str(if against.is_some() { "<th>against<th>moved</tr>" } else { "</tr>" });
    for (name, of) in measures {
        let _ = write!(out, "<tr><td>{name}<td>{:.4}", of(evaluation));
        if let Some(against) = against {
            let _ = write!(out, "<td>{:.4}<td>{:+.4}", of(against), of(evaluation) - of(against));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
}

fn query(score: &QueryScore, moved: Option<f64>, out: &mut String) {
    let _ = write!(out, "<details><summary><b>{:.3}</b>{}", score.ndcg, escaped(&score.query));
    if let Some(corrected) = &score.corrected {
        let _ = write!(out, " &rarr; {}", escaped(corrected));
    }
    if let Some(why) = &score.refused {
        let _ = write!(out, " <span class=\"down\">refused: {}</span>", escaped(why));
    }
    if let Some(by) = moved.filter(|by| by.abs() > 1e-9) {
        let _ = write!(out, " <span class=\"{}\">{by:+.3}</span>", if by > 0.0 { "up" } else { "down" });
    }
    let recall = score.recall.map_or("-".to_owned(), |recall| format!("{recall:.2}"));
    let _ = write!(
        out,
        "</summary><p>judged-only {:.3}, recall {recall}, {} found, {} judged</p><ol>",
        score.judged_ndcg, score.found, score.judged
    );
    for hit in &score.hits {
        let grade = hit.grade.map_or("-".to_owned(), |grade| grade.to_string());
        let _ = write!(out, "<li><span class=\"g g{grade}\">{grade}</span>{}", escaped(&hit.title));
    }
    out.push_str("</ol></details>\n");
}

/// A text as it may stand in a page, between tags or inside a quoted attribute.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What had moved from bad to good was once left out of a comparison of more queries than the page lists.
    #[test]
    fn of_many_queries_those_that_moved_most_are_listed() {
        let score = |number: usize, ndcg: f64| QueryScore {
            id: format!("q{number:04}"),
            query: format!("query {number:04}"),
            found: 1,
            judged: 1,
            ndcg,
            judged_ndcg: ndcg,
            ..Default::default()
        };
        let evaluation = |best: f64| {
            let per_query: Vec<QueryScore> =
                (0..=MAX_QUERIES).map(|number| score(number, if number == 7 { best } else { 0.5 })).collect();
            Evaluation { queries: per_query.len(), per_query, ..Default::default() }
        };
        let (here, there) = (evaluation(1.0), evaluation(0.1));
        let alone = page("here", &here, None);
        assert!(!alone.contains("query 0007") && alone.contains("query 1000"), "the best one is left out");
        assert!(alone.contains("<p>1 more queries scored no worse, and are left out.</p>"));
        let compared = page("here", &here, Some(&there));
        let place = |text: &str| compared.find(text);
        assert!(place("query 0007").is_some() && place("query 0007") < place("query 0000"), "it moved most");
        assert!(place("query 1000").is_none() && compared.contains("1 more queries moved no more"));
    }
}
