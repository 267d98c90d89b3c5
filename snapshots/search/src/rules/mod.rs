//! Curation: what merchandisers want of certain queries, versioned with the data.
//!
//! `rules.toml` is an object of the snapshot. It is read once, when the snapshot is opened; a request then looks its
//! own rules up by its words.

mod check;
mod condition;
mod file;
mod synonyms;

use jiff::Timestamp;
use snapshots::{Catalogue, FacetKind};

use crate::analysis::Analyzer;
use crate::categories::is_below;
use crate::filter::Filter;
use crate::query::{QueryWord, read_query};

pub use check::RuleFindings;
use condition::{ByQuery, QueryCondition};
use file::{BoostTable, PinTable, RuleTable, RulesFile, ThenTable};
pub use file::{RulesError, limits};
pub(crate) use synonyms::Synonyms;

/// The rules of a catalogue in one market.
#[derive(Default)]
pub struct Rules {
    rules: Vec<Rule>,
    by_query: ByQuery,
    pub(crate) synonyms: Synonyms,
    hidden: Vec<Hidden>,
    /// Stems of words that products need not have.
    stop_words: Vec<String>,
    /// The facets whose values are paths.
    hierarchies: Vec<String>,
    /// When what is active changes, rising.
    changes: Vec<Timestamp>,
    /// When what is hidden from all changes, rising.
    hiding_changes: Vec<Timestamp>,
}

/// A rule: what it asks of a request, and what it does then.
pub(crate) struct Rule {
    pub(crate) name: String,
    query: Option<QueryCondition>,
    filters: Vec<Filter>,
    contexts: Vec<String>,
    /// All, where there are none; as for what is hidden.
    markets: Vec<String>,
    during: During,
    pub(crate) then: Effects,
}

/// A time from and until which something holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct During {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl During {
    pub(crate) fn holds(self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// When it begins and ends.
    fn changes(self) -> impl Iterator<Item = Timestamp> {
        self.from.into_iter().chain(self.until)
    }

    fn is_empty(self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if until <= from)
    }

    fn has_ended(self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether it holds whenever another time does, from now on.
    fn covers(self, other: Self, now: Timestamp) -> bool {
        let start = other.from.map_or(now, |from| from.max(now));
        let lasts = self.until.is_none_or(|until| other.until.is_some_and(|end| end <= until));
        self.from.is_none_or(|from| from <= start) && lasts
    }
}

/// A product that is not shown.
struct Hidden {
    id: String,
    markets: Vec<String>,
    during: During,
}

/// What a rule does.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Product ids and their positions, from 1.
    pub(crate) pins: Vec<(String, usize)>,
    /// Products that gain this share of their score, or lose it.
    pub(crate) boosts: Vec<(Filter, f32)>,
    pub(crate) hide: Vec<String>,
    pub(crate) replace_query: Option<String>,
    pub(crate) filter: Option<Filter>,
    pub(crate) redirect: Option<String>,
    /// JSON, as it is handed to the client.
    pub(crate) user_data: Option<String>,
}

impl Rules {
    /// Reads the rules that hold in a market; None takes those of all markets.
    ///
    /// # Errors
    /// Says which rule is at fault and why.
    pub fn parse(text: &str, catalogue: &Catalogue, market: Option<&str>) -> Result<Self, RulesError> {
        if text.len() > limits::FILE_BYTES {
            return Err(RulesError::new("file", format!("is larger than {} bytes", limits::FILE_BYTES)));
        }
        let file: RulesFile = toml::from_str(text)?;
        at_most("rules", file.rules.len(), limits::RULES)?;
        at_most("hidden", file.hidden.len(), limits::HIDDEN)?;
        let analyzer = Analyzer::new(&catalogue.locale);
        let hierarchies = catalogue.facets.iter().filter(|facet| facet.kind == FacetKind::Hierarchy);
        let mut rules = Self {
            hierarchies: hierarchies.map(|facet| facet.name.clone()).collect(),
            synonyms: Synonyms::read(&file, &analyzer)?,
            stop_words: file.stop_words.iter().flat_map(|word| stems(&analyzer, word)).collect(),
            ..Self::default()
        };
        let in_market =
            |markets: &[String]| markets.is_empty() || market.is_none_or(|name| markets.iter().any(|one| one == name));
        let mut names = std::collections::HashSet::new();
        for table in file.rules {
            let at = format!("rule '{}'", table.name);
            if table.name.is_empty() || !names.insert(table.name.clone()) {
                return Err(RulesError::new(at, "every rule has a name of its own"));
            }
            let concerns = in_market(&table.when.markets);
            let rule = Rule::read(table, &analyzer, catalogue).map_err(|reason| RulesError::new(at, reason))?;
            if concerns {
                rules.add(rule);
            }
        }
        for table in file.hidden {
            let during = during(table.from, table.until);
            let at = format!("hidden '{}'", table.id);
            let during = during.map_err(|reason| RulesError::new(at, reason))?;
            if in_market(&table.markets) {
                rules.changes.extend(during.changes());
                rules.hiding_changes.extend(during.changes());
                rules.hidden.push(Hidden { id: table.id, markets: table.markets, during });
            }
        }
        for changes in [&mut rules.changes, &mut rules.hiding_changes] {
            changes.sort_unstable();
            changes.dedup();
        }
        Ok(rules)
    }

    fn add(&mut self, rule: Rule) {
        self.by_query.add(rule.query.as_ref(), self.rules.len());
        self.changes.extend(rule.during.changes());
        self.rules.push(rule);
    }

    /// Which set of rules is active at a time: another number, another set.
    pub fn version_at(&self, now: Timestamp) -> usize {
        self.changes.partition_point(|change| *change <= now)
    }

    /// When another set of rules becomes active.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.changes.get(self.version_at(now)).copied()
    }

    /// Which products are hidden from all at a time: as long as it is the same number, the same.
    pub(crate) fn hiding_version(&self, now: Timestamp) -> usize {
        self.hiding_changes.partition_point(|change| *change <= now)
    }

    /// The ids of the products that are hidden from all in such a version.
    pub(crate) fn hidden_in(&self, version: usize) -> impl Iterator<Item = &str> {
        let time = version.checked_sub(1).map_or(Timestamp::MIN, |change| self.hiding_changes[change]);
        self.hidden.iter().filter(move |one| one.during.holds(time)).map(|one| one.id.as_str())
    }

    /// Whether any product is hidden from all at some time.
    pub(crate) fn hides_from_all(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Whether there are rules besides those that hide products for all.
    pub(crate) fn has_any(&self) -> bool {
        !self.rules.is_empty()
    }

    pub(crate) fn is_stop_word(&self, stem: &str) -> bool {
        self.stop_words.iter().any(|word| word == stem)
    }

    /// The rules that apply to a request, by its words as they were typed and those in their place, in the order of the
    /// file.
    pub(crate) fn applying(
        &self,
        queries: [&[QueryWord]; 2],
        filter: Option<&Filter>,
        contexts: &[String],
        now: Timestamp,
    ) -> Vec<&Rule> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let applies = |rule: &&Rule| {
            rule.during.holds(now)
                && rule.filters.iter().all(|wanted| filter.is_some_and(|asked| self.asks_for(asked, wanted)))
                && (rule.contexts.is_empty() || rule.contexts.iter().any(|context| contexts.contains(context)))
        };
        let places = self.by_query.fulfilled(&self.rules, queries);
        places.into_iter().map(|place| &self.rules[place]).filter(applies).collect()
    }

    /// Whether whoever filters so asks for what a rule wants: the same, a category below, or less of a range or of some
    /// alternatives.
    fn asks_for(&self, asked: &Filter, wanted: &Filter) -> bool {
        let any_for = |parts: &[Filter]| parts.iter().any(|part| self.asks_for(part, wanted));
        let for_any = |parts: &[Filter]| parts.iter().any(|part| self.asks_for(asked, part));
        match (asked, wanted) {
            (Filter::Any(parts), _) => parts.iter().all(|part| self.asks_for(part, wanted)),
            (_, Filter::All(parts)) => parts.iter().all(|part| self.asks_for(asked, part)),
            (Filter::All(parts), Filter::Any(wanted)) => any_for(parts) || for_any(wanted),
            (Filter::All(parts), Filter::Range { number, low, high }) => {
                any_for(parts) || common_range(parts, number).is_some_and(|(from, to)| *low <= from && to <= *high)
            }
            (Filter::All(parts), _) => any_for(parts),
            (_, Filter::Any(wanted)) => for_any(wanted),
            (Filter::Value { facet, value }, Filter::Value { facet: wanted_facet, value: wanted }) => {
                let is_path = self.hierarchies.contains(facet);
                facet == wanted_facet && (value == wanted || (is_path && is_below(value, wanted)))
            }
            (Filter::Range { number, low, high }, Filter::Range { number: wanted_number, low: from, high: to }) => {
                number == wanted_number && from <= low && high <= to
            }
            _ => asked == wanted,
        }
    }

    /// Every product that the rules name, and where.
    pub fn products(&self) -> impl Iterator<Item = (String, &str)> {
        let of_rules = self.rules.iter().flat_map(|rule| {
            let ids = rule.then.pins.iter().map(|(id, _)| id).chain(&rule.then.hide);
            ids.map(|id| (format!("rule '{}'", rule.name), id.as_str()))
        });
        of_rules.chain(self.hidden.iter().map(|one| ("hidden".to_owned(), one.id.as_str())))
    }

    /// How many rules there are, those that hide products for all among them.
    pub fn count(&self) -> usize {
        self.rules.len() + self.hidden.len()
    }
}

impl Rule {
    fn read(table: RuleTable, analyzer: &Analyzer, catalogue: &Catalogue) -> Result<Self, String> {
        let RuleTable { name, when, then } = table;
        let query = QueryCondition::read(&when, analyzer)?;
        let filter =
            |text: &str, of: &str| Filter::parse(text, catalogue).map_err(|error| format!("{of}: {}", error.reason));
        let filters = when.filters.as_deref().map(|text| filter(text, "when.filters")).transpose()?;
        let filters = filters.map(Filter::into_conjuncts).unwrap_or_default();
        let ThenTable { pin, boost, bury, hide, replace_query, filter: narrowing, redirect, user_data } = then;
        let share = |table: &BoostTable, sign: f32, of: &str| {
            let bound = if sign < 0.0 { 1.0 } else { 10.0 };
            match table.by > 0.0 && table.by <= bound {
                true => Ok((filter(&table.filter, of)?, sign * table.by)),
                false => Err(format!("{of}: by must be above 0 and at most {bound}")),
            }
        };
        if hide.len() > limits::HIDES || boost.len() + bury.len() > limits::BOOSTS {
            return Err(format!("it hides over {} products, or has over {} boosts", limits::HIDES, limits::BOOSTS));
        }
        if let Some(query) = replace_query.as_ref().filter(|query| stems(analyzer, query).is_empty()) {
            return Err(format!("replace_query: '{query}' has no word"));
        }
        let mut boosts = boost.iter().map(|table| share(table, 1.0, "boost")).collect::<Result<Vec<_>, _>>()?;
        boosts.extend(bury.iter().map(|table| share(table, -1.0, "bury")).collect::<Result<Vec<_>, _>>()?);
        let user_data = user_data
            .map(with_dates_as_text)
            .map(|value| serde_json::to_string(&value).map_err(|error| error.to_string()))
            .transpose()?;
        if user_data.as_ref().is_some_and(|json| json.len() > limits::USER_DATA_BYTES) {
            return Err(format!("user_data: is larger than {} bytes", limits::USER_DATA_BYTES));
        }
        let then = Effects {
            pins: pins(pin)?,
            boosts,
            hide,
            replace_query,
            filter: narrowing.as_deref().map(|text| filter(text, "filter")).transpose()?,
            redirect,
            user_data,
        };
        if then.is_empty() {
            return Err("it does nothing".to_owned());
        }
        let during = during(when.from, when.until)?;
        Ok(Self { name, query, filters, contexts: when.contexts, markets: when.markets, during, then })
    }
}

impl Effects {
    fn is_empty(&self) -> bool {
        self.pins.is_empty()
            && self.boosts.is_empty()
            && self.hide.is_empty()
            && self.replace_query.is_none()
            && self.filter.is_none()
            && self.redirect.is_none()
            && self.user_data.is_none()
    }
}

/// JSON has no times.
fn with_dates_as_text(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Datetime(time) => toml::Value::String(time.to_string()),
        toml::Value::Array(values) => toml::Value::Array(values.into_iter().map(with_dates_as_text).collect()),
        toml::Value::Table(table) => {
            toml::Value::Table(table.into_iter().map(|(name, value)| (name, with_dates_as_text(value))).collect())
        }
        other => other,
    }
}

fn pins(tables: Vec<PinTable>) -> Result<Vec<(String, usize)>, String> {
    if tables.len() > limits::PINS {
        return Err(format!("pin: {} of them, the limit is {}", tables.len(), limits::PINS));
    }
    let mut pins: Vec<(String, usize)> = Vec::with_capacity(tables.len());
    for PinTable { id, position } in tables {
        if !(1..=limits::PIN_POSITION).contains(&position) {
            return Err(format!("pin '{id}': a position is from 1 to {}", limits::PIN_POSITION));
        }
        if pins.iter().any(|(other, at)| *other == id || *at == position) {
            return Err(format!("pin '{id}': the product or the position stands twice"));
        }
        pins.push((id, position));
    }
    Ok(pins)
}

fn during(from: Option<Timestamp>, until: Option<Timestamp>) -> Result<During, String> {
    let during = During { from, until };
    match during.is_empty() {
        true => Err("it ends before it begins".to_owned()),
        false => Ok(during),
    }
}

/// What all of these together let pass of a number, where any of them is about it: storefronts state two bounds apart.
fn common_range(parts: &[Filter], wanted: &str) -> Option<(i64, i64)> {
    let ranges = parts.iter().filter_map(|part| match part {
        Filter::Range { number, low, high } => (number == wanted).then_some((*low, *high)),
        Filter::All(parts) => common_range(parts, wanted),
        _ => None,
    });
    ranges.reduce(|(low, high), (from, to)| (low.max(from), high.min(to)))
}

/// The stems of a text's words.
fn stems(analyzer: &Analyzer, text: &str) -> Vec<String> {
    read_query(analyzer, text).into_iter().map(|word| word.stem).collect()
}

/// Whether a query's first stems are these.
fn begins_with(query: &[&str], stems: &[String]) -> bool {
    query.len() >= stems.len() && query.iter().zip(stems).all(|(one, other)| one == other)
}

fn at_most(what: &str, count: usize, limit: usize) -> Result<(), RulesError> {
    match count > limit {
        true => Err(RulesError::new(what, format!("{count} of them, the limit is {limit}"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that follows from what may be seen was made anew at the dates of every rule.
    #[test]
    fn only_the_dates_of_what_is_hidden_change_what_is_hidden() {
        let catalogue = Catalogue::parse("name = \"t\"\ncurrency = \"EUR\"\n").expect("settings");
        let rules = r#"
            [[rules]]
            name = "spring"
            when = { from = 2026-03-01T00:00:00Z, until = 2026-06-01T00:00:00Z }
            then = { redirect = "/spring" }
            [[hidden]]
            id = "a"
            from = 2026-04-01T00:00:00Z
            [[hidden]]
            id = "b"
        "#;
        let rules = Rules::parse(rules, &catalogue, None).expect("rules");
        let versions = |month: usize| {
            let now = format!("2026-{month:02}-15T00:00:00Z").parse().expect("a time");
            (rules.version_at(now), rules.hiding_version(now))
        };
        assert_eq!([2, 3, 4, 6].map(versions), [(0, 0), (1, 0), (2, 1), (3, 1)]);
        let hidden = [0, 1].map(|version| rules.hidden_in(version).collect::<Vec<_>>());
        assert_eq!(hidden, [vec!["b"], vec!["a", "b"]]);
    }
}
