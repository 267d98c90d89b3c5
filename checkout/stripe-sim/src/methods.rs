//! Payment methods for tests: how Stripe names them, and what becomes of a payment with each.

use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::params::Fields;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MethodKind {
    Card,
    SepaDebit,
    UsBankAccount,
}

impl MethodKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::SepaDebit => "sepa_debit",
            Self::UsBankAccount => "us_bank_account",
        }
    }
}

/// Why an issuer says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Decline {
    Generic,
    InsufficientFunds,
    LostCard,
    StolenCard,
    ExpiredCard,
    IncorrectCvc,
    ProcessingError,
}

impl Decline {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Generic | Self::InsufficientFunds | Self::LostCard | Self::StolenCard => "card_declined",
            Self::ExpiredCard => "expired_card",
            Self::IncorrectCvc => "incorrect_cvc",
            Self::ProcessingError => "processing_error",
        }
    }

    pub(crate) fn decline_code(self) -> Option<&'static str> {
        match self {
            Self::Generic => Some("generic_decline"),
            Self::InsufficientFunds => Some("insufficient_funds"),
            Self::LostCard => Some("lost_card"),
            Self::StolenCard => Some("stolen_card"),
            Self::ExpiredCard | Self::IncorrectCvc | Self::ProcessingError => None,
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Generic | Self::LostCard | Self::StolenCard => "Your card was declined.",
            Self::InsufficientFunds => "Your card has too little money for this.",
            Self::ExpiredCard => "Your card has expired.",
            Self::IncorrectCvc => "Your card's security code is wrong.",
            Self::ProcessingError => "Your card could not be processed; try again in a while.",
        }
    }
}

/// What becomes of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Behaviour {
    Approve,
    Decline(Decline),
    /// The shopper must authenticate (3-D Secure); afterwards the issuer may still say no.
    Authenticate(Option<Decline>),
    /// Succeeds, and is disputed at once.
    Dispute,
    /// Settles later.
    Late {
        succeeds: bool,
    },
    /// Succeeds; its refunds are pending for a while.
    RefundPending,
    /// Succeeds; its refunds succeed, and fail a while later.
    RefundFails,
}

/// A payment method that a request names.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: MethodKind,
    pub(crate) behaviour: Behaviour,
    pub(crate) brand: &'static str,
    pub(crate) last4: String,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
}

/// What a request says about its payment method.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Spec(Spec),
    /// The id of one that was made before.
    Id(String),
}

impl Given {
    /// Reads `payment_method` and `payment_method_data`.
    pub(crate) fn read(fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        if let Some(data) = fields.group("payment_method_data")? {
            fields.ignore(&["payment_method"]);
            return Spec::read(data).map(|spec| Some(Self::Spec(spec)));
        }
        Ok(fields.text("payment_method")?.map(|id| Self::named(&id)))
    }

    /// One of the names for tests, or the id of another.
    pub(crate) fn named(id: &str) -> Self {
        Spec::named(id).map_or_else(|| Self::Id(id.to_owned()), Self::Spec)
    }
}

impl Spec {
    /// The payment method that Stripe gives this name for tests.
    pub(crate) fn named(id: &str) -> Option<Self> {
        let name = id.strip_prefix("pm_")?;
        let name = name.strip_prefix("card_visa_").or_else(|| name.strip_prefix("card_")).unwrap_or(name);
        let is_card = id.starts_with("pm_card_");
        let (behaviour, last4) = match (is_card, name) {
            (true, "visa") => (Behaviour::Approve, "4242"),
            (true, "visa_debit" | "debit") => (Behaviour::Approve, "5556"),
            (true, "mastercard") => return Some(Self::card(Behaviour::Approve, "mastercard", "4444")),
            (true, "amex") => return Some(Self::card(Behaviour::Approve, "amex", "8431")),
            (true, "chargeDeclined") => (Behaviour::Decline(Decline::Generic), "0002"),
            (true, "chargeDeclinedInsufficientFunds") => (Behaviour::Decline(Decline::InsufficientFunds), "9995"),
            (true, "chargeDeclinedLostCard") => (Behaviour::Decline(Decline::LostCard), "9987"),
            (true, "chargeDeclinedStolenCard") => (Behaviour::Decline(Decline::StolenCard), "9979"),
            (true, "chargeDeclinedExpiredCard") => (Behaviour::Decline(Decline::ExpiredCard), "0069"),
            (true, "chargeDeclinedIncorrectCvc") => (Behaviour::Decline(Decline::IncorrectCvc), "0127"),
            (true, "chargeDeclinedProcessingError") => (Behaviour::Decline(Decline::ProcessingError), "0119"),
            (true, "authenticationRequired") => (Behaviour::Authenticate(None), "3184"),
            (true, "threeDSecure2Required" | "threeDSecureRequired") => (Behaviour::Authenticate(None), "3220"),
            (true, "threeDSecureRequiredChargeDeclined") => (Behaviour::Authenticate(Some(Decline::Generic)), "1629"),
            (true, "createDispute") => (Behaviour::Dispute, "0259"),
            (true, "pendingRefund") => (Behaviour::RefundPending, "7726"),
            (true, "refundFail") => (Behaviour::RefundFails, "5126"),
            (false, "sepa_debit" | "sepaDebit") => return Some(Self::bank(MethodKind::SepaDebit, true)),
            (false, "sepa_debit_fail" | "sepaDebitFail") => return Some(Self::bank(MethodKind::SepaDebit, false)),
            (false, "usBankAccount" | "usBankAccount_success") => {
                return Some(Self::bank(MethodKind::UsBankAccount, true));
            }
            (false, "usBankAccountFail" | "usBankAccount_insufficientFunds") => {
                return Some(Self::bank(MethodKind::UsBankAccount, false));
            }
            _ => return None,
        };
        Some(Self::card(behaviour, "visa", last4))
    }

    /// The card that Stripe gives this number for tests. Real numbers are not taken, and none is kept.
    pub(crate) fn card_number(number: &str) -> Option<Self> {
        let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let name = match digits.as_str() {
            "4242424242424242" => "pm_card_visa",
            "4000056655665556" => "pm_card_visa_debit",
            "5555555555554444" => "pm_card_mastercard",
            "378282246310005" | "371449635398431" => "pm_card_amex",
            "4000000000000002" => "pm_card_chargeDeclined",
            "4000000000009995" => "pm_card_chargeDeclinedInsufficientFunds",
            "4000000000009987" => "pm_card_chargeDeclinedLostCard",
            "4000000000009979" => "pm_card_chargeDeclinedStolenCard",
            "4000000000000069" => "pm_card_chargeDeclinedExpiredCard",
            "4000000000000127" => "pm_card_chargeDeclinedIncorrectCvc",
            "4000000000000119" => "pm_card_chargeDeclinedProcessingError",
            "4000002760003184" | "4000002500003155" => "pm_card_authenticationRequired",
            "4000000000003220" => "pm_card_threeDSecure2Required",
            "4000008400001629" => "pm_card_threeDSecureRequiredChargeDeclined",
            "4000000000000259" => "pm_card_createDispute",
            "4000000000007726" => "pm_card_pendingRefund",
            "4000000000005126" => "pm_card_refundFail",
            _ => return None,
        };
        Self::named(name)
    }

    fn read(mut data: Fields) -> Result<Self, ApiError> {
        let kind = data.one_of("type", &["card", "sepa_debit", "us_bank_account"])?;
        let kind = kind.ok_or_else(|| ApiError::parameter_missing(data.name("type")))?;
        let billing = data.group("billing_details")?;
        let (mut email, mut name) = (None, None);
        if let Some(mut billing) = billing {
            (email, name) = (billing.text("email")?, billing.text("name")?);
            billing.ignore(&["address", "phone", "tax_id"]);
            billing.finish()?;
        }
        let details = data.group(kind)?.ok_or_else(|| ApiError::parameter_missing(data.name(kind)))?;
        let spec = match kind {
            "card" => Self::read_card(details)?,
            "sepa_debit" => Self::read_account(details, MethodKind::SepaDebit, "iban", "AT861904300235473202")?,
            _ => Self::read_account(details, MethodKind::UsBankAccount, "account_number", "000222222227")?,
        };
        data.ignore(&["allow_redisplay", "metadata", "radar_options"]);
        data.finish()?;
        Ok(Self { email, name, ..spec })
    }

    fn read_card(mut card: Fields) -> Result<Self, ApiError> {
        if let Some(token) = card.text("token")? {
            let id = token.replacen("tok_", "pm_card_", 1);
            card.finish()?;
            return Self::named(&id)
                .ok_or_else(|| ApiError::missing("token", "payment_method_data[card][token]", &token));
        }
        let (param, number) = (card.name("number"), card.required("number")?);
        card.ignore(&["cvc", "exp_month", "exp_year", "networks"]);
        card.finish()?;
        Self::card_number(&number).ok_or_else(|| {
            ApiError::card("incorrect_number", None, "This is no number of a test card.").with_param(param)
        })
    }

    /// A bank account, whose debits fail where it is `failing`.
    fn read_account(mut account: Fields, kind: MethodKind, field: &str, failing: &str) -> Result<Self, ApiError> {
        let number: String = account.required(field)?.split_whitespace().collect();
        account.ignore(&["account_holder_type", "account_type", "routing_number", "financial_connections_account"]);
        account.finish()?;
        let last4: Vec<char> = number.chars().rev().take(4).collect();
        let mut spec = Self::bank(kind, number != failing);
        spec.last4 = last4.into_iter().rev().collect();
        Ok(spec)
    }

    fn card(behaviour: Behaviour, brand: &'static str, last4: &str) -> Self {
        Self { kind: MethodKind::Card, behaviour, brand, last4: last4.to_owned(), email: None, name: None }
    }

    fn bank(kind: MethodKind, succeeds: bool) -> Self {
        let last4 = if succeeds { "3201" } else { "3202" };
        Self {
            kind,
            behaviour: Behaviour::Late { succeeds },
            brand: "",
            last4: last4.to_owned(),
            email: None,
            name: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_say_what_happens() {
        let behaviour = |id: &str| Spec::named(id).map(|spec| spec.behaviour);
        assert_eq!(behaviour("pm_card_visa"), Some(Behaviour::Approve));
        assert_eq!(behaviour("pm_card_visa_chargeDeclined"), Some(Behaviour::Decline(Decline::Generic)));
        assert_eq!(behaviour("pm_card_chargeDeclined"), behaviour("pm_card_visa_chargeDeclined"));
        assert_eq!(behaviour("pm_sepaDebitFail"), Some(Behaviour::Late { succeeds: false }));
        assert_eq!(behaviour("pm_sepa_debit_fail"), behaviour("pm_sepaDebitFail"));
        assert_eq!(behaviour("pm_1234"), None);
        assert_eq!(behaviour("pm_visa"), None);
        let number = |number: &str| Spec::card_number(number).map(|spec| spec.behaviour);
        assert_eq!(number("4000 0000 0000 9995"), Some(Behaviour::Decline(Decline::InsufficientFunds)));
        assert_eq!(number("4000000000003220"), Some(Behaviour::Authenticate(None)));
        assert_eq!(number("4111111111111111"), None, "only what Stripe names for tests");
    }
}
