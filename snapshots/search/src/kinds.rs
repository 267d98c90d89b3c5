//! Learns from titles and product types which words name a type though another word follows.
//!
//! In "camera bag" the bag is meant; in "notebook PC" the notebook is, and what follows says the same again. A catalogue
//! tells the two apart: products with "notebook PC" in their title have the type notebook, those with "camera bag" are no
//! cameras.

use std::collections::HashMap;

use crate::vocabulary::{Lead, LeadPart};

/// Fewer products than this, or a smaller share of those with both words, may be mistaken about their type.
const MIN_PRODUCTS: u32 = 2;
const MIN_SHARE: u32 = 20;

/// Marks the words of titles that name a type before another word as ends of their groups. `stems` has each word's stem,
/// `ends` where each product's words end.
pub(crate) fn mark(leads: &mut [Lead], stems: &[u32], ends: &[u32]) {
    let of_type = named(leads, stems, ends);
    let pair = |at: usize| of_type.get(&(stems[at], *stems.get(at + 1)?));
    let all: Vec<bool> =
        (0..leads.len()).map(|at| is_inner(leads, at) && pair(at).is_some_and(|count| count.names_type())).collect();
    leads.iter_mut().zip(all).for_each(|(lead, names_type)| lead.ends_group |= names_type);
}

/// How many titles have two words side by side, and in how many of them the first is the product's type.
#[derive(Default)]
struct Count {
    of_type: u32,
    all: u32,
}

impl Count {
    fn names_type(&self) -> bool {
        self.of_type >= MIN_PRODUCTS && self.of_type * MIN_SHARE >= self.all
    }
}

/// The pairs of which the first word is ever the type of its product.
fn named(leads: &[Lead], stems: &[u32], ends: &[u32]) -> HashMap<(u32, u32), Count> {
    let mut counts: HashMap<(u32, u32), Count> = HashMap::new();
    let mut start = 0;
    for end in ends.iter().map(|end| *end as usize) {
        let is_type = |at: &usize| leads[*at].part == LeadPart::Type && leads[*at].ends_group;
        let types: Vec<u32> = (start..end).filter(is_type).map(|at| stems[at]).collect();
        for at in (start..end).filter(|at| is_inner(leads, *at) && types.contains(&stems[*at])) {
            counts.entry((stems[at], stems[at + 1])).or_default().of_type += 1;
        }
        start = end;
    }
    for at in (0..leads.len()).filter(|at| is_inner(leads, *at)) {
        counts.entry((stems[at], stems[at + 1])).and_modify(|count| count.all += 1);
    }
    counts
}

/// Whether another word of the title follows in the same group.
fn is_inner(leads: &[Lead], at: usize) -> bool {
    leads[at].part == LeadPart::Title && !leads[at].ends_group
}
