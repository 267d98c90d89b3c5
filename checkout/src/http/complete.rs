//! Completing and cancelling a checkout. What is to be done is committed first; only then is Stripe asked.

use axum::http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::call::{Answered, Call};
use super::checkouts::order_of;
use super::fields::Fields;
use super::idempotency::{self, Outcome};
use super::problem::{Code, Problem};
use super::reply::{Reply, answer};
use super::{App, answers};
use crate::domain::{Checkout, CheckoutState, Effects, News, Order, PaymentMethod, Refusal};
use crate::fail_points;
use crate::ids::{CheckoutId, OrderId, PaymentId};
use crate::store::{Answer, Claim, ClaimUse, Claimed, PaymentRef, StoreError};

/// Stripe takes no longer address.
const MAX_URL_CHARS: usize = 2_048;

pub(super) async fn complete(call: Call) -> Answered {
    let caller = call.caller()?;
    caller.owner()?;
    let body = call.json()?;
    let payment = PaymentId::new();
    let claim = idempotency::claim(&call, &caller, &body, payment.to_string())?;
    let (method, return_url) = match payment_of(&body, &call.app.return_origins) {
        Ok(wanted) => wanted,
        Err(problem) => return refused(&call, &claim, problem).await,
    };
    let checkout = call.checkout(&caller).await?.id;
    let now_ms = call.now_ms;
    let begin = |order: &mut Order| -> Result<Effects, Refusal> {
        order.begin_payment(payment, method, return_url.clone(), now_ms)?;
        Ok(Effects::default())
    };
    let opened = call.store.open_order(checkout, OrderId::new(), &begin, &ClaimUse::Begin(&claim), now_ms).await;
    match opened {
        // Another request began to pay; whoever asks is told of that.
        Err(StoreError::Refused(Refusal::PaymentInProgress)) => live_payment(&call, checkout, method, &claim).await,
        Err(error) => Err(error.into()),
        Ok(claimed) => match idempotency::outcome(claimed)? {
            Outcome::Done(order, _) => {
                fail_points::reach(fail_points::ORDER_COMMITTED);
                pay(&call, order.id, payment, &claim).await
            }
            Outcome::Known(reply) => Ok(reply),
            Outcome::Resumed(subject) => resume(&call, &subject, &claim).await,
        },
    }
}

/// What was begun goes on, and what was answered stays so, whichever origins are named by now.
async fn refused(call: &Call, claim: &Claim, problem: Problem) -> Answered {
    match idempotency::look_up(&*call.store, claim).await? {
        Some(Outcome::Known(reply)) => Ok(reply),
        Some(Outcome::Resumed(subject)) => resume(call, &subject, claim).await,
        Some(Outcome::Done(..)) | None => Err(problem),
    }
}

/// Goes on with the payment that a key was begun for.
async fn resume(call: &Call, subject: &str, claim: &Claim) -> Answered {
    let payment: PaymentId = subject.parse().map_err(Problem::internal)?;
    let found = call.store.find_payment(&PaymentRef::Id(payment)).await?;
    let (order, payment) = found.ok_or_else(|| Problem::internal("a key without its payment"))?;
    pay(call, order, payment, claim).await
}

/// Asks Stripe for what the shopper needs, and answers that.
async fn pay(call: &Call, order: OrderId, payment: PaymentId, claim: &Claim) -> Answered {
    let render = |order: &Order| paid(&call.app, order, Some(payment));
    let finish: ClaimUse<'_, Order> = ClaimUse::Finish(claim, &render);
    finished(call.app.work.pay(&*call.store, order, payment, &finish).await, render)
}

/// The answer to who asks while another request's payment may still succeed: that one. It is kept like every answer: when that
/// payment fails later, the same request must not begin another. A payment by the other method has nothing for who asks.
async fn live_payment(call: &Call, checkout: CheckoutId, method: PaymentMethod, claim: &Claim) -> Answered {
    let order = call.store.order_of_checkout(checkout).await?.ok_or_else(|| Problem::not_found("order"))?;
    let look = |order: &mut Order| -> Result<Effects, Refusal> {
        match order.live_payment() {
            Some(live) if live.method != method => Err(Refusal::PaymentInProgress),
            _ => Ok(Effects::default()),
        }
    };
    let render = |order: &Order| paid(&call.app, order, answers::current_payment(order).map(|payment| payment.id));
    let whole: ClaimUse<'_, Order> = ClaimUse::Whole(claim, &render);
    finished(call.store.change_order(order, &look, &whole, None, None, call.now_ms).await, render)
}

/// What a shopper needs to pay: 200 where Stripe has answered, 202 where the client is to ask again.
fn paid(app: &App, order: &Order, payment: Option<PaymentId>) -> Answer {
    let asked = payment.and_then(|id| order.payments.iter().find(|payment| payment.id == id));
    let is_open = asked.is_some_and(|payment| payment.state.is_unanswered());
    let status = if is_open { StatusCode::ACCEPTED } else { StatusCode::OK };
    let key = app.publishable_key.as_deref();
    let body = json!({ "order": answers::order(order), "payment": answers::current_payment_json(order, key) });
    answer(status, &body)
}

pub(super) async fn cancel(call: Call) -> Answered {
    let caller = call.caller()?;
    caller.owner()?;
    let body = call.json()?;
    Fields::of(&body)?.finish()?;
    let id: CheckoutId = call.id("checkout")?;
    // No work has this id: it tells one request from another.
    let claim = idempotency::claim(&call, &caller, &body, OrderId::new().to_string())?;
    let known = call.checkout(&caller).await?;
    // One that was cancelled with its order is told with it each time.
    if known.state == CheckoutState::Cancelled && call.store.order_of_checkout(id).await?.is_some() {
        return cancel_order_of(&call, id, &claim).await;
    }
    let render = |checkout: &Checkout| {
        let body = json!({
            "checkout": { "id": checkout.id, "state": checkout.state },
            "order": Value::Null,
            "payment": Value::Null,
        });
        answer(StatusCode::OK, &body)
    };
    let whole: ClaimUse<'_, Checkout> = ClaimUse::Whole(&claim, &render);
    match call.store.cancel_checkout(id, &whole, call.now_ms).await {
        Err(StoreError::Refused(Refusal::PaymentInProgress)) => cancel_order_of(&call, id, &claim).await,
        Err(error) => Err(error.into()),
        Ok(claimed) => match idempotency::outcome(claimed)? {
            Outcome::Done(_, Some(answer)) => Ok(Reply::of(answer)),
            Outcome::Done(checkout, None) => Ok(Reply::of(render(&checkout))),
            Outcome::Known(reply) => Ok(reply),
            Outcome::Resumed(_) => {
                let order = order_of(&call, id).await?.ok_or_else(|| Problem::internal("a key without its order"))?;
                cancel_at_stripe(&call, order.id, &claim).await
            }
        },
    }
}

/// Cancels a checkout that has an order: it is noted that somebody wants it, and then Stripe is asked.
async fn cancel_order_of(call: &Call, checkout: CheckoutId, claim: &Claim) -> Answered {
    let order = call.store.order_of_checkout(checkout).await?.ok_or_else(|| Problem::not_found("order"))?;
    let now_ms = call.now_ms;
    let request = |order: &mut Order| order.apply(&News::CancelRequested, now_ms);
    let begin = ClaimUse::Begin(claim);
    let claimed = call.store.change_order(order, &request, &begin, None, None, now_ms).await?;
    match idempotency::outcome(claimed)? {
        Outcome::Known(reply) => Ok(reply),
        Outcome::Done(..) | Outcome::Resumed(_) => cancel_at_stripe(call, order, claim).await,
    }
}

/// Cancels what may still be paid, and answers what came of it: 202 where Stripe has not confirmed yet.
pub(super) async fn cancel_at_stripe(call: &Call, order: OrderId, claim: &Claim) -> Answered {
    let app = &*call.app;
    let render = |order: &Order| {
        let status = match order.checkout_state {
            CheckoutState::Completing => StatusCode::ACCEPTED,
            _ => StatusCode::OK,
        };
        let body = json!({
            "checkout": { "id": order.checkout, "state": order.checkout_state },
            "order": answers::order(order),
            "payment": answers::current_payment_json(order, app.publishable_key.as_deref()),
        });
        answer(status, &body)
    };
    let finish: ClaimUse<'_, Order> = ClaimUse::Finish(claim, &render);
    finished(app.work.cancel(&*call.store, order, &finish).await, render)
}

/// The answer to work that Stripe was asked for.
pub(super) fn finished(claimed: Result<Claimed<Order>, StoreError>, render: impl Fn(&Order) -> Answer) -> Answered {
    match idempotency::outcome(claimed?)? {
        Outcome::Done(_, Some(answer)) => Ok(Reply::of(answer)),
        Outcome::Done(order, None) => Ok(Reply::of(render(&order))),
        Outcome::Known(reply) => Ok(reply),
        Outcome::Resumed(_) => {
            Err(Problem::new(Code::IdempotencyKeyInFlight, "another request works on it").after_s(1))
        }
    }
}

/// `{"method": "payment_intent" | "hosted_page", "return_url": "https://..."}`
fn payment_of(body: &Value, origins: &[String]) -> Result<(PaymentMethod, Option<String>), Problem> {
    let mut fields = Fields::of(body)?;
    let method = match fields.text("method", 32)?.as_deref() {
        None | Some("payment_intent") => PaymentMethod::PaymentIntent,
        Some("hosted_page") => PaymentMethod::HostedPage,
        Some(_) => return Err(Problem::field("/method", "is neither payment_intent nor hosted_page")),
    };
    let return_url = fields.text("return_url", MAX_URL_CHARS)?;
    fields.finish()?;
    if let Some(text) = &return_url {
        let page = page(text).ok_or_else(|| Problem::field("/return_url", "is no http:// or https:// address"))?;
        // Whoever begins a checkout could send others anywhere by a page of Stripe's.
        if !origins.contains(&page.origin().ascii_serialization()) {
            return Err(Problem::field("/return_url", "leads to an origin that shoppers are not sent to"));
        }
    }
    Ok((method, return_url))
}

/// A page that a shopper can be sent to. Parsing mends what Stripe refuses (spaces, backslashes, missing slashes), and a
/// name before the host only hides which host it is.
fn page(text: &str) -> Option<Url> {
    let is_whole = text.starts_with("http://") || text.starts_with("https://");
    let is_plain = !text.contains(|c: char| c.is_whitespace() || c == '\\');
    let page = Url::parse(text).ok().filter(|_| is_whole && is_plain)?;
    (page.username().is_empty() && page.password().is_none()).then_some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_addresses_are_read() {
        let origins = ["https://shop.example".to_owned(), "http://127.0.0.1:8080".to_owned()];
        let read = |text: &str| payment_of(&serde_json::from_str(text).expect("JSON"), &origins);
        assert_eq!(read("{}").expect("a method"), (PaymentMethod::PaymentIntent, None));
        let page = read(r#"{"method": "hosted_page", "return_url": "https://shop.example/done"}"#).expect("a method");
        assert_eq!(page, (PaymentMethod::HostedPage, Some("https://shop.example/done".to_owned())));
        for text in ["https://SHOP.example:443/a?b#c", "http://127.0.0.1:8080"] {
            assert!(read(&json!({ "return_url": text }).to_string()).is_ok(), "{text}");
        }
        for text in [
            r#"{"method": "cash"}"#,
            r#"{"return_url": "javascript:alert(1)"}"#,
            r#"{"return_url": "/done"}"#,
            r#"{"return_url": " https://shop.example/done"}"#,
            r#"{"return_url": "https:shop.example/done"}"#,
            r#"{"return_url": "https:\\\\shop.example/done"}"#,
            r#"{"return_url": "https://shop.example@evil.example/"}"#,
            r#"{"return_url": "https://:x@evil.example/"}"#,
            r#"{"return_url": "https://"}"#,
            // They led anywhere, by a page that shoppers trust.
            r#"{"return_url": "https://evil.example/done"}"#,
            r#"{"return_url": "https://shop.example.evil.example/done"}"#,
            r#"{"return_url": "https://shop.example:8443/done"}"#,
            r#"{"return_url": "http://shop.example/done"}"#,
            r#"{"amount": 1}"#,
        ] {
            assert_eq!(read(text).expect_err(text).status(), 400, "{text}");
        }
    }
}
