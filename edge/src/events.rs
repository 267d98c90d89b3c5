//! Event Grid's calls: the store tells that a blob was written, and where that is a channel's pointer, it is a hint.
//!
//! Both schemas are read: Event Grid's own (learn.microsoft.com/azure/event-grid/event-schema), whose endpoints are
//! validated by an event, and CloudEvents 1.0, alone or in a batch, whose endpoints are validated by a handshake
//! (github.com/cloudevents/spec, HTTP 1.1 Web Hooks for Event Delivery). Nothing of an event is believed but which
//! channel to ask for.

use hyper::header::{ALLOW, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use snapshots::{ChannelName, Hint};
use subtle::ConstantTimeEq;

use crate::error::ApiError;
use crate::reply::{self, HttpResponse};
use crate::routes::Request;
use crate::server::Shared;

/// A call that tells of more channels than this is refused: each is a call to Redis.
const MAX_CHANNELS: usize = 8;
/// How many calls a minute Event Grid may make.
const ALLOWED_RATE: HeaderValue = HeaderValue::from_static("120");
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
const BLOB_CREATED: &str = "Microsoft.Storage.BlobCreated";

/// What a call brings.
#[derive(Debug, PartialEq, Eq)]
enum Delivery {
    /// Event Grid asks whether its events are welcome: the code is to be given back.
    Validation(String),
    /// The channels whose pointers were written; none where other blobs were.
    Pointers(Vec<ChannelName>),
}

/// An event in either schema, as far as it matters here.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type", alias = "eventType")]
    kind: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    data: Value,
}

/// Answers a call. A failure to pass the hint on is told with 503, and Event Grid then delivers the event again.
pub async fn answer(shared: &Shared, request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let off = || ApiError::not_found("there is no such path; see /v1/search");
    let key = shared.event_key.as_ref().ok_or_else(off)?;
    if !is_authorised(key, request.query, request.headers) {
        return Ok(unauthorised());
    }
    if request.method == Method::OPTIONS {
        return handshake(request.headers);
    }
    let channels = match read(&request.body)? {
        Delivery::Validation(code) => {
            let body = json!({ "validationResponse": code });
            return Ok(reply::momentary(StatusCode::OK, body.to_string().into_bytes()));
        }
        Delivery::Pointers(channels) => channels,
    };
    let hint = |channel| Hint { catalogue: None, channel, sequence: None };
    let passed_on = shared.hearing.pass_on(channels.into_iter().map(hint).collect()).await;
    passed_on.map_err(|fault| {
        let detail = "this node was told, and the others could not be: deliver it again";
        let mut error = ApiError::unavailable("not_passed_on", detail);
        error.cause = Some(fault.to_string());
        error
    })?;
    Ok(reply::momentary(StatusCode::OK, b"{}".to_vec()))
}

/// Whether a call shows the key: in the query string, which is where Event Grid keeps secrets, or in a header. What
/// differs is not told by the time it takes; how long the key is may be.
fn is_authorised(key: &SecretString, query: &str, headers: &HeaderMap) -> bool {
    let is_key = |shown: &[u8]| bool::from(shown.ct_eq(key.expose_secret().as_bytes()));
    let header = headers.get("aeg-sas-key").map(HeaderValue::as_bytes);
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "key" && is_key(value.as_bytes()))
        || header.is_some_and(is_key)
        || bearer.is_some_and(is_key)
}

fn unauthorised() -> HttpResponse {
    let error = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "the key is missing or wrong");
    let mut response = reply::error(&error);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Tells a sender of CloudEvents that its events are welcome.
fn handshake(headers: &HeaderMap) -> Result<HttpResponse, ApiError> {
    let missing = || ApiError::bad_parameter("WebHook-Request-Origin", "is missing");
    let origin = headers.get("webhook-request-origin").ok_or_else(missing)?;
    let mut response = reply::momentary(StatusCode::OK, Vec::new());
    let answer = response.headers_mut();
    answer.insert("webhook-allowed-origin", origin.clone());
    answer.insert("webhook-allowed-rate", ALLOWED_RATE);
    answer.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    Ok(response)
}

/// Reads a body: a list of events, or one alone.
fn read(body: &[u8]) -> Result<Delivery, ApiError> {
    let events = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice::<Vec<Event>>(body),
        _ => serde_json::from_slice::<Event>(body).map(|event| vec![event]),
    };
    let events = events.map_err(|error| ApiError::bad_parameter("body", format!("holds no events: {error}")))?;
    let mut channels: Vec<ChannelName> = Vec::new();
    for event in &events {
        match event.kind.as_str() {
            VALIDATION => {
                let code = event.data["validationCode"].as_str().map(str::to_owned);
                let missing = || ApiError::bad_parameter("body", "has no validationCode");
                return code.map(Delivery::Validation).ok_or_else(missing);
            }
            BLOB_CREATED => {
                let channel = channel_of(&event.subject);
                channels.extend(channel.filter(|channel| !channels.contains(channel)));
            }
            _ => {}
        }
    }
    match channels.len() {
        0..=MAX_CHANNELS => Ok(Delivery::Pointers(channels)),
        _ => Err(ApiError::bad_parameter("body", format!("tells of more than {MAX_CHANNELS} channels"))),
    }
}

/// The channel whose pointer a blob is, by an event's subject.
fn channel_of(subject: &str) -> Option<ChannelName> {
    let (_container, path) = subject.strip_prefix("/blobServices/default/containers/")?.split_once("/blobs/")?;
    let (folder, name) = path.rsplit_once('/')?;
    let is_pointer = folder == "channels" || folder.ends_with("/channels");
    name.strip_suffix(".json").filter(|_| is_pointer)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a key that nobody guesses";

    fn channels(names: &[&str]) -> Delivery {
        Delivery::Pointers(names.iter().map(|name| name.parse().expect("a channel")).collect())
    }

    fn subject(blob: &str) -> String {
        format!("/blobServices/default/containers/catalogue/blobs/{blob}")
    }

    /// An event as a storage account sends it in Event Grid's schema.
    fn grid_event(blob: &str) -> Value {
        json!({
            "topic": "/subscriptions/5b4b650e-28b9-4790-b3ab-ddbd88d727c4/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shophome",
            "subject": subject(blob),
            "eventType": BLOB_CREATED,
            "eventTime": "2026-05-01T09:10:11.1234567Z",
            "id": "831e1650-001e-001b-66ab-eeb76e069631",
            "data": {
                "api": "PutBlob", "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
                "requestId": "831e1650-001e-001b-66ab-eeb76e000000", "eTag": "0x8D4BCC2E4835CD0",
                "contentType": "application/json", "contentLength": 150, "blobType": "BlockBlob",
                "url": format!("https://shophome.blob.core.windows.net/catalogue/{blob}"),
                "sequencer": "00000000000004420000000000028963",
                "storageDiagnostics": { "batchId": "b68529f3-68cd-4744-baa4-3c0498ec19f0" },
            },
            "dataVersion": "",
            "metadataVersion": "1",
        })
    }

    /// The same in CloudEvents 1.0.
    fn cloud_event(blob: &str) -> Value {
        json!({
            "specversion": "1.0",
            "type": BLOB_CREATED,
            "source": "/subscriptions/5b4b650e-28b9-4790-b3ab-ddbd88d727c4/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shophome",
            "subject": subject(blob),
            "id": "9aeb0fdf-c01e-0131-0922-9eb54906e209",
            "time": "2026-05-01T09:10:11.1234567Z",
            "data": { "api": "PutBlob", "contentType": "application/json", "blobType": "BlockBlob" },
        })
    }

    fn read_json(body: &Value) -> Delivery {
        read(body.to_string().as_bytes()).expect("events")
    }

    #[test]
    fn pointers_are_found_in_both_schemas() {
        assert_eq!(read_json(&json!([grid_event("us/channels/live.json")])), channels(&["live"]));
        assert_eq!(read_json(&cloud_event("channels/canary.json")), channels(&["canary"]));
        let batch = ["us/channels/live.json", "eu/channels/live.json", "us/objects/ab12", "us/channels/next.json"];
        let batch: Vec<Value> = batch.iter().map(|blob| cloud_event(blob)).collect();
        assert_eq!(read_json(&json!(batch)), channels(&["live", "next"]), "each channel once");
        assert_eq!(read_json(&json!([])), channels(&[]));
    }

    #[test]
    fn other_events_are_passed_over() {
        let mut deleted = grid_event("us/channels/live.json");
        deleted["eventType"] = json!("Microsoft.Storage.BlobDeleted");
        let tier = json!({ "type": "Microsoft.Storage.BlobTierChanged", "specversion": "1.0", "data": "text" });
        assert_eq!(read_json(&json!([deleted, tier])), channels(&[]));
    }

    #[test]
    fn only_pointers_are_channels() {
        let check = |blob: &str| assert_eq!(channel_of(&subject(blob)), None, "{blob}");
        check("channels/live.json/more");
        check("us/mychannels/live.json");
        check("us/channels/live.txt");
        check("us/channels/Live.json");
        check("us/channels/.json");
        check("live.json");
        assert_eq!(channel_of("/blobServices/default/containers/catalogue"), None);
        assert_eq!(channel_of("channels/live.json"), None);
        assert_eq!(channel_of(&subject("a/b/channels/live.json")), Some(ChannelName::live()));
    }

    #[test]
    fn a_subscription_is_validated() {
        let body = json!([{
            "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
            "topic": "/subscriptions/5b4b650e-28b9-4790-b3ab-ddbd88d727c4",
            "subject": "",
            "data": {
                "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
                "validationUrl": "https://rp-westeurope.eventgrid.azure.net:553/eventsubscriptions/live/validate?id=512d38b6",
            },
            "eventType": VALIDATION,
            "eventTime": "2026-05-01T09:10:11.1234567Z",
            "metadataVersion": "1",
            "dataVersion": "1",
        }]);
        assert_eq!(read_json(&body), Delivery::Validation("512d38b6-c7b8-40c8-89fe-f46f9e9622b6".into()));
        let mut without = body.clone();
        without[0]["data"] = Value::Null;
        assert_eq!(read(without.to_string().as_bytes()).expect_err("no code").status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for body in ["", "{", "[1]", "{}", "null", r#"{"type": 1}"#] {
            assert_eq!(read(body.as_bytes()).expect_err(body).status, StatusCode::BAD_REQUEST, "{body}");
        }
        let many: Vec<Value> =
            (0..=MAX_CHANNELS).map(|number| grid_event(&format!("channels/c{number}.json"))).collect();
        assert!(read(json!(many).to_string().as_bytes()).is_err());
        assert!(read(json!(many[1..]).to_string().as_bytes()).is_ok());
    }

    #[test]
    fn the_key_is_asked_for() {
        let key = SecretString::from(KEY);
        let check = |query: &str, header: Option<(&'static str, &str)>, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|(name, value)| {
                (hyper::header::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
            }));
            assert_eq!(is_authorised(&key, query, &headers), expected, "{query} {header:?}");
        };
        check("key=a+key+that+nobody+guesses", None, true);
        check("x=1&key=a%20key%20that%20nobody%20guesses", None, true);
        check("", Some(("aeg-sas-key", KEY)), true);
        check("", Some(("authorization", "Bearer a key that nobody guesses")), true);
        check("", None, false);
        check("key=", None, false);
        check("key=a+key+that+nobody+guessed", None, false);
        check("key=a+key+that+nobody+guesses!", None, false);
        check("Key=a+key+that+nobody+guesses", None, false);
        check("", Some(("authorization", KEY)), false);
        check("", Some(("aeg-sas-key", "")), false);
    }

    #[test]
    fn a_sender_of_cloud_events_is_welcome() {
        let mut headers = HeaderMap::new();
        assert_eq!(handshake(&headers).expect_err("no origin").status, StatusCode::BAD_REQUEST);
        headers.insert("webhook-request-origin", HeaderValue::from_static("eventgrid.azure.net"));
        let response = handshake(&headers).expect("a welcome");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["webhook-allowed-origin"], "eventgrid.azure.net");
        assert_eq!(response.headers()["webhook-allowed-rate"], "120");
    }
}
