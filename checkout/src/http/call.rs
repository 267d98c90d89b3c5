//! A request whose body has arrived, and what its handler asks of it.

use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use serde_json::Value;

use super::App;
use super::caller::Caller;
use super::fields;
use super::problem::Problem;
use super::reply::Reply;
use crate::domain::{Checkout, Order};
use crate::ids::{CheckoutId, Id, Kind, OrderId};
use crate::store::Store;

/// What a handler comes to.
pub(crate) type Answered = Result<Reply, Problem>;

pub(crate) struct Call {
    pub app: Arc<App>,
    /// As this request has it: all of its transactions share one time.
    pub store: Arc<dyn Store>,
    pub method: Method,
    /// With its parameters decoded.
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    /// Names and values of the path's parameters, decoded.
    pub params: Vec<(String, String)>,
    pub body: Bytes,
    /// When it began, by our clock.
    pub now_ms: i64,
}

impl Call {
    /// The id in the path. A text that is no id is told what is told of one that does not exist.
    pub fn id<K: Kind>(&self, what: &str) -> Result<Id<K>, Problem> {
        self.param("id").and_then(|text| text.parse().ok()).ok_or_else(|| Problem::not_found(what))
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Result<Value, Problem> {
        fields::parse(&self.body)
    }

    pub fn caller(&self) -> Result<Caller, Problem> {
        Caller::of(&self.headers, &self.app.staff)
    }

    /// A checkout that its caller may see.
    pub async fn checkout(&self, caller: &Caller) -> Result<Checkout, Problem> {
        caller.known()?;
        let id: CheckoutId = self.id("checkout")?;
        let checkout = self.store.checkout(id).await?.ok_or_else(|| Problem::not_found("checkout"))?;
        caller.may_see_checkout(&checkout)?;
        Ok(checkout)
    }

    /// An order that its caller may see.
    pub async fn order(&self, caller: &Caller) -> Result<Order, Problem> {
        caller.known()?;
        let id: OrderId = self.id("order")?;
        let order = self.store.order(id).await?.ok_or_else(|| Problem::not_found("order"))?;
        caller.may_see_order(&order)?;
        Ok(order)
    }
}
