//! Which column of the input becomes which field of a product.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::Row;

/// The fields of a product that a column can be mapped to, and what can be said of it besides.
const TARGETS: [&str; 20] = [
    "id",
    "sku",
    "title",
    "description",
    "brand",
    "gtins",
    "category",
    "price",
    "list_price",
    "currency",
    "availability",
    "rating",
    "rating_count",
    "popularity",
    "images",
    "link",
    "group",
    "updated_at",
    "delete",
    "ignore",
];

/// How the values of a row are found: from each column to a field. Columns that are not named keep their own name
/// where that is a field's, and become attributes otherwise.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    columns: BTreeMap<String, String>,
    /// What divides several values in one cell.
    list_separator: Option<String>,
    /// Mapped columns that no row had so far; shared by all who read with this mapping.
    unused: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum MappingError {
    #[error("'{0}' is no mapping: write COLUMN=FIELD")]
    Syntax(String),
    #[error("'{target}' is none of {} and attributes.NAME", TARGETS.join(", "))]
    Target { target: String },
    #[error("columns '{first}' and '{second}' are both mapped to {target}")]
    Twice { first: String, second: String, target: String },
    #[error("column '{column}' is not in the input, which has {known}")]
    Column { column: String, known: String },
    #[error("mapping file: {0}")]
    File(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    #[serde(default)]
    columns: BTreeMap<String, String>,
    list_separator: Option<String>,
}

impl Mapping {
    /// Reads a mapping file: a table `columns` from column to field, and `list_separator`.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn from_toml(text: &str) -> Result<Self, MappingError> {
        let file: MappingFile = toml::from_str(text).map_err(|error| MappingError::File(error.to_string()))?;
        let mut mapping =
            Self { columns: BTreeMap::new(), list_separator: file.list_separator, unused: Arc::default() };
        for (column, target) in file.columns {
            mapping.insert(column, target)?;
        }
        Ok(mapping)
    }

    /// Adds `COLUMN=FIELD`.
    ///
    /// # Errors
    /// When it is not of that form, or there is no such field.
    pub fn add(&mut self, text: &str) -> Result<(), MappingError> {
        let (column, target) = text.split_once('=').ok_or_else(|| MappingError::Syntax(text.to_owned()))?;
        self.insert(column.trim().to_owned(), target.trim().to_owned())
    }

    pub fn set_list_separator(&mut self, separator: String) {
        self.list_separator = Some(separator);
    }

    fn insert(&mut self, column: String, target: String) -> Result<(), MappingError> {
        let attribute = target.strip_prefix("attributes.").is_some_and(|name| !name.is_empty());
        if !attribute && !TARGETS.contains(&target.as_str()) {
            return Err(MappingError::Target { target });
        }
        let taken = self.columns.iter().find(|(other, taken)| **taken == target && **other != column);
        if let Some((first, _)) = taken.filter(|_| target != "ignore") {
            return Err(MappingError::Twice { first: first.clone(), second: column, target });
        }
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).insert(column.clone());
        self.columns.insert(column, target);
        Ok(())
    }

    /// The mapped columns that no row had.
    pub fn unused(&self) -> Vec<String> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// # Errors
    /// When a column is mapped that the input does not have.
    pub fn check_columns<'a>(&self, known: impl Iterator<Item = &'a str> + Clone) -> Result<(), MappingError> {
        let missing = self.columns.keys().find(|column| !known.clone().any(|name| name == *column));
        match missing {
            None => Ok(()),
            Some(column) => {
                let known = known.collect::<Vec<_>>().join(", ");
                Err(MappingError::Column { column: column.clone(), known })
            }
        }
    }

    /// Whether a column of this name is mapped.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// Renames the values of a row to the fields they are for. An object of attributes is looked into as well: its
    /// entries are named `attributes.NAME`, in a mapping as in the name of a column. What is mapped stands above a
    /// column that merely has the field's name.
    pub fn apply(&self, row: Row) -> Row {
        self.apply_over(row, Row::new())
    }

    /// Like [`Self::apply`], for a source that knows by itself what some of its columns are: `fields` have their names
    /// already, and what comes of `row` stands above them.
    pub(super) fn apply_over(&self, row: Row, fields: Row) -> Row {
        let mut mapped = Row::new();
        let mut attributes = Row::new();
        for (name, value) in flattened(fields) {
            self.put(name, value, &mut mapped, &mut attributes);
        }
        let mut named = flattened(row);
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if !unused.is_empty() {
            unused.retain(|column| named.iter().all(|(name, _)| name != column));
        }
        drop(unused);
        named.sort_by_key(|(name, _)| self.columns.contains_key(name));
        for (name, value) in named {
            match self.columns.get(&name) {
                Some(target) => self.put(target.clone(), value, &mut mapped, &mut attributes),
                None => self.put(name, value, &mut mapped, &mut attributes),
            }
        }
        if !attributes.is_empty() {
            mapped.insert("attributes".to_owned(), Value::Object(attributes));
        }
        mapped
    }

    fn put(&self, target: String, value: Value, mapped: &mut Row, attributes: &mut Row) {
        let value = match (&self.list_separator, value) {
            (Some(separator), Value::String(text)) if text.contains(separator.as_str()) && is_list(&target) => {
                let parts = text.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty());
                Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
            }
            (_, value) => value,
        };
        match target.strip_prefix("attributes.") {
            Some(name) => drop(attributes.insert(name.to_owned(), value)),
            None if target == "ignore" => {}
            None => drop(mapped.insert(target, value)),
        }
    }
}

/// The values of a row, and those of its attributes as `attributes.NAME`.
fn flattened(row: Row) -> Vec<(String, Value)> {
    let mut named = Vec::new();
    for (name, value) in row {
        match (name.as_str(), value) {
            ("attributes", Value::Object(entries)) => {
                named.extend(entries.into_iter().map(|(entry, value)| (format!("attributes.{entry}"), value)));
            }
            (_, value) => named.push((name, value)),
        }
    }
    named
}

/// Whether a field takes several values.
fn is_list(target: &str) -> bool {
    matches!(target, "gtins" | "gtin" | "images" | "image" | "category" | "categories")
        || target.starts_with("attributes.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Row {
        serde_json::from_str(json).expect("an object")
    }

    #[test]
    fn columns_become_fields() {
        let mut mapping = Mapping::from_toml("list_separator = \"|\"\n[columns]\nname = \"title\"\ncost = \"ignore\"")
            .expect("a mapping");
        mapping.add("attributes.ean=gtins").expect("a mapping");
        mapping.add("Colour=attributes.color").expect("a mapping");
        let mapped = mapping.apply(row(
            r#"{"name": "A | B", "cost": 3, "Colour": "red|blue", "attributes": {"ean": "1|2", "x": "y"}}"#,
        ));
        let expected =
            row(r#"{"title": "A | B", "gtins": ["1", "2"], "attributes": {"color": ["red", "blue"], "x": "y"}}"#);
        assert_eq!(mapped, expected);
    }

    #[test]
    fn what_is_mapped_wins_over_a_column_of_the_same_name() {
        for column in ["a_price", "z_price"] {
            let mut mapping = Mapping::default();
            mapping.add(&format!("{column}=price")).expect("a mapping");
            let mapped = mapping.apply(row(&format!(r#"{{"price": 1, "{column}": 2}}"#)));
            assert_eq!(mapped, row(r#"{"price": 2}"#));
        }
        // Without a mapping too, the name says that it is an attribute.
        assert_eq!(Mapping::default().apply(row(r#"{"attributes.x": 1}"#)), row(r#"{"attributes": {"x": 1}}"#));
    }

    #[test]
    fn what_is_mapped_stands_above_what_a_source_knows() {
        let mut mapping = Mapping::from_toml("list_separator = \"|\"").expect("a mapping");
        mapping.add("price=attributes.old").expect("a mapping");
        mapping.add("name=title").expect("a mapping");
        let fields = row(r#"{"price": "2", "title": "Known", "attributes": {"old": "1", "size": "S|M"}}"#);
        let mapped = mapping.apply_over(row(r#"{"price": "3", "name": "Mapped"}"#), fields);
        let expected = row(r#"{"price": "2", "title": "Mapped", "attributes": {"old": "3", "size": ["S", "M"]}}"#);
        assert_eq!(mapped, expected);
        assert!(mapping.has_column("price") && !mapping.has_column("title"));
    }

    #[test]
    fn faults_are_named() {
        let mut mapping = Mapping::default();
        assert_eq!(mapping.add("title"), Err(MappingError::Syntax("title".into())));
        let mut twice = Mapping::default();
        twice.add("a=price").expect("a mapping");
        assert!(matches!(twice.add("b=price"), Err(MappingError::Twice { .. })));
        assert_eq!(mapping.add("a=titel"), Err(MappingError::Target { target: "titel".into() }));
        mapping.add("a=title").expect("a mapping");
        let error = mapping.check_columns(["b", "c"].into_iter()).expect_err("no such column").to_string();
        assert!(error.contains("column 'a'") && error.contains("b, c"), "{error}");
        assert!(Mapping::from_toml("colums = {}").is_err());
    }
}
