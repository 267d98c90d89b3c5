//! Who calls: API keys as Bearer tokens, or as the name of basic authentication.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};

use crate::error::ApiError;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A server of the shop.
    Secret,
    /// A browser.
    Publishable,
}

/// Who calls. `known` are the keys that are accepted; where it is empty, every key for tests is.
pub(crate) fn caller(headers: &HeaderMap, known: &[String]) -> Result<Caller, ApiError> {
    let missing = || ApiError::unauthorized("There is no API key; give one as 'Authorization: Bearer sk_test_...'.");
    let header = headers.get(AUTHORIZATION).ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let key = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => basic_name(token).ok_or_else(missing)?,
        _ => return Err(missing()),
    };
    let is_well_formed = ["sk_test_", "rk_test_", "pk_test_"]
        .iter()
        .any(|prefix| key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    let is_accepted = match known.is_empty() {
        true => is_well_formed,
        false => known.contains(&key),
    };
    match (is_accepted, key.starts_with("pk_")) {
        (false, _) => Err(ApiError::unauthorized("The API key is not one that the simulator accepts.")),
        (true, true) => Ok(Caller::Publishable),
        (true, false) => Ok(Caller::Secret),
    }
}

fn basic_name(token: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
    Some(decoded.split(':').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn keys_come_in_two_ways() {
        let ask = |value: &str, known: &[String]| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
            caller(&headers, known)
        };
        assert_eq!(ask("Bearer sk_test_a", &[]).expect("a caller"), Caller::Secret);
        assert_eq!(ask("bearer pk_test_a", &[]).expect("a caller"), Caller::Publishable);
        let basic = format!("Basic {}", STANDARD.encode("sk_test_a:"));
        assert_eq!(ask(&basic, &[]).expect("a caller"), Caller::Secret);
        for refused in ["Bearer sk_live_a", "Bearer sk_test_", "Bearer", "Digest sk_test_a"] {
            assert_eq!(ask(refused, &[]).expect_err("refused").status(), 401, "{refused}");
        }
        let known = ["sk_test_known".to_owned()];
        assert_eq!(ask("Bearer sk_test_known", &known).expect("a caller"), Caller::Secret);
        ask("Bearer sk_test_a", &known).expect_err("another key");
        assert_eq!(caller(&HeaderMap::new(), &[]).expect_err("no key").status(), 401);
    }
}
