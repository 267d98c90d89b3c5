//! What a merchant feed says about one product, by attribute.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::source::{Mapping, Row};

/// Whose word a value is. Where an attribute is given several times over, only those of the highest standing count:
/// `g:title` is what the merchant tells Google, `title` what the feed shows to readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    #[default]
    Custom,
    Plain,
    Google,
}

#[derive(Debug, Default)]
pub(crate) struct FeedValue {
    /// All text in it.
    pub text: String,
    /// Its sub-attributes, if it has some: names and texts.
    pub parts: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct FeedItem {
    values: BTreeMap<String, (Standing, Vec<FeedValue>)>,
}

impl FeedValue {
    pub fn plain(text: &str) -> Self {
        Self { text: text.trim().to_owned(), parts: Vec::new() }
    }

    /// All that is in it, in the way that TSV has it: sub-attributes one after another, with colons. Where there is text
    /// around them they are markup, and divide nothing.
    fn joined(self) -> String {
        let texts: Vec<&str> = self.parts.iter().map(|(_, text)| text.trim()).collect();
        let is_all = texts.join(" ").split_whitespace().eq(self.text.split_whitespace());
        match is_all {
            true => texts.join(":"),
            false => self.text,
        }
    }

    /// A sub-attribute, unless it is empty.
    pub fn part(&self, name: &str) -> Option<&str> {
        let part = self.parts.iter().find(|(known, _)| known == name)?;
        Some(part.1.trim()).filter(|text| !text.is_empty())
    }
}

impl FeedItem {
    /// Adds a value; one that is empty says nothing.
    pub fn add(&mut self, name: &str, standing: Standing, value: FeedValue) {
        if value.text.is_empty() {
            return;
        }
        let (highest, values) = self.values.entry(name.to_owned()).or_default();
        if standing > *highest {
            *highest = standing;
            values.clear();
        }
        if standing == *highest {
            values.push(value);
        }
    }

    pub fn take(&mut self, name: &str) -> Vec<FeedValue> {
        self.values.remove(name).map(|(_, values)| values).unwrap_or_default()
    }

    /// All values of an attribute as texts, which takes them out.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        self.take(name).into_iter().map(|value| value.text).collect()
    }

    /// The first value of an attribute, which takes all of them out.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next()
    }

    /// What `structured_title` and the like hold beside the way they were written.
    pub fn structured(&mut self, name: &str) -> Option<String> {
        let values = self.take(name);
        values.iter().find_map(|value| value.part("content")).map(str::to_owned)
    }

    /// The attributes that a mapping names, as the columns of a row.
    pub fn take_columns(&mut self, mapping: &Mapping) -> Row {
        let names: Vec<String> = self.values.keys().filter(|name| mapping.has_column(name)).cloned().collect();
        let mut columns = Row::new();
        for name in names {
            let texts = self.texts(&name);
            put(&mut columns, &name, texts);
        }
        columns
    }

    /// What is left.
    pub fn into_texts(self) -> impl Iterator<Item = (String, Vec<String>)> {
        self.values.into_iter().map(|(name, (_, values))| (name, values.into_iter().map(FeedValue::joined).collect()))
    }
}

/// Puts a text, or a list where there are several, and nothing where there is none.
pub(super) fn put(row: &mut Row, field: &str, texts: impl IntoIterator<Item = String>) {
    let mut values: Vec<Value> = texts.into_iter().map(Value::String).collect();
    let value = match values.len() {
        0 => return,
        1 => values.remove(0),
        _ => Value::Array(values),
    };
    row.insert(field.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_standing_counts_and_what_is_empty_does_not() {
        let mut item = FeedItem::default();
        item.add("title", Standing::Plain, FeedValue::plain("shown"));
        item.add("title", Standing::Google, FeedValue::plain("told"));
        item.add("title", Standing::Custom, FeedValue::plain("own"));
        item.add("title", Standing::Google, FeedValue::plain("told again"));
        assert_eq!(item.texts("title"), ["told", "told again"]);
        assert_eq!(item.text("title"), None, "it is taken out");
        item.add("link", Standing::Plain, FeedValue::plain("https://x"));
        item.add("link", Standing::Google, FeedValue::plain("  "));
        assert_eq!(item.text("link").as_deref(), Some("https://x"));
    }
}
