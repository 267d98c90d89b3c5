//! Currencies that are counted otherwise than in hundredths: by the edge, by us and by Stripe.

use serde_json::{Value, json};

use super::paying::Paying;
use super::shop::Begun;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_charged_and_given_back_is_what_stripe_counts() {
    let paying = Paying::open().await;
    // The price, what is charged of it, that for Stripe, what is given back, that for Stripe.
    for (code, price, charged, at_stripe, back, back_at_stripe) in [
        ("JPY", 1_500, 1_500, 1_500, 500, 500),
        ("KWD", 1_234, 1_230, 1_230, 500, 500),
        ("ISK", 1_500, 1_500, 150_000, 500, 50_000),
    ] {
        let shop = &paying.shop;
        let money = |amount: i64| json!({ "amount_minor": amount, "currency": code });
        shop.edge.publish_as(code, money(price), "in_stock");
        shop.set_stock(code, 1).await;
        let begin = |expected: Value| {
            let body = json!({ "lines": [{ "product": code, "quantity": 1 }], "expected_total": expected });
            shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&body).send()
        };
        if charged != price {
            assert_eq!(begin(money(price)).await.problem(409, "total_changed")["total"], money(charged));
        }
        let begun = begin(money(charged)).await.expect(201);
        assert_eq!(begun["checkout"]["lines"][0]["unit_price"], money(charged));
        let body = shop.complete(&Begun::of(&begun)).await.expect(200);
        paying.pay(&body["payment"], "pm_card_visa").await;
        paying.wait_for_state(&body, "paid").await;
        assert_eq!(paying.order(&body).await["captured"], money(charged));
        let intent = paying.sim.ledger().payment_intents.pop().expect("an intent");
        assert_eq!((intent.amount_received, intent.currency.to_uppercase().as_str()), (at_stripe, code));

        paying.refund(&body, code, &json!({ "amount": money(back) })).await.expect(201);
        paying.wait_for_state(&body, "partially_refunded").await;
        assert_eq!(paying.order(&body).await["refunded"], money(back));
        let refund = paying.sim.ledger().refunds.pop().expect("a refund");
        assert_eq!((&refund.payment_intent, refund.amount), (&intent.id, back_at_stripe));
        if code == "KWD" {
            let fine = paying.refund(&body, "fine", &json!({ "amount": money(5) })).await;
            assert_eq!(fine.problem(400, "invalid_field")["pointer"], "/amount");
        }
    }
    paying.nothing_is_wrong().await;
}
