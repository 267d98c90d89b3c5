//! Which fields changed, in how many products, and from what to what.

use serde::Serialize;

use super::records::{Fields, Named, shown_field};

/// Bounds on what is told of fields.
pub(super) mod limits {
    /// Fields that are told, those that changed most.
    pub const FIELDS: usize = 200;
    /// Examples over all fields: attributes are many.
    pub const EXAMPLES: usize = 10_000;
    /// Characters of one value.
    pub const VALUE_CHARS: usize = 200;
    /// Characters in front of the first one that differs, where a value is too long to be shown from its beginning.
    pub const LEAD_CHARS: usize = 40;
}

/// How one field changed, over all products that are in both snapshots.
#[derive(Debug, Default, Serialize)]
pub struct FieldChange {
    /// A product's field, or `attributes.NAME`.
    pub field: String,
    /// Products in which it changed.
    pub products: u64,
    /// How many of them did not have it before.
    pub gained: u64,
    /// How many of them no longer have it.
    pub lost: u64,
    /// The first of them, in the order of the shop.
    pub examples: Vec<ValueChange>,
}

/// What a field of one product said before and says now.
#[derive(Debug, Serialize)]
pub struct ValueChange {
    #[serde(flatten)]
    pub product: Named,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Counts changes by the numbers of fields.
#[derive(Default)]
pub(super) struct FieldCounts {
    changes: Vec<FieldChange>,
    examples: usize,
}

impl FieldCounts {
    /// Counts what differs between a product before and now; returns whether anything does.
    pub fn count<'a>(&mut self, was: &Fields<'a>, now: &Fields<'a>, examples_each: usize) -> bool {
        let mut changed = false;
        was.differences(now, |number, before, after| {
            changed = true;
            if self.changes.len() <= number {
                self.changes.resize_with(number + 1, FieldChange::default);
            }
            let change = &mut self.changes[number];
            change.products += 1;
            change.gained += u64::from(before.is_none());
            change.lost += u64::from(after.is_none());
            if change.examples.len() < examples_each && self.examples < limits::EXAMPLES {
                self.examples += 1;
                let shown = |json: Option<&[u8]>| json.map(|json| shown_field(number, json));
                let (before, after) = excerpts(shown(before), shown(after));
                change.examples.push(ValueChange { product: now.named(), before, after });
            }
        });
        changed
    }

    /// The fields that changed, those first that did in most products, and how many are left out.
    pub fn finish(self, names: &[String]) -> (Vec<FieldChange>, usize) {
        let named = self.changes.into_iter().zip(names);
        let mut changes: Vec<FieldChange> =
            named.map(|(change, name)| FieldChange { field: name.clone(), ..change }).collect();
        changes.retain(|change| change.products > 0);
        changes.sort_by(|a, b| b.products.cmp(&a.products).then_with(|| a.field.cmp(&b.field)));
        let left_out = changes.len().saturating_sub(limits::FIELDS);
        changes.truncate(limits::FIELDS);
        (changes, left_out)
    }
}

/// Both values, cut to where they begin to differ where they are long.
fn excerpts(before: Option<String>, after: Option<String>) -> (Option<String>, Option<String>) {
    let common = match (&before, &after) {
        (Some(before), Some(after)) => before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.chars().count() > limits::VALUE_CHARS);
    let skip = if long(&before) || long(&after) { common.saturating_sub(limits::LEAD_CHARS) } else { 0 };
    let cut = |text: String| excerpt(&text, skip);
    (before.map(cut), after.map(cut))
}

/// A text without its first `skip` characters, and not longer than is shown of one value.
pub(super) fn excerpt(text: &str, skip: usize) -> String {
    let mut rest = text.chars().skip(skip);
    let mut out = String::new();
    if skip > 0 {
        out.push('…');
    }
    out.extend(rest.by_ref().take(limits::VALUE_CHARS));
    if rest.next().is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let same = "x".repeat(300);
        let (before, after) = excerpts(Some(format!("{same}old")), Some(format!("{same}new")));
        let lead = "x".repeat(limits::LEAD_CHARS);
        assert_eq!((before, after), (Some(format!("…{lead}old")), Some(format!("…{lead}new"))));
        assert_eq!(excerpts(Some("a".into()), None), (Some("a".into()), None));
        let (cut, _) = excerpts(Some("é".repeat(300)), None);
        assert_eq!(cut.map(|text| text.chars().count()), Some(limits::VALUE_CHARS + 1));
    }
}
