//! Which pages of other origins may call: those that are named.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;

use super::reply;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, Idempotency-Key");
const EXPOSED: HeaderValue = HeaderValue::from_static("Idempotent-Replayed, Retry-After");
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");

#[derive(Debug)]
pub(crate) struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// Takes origins such as `https://shop.example`; `*` is any.
    ///
    /// # Errors
    /// Names what is no origin.
    pub fn new(origins: &[String]) -> Result<Self, String> {
        let mut cors = Self { any: false, origins: Vec::new() };
        for origin in origins {
            match origin.as_str() {
                "*" => cors.any = true,
                text => cors.origins.push(read(text).ok_or_else(|| format!("'{text}' is no origin"))?),
            }
        }
        Ok(cors)
    }

    /// The answer to a browser that asks what a page may do; None for any other request.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if *method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = reply::response(StatusCode::NO_CONTENT, None, Vec::new());
        if self.allowed(headers).is_some() {
            let told = response.headers_mut();
            told.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            told.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            told.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        }
        Some(response)
    }

    /// Adds what lets the page read an answer.
    pub fn finish(&self, request: &HeaderMap, response: &mut Response) {
        let headers = response.headers_mut();
        if let Some(origin) = self.allowed(request) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        if !self.any {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        match self.any {
            true => Some(HeaderValue::from_static("*")),
            false => self.origins.iter().find(|allowed| *allowed == origin).cloned(),
        }
    }
}

/// An origin is a scheme, a host and perhaps a port, and nothing after them.
pub(crate) fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}

fn read(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok().filter(|_| is_origin(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(list: &[&str]) -> Result<Cors, String> {
        Cors::new(&list.iter().map(|origin| (*origin).to_owned()).collect::<Vec<_>>())
    }

    fn from(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).expect("a header"));
        headers
    }

    #[test]
    fn only_named_origins_are_let_in() {
        let cors = origins(&["https://shop.example", "http://localhost:3000"]).expect("origins");
        let allowed = |origin: &str| cors.allowed(&from(origin)).map(|value| value.as_bytes().to_vec());
        assert_eq!(allowed("https://shop.example").as_deref(), Some(&b"https://shop.example"[..]));
        assert_eq!(allowed("https://shop.example.evil"), None);
        assert_eq!(allowed("null"), None);
        assert_eq!(cors.allowed(&HeaderMap::new()), None);
        assert_eq!(origins(&["*"]).expect("any").allowed(&from("https://x.example")), Some("*".parse().expect("*")));
    }

    #[test]
    fn what_is_no_origin_is_told() {
        for text in ["", "shop.example", "https://shop.example/", "https://Shop.example", "null", "ftp:"] {
            assert!(origins(&[text]).is_err(), "{text}");
        }
    }
}
