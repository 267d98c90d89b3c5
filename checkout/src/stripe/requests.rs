//! What Stripe is asked for.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, ExpireCheckoutSession, ListCheckoutSession, ProductData,
    RetrieveCheckoutSession,
};
use stripe_client_core::StripeRequest;
use stripe_core::dispute::{ListDispute, RetrieveDispute};
use stripe_core::payment_intent::{
    CancelPaymentIntent, CreatePaymentIntent, CreatePaymentIntentAutomaticPaymentMethods, ListPaymentIntent,
    RetrievePaymentIntent,
};
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_shared::CheckoutSessionMode;
use stripe_types::{RangeBoundsTs, RangeQueryTs};

use super::views::{self, DisputeView, IntentView, Page, RefundView, SessionView};
use super::{Client, StripeError};
use crate::domain::{Line, Order, Payment, Refund, stripe_amount};

/// The most that Stripe lists at once.
const PAGE_SIZE: i64 = 100;
/// Stripe cuts or refuses longer names of products.
const MAX_NAME_CHARS: usize = 250;
/// Where a shopper goes after the hosted page, when the shop named no place.
const DEFAULT_RETURN_URL: &str = "https://checkout.stripe.com/";
const MINUTE_MS: i64 = 60_000;
/// Stripe wants at least 30 minutes from the moment that the session is made. The request may be repeated for an hour, and
/// must be the same each time.
const MIN_SESSION_MS: i64 = 90 * MINUTE_MS;
/// Stripe allows 24 hours.
const MAX_SESSION_MS: i64 = 23 * 60 * MINUTE_MS;

/// Objects that were made from one moment to another, in milliseconds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

impl Window {
    /// Stripe counts whole seconds; the window covers those that it touches.
    fn to_query(self) -> RangeQueryTs {
        RangeQueryTs::Bounds(RangeBoundsTs {
            gt: None,
            gte: Some(self.from_ms.div_euclid(1_000)),
            lt: None,
            lte: Some(self.to_ms.div_euclid(1_000) + 1),
        })
    }
}

impl Client {
    /// Makes the intent of a payment: the same one however often it is asked for within a day.
    pub(crate) async fn create_intent(&self, order: &Order, payment: &Payment) -> Result<IntentView, StripeError> {
        let request = CreatePaymentIntent::new(stripe_amount(payment.amount), currency(order))
            .automatic_payment_methods(CreatePaymentIntentAutomaticPaymentMethods::new(true))
            .metadata(names_of_payment(order, payment));
        self.fetch(&request, Some(&payment.id.to_string())).await
    }

    pub(crate) async fn intent(&self, id: &str) -> Result<IntentView, StripeError> {
        self.fetch(&RetrievePaymentIntent::new(id), None).await
    }

    /// Without a key: cancelling twice does no harm, and a failure must not be kept.
    pub(crate) async fn cancel_intent(&self, id: &str) -> Result<IntentView, StripeError> {
        self.fetch(&CancelPaymentIntent::new(id), None).await
    }

    /// Newest first.
    pub(crate) async fn intents(&self, made: Window, after: Option<&str>) -> Result<Page<IntentView>, StripeError> {
        let mut request = ListPaymentIntent::new().created(made.to_query()).limit(PAGE_SIZE);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        self.fetch(&request, None).await
    }

    /// Makes the hosted page of a payment: the same one however often it is asked for within a day.
    pub(crate) async fn create_session(&self, order: &Order, payment: &Payment) -> Result<SessionView, StripeError> {
        let names = names_of_payment(order, payment);
        let mut intent = CreateCheckoutSessionPaymentIntentData::new();
        intent.metadata = Some(names.clone());
        let return_url = payment.return_url.as_deref().unwrap_or(DEFAULT_RETURN_URL);
        let lines: Vec<_> = order.lines.iter().map(|line| line_item(order, line)).collect();
        let request = CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Payment)
            .line_items(lines)
            .metadata(names)
            .payment_intent_data(intent)
            .client_reference_id(order.id.to_string())
            .success_url(return_url)
            .cancel_url(return_url)
            .expires_at(expires_s(order, payment));
        self.fetch(&request, Some(&payment.id.to_string())).await
    }

    pub(crate) async fn session(&self, id: &str) -> Result<SessionView, StripeError> {
        self.fetch(&RetrieveCheckoutSession::new(id), None).await
    }

    pub(crate) async fn expire_session(&self, id: &str) -> Result<SessionView, StripeError> {
        self.fetch(&ExpireCheckoutSession::new(id), None).await
    }

    /// Newest first.
    pub(crate) async fn sessions(&self, made: Window, after: Option<&str>) -> Result<Page<SessionView>, StripeError> {
        let mut request = ListCheckoutSession::new().created(made.to_query()).limit(PAGE_SIZE);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        self.fetch(&request, None).await
    }

    /// The session that made an intent.
    pub(crate) async fn session_of_intent(&self, intent: &str) -> Result<Option<SessionView>, StripeError> {
        let request = ListCheckoutSession::new().payment_intent(intent).limit(1);
        let page: Page<SessionView> = self.fetch(&request, None).await?;
        Ok(page.data.into_iter().next())
    }

    /// Makes a refund: the same one however often it is asked for within a day.
    pub(crate) async fn create_refund(&self, refund: &Refund, intent: &str) -> Result<RefundView, StripeError> {
        let names = [("order_id", refund.order.to_string()), ("refund_id", refund.id.to_string())];
        let request = CreateRefund::new()
            .payment_intent(intent)
            .amount(stripe_amount(refund.amount))
            .metadata(names.map(|(name, id)| (name.to_owned(), id)).into_iter().collect::<HashMap<_, _>>());
        self.fetch(&request, Some(&refund.id.to_string())).await
    }

    pub(crate) async fn refund(&self, id: &str) -> Result<RefundView, StripeError> {
        self.fetch(&RetrieveRefund::new(id), None).await
    }

    /// Newest first.
    pub(crate) async fn refunds(&self, made: Window, after: Option<&str>) -> Result<Page<RefundView>, StripeError> {
        let mut request = ListRefund::new().created(made.to_query()).limit(PAGE_SIZE);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        self.fetch(&request, None).await
    }

    /// The refunds of an intent, newest first. A page is enough: an order has at most as many.
    pub(crate) async fn refunds_of_intent(&self, intent: &str) -> Result<Page<RefundView>, StripeError> {
        self.fetch(&ListRefund::new().payment_intent(intent).limit(PAGE_SIZE), None).await
    }

    pub(crate) async fn dispute(&self, id: &str) -> Result<DisputeView, StripeError> {
        self.fetch(&RetrieveDispute::new(id), None).await
    }

    /// Newest first.
    pub(crate) async fn disputes(&self, made: Window, after: Option<&str>) -> Result<Page<DisputeView>, StripeError> {
        let mut request = ListDispute::new().created(made.to_query()).limit(PAGE_SIZE);
        if let Some(after) = after {
            request = request.starting_after(after);
        }
        self.fetch(&request, None).await
    }

    async fn fetch<R: StripeRequest, T: DeserializeOwned>(
        &self,
        request: &R,
        key: Option<&str>,
    ) -> Result<T, StripeError> {
        let request = request.build();
        views::read(&self.ask(request, key).await?)
    }
}

/// What a payment's objects are found by.
fn names_of_payment(order: &Order, payment: &Payment) -> HashMap<String, String> {
    HashMap::from([
        ("order_id".to_owned(), order.id.to_string()),
        ("payment_id".to_owned(), payment.id.to_string()),
        ("checkout_id".to_owned(), order.checkout.to_string()),
    ])
}

fn currency(order: &Order) -> stripe_types::Currency {
    let Ok(currency) = order.currency.as_str().to_ascii_lowercase().parse();
    currency
}

fn line_item(order: &Order, line: &Line) -> CreateCheckoutSessionLineItems {
    // Stripe refuses a product without a name.
    let name = if line.title.trim().is_empty() { &line.product } else { &line.title };
    let mut price = CreateCheckoutSessionLineItemsPriceData::new(currency(order));
    price.unit_amount = Some(stripe_amount(line.unit_price));
    price.product_data = Some(ProductData::new(name.chars().take(MAX_NAME_CHARS).collect::<String>()));
    let mut item = CreateCheckoutSessionLineItems::new();
    item.price_data = Some(price);
    item.quantity = Some(u64::from(line.quantity));
    item
}

/// When the session ends by itself, in seconds. It follows from the payment alone, never from the clock, so that the request
/// is the same whenever it is repeated. Recovery ends the session with the hold where that is earlier.
fn expires_s(order: &Order, payment: &Payment) -> i64 {
    let (first, last) = (payment.created_ms + MIN_SESSION_MS, payment.created_ms + MAX_SESSION_MS);
    order.held_until_ms.clamp(first, last).div_euclid(1_000)
}
