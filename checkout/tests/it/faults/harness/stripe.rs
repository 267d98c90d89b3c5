//! Stripe as the tests have it: the simulator in this process, at an address that stays.

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sim::{Settings, Sim, WebhookTarget};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::client::http;
use super::door::SECRET;

pub const KEY: &str = "sk_test_of_the_tests";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Stripe {
    sim: Mutex<Sim>,
    url: String,
    http: reqwest::Client,
}

impl Stripe {
    pub async fn start(webhook: String, rate_limit_per_s: Option<u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let webhooks = vec![WebhookTarget { url: webhook, secret: SECRET.to_owned() }];
        let sim = Sim::start(Settings { webhooks, rate_limit_per_s, ..Settings::default() }, listener);
        let url = sim.url();
        Self { sim: Mutex::new(sim), url, http: http(ANSWER_TIMEOUT) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Adds a fault to the script.
    pub async fn fault(&self, on: &str, fault: &str, times: u32) {
        self.slow_fault(on, fault, times, 0).await;
    }

    pub async fn slow_fault(&self, on: &str, fault: &str, times: u32, delay_ms: u64) {
        let fault = json!({ "on": on, "fault": fault, "times": times, "skip": 0, "delay_ms": delay_ms });
        self.post("/sim/faults", &fault).await;
    }

    /// How often the faults of the script struck so far.
    pub async fn strikes(&self) -> u64 {
        let told = self.get("/sim/faults").await;
        let faults = told["faults"].as_array().expect("a list of faults");
        faults.iter().map(|fault| fault["struck"].as_u64().expect("a count")).sum()
    }

    pub async fn clear_faults(&self) {
        let answer = self.http.delete(format!("{}/sim/faults", self.url)).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// How events are delivered: `{"mode": "none"}`.
    pub async fn webhooks(&self, plan: &Value) {
        self.post("/sim/webhooks", plan).await;
    }

    pub async fn deliver_held(&self, order: &str, seed: u64, times: u32) {
        self.post("/sim/webhooks/deliver", &json!({ "order": order, "seed": seed, "times": times })).await;
    }

    pub async fn settings(&self, settings: &Value) {
        self.post("/sim/settings", settings).await;
    }

    pub async fn advance(&self, by_s: u64) {
        self.post("/sim/time", &json!({ "advance_s": by_s })).await;
    }

    /// Pays an intent as the shopper's browser does; says whether Stripe took it.
    pub async fn pay(&self, intent: &str, method: &str) -> bool {
        let body = json!({ "payment_method": method });
        self.act(&format!("/sim/payment_intents/{intent}/pay"), &body).await
    }

    /// The same with 3-D Secure, which the shopper completes or fails.
    pub async fn pay_and_authenticate(&self, intent: &str, succeeds: bool) -> bool {
        let body = json!({ "payment_method": "pm_card_authenticationRequired", "authenticate": succeeds });
        self.act(&format!("/sim/payment_intents/{intent}/pay"), &body).await
    }

    /// Pays on the hosted page.
    pub async fn pay_session(&self, session: &str, method: &str) -> bool {
        let body = json!({ "payment_method": method });
        self.act(&format!("/sim/checkout/sessions/{session}/pay"), &body).await
    }

    /// The bank has spoken about a payment that takes its time.
    pub async fn settle(&self, intent: &str, succeeds: bool) -> bool {
        self.act(&format!("/sim/payment_intents/{intent}/settle"), &json!({ "succeed": succeeds })).await
    }

    /// The same about a refund.
    pub async fn settle_refund(&self, refund: &str, succeeds: bool) -> bool {
        self.act(&format!("/sim/refunds/{refund}/settle"), &json!({ "succeed": succeeds })).await
    }

    /// The shopper asks the bank for what an order cost; returns the dispute's id.
    pub async fn dispute(&self, order: &str) -> String {
        let charged = self.ledger().await.of_order(order);
        let charge = charged.iter().find(|one| one.status == "succeeded").map(|one| one.charge.clone());
        let charge = charge.unwrap_or_else(|| panic!("{order} was charged for"));
        self.sim.lock().await.dispute(&charge, "fraudulent").expect("it can be disputed")
    }

    /// The bank decides.
    pub async fn close_dispute(&self, dispute: &str, is_won: bool) {
        self.sim.lock().await.close_dispute(dispute, is_won).expect("it is open");
    }

    /// Refunds in Stripe's dashboard, which tells us by webhooks alone.
    pub async fn refund_in_dashboard(&self, intent: &str, amount: i64) {
        let form = format!("payment_intent={intent}&amount={amount}");
        let asked = self.http.post(format!("{}/v1/refunds", self.url)).bearer_auth(KEY);
        let asked = asked.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = asked.send().await.expect("an answer");
        read(answer).await.unwrap_or_else(|told| panic!("no refund: {told}"));
    }

    pub async fn ledger(&self) -> Ledger {
        Ledger(self.get("/sim/ledger").await)
    }

    /// Takes Stripe away: all connections break, and none is taken.
    pub async fn take_away(&self) {
        self.sim.lock().await.stop().await;
    }

    /// Brings it back where it was, with what it knew.
    pub async fn bring_back(&self) {
        let address = super::servers::address_of(&self.url).to_owned();
        // Connections of before may hold the port for a moment.
        for _ in 0..100 {
            if let Ok(listener) = TcpListener::bind(&address).await {
                self.sim.lock().await.restart(listener);
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{address} is taken");
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        read(answer).await.unwrap_or_else(|told| panic!("GET {path}: {told}"))
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let asked = self.http.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let answer = asked.body(body.to_string()).send().await.expect("an answer");
        read(answer).await.unwrap_or_else(|told| panic!("POST {path} {body}: {told}"))
    }

    /// Does something on behalf of the shopper or a bank; says whether Stripe took it.
    async fn act(&self, path: &str, body: &Value) -> bool {
        self.post(path, body).await["error"].is_null()
    }
}

/// What Stripe has in its own books.
#[derive(Clone, Debug)]
pub struct Ledger(pub Value);

/// A payment as Stripe has it.
#[derive(Clone, Debug)]
pub struct Charged {
    pub intent: String,
    pub status: String,
    pub order: String,
    pub payment: String,
    /// The last charge, which is the one that succeeded where any did.
    pub charge: String,
    pub received: i64,
    pub refunded: i64,
}

impl Ledger {
    /// The intents that were made for an order.
    pub fn of_order(&self, order: &str) -> Vec<Charged> {
        self.intents().into_iter().filter(|intent| intent.order == order).collect()
    }

    pub fn intents(&self) -> Vec<Charged> {
        self.list("payment_intents").iter().map(charged).collect()
    }

    /// All refunds: id, intent, amount, status.
    pub fn refunds(&self) -> Vec<(String, String, i64, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = self.list("refunds").iter();
        list.map(|one| {
            let amount = one["amount"].as_i64().expect("an amount");
            (text(&one["id"]), text(&one["payment_intent"]), amount, text(&one["status"]))
        })
        .collect()
    }

    pub fn rate_limited(&self) -> u64 {
        self.0["rate_limited"].as_u64().expect("a count")
    }

    fn list(&self, name: &str) -> &Vec<Value> {
        self.0[name].as_array().unwrap_or_else(|| panic!("the ledger has {name}"))
    }
}

fn charged(intent: &Value) -> Charged {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let charges = intent["charges"].as_array().cloned().unwrap_or_default();
    Charged {
        intent: text(&intent["id"]),
        status: text(&intent["status"]),
        order: text(&intent["metadata"]["order_id"]),
        payment: text(&intent["metadata"]["payment_id"]),
        charge: charges.last().map(|charge| text(&charge["id"])).unwrap_or_default(),
        received: intent["amount_received"].as_i64().expect("an amount"),
        refunded: charges.iter().filter_map(|charge| charge["amount_refunded"].as_i64()).sum(),
    }
}

async fn read(answer: reqwest::Response) -> Result<Value, String> {
    let status = answer.status();
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    match status.is_success() {
        true => Ok(serde_json::from_str(&text).unwrap_or(Value::Null)),
        false => Err(format!("{status} {text}")),
    }
}
