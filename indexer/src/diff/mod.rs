//! What changed between two snapshots, as those want to know it who publish: products, prices, categories, rules.
//!
//! Records are compared in place, field by field, over all segments of both. What is kept of a product is at most the
//! factor of its price, and a bit; what is told of it is bounded by the number of examples asked for.

mod categories;
mod facets;
mod fields;
mod lines;
mod page;
mod prices;
mod records;
mod text;

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result};
use serde::Serialize;
use snapshots::{Digest, Liveness, Snapshot};

pub use categories::{Categories, CategoryChange, Drift};
pub use facets::Facets;
pub use fields::{FieldChange, ValueChange};
pub use lines::{ChangedLine, LineChange, LineDiff};
pub use page::page;
pub use prices::{Band, Direction, Price, PriceMove, PriceMoves};
pub use records::Named;
pub use text::{summary, text};

use categories::CategoryCounts;
use fields::FieldCounts;
use records::{AVAILABILITY, CATEGORY, FieldNumbers, Fields, IMAGES, PRICE, shown};

/// What changed from one snapshot to a newer one.
#[derive(Debug, Default, Serialize)]
pub struct Diff {
    /// None where there is nothing to compare with: a first publish.
    pub before: Option<Side>,
    pub after: Side,
    pub products: Products,
    /// The fields that changed in products which are in both, those first that did in most.
    pub fields: Vec<FieldChange>,
    /// Further fields, which changed in fewer products.
    pub fields_left_out: usize,
    pub prices: PriceMoves,
    pub availability: Vec<AvailabilityMove>,
    pub categories: Categories,
    pub without_images: Lacking,
    pub without_price: Lacking,
    pub facets: Facets,
    pub rules: LineDiff,
    pub settings: LineDiff,
    pub objects: Objects,
}

/// One of the two snapshots.
#[derive(Debug, Default, Serialize)]
pub struct Side {
    pub snapshot: String,
    pub catalogue: String,
    pub currency: String,
    pub products: u64,
    pub size_bytes: u64,
}

/// Which products are in one snapshot, in the other, or in both.
#[derive(Debug, Default, Serialize)]
pub struct Products {
    pub added: Group,
    pub removed: Group,
    /// In both, with some field that differs.
    pub changed: u64,
    pub unchanged: u64,
}

/// How many products, and the first of them in the order of the shop.
#[derive(Debug, Default, Serialize)]
pub struct Group {
    pub count: u64,
    pub examples: Vec<Named>,
}

/// Products whose availability was `from` and is `to`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct AvailabilityMove {
    pub from: String,
    pub to: String,
    pub products: u64,
}

/// Products that lack something.
#[derive(Debug, Default, Serialize)]
pub struct Lacking {
    pub before: u64,
    pub after: u64,
    /// Products that had it before and have none now.
    pub lost: u64,
    pub lost_examples: Vec<Named>,
    /// Of all that lack it now.
    pub examples: Vec<Named>,
}

/// What the newer snapshot is made of, and what of it the older one has too.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Objects {
    pub shared: usize,
    pub shared_bytes: u64,
    /// What a publish over the older one transfers.
    pub new: usize,
    pub new_bytes: u64,
}

/// Compares two snapshots, of which `before` is the older one; up to `examples` products are named of each kind.
///
/// # Errors
/// When a record holds a price that is none.
pub fn compare(before: Option<&Snapshot>, after: &Snapshot, examples: usize) -> Result<Diff> {
    let mut numbers = FieldNumbers::new();
    let mut comparison = Comparison {
        before,
        after,
        attributes_before: before.map(|before| numbers.of_segments(before)).unwrap_or_default(),
        attributes_after: numbers.of_segments(after),
        gone: before.map(all_live).unwrap_or_default(),
        examples,
        diff: Diff::default(),
        fields: FieldCounts::default(),
        availability: BTreeMap::new(),
        categories: CategoryCounts::default(),
    };
    comparison.read_after()?;
    comparison.read_removed();
    Ok(comparison.finish(&numbers.names))
}

/// What is known so far, while products are read one after another.
struct Comparison<'a> {
    before: Option<&'a Snapshot>,
    after: &'a Snapshot,
    /// The numbers of each segment's attributes.
    attributes_before: Vec<Vec<usize>>,
    attributes_after: Vec<Vec<usize>>,
    /// By segment of `before`: the products that have not been met in `after`.
    gone: Vec<Liveness>,
    examples: usize,
    diff: Diff,
    fields: FieldCounts,
    /// Products by what their JSON says before and now.
    availability: BTreeMap<(&'a [u8], &'a [u8]), u64>,
    categories: CategoryCounts<'a>,
}

impl<'a> Comparison<'a> {
    /// Reads every product of the newer snapshot, beside what it was in the older one.
    fn read_after(&mut self) -> Result<()> {
        let (before, after) = (self.before, self.after);
        let (mut was, mut now) = (Fields::default(), Fields::default());
        for (place, part) in after.segments.iter().enumerate() {
            for doc in (0..part.segment.product_count() as u32).filter(|doc| part.is_live(*doc)) {
                let record = part.segment.record(doc);
                now.read(record, &self.attributes_after[place]);
                self.count_after(&now);
                let Some(before) = before else { continue };
                let Some((old_place, old_doc)) = before.find(record.id()) else {
                    self.diff.products.added.add(self.examples, || now.named());
                    continue;
                };
                self.gone[old_place].kill(old_doc);
                was.read(before.segments[old_place].segment.record(old_doc), &self.attributes_before[old_place]);
                self.count_before(&was);
                // What stands in the same place of the same object is the same.
                let same = old_doc == doc && segment_digest(before, old_place) == segment_digest(after, place);
                if same {
                    self.count_unchanged(&was);
                } else {
                    self.count_both(&was, &now).with_context(|| format!("product {}", record.id()))?;
                }
            }
        }
        Ok(())
    }

    /// Reads what is left of the older snapshot.
    fn read_removed(&mut self) {
        let Some(before) = self.before else { return };
        let gone = std::mem::take(&mut self.gone);
        let mut was = Fields::default();
        for (place, (part, gone)) in before.segments.iter().zip(&gone).enumerate() {
            for doc in (0..gone.doc_count()).filter(|doc| gone.is_live(*doc)) {
                was.read(part.segment.record(doc), &self.attributes_before[place]);
                self.count_before(&was);
                self.diff.products.removed.add(self.examples, || was.named());
            }
        }
    }

    fn count_before(&mut self, was: &Fields<'a>) {
        self.categories.before(was.get(CATEGORY));
        self.diff.without_images.before += u64::from(was.get(IMAGES).is_none());
        self.diff.without_price.before += u64::from(was.get(PRICE).is_none());
    }

    fn count_after(&mut self, now: &Fields<'a>) {
        self.categories.after(now.get(CATEGORY));
        for (number, lacking) in [(IMAGES, &mut self.diff.without_images), (PRICE, &mut self.diff.without_price)] {
            if now.get(number).is_none() {
                lacking.after += 1;
                push_up_to(self.examples, &mut lacking.examples, || now.named());
            }
        }
    }

    fn count_unchanged(&mut self, product: &Fields<'a>) {
        self.diff.products.unchanged += 1;
        self.diff.prices.in_both += u64::from(product.get(PRICE).is_some());
    }

    fn count_both(&mut self, was: &Fields<'a>, now: &Fields<'a>) -> Result<()> {
        let examples = self.examples;
        if !self.fields.count(was, now, examples) {
            self.count_unchanged(now);
            return Ok(());
        }
        self.diff.products.changed += 1;
        self.diff.prices.count(was.get(PRICE), now.get(PRICE), examples, || now.named())?;
        for (number, lacking) in [(IMAGES, &mut self.diff.without_images), (PRICE, &mut self.diff.without_price)] {
            if was.get(number).is_some() && now.get(number).is_none() {
                lacking.lost += 1;
                push_up_to(examples, &mut lacking.lost_examples, || now.named());
            }
        }
        let moved = (was.get(AVAILABILITY).unwrap_or_default(), now.get(AVAILABILITY).unwrap_or_default());
        if moved.0 != moved.1 {
            *self.availability.entry(moved).or_default() += 1;
        }
        Ok(())
    }

    fn finish(self, field_names: &[String]) -> Diff {
        let (before, after) = (self.before, self.after);
        let mut availability: Vec<AvailabilityMove> = self
            .availability
            .into_iter()
            .map(|((from, to), products)| AvailabilityMove { from: shown(from, ""), to: shown(to, ""), products })
            .collect();
        availability.sort_by_key(|moved| std::cmp::Reverse(moved.products));
        let (fields, fields_left_out) = self.fields.finish(field_names);
        let text = |of: fn(&Snapshot) -> &str| lines::compare(before.map_or("", of), of(after));
        Diff {
            before: before.map(Side::of),
            after: Side::of(after),
            fields,
            fields_left_out,
            availability,
            categories: self.categories.finish(),
            facets: Facets::of(before, after),
            rules: text(|snapshot| snapshot.rules.as_deref().unwrap_or_default()),
            settings: text(|snapshot| &snapshot.settings),
            objects: Objects::of(before, after),
            ..self.diff
        }
    }
}

impl Side {
    fn of(snapshot: &Snapshot) -> Self {
        let manifest = &snapshot.manifest;
        Self {
            snapshot: manifest.id.to_string(),
            catalogue: manifest.catalogue.clone(),
            currency: snapshot.catalogue.currency.to_string(),
            products: manifest.statistics.product_count,
            size_bytes: manifest.size_bytes(),
        }
    }
}

impl Objects {
    fn of(before: Option<&Snapshot>, after: &Snapshot) -> Self {
        let old = before.into_iter().flat_map(|before| &before.manifest.objects);
        let old: HashSet<&Digest> = old.map(|object| &object.blake3).collect();
        let mut objects = Self::default();
        for object in &after.manifest.objects {
            let (count, bytes) = match old.contains(&object.blake3) {
                true => (&mut objects.shared, &mut objects.shared_bytes),
                false => (&mut objects.new, &mut objects.new_bytes),
            };
            *count += 1;
            *bytes += object.size_bytes;
        }
        objects
    }
}

impl Group {
    fn add(&mut self, limit: usize, product: impl FnOnce() -> Named) {
        self.count += 1;
        push_up_to(limit, &mut self.examples, product);
    }
}

fn push_up_to(limit: usize, list: &mut Vec<Named>, product: impl FnOnce() -> Named) {
    if list.len() < limit {
        list.push(product());
    }
}

fn all_live(snapshot: &Snapshot) -> Vec<Liveness> {
    let all = |count: usize| Liveness::all_live(count as u32);
    let parts = snapshot.segments.iter();
    parts.map(|part| part.liveness.clone().unwrap_or_else(|| all(part.segment.product_count()))).collect()
}

fn segment_digest(snapshot: &Snapshot, place: usize) -> Option<&Digest> {
    snapshot.manifest.segments.get(place).map(|part| &part.segment)
}
