//! The one filter grammar, for every face of the service: `brand:"Sony" AND price:100 TO 200 AND NOT color:red`.
//!
//! ```text
//! any       = all { "OR" all }
//! all       = one { "AND" one }
//! one       = "NOT" one | "(" any ")" | condition
//! condition = name ":" value | name ":" number "TO" number | name operator number
//! operator  = "<" | "<=" | "=" | "!=" | ">=" | ">"
//! name      = bare text | "in double quotes"
//! value     = "in double quotes" | 'in single quotes' | bare text without spaces and brackets
//! ```
//! Numbers are decimals in the units a shopper sees (12.50 for a price), compared exactly.

use snapshots::{Catalogue, Decimal, FacetKind};

use crate::error::RequestError;

/// Deeper brackets are refused, so that no filter can exhaust the stack.
const MAX_DEPTH: usize = 32;
/// More conditions are refused.
const MAX_CONDITIONS: usize = 128;

/// A condition on products, its names checked against a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    Value {
        facet: String,
        value: String,
    },
    /// Both ends belong to it, in units of the number's column. A product without the number is outside.
    Range {
        number: String,
        low: i64,
        high: i64,
    },
    Not(Box<Filter>),
    All(Vec<Filter>),
    Any(Vec<Filter>),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Says what is wrong and at which character.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, RequestError> {
        let mut parser = Parser { text, at: 0, catalogue, conditions: 0 };
        let filter = parser.any(0)?;
        parser.skip_spaces();
        match parser.rest().is_empty() {
            true => Ok(filter),
            false => Err(parser.error("expected AND, OR or the end")),
        }
    }

    /// The one facet or number that all conditions are about, if it is one.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Value { facet, .. } => Some(facet),
            Self::Range { number, .. } => Some(number),
            Self::Not(inner) => inner.subject(),
            Self::All(parts) | Self::Any(parts) => {
                let first = parts.first()?.subject()?;
                parts.iter().all(|part| part.subject() == Some(first)).then_some(first)
            }
        }
    }

    /// The conditions that must all hold, where the filter is a list of such.
    pub fn into_conjuncts(self) -> Vec<Self> {
        match self {
            Self::All(parts) => parts.into_iter().flat_map(Self::into_conjuncts).collect(),
            other => vec![other],
        }
    }

    /// Calls `each` with every value that products are asked to have, negated ones left out.
    pub fn wanted_values(&self, each: &mut impl FnMut(&str, &str)) {
        match self {
            Self::Value { facet, value } => each(facet, value),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.wanted_values(each)),
            Self::Range { .. } | Self::Not(_) => {}
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    catalogue: &'a Catalogue,
    conditions: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Filter, RequestError> {
        let mut parts = vec![self.all(depth)?];
        while self.keyword("OR") {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self, depth: usize) -> Result<Filter, RequestError> {
        let mut parts = vec![self.one(depth)?];
        while self.keyword("AND") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Filter, RequestError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} levels of NOT and brackets")));
        }
        if self.keyword("NOT") {
            return Ok(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        self.skip_spaces();
        if self.rest().starts_with('(') {
            self.at += 1;
            let inner = self.any(depth + 1)?;
            self.skip_spaces();
            if !self.rest().starts_with(')') {
                return Err(self.error("expected )"));
            }
            self.at += 1;
            return Ok(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Filter, RequestError> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(self.error(format!("more than {MAX_CONDITIONS} conditions")));
        }
        self.skip_spaces();
        let name_at = self.at;
        let name = match self.rest().starts_with('"') {
            true => self.value()?,
            false => {
                let plain = |c: char| !matches!(c, ':' | '<' | '>' | '=' | '!' | '(' | ')' | '"') && !c.is_whitespace();
                self.take_while(plain).to_owned()
            }
        };
        let name = name.as_str();
        if name.is_empty() {
            return Err(self.error("expected a condition such as brand:\"Sony\" or price<100"));
        }
        let decimals = self.catalogue.number_decimals(name);
        let is_facet = self.catalogue.facet(name).is_some_and(|facet| !matches!(facet.kind, FacetKind::Number { .. }));
        if decimals.is_none() && !is_facet {
            return Err(self.error_at(name_at, format!("'{name}' cannot be filtered by; there are {}", self.names())));
        }
        self.skip_spaces();
        let operator_at = self.at;
        let operator = self.operator().ok_or_else(|| self.error("expected one of : < <= = != >= >"))?;
        match (decimals, operator) {
            (Some(decimals), _) => self.range(name, decimals, operator),
            (None, ":" | "=") => Ok(Filter::Value { facet: name.to_owned(), value: self.value()? }),
            (None, "!=") => {
                let value = Filter::Value { facet: name.to_owned(), value: self.value()? };
                Ok(Filter::Not(Box::new(value)))
            }
            (None, _) => Err(self.error_at(operator_at, format!("'{name}' is no number, so it takes : = or !="))),
        }
    }

    fn range(&mut self, name: &str, decimals: u8, operator: &str) -> Result<Filter, RequestError> {
        let (floor, cut) = self.number(decimals)?;
        // The least value of the column that is not below the number.
        let ceiling = floor + i128::from(cut);
        let (low, high) = match operator {
            "<" => (i128::MIN, ceiling - 1),
            "<=" => (i128::MIN, floor),
            ">=" => (ceiling, i128::MAX),
            ">" => (floor + 1, i128::MAX),
            ":" if self.keyword("TO") => (ceiling, self.number(decimals)?.0),
            _ => (ceiling, floor),
        };
        // i64::MIN stands for an absent value.
        let clamp = |value: i128| value.clamp(i128::from(i64::MIN) + 1, i128::from(i64::MAX)) as i64;
        let range = Filter::Range { number: name.to_owned(), low: clamp(low), high: clamp(high) };
        Ok(if operator == "!=" { Filter::Not(Box::new(range)) } else { range })
    }

    fn number(&mut self, decimals: u8) -> Result<(i128, bool), RequestError> {
        self.skip_spaces();
        let at = self.at;
        let text = self.value()?;
        let number = Decimal::parse(&text).and_then(|decimal| decimal.at_scale(decimals));
        number.ok_or_else(|| {
            self.error_at(at, format!("'{text}' is not a decimal number of at most 18 digits, such as 12.50"))
        })
    }

    fn operator(&mut self) -> Option<&'static str> {
        let operators = ["<=", ">=", "!=", ":", "<", ">", "="];
        let found = operators.into_iter().find(|operator| self.rest().starts_with(operator))?;
        self.at += found.len();
        Some(found)
    }

    fn value(&mut self) -> Result<String, RequestError> {
        self.skip_spaces();
        let quote = self.rest().chars().next().filter(|c| matches!(c, '"' | '\''));
        let Some(quote) = quote else {
            let value = self.take_while(|c| !c.is_whitespace() && !matches!(c, '(' | ')'));
            return match value {
                "" => Err(self.error("expected a value")),
                value => Ok(value.to_owned()),
            };
        };
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((offset, c)) = characters.next() {
            match c {
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                c if c == quote => {
                    self.at += offset + c.len_utf8();
                    return Ok(value);
                }
                c => value.push(c),
            }
        }
        Err(self.error_at(start, "the quote that begins here is not closed"))
    }

    /// Takes a keyword if it comes next, as a whole word.
    fn keyword(&mut self, word: &str) -> bool {
        self.skip_spaces();
        let follows = self.rest().strip_prefix(word);
        let whole = follows.is_some_and(|rest| rest.chars().next().is_none_or(|c| c.is_whitespace() || c == '('));
        if whole {
            self.at += word.len();
        }
        whole
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> = self.catalogue.value_facets().map(|facet| facet.name.as_str()).collect();
        names.extend(self.catalogue.number_names());
        names.join(", ")
    }

    fn error(&self, reason: impl Into<String>) -> RequestError {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, byte: usize, reason: impl Into<String>) -> RequestError {
        let position = self.text[..byte].chars().count();
        let reason = format!("at character {position}: {}", reason.into());
        RequestError { parameter: "filters", reason, position: Some(position) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let facets = ["brand", "category", "price", "color"].map(|name| format!("[[facets]]\nname = \"{name}\"\n"));
        Catalogue::parse(&format!("name = \"t\"\ncurrency = \"EUR\"\n{}", facets.concat())).expect("valid settings")
    }

    fn value(facet: &str, value: &str) -> Filter {
        Filter::Value { facet: facet.into(), value: value.into() }
    }

    fn price(low: i64, high: i64) -> Filter {
        Filter::Range { number: "price".into(), low, high }
    }

    #[test]
    fn filters_are_read() {
        let check = |text, expected| assert_eq!(Filter::parse(text, &catalogue()), Ok(expected), "{text}");
        let not = |filter| Filter::Not(Box::new(filter));
        check("brand:Sony", value("brand", "Sony"));
        check(" brand : \"So\\\"ny \" ", value("brand", "So\"ny "));
        check("category:'Toys > Games'", value("category", "Toys > Games"));
        check("price:5 TO 9.99", price(500, 999));
        check("price<10", price(i64::MIN + 1, 999));
        check("price <= 10.005", price(i64::MIN + 1, 1000));
        check("price > 10.005", price(1001, i64::MAX));
        check("price >= 10.005", price(1001, i64::MAX));
        check("price=10.005", price(1001, 1000));
        check("price != 3", not(price(300, 300)));
        check("rating>=4.5", Filter::Range { number: "rating".into(), low: 450, high: i64::MAX });
        check(
            "brand:A AND (color:red OR NOT color:blue) AND price<1",
            Filter::All(vec![
                value("brand", "A"),
                Filter::Any(vec![value("color", "red"), not(value("color", "blue"))]),
                price(i64::MIN + 1, 99),
            ]),
        );
        check("brand:A OR brand:B AND color:c", {
            Filter::Any(vec![value("brand", "A"), Filter::All(vec![value("brand", "B"), value("color", "c")])])
        });
        check("brand:ORANGE", value("brand", "ORANGE"));
        check("\"brand\" : A AND \"price\"<1", Filter::All(vec![value("brand", "A"), price(i64::MIN + 1, 99)]));
    }

    #[test]
    fn errors_point_at_the_character() {
        let check = |text: &str, position, reason: &str| {
            let error = Filter::parse(text, &catalogue()).expect_err(text);
            assert_eq!(error.position, Some(position), "{text}: {error}");
            assert!(error.reason.contains(reason), "{text}: {error}");
        };
        check("", 0, "expected a condition");
        check("brand:A AND", 11, "expected a condition");
        check("brand:A color:b", 8, "expected AND, OR or the end");
        check("größe:A", 0, "'größe' cannot be filtered by; there are brand, category, color, price");
        check("brand:\"Größe\" AND price<abc", 24, "'abc' is not a decimal");
        check("brand:\"open", 6, "not closed");
        check("(brand:A", 8, "expected )");
        check("brand<A", 5, "takes : = or !=");
        check(&"(".repeat(100), 33, "levels");
        check(&"NOT ".repeat(100), 131, "levels");
        check(&vec!["price<1"; 600].join(" OR "), 1408, "conditions");
    }

    #[test]
    fn a_filter_knows_its_subject() {
        let subject = |text| Filter::parse(text, &catalogue()).expect(text).subject().map(str::to_owned);
        assert_eq!(subject("brand:A OR NOT brand:B"), Some("brand".into()));
        assert_eq!(subject("price<1 OR price>3"), Some("price".into()));
        assert_eq!(subject("brand:A OR color:B"), None);
    }
}
