//! A checkout: lines whose prices are frozen, and stock that is held, until a moment.

use serde::{Deserialize, Serialize};
use snapshots::{Currency, Money};

use super::totals::{TotalError, total};
use crate::ids::{CartId, CheckoutId};

/// Lines of one checkout.
pub const MAX_LINES: usize = 100;
/// Units of one line.
pub const MAX_QUANTITY: u32 = 9_999;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutState {
    /// Stock is held, and nothing is paid.
    Open,
    /// It has an order with a payment that may succeed.
    Completing,
    /// It is paid.
    Completed,
    /// Nobody completed it in time.
    Expired,
    Cancelled,
}

/// So many units of a product at a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub product: String,
    pub title: String,
    pub quantity: u32,
    pub unit_price: Money,
}

/// What a product costs, and which snapshot says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub product: String,
    pub title: String,
    pub unit_price: Money,
    pub in_stock: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub id: CheckoutId,
    pub state: CheckoutState,
    /// Grows with every change that a client makes.
    pub version: u32,
    pub market: String,
    pub currency: Currency,
    /// In the order of the product ids, which is also the order that stock is taken in.
    pub lines: Vec<Line>,
    pub total: Money,
    /// The snapshot that all prices are from.
    pub snapshot: String,
    /// Prices and stock are kept until then.
    pub held_until_ms: i64,
    pub cart: Option<CartId>,
    pub email: Option<String>,
    /// Where it is sent to, as the client gave it; a JSON object.
    pub shipping_address: Option<serde_json::Value>,
    /// SHA-256 of the token that its owner shows, so that a copy of the database opens no order.
    pub token_hash: [u8; 32],
    pub created_ms: i64,
}

impl Checkout {
    /// # Errors
    /// When the sum does not fit, or currencies are mixed.
    pub fn sum_of_lines(&self) -> Result<Money, TotalError> {
        total(self.currency, &self.lines)
    }
}
