//! States as they stand in the database: the words that the API has for them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::StoreError;

/// The word for a state.
pub(crate) fn to_text<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        // Only enums without fields are written so.
        other => unreachable!("a state that is no word: {other:?}"),
    }
}

/// # Errors
/// When the database has a word that this version does not know.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_value(Value::String(text.to_owned()))
        .map_err(|_| StoreError::Broken(format!("'{text}' is no state that this version knows")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrderEvent, PaymentState};

    #[test]
    fn states_are_words_and_unknown_ones_are_told() {
        assert_eq!(to_text(&PaymentState::RequiresAction), "requires_action");
        assert_eq!(to_text(&OrderEvent::PartiallyRefunded), "order.partially_refunded");
        assert_eq!(from_text::<PaymentState>("unknown").expect("a state"), PaymentState::Unknown);
        assert!(from_text::<PaymentState>("paid_twice").is_err());
    }
}
