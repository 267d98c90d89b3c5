//! A call of the API from its first byte to its answer: limits, keys, faults, work, events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use crate::api;
use crate::auth::{self, Caller};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::faults::{Fault, FaultKind, Stage};
use crate::form;
use crate::keys::{Begun, Kept, MAX_KEY_CHARS};
use crate::params::Fields;
use crate::reply::{Cut, Reply};
use crate::shared::Shared;
use crate::state::Cause;
use crate::webhook_queue::Delivery;
use crate::webhooks;

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The parameters: in the body of a POST, in the query of anything else.
    fn parameters(&self) -> &[u8] {
        match self.method.as_str() {
            "POST" => &self.body,
            _ => self.query.as_bytes(),
        }
    }
}

/// Answers a call. Its work is done even if the client leaves meanwhile, as a server elsewhere would.
pub(crate) async fn answer(shared: &Arc<Shared>, call: Call) -> Result<Reply, Cut> {
    // A panic closes the connection; what it said is in the log.
    tokio::spawn(run(shared.clone(), call)).await.unwrap_or(Err(Cut))
}

async fn run(shared: Arc<Shared>, call: Call) -> Result<Reply, Cut> {
    let (request, version, latency_ms) = {
        let mut state = shared.lock();
        (state.ids.make("req_"), state.api_version.clone(), state.tuning.latency_ms)
    };
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    let reply = match admitted(&shared, &call) {
        Ok((endpoint, caller)) => {
            let fault = shared.lock().faults.take(Stage::Before, &call.method, &call.path);
            match fault {
                Some(fault) => strike_before(&fault).await?,
                None => work(&shared, &call, &endpoint, caller, &request).await?,
            }
        }
        Err(error) => refusal(&error),
    };
    let asked_version = call.header("stripe-version").map(str::to_owned);
    let reply = reply.with("request-id", &request).with("stripe-version", asked_version.as_deref().unwrap_or(&version));
    Ok(match call.header("idempotency-key") {
        Some(key) if call.method == "POST" => reply.with("idempotency-key", key),
        _ => reply,
    })
}

/// What is asked for and by whom, where the endpoint takes one more call.
fn admitted(shared: &Shared, call: &Call) -> Result<(Endpoint, Caller), ApiError> {
    let unknown = || ApiError::unknown_url(&call.method, &call.path);
    let endpoint = Endpoint::of(&call.method, &call.path).ok_or_else(unknown)?;
    let caller = auth::caller(&call.headers, &shared.api_keys)?;
    match shared.lock().admit(endpoint.name()) {
        true => Ok((endpoint, caller)),
        false => Err(ApiError::rate_limited()),
    }
}

/// Fails before the request is looked at.
async fn strike_before(fault: &Fault) -> Result<Reply, Cut> {
    tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    match fault.fault {
        FaultKind::Unstored500 => Ok(refusal(&ApiError::server())),
        FaultKind::Unavailable => Ok(refusal(&ApiError::unavailable())),
        FaultKind::RateLimited => Ok(refusal(&ApiError::rate_limited())),
        FaultKind::LockTimeout => Ok(refusal(&ApiError::lock_timeout())),
        FaultKind::BadGateway => {
            let page =
                "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n";
            Ok(Reply::html(502, page))
        }
        _ => Err(Cut),
    }
}

async fn work(
    shared: &Arc<Shared>,
    call: &Call,
    endpoint: &Endpoint,
    caller: Caller,
    request: &str,
) -> Result<Reply, Cut> {
    let fields = match form::parse(call.parameters()) {
        Ok(entries) => Fields::new(entries),
        Err(error) => return Ok(refusal(&error)),
    };
    let key = match begin(shared, call) {
        Ok((key, Begun::Fresh)) => key,
        Ok((_, Begun::Replay(kept))) => return Ok(replay(kept)),
        Err(error) => return Ok(refusal(&error)),
    };
    let fault = shared.lock().faults.take(Stage::Work, &call.method, &call.path);
    let kind = fault.as_ref().map(|fault| fault.fault);
    if kind == Some(FaultKind::Delay) {
        pause(fault.as_ref()).await;
    }
    let running = Running { shared: shared.clone(), key, request: request.to_owned() };
    let (answer, deliveries) = match kind {
        Some(FaultKind::Cached500) => {
            let failure = Answer::of(Err(ApiError::server()));
            running.keep(&failure);
            (failure, Vec::new())
        }
        _ => running.execute(endpoint, caller, fields, kind),
    };
    drop(running);
    shared.deliver.notify_one();
    webhooks::deliver_before_response(shared, deliveries).await;
    strike_after(fault.as_ref(), answer).await
}

/// Takes the key of a request into use; None where it has none.
fn begin(shared: &Shared, call: &Call) -> Result<(Option<String>, Begun), ApiError> {
    let Some(key) = call.header("idempotency-key").filter(|_| call.method == "POST") else {
        return Ok((None, Begun::Fresh));
    };
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
        let message = format!("An idempotency key has 1 to {MAX_KEY_CHARS} characters.");
        return Err(ApiError::invalid(None, "Idempotency-Key", message));
    }
    let fingerprint = format!("{} {} {}", call.method, call.path, form::fingerprint(call.parameters()));
    let mut state = shared.lock();
    let now_s = state.now_s();
    let begun = state.data.keys.begin(key, &fingerprint, now_s)?;
    Ok((Some(key.to_owned()), begun))
}

/// A request whose work is being done. Its key is let go when it ends without an answer that is to be kept.
struct Running {
    shared: Arc<Shared>,
    key: Option<String>,
    request: String,
}

/// What is answered, if nothing goes wrong on the way.
struct Answer {
    status: u16,
    body: String,
    is_kept: bool,
    should_retry: Option<bool>,
}

impl Answer {
    fn of(result: Result<Value, ApiError>) -> Self {
        match result {
            Ok(object) => Self { status: 200, body: object.to_string(), is_kept: true, should_retry: None },
            Err(error) => Self {
                status: error.status(),
                body: error.to_json().to_string(),
                is_kept: error.is_executed(),
                should_retry: error.should_retry(),
            },
        }
    }

    fn into_reply(self) -> Reply {
        with_advice(Reply::json(self.status, self.body), self.should_retry)
    }
}

impl Running {
    /// Does the work, and keeps its answer.
    fn execute(
        &self,
        endpoint: &Endpoint,
        caller: Caller,
        fields: Fields,
        fault: Option<FaultKind>,
    ) -> (Answer, Vec<Delivery>) {
        let mut state = self.shared.lock();
        state.do_what_is_due();
        // What the clock did is not of this call's making.
        state.take_made(false);
        state.cause = Cause { request: Some(self.request.clone()), idempotency_key: self.key.clone() };
        let result = api::execute(&mut state, endpoint, caller, fields);
        state.cause = Cause::default();
        let deliveries = state.take_made(true);
        drop(state);
        let answer = match fault {
            Some(FaultKind::Executed500) => Answer::of(Err(ApiError::server())),
            _ => Answer::of(result),
        };
        if answer.is_kept {
            self.keep(&answer);
        }
        (answer, deliveries)
    }

    fn keep(&self, answer: &Answer) {
        let Some(key) = &self.key else { return };
        let kept = Kept { status: answer.status, body: answer.body.clone(), request: self.request.clone() };
        let mut state = self.shared.lock();
        state.data.keys.finish(key, kept);
        state.is_changed = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.shared.lock().data.keys.let_go(key);
        }
    }
}

/// Lets the answer go wrong.
async fn strike_after(fault: Option<&Fault>, answer: Answer) -> Result<Reply, Cut> {
    match fault.map(|fault| fault.fault) {
        Some(FaultKind::DropAfter) => Err(Cut),
        Some(FaultKind::HangAfter) => {
            pause(fault).await;
            Err(Cut)
        }
        Some(FaultKind::Undecodable) => Ok(Reply::json(200, "<!doctype html><p>This is no JSON.")),
        Some(FaultKind::HalfBody) => {
            let mut reply = answer.into_reply();
            reply.is_half = true;
            Ok(reply)
        }
        Some(FaultKind::Drifted) => Ok(Reply::json(answer.status, drifted(&answer.body))),
        _ => Ok(answer.into_reply()),
    }
}

async fn pause(fault: Option<&Fault>) {
    tokio::time::sleep(Duration::from_millis(fault.map_or(0, |fault| fault.delay_ms))).await;
}

/// An answer of another version of the API: with members that nobody knows yet, and without one that was there.
fn drifted(body: &str) -> String {
    let Ok(mut object) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    if let Value::Object(members) = &mut object {
        members.remove("description");
        members.insert("drifted_text".to_owned(), json!("new"));
        members.insert("drifted_group".to_owned(), json!({ "enabled": true, "since": null, "parts": [1, 2] }));
    }
    object.to_string()
}

fn replay(kept: Kept) -> Reply {
    let reply = Reply::json(kept.status, kept.body).with("idempotent-replayed", "true");
    reply.with("original-request", &kept.request).with("stripe-should-retry", "false")
}

fn refusal(error: &ApiError) -> Reply {
    let reply = with_advice(Reply::error(error), error.should_retry());
    // A lock is no matter of rates.
    match (error.status(), error.should_retry()) {
        (429, None) => reply.with("stripe-rate-limited-reason", "endpoint-rate"),
        _ => reply,
    }
}

fn with_advice(reply: Reply, should_retry: Option<bool>) -> Reply {
    match should_retry {
        Some(true) => reply.with("stripe-should-retry", "true"),
        Some(false) => reply.with("stripe-should-retry", "false"),
        None => reply,
    }
}
