//! Shoppers: they fill carts, check out, pay in all the ways there are, change their minds, and press every button twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::harness::client::{Reply, Request};
use crate::harness::shop::{Shopper, View, lines, new_key, placing};
use crate::harness::stripe::Stripe;
use crate::promises::Kind;
use crate::scene::{PRODUCTS, Scene};

/// Attempts to pay one order.
const MAX_ATTEMPTS: u32 = 3;
/// How often a shopper looks whether there is something to pay with.
const MAX_LOOKS: u32 = 60;
/// Cards and banks, as Stripe names those for tests.
const GOOD: &[&str] = &["pm_card_visa", "pm_card_mastercard"];
const BAD: &[&str] =
    &["pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedExpiredCard"];

/// What a shopper pays with: an intent of the shop's page, or Stripe's own page.
enum Till {
    Intent(String),
    Page(String),
}

/// Shops until the run is over.
pub async fn shop(scene: Arc<Scene>, mut dice: Dice) {
    while !scene.is_over() {
        visit(&scene, &mut dice).await;
    }
}

async fn visit(scene: &Scene, dice: &mut Dice) {
    let Some(body) = basket(scene, dice).await else { return };
    let request = placing(&body);
    let Some(reply) = submit(scene, dice, Kind::Place, &request).await else { return };
    let client = scene.client(dice);
    let Some(shopper) = Shopper::of(&client, &reply) else {
        scene.tally.note(format!("no checkout: {}", name_of(&reply)));
        return;
    };
    scene.tally.note("checkout placed");
    scene.remember_checkout(&shopper);
    match dice.below(14) {
        0 => scene.tally.note("checkout abandoned"),
        1 => cancel(scene, dice, &shopper).await,
        _ => pay_in_the_end(scene, dice, &shopper).await,
    }
}

/// Some products, one time in four by way of a cart. None where the cart came to nothing.
async fn basket(scene: &Scene, dice: &mut Dice) -> Option<Value> {
    let wanted: Vec<(&str, u32)> =
        (0..dice.between(1, 3)).map(|_| (dice.pick(PRODUCTS).0, dice.between(1, 3) as u32)).collect();
    let mut body = lines(&wanted);
    if !dice.one_in(4) {
        return Some(body);
    }
    let made = Request::post("/checkout/v1/carts").key(new_key()).json(&json!({ "lines": body["lines"] }));
    let made = scene.insist(dice, &made).await?;
    let id = made.body["cart"]["id"].as_str()?;
    scene.tally.note("cart made");
    if dice.one_in(2) {
        let change = json!({ "version": made.body["cart"]["version"], "lines": lines(&wanted[..1])["lines"] });
        let reply = scene.insist(dice, &Request::put(format!("/checkout/v1/carts/{id}")).json(&change)).await?;
        scene.tally.note(format!("cart changed: {}", reply.status));
    }
    body = json!({ "cart": id, "email": "shopper@example.com" });
    Some(body)
}

/// Submits once, or twice at the same moment with one key. Both answers are promises.
async fn submit(scene: &Scene, dice: &mut Dice, kind: Kind, request: &Request) -> Option<Reply> {
    if !dice.one_in(4) {
        let reply = scene.insist(dice, request).await?;
        scene.promises.note(kind, request, &reply);
        return Some(reply);
    }
    let mut other = dice.of(1);
    let (first, second) = tokio::join!(scene.insist(dice, request), scene.insist(&mut other, request));
    scene.tally.note("submitted twice");
    for reply in [&first, &second].into_iter().flatten() {
        scene.promises.note(kind, request, reply);
    }
    first.or(second)
}

async fn pay_in_the_end(scene: &Scene, dice: &mut Dice, shopper: &Shopper) {
    for _ in 0..MAX_ATTEMPTS {
        let method = if dice.one_in(3) { "hosted_page" } else { "payment_intent" };
        let request = shopper.completing_by(&new_key(), method);
        let Some(reply) = submit(scene, dice, Kind::Complete, &request).await else { return };
        scene.tally.note(format!("complete: {}", name_of(&reply)));
        if !reply.is_success() {
            return;
        }
        if let Some(order) = &View::of(&reply.body).order {
            scene.remember_order(order);
        }
        let Some(till) = find_till(scene, dice, shopper).await else { return };
        match dice.below(8) {
            0 => {
                // Whoever is first wins.
                let mut other = dice.of(2);
                tokio::join!(pay(scene, dice, &till), cancel(scene, &mut other, shopper));
                return;
            }
            1 => return scene.tally.note("left at the till"),
            _ => pay(scene, dice, &till).await,
        }
        if !has_failed(scene, dice, shopper).await {
            return;
        }
        scene.tally.note("another attempt");
    }
}

/// Waits until there is something to pay with.
async fn find_till(scene: &Scene, dice: &mut Dice, shopper: &Shopper) -> Option<Till> {
    for _ in 0..MAX_LOOKS {
        if let Ok(reply) = scene.client(dice).send(&shopper.looking()).await {
            let view = View::of(&reply.body);
            match (view.intent, view.session) {
                (Some(intent), _) => return Some(Till::Intent(intent)),
                (None, Some(session)) => return Some(Till::Page(session)),
                (None, None) if matches!(view.payment_state.as_str(), "succeeded" | "failed") => return None,
                (None, None) => {}
            }
        }
        if scene.is_over() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(dice.between(50, 300))).await;
    }
    scene.tally.note("nothing to pay with");
    None
}

async fn pay(scene: &Scene, dice: &mut Dice, till: &Till) {
    let stripe = &scene.world.stripe;
    let (what, is_taken) = match (dice.below(10), till) {
        (0, _) => ("declined", till.take(stripe, dice.pick::<&str>(BAD)).await),
        (1, _) => {
            till.take(stripe, dice.pick::<&str>(BAD)).await;
            ("declined, then another card", till.take(stripe, dice.pick::<&str>(GOOD)).await)
        }
        (2, _) => ("a bank that takes its time", till.take(stripe, "pm_sepa_debit").await),
        (3, _) => ("a bank that fails later", till.take(stripe, "pm_sepaDebitFail").await),
        (4, Till::Intent(intent)) => ("authenticated", stripe.pay_and_authenticate(intent, true).await),
        (5, Till::Intent(intent)) => ("authentication failed", stripe.pay_and_authenticate(intent, false).await),
        (6, _) => {
            // Twice at the same moment, as two tabs do.
            let (first, second) =
                tokio::join!(till.take(stripe, "pm_card_visa"), till.take(stripe, "pm_card_mastercard"));
            ("paid in two tabs", first || second)
        }
        _ => ("paid", till.take(stripe, dice.pick::<&str>(GOOD)).await),
    };
    scene.tally.note(format!("{what}: {}", if is_taken { "taken" } else { "refused" }));
}

impl Till {
    /// Whether Stripe takes this card or bank.
    async fn take(&self, stripe: &Stripe, method: &str) -> bool {
        match self {
            Self::Intent(intent) => stripe.pay(intent, method).await,
            Self::Page(session) => stripe.pay_session(session, method).await,
        }
    }
}

/// Whether the attempt came to nothing, as the shop tells it soon enough.
async fn has_failed(scene: &Scene, dice: &mut Dice, shopper: &Shopper) -> bool {
    for _ in 0..5 {
        if let Ok(reply) = scene.client(dice).send(&shopper.looking()).await {
            match View::of(&reply.body).payment_state.as_str() {
                "failed" => return true,
                "succeeded" => return false,
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.between(20, 200))).await;
    }
    false
}

async fn cancel(scene: &Scene, dice: &mut Dice, shopper: &Shopper) {
    let request = shopper.cancelling(&new_key());
    let Some(reply) = submit(scene, dice, Kind::Cancel, &request).await else { return };
    scene.tally.note(format!("cancelled by its owner: {}", name_of(&reply)));
}

/// The code of a problem, or the status.
fn name_of(reply: &Reply) -> String {
    match reply.code() {
        "" => reply.status.to_string(),
        code => code.to_owned(),
    }
}
