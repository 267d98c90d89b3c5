//! Who may see and do what.

use checkout::tokens::NewToken;
use serde_json::json;

use super::shop::{Shop, wait_until};

const NO_ORDER: &str = "/checkout/v1/orders/ord_00000000000000000000000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_opens_nothing_and_tells_nothing() {
    let shop = Shop::open().await;
    let (mine, other) = (shop.checkout(1).await, shop.checkout(1).await);
    let wrong = shop.ask("GET", &mine.path).token(&other.token).send().await;
    let missing = format!("/checkout/v1/checkouts/chk_{}", "0".repeat(32));
    let missing = shop.ask("GET", &missing).token(&other.token).send().await;
    wrong.problem(404, "not_found");
    assert_eq!((wrong.status, &wrong.text), (missing.status, &missing.text), "nobody finds out which ids there are");
    let answer = shop.ask("GET", &mine.path).send().await;
    answer.problem(401, "token_missing");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    shop.ask("GET", &mine.path).token("ot_wrong").send().await.problem(401, "token_invalid");
    shop.ask("GET", &mine.path).header("authorization", "Basic YTpi").send().await.problem(401, "token_invalid");
    for step in ["complete", "cancel"] {
        let ask = shop.ask("POST", &format!("{}/{step}", mine.path)).token(&other.token).new_key();
        ask.send().await.problem(404, "not_found");
    }
    let put = json!({ "version": 1, "email": "a@b" });
    shop.ask("PUT", &mine.path).token(&other.token).json(&put).send().await.problem(404, "not_found");
    assert_eq!(shop.ask("GET", &mine.path).token(&mine.token).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_their_owners_and_lists_are_the_staffs() {
    let shop = Shop::open().await;
    let (mine, other) = (shop.checkout(1).await, shop.checkout(1).await);
    let completed = shop.complete(&mine).await.expect(202);
    let path = format!("/checkout/v1/orders/{}", completed["order"]["id"].as_str().expect("an id"));
    shop.ask("GET", &path).token(&other.token).send().await.problem(404, "not_found");
    for token in [&mine.token, &shop.staff] {
        assert_eq!(
            shop.ask("GET", &path).token(token).send().await.expect(200)["order"]["id"],
            completed["order"]["id"]
        );
    }
    shop.ask("GET", "/checkout/v1/orders").token(&mine.token).send().await.problem(403, "staff_only");
    shop.ask("GET", "/checkout/v1/orders").send().await.problem(401, "token_missing");
    let list = shop.ask("GET", "/checkout/v1/orders?limit=10").token(&shop.staff).send().await.expect(200);
    assert_eq!((list["orders"].as_array().map(Vec::len), &list["next_cursor"]), (Some(1), &json!(null)));
    let problem = shop.ask("GET", "/checkout/v1/orders?page=2").token(&shop.staff).send().await;
    assert_eq!(problem.problem(400, "invalid_parameter")["parameter"], "page");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_where_a_page_ended() {
    let shop = Shop::open().await;
    for _ in 0..5 {
        let begun = shop.checkout(1).await;
        shop.complete(&begun).await.expect(202);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/checkout/v1/orders?limit=2{cursor}");
        let page = shop.ask("GET", &path).token(&shop.staff).send().await.expect(200);
        let ids = page["orders"].as_array().expect("orders").iter();
        seen.extend(ids.map(|order| order["id"].as_str().expect("an id").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut newest_first = seen.clone();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!((seen.len(), &seen), (5, &newest_first));
    let paid = shop.ask("GET", "/checkout/v1/orders?state=paid").token(&shop.staff).send().await.expect(200);
    assert_eq!(paid["orders"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_staffs_is_nobody_elses() {
    let shop = Shop::open().await;
    let begun = shop.checkout(1).await;
    for (method, path) in [
        ("POST", format!("{NO_ORDER}/refunds")),
        ("POST", format!("{NO_ORDER}/cancel")),
        ("GET", "/checkout/v1/stock/p1".to_owned()),
        ("PUT", "/checkout/v1/stock/p1".to_owned()),
    ] {
        shop.ask(method, &path).new_key().token(&begun.token).send().await.problem(403, "staff_only");
        shop.ask(method, &path).new_key().send().await.problem(401, "token_missing");
    }
    let refund = || shop.ask("POST", &format!("{NO_ORDER}/refunds")).new_key().token(&shop.staff);
    refund().send().await.problem(404, "not_found");
    // What a shopper does is not the staff's.
    let complete = shop.ask("POST", &format!("{}/complete", begun.path)).token(&shop.staff).new_key();
    complete.send().await.problem(403, "owner_only");
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_comes_and_goes_without_a_restart() {
    let shop = Shop::open().await;
    let new = NewToken::staff().expect("a token");
    let orders = |token: String| shop.ask("GET", "/checkout/v1/orders").token(&token).send();
    orders(new.text().to_owned()).await.problem(401, "token_invalid");
    let line = format!("# anna has left\nbertha {}\n", new.hash().to_hex());
    std::fs::write(shop.folder.path().join("staff"), line).expect("the staff's file");
    wait_until("the new token opens", async || orders(new.text().to_owned()).await.status == 200).await;
    orders(shop.staff.clone()).await.problem(401, "token_invalid");
}
