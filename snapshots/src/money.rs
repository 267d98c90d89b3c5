//! Money as integer minor units with a currency: no float ever holds a price.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An ISO 4217 currency that knows how many digits its minor unit has.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Currencies in use whose minor unit is not two digits (ISO 4217, list one).
const OTHER_EXPONENTS: &[(&str, u8)] = &[
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// Why a text is no price, or a sum of prices is none.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MoneyError {
    #[error("'{0}' is not a three-letter ISO 4217 currency code")]
    Currency(String),
    #[error("'{0}' is not a decimal number such as 12.50")]
    NotDecimal(String),
    #[error("'{text}' has more than the {exponent} decimals that {currency} has")]
    TooPrecise { text: String, currency: Currency, exponent: u8 },
    #[error("'{0}' is too large for a price")]
    TooLarge(String),
    #[error("{0} and {1} cannot be added: they are different currencies")]
    Mixed(Currency, Currency),
}

impl Currency {
    /// Digits of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u8 {
        let code = self.as_str();
        OTHER_EXPONENTS.iter().find(|(other, _)| *other == code).map_or(2, |(_, exponent)| *exponent)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match *text.as_bytes() {
            [a, b, c] if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Ok(Self([a, b, c].map(|byte| byte.to_ascii_uppercase())))
            }
            _ => Err(MoneyError::Currency(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount in the minor units of its currency: 1250 EUR is twelve euros fifty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Money {
    amount_minor: i64,
    currency: Currency,
}

impl Money {
    pub fn from_minor(amount_minor: i64, currency: Currency) -> Self {
        Self { amount_minor, currency }
    }

    /// Reads decimal major units ("12.5", "-3", "1e2" is refused) exactly.
    ///
    /// # Errors
    /// When the text is no decimal, is finer than the currency's minor unit, or does not fit.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let exponent = currency.exponent();
        let decimal = Decimal::parse(text).ok_or_else(|| MoneyError::NotDecimal(text.to_owned()))?;
        match decimal.at_scale(exponent) {
            Some((_, true)) => Err(MoneyError::TooPrecise { text: text.to_owned(), currency, exponent }),
            // i64::MIN marks an absent value in a column, so it is no amount.
            Some((amount, false)) if amount > i128::from(i64::MIN) && amount <= i128::from(i64::MAX) => {
                Ok(Self { amount_minor: amount as i64, currency })
            }
            _ => Err(MoneyError::TooLarge(text.to_owned())),
        }
    }

    pub fn amount_minor(self) -> i64 {
        self.amount_minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    /// # Errors
    /// When the currencies differ or the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let sum = self.amount_minor.checked_add(other.amount_minor);
        sum.map(|amount| Self::from_minor(amount, self.currency))
            .ok_or_else(|| MoneyError::TooLarge(format!("{self} + {other}")))
    }

    /// # Errors
    /// When the product does not fit.
    pub fn checked_mul(self, quantity: u32) -> Result<Self, MoneyError> {
        let product = self.amount_minor.checked_mul(i64::from(quantity));
        product
            .map(|amount| Self::from_minor(amount, self.currency))
            .ok_or_else(|| MoneyError::TooLarge(format!("{self} x {quantity}")))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.amount_minor, self.currency.exponent())?;
        write!(f, " {}", self.currency)
    }
}

/// Writes an integer of 10^-scale units as a decimal: (1250, 2) is "12.50".
pub fn write_scaled(out: &mut impl fmt::Write, value: i64, scale: u8) -> fmt::Result {
    let divisor = 10_u64.pow(u32::from(scale));
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    match scale {
        0 => write!(out, "{sign}{magnitude}"),
        _ => write!(out, "{sign}{}.{:0width$}", magnitude / divisor, magnitude % divisor, width = usize::from(scale)),
    }
}

/// A decimal number as it was written: `digits` times ten to the power of minus `scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: i128,
    scale: u8,
}

/// Longer numbers are refused: with at most 18 digits a shift to any scale in use stays within i128.
const MAX_DECIMAL_DIGITS: usize = 18;

impl Decimal {
    /// Reads an optional sign, digits and an optional fraction. Neither exponents nor separators of thousands.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        let digit_count = whole.len() + fraction.len();
        if !all_digits || digit_count == 0 || digit_count > MAX_DECIMAL_DIGITS {
            return None;
        }
        let magnitude = whole.bytes().chain(fraction.bytes()).fold(0_i128, |sum, b| sum * 10 + i128::from(b - b'0'));
        Some(Self { digits: if negative { -magnitude } else { magnitude }, scale: fraction.len() as u8 })
    }

    /// The greatest integer of 10^-scale units that is not above the number, and whether anything was cut off.
    /// None when a scale this large is not in use.
    pub fn at_scale(self, scale: u8) -> Option<(i128, bool)> {
        if scale > 12 {
            return None;
        }
        if scale >= self.scale {
            return Some((self.digits * 10_i128.pow(u32::from(scale - self.scale)), false));
        }
        let divisor = 10_i128.pow(u32::from(self.scale - scale));
        Some((self.digits.div_euclid(divisor), self.digits.rem_euclid(divisor) != 0))
    }

    /// The nearest integer of 10^-scale units, halves upwards, where it fits a column.
    pub fn rounded_at(self, scale: u8) -> Option<i64> {
        let (floor, _) = self.at_scale(scale)?;
        let twice = Self { digits: self.digits * 2, scale: self.scale }.at_scale(scale)?.0;
        let rounded = floor + (twice - 2 * floor);
        i64::try_from(rounded).ok().filter(|value| *value != i64::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a currency code")
    }

    #[test]
    fn major_units_become_minor_units_exactly() {
        let check = |text, code, minor| {
            assert_eq!(Money::parse_major(text, currency(code)).map(Money::amount_minor), Ok(minor), "{text} {code}");
        };
        check("28.99", "USD", 2899);
        check("0.1", "EUR", 10);
        check("-3", "EUR", -300);
        check("1200", "JPY", 1200);
        check("1.234", "KWD", 1234);
        check(".5", "USD", 50);
        check("15.00", "JPY".to_lowercase().as_str(), 15);
    }

    #[test]
    fn what_is_no_price_is_refused() {
        let check = |text: &str, code: &str| Money::parse_major(text, currency(code)).expect_err(text);
        assert_eq!(check("12,50", "EUR"), MoneyError::NotDecimal("12,50".into()));
        assert_eq!(check("", "EUR"), MoneyError::NotDecimal(String::new()));
        assert_eq!(check("1e3", "EUR"), MoneyError::NotDecimal("1e3".into()));
        assert_eq!(check("99999999999999999", "KWD"), MoneyError::TooLarge("99999999999999999".into()));
        let currency = currency("JPY");
        assert_eq!(check("1.5", "JPY"), MoneyError::TooPrecise { text: "1.5".into(), currency, exponent: 0 });
        assert!("EURO".parse::<Currency>().is_err());
    }

    #[test]
    fn arithmetic_is_checked() {
        let (euro, yen) = (currency("EUR"), currency("JPY"));
        let price = Money::from_minor(250, euro);
        assert_eq!(price.checked_mul(3), Ok(Money::from_minor(750, euro)));
        assert_eq!(price.checked_add(Money::from_minor(1, yen)), Err(MoneyError::Mixed(euro, yen)));
        assert!(Money::from_minor(i64::MAX, euro).checked_add(price).is_err());
        assert_eq!(Money::from_minor(-5, euro).to_string(), "-0.05 EUR");
    }

    #[test]
    fn decimals_round_halves_up() {
        let round = |text, scale| Decimal::parse(text).and_then(|decimal| decimal.rounded_at(scale));
        assert_eq!(round("4.25", 1), Some(43));
        assert_eq!(round("4.24", 1), Some(42));
        assert_eq!(round("-4.25", 1), Some(-42));
        assert_eq!(round("7", 2), Some(700));
        assert_eq!(round("0.999", 0), Some(1));
    }
}
