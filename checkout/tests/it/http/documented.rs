//! Holds every answer to the document that clients read: its status, its code and its body. It knows as much of JSON Schema as
//! that document uses for answers, but patterns and formats.

use std::sync::OnceLock;

use serde_json::Value;

use super::shop::Answer;

const PROBLEM: &str = "application/problem+json";

/// Paths that the document does not have say nothing.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let document = document();
    let Some(operation) = operation(document, method, path) else { return };
    let told = format!("{method} {path}: {} {}", answer.status, answer.text);
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "a status that is not documented: {told}");
    if answer.text.is_empty() {
        assert!(response["content"].is_null(), "a body is documented: {told}");
        return;
    }
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    let content_type = answer.header("content-type");
    if content_type == PROBLEM {
        let codes = response["x-codes"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(codes.contains(&body["code"]), "a code that is not documented: {told}");
    }
    let schema = &response["content"][content_type]["schema"];
    assert!(schema.is_object(), "a type that is not documented: {content_type} of {told}");
    if let Err(fault) = fits(document, schema, &body, "") {
        panic!("{fault}: {told}");
    }
}

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("../../../src/http/openapi.json")).expect("JSON"))
}

/// What is documented of a method at a path, whose parameters are whatever they are.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path: Vec<&str> = path.split('?').next().unwrap_or_default().split('/').collect();
    let is_it = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == path.len()
            && template.iter().zip(&path).all(|(part, given)| part.starts_with('{') || part == given)
    };
    let (_, item) = document["paths"].as_object()?.iter().find(|(template, _)| is_it(template))?;
    item.get(method.to_lowercase())
}

/// # Errors
/// Says what is not as the schema has it. A field that it does not name is a fault, too.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let check = |is_so: bool, what: &str| match is_so {
        true => Ok(()),
        false => Err(format!("'{place}' {what}: {value}")),
    };
    if let Some(reference) = schema["$ref"].as_str() {
        let referred = document.pointer(reference.trim_start_matches('#')).expect("a reference to something");
        fits(document, referred, value, place)?;
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        let fitting = forms.iter().filter(|form| fits(document, form, value, place).is_ok()).count();
        check(fitting == 1, "has not one of its forms")?;
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    check(types.is_empty() || types.iter().any(|kind| is_of(value, kind)), "has another type")?;
    if let Some(values) = schema["enum"].as_array() {
        check(values.contains(value), "is none of its values")?;
    }
    if let Some(number) = value.as_i64() {
        let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
        check(least.is_none_or(|least| number >= least), "is below its minimum")?;
        check(most.is_none_or(|most| number <= most), "is above its maximum")?;
    }
    if let Some(text) = value.as_str() {
        let (length, bound) = (text.chars().count() as u64, |name: &str| schema[name].as_u64());
        check(bound("minLength").is_none_or(|least| length >= least), "is too short")?;
        check(bound("maxLength").is_none_or(|most| length <= most), "is too long")?;
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(document, &schema["items"], item, &format!("{place}/{number}"))?;
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        check(value.get(name).is_some(), &format!("lacks {name}"))?;
    }
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, field) in fields {
            let property = properties.get(name);
            check(property.is_some(), &format!("has a field that is not documented, {name}"))?;
            fits(document, &schema["properties"][name], field, &format!("{place}/{name}"))?;
        }
    }
    Ok(())
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        other => panic!("a type that answers do not have: {other:?}"),
    }
}

#[test]
fn what_is_not_documented_is_told() {
    let document = document();
    let schema = &document["components"]["schemas"]["Cart"];
    let check = |cart: &str, words: &str| {
        let fault = fits(document, schema, &serde_json::from_str(cart).expect("JSON"), "").expect_err(words);
        assert!(fault.contains(words), "{fault}");
    };
    let with = |line: &str| {
        format!(r#"{{"cart": {{"id": "crt_1", "version": 1, "market": null, "lines": [{line}], "expires": ""}}}}"#)
    };
    let good: Value = serde_json::from_str(&with(r#"{"product": "p1", "quantity": 1}"#)).expect("JSON");
    assert_eq!(fits(document, schema, &good, ""), Ok(()));
    check("[]", "another type");
    check("{}", "lacks cart");
    check(&with(r#"{"product": "p1"}"#), "lacks quantity");
    check(&with(r#"{"product": "p1", "quantity": "1"}"#), "'/cart/lines/0/quantity' has another type");
    check(&with(r#"{"product": "p1", "quantity": 0}"#), "below its minimum");
    check(&with(r#"{"product": "", "quantity": 1}"#), "too short");
    check(&with(r#"{"product": "p1", "quantity": 1, "price": 1}"#), "not documented, price");
}
