//! Stock, as staff sets it.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::shop::{Answer, Shop};

async fn put(shop: &Shop, product: &str, body: Value) -> Answer {
    shop.ask("PUT", &format!("/checkout/v1/stock/{product}")).token(&shop.staff).new_key().json(&body).send().await
}

/// Who did what, as the books have it.
async fn audit(shop: &Shop) -> Vec<(String, String, String)> {
    let options = SqliteConnectOptions::new().filename(shop.database_file()).read_only(true);
    let mut connection = options.connect().await.expect("the database");
    let rows = sqlx::query("SELECT actor, action, subject FROM audit ORDER BY id").fetch_all(&mut connection).await;
    let row = |row: sqlx::sqlite::SqliteRow| (row.get("actor"), row.get("action"), row.get("subject"));
    rows.expect("the audit").into_iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_set_and_adjusted_with_a_reason() {
    let shop = Shop::open().await;
    shop.checkout(2).await;
    let body = put(&shop, "p1", json!({ "set": 5, "reason": "counted" })).await.expect(200);
    assert_eq!(body["stock"], json!({ "product": "p1", "available": 5, "held": 2 }));
    let body = put(&shop, "p1", json!({ "adjust": -5, "reason": "broken" })).await.expect(200);
    assert_eq!(body["stock"]["available"], 0);
    put(&shop, "p1", json!({ "adjust": -1, "reason": "broken" })).await.problem(422, "stock_out_of_bounds");
    put(&shop, "lamp%20%2F7", json!({ "set": 1, "reason": "new" })).await.expect(200);
    assert_eq!(shop.available("lamp%20%2F7").await, 1);
    let told = audit(&shop).await;
    let [.., set, adjusted, new] = &told[..] else { panic!("{told:?}") };
    let entry = |action: &str, subject: &str| ("anna".to_owned(), action.to_owned(), subject.to_owned());
    assert_eq!(*set, entry("stock.set", "p1"));
    assert_eq!(*adjusted, entry("stock.adjust", "p1"));
    assert_eq!(*new, entry("stock.set", "lamp /7"));
    assert_eq!(told.len(), 5, "two of the shop's own, three of these, and none that was refused");
}

/// Whoever lost the answer to an adjustment, and asked again, had it counted twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_counts_once_however_often_it_is_asked_for() {
    let shop = Shop::open().await;
    let ask = || shop.ask("PUT", "/checkout/v1/stock/p1").token(&shop.staff);
    let adjust = json!({ "adjust": -2, "reason": "broken" });
    let first = ask().key("count-1").json(&adjust).send().await;
    assert_eq!(first.expect(200)["stock"]["available"], 8);
    let again = ask().key("count-1").json(&adjust).send().await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    let other = json!({ "adjust": -3, "reason": "broken" });
    ask().key("count-1").json(&other).send().await.problem(409, "idempotency_key_reused");
    ask().json(&adjust).send().await.problem(400, "idempotency_key_missing");
    assert_eq!(shop.available("p1").await, 8);
    assert_eq!(audit(&shop).await.iter().filter(|(_, action, _)| action == "stock.adjust").count(), 1);
}

/// Whoever lost the answer, and asked again, brought back what was sold in between.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_with_a_key_is_set_once() {
    let shop = Shop::open().await;
    let set = json!({ "set": 10, "reason": "counted" });
    let ask = || shop.ask("PUT", "/checkout/v1/stock/p1").token(&shop.staff);
    let first = ask().key("count-1").json(&set).send().await;
    assert_eq!(first.expect(200)["stock"]["available"], 10);
    shop.checkout(3).await;
    let again = ask().key("count-1").json(&set).send().await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    assert_eq!(shop.available("p1").await, 7);
    let other = json!({ "set": 9, "reason": "counted" });
    ask().key("count-1").json(&other).send().await.problem(409, "idempotency_key_reused");
    // Without one it is set each time.
    assert_eq!(ask().json(&set).send().await.expect(200)["stock"]["available"], 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_stock_have_a_form() {
    let shop = Shop::open().await;
    let check = async |body: Value, pointer: &str| {
        assert_eq!(put(&shop, "p1", body).await.problem(400, "invalid_field")["pointer"], pointer);
    };
    check(json!({ "set": 1 }), "/reason").await;
    check(json!({ "reason": "x" }), "/set").await;
    check(json!({ "set": 1, "adjust": 1, "reason": "x" }), "/adjust").await;
    check(json!({ "set": -1, "reason": "x" }), "/set").await;
    check(json!({ "set": 1, "reason": "x", "held": 1 }), "/held").await;
    check(json!({ "set": 1, "reason": "" }), "/reason").await;
    check(json!({ "set": 1, "reason": "\u{fc}".repeat(201) }), "/reason").await;
    put(&shop, "p1", json!({ "set": 1, "reason": "\u{fc}".repeat(200) })).await.expect(200);
    let unknown = shop.ask("GET", "/checkout/v1/stock/p9").token(&shop.staff).send().await;
    unknown.problem(404, "not_found");
}
