//! Objects that have a field twice: parsers differ in which of the two they take, so that whoever looked at a body before
//! us may have seen other numbers.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How much of a name is told.
const MAX_TOLD_CHARS: usize = 64;

/// Looks at a body that is JSON.
///
/// # Errors
/// Says which field stands twice, and where.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Unique>(text).map(drop)
}

/// A value without a field that stands twice, of which nothing is kept.
struct Unique;

struct Looker;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Looker)
    }
}

/// Numbers of any precision come as objects of one field.
impl<'de> Visitor<'de> for Looker {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E: Error>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Unique, A::Error> {
        while list.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                let shown: String = name.chars().take(MAX_TOLD_CHARS).collect();
                return Err(A::Error::custom(format_args!("the field '{shown}' stands twice")));
            }
            names.insert(name);
            map.next_value::<Unique>()?;
        }
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_once_in_an_object() {
        for text in [r#"{"a":1,"b":{"a":1.5}}"#, r#"[{"a":-1},{"a":1e400}]"#, "null", "true", r#""a""#, "[]", "{}"] {
            assert!(check(text).is_ok(), "{text}");
        }
        // The second name is the same, written otherwise.
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":[],"a":null}}]"#, r#"{"a":"x","\u0061":{}}"#] {
            let told = check(text).expect_err(text).to_string();
            assert!(told.starts_with("the field 'a' stands twice at line 1"), "{told}");
        }
    }
}
