//! Percentages as a policy states them, compared with counts and with prices exactly.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use snapshots::{Decimal, write_scaled};

/// Decimals of a percentage.
const DECIMALS: u8 = 4;
/// One percent, in the units of [`Percent`].
const ONE: u64 = 10_u64.pow(DECIMALS as u32);
/// Nothing grows by more than this: a million percent is ten thousand times as much.
const MAX_PERCENT: u64 = 1_000_000;

/// A percentage with up to four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    ten_thousandths: u64,
}

impl Percent {
    pub const fn whole(percent: u64) -> Self {
        Self { ten_thousandths: percent * ONE }
    }

    /// Reads a decimal such as `12.5`, exactly.
    pub fn parse(text: &str) -> Option<Self> {
        let (units, cut) = Decimal::parse(text)?.at_scale(DECIMALS)?;
        let ten_thousandths = u64::try_from(units).ok().filter(|units| !cut && *units <= MAX_PERCENT * ONE)?;
        Some(Self { ten_thousandths })
    }

    /// What `part` is of `whole`, cut to two decimals. Of nothing, it is nothing.
    pub fn of(part: u64, whole: u64) -> Self {
        const CUT: u128 = 100;
        let units = u128::from(part) * 100 * u128::from(ONE) / u128::from(whole.max(1)) / CUT * CUT;
        Self { ten_thousandths: u64::try_from(units).unwrap_or(u64::MAX) }
    }

    /// Whether `part` is more of `whole` than this. Of nothing, anything is more.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 100 * u128::from(ONE) > u128::from(self.ten_thousandths) * u128::from(whole)
    }
}

/// Writes `12.5`, without the sign of percent.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_scaled(&mut text, i64::try_from(self.ten_thousandths).unwrap_or(i64::MAX), DECIMALS)?;
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Takes a number as TOML writes it. The shortest text that gives a float back is what was written.
impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::String(text) => text,
            other => other.type_str().to_owned(),
        };
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "'{text}' is no percentage from 0 to {MAX_PERCENT} with at most {DECIMALS} decimals"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_compared_exactly() {
        let check = |percent: &str, part, whole, expected| {
            let percent = Percent::parse(percent).expect("a percentage");
            assert_eq!(percent.is_exceeded_by(part, whole), expected, "{part} of {whole}, {percent}%");
        };
        check("50", 50, 100, false);
        check("50", 51, 100, true);
        check("12.5", 1, 8, false);
        check("12.4999", 1, 8, true);
        check("33.3333", 1, 3, true);
        check("33.3334", 1, 3, false);
        check("100", u64::MAX, u64::MAX, false);
        check("0", 0, 0, false);
        check("100", 1, 0, true);
    }

    #[test]
    fn percentages_are_written_as_people_do() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Percent::parse(text).expect("a percentage").to_string(), expected);
        };
        check("100", "100");
        check("12.50", "12.5");
        check("0.05", "0.05");
        assert_eq!(Percent::of(1, 3).to_string(), "33.33");
        assert_eq!(Percent::of(0, 0).to_string(), "0");
    }

    #[test]
    fn what_is_no_percentage_is_refused() {
        for text in ["-1", "1.00001", "1000001", "NaN", "50%", ""] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
    }
}
