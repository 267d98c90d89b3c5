//! Which path does what. The router is made of this list, and the document under openapi.json is held to it.

use std::sync::Arc;

use axum::routing::MethodFilter;
use futures::future::BoxFuture;

use super::call::{Answered, Call};
use super::{carts, checkouts, complete, openapi, orders, refunds, stock, webhooks};
use crate::store::Lane;

/// The largest body of a request.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The largest event of Stripe's.
const MAX_EVENT_BYTES: usize = 256 * 1024;

type Work = Arc<dyn Fn(Call) -> BoxFuture<'static, Answered> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub work: Work,
    pub max_body_bytes: usize,
    /// Who comes here.
    pub lane: Lane,
    /// Answered however much there is to do.
    pub is_probe: bool,
}

pub(crate) const HEALTH: &str = "/checkout/healthz";
pub(crate) const CARTS: &str = "/checkout/v1/carts";
pub(crate) const CART: &str = "/checkout/v1/carts/{id}";
pub(crate) const CHECKOUTS: &str = "/checkout/v1/checkouts";
pub(crate) const CHECKOUT: &str = "/checkout/v1/checkouts/{id}";
pub(crate) const COMPLETE: &str = "/checkout/v1/checkouts/{id}/complete";
pub(crate) const CANCEL_CHECKOUT: &str = "/checkout/v1/checkouts/{id}/cancel";
pub(crate) const ORDERS: &str = "/checkout/v1/orders";
pub(crate) const ORDER: &str = "/checkout/v1/orders/{id}";
pub(crate) const CANCEL_ORDER: &str = "/checkout/v1/orders/{id}/cancel";
pub(crate) const REFUNDS: &str = "/checkout/v1/orders/{id}/refunds";
pub(crate) const STOCK: &str = "/checkout/v1/stock/{product}";
pub(crate) const STRIPE_WEBHOOK: &str = "/checkout/webhooks/stripe";
pub(crate) const OPENAPI: &str = "/checkout/openapi.json";

/// All there are.
pub(crate) fn all() -> Vec<Route> {
    let mut health = route("GET", HEALTH, openapi::health);
    health.is_probe = true;
    let mut webhook = route("POST", STRIPE_WEBHOOK, webhooks::stripe);
    webhook.max_body_bytes = MAX_EVENT_BYTES;
    webhook.lane = Lane::Webhook;
    vec![
        begins(route("POST", CARTS, carts::create)),
        route("GET", CART, carts::get),
        route("PUT", CART, carts::put),
        route("DELETE", CART, carts::delete),
        begins(route("POST", CHECKOUTS, checkouts::create)),
        route("GET", CHECKOUT, checkouts::get),
        route("PUT", CHECKOUT, checkouts::put),
        route("POST", COMPLETE, complete::complete),
        route("POST", CANCEL_CHECKOUT, complete::cancel),
        route("GET", ORDERS, orders::list),
        route("GET", ORDER, orders::get),
        route("POST", CANCEL_ORDER, orders::cancel),
        route("POST", REFUNDS, refunds::create),
        route("GET", STOCK, stock::get),
        route("PUT", STOCK, stock::put),
        webhook,
        route("GET", OPENAPI, openapi::document),
        health,
    ]
}

/// A name for metrics and logs, of which there are few.
pub(crate) fn name(path: &str) -> &'static str {
    match path {
        HEALTH => "healthz",
        CARTS => "carts",
        CART => "cart",
        CHECKOUTS => "checkouts",
        CHECKOUT => "checkout",
        COMPLETE => "complete",
        CANCEL_CHECKOUT => "cancel_checkout",
        ORDERS => "orders",
        ORDER => "order",
        CANCEL_ORDER => "cancel_order",
        REFUNDS => "refunds",
        STOCK => "stock",
        STRIPE_WEBHOOK => "stripe_webhook",
        OPENAPI => "openapi",
        _ => "unknown",
    }
}

impl Route {
    pub fn filter(&self) -> MethodFilter {
        match self.method {
            "POST" => MethodFilter::POST,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        }
    }
}

fn route<W, F>(method: &'static str, path: &'static str, work: W) -> Route
where
    W: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    let work: Work = Arc::new(move |call: Call| -> BoxFuture<'static, Answered> { Box::pin(work(call)) });
    Route { method, path, work, max_body_bytes: MAX_BODY_BYTES, lane: Lane::Begun, is_probe: false }
}

/// One that something new begins with.
fn begins(route: Route) -> Route {
    Route { lane: Lane::New, ..route }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_name_of_its_own() {
        let mut paths: Vec<_> = all().iter().map(|route| route.path).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut names: Vec<_> = paths.iter().map(|path| name(path)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), paths.len());
        assert!(!names.contains(&"unknown"));
    }
}
