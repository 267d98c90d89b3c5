//! Reading parameters one by one. What nobody has read is unknown to the endpoint, which `finish` tells.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::form::Node;

const MAX_METADATA_KEYS: usize = 50;
const MAX_METADATA_KEY_CHARS: usize = 40;
const MAX_METADATA_VALUE_CHARS: usize = 500;
/// The longest text that a parameter may hold.
const MAX_TEXT_CHARS: usize = 5_000;

pub(crate) type Metadata = BTreeMap<String, String>;

/// How a request changes metadata.
#[derive(Clone, Debug)]
pub(crate) enum MetadataChange {
    Clear,
    /// An empty value removes its key.
    Set(Vec<(String, String)>),
}

impl MetadataChange {
    pub(crate) fn apply(self, metadata: &mut Metadata) {
        match self {
            Self::Clear => metadata.clear(),
            Self::Set(pairs) => {
                for (key, value) in pairs {
                    match value.is_empty() {
                        true => metadata.remove(&key),
                        false => metadata.insert(key, value),
                    };
                }
            }
        }
    }
}

/// The parameters of a request, or of one group of them.
#[derive(Debug)]
pub(crate) struct Fields {
    /// The group's own name, for messages.
    prefix: String,
    entries: Vec<(String, Node)>,
}

impl Fields {
    pub(crate) fn new(entries: Vec<(String, Node)>) -> Self {
        Self { prefix: String::new(), entries }
    }

    /// The name of a parameter as the request writes it.
    pub(crate) fn name(&self, name: &str) -> String {
        match self.prefix.is_empty() {
            true => name.to_owned(),
            false => format!("{}[{name}]", self.prefix),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(known, _)| known == name)
    }

    pub(crate) fn is_group(&self, name: &str) -> bool {
        self.entries.iter().any(|(known, node)| known == name && matches!(node, Node::Many(_)))
    }

    /// None where it is absent or empty.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let full_name = self.name(name);
        match self.take(name) {
            None => Ok(None),
            Some(Node::Text(text)) if text.is_empty() => Ok(None),
            Some(Node::Text(text)) if text.chars().count() <= MAX_TEXT_CHARS => Ok(Some(text)),
            Some(Node::Text(_)) => {
                let message = format!("{full_name} has more than {MAX_TEXT_CHARS} characters.");
                Err(ApiError::invalid(None, full_name, message))
            }
            Some(Node::Many(_)) => Err(ApiError::invalid(None, &full_name, format!("{full_name} must be a text."))),
        }
    }

    pub(crate) fn required(&mut self, name: &str) -> Result<String, ApiError> {
        let full_name = self.name(name);
        self.text(name)?.ok_or_else(|| ApiError::parameter_missing(full_name))
    }

    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let full_name = self.name(name);
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let message = format!("{full_name} must be a whole number.");
            ApiError::invalid(Some("parameter_invalid_integer"), full_name, message)
        })
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        Ok(self.one_of(name, &["true", "false"])?.map(|text| text == "true"))
    }

    pub(crate) fn one_of(&mut self, name: &str, allowed: &[&'static str]) -> Result<Option<&'static str>, ApiError> {
        let full_name = self.name(name);
        let Some(text) = self.text(name)? else { return Ok(None) };
        allowed.iter().copied().find(|known| *known == text).map(Some).ok_or_else(|| {
            let message = format!("{full_name} must be one of {}.", allowed.join(", "));
            ApiError::invalid(None, full_name, message)
        })
    }

    /// The parameters in brackets after `name`.
    pub(crate) fn group(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        let prefix = self.name(name);
        match self.take(name) {
            None => Ok(None),
            Some(Node::Text(text)) if text.is_empty() => Ok(None),
            Some(Node::Many(entries)) => Ok(Some(Self { prefix, entries })),
            Some(Node::Text(_)) => Err(ApiError::invalid(None, &prefix, format!("{prefix} must be a group."))),
        }
    }

    /// A list of groups.
    pub(crate) fn groups(&mut self, name: &str) -> Result<Vec<Self>, ApiError> {
        let Some(list) = self.group(name)? else { return Ok(Vec::new()) };
        let mut groups = Vec::new();
        for (place, node) in list.entries {
            let prefix = format!("{}[{place}]", list.prefix);
            match node {
                Node::Many(entries) => groups.push(Self { prefix, entries }),
                Node::Text(_) => return Err(ApiError::invalid(None, &prefix, format!("{prefix} must be a group."))),
            }
        }
        Ok(groups)
    }

    /// A list of texts; a single text counts as one of length one.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let full_name = self.name(name);
        let Some(node) = self.take(name) else { return Ok(Vec::new()) };
        let nodes = match node {
            Node::Text(text) if text.is_empty() => Vec::new(),
            Node::Text(text) => vec![Node::Text(text)],
            Node::Many(entries) => entries.into_iter().map(|(_, node)| node).collect(),
        };
        let mut texts = Vec::new();
        for node in nodes {
            match node {
                Node::Text(text) => texts.push(text),
                Node::Many(_) => {
                    return Err(ApiError::invalid(None, &full_name, format!("{full_name} must be a list of texts.")));
                }
            }
        }
        Ok(texts)
    }

    /// `metadata`, within its bounds. None where the request does not name it.
    pub(crate) fn metadata(&mut self) -> Result<Option<MetadataChange>, ApiError> {
        let Some(node) = self.take("metadata") else { return Ok(None) };
        let Node::Many(entries) = node else { return Ok(Some(MetadataChange::Clear)) };
        let fault = |message: String| Err(ApiError::invalid(None, "metadata", message));
        if entries.len() > MAX_METADATA_KEYS {
            return fault(format!("metadata may have at most {MAX_METADATA_KEYS} keys."));
        }
        let mut pairs = Vec::new();
        for (key, node) in entries {
            let Node::Text(value) = node else { return fault(format!("metadata[{key}] must be a text.")) };
            if key.is_empty() || key.chars().count() > MAX_METADATA_KEY_CHARS {
                return fault(format!("A key of metadata must have 1 to {MAX_METADATA_KEY_CHARS} characters."));
            }
            if value.chars().count() > MAX_METADATA_VALUE_CHARS {
                return fault(format!("metadata[{key}] may have at most {MAX_METADATA_VALUE_CHARS} characters."));
            }
            pairs.push((key, value));
        }
        Ok(Some(MetadataChange::Set(pairs)))
    }

    /// The metadata of a new object.
    pub(crate) fn new_metadata(&mut self) -> Result<Metadata, ApiError> {
        let mut metadata = Metadata::new();
        if let Some(change) = self.metadata()? {
            change.apply(&mut metadata);
        }
        Ok(metadata)
    }

    /// A group of texts as it is, to be shown again.
    pub(crate) fn json(&mut self, name: &str) -> Option<Value> {
        let node = self.take(name)?;
        match node {
            Node::Text(_) => None,
            Node::Many(_) => Some(json_of(node)),
        }
    }

    /// Takes what the endpoint knows but the simulator does nothing with.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        self.entries.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Turns away what would change the money if it were heeded, and is not simulated.
    pub(crate) fn refuse(&self, names: &[&str]) -> Result<(), ApiError> {
        match self.entries.iter().find(|(name, _)| names.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let name = self.name(name);
                Err(ApiError::invalid(None, &name, format!("The simulator does not support {name}.")))
            }
        }
    }

    /// Fails where something was not read.
    pub(crate) fn finish(&self) -> Result<(), ApiError> {
        match self.entries.first() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::parameter_unknown(self.name(name))),
        }
    }

    fn take(&mut self, name: &str) -> Option<Node> {
        let place = self.entries.iter().position(|(known, _)| known == name)?;
        Some(self.entries.remove(place).1)
    }
}

fn json_of(node: Node) -> Value {
    match node {
        Node::Text(text) => Value::String(text),
        Node::Many(entries) => {
            let members: Map<String, Value> = entries.into_iter().map(|(name, node)| (name, json_of(node))).collect();
            Value::Object(members)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form;

    fn fields(encoded: &str) -> Fields {
        Fields::new(form::parse(encoded.as_bytes()).expect("parameters"))
    }

    #[test]
    fn what_nobody_reads_is_unknown() {
        let mut fields = fields("amount=5&group[inner]=1&other=2");
        assert_eq!(fields.integer("amount").expect("a number"), Some(5));
        let group = fields.group("group").expect("a group").expect("it is there");
        let error = group.finish().expect_err("an unknown parameter").to_json();
        assert_eq!(error["error"]["param"], "group[inner]");
        assert_eq!(error["error"]["code"], "parameter_unknown");
        fields.ignore(&["other"]);
        fields.finish().expect("nothing is left");
    }

    #[test]
    fn metadata_is_merged_and_bounded() {
        let mut metadata = Metadata::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let change = |text: &str| fields(text).metadata().expect("metadata").expect("it is there");
        change("metadata[a]=&metadata[c]=3").apply(&mut metadata);
        assert_eq!(metadata.keys().collect::<Vec<_>>(), ["b", "c"]);
        change("metadata=").apply(&mut metadata);
        assert!(metadata.is_empty());
        let long = format!("metadata[a]={}", "x".repeat(MAX_METADATA_VALUE_CHARS + 1));
        fields(&long).metadata().expect_err("too long");
    }

    #[test]
    fn wrong_kinds_are_told_by_name() {
        let check = |encoded: &str, code: &str| {
            let error = fields(encoded).integer("amount").expect_err("a fault").to_json();
            assert_eq!(error["error"]["param"], "amount");
            assert_eq!(error["error"]["code"].as_str().unwrap_or_default(), code);
        };
        check("amount=1.5", "parameter_invalid_integer");
        check("amount[a]=1", "");
        assert_eq!(fields("expand=a").texts("expand").expect("texts"), ["a"]);
        assert!(fields("flag=1").boolean("flag").is_err());
    }
}
