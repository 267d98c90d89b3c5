//! How good a snapshot's answers are, by judged queries.
//!
//! Counted as information retrieval does: a hit's gain is 2^grade - 1, discounted by log2(place + 1), over the gain of the
//! ideal order (nDCG: Järvelin and Kekäläinen, 2002; the exponential gain: Burges et al., 2005). What nobody has judged
//! counts as worth nothing; `judged_ndcg` instead takes unjudged hits out of the first hundred before it looks at the
//! first ten, since sparse judgements punish what their authors never saw.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use search::{Index, RawRequest};
use serde::{Deserialize, Serialize};

use crate::ending::Ending;

/// How far down nDCG looks.
const TOP: usize = 10;
/// How far down recall looks, and how many hits are asked for.
const DEPTH: usize = 100;
/// The least grade of a product that should be found.
const RELEVANT: u8 = 2;
const MAX_GRADE: u8 = 10;

/// A query with the grades of the products that someone judged for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedQuery {
    pub id: String,
    pub query: String,
    pub grades: HashMap<String, u8>,
}

/// What one query scored.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueryScore {
    pub id: String,
    pub query: String,
    pub found: u64,
    pub judged: usize,
    pub ndcg: f64,
    pub judged_ndcg: f64,
    /// None where no product has a grade that should be found.
    pub recall: Option<f64>,
    pub reciprocal_rank: f64,
    /// The query as it was understood, where it was misspelled.
    pub corrected: Option<String>,
    /// Why the query was not answered, where the search refused it: it found nothing then.
    pub refused: Option<String>,
    /// The first ten.
    pub hits: Vec<ScoredHit>,
}

/// A hit of a judged query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredHit {
    pub id: String,
    pub title: String,
    /// None where nobody has judged it.
    pub grade: Option<u8>,
}

/// What all queries scored, on average.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    pub queries: usize,
    /// How many of them were refused. These count as if they had found nothing.
    pub refused: usize,
    pub ndcg: f64,
    pub judged_ndcg: f64,
    pub recall: f64,
    pub mrr: f64,
    pub zero_results: f64,
    pub per_query: Vec<QueryScore>,
}

#[derive(Deserialize)]
struct QueryLine {
    id: String,
    query: String,
}

/// Reads queries (JSON Lines of `id` and `query`) and judgements (query id, product id and grade, separated by tabs).
/// Queries without a graded product, or with fewer than `min_judged`, are left out.
///
/// # Errors
/// Names the file and line at fault.
pub fn read(queries: &Path, judgments: &Path, min_judged: usize) -> Result<Vec<JudgedQuery>> {
    let mut grades: HashMap<String, HashMap<String, u8>> = HashMap::new();
    let text = std::fs::read_to_string(judgments).with_context(|| judgments.display().to_string())?;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let at = || format!("{}: line {}", judgments.display(), number + 1);
        let mut parts = line.split('\t');
        let (query, product, grade) = (parts.next(), parts.next(), parts.next());
        let (Some(query), Some(product), Some(grade), None) = (query, product, grade, parts.next()) else {
            anyhow::bail!("{}: expected query id, product id and grade, separated by tabs", at());
        };
        let grade = grade.trim().parse().ok().filter(|grade| *grade <= MAX_GRADE);
        let grade = grade.with_context(|| format!("{}: the grade is not from 0 to {MAX_GRADE}", at()))?;
        grades.entry(query.to_owned()).or_default().insert(product.to_owned(), grade);
    }
    let mut judged = Vec::new();
    for line in query_lines(queries)? {
        let grades = grades.remove(&line.id).unwrap_or_default();
        if grades.len() >= min_judged.max(1) && grades.values().any(|grade| *grade > 0) {
            judged.push(JudgedQuery { id: line.id, query: line.query, grades });
        }
    }
    ensure!(!judged.is_empty(), "no query of {} has a judged product that is any good", queries.display());
    Ok(judged)
}

/// The queries of a file of JSON Lines.
///
/// # Errors
/// Names the file and line at fault.
pub fn read_queries(queries: &Path) -> Result<Vec<String>> {
    Ok(query_lines(queries)?.into_iter().map(|line| line.query).collect())
}

/// The queries of a file of JSON Lines that nobody has judged: all they tell is how much they find.
///
/// # Errors
/// Names the file and line at fault, or says that there is none.
pub fn read_unjudged(queries: &Path) -> Result<Vec<JudgedQuery>> {
    let lines = query_lines(queries)?;
    ensure!(!lines.is_empty(), "{} holds no query", queries.display());
    Ok(lines.into_iter().map(|line| JudgedQuery { id: line.id, query: line.query, grades: HashMap::new() }).collect())
}

fn query_lines(queries: &Path) -> Result<Vec<QueryLine>> {
    let text = std::fs::read_to_string(queries).with_context(|| queries.display().to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let at = |number| format!("{}: line {}", queries.display(), number + 1);
    lines.map(|(number, line)| serde_json::from_str(line).with_context(|| at(number))).collect()
}

/// Asks every query and scores what comes.
///
/// # Errors
/// When the index cannot be read.
pub fn evaluate(index: &Index, judged: &[JudgedQuery]) -> Result<Evaluation> {
    let per_query = judged.iter().map(|query| ask(index, query)).collect::<Result<Vec<_>>>()?;
    let mean = |of: &dyn Fn(&QueryScore) -> Option<f64>| {
        let values: Vec<f64> = per_query.iter().filter_map(of).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    Ok(Evaluation {
        queries: per_query.len(),
        refused: per_query.iter().filter(|score| score.refused.is_some()).count(),
        ndcg: mean(&|score| Some(score.ndcg)),
        judged_ndcg: mean(&|score| Some(score.judged_ndcg)),
        recall: mean(&|score| score.recall),
        mrr: mean(&|score| Some(score.reciprocal_rank)),
        zero_results: mean(&|score| Some(f64::from(u8::from(score.found == 0)))),
        per_query,
    })
}

fn ask(index: &Index, query: &JudgedQuery) -> Result<QueryScore> {
    let raw = RawRequest { q: query.query.clone(), per_page: Some(DEPTH), ..Default::default() };
    let request = match index.request(raw) {
        Ok(request) => request,
        // Whoever asks it finds nothing; the other queries are asked all the same.
        Err(error) => return Ok(QueryScore { refused: Some(error.to_string()), ..score(query, 0, &[]) }),
    };
    let answer = index.search(&request)?;
    let ids = answer.hits.iter().map(|hit| index.record(hit.segment, hit.doc).id());
    let grades: Vec<Option<u8>> = ids.map(|id| query.grades.get(id).copied()).collect();
    let mut scored = score(query, answer.found, &grades);
    scored.corrected = answer.corrected;
    scored.hits = answer.hits.iter().zip(grades).take(TOP).map(|(hit, grade)| scored_hit(index, hit, grade)).collect();
    Ok(scored)
}

fn scored_hit(index: &Index, hit: &search::Hit, grade: Option<u8>) -> ScoredHit {
    let id = index.record(hit.segment, hit.doc).id().to_owned();
    ScoredHit { id, title: index.title(hit.segment, hit.doc), grade }
}

/// Scores the grades of a query's hits, best hit first; None is a hit that nobody has judged.
fn score(query: &JudgedQuery, found: u64, grades: &[Option<u8>]) -> QueryScore {
    let mut ideal: Vec<u8> = query.grades.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let ideal_gain = gain(ideal.into_iter());
    let ndcg = |grades: &mut dyn Iterator<Item = u8>| if ideal_gain > 0.0 { gain(grades) / ideal_gain } else { 0.0 };
    let wanted = query.grades.values().filter(|grade| **grade >= RELEVANT).count();
    let hit = grades.iter().flatten().filter(|grade| **grade >= RELEVANT).count();
    let first = grades.iter().position(|grade| grade.is_some_and(|grade| grade >= RELEVANT));
    QueryScore {
        id: query.id.clone(),
        query: query.query.clone(),
        found,
        judged: query.grades.len(),
        ndcg: ndcg(&mut grades.iter().map(|grade| grade.unwrap_or(0))),
        judged_ndcg: ndcg(&mut grades.iter().flatten().copied()),
        recall: (wanted > 0).then(|| hit as f64 / wanted as f64),
        reciprocal_rank: first.map_or(0.0, |place| 1.0 / (place + 1) as f64),
        corrected: None,
        refused: None,
        hits: Vec::new(),
    }
}

/// The discounted gain of the first ten grades.
fn gain(grades: impl Iterator<Item = u8>) -> f64 {
    let discounted = |(place, grade): (usize, u8)| (f64::from(grade).exp2() - 1.0) / ((place + 2) as f64).log2();
    // A sum of nothing is minus zero, which reads badly.
    grades.take(TOP).enumerate().map(discounted).fold(0.0, |sum, gain| sum + gain)
}

/// A measure, and the least or the most that it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    measure: String,
    value: f64,
}

impl Bound {
    /// Reads the least that a measure may be.
    ///
    /// # Errors
    /// Names what is at fault, as does [`Bound::ceiling`].
    pub fn floor(text: &str) -> Result<Self, String> {
        Self::read(text, &["ndcg", "judged_ndcg", "recall", "mrr"])
    }

    /// Reads the most that a measure may be.
    ///
    /// # Errors
    /// As [`Bound::floor`].
    pub fn ceiling(text: &str) -> Result<Self, String> {
        Self::read(text, &["zero_results"])
    }

    fn read(text: &str, measures: &[&str]) -> Result<Self, String> {
        let (measure, value) = text.split_once('=').ok_or("is not of the form MEASURE=VALUE")?;
        if !measures.contains(&measure) {
            return Err(format!("'{measure}' is none of {}", measures.join(", ")));
        }
        let number = value.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
        let value = number.ok_or_else(|| format!("'{value}' is not a number from 0 to 1"))?;
        Ok(Self { measure: measure.to_owned(), value })
    }
}

impl Evaluation {
    /// # Errors
    /// Names the measures that are below their floors or above their ceilings.
    pub fn check(&self, floors: &[Bound], ceilings: &[Bound]) -> Result<()> {
        let value = |bound: &Bound| match bound.measure.as_str() {
            "ndcg" => self.ndcg,
            "judged_ndcg" => self.judged_ndcg,
            "recall" => self.recall,
            "mrr" => self.mrr,
            _ => self.zero_results,
        };
        let told =
            |bound: &Bound, must: &str| format!("{} is {:.4}, and {must} {}", bound.measure, value(bound), bound.value);
        let below = floors.iter().filter(|floor| value(floor) < floor.value).map(|floor| told(floor, "must be"));
        let above = ceilings.iter().filter(|most| value(most) > most.value).map(|most| told(most, "may be at most"));
        let missed: Vec<String> = below.chain(above).collect();
        ensure!(missed.is_empty(), Ending::verdict(missed.join("; ")));
        Ok(())
    }

    /// How many queries were refused, and why the first was; None where none was.
    pub fn refusals(&self) -> Option<String> {
        let first = self.per_query.iter().find_map(|score| Some((&score.id, score.refused.as_ref()?)));
        first.map(|(id, why)| format!("{}, the first {id}: {why}", self.refused))
    }
}

/// The evaluation for people, with the queries that scored worst, or those that moved most against another one.
pub fn text(evaluation: &Evaluation, against: Option<&Evaluation>, worst: usize) -> String {
    let mut out = String::new();
    let mut line = |name: &str, of: fn(&Evaluation) -> f64| {
        let _ = write!(out, "{name:<22} {:.3}", of(evaluation));
        if let Some(against) = against {
            let _ = write!(out, "  against {:.3}  {:+.3}", of(against), of(evaluation) - of(against));
        }
        out.push('\n');
    };
    line("nDCG@10", |one| one.ndcg);
    line("judged-only nDCG@10", |one| one.judged_ndcg);
    line("recall@100", |one| one.recall);
    line("MRR", |one| one.mrr);
    line("without a result", |one| one.zero_results);
    let _ = writeln!(out, "{:<22} {}", "queries", evaluation.queries);
    if let Some(refusals) = evaluation.refusals() {
        let _ = writeln!(out, "{:<22} {refusals}", "refused");
    }
    if worst == 0 {
        return out;
    }
    match against {
        None => worst_queries(evaluation, worst, &mut out),
        Some(against) => moved_queries(evaluation, against, worst, &mut out),
    }
    out
}

fn worst_queries(evaluation: &Evaluation, worst: usize, out: &mut String) {
    let _ = writeln!(out, "\nnDCG@10  judged-only  recall@100   found  query");
    for score in evaluation.worst_first().into_iter().take(worst) {
        let recall = score.recall.map_or("     -".to_owned(), |recall| format!("{recall:>6.3}"));
        let (ndcg, judged, found) = (score.ndcg, score.judged_ndcg, score.found);
        let _ = writeln!(out, "{ndcg:>7.3}  {judged:>11.3}  {recall:>10}  {found:>6}  {}", score.query);
    }
}

fn moved_queries(evaluation: &Evaluation, against: &Evaluation, most: usize, out: &mut String) {
    let mut moved = evaluation.most_moved_first(against);
    moved.retain(|(by, _)| by.abs() > 1e-9);
    let _ = writeln!(out, "\n{} queries moved\n  moved  nDCG@10  query", moved.len());
    for (by, score) in moved.into_iter().take(most) {
        let _ = writeln!(out, "{by:>+7.3}  {:>7.3}  {}", score.ndcg, score.query);
    }
}

impl Evaluation {
    /// The queries, worst first.
    pub fn worst_first(&self) -> Vec<&QueryScore> {
        let mut scores: Vec<&QueryScore> = self.per_query.iter().collect();
        scores.sort_by(|a, b| worse_first(a, b));
        scores
    }

    /// By how much each query is better than in another evaluation of the same queries.
    pub fn moves<'a>(&'a self, against: &'a Self) -> impl Iterator<Item = (f64, &'a QueryScore)> {
        self.per_query.iter().zip(&against.per_query).map(|(here, there)| (here.ndcg - there.ndcg, here))
    }

    /// The same, those that moved most first, then the worst.
    pub fn most_moved_first<'a>(&'a self, against: &'a Self) -> Vec<(f64, &'a QueryScore)> {
        let mut moved: Vec<(f64, &QueryScore)> = self.moves(against).collect();
        moved.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()).then_with(|| worse_first(a.1, b.1)));
        moved
    }
}

fn worse_first(a: &QueryScore, b: &QueryScore) -> Ordering {
    a.ndcg.total_cmp(&b.ndcg).then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(grades: &[(&str, u8)]) -> JudgedQuery {
        let grades = grades.iter().map(|(id, grade)| ((*id).to_owned(), *grade)).collect();
        JudgedQuery { id: "q".into(), query: "a query".into(), grades }
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    #[test]
    fn scores_are_those_of_the_definition() {
        let query = query(&[("a", 3), ("b", 2), ("c", 0), ("d", 1)]);
        // The best order: 7, 3 and 1 at the places 1, 2 and 3.
        let ideal = 7.0 + 3.0 / 3_f64.log2() + 1.0 / 2.0;
        let found = score(&query, 5, &[None, Some(2), Some(0), Some(3)]);
        close(found.ndcg, (3.0 / 3_f64.log2() + 7.0 / 5_f64.log2()) / ideal);
        close(found.judged_ndcg, (3.0 + 7.0 / 2.0) / ideal);
        assert_eq!((found.recall, found.reciprocal_rank), (Some(1.0), 0.5));
        let perfect = score(&query, 3, &[Some(3), Some(2), Some(1)]);
        close(perfect.ndcg, 1.0);
        let nothing = score(&query, 0, &[]);
        assert_eq!((nothing.ndcg, nothing.recall, nothing.reciprocal_rank), (0.0, Some(0.0), 0.0));
    }

    #[test]
    fn only_the_first_ten_count_and_unjudged_hits_leave_room() {
        let query = query(&[("a", 2)]);
        let mut grades = vec![None; 10];
        grades.push(Some(2));
        let found = score(&query, 11, &grades);
        assert_eq!((found.ndcg, found.judged_ndcg, found.recall), (0.0, 1.0, Some(1.0)));
    }
}
