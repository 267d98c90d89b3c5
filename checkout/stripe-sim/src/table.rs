//! Objects by id and in the order they were made, of which a bounded number is kept.

use std::collections::{BTreeMap, HashMap};

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// How many of the oldest objects are looked at for one that is final, when one has to go.
const MAX_LOOKS: usize = 1_000;

/// What can be kept in a table.
pub(crate) trait Row {
    /// How many are kept.
    const MAX_ROWS: usize;
    /// What it is called in messages.
    const NAME: &'static str;

    fn id(&self) -> &str;
    fn created_s(&self) -> i64;
    /// Whether nothing can happen to it any more.
    fn is_final(&self) -> bool;
}

pub(crate) struct Table<T> {
    rows: BTreeMap<u64, T>,
    places: HashMap<String, u64>,
    made: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), places: HashMap::new(), made: 0 }
    }
}

impl<T: Row> Table<T> {
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(self.places.get(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(self.places.get(id)?)
    }

    /// The place of an object among all that were made.
    pub(crate) fn place(&self, id: &str) -> Option<u64> {
        self.places.get(id).copied()
    }

    /// Adds the newest object. The oldest final one goes where there are too many.
    pub(crate) fn insert(&mut self, row: T) {
        self.made += 1;
        self.places.insert(row.id().to_owned(), self.made);
        self.rows.insert(self.made, row);
        while self.rows.len() > T::MAX_ROWS {
            let oldest_final = self.rows.iter().take(MAX_LOOKS).find(|(_, row)| row.is_final());
            let Some(place) = oldest_final.or(self.rows.first_key_value()).map(|(place, _)| *place) else { return };
            if let Some(row) = self.rows.remove(&place) {
                self.places.remove(row.id());
            }
        }
    }

    /// The newest first, of those made before `place`.
    pub(crate) fn before(&self, place: u64) -> impl Iterator<Item = &T> {
        self.rows.range(..place).rev().map(|(_, row)| row)
    }

    /// The oldest first, of those made after `place`.
    pub(crate) fn after(&self, place: u64) -> impl Iterator<Item = &T> {
        self.rows.range(place.saturating_add(1)..).map(|(_, row)| row)
    }

    /// The newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.rows.values().rev()
    }

    /// The oldest first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }
}

impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.values())
    }
}

impl<'de, T: Row + Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        Vec::<T>::deserialize(deserializer)?.into_iter().for_each(|row| table.insert(row));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Letter {
        id: &'static str,
        is_final: bool,
    }

    impl Row for Letter {
        const MAX_ROWS: usize = 2;
        const NAME: &'static str = "letter";

        fn id(&self) -> &str {
            self.id
        }

        fn created_s(&self) -> i64 {
            0
        }

        fn is_final(&self) -> bool {
            self.is_final
        }
    }

    #[test]
    fn the_oldest_final_object_goes_first() {
        let mut table = Table::default();
        for (id, is_final) in [("a", false), ("b", true), ("c", true)] {
            table.insert(Letter { id, is_final });
        }
        let ids: Vec<&str> = table.newest_first().map(Row::id).collect();
        assert_eq!(ids, ["c", "a"]);
        assert!(table.get("b").is_none() && table.get("a").is_some());
        let place = table.place("c").expect("its place");
        assert_eq!(table.before(place).map(Row::id).collect::<Vec<_>>(), ["a"]);
        assert_eq!(table.after(place).count(), 0);
        table.insert(Letter { id: "d", is_final: false });
        table.insert(Letter { id: "e", is_final: false });
        assert_eq!(table.oldest_first().map(Row::id).collect::<Vec<_>>(), ["d", "e"], "none is final: the oldest goes");
    }
}
