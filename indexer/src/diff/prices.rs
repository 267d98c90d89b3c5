//! How prices moved: how many and by how much, and which moved most.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use snapshots::{Currency, Money};

use super::records::Named;
use crate::percent::Percent;

/// Where the bands of moves end, in percent of the price before.
const BAND_ENDS: [u64; 6] = [1, 5, 10, 25, 50, 100];

/// A price as records hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub amount_minor: i64,
    pub currency: Currency,
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Money::from_minor(self.amount_minor, self.currency))
    }
}

/// How the prices of products that are in both snapshots moved.
#[derive(Debug, Default, Serialize)]
pub struct PriceMoves {
    /// Products that have a price in both.
    pub in_both: u64,
    pub raised: u64,
    pub lowered: u64,
    /// Products that had no price and have one now.
    pub gained: u64,
    /// Products that had a price and have none now.
    pub lost: u64,
    /// Products whose price is in another currency now, which no percentage tells.
    pub currency_changed: u64,
    pub currency_examples: Vec<PriceMove>,
    /// The bands in which some price moved, rises first.
    pub bands: Vec<Band>,
    /// By factor, largest first.
    pub largest_rises: Vec<PriceMove>,
    pub largest_falls: Vec<PriceMove>,
    /// By what factor each price moved, so that any bound can be judged exactly: 16 bytes for each of them.
    #[serde(skip)]
    pub(crate) factors: Vec<Factor>,
}

/// How many prices moved so far in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Band {
    pub direction: Direction,
    pub over_percent: u64,
    /// None in the last band, which has no end.
    pub up_to_percent: Option<u64>,
    pub products: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up,
    Down,
}

/// The price of one product before and now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceMove {
    #[serde(flatten)]
    pub product: Named,
    pub before: Price,
    pub after: Price,
    /// Of the price before, cut to whole percents. None where that was nothing, or in another currency.
    pub change_percent: Option<i64>,
    #[serde(skip)]
    pub(crate) factor: Factor,
}

/// By what a price was multiplied or divided: the larger of two amounts over the smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Factor {
    larger: u64,
    smaller: u64,
}

impl Factor {
    pub(crate) fn of(before: u64, after: u64) -> Self {
        Self { larger: before.max(after), smaller: before.min(after) }
    }

    /// Whether the larger amount is by more than `percent` above the smaller: so a price that slipped by a digit counts
    /// the same in both directions.
    pub(crate) fn is_beyond(self, percent: Percent) -> bool {
        percent.is_exceeded_by(self.larger - self.smaller, self.smaller)
    }

    /// Compares two fractions by multiplying crosswise. What came from nothing, or went to nothing, moved most.
    pub(crate) fn compare(self, other: Self) -> Ordering {
        let cross = |one: Self, two: Self| u128::from(one.larger) * u128::from(two.smaller);
        cross(self, other).cmp(&cross(other, self))
    }
}

impl PriceMoves {
    /// How many prices moved by more than `percent` of the smaller of both prices, up or down.
    pub fn beyond(&self, percent: Percent) -> u64 {
        self.factors.iter().filter(|factor| factor.is_beyond(percent)).count() as u64
    }

    /// Counts a product that is in both snapshots by the JSON of its prices. Keeps up to `limit` of each kind.
    ///
    /// # Errors
    /// When a price is none.
    pub(crate) fn count(
        &mut self,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
        limit: usize,
        product: impl FnOnce() -> Named,
    ) -> Result<()> {
        match (before, after) {
            (None, None) => {}
            (None, Some(_)) => self.gained += 1,
            (Some(_), None) => self.lost += 1,
            (Some(before), Some(after)) => {
                self.in_both += 1;
                if before != after {
                    self.moved(read(before)?, read(after)?, limit, product);
                }
            }
        }
        Ok(())
    }

    fn moved(&mut self, before: Price, after: Price, limit: usize, product: impl FnOnce() -> Named) {
        let (from, to) = (unsigned(before), unsigned(after));
        let factor = Factor::of(from, to);
        let change_percent = (before.currency == after.currency).then(|| change_percent(from, to)).flatten();
        let moved = || PriceMove { product: product(), before, after, change_percent, factor };
        if before.currency != after.currency {
            self.currency_changed += 1;
            if self.currency_examples.len() < limit {
                self.currency_examples.push(moved());
            }
            return;
        }
        self.factors.push(factor);
        let list = match to > from {
            true => {
                self.raised += 1;
                &mut self.largest_rises
            }
            false => {
                self.lowered += 1;
                &mut self.largest_falls
            }
        };
        // Of two that moved by the same factor, the one that stands first in the shop stays.
        let place = list.partition_point(|kept| kept.factor.compare(factor).is_ge());
        if place < limit {
            list.insert(place, moved());
            list.truncate(limit);
        }
        self.count_in_band(from, to);
    }

    fn count_in_band(&mut self, from: u64, to: u64) {
        let direction = if to > from { Direction::Up } else { Direction::Down };
        let within = |end: &u64| !Percent::whole(*end).is_exceeded_by(from.abs_diff(to), from);
        let place = BAND_ENDS.iter().position(within).unwrap_or(BAND_ENDS.len());
        let over_percent = if place == 0 { 0 } else { BAND_ENDS[place - 1] };
        let is_it = |band: &Band| band.direction == direction && band.over_percent == over_percent;
        match self.bands.iter().position(is_it) {
            Some(at) => self.bands[at].products += 1,
            None => {
                let up_to_percent = BAND_ENDS.get(place).copied();
                self.bands.push(Band { direction, over_percent, up_to_percent, products: 1 });
                self.bands.sort_by_key(|band| (band.direction == Direction::Down, band.over_percent));
            }
        }
    }
}

fn read(json: &[u8]) -> Result<Price> {
    serde_json::from_slice(json).with_context(|| format!("'{}' is no price", String::from_utf8_lossy(json)))
}

/// No product has a price below nothing.
fn unsigned(price: Price) -> u64 {
    u64::try_from(price.amount_minor).unwrap_or(0)
}

fn change_percent(from: u64, to: u64) -> Option<i64> {
    let change = (i128::from(to) - i128::from(from)) * 100;
    i64::try_from(change.checked_div(i128::from(from))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(prices: &[(i64, i64)], limit: usize) -> PriceMoves {
        let json = |amount| format!(r#"{{"amount_minor":{amount},"currency":"EUR"}}"#);
        let mut moves = PriceMoves::default();
        for (number, (before, after)) in prices.iter().enumerate() {
            let (before, after) = (json(*before), json(*after));
            let named = || Named { id: number.to_string(), ..Default::default() };
            moves.count(Some(before.as_bytes()), Some(after.as_bytes()), limit, named).expect("prices");
        }
        moves
    }

    #[test]
    fn moves_fall_into_bands_by_their_share_of_the_price_before() {
        let moves = moves(&[(100, 101), (100, 102), (100, 200), (100, 201), (100, 75), (100, 0), (0, 5), (7, 7)], 10);
        assert_eq!((moves.in_both, moves.raised, moves.lowered), (8, 5, 2));
        let bands: Vec<_> = moves
            .bands
            .iter()
            .map(|band| (band.direction, band.over_percent, band.up_to_percent, band.products))
            .collect();
        assert_eq!(
            bands,
            [
                (Direction::Up, 0, Some(1), 1),
                (Direction::Up, 1, Some(5), 1),
                (Direction::Up, 50, Some(100), 1),
                (Direction::Up, 100, None, 2),
                (Direction::Down, 10, Some(25), 1),
                (Direction::Down, 50, Some(100), 1),
            ]
        );
    }

    #[test]
    fn the_largest_moves_are_kept_by_factor() {
        let moves = moves(&[(100, 150), (1_000_000, 1_100_000), (10, 100), (5, 50), (100, 10), (100, 99)], 2);
        let ids = |list: &[PriceMove]| list.iter().map(|one| one.product.id.clone()).collect::<Vec<_>>();
        assert_eq!(
            (ids(&moves.largest_rises), ids(&moves.largest_falls)),
            (vec!["2".into(), "3".into()], vec!["4".into(), "5".into()])
        );
        assert_eq!(moves.largest_rises[0].change_percent, Some(900));
        assert_eq!(moves.largest_falls[0].change_percent, Some(-90));
        // A digit too many and a digit too few are the same slip.
        assert_eq!((moves.beyond(Percent::whole(899)), moves.beyond(Percent::whole(900))), (3, 0));
    }

    #[test]
    fn another_currency_is_no_move() {
        let mut moves = PriceMoves::default();
        let (before, after) =
            (br#"{"amount_minor":100,"currency":"EUR"}"#, br#"{"amount_minor":100,"currency":"USD"}"#);
        moves.count(Some(before), Some(after), 1, Named::default).expect("prices");
        moves.count(None, Some(after), 1, Named::default).expect("prices");
        moves.count(Some(after), None, 1, Named::default).expect("prices");
        assert_eq!((moves.currency_changed, moves.raised, moves.gained, moves.lost), (1, 0, 1, 1));
        assert_eq!(moves.currency_examples[0].after.to_string(), "1.00 USD");
    }
}
