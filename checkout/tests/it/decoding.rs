//! What the Stripe for tests answers is what async-stripe's strict types expect: whoever is tested against it meets the
//! objects that Stripe has.

use checkout::stripe::{Client, KeySource, Settings, StripeError};
use secrecy::SecretString;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    ExpireCheckoutSession, ListCheckoutSession, ProductData, RetrieveCheckoutSession,
};
use stripe_client_core::StripeRequest;
use stripe_core::charge::{ListCharge, RetrieveCharge};
use stripe_core::event::{ListEvent, RetrieveEvent};
use stripe_core::payment_intent::{
    CancelPaymentIntent, ConfirmPaymentIntent, CreatePaymentIntent, CreatePaymentIntentAutomaticPaymentMethods,
    ListPaymentIntent, RetrievePaymentIntent,
};
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_shared::{CheckoutSessionMode, CheckoutSessionPaymentStatus, PaymentIntentStatus};
use stripe_sim::Sim;
use stripe_types::{Currency, Expandable};
use tokio::net::TcpListener;

async fn start() -> (Sim, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let sim = Sim::start(stripe_sim::Settings::default(), listener);
    let secret_key = KeySource::Fixed(SecretString::from("sk_test_types"));
    let settings = Settings { base_url: sim.url(), secret_key, timeout_ms: 10_000, requests_per_s: 1_000 };
    let client = Client::new(settings).expect("a client");
    (sim, client)
}

fn intent() -> CreatePaymentIntent {
    CreatePaymentIntent::new(1_500, Currency::EUR)
        .automatic_payment_methods(CreatePaymentIntentAutomaticPaymentMethods::new(true))
}

#[tokio::test]
async fn intents_charges_refunds_and_events_decode() {
    let (_sim, client) = start().await;
    let made = intent().customize().send(&client).await.expect("an intent");
    assert_eq!(made.status, PaymentIntentStatus::RequiresPaymentMethod);
    let paid =
        ConfirmPaymentIntent::new(made.id.clone()).payment_method("pm_card_visa").return_url("https://shop.test/");
    let paid = paid.customize().send(&client).await.expect("a payment");
    assert_eq!((paid.status, paid.amount_received), (PaymentIntentStatus::Succeeded, 1_500));
    let again = RetrievePaymentIntent::new(made.id.clone()).expand(["latest_charge".to_owned()]);
    let again = again.customize().send(&client).await.expect("the intent");
    assert!(matches!(again.latest_charge, Some(Expandable::Object(charge)) if charge.paid));

    let charges = ListCharge::new().payment_intent(made.id.as_str()).customize().send(&client).await.expect("charges");
    let charge = RetrieveCharge::new(charges.data[0].id.clone()).customize().send(&client).await.expect("a charge");
    assert_eq!(charge.amount_captured, 1_500);
    let refund = CreateRefund::new().payment_intent(made.id.as_str()).amount(500);
    let refund = refund.customize().send(&client).await.expect("a refund");
    let refund = RetrieveRefund::new(refund.id).customize().send(&client).await.expect("the refund");
    assert_eq!((refund.amount, refund.status.as_deref()), (500, Some("succeeded")));
    assert_eq!(ListRefund::new().customize().send(&client).await.expect("refunds").data.len(), 1);

    let events = ListEvent::new().limit(100).customize().send(&client).await.expect("events");
    assert!(events.data.iter().any(|event| event.type_.as_str() == "payment_intent.succeeded"));
    RetrieveEvent::new(events.data[0].id.clone()).customize().send(&client).await.expect("an event");
}

#[tokio::test]
async fn what_goes_another_way_decodes_too() {
    let (sim, client) = start().await;
    for (method, status) in [
        ("pm_card_authenticationRequired", PaymentIntentStatus::RequiresAction),
        ("pm_usBankAccount", PaymentIntentStatus::Processing),
    ] {
        let intent = CreatePaymentIntent::new(1_500, Currency::USD).payment_method(method).confirm(true);
        let intent = intent
            .return_url("https://shop.test/")
            .automatic_payment_methods(CreatePaymentIntentAutomaticPaymentMethods::new(true));
        assert_eq!(intent.customize().send(&client).await.expect(method).status, status, "{method}");
    }
    let declined = intent().payment_method("pm_card_chargeDeclined").confirm(true).return_url("https://shop.test/");
    let refused = declined.customize().send(&client).await.map(|intent| intent.id);
    assert!(matches!(&refused, Err(StripeError::Refused { status: 402, .. })), "{refused:?}");
    let intents = ListPaymentIntent::new().limit(10).customize().send(&client).await.expect("intents");
    assert_eq!(intents.data.len(), 3);
    let failed = intents.data.iter().find(|intent| intent.last_payment_error.is_some()).expect("the one that failed");
    let cancelled = CancelPaymentIntent::new(failed.id.clone()).customize().send(&client).await.expect("an intent");
    assert_eq!(cancelled.status, PaymentIntentStatus::Canceled);
    assert_eq!(sim.ledger().payment_intents.len(), 3);
}

#[tokio::test]
async fn sessions_decode() {
    let (sim, client) = start().await;
    let name = ProductData::new("A lamp");
    let price = CreateCheckoutSessionLineItemsPriceData {
        product_data: Some(name),
        unit_amount: Some(2_000),
        ..CreateCheckoutSessionLineItemsPriceData::new(Currency::EUR)
    };
    let mut line = CreateCheckoutSessionLineItems::new();
    line.price_data = Some(price);
    line.quantity = Some(2);
    let ask = CreateCheckoutSession::new().mode(CheckoutSessionMode::Payment).line_items([line]);
    let ask = ask.success_url("https://shop.test/paid").cancel_url("https://shop.test/");
    let session = ask.customize().send(&client).await.expect("a session");
    assert_eq!((session.amount_total, session.url.is_some()), (Some(4_000), true));
    sim.pay_session(session.id.as_str(), "pm_card_visa", None);
    let paid = RetrieveCheckoutSession::new(session.id.clone()).expand(["payment_intent".to_owned()]);
    let paid = paid.customize().send(&client).await.expect("the session");
    assert_eq!(paid.payment_status, CheckoutSessionPaymentStatus::Paid);
    assert!(matches!(paid.payment_intent, Some(Expandable::Object(_))));
    let other = ask.customize().send(&client).await.expect("another session");
    ExpireCheckoutSession::new(other.id).customize().send(&client).await.expect("it is over");
    assert_eq!(ListCheckoutSession::new().customize().send(&client).await.expect("sessions").data.len(), 2);
}
