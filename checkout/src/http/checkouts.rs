//! Checkouts over HTTP: prices are frozen and stock is held when one begins.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use snapshots::Money;

use super::call::{Answered, Call};
use super::carts::{MAX_MARKET_CHARS, MAX_PRODUCT_CHARS};
use super::fields::Fields;
use super::idempotency::Outcome;
use super::problem::{Code, Problem};
use super::reply::{Reply, answer};
use super::{answers, carts, idempotency};
use crate::domain::{Checkout, CheckoutState, Line, MAX_LINES, MAX_QUANTITY, MAX_TOTAL_MINOR, Order, total};
use crate::ids::{CartId, CheckoutId};
use crate::pricing::{Priced, PricingError};
use crate::store::{CartLine, CheckoutChange, Claim, ClaimUse};
use crate::tokens::NewToken;

/// RFC 5321 allows no longer address.
const MAX_EMAIL_CHARS: usize = 254;
const MAX_ADDRESS_BYTES: usize = 8 * 1024;

/// What a body asks for.
struct Wanted {
    cart: Option<CartId>,
    market: Option<String>,
    lines: Vec<CartLine>,
    expected_total: Option<Money>,
    details: CheckoutChange,
}

pub(super) async fn create(call: Call) -> Answered {
    let caller = call.caller()?;
    let body = call.json()?;
    let id = CheckoutId::new();
    let claim = idempotency::claim(&call, &caller, &body, id.to_string())?;
    match place(&call, id, &body, &claim).await {
        Ok(reply) => Ok(reply),
        // Whatever prices and carts are by now.
        Err(problem) => idempotency::refused(&*call.store, &claim, problem).await,
    }
}

async fn place(call: &Call, id: CheckoutId, body: &Value, claim: &Claim) -> Answered {
    let wanted = wanted(call, body).await?;
    let quantities = merged(&wanted)?;
    let priced = priced(call, &wanted, &quantities).await?;
    let token = NewToken::owner().map_err(Problem::internal)?;
    let checkout = frozen(call, id, wanted, &quantities, priced, token.hash().as_bytes())?;
    // The token is made before, so that who asks again is told the same one.
    let render = |checkout: &Checkout| {
        let body = json!({ "checkout": answers::checkout(checkout), "token": token.text() });
        answer(StatusCode::CREATED, &body)
    };
    let whole: ClaimUse<'_, Checkout> = ClaimUse::Whole(claim, &render);
    let claimed = call.store.place_checkout(&checkout, &whole).await?;
    match idempotency::outcome(claimed)? {
        Outcome::Done(_, Some(answer)) => Ok(Reply::of(answer)),
        Outcome::Done(placed, None) => Ok(Reply::of(render(&placed))),
        Outcome::Known(reply) => Ok(reply),
        Outcome::Resumed(_) => Err(Problem::internal("a checkout is placed at once or not at all")),
    }
}

pub(super) async fn get(call: Call) -> Answered {
    let checkout = call.checkout(&call.caller()?).await?;
    let order = order_of(&call, checkout.id).await?;
    Ok(Reply::ok(&whole(&call, &checkout, order.as_ref())))
}

pub(super) async fn put(call: Call) -> Answered {
    let caller = call.caller()?;
    caller.owner()?;
    let body = call.json()?;
    let mut fields = Fields::of(&body)?;
    let version = fields.integer("version", 1, i64::from(u32::MAX))?;
    let version = fields.required("version", version)?;
    let change = details(&mut fields)?;
    fields.finish()?;
    let known = call.checkout(&caller).await?;
    // Within the bounds above.
    let checkout = call.store.change_checkout(known.id, version as u32, &change, call.now_ms).await?;
    let order = order_of(&call, checkout.id).await?;
    Ok(Reply::ok(&whole(&call, &checkout, order.as_ref())))
}

/// The order of a checkout, where it has one.
pub(super) async fn order_of(call: &Call, id: CheckoutId) -> Result<Option<Order>, Problem> {
    match call.store.order_of_checkout(id).await? {
        Some(order) => Ok(call.store.order(order).await?),
        None => Ok(None),
    }
}

/// A checkout with what is known of its payment.
fn whole(call: &Call, checkout: &Checkout, order: Option<&Order>) -> Value {
    let key = call.app.publishable_key.as_deref();
    json!({
        "checkout": answers::checkout(checkout),
        "order": order.map(|order| order.id),
        "payment": order.map_or(Value::Null, |order| answers::current_payment_json(order, key)),
    })
}

/// Reads a body; with a cart, also what is in that.
async fn wanted(call: &Call, body: &Value) -> Result<Wanted, Problem> {
    let mut fields = Fields::of(body)?;
    let cart = fields.text("cart", MAX_PRODUCT_CHARS)?;
    let market = fields.text("market", MAX_MARKET_CHARS)?;
    let lines = carts::lines(&mut fields)?;
    let expected_total = fields.money("expected_total", MAX_TOTAL_MINOR)?;
    let details = details(&mut fields)?;
    fields.finish()?;
    match (cart, lines) {
        (None, Some(lines)) if lines.is_empty() => Err(Problem::field("/lines", "is empty")),
        (None, Some(lines)) => Ok(Wanted { cart: None, market, lines, expected_total, details }),
        (Some(cart), None) => {
            let unknown = || Problem::new(Code::CartUnknown, "there is no such cart").at("/cart");
            let id: CartId = cart.parse().map_err(|_| unknown())?;
            let cart = call.app.carts.get(&*call.store, id, call.now_ms).await?.ok_or_else(unknown)?;
            if cart.lines.is_empty() {
                return Err(Problem::new(Code::CartEmpty, "the cart is empty").at("/cart"));
            }
            let market = market.or(Some(cart.market).filter(|market| !market.is_empty()));
            Ok(Wanted { cart: Some(id), market, lines: cart.lines, expected_total, details })
        }
        (None, None) => Err(Problem::field("/lines", "is missing: give a cart or lines")),
        (Some(_), Some(_)) => Err(Problem::field("/lines", "stands beside a cart; give one of them")),
    }
}

/// Where the order goes, and who is told of it.
fn details(fields: &mut Fields<'_>) -> Result<CheckoutChange, Problem> {
    let email = fields.text("email", MAX_EMAIL_CHARS)?;
    if email.as_deref().is_some_and(|email| !is_email(email)) {
        return Err(Problem::field(fields.pointer("email"), "is no e-mail address"));
    }
    let shipping_address = fields.free_object("shipping_address", MAX_ADDRESS_BYTES)?;
    Ok(CheckoutChange { email, shipping_address })
}

/// Whether a text looks like one address, and not like a list of them. Only a message to it can tell whether it is one.
fn is_email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    let is_whole = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    is_whole && !text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>'))
}

/// Quantities by product, in the order that stock is taken in; lines of one product are one.
fn merged(wanted: &Wanted) -> Result<BTreeMap<String, u32>, Problem> {
    let mut quantities: BTreeMap<String, u32> = BTreeMap::new();
    for (place, line) in wanted.lines.iter().enumerate() {
        let quantity = quantities.entry(line.product.clone()).or_default();
        *quantity = quantity.saturating_add(line.quantity);
        if *quantity > MAX_QUANTITY {
            let reason = format!("makes more than {MAX_QUANTITY} of one product");
            return Err(Problem::field(line_pointer(wanted, place, "quantity"), reason));
        }
    }
    match quantities.len() > MAX_LINES {
        true => Err(Problem::field(lines_pointer(wanted), format!("has more than {MAX_LINES} products"))),
        false => Ok(quantities),
    }
}

fn line_pointer(wanted: &Wanted, place: usize, field: &str) -> String {
    match wanted.cart {
        Some(_) => "/cart".to_owned(),
        None => format!("/lines/{place}/{field}"),
    }
}

fn lines_pointer(wanted: &Wanted) -> &'static str {
    if wanted.cart.is_some() { "/cart" } else { "/lines" }
}

/// Where a product stands in the body.
fn product_pointer(wanted: &Wanted, product: &str) -> String {
    let place = wanted.lines.iter().position(|line| line.product == product);
    line_pointer(wanted, place.unwrap_or_default(), "product")
}

/// A problem with one product.
fn of_product(wanted: &Wanted, product: &str, problem: Problem) -> Problem {
    problem.at(product_pointer(wanted, product)).with("product", json!(product))
}

/// All prices, of one snapshot.
async fn priced(call: &Call, wanted: &Wanted, quantities: &BTreeMap<String, u32>) -> Result<Priced, Problem> {
    let ids: Vec<String> = quantities.keys().cloned().collect();
    let priced = call.app.edge.prices(wanted.market.as_deref(), &ids).await.map_err(|error| match error {
        PricingError::Market => Problem::new(Code::MarketUnknown, "there is no such market").at("/market"),
        PricingError::Unpriced { ref product, .. } => {
            of_product(wanted, product, Problem::new(Code::ProductUnpriced, error.to_string()))
        }
        PricingError::Mixed(ref product) => {
            of_product(wanted, product, Problem::new(Code::CurrenciesMixed, error.to_string()))
        }
        PricingError::Away(_) | PricingError::Swapped | PricingError::Answer(_) => {
            Problem::later(Code::PricesUnavailable, "prices are not known at the moment").because(error)
        }
    })?;
    if let Some(product) = ids.iter().find(|id| priced.of(id).is_none()) {
        let detail = format!("the catalogue has no product {product}");
        return Err(Problem::new(Code::ProductUnknown, detail)
            .at(product_pointer(wanted, product))
            .with("products", json!(priced.missing)));
    }
    for (product, quantity) in quantities {
        let is_out = priced.of(product).is_some_and(|price| !price.in_stock);
        // Our own books say more than a catalogue that is minutes old.
        if is_out && call.store.stock(product).await?.is_none() {
            return Err(Problem::sold_out(product, *quantity, 0));
        }
    }
    Ok(priced)
}

/// The checkout with the prices that its shopper agreed to.
fn frozen(
    call: &Call,
    id: CheckoutId,
    wanted: Wanted,
    quantities: &BTreeMap<String, u32>,
    priced: Priced,
    token_hash: &[u8; 32],
) -> Result<Checkout, Problem> {
    let line = |(product, quantity): (&String, &u32)| {
        let price = priced.of(product)?;
        let (title, unit_price) = (price.title.clone(), price.unit_price);
        Some(Line { product: product.clone(), title, quantity: *quantity, unit_price })
    };
    let lines: Vec<Line> = quantities.iter().filter_map(line).collect();
    let currency = priced.currency.ok_or_else(|| Problem::internal("prices without a currency"))?;
    let total = total(currency, &lines)
        .map_err(|error| Problem::new(Code::TotalOutOfBounds, error.to_string()).at(lines_pointer(&wanted)))?;
    if wanted.expected_total.is_some_and(|expected| expected != total) {
        return Err(Problem::new(Code::TotalChanged, format!("the total is {total} now"))
            .at("/expected_total")
            .with("lines", answers::lines(&lines))
            .with("total", answers::money(total))
            .with("snapshot", json!(priced.snapshot)));
    }
    Ok(Checkout {
        id,
        state: CheckoutState::Open,
        version: 1,
        market: wanted.market.unwrap_or_default(),
        currency,
        lines,
        total,
        snapshot: priced.snapshot,
        held_until_ms: call.now_ms + call.app.hold_ms,
        cart: wanted.cart,
        email: wanted.details.email,
        shipping_address: wanted.details.shipping_address,
        token_hash: *token_hash,
        created_ms: call.now_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_looked_at_and_not_judged() {
        assert!(is_email("a@b") && is_email("\"a@b\"@c.example") && is_email("ä@ö.example"));
        assert!(!is_email("a") && !is_email("@b") && !is_email("a@") && !is_email("a b@c"));
        // Whoever sends confirmations would have sent them to all.
        assert!(!is_email("a@b,c@d") && !is_email("a@b;c@d") && !is_email("<a@b>"));
    }

    #[test]
    fn lines_of_one_product_are_one() {
        let line = |product: &str, quantity| CartLine { product: product.into(), quantity };
        let of = |lines| Wanted {
            cart: None,
            market: None,
            lines,
            expected_total: None,
            details: CheckoutChange::default(),
        };
        let quantities = merged(&of(vec![line("b", 1), line("a", 2), line("b", 3)])).expect("quantities");
        assert_eq!(quantities.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 2), ("b".to_owned(), 4)]);
        let many = of(vec![line("a", MAX_QUANTITY), line("a", 1)]);
        let problem: Value = serde_json::from_slice(&merged(&many).expect_err("too many").to_json()).expect("JSON");
        assert_eq!(problem["pointer"], "/lines/1/quantity");
    }
}
