//! Rules against the products that they are about: what can never fire, and what names a product that is not there.

use jiff::Timestamp;

use super::Rule;
use crate::filter::Filter;
use crate::index::Index;
use crate::predicate::{Predicate, live_bits};

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
        let mut findings = RuleFindings::default();
        for rule in self.rules.all() {
            self.check_rule(rule, now, &mut findings);
        }
        for hidden in &self.rules.hidden {
            if self.snapshot().find(&hidden.id).is_none() {
                findings.faults.push(format!("hidden '{}': there is no such product", hidden.id));
            }
        }
        let is_known = |word: &String| self.stem_count(&self.analyzer.stem(word)).is_ok_and(|count| count > 0);
        for (from, alternatives) in self.rules.synonyms.all() {
            if !alternatives.iter().any(|to| to.iter().all(is_known)) {
                findings.doubts.push(format!("synonyms: no product has any of what '{from}' may be"));
            }
        }
        findings.doubts.sort_unstable();
        findings.doubts.dedup();
        findings
    }

    fn check_rule(&self, rule: &Rule, now: Timestamp, findings: &mut RuleFindings) {
        let name = &rule.name;
        if rule.has_ended(now) {
            findings.faults.push(format!("rule '{name}': it has ended, and can never fire again"));
        }
        for wanted in &rule.filters {
            if !self.is_ever_true(wanted) {
                findings.faults.push(format!("rule '{name}': no product passes when.filters, so nobody asks for them"));
            }
        }
        let pinned = rule.then.pins.iter().map(|(id, _)| ("pin", id));
        for (what, id) in pinned.chain(rule.then.hide.iter().map(|id| ("hide", id))) {
            if self.snapshot().find(id).is_none() {
                findings.faults.push(format!("rule '{name}': {what} '{id}': there is no such product"));
            }
        }
        let boosted = rule.then.boosts.iter().map(|(filter, _)| filter);
        for filter in boosted.chain(&rule.then.filter) {
            if !self.is_ever_true(filter) {
                findings.doubts.push(format!("rule '{name}': no product passes one of its filters"));
            }
        }
    }

    /// Whether any current product passes a filter.
    fn is_ever_true(&self, filter: &Filter) -> bool {
        self.segments().iter().any(|part| {
            let mut bits = Predicate::new(filter, &part.segment).bits(&part.segment);
            bits.intersect(live_bits(part).words());
            bits.count() > 0
        })
    }
}
