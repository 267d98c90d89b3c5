//! Sums of money.
//!
//! Rounding happens once, when a product's price is frozen: [`chargeable`] rounds the unit price half up to what can be
//! charged, and what would be nothing is no price. Everything after is a product or a sum of whole numbers, so that totals
//! equal the sum of their lines.
//!
//! Stripe does not count every currency in the minor units of ISO 4217
//! (<https://docs.stripe.com/currencies#special-cases>).

use snapshots::{Currency, Money, MoneyError};
use thiserror::Error;

use super::checkout::Line;

/// Stripe takes at most eight digits of most currencies; twelve leave room for those of small units.
pub const MAX_TOTAL_MINOR: i64 = 999_999_999_999;
/// Whole units that Stripe still counts in hundredths.
const COUNTED_IN_HUNDREDTHS: [&str; 2] = ["ISK", "UGX"];
/// Hundredths that Stripe counts in whole units: taken for hundredths, a price would be charged a hundredfold.
const COUNTED_IN_WHOLE_UNITS: [&str; 1] = ["MGA"];

#[derive(Debug, Error)]
pub enum TotalError {
    #[error(transparent)]
    Money(#[from] MoneyError),
    #[error("a price must be from 0 to {MAX_TOTAL_MINOR} minor units, and {0} is not")]
    OutOfBounds(Money),
    #[error("{0} is less than can be charged in this currency")]
    TooSmall(Money),
}

/// The nearest price that can be charged: Stripe takes the last digit of three-decimal currencies as zero only, and of some
/// currencies whole units only.
///
/// # Errors
/// When the price is negative, too large, or rounds to nothing.
pub fn chargeable(price: Money) -> Result<Money, TotalError> {
    let amount = price.amount_minor();
    if !(0..=MAX_TOTAL_MINOR).contains(&amount) {
        return Err(TotalError::OutOfBounds(price));
    }
    let step = match price.currency() {
        currency if is_counted_whole(currency) => 100,
        currency if currency.exponent() == 3 => 10,
        _ => 1,
    };
    let rounded = (amount + step / 2) / step * step;
    match rounded == 0 && amount > 0 {
        true => Err(TotalError::TooSmall(price)),
        false => Ok(Money::from_minor(rounded, price.currency())),
    }
}

/// The sum of all lines.
///
/// # Errors
/// When it does not fit, or a line is of another currency.
pub fn total(currency: Currency, lines: &[Line]) -> Result<Money, TotalError> {
    let nothing = Money::from_minor(0, currency);
    let sum =
        lines.iter().try_fold(nothing, |sum, line| sum.checked_add(line.unit_price.checked_mul(line.quantity)?))?;
    match sum.amount_minor() <= MAX_TOTAL_MINOR {
        true => Ok(sum),
        false => Err(TotalError::OutOfBounds(sum)),
    }
}

/// The number that Stripe counts an amount as, which is one that can be charged.
pub fn stripe_amount(money: Money) -> i64 {
    match is_counted_whole(money.currency()) {
        true => money.amount_minor() / 100,
        false => money.amount_minor() * stripe_factor(money.currency()),
    }
}

/// The amount that a number of Stripe's stands for; None where it is no whole minor unit.
pub fn from_stripe_amount(amount: i64, currency: Currency) -> Option<Money> {
    if is_counted_whole(currency) {
        return Some(Money::from_minor(amount.checked_mul(100)?, currency));
    }
    let factor = stripe_factor(currency);
    (amount % factor == 0).then(|| Money::from_minor(amount / factor, currency))
}

fn stripe_factor(currency: Currency) -> i64 {
    if COUNTED_IN_HUNDREDTHS.contains(&currency.as_str()) { 100 } else { 1 }
}

fn is_counted_whole(currency: Currency) -> bool {
    COUNTED_IN_WHOLE_UNITS.contains(&currency.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a currency")
    }

    fn line(unit_price: Money, quantity: u32) -> Line {
        Line { product: "p".into(), title: "p".into(), quantity, unit_price }
    }

    #[test]
    fn prices_are_rounded_half_up_to_what_can_be_charged() {
        let rounded =
            |amount, code: &str| chargeable(Money::from_minor(amount, currency(code))).expect("a price").amount_minor();
        assert_eq!([rounded(1234, "KWD"), rounded(1235, "KWD"), rounded(1230, "KWD")], [1230, 1240, 1230]);
        assert_eq!([rounded(1234, "EUR"), rounded(1235, "JPY"), rounded(0, "KWD")], [1234, 1235, 0]);
        // Four fils were sold for nothing.
        assert!(matches!(chargeable(Money::from_minor(4, currency("KWD"))), Err(TotalError::TooSmall(_))));
        assert_eq!((rounded(5, "KWD"), rounded(50, "MGA")), (10, 100));
        assert!(chargeable(Money::from_minor(49, currency("MGA"))).is_err());
        assert!(chargeable(Money::from_minor(-1, currency("EUR"))).is_err());
        assert!(chargeable(Money::from_minor(i64::MAX, currency("KWD"))).is_err());
    }

    #[test]
    fn stripe_counts_some_whole_units_in_hundredths() {
        assert_eq!(stripe_amount(Money::from_minor(500, currency("ISK"))), 50_000);
        assert_eq!(stripe_amount(Money::from_minor(500, currency("JPY"))), 500);
        assert_eq!(from_stripe_amount(50_000, currency("ISK")), Some(Money::from_minor(500, currency("ISK"))));
        assert_eq!(from_stripe_amount(50_001, currency("ISK")), None);
    }

    /// 5,000 ariary were charged as 500,000.
    #[test]
    fn stripe_counts_some_hundredths_in_whole_units() {
        let ariary = currency("MGA");
        let price = chargeable(Money::from_minor(500_050, ariary)).expect("a price");
        assert_eq!(price, Money::from_minor(500_100, ariary));
        assert_eq!(stripe_amount(price), 5_001);
        assert_eq!(from_stripe_amount(5_001, ariary), Some(price));
        assert_eq!(from_stripe_amount(i64::MAX, ariary), None);
    }

    #[test]
    fn currencies_do_not_mix_and_sums_have_a_bound() {
        let (eur, usd) = (Money::from_minor(1, currency("EUR")), Money::from_minor(1, currency("USD")));
        assert!(total(currency("EUR"), &[line(eur, 1), line(usd, 1)]).is_err());
        let much = Money::from_minor(MAX_TOTAL_MINOR, currency("EUR"));
        assert!(total(currency("EUR"), &[line(much, 1)]).is_ok());
        assert!(total(currency("EUR"), &[line(much, 1), line(eur, 1)]).is_err());
        assert!(total(currency("EUR"), &[line(much, u32::MAX)]).is_err());
    }

    proptest! {
        #[test]
        fn a_total_is_the_sum_of_its_lines_and_can_be_charged(
            lines in prop::collection::vec((0_i64..10_000_000, 1_u32..10_000), 0..100),
            code in prop::sample::select(vec!["EUR", "JPY", "KWD", "ISK", "UGX", "CLF", "MGA"]),
        ) {
            let currency = currency(code);
            let lines: Vec<_> = lines
                .into_iter()
                .filter_map(|(amount, count)| Some(line(chargeable(Money::from_minor(amount, currency)).ok()?, count)))
                .collect();
            let by_hand: i128 =
                lines.iter().map(|line| i128::from(line.unit_price.amount_minor()) * i128::from(line.quantity)).sum();
            match total(currency, &lines) {
                Ok(sum) => {
                    prop_assert_eq!(i128::from(sum.amount_minor()), by_hand);
                    prop_assert_eq!(chargeable(sum).expect("a total"), sum);
                    prop_assert_eq!(from_stripe_amount(stripe_amount(sum), currency), Some(sum));
                }
                Err(_) => prop_assert!(by_hand > i128::from(MAX_TOTAL_MINOR)),
            }
        }
    }
}
