//! When a sale price is what a product costs, and when a product is no longer to be sold.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// Whether an ISO 8601 interval such as `2026-02-24T11:07+0100/2026-03-01T23:07+0100` holds a moment. Seconds may be
/// left out; without an offset it is UTC, and an end without a time is the end of that day.
///
/// # Errors
/// When it is no interval.
pub(super) fn holds(interval: &str, now: Timestamp) -> Result<bool, String> {
    let fault = || format!("'{interval}' is no interval such as 2026-02-24T11:07+0100/2026-03-01T23:07+0100");
    let (start, end) = interval.split_once('/').ok_or_else(fault)?;
    let start = instant(start).ok_or_else(fault)?;
    let end = end_of(end).ok_or_else(fault)?;
    if end < start {
        return Err(format!("'{interval}' ends before it begins"));
    }
    Ok(start <= now && now <= end)
}

/// Whether a time such as `2026-03-01T23:07+0100` has gone by, read as the end of an interval is.
///
/// # Errors
/// When it is no time.
pub(super) fn has_passed(time: &str, now: Timestamp) -> Result<bool, String> {
    let end = end_of(time).ok_or_else(|| format!("'{time}' is no time such as 2026-03-01T23:07+0100"))?;
    Ok(end < now)
}

fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(with_offset) = text.parse::<Timestamp>() {
        return Some(with_offset);
    }
    let civil: DateTime = match text.strip_suffix('Z') {
        Some(text) => format!("{text}+00:00").parse().ok()?,
        None => text.parse().ok()?,
    };
    // The end of the year 9999, which says that something never ends, is beyond the last time that can be told.
    Some(Offset::UTC.to_timestamp(civil).unwrap_or(Timestamp::MAX))
}

fn end_of(text: &str) -> Option<Timestamp> {
    let end = instant(text)?;
    match text.trim().len() == "2026-03-01".len() {
        true => Some(end.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX)),
        false => Some(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: &str, interval: &str) -> Result<bool, String> {
        holds(interval, now.parse().expect("a time"))
    }

    #[test]
    fn an_interval_holds_from_its_start_to_its_end() {
        let interval = "2026-02-24T11:07+0100/2026-03-01T23:07+0100";
        assert_eq!(at("2026-02-24T10:06:59Z", interval), Ok(false));
        assert_eq!(at("2026-02-24T10:07:00Z", interval), Ok(true));
        assert_eq!(at("2026-03-01T22:07:00Z", interval), Ok(true));
        assert_eq!(at("2026-03-01T22:07:01Z", interval), Ok(false));
    }

    #[test]
    fn seconds_offsets_and_times_may_be_left_out() {
        let check = |interval: &str, expected: bool| {
            assert_eq!(at("2026-03-01T12:00:00Z", interval), Ok(expected), "{interval}");
        };
        check("2026-03-01T13:00:00+01:00/2026-03-02T00:00Z", true);
        check("2026-03-01T13:00:01+01:00/2026-03-02T00:00Z", false);
        check("2026-03-01T12:00 / 2026-03-01T12:00:00", true);
        check("2026-03-01T12:01/2026-03-01T12:02", false);
        check("2026-02-28/2026-03-01", true);
        check("2026-02-27/2026-02-28", false);
        check("2026-02-28/9999-12-31", true);
        check("2026-02-28T00:00Z/9999-12-31T23:59:59Z", true);
        check("2026-03-02/9999-12-31", false);
    }

    #[test]
    fn what_is_no_interval_is_an_error() {
        let check = |interval: &str, expected: &str| {
            let error = at("2026-03-01T12:00:00Z", interval).expect_err(interval);
            assert!(error.contains(expected), "{error}");
        };
        check("soon", "'soon' is no interval");
        check("2026-02-24T11:07+0100", "is no interval");
        check("2026-02-24Z/2026-03-02Z", "is no interval");
        check("2026-02-24T11:07+0100/2026-02-29T23:07+0100", "is no interval");
        check("2026-03-02/2026-03-01T00:00", "ends before it begins");
    }

    #[test]
    fn a_day_has_passed_at_its_end() {
        let check = |time: &str, expected: Result<bool, String>| {
            let now = "2026-03-01T12:00:00Z".parse().expect("a time");
            assert_eq!(has_passed(time, now), expected);
        };
        check("2026-03-01", Ok(false));
        check("2026-02-28", Ok(true));
        check("2026-03-01T13:00+0100", Ok(false));
        check("2026-03-01T12:59+0100", Ok(true));
        for never in ["9999-12-30", "9999-12-31", "9999-12-31T23:59", "9999-12-31T23:59:59Z", "9999-12-31T23:59-0800"] {
            check(never, Ok(false));
        }
        check("soon", Err("'soon' is no time such as 2026-03-01T23:07+0100".to_owned()));
    }
}
