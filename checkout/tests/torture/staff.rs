//! Staff: they give money back, cancel what is not paid, and count the shelves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::dice::Dice;
use crate::harness::STAFF;
use crate::harness::client::{Reply, Request};
use crate::harness::shop::{cancelling_order, new_key, refunding};
use crate::promises::Kind;
use crate::scene::{PRODUCTS, SCARCE, Scene};

/// Works until the run is over.
pub async fn work(scene: Arc<Scene>, mut dice: Dice) {
    while !scene.is_over() {
        tokio::time::sleep(Duration::from_millis(dice.between(20, 200))).await;
        match dice.below(10) {
            0..6 => refund(&scene, &mut dice).await,
            6 | 7 => cancel(&scene, &mut dice).await,
            8 => count_shelves(&scene, &mut dice).await,
            _ => list(&scene, &mut dice).await,
        }
    }
}

async fn refund(scene: &Scene, dice: &mut Dice) {
    let Some(order) = scene.any_order(dice) else { return };
    let amount = (!dice.one_in(3)).then(|| dice.between(1, 9_000) as i64);
    let request = refunding(&order, &new_key(), amount);
    let mut others = [dice.of(1), dice.of(2)];
    let [first, second] = &mut others;
    // With one key at two processes, or with a key each.
    let another = if dice.one_in(2) { request.clone() } else { refunding(&order, &new_key(), amount) };
    match dice.one_in(3) {
        true => {
            let replies = tokio::join!(scene.insist(first, &request), scene.insist(second, &another));
            note(scene, Kind::Refund, "refund", &request, replies.0);
            note(scene, Kind::Refund, "refund", &another, replies.1);
        }
        false => {
            let reply = scene.insist(first, &request).await;
            note(scene, Kind::Refund, "refund", &request, reply);
        }
    }
}

async fn cancel(scene: &Scene, dice: &mut Dice) {
    let Some(order) = scene.any_order(dice) else { return };
    let request = cancelling_order(&order, &new_key());
    let reply = scene.insist(dice, &request).await;
    note(scene, Kind::Cancel, "cancelled by staff", &request, reply);
}

/// The scarce shelves are filled again, and now and then something is missing.
async fn count_shelves(scene: &Scene, dice: &mut Dice) {
    let product = if dice.one_in(4) { dice.pick(PRODUCTS).0 } else { *dice.pick(SCARCE) };
    let by = dice.between(0, 12) as i64 - 3;
    let body = json!({ "adjust": by, "reason": "counted" });
    let request = Request::put(format!("/checkout/v1/stock/{product}")).token(STAFF).key(new_key()).json(&body);
    if let Some(reply) = scene.insist(dice, &request).await {
        scene.tally.note(format!("shelf counted: {}", reply.status));
    }
}

async fn list(scene: &Scene, dice: &mut Dice) {
    let request = Request::get("/checkout/v1/orders?limit=50").token(STAFF);
    if let Ok(reply) = scene.client(dice).send(&request).await {
        scene.tally.note(format!("orders listed: {}", reply.status));
    }
}

fn note(scene: &Scene, kind: Kind, what: &str, request: &Request, reply: Option<Reply>) {
    let Some(reply) = reply else { return };
    scene.promises.note(kind, request, &reply);
    let name = if reply.code().is_empty() { reply.status.to_string() } else { reply.code().to_owned() };
    scene.tally.note(format!("{what}: {name}"));
}
