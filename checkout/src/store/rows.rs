//! What is read and written beside orders.

use serde_json::json;
use snapshots::Money;

use crate::domain::{BreakKind, Checkout, CheckoutState, OrderState, PaymentState, RefundState, Refusal};
use crate::ids::{CartId, OrderId, PaymentId, RefundId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart {
    pub id: CartId,
    /// From 1, and one more with every change.
    pub version: u32,
    pub market: String,
    pub lines: Vec<CartLine>,
    pub expires_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartLine {
    pub product: String,
    pub quantity: u32,
}

/// Details that a client may change. None leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutChange {
    pub email: Option<String>,
    pub shipping_address: Option<serde_json::Value>,
}

impl CheckoutChange {
    /// Changes an open checkout whose version is the given one, and adds one to that.
    ///
    /// # Errors
    /// `Refusal::{CheckoutClosed, HoldOver, VersionConflict}`. Nothing is changed then.
    pub(super) fn apply(&self, checkout: &mut Checkout, version: u32, now_ms: i64) -> Result<(), Refusal> {
        if checkout.state != CheckoutState::Open {
            return Err(Refusal::CheckoutClosed(checkout.state));
        }
        if now_ms >= checkout.held_until_ms {
            return Err(Refusal::HoldOver);
        }
        if checkout.version != version {
            return Err(Refusal::VersionConflict { current: checkout.version });
        }
        checkout.version += 1;
        checkout.email = self.email.clone().or(checkout.email.take());
        checkout.shipping_address = self.shipping_address.clone().or(checkout.shipping_address.take());
        Ok(())
    }
}

/// What a payment is known by.
#[derive(Clone, Copy, Debug)]
pub enum PaymentRef<'a> {
    Id(PaymentId),
    Intent(&'a str),
    Session(&'a str),
    Refund(RefundId),
    StripeRefund(&'a str),
}

#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    pub state: Option<OrderState>,
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    /// Orders older than this one.
    pub before: Option<OrderId>,
    pub limit: u32,
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub id: OrderId,
    pub state: OrderState,
    pub market: String,
    pub total: Money,
    pub created_ms: i64,
}

/// Who did something, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    pub actor: String,
    /// `stock.set`, `order.refund`
    pub action: String,
    pub subject: String,
    pub detail: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StockChange {
    /// So many can be sold from now on, beside those that are held.
    Set { product: String, available: i64, reason: String },
    /// So many more, or fewer.
    Adjust { product: String, by: i64, reason: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockLevel {
    pub product: String,
    /// Can be sold now.
    pub available: i64,
    /// Held for checkouts.
    pub held: i64,
}

/// A payment as the comparison with Stripe needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    pub id: PaymentId,
    pub order: OrderId,
    pub state: PaymentState,
    pub intent: Option<String>,
    pub amount: Money,
    pub captured_minor: i64,
    /// Stripe's id where it is known, the state and the amount.
    pub refunds: Vec<(Option<String>, RefundState, i64)>,
}

/// A break that stands in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBreak {
    pub kind: BreakKind,
    /// A payment's id of ours, or an id of Stripe's.
    pub reference: String,
    pub detail: String,
}

/// A break that nobody dealt with yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreak {
    pub kind: BreakKind,
    pub reference: String,
    pub detail: String,
    pub found_ms: i64,
}

/// What a person says of a break that is dealt with.
#[derive(Clone, Copy, Debug)]
pub struct Resolution<'a> {
    pub kind: BreakKind,
    pub reference: &'a str,
    pub reason: &'a str,
    pub actor: &'a str,
}

/// Something that must never be, and is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: &'static str,
    pub detail: String,
}

impl Resolution<'_> {
    /// What the audit is told.
    pub fn audit(&self) -> Audit {
        Audit {
            actor: self.actor.to_owned(),
            action: "break.resolve".to_owned(),
            subject: self.reference.to_owned(),
            detail: json!({ "kind": self.kind, "reason": self.reason }),
        }
    }
}

impl StockChange {
    pub fn product(&self) -> &str {
        match self {
            Self::Set { product, .. } | Self::Adjust { product, .. } => product,
        }
    }

    /// What the audit is told when it is done alone.
    pub fn audit(&self, actor: &str) -> Audit {
        let (action, detail) = match self {
            Self::Set { available, reason, .. } => ("stock.set", json!({ "set": available, "reason": reason })),
            Self::Adjust { by, reason, .. } => ("stock.adjust", json!({ "adjust": by, "reason": reason })),
        };
        Audit { actor: actor.to_owned(), action: action.to_owned(), subject: self.product().to_owned(), detail }
    }
}
