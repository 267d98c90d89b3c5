//! What is said of a break that several parts find. One that was dealt with opens again when it says something else, so that
//! they say the same of the same.

use snapshots::Money;

use crate::ids::OrderId;

pub fn amount_differs(asked: Money, received: Money) -> String {
    format!("{asked} was asked for, {received} was received")
}

pub fn unknown_charge(received: Money, order: OrderId) -> String {
    format!("{received} was received for {order}, of which no payment is known")
}
