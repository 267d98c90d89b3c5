//! Form-encoded parameters with brackets: `metadata[order_id]=x`, `expand[]=latest_charge`.

use sha2::{Digest, Sha256};

use crate::error::ApiError;

/// How many parameters a request may have.
const MAX_PARAMETERS: usize = 2_000;
/// How many brackets may follow each other.
const MAX_DEPTH: usize = 8;

/// A value, or what stands in brackets below it, in the order of the request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Text(String),
    Many(Vec<(String, Node)>),
}

/// Reads the parameters of a request.
pub(crate) fn parse(encoded: &[u8]) -> Result<Vec<(String, Node)>, ApiError> {
    let mut entries = Vec::new();
    for (count, (key, value)) in form_urlencoded::parse(encoded).enumerate() {
        if count == MAX_PARAMETERS {
            return Err(ApiError::malformed(format!("A request may have at most {MAX_PARAMETERS} parameters.")));
        }
        let path = path_of(&key);
        if path.len() > MAX_DEPTH {
            return Err(ApiError::malformed("The parameters are nested too deeply."));
        }
        insert(&mut entries, &path, value.into_owned(), &key)?;
    }
    Ok(entries)
}

/// The same for the same parameters, whatever their order.
pub(crate) fn fingerprint(encoded: &[u8]) -> String {
    let mut pairs: Vec<_> = form_urlencoded::parse(encoded).collect();
    pairs.sort();
    let mut digest = Sha256::new();
    for (key, value) in &pairs {
        // Lengths keep apart what concatenation would not.
        digest.update((key.len() as u64).to_le_bytes());
        digest.update(key.as_bytes());
        digest.update((value.len() as u64).to_le_bytes());
        digest.update(value.as_bytes());
    }
    hex(&digest.finalize())
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `a[b][]` as `a`, `b` and an empty name. A key with odd brackets is one name.
fn path_of(key: &str) -> Vec<&str> {
    let Some((name, mut rest)) = key.split_once('[') else { return vec![key] };
    let mut path = vec![name];
    loop {
        let Some((inner, after)) = rest.split_once(']') else { return vec![key] };
        path.push(inner);
        if after.is_empty() {
            return path;
        }
        let Some(next) = after.strip_prefix('[') else { return vec![key] };
        rest = next;
    }
}

fn insert(entries: &mut Vec<(String, Node)>, path: &[&str], value: String, key: &str) -> Result<(), ApiError> {
    let Some((name, rest)) = path.split_first() else { return Ok(()) };
    // Empty brackets mean the next place of a list.
    let name = if name.is_empty() { entries.len().to_string() } else { (*name).to_owned() };
    let place = entries.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
        let empty = if rest.is_empty() { Node::Text(String::new()) } else { Node::Many(Vec::new()) };
        entries.push((name, empty));
        entries.len() - 1
    });
    match (&mut entries[place].1, rest.is_empty()) {
        (Node::Text(text), true) => {
            *text = value;
            Ok(())
        }
        (Node::Many(inner), false) => insert(inner, rest, value, key),
        _ => Err(ApiError::invalid(None, key, format!("{key} is given both as a value and as a group."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Node {
        Node::Text(value.to_owned())
    }

    fn many(entries: &[(&str, Node)]) -> Node {
        Node::Many(entries.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())
    }

    #[test]
    fn brackets_nest() {
        let parsed =
            parse(b"amount=5&metadata%5Border_id%5D=a+b&expand[]=x&expand[]=y&l[0][p][c]=eur&l[0][q]=2&odd[=1");
        let expected = many(&[
            ("amount", text("5")),
            ("metadata", many(&[("order_id", text("a b"))])),
            ("expand", many(&[("0", text("x")), ("1", text("y"))])),
            ("l", many(&[("0", many(&[("p", many(&[("c", text("eur"))])), ("q", text("2"))]))])),
            ("odd[", text("1")),
        ]);
        assert_eq!(Node::Many(parsed.expect("parameters")), expected);
        parse(b"a=1&a[b]=2").expect_err("both a value and a group");
        parse(b"a[a][a][a][a][a][a][a][a]=2").expect_err("too deep");
    }

    #[test]
    fn fingerprints_heed_values_and_not_their_order() {
        assert_eq!(fingerprint(b"a=1&b=2"), fingerprint(b"b=2&a=1"));
        assert_ne!(fingerprint(b"a=1&b=2"), fingerprint(b"a=1&b=3"));
        assert_ne!(fingerprint(b"a=1b"), fingerprint(b"a1=b"));
    }
}
