//! `/sim`: where tests and demos say what is to happen. JSON in, JSON out, no keys.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::faults::{Fault, FaultStatus};
use crate::flows::{Confirmation, Payer};
use crate::ledger::Ledger;
use crate::methods::Given;
use crate::objects::IntentStatus;
use crate::reply::Reply;
use crate::settings::WebhookTarget;
use crate::shared::Shared;
use crate::state::{MAX_WEBHOOKS, State};
use crate::v1::Call;
use crate::webhook_queue::{DeliveryOrder, MAX_DUPLICATES, WebhookPlan};
use crate::webhooks;

/// What there is under `/sim`, for people.
const HELP: &str = include_str!("help.txt");
/// The longest that a fault or a delivery may wait.
const MAX_DELAY_MS: u64 = 600_000;
/// What answers call an intent.
const INTENT: &str = "payment_intent";
const DEFAULT_METHOD: &str = "pm_card_visa";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    #[serde(default)]
    order: DeliveryOrder,
    #[serde(default)]
    seed: u64,
    #[serde(default = "once")]
    times: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    url: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u32,
}

/// What the shopper does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pay {
    #[serde(default)]
    payment_method: Option<String>,
    /// Whether authentication succeeds, where it is asked for; it is left open where this is absent.
    #[serde(default)]
    authenticate: Option<bool>,
    #[serde(default)]
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    succeed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeReason {
    #[serde(default = "fraudulent")]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    won: bool,
}

/// Answers what concerns all of the simulator, or one of its objects.
pub(crate) async fn answer(shared: &Shared, call: &Call) -> Reply {
    let path = call.path.trim_start_matches('/').trim_end_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    let result = match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["sim"]) => return Reply::text(200, HELP),
        ("GET", ["sim", "ledger"]) => Ok(ledger(shared)),
        ("GET", ["sim", "faults"]) => Ok(faults(shared)),
        ("POST", ["sim", "faults"]) => add_faults(shared, call),
        ("DELETE", ["sim", "faults"]) => {
            shared.lock().faults.clear();
            Ok(faults(shared))
        }
        ("GET", ["sim", "webhooks"]) => Ok(webhooks_json(shared)),
        ("POST", ["sim", "webhooks"]) => plan_webhooks(shared, call),
        ("POST", ["sim", "webhooks", "endpoints"]) => add_endpoint(shared, call),
        ("POST", ["sim", "webhooks", "deliver"]) => release(shared, call).await,
        ("POST", ["sim", "settings"]) => tune(shared, call),
        ("POST", ["sim", "time"]) => advance(shared, call),
        ("POST", ["sim", ..]) => act(shared, call, &segments[1..]),
        _ => Err(format!("there is nothing at {} {}; see GET /sim", call.method, call.path)),
    };
    match result {
        Ok(value) => Reply::value(200, &value),
        Err(fault) => Reply::value(400, &json!({ "error": fault })),
    }
}

/// The shopper pays an intent, or goes on with one that asked for authentication.
pub(crate) fn pay_intent(state: &mut State, id: &str, pay: &Pay) -> Result<(), ApiError> {
    let intent = state.intent(id)?;
    if pay.payment_method.is_some() || intent.status != IntentStatus::RequiresAction {
        let method = Some(Given::named(pay.payment_method.as_deref().unwrap_or(DEFAULT_METHOD)));
        let return_url = intent.return_url.clone().unwrap_or_else(|| intent.page_url(&state.public_url));
        let confirmation = Confirmation { method, return_url: Some(return_url), ..Confirmation::default() };
        state.confirm_intent(id, confirmation)?;
    }
    authenticate(state, id, pay)
}

/// The same for a Checkout session.
pub(crate) fn pay_session(state: &mut State, id: &str, pay: &Pay) -> Result<(), ApiError> {
    let intent = state.session(id)?.intent.clone();
    let asks = intent.as_ref().is_some_and(|intent| asks_for_authentication(state, intent));
    if pay.payment_method.is_some() || !asks {
        let given = Given::named(pay.payment_method.as_deref().unwrap_or(DEFAULT_METHOD));
        state.pay_session(id, Payer { email: pay.email.clone(), name: None }, given)?;
    }
    let intent = state.session(id)?.intent.clone();
    intent.map_or(Ok(()), |intent| authenticate(state, &intent, pay))
}

impl Pay {
    /// With a payment method, authenticating or not where that is asked for.
    pub(crate) fn with(payment_method: &str, authenticate: Option<bool>) -> Self {
        Self { payment_method: Some(payment_method.to_owned()), authenticate, email: None }
    }
}

fn authenticate(state: &mut State, intent: &str, pay: &Pay) -> Result<(), ApiError> {
    match pay.authenticate {
        Some(succeeds) if asks_for_authentication(state, intent) => state.finish_authentication(intent, succeeds),
        _ => Ok(()),
    }
}

fn asks_for_authentication(state: &State, intent: &str) -> bool {
    state.data.intents.get(intent).is_some_and(|intent| intent.status == IntentStatus::RequiresAction)
}

/// Does something to one object, and shows what came of it. What Stripe would refuse is told under `error`.
fn act(shared: &Shared, call: &Call, segments: &[&str]) -> Result<Value, String> {
    let mut state = shared.lock();
    state.do_what_is_due();
    let (result, name, id) = match segments {
        ["payment_intents", id, "pay"] => (pay_intent(&mut state, id, &read(call)?), INTENT, *id),
        ["payment_intents", id, "settle"] => {
            let settle: Settle = read(call)?;
            (state.settle_intent(id, Some(settle.succeed)), INTENT, *id)
        }
        ["checkout", "sessions", id, "pay"] => (pay_session(&mut state, id, &read(call)?), "session", *id),
        ["charges", id, "dispute"] => {
            let reason: DisputeReason = read(call)?;
            (state.open_dispute(id, &reason.reason).map(drop), "charge", *id)
        }
        ["disputes", id, "close"] => {
            let close: Close = read(call)?;
            (state.close_dispute(id, close.won), "dispute", *id)
        }
        ["refunds", id, "settle"] => {
            let settle: Settle = read(call)?;
            (state.settle_refund(id, settle.succeed), "refund", *id)
        }
        _ => return Err(format!("there is nothing at POST {}; see GET /sim", call.path)),
    };
    let object = match name {
        "session" => state.session_json(id),
        "charge" => state.charge_json(id),
        "dispute" => state.dispute_json(id),
        "refund" => state.refund_json(id),
        _ => state.intent_json(id),
    };
    state.take_made(false);
    drop(state);
    shared.deliver.notify_one();
    let error = result.err().map(|error| error.to_json()["error"].take());
    let mut answer = json!({ "status": object["status"], "error": error });
    answer[name] = object;
    Ok(answer)
}

fn ledger(shared: &Shared) -> Value {
    let mut state = shared.lock();
    state.do_what_is_due();
    state.take_made(false);
    let ledger = Ledger::of(&state);
    drop(state);
    shared.deliver.notify_one();
    shown(&ledger)
}

fn faults(shared: &Shared) -> Value {
    let faults: Vec<FaultStatus> = shared.lock().faults.status();
    json!({ "faults": faults })
}

fn add_faults(shared: &Shared, call: &Call) -> Result<Value, String> {
    let added = read_faults(&call.body)?;
    if added.iter().any(|fault| fault.delay_ms > MAX_DELAY_MS) {
        return Err(format!("delay_ms may be at most {MAX_DELAY_MS}"));
    }
    let mut state = shared.lock();
    added.into_iter().try_for_each(|fault| state.faults.add(fault))?;
    drop(state);
    Ok(faults(shared))
}

/// One fault, or a list of them. Told apart by hand: derived untagged enums do not read numbers of any precision.
fn read_faults(body: &[u8]) -> Result<Vec<Fault>, String> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let read = match is_list {
        true => serde_json::from_slice(body),
        false => serde_json::from_slice(body).map(|fault| vec![fault]),
    };
    read.map_err(|error| error.to_string())
}

fn webhooks_json(shared: &Shared) -> Value {
    let state = shared.lock();
    let urls: Vec<&str> = state.targets.iter().map(|target| target.url.as_str()).collect();
    json!({ "plan": state.webhooks.plan, "counts": state.webhooks.counts(), "endpoints": urls })
}

fn plan_webhooks(shared: &Shared, call: &Call) -> Result<Value, String> {
    let plan: WebhookPlan = read(call)?;
    if plan.duplicates > MAX_DUPLICATES || plan.delay_ms > MAX_DELAY_MS {
        return Err(format!("duplicates may be at most {MAX_DUPLICATES}, delay_ms at most {MAX_DELAY_MS}"));
    }
    shared.lock().webhooks.plan = plan;
    Ok(webhooks_json(shared))
}

fn add_endpoint(shared: &Shared, call: &Call) -> Result<Value, String> {
    let Endpoint { url, secret } = read(call)?;
    let mut state = shared.lock();
    if state.targets.len() >= MAX_WEBHOOKS {
        return Err(format!("there are {MAX_WEBHOOKS} endpoints already"));
    }
    state.targets.push(WebhookTarget { url, secret });
    drop(state);
    Ok(webhooks_json(shared))
}

async fn release(shared: &Shared, call: &Call) -> Result<Value, String> {
    let Release { order, seed, times } = read(call)?;
    let released = shared.lock().webhooks.release(order, seed, times);
    webhooks::deliver_in_order(shared, released).await;
    Ok(webhooks_json(shared))
}

/// Changes those settings that are named; null lifts the limit.
fn tune(shared: &Shared, call: &Call) -> Result<Value, String> {
    let Value::Object(wanted) = read(call)? else { return Err("an object is wanted".to_owned()) };
    let mut state = shared.lock();
    let mut tuning = state.tuning;
    for (name, value) in &wanted {
        let number = value.as_u64().filter(|number| *number <= MAX_DELAY_MS);
        match (name.as_str(), number) {
            ("rate_limit_per_s", number) if number.is_some() || value.is_null() => {
                // Zero stands for no limit, as on the command line.
                tuning.rate_limit_per_s = number.filter(|limit| *limit > 0).map(|limit| limit as u32);
            }
            ("latency_ms", Some(number)) => tuning.latency_ms = number,
            ("settle_after_s", Some(number)) => tuning.settle_after_s = number,
            _ => return Err(format!("{name} is unknown, or {value} is no value for it")),
        }
    }
    state.tuning = tuning;
    drop(state);
    Ok(shown(&tuning))
}

fn advance(shared: &Shared, call: &Call) -> Result<Value, String> {
    let Advance { advance_s } = read(call)?;
    let mut state = shared.lock();
    state.advance(advance_s);
    state.take_made(false);
    let now_s = state.now_s();
    drop(state);
    shared.deliver.notify_one();
    Ok(json!({ "now": now_s }))
}

/// The body of a request; an empty one stands for an empty object.
fn read<T: DeserializeOwned>(call: &Call) -> Result<T, String> {
    let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn shown(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn once() -> u32 {
    1
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}
