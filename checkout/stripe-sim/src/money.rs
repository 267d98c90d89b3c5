//! Currencies: how many decimals they have, and which amounts Stripe takes in them.

use crate::error::ApiError;

/// Eight digits is what Stripe takes at most in most currencies.
const MAX_AMOUNT: i64 = 99_999_999;
/// The least amount of a currency that `MINIMUMS` does not name.
const DEFAULT_MINIMUM: i64 = 1;

const CURRENCIES: &str = "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl \
    htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt \
    mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd \
    scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof \
    xpf yer zar zmw";
const WITHOUT_DECIMALS: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
const WITH_THREE_DECIMALS: &str = "bhd jod kwd omr tnd";
/// These have no decimals any more, but amounts go on being given in hundredths.
const WHOLE_HUNDREDS: &str = "isk ugx";

const MINIMUMS: &[(&str, i64)] = &[
    ("aed", 200),
    ("aud", 50),
    ("bgn", 100),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1_500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1_000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1_000),
    ("usd", 50),
];

/// A currency as it is kept: three lower-case letters that Stripe knows.
pub(crate) fn currency(text: &str, param: &str) -> Result<String, ApiError> {
    let code = text.to_ascii_lowercase();
    match names(CURRENCIES, &code) {
        true => Ok(code),
        false => Err(ApiError::invalid(None, param, format!("'{text}' is no currency that can be charged."))),
    }
}

/// Whether this amount can be charged.
pub(crate) fn check_amount(amount: i64, currency: &str, param: &str) -> Result<(), ApiError> {
    let fault = |code, message: String| Err(ApiError::invalid(code, param, message));
    if amount < 1 {
        return fault(Some("parameter_invalid_integer"), format!("{param} must be at least 1."));
    }
    if amount > MAX_AMOUNT {
        return fault(Some("amount_too_large"), format!("{param} may be at most {MAX_AMOUNT}."));
    }
    let minimum = MINIMUMS.iter().find(|(known, _)| *known == currency).map_or(DEFAULT_MINIMUM, |(_, least)| *least);
    if amount < minimum {
        return fault(Some("amount_too_small"), format!("{param} must be at least {minimum} in {currency}."));
    }
    let step = if names(WITH_THREE_DECIMALS, currency) {
        10
    } else if names(WHOLE_HUNDREDS, currency) {
        100
    } else {
        1
    };
    match amount % step {
        0 => Ok(()),
        _ => fault(None, format!("{param} must be a multiple of {step} in {currency}.")),
    }
}

/// An amount as people write it: `12.34 EUR`.
pub(crate) fn shown(amount: i64, currency: &str) -> String {
    let decimals = if names(WITHOUT_DECIMALS, currency) {
        0
    } else if names(WITH_THREE_DECIMALS, currency) {
        3
    } else {
        2
    };
    let unit = currency.to_ascii_uppercase();
    let scale = 10_i64.pow(decimals);
    match decimals {
        0 => format!("{amount} {unit}"),
        _ => format!("{}.{:0width$} {unit}", amount / scale, amount % scale, width = decimals as usize),
    }
}

fn names(list: &str, code: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_follow_their_currency() {
        let check = |amount, currency: &str, code: Option<&str>| {
            let error = check_amount(amount, currency, "amount").expect_err("a fault").to_json();
            assert_eq!(error["error"]["code"].as_str(), code, "{amount} {currency}");
        };
        check(0, "usd", Some("parameter_invalid_integer"));
        check(49, "usd", Some("amount_too_small"));
        check(100_000_000, "usd", Some("amount_too_large"));
        check(1_005, "kwd", None);
        check(10_050, "isk", None);
        for (amount, currency) in [(50, "usd"), (50, "jpy"), (1_010, "kwd"), (30, "gbp"), (99_999_999, "eur")] {
            check_amount(amount, currency, "amount").expect("a chargeable amount");
        }
        assert_eq!(currency("EUR", "currency").expect("a currency"), "eur");
        currency("zzz", "currency").expect_err("no currency");
    }

    #[test]
    fn amounts_are_shown_with_their_decimals() {
        assert_eq!(shown(123_405, "eur"), "1234.05 EUR");
        assert_eq!(shown(500, "jpy"), "500 JPY");
        assert_eq!(shown(1_010, "kwd"), "1.010 KWD");
    }
}
