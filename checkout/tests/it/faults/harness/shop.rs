//! What shoppers and staff do, as requests, and what they read out of the answers.

use serde_json::{Value, json};

use super::client::{Client, Reply, Request};
use super::{BOOTS, STAFF, World, until};

/// A checkout as its owner has it.
#[derive(Clone)]
pub struct Shopper {
    pub client: Client,
    pub checkout: String,
    pub token: String,
    pub total_minor: i64,
    /// The answer that it came with.
    pub placed: Value,
}

/// Where a checkout stands, as the service tells its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub checkout_state: String,
    pub order: Option<String>,
    /// Empty where there is no order.
    pub order_state: String,
    /// Empty where there is no payment.
    pub payment_state: String,
    /// Stripe's id, where the client secret names it.
    pub intent: Option<String>,
    /// Stripe's id, where the hosted page names it.
    pub session: Option<String>,
}

pub fn lines(lines: &[(&str, u32)]) -> Value {
    let lines = lines.iter().map(|(product, quantity)| json!({ "product": product, "quantity": quantity }));
    json!({ "lines": lines.collect::<Vec<_>>(), "email": "shopper@example.com" })
}

/// A key that nobody else has.
pub fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub fn placing(body: &Value) -> Request {
    Request::post("/checkout/v1/checkouts").key(new_key()).json(body)
}

pub fn setting_stock(product: &str, available: i64) -> Request {
    let body = json!({ "set": available, "reason": "a test" });
    Request::put(format!("/checkout/v1/stock/{product}")).token(STAFF).json(&body)
}

pub async fn set_stock(client: &Client, product: &str, available: i64) {
    let reply = client.ask(&setting_stock(product, available)).await;
    assert!(reply.is_success(), "{} {}", reply.status, reply.text);
}

/// What can be sold of a product, and what is held.
pub async fn stock_of(client: &Client, product: &str) -> (i64, i64) {
    let reply = client.ask(&Request::get(format!("/checkout/v1/stock/{product}")).token(STAFF)).await;
    let number = |name: &str| reply.body["stock"][name].as_i64().unwrap_or_else(|| panic!("{name} in {}", reply.text));
    (number("available"), number("held"))
}

/// Gives back an amount, or all that is left.
pub fn refunding(order: &str, key: &str, amount_minor: Option<i64>) -> Request {
    let mut body = json!({ "reason": "a test" });
    if let Some(amount_minor) = amount_minor {
        body["amount"] = json!({ "amount_minor": amount_minor, "currency": super::edge::CURRENCY });
    }
    Request::post(format!("/checkout/v1/orders/{order}/refunds")).token(STAFF).key(key).json(&body)
}

pub fn cancelling_order(order: &str, key: &str) -> Request {
    Request::post(format!("/checkout/v1/orders/{order}/cancel")).token(STAFF).key(key).json(&json!({}))
}

impl Shopper {
    /// Asks for a checkout; the answer where it was refused.
    pub async fn try_place(client: &Client, body: &Value) -> Result<Self, Reply> {
        let reply = client.ask(&placing(body)).await;
        Self::of(client, &reply).ok_or(reply)
    }

    /// Asks for a checkout, which must be given; who comes when it is crowded comes again.
    pub async fn place(client: &Client, wanted: &[(&str, u32)]) -> Self {
        let mut placed = Self::try_place(client, &lines(wanted)).await;
        until("there is room", async || {
            let is_full = placed.as_ref().is_err_and(|reply| reply.code() == "overloaded");
            if is_full {
                placed = Self::try_place(client, &lines(wanted)).await;
            }
            !is_full
        })
        .await;
        placed.unwrap_or_else(|reply| panic!("no checkout: {} {}", reply.status, reply.text))
    }

    /// Who owns the checkout of an answer; None where it has none.
    pub fn of(client: &Client, reply: &Reply) -> Option<Self> {
        let checkout = &reply.body["checkout"];
        Some(Self {
            client: client.clone(),
            checkout: checkout["id"].as_str()?.to_owned(),
            token: reply.body["token"].as_str()?.to_owned(),
            total_minor: checkout["total"]["amount_minor"].as_i64()?,
            placed: reply.body.clone(),
        })
    }

    /// The same shopper at another process.
    pub fn at(&self, slot: usize) -> Self {
        Self { client: self.client.at(slot), ..self.clone() }
    }

    pub fn completing(&self, key: &str) -> Request {
        self.completing_by(key, "payment_intent")
    }

    pub fn completing_by(&self, key: &str, method: &str) -> Request {
        let body = json!({ "method": method, "return_url": "https://shop.example/thanks" });
        Request::post(format!("/checkout/v1/checkouts/{}/complete", self.checkout))
            .token(&self.token)
            .key(key)
            .json(&body)
    }

    pub fn cancelling(&self, key: &str) -> Request {
        let path = format!("/checkout/v1/checkouts/{}/cancel", self.checkout);
        Request::post(path).token(&self.token).key(key).json(&json!({}))
    }

    pub fn looking(&self) -> Request {
        Request::get(format!("/checkout/v1/checkouts/{}", self.checkout)).token(&self.token)
    }

    /// Completes with a new key.
    pub async fn complete(&self) -> Reply {
        self.client.ask(&self.completing(&new_key())).await
    }

    /// Where it stands, by the checkout and by its order.
    pub async fn view(&self) -> View {
        let reply = self.client.ask(&self.looking()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let view = View::of(&reply.body);
        let Some(order) = &view.order else { return view };
        let reply = self.client.ask(&Request::get(format!("/checkout/v1/orders/{order}")).token(&self.token)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        View::of(&reply.body)
    }

    /// Waits for an intent that can be paid, beginning another attempt where one came to nothing.
    pub async fn intent(&self) -> String {
        let mut intent = None;
        until("there is an intent to pay", async || {
            let view = self.view().await;
            if matches!(view.payment_state.as_str(), "" | "failed") {
                let reply = self.complete().await;
                assert!(reply.status != 400 && reply.status != 404, "{}", reply.text);
            }
            intent = view.intent.filter(|_| view.payment_state == "requires_action");
            intent.is_some()
        })
        .await;
        intent.expect("an intent")
    }

    /// Waits until its order stands so; returns the order's id.
    pub async fn wait_for(&self, order_state: &str) -> String {
        let mut seen = View::default();
        until(&format!("the order of {} is {order_state}", self.checkout), async || {
            seen = self.view().await;
            seen.order_state == order_state
        })
        .await;
        seen.order.expect("an order")
    }

    /// Completes, pays and waits until it is paid; returns the order's id.
    pub async fn buy(&self, world: &World) -> String {
        let intent = self.intent().await;
        assert!(world.stripe.pay(&intent, "pm_card_visa").await, "{intent} can be paid");
        self.wait_for("paid").await
    }
}

impl View {
    /// Out of the answer that tells of a checkout, of its order, or of its completion.
    pub fn of(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (order, payment) = (&body["order"], &body["payment"]);
        let secret = payment["client_secret"].as_str().and_then(|secret| secret.split_once("_secret"));
        let hosted = payment["hosted_url"].as_str().and_then(|url| url.rsplit('/').next());
        let checkout_state = body["checkout"]["state"].as_str().or(order["checkout_state"].as_str());
        Self {
            checkout_state: checkout_state.unwrap_or_default().to_owned(),
            // The checkout tells its order's id alone.
            order: order["id"].as_str().or(order.as_str()).map(str::to_owned),
            order_state: text(&order["state"]),
            payment_state: text(&payment["state"]),
            intent: secret.map(|(intent, _)| intent.to_owned()),
            session: hosted.map(|session| session.split(['?', '#']).next().unwrap_or(session).to_owned()),
        }
    }
}

/// Asks until there is an answer that is final, as a client does that lost one: with the same key.
pub async fn ask_until_final(client: &Client, request: &Request) -> Reply {
    let mut last = None;
    until("there is a final answer", async || {
        match client.send(request).await {
            Ok(reply) if !reply.is_to_be_asked_again() => last = Some(reply),
            Ok(_) | Err(_) => {}
        }
        last.is_some()
    })
    .await;
    last.expect("an answer")
}

/// Places, completes and pays, asking again whenever an answer is lost.
pub async fn buy_through_faults(world: &World, client: &Client) -> Shopper {
    let reply = ask_until_final(client, &placing(&lines(&[(BOOTS, 1)]))).await;
    let shopper = Shopper::of(client, &reply).unwrap_or_else(|| panic!("no checkout: {}", reply.text));
    let reply = ask_until_final(client, &shopper.completing(&new_key())).await;
    assert!(reply.is_success(), "{}", reply.text);
    let mut view = View::of(&reply.body);
    until("the shopper can pay", async || {
        if let Ok(reply) = client.send(&shopper.looking()).await
            && reply.is_success()
        {
            view = View::of(&reply.body);
        }
        view.intent.is_some()
    })
    .await;
    let intent = view.intent.expect("an intent");
    assert!(world.stripe.pay(&intent, "pm_card_visa").await, "{intent} can be paid");
    shopper
}
