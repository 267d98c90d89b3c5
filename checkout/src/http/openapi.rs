//! The contract, as programs read it, and what balancers ask.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use serde_json::json;

use super::call::{Answered, Call};
use super::reply::Reply;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document(_: Call) -> Answered {
    Ok(Reply::text(DOCUMENT))
}

/// 503 while it drains, and where the edge beside it does not answer, so that nobody can begin a checkout here: another region
/// has prices. Where none has, the balancer is to send to all, since what was begun goes on. What all regions share takes none
/// of them out of the balancer: a database that is away is told by the admin port.
pub(super) async fn health(call: Call) -> Answered {
    let away = |status: &str| Ok(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": status })));
    match (call.app.draining.load(Ordering::Relaxed), call.app.edge_watch.is_up()) {
        (true, _) => away("draining"),
        (false, false) => away("no_prices"),
        (false, true) => Ok(Reply::ok(&json!({ "status": "ok" }))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::super::problem::ALL_CODES;
    use super::super::routes;
    use super::*;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    /// What a reference points at, or the value itself.
    fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("a reference within the document");
                document.pointer(pointer).unwrap_or_else(|| panic!("{reference} points at nothing"))
            }
            None => value,
        }
    }

    fn operations(document: &Value) -> BTreeMap<(String, String), &Value> {
        let paths = document["paths"].as_object().expect("paths");
        let mut operations = BTreeMap::new();
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("a path") {
                if ["get", "put", "post", "delete"].contains(&method.as_str()) {
                    operations.insert((method.to_uppercase(), path.clone()), operation);
                }
            }
        }
        operations
    }

    #[test]
    fn the_document_and_the_router_have_the_same_paths() {
        let document = document();
        let documented: BTreeSet<_> = operations(&document).into_keys().collect();
        let routed: BTreeSet<_> =
            routes::all().iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(documented, routed);
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    }

    #[test]
    fn parameters_of_paths_are_documented() {
        let document = document();
        for ((_, path), operation) in operations(&document) {
            let item = &document["paths"][&path];
            let all = [&item["parameters"], &operation["parameters"]];
            let parameters = all.iter().filter_map(|list| list.as_array()).flatten();
            let documented: BTreeSet<_> = parameters
                .map(|parameter| resolved(&document, parameter))
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
                .collect();
            let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let expected: BTreeSet<_> = parts.map(str::to_owned).collect();
            assert_eq!(documented, expected, "{path}");
        }
    }

    #[test]
    fn every_code_stands_under_its_status_and_no_other() {
        let document = document();
        let mut documented: BTreeSet<(u16, String)> = BTreeSet::new();
        for ((method, path), operation) in operations(&document) {
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path} never succeeds");
            for (status, response) in responses {
                let status: u16 = status.parse().expect("a status");
                let response = resolved(&document, response);
                let codes = response["x-codes"].as_array().cloned().unwrap_or_default();
                if response["content"]["application/problem+json"].is_object() {
                    assert!(!codes.is_empty(), "{method} {path} {status} has no codes");
                }
                documented.extend(codes.iter().map(|code| (status, code.as_str().expect("a code").to_owned())));
            }
        }
        let existing: BTreeSet<_> = ALL_CODES
            .iter()
            .map(|code| code.facts())
            .map(|(status, name)| (status.as_u16(), name.to_owned()))
            .collect();
        assert_eq!(documented, existing);
    }

    #[test]
    fn posts_that_create_or_charge_need_a_key() {
        let document = document();
        for ((method, path), operation) in operations(&document) {
            let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let has_key = parameters.iter().any(|one| one["$ref"] == "#/components/parameters/IdempotencyKey");
            assert_eq!(has_key, method == "POST" && !path.contains("/webhooks/"), "{method} {path}");
        }
    }

    #[test]
    fn references_point_at_something() {
        fn walk(document: &Value, value: &Value) {
            resolved(document, value);
            match value {
                Value::Array(list) => list.iter().for_each(|value| walk(document, value)),
                Value::Object(map) => map.values().for_each(|value| walk(document, value)),
                _ => {}
            }
        }
        let document = document();
        walk(&document, &document);
    }
}
