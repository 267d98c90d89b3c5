//! Rules against the products that they are about: what can never fire, and what names a product that is not there.

use std::collections::HashMap;

use jiff::Timestamp;
use snapshots::Snapshot;

use super::condition::QueryCondition;
use super::synonyms::Replacement;
use super::{During, Hidden, Rule, Rules};
use crate::filter::Filter;
use crate::index::Index;
use crate::predicate::{Predicate, live_bits};
use crate::query::read_query;
use crate::request::limits;

/// What is wrong with the rules of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFindings {
    /// Rules that can never fire, or that name products that are not there.
    pub faults: Vec<String>,
    /// What is probably a mistake.
    pub doubts: Vec<String>,
}

impl Index {
    /// Looks for rules that can do nothing at `now` or later.
    pub fn check_rules(&self, now: Timestamp) -> RuleFindings {
        let mut findings = self.rules.check(self.snapshot(), now);
        let is_known = |word: &String| self.stem_count(&self.analyzer.stem(word)).is_ok_and(|count| count > 0);
        for (from, alternatives) in self.rules.synonyms.all() {
            if !alternatives.iter().any(|to| to.iter().all(is_known)) {
                findings.doubts.push(format!("synonyms: no product has any of what '{from}' may be"));
            }
        }
        let has_none = |query: &str| !read_query(&self.analyzer, query).iter().any(|word| is_known(&word.text));
        for (from, to) in self.rules.synonyms.replacements().filter(|(_, to)| has_none(to)) {
            findings.doubts.push(format!("replacement '{from}': no product has any word of '{to}'"));
        }
        for rule in &self.rules.rules {
            if let Some(query) = rule.then.replace_query.as_ref().filter(|query| has_none(query)) {
                let name = &rule.name;
                findings.doubts.push(format!("rule '{name}': replace_query: no product has any word of '{query}'"));
            }
        }
        findings.doubts.sort_unstable();
        findings.doubts.dedup();
        findings
    }
}

impl Rules {
    /// Looks for rules and replacements that can do nothing with a snapshot's products at `now` or later. Whether products
    /// have the words that rules lead to is left out: that takes an [`Index`].
    pub fn check(&self, snapshot: &Snapshot, now: Timestamp) -> RuleFindings {
        let mut findings = RuleFindings::default();
        let mut hiding: HashMap<&str, Vec<&Hidden>> = HashMap::new();
        self.hidden.iter().for_each(|one| hiding.entry(&one.id).or_default().push(one));
        // The rules that ask the same of a query and of contexts, by both.
        let mut alike: HashMap<_, Vec<&Rule>> = HashMap::new();
        for rule in &self.rules {
            check_rule(rule, snapshot, now, &mut findings);
            if rule.during.has_ended(now) {
                continue;
            }
            let before = alike.entry((&rule.query, &rule.contexts)).or_default();
            // Of those that hold whenever this one does, the first does what only one rule can.
            let asked = Filter::All(rule.filters.clone());
            let holds = |one: &Rule| {
                covers(&one.markets, one.during, rule, now)
                    && one.filters.iter().all(|wanted| self.asks_for(&asked, wanted))
            };
            let wider: Vec<&Rule> = before.iter().copied().filter(|one| holds(one)).collect();
            before.push(rule);
            for (id, position) in &rule.then.pins {
                let Some(product) = snapshot.find(id) else { continue };
                let hiding = hiding.get(id.as_str()).map_or(&[][..], Vec::as_slice);
                let is_hidden =
                    rule.then.hide.contains(id) || hiding.iter().any(|one| covers(&one.markets, one.during, rule, now));
                let reason = match wider.iter().find(|one| pins_at(one, *position, snapshot)) {
                    Some(first) => format!("rule '{}', which holds whenever it does, has its position", first.name),
                    None if is_hidden => "it is hidden".to_owned(),
                    None if !passes_filters(product, rule, snapshot) => {
                        "it does not pass the rule's own filters".to_owned()
                    }
                    None => continue,
                };
                findings.faults.push(format!("rule '{}': pin '{id}': {reason}", rule.name));
            }
            for (what, does) in CLAIMS.into_iter().filter(|(_, does)| does(rule)) {
                if let Some(first) = wider.iter().find(|one| does(one)) {
                    let reason = format!("rule '{}', which holds whenever it does, has its own", first.name);
                    findings.faults.push(format!("rule '{}': {what}: {reason}", rule.name));
                }
            }
        }
        for hidden in &self.hidden {
            check_hidden(hidden, snapshot, now, &mut findings);
        }
        let told = |(one, first): (&Replacement, &Replacement)| {
            let reason = match one.to == first.to {
                true => format!("it stands twice, before as '{}'", first.from),
                false => format!("it never becomes '{}': '{}' before it has the same words", one.to, first.from),
            };
            format!("replacement '{}': {reason}", one.from)
        };
        let mut passed_over: Vec<String> = self.synonyms.passed_over().map(told).collect();
        passed_over.sort_unstable();
        findings.faults.append(&mut passed_over);
        findings
    }
}

/// What only the first of several rules does, and whether a rule is to do it.
type Claim = (&'static str, fn(&Rule) -> bool);

const CLAIMS: [Claim; 2] =
    [("replace_query", |rule| rule.then.replace_query.is_some()), ("redirect", |rule| rule.then.redirect.is_some())];

/// Whether a rule pins a product that is there to a position.
fn pins_at(rule: &Rule, position: usize, snapshot: &Snapshot) -> bool {
    rule.then.pins.iter().any(|(id, at)| *at == position && snapshot.find(id).is_some())
}

/// Whether a product passes what a rule asks a request to filter by, and what it filters by itself.
fn passes_filters((segment, doc): (usize, u32), rule: &Rule, snapshot: &Snapshot) -> bool {
    let part = &snapshot.segments[segment].segment;
    let passes = |filter: &Filter| Predicate::new(filter, part).holds(doc, part.facet_rows());
    rule.filters.iter().chain(&rule.then.filter).all(passes)
}

/// Whether something that holds in these markets (in all, where there are none) and at these times holds whenever a
/// rule does, from now on.
fn covers(markets: &[String], during: During, rule: &Rule, now: Timestamp) -> bool {
    let in_its_markets = !rule.markets.is_empty() && rule.markets.iter().all(|market| markets.contains(market));
    (markets.is_empty() || in_its_markets) && during.covers(rule.during, now)
}

fn check_rule(rule: &Rule, snapshot: &Snapshot, now: Timestamp, findings: &mut RuleFindings) {
    let name = &rule.name;
    let mut fault = |reason: String| findings.faults.push(format!("rule '{name}': {reason}"));
    if rule.during.has_ended(now) {
        fault("it has ended, and can never fire again".to_owned());
    }
    for market in rule.markets.iter().filter(|market| !is_market_name(market)) {
        fault(format!("when.markets: {}", no_market(market)));
    }
    for context in rule.contexts.iter().filter(|context| context.len() > limits::CONTEXT_BYTES) {
        let limit = limits::CONTEXT_BYTES;
        fault(format!("when.contexts: '{context}' is longer than the {limit} bytes that a request's may have"));
    }
    if let Some(excess) = rule.query.as_ref().and_then(QueryCondition::excess) {
        fault(excess);
    }
    if rule.filters.iter().any(|wanted| !is_ever_true(wanted, snapshot)) {
        fault("no product passes when.filters, so nobody asks for them".to_owned());
    }
    let pinned = rule.then.pins.iter().map(|(id, _)| ("pin", id));
    for (what, id) in pinned.chain(rule.then.hide.iter().map(|id| ("hide", id))) {
        if snapshot.find(id).is_none() {
            fault(format!("{what} '{id}': there is no such product"));
        }
    }
    let boosted = rule.then.boosts.iter().map(|(filter, _)| filter);
    for filter in boosted.chain(&rule.then.filter) {
        if !is_ever_true(filter, snapshot) {
            findings.doubts.push(format!("rule '{name}': no product passes one of its filters"));
        }
    }
}

fn check_hidden(hidden: &Hidden, snapshot: &Snapshot, now: Timestamp, findings: &mut RuleFindings) {
    let mut fault = |reason: String| findings.faults.push(format!("hidden '{}': {reason}", hidden.id));
    if snapshot.find(&hidden.id).is_none() {
        fault("there is no such product".to_owned());
    }
    if hidden.during.has_ended(now) {
        fault("it has ended, and hides nothing any more".to_owned());
    }
    for market in hidden.markets.iter().filter(|market| !is_market_name(market)) {
        fault(format!("markets: {}", no_market(market)));
    }
}

/// Whether an edge takes the name; which of the possible ones there are, only edges know.
fn is_market_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(is_plain)
}

fn no_market(name: &str) -> String {
    format!("no market is called '{name}': names are 1 to 64 of a-z, 0-9, - and _")
}

/// Whether any current product passes a filter.
fn is_ever_true(filter: &Filter, snapshot: &Snapshot) -> bool {
    snapshot.segments.iter().any(|part| {
        let mut bits = Predicate::new(filter, &part.segment).bits(&part.segment);
        bits.intersect(live_bits(part).words());
        bits.count() > 0
    })
}
