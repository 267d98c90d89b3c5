//! Reads JSON bodies field by field, so that every fault is told with the place where it stands.

use serde_json::{Map, Value};
use snapshots::{Currency, Money};

use super::problem::{Code, Problem};
use super::unique;

/// An object of a body. What was not asked for when it is finished is a fault.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    pointer: String,
    taken: Vec<&'static str>,
}

/// Parses a body. An empty one says nothing, as `{}` does.
///
/// # Errors
/// Says where it is no JSON, has a field twice, or is not UTF-8.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Problem> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("the body is not UTF-8 from byte {} on", error.valid_up_to());
        Problem::new(Code::MalformedBody, detail)
    })?;
    let fault = |error: serde_json::Error| {
        let problem = Problem::new(Code::MalformedBody, format!("the body is no JSON that can be read: {error}"));
        problem.with("line", error.line().into()).with("column", error.column().into())
    };
    let body = serde_json::from_str(text).map_err(fault)?;
    unique::check(text).map_err(fault)?;
    Ok(body)
}

impl<'a> Fields<'a> {
    /// The whole body.
    pub fn of(body: &'a Value) -> Result<Self, Problem> {
        Self::at(body, String::new())
    }

    fn at(value: &'a Value, pointer: String) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => Ok(Self { map, pointer, taken: Vec::new() }),
            _ => Err(Problem::field(pointer, "is not an object")),
        }
    }

    /// Where a field stands.
    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    /// A field's value; null is as good as none.
    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.taken.push(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text of 1 to `max_chars`, without control characters.
    pub fn text(&mut self, name: &'static str, max_chars: usize) -> Result<Option<String>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let fault = |reason: String| Err(Problem::field(self.pointer(name), reason));
        match value.as_str() {
            None => fault("is not a text".to_owned()),
            Some(text) if !is_within(text, max_chars) => fault(format!("is not 1 to {max_chars} characters long")),
            Some(text) if text.chars().any(char::is_control) => fault("has control characters".to_owned()),
            Some(text) => Ok(Some(text.to_owned())),
        }
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, name: &'static str, least: i64, most: i64) -> Result<Option<i64>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_i64().filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::field(self.pointer(name), format!("is not a whole number from {least} to {most}"))),
        }
    }

    /// An amount: `{"amount_minor": 1250, "currency": "EUR"}`.
    pub fn money(&mut self, name: &'static str, most_minor: i64) -> Result<Option<Money>, Problem> {
        let Some(mut fields) = self.object(name)? else { return Ok(None) };
        let amount = fields.integer("amount_minor", 0, most_minor)?;
        let amount = fields.required("amount_minor", amount)?;
        let currency = fields.text("currency", 3)?;
        let currency = fields.required("currency", currency)?;
        let currency: Currency =
            currency.parse().map_err(|error| Problem::field(fields.pointer("currency"), format!("{error}")))?;
        fields.finish()?;
        Ok(Some(Money::from_minor(amount, currency)))
    }

    pub fn object(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, Problem> {
        let pointer = self.pointer(name);
        self.take(name).map(|value| Fields::at(value, pointer)).transpose()
    }

    /// An object that is kept as it is, of at most `max_bytes` when it is written.
    pub fn free_object(&mut self, name: &'static str, max_bytes: usize) -> Result<Option<Value>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        if !value.is_object() {
            return Err(Problem::field(self.pointer(name), "is not an object"));
        }
        match value.to_string().len() > max_bytes {
            true => Err(Problem::field(self.pointer(name), format!("is larger than {max_bytes} bytes"))),
            false => Ok(Some(value.clone())),
        }
    }

    /// A list of objects.
    pub fn list(&mut self, name: &'static str, most: usize) -> Result<Option<Vec<Fields<'a>>>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let pointer = self.pointer(name);
        let Some(list) = value.as_array() else { return Err(Problem::field(pointer, "is not a list")) };
        if list.len() > most {
            return Err(Problem::field(pointer, format!("has more than {most} entries")));
        }
        let place = |(place, value)| Fields::at(value, format!("{pointer}/{place}"));
        list.iter().enumerate().map(place).collect::<Result<_, _>>().map(Some)
    }

    /// # Errors
    /// When the field is not there.
    pub fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| Problem::field(self.pointer(name), "is missing"))
    }

    /// # Errors
    /// When there is a field that nobody asked for: it would be passed over without a word.
    pub fn finish(self) -> Result<(), Problem> {
        match self.map.keys().find(|name| !self.taken.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                // A pointer writes ~ and / otherwise (RFC 6901).
                let shown: String = name.chars().take(64).collect();
                let pointer = self.pointer(&shown.replace('~', "~0").replace('/', "~1"));
                Err(Problem::field(pointer, format!("is no field here; there are {}", self.taken.join(", "))))
            }
        }
    }
}

/// Whether a text has 1 to `max_chars` characters, as JSON schemas count them.
pub(crate) fn is_within(text: &str, max_chars: usize) -> bool {
    // Counting stops where it is clear.
    !text.is_empty() && text.chars().nth(max_chars).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json()).expect("JSON")
    }

    #[test]
    fn bodies_that_are_no_json_say_where() {
        let problem = told(&parse(b"{\n \"a\": tru }").expect_err("a fault"));
        assert_eq!((problem["code"].as_str(), problem["line"].as_u64()), (Some("malformed_body"), Some(2)));
        let problem = told(&parse(b"{\"a\": \"\xff\"}").expect_err("a fault"));
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("byte 7")), "{problem}");
        assert_eq!(parse(b"").expect("nothing"), serde_json::json!({}));
        // The last one was taken without a word.
        let problem = told(&parse(b"{\"quantity\": 1,\n \"quantity\": 9}").expect_err("a fault"));
        assert_eq!((problem["code"].as_str(), problem["line"].as_u64()), (Some("malformed_body"), Some(2)));
        let deep = [b"[".repeat(50_000), b"]".repeat(50_000)].concat();
        assert!(parse(&deep).is_err(), "depth has a bound");
    }

    /// Bytes were counted, and the document says characters.
    #[test]
    fn lengths_are_of_characters() {
        assert!(is_within("\u{fc}\u{fc}", 2) && is_within("\u{1f461}", 1));
        assert!(!is_within("\u{fc}\u{fc}\u{fc}", 2) && !is_within("", 2));
    }

    #[test]
    fn faults_have_the_place_of_their_field() {
        let check = |body: &str, pointer: &str| {
            let body = parse(body.as_bytes()).expect("JSON");
            let read = || -> Result<(), Problem> {
                let mut fields = Fields::of(&body)?;
                fields.text("name", 5)?;
                fields.money("total", 1_000)?;
                for mut line in fields.list("lines", 2)?.unwrap_or_default() {
                    let quantity = line.integer("quantity", 1, 9)?;
                    line.required("quantity", quantity)?;
                    line.finish()?;
                }
                fields.finish()
            };
            assert_eq!(told(&read().expect_err(pointer))["pointer"], pointer, "{body}");
        };
        check("[]", "");
        check(r#"{"name": 1}"#, "/name");
        check(r#"{"name": ""}"#, "/name");
        check(r#"{"name": "sixsix"}"#, "/name");
        check(r#"{"name": "a\u0000"}"#, "/name");
        check(r#"{"names": "a"}"#, "/names");
        check(r#"{"a/b~": "a"}"#, "/a~1b~0");
        check(r#"{"lines": {}}"#, "/lines");
        check(r#"{"lines": [{"quantity": 1}, {"quantity": 1}, {}]}"#, "/lines");
        check(r#"{"lines": [{"quantity": 1}, 7]}"#, "/lines/1");
        check(r#"{"lines": [{}]}"#, "/lines/0/quantity");
        check(r#"{"lines": [{"quantity": 1.5}]}"#, "/lines/0/quantity");
        check(r#"{"lines": [{"quantity": 1.0}]}"#, "/lines/0/quantity");
        check(r#"{"lines": [{"quantity": "1"}]}"#, "/lines/0/quantity");
        check(r#"{"lines": [{"quantity": 99999999999999999999999}]}"#, "/lines/0/quantity");
        check(r#"{"total": 5}"#, "/total");
        check(r#"{"total": {"amount_minor": 5}}"#, "/total/currency");
        check(r#"{"total": {"amount_minor": 5, "currency": "12"}}"#, "/total/currency");
        check(r#"{"total": {"amount_minor": -5, "currency": "EUR"}}"#, "/total/amount_minor");
        check(r#"{"total": {"amount_minor": 5, "currency": "EUR", "x": 1}}"#, "/total/x");
    }
}
