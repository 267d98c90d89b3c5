//! Lists: pages of objects, the newest first, by cursors and by time.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::params::Fields;
use crate::table::{Row, Table};

const DEFAULT_LIMIT: i64 = 10;
const MAX_LIMIT: i64 = 100;

/// Which page of a list is asked for.
#[derive(Debug)]
pub(crate) struct Page {
    limit: usize,
    starting_after: Option<String>,
    ending_before: Option<String>,
    created: Range,
}

/// Bounds of a time; those that are not given are open.
#[derive(Debug, Default)]
struct Range {
    least_s: Option<i64>,
    most_s: Option<i64>,
}

impl Page {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let limit = fields.integer("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("limit must be from 1 to {MAX_LIMIT}.");
            return Err(ApiError::invalid(Some("parameter_invalid_integer"), "limit", message));
        }
        let (starting_after, ending_before) = (fields.text("starting_after")?, fields.text("ending_before")?);
        if starting_after.is_some() && ending_before.is_some() {
            let message = "starting_after and ending_before cannot be given together.";
            return Err(ApiError::invalid(Some("parameters_exclusive"), "ending_before", message));
        }
        Ok(Self { limit: limit as usize, starting_after, ending_before, created: Range::read(fields)? })
    }

    /// The objects of the page that `keep` keeps, as `show` shows them.
    pub(crate) fn of<T: Row>(
        &self,
        table: &Table<T>,
        url: &str,
        keep: impl Fn(&T) -> bool,
        show: impl Fn(&T) -> Value,
    ) -> Result<Value, ApiError> {
        let place = |param: &str, id: &str| table.place(id).ok_or_else(|| ApiError::missing(T::NAME, param, id));
        let wanted = |row: &&T| self.created.contains(row.created_s()) && keep(row);
        // One more than the page holds tells whether there is more.
        let mut rows: Vec<&T> = match (&self.starting_after, &self.ending_before) {
            (Some(id), _) => table.before(place("starting_after", id)?).filter(wanted).take(self.limit + 1).collect(),
            (None, Some(id)) => table.after(place("ending_before", id)?).filter(wanted).take(self.limit + 1).collect(),
            (None, None) => table.newest_first().filter(wanted).take(self.limit + 1).collect(),
        };
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.ending_before.is_some() {
            rows.reverse();
        }
        let data: Vec<Value> = rows.into_iter().map(show).collect();
        Ok(list_json(data, has_more, url))
    }
}

impl Range {
    /// `created=1`, or `created[gt|gte|lt|lte]=1`.
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        if !fields.has("created") {
            return Ok(Self::default());
        }
        if !fields.is_group("created") {
            let at_s = fields.integer("created")?;
            return Ok(Self { least_s: at_s, most_s: at_s });
        }
        let Some(mut group) = fields.group("created")? else { return Ok(Self::default()) };
        let after_s = group.integer("gt")?.map(|bound_s| bound_s.saturating_add(1));
        let from_s = group.integer("gte")?;
        let before_s = group.integer("lt")?.map(|bound_s| bound_s.saturating_sub(1));
        let until_s = group.integer("lte")?;
        group.finish()?;
        // None is less than any bound, so that the greater of two lower bounds is the one that counts.
        let most_s = [before_s, until_s].into_iter().flatten().min();
        Ok(Self { least_s: after_s.max(from_s), most_s })
    }

    fn contains(&self, time_s: i64) -> bool {
        self.least_s.is_none_or(|least_s| time_s >= least_s) && self.most_s.is_none_or(|most_s| time_s <= most_s)
    }
}

/// A list as the API shows it.
pub(crate) fn list_json(data: Vec<Value>, has_more: bool, url: &str) -> Value {
    json!({ "object": "list", "data": data, "has_more": has_more, "url": url })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form;

    struct Number(String, i64);

    impl Row for Number {
        const MAX_ROWS: usize = 100;
        const NAME: &'static str = "number";

        fn id(&self) -> &str {
            &self.0
        }

        fn created_s(&self) -> i64 {
            self.1
        }

        fn is_final(&self) -> bool {
            true
        }
    }

    fn ids(query: &str) -> (Vec<i64>, bool) {
        let mut table = Table::default();
        (1..=5).for_each(|number| table.insert(Number(format!("n{number}"), number)));
        let mut fields = Fields::new(form::parse(query.as_bytes()).expect("parameters"));
        let page = Page::read(&mut fields).expect("a page");
        fields.finish().expect("all is read");
        let list = page.of(&table, "/v1/numbers", |_| true, |row| json!(row.1)).expect("a list");
        let data = list["data"].as_array().expect("data").iter().filter_map(Value::as_i64).collect();
        (data, list["has_more"] == true)
    }

    #[test]
    fn pages_follow_each_other_in_both_directions() {
        assert_eq!(ids("limit=2"), (vec![5, 4], true));
        assert_eq!(ids("limit=2&starting_after=n4"), (vec![3, 2], true));
        assert_eq!(ids("limit=2&starting_after=n2"), (vec![1], false));
        assert_eq!(ids("limit=2&ending_before=n2"), (vec![4, 3], true));
        assert_eq!(ids("limit=3&ending_before=n2"), (vec![5, 4, 3], false));
    }

    #[test]
    fn times_bound_lists() {
        assert_eq!(ids("created[gte]=2&created[lt]=4").0, [3, 2]);
        assert_eq!(ids("created[gt]=2&created[gte]=1&created[lte]=4").0, [4, 3]);
        assert_eq!(ids("created=3").0, [3]);
    }
}
