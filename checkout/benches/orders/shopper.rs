//! Shoppers: what they ask checkout and Stripe for, and how long that takes.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::subscriber::Paid;

/// Numbers of the products that are sold. Each order takes one of the first half, and two of one of the second.
pub const PRODUCTS: Range<u64> = 100..200;
const HALF: u64 = 50;
/// What the names of products begin with.
pub const PRODUCT_PREFIX: &str = "bench-";
/// Products that everybody wants.
pub const HOT_PRODUCTS: u64 = 5;
pub const STRIPE_KEY: &str = "sk_test_of_the_bench";
/// How long a client waits for an answer; checkout itself gives up after that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);
const PAID_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a shopper asks again who is told that the payment is being prepared.
const ASK_PAUSE: Duration = Duration::from_millis(250);
const MAX_ASKED: u32 = 240;

/// A client with connections that are kept.
pub struct Shop {
    http: reqwest::Client,
    checkout: String,
    stripe: String,
    paid: Arc<Paid>,
}

/// How long the steps of one order took.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// From the moment that the shopper was to come.
    pub place: Duration,
    pub complete: Duration,
    /// What Stripe took for the payment itself.
    pub pay: Duration,
    /// From the payment until the shop was told that the order is paid: webhook, application, event.
    pub paid: Duration,
    pub whole: Duration,
    /// The shopper was told to ask again, since Stripe was.
    pub was_deferred: bool,
}

struct Placed {
    checkout: String,
    token: String,
}

struct Payable {
    order: String,
    intent: String,
    was_deferred: bool,
}

impl Shop {
    pub fn new(checkout: String, stripe: String, paid: Arc<Paid>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build().expect("a client");
        Self { http, checkout, stripe, paid }
    }

    /// Places, completes, pays, and waits until it is paid.
    ///
    /// # Errors
    /// At which step it failed, and how.
    pub async fn buy(&self, number: u64, intended: Instant) -> Result<Timed, String> {
        let placed = self.place(lines_of(number)).await?;
        let place = intended.elapsed();
        let begun = Instant::now();
        let payable = self.complete(&placed).await?;
        let complete = begun.elapsed();
        let told = self.paid.when(&payable.order);
        let begun = Instant::now();
        if let Err(fault) = self.pay(&payable.intent).await {
            self.paid.forget(&payable.order);
            return Err(fault);
        }
        let pay = begun.elapsed();
        let paid_at = match tokio::time::timeout(PAID_TIMEOUT, told).await {
            Ok(Ok(moment)) => moment,
            _ => {
                self.paid.forget(&payable.order);
                return Err("paid: nobody was told".to_owned());
            }
        };
        // The event may come before Stripe's answer.
        let paid = paid_at.saturating_duration_since(begun + pay);
        let whole = paid_at.max(begun + pay).saturating_duration_since(intended);
        Ok(Timed { place, complete, pay, paid, whole, was_deferred: payable.was_deferred })
    }

    /// Holds one of the products that everybody wants; how long that took.
    ///
    /// # Errors
    /// How it failed.
    pub async fn hold(&self, number: u64, intended: Instant) -> Result<Duration, String> {
        let product = PRODUCTS.start + scattered(number) % HOT_PRODUCTS;
        self.place(json!([{ "product": name_of(product), "quantity": 1 }])).await?;
        Ok(intended.elapsed())
    }

    /// Tells checkout of an event that means nothing to it; how long until it was acknowledged.
    ///
    /// # Errors
    /// How it failed.
    pub async fn tell_event(&self, body: String, signature: String, intended: Instant) -> Result<Duration, String> {
        let request = self.http.post(format!("{}/checkout/webhooks/stripe", self.checkout));
        let request = request.header("content-type", "application/json").header("stripe-signature", signature);
        send("webhook", request.body(body)).await?;
        Ok(intended.elapsed())
    }

    /// Asks Stripe for an intent as checkout does; how long that took.
    ///
    /// # Errors
    /// How it failed.
    pub async fn ask_stripe(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        let key = Uuid::now_v7().to_string();
        let form = "amount=5997&currency=eur&automatic_payment_methods[enabled]=true&metadata[probe]=1";
        let request = self.http.post(format!("{}/v1/payment_intents", self.stripe)).bearer_auth(STRIPE_KEY);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        send("stripe", request.header("idempotency-key", key).body(form)).await?;
        Ok(begun.elapsed())
    }

    /// Sets what can be sold of the products.
    ///
    /// # Panics
    /// When it cannot be set: then there is nothing to measure.
    pub async fn stock_up(&self, staff: &str, products: Range<u64>, available: i64) {
        let body = json!({ "set": available, "reason": "a bench" }).to_string();
        for product in products {
            let url = format!("{}/checkout/v1/stock/{}", self.checkout, name_of(product));
            let request = self.http.put(url).bearer_auth(staff).header("content-type", "application/json");
            send("stock", request.body(body.clone())).await.expect("stock is set");
        }
    }

    /// What checkout answers to who places and who completes, and the events that Stripe made of late.
    ///
    /// # Panics
    /// When it does not.
    pub async fn samples(&self) -> (String, String, Vec<Value>) {
        let placing = send("place", self.placing(lines_of(0))).await.expect("a checkout");
        let placed = Placed::read(&placing).expect("a checkout");
        let completing = send("complete", self.completing(&placed)).await.expect("a payment");
        let request = self.http.get(format!("{}/v1/events?limit=100", self.stripe)).bearer_auth(STRIPE_KEY);
        let mut listed = parsed(&send("events", request).await.expect("a list of events"));
        let events = listed["data"].as_array_mut().map(std::mem::take).unwrap_or_default();
        (placing, completing, events)
    }

    /// Changes how Stripe behaves: `{"rate_limit_per_s": 25}`.
    ///
    /// # Panics
    /// When it does not take it.
    pub async fn tune_stripe(&self, settings: &Value) {
        let request = self.http.post(format!("{}/sim/settings", self.stripe));
        let request = request.header("content-type", "application/json").body(settings.to_string());
        send("settings", request).await.expect("Stripe's settings");
    }

    /// How often Stripe answered that it is asked too often.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn rate_limited(&self) -> u64 {
        self.ledger().await["rate_limited"].as_u64().expect("a count")
    }

    /// Payments that Stripe took money for.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn charged(&self) -> usize {
        let ledger = self.ledger().await;
        let intents = ledger["payment_intents"].as_array().expect("a list of intents");
        intents.iter().filter(|intent| intent["status"] == "succeeded").count()
    }

    /// Events that Stripe has not delivered yet.
    ///
    /// # Panics
    /// When it does not tell.
    pub async fn undelivered_webhooks(&self) -> u64 {
        let told = send("webhooks", self.http.get(format!("{}/sim/webhooks", self.stripe))).await.expect("counts");
        let told = parsed(&told);
        let count = |name: &str| told["counts"][name].as_u64().expect("a count");
        count("queued") + count("in_flight")
    }

    async fn ledger(&self) -> Value {
        let request = self.http.get(format!("{}/sim/ledger", self.stripe));
        parsed(&send("ledger", request).await.expect("a ledger"))
    }

    async fn place(&self, lines: Value) -> Result<Placed, String> {
        let text = send("place", self.placing(lines)).await?;
        Placed::read(&text).ok_or_else(|| "place: no checkout in the answer".to_owned())
    }

    fn placing(&self, lines: Value) -> RequestBuilder {
        let address = json!({
            "name": "Ada Lovelace", "line1": "12 Example Street", "city": "Berlin", "postal_code": "10115",
            "country": "DE",
        });
        let body = json!({ "lines": lines, "email": "shopper@example.com", "shipping_address": address });
        let request = self.http.post(format!("{}/checkout/v1/checkouts", self.checkout));
        with_key(request).body(body.to_string())
    }

    async fn complete(&self, placed: &Placed) -> Result<Payable, String> {
        let mut answer = parsed(&send("complete", self.completing(placed)).await?);
        for asked in 0..MAX_ASKED {
            let order = answer["order"]["id"].as_str().or(answer["order"].as_str());
            let secret = answer["payment"]["client_secret"].as_str();
            if let (Some(order), Some((intent, _))) = (order, secret.and_then(|secret| secret.split_once("_secret"))) {
                return Ok(Payable { order: order.to_owned(), intent: intent.to_owned(), was_deferred: asked > 0 });
            }
            if answer["payment"]["state"] == "failed" {
                return Err("complete: the payment failed".to_owned());
            }
            tokio::time::sleep(ASK_PAUSE).await;
            let url = format!("{}/checkout/v1/checkouts/{}", self.checkout, placed.checkout);
            answer = parsed(&send("look", self.http.get(url).bearer_auth(&placed.token)).await?);
        }
        Err("complete: nothing to pay came".to_owned())
    }

    fn completing(&self, placed: &Placed) -> RequestBuilder {
        let body = json!({ "method": "payment_intent", "return_url": "https://shop.example/thanks" });
        let url = format!("{}/checkout/v1/checkouts/{}/complete", self.checkout, placed.checkout);
        with_key(self.http.post(url)).bearer_auth(&placed.token).body(body.to_string())
    }

    async fn pay(&self, intent: &str) -> Result<(), String> {
        let request = self.http.post(format!("{}/sim/payment_intents/{intent}/pay", self.stripe));
        let request = request.header("content-type", "application/json");
        let answer = parsed(&send("pay", request.body(r#"{"payment_method":"pm_card_visa"}"#)).await?);
        match answer["error"].is_null() {
            true => Ok(()),
            false => Err(format!("pay: {}", answer["error"]["code"])),
        }
    }
}

impl Placed {
    fn read(text: &str) -> Option<Self> {
        let answer = parsed(text);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self { checkout: text(&answer["checkout"]["id"])?, token: text(&answer["token"])? })
    }
}

/// What a product is called.
pub fn name_of(product: u64) -> String {
    format!("{PRODUCT_PREFIX}{product}")
}

/// Numbers that look like chance, the same in every run (the finaliser of SplitMix64; Steele, Lea and Flood, 2014).
pub fn scattered(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn lines_of(number: u64) -> Value {
    let chance = scattered(number);
    let first = PRODUCTS.start + chance % HALF;
    let second = PRODUCTS.start + HALF + (chance >> 32) % HALF;
    json!([{ "product": name_of(first), "quantity": 1 }, { "product": name_of(second), "quantity": 2 }])
}

fn with_key(request: RequestBuilder) -> RequestBuilder {
    request.header("content-type", "application/json").header("idempotency-key", Uuid::now_v7().to_string())
}

/// The text of an answer that is a success.
async fn send(what: &str, request: RequestBuilder) -> Result<String, String> {
    let lost = |error: reqwest::Error| {
        let kind = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the answer was lost"
        };
        format!("{what}: {kind}")
    };
    let answer = request.send().await.map_err(lost)?;
    let status = answer.status();
    let text = answer.text().await.map_err(lost)?;
    match status.is_success() {
        true => Ok(text),
        false => Err(format!("{what}: {} {}", status.as_u16(), parsed(&text)["code"].as_str().unwrap_or_default())),
    }
}

/// Null where the text is no JSON.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}
