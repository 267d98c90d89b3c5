//! Writes a segment: products in static-rank order become records, columns, facet rows and an id table.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;

use rkyv::rancor;
use rkyv::ser::allocator::Arena;
use rkyv::util::AlignedVec;

use super::record::Record;
use super::sections::SectionWriter;
use super::{ABSENT, FacetInfo, NumberInfo, id_hash};
use crate::catalogue::{Catalogue, FacetKind};
use crate::error::Error;
use crate::money::Decimal;
use crate::product::Product;

/// Documents are numbered with 32 bits, and rows are addressed with 32 bits.
const MAX_PRODUCTS: usize = 100_000_000;
/// More distinct values in one facet are not something that a shopper picks from.
const MAX_FACET_VALUES: usize = 1 << 20;
/// Attribute names are held in memory by every reader.
const MAX_ATTRIBUTE_NAMES: usize = 100_000;

/// Takes products in order and writes everything but the text index, which its caller appends.
pub struct SegmentWriter<W: Write> {
    sections: SectionWriter<W>,
    numbers: Vec<NumberColumn>,
    facets: Vec<FacetColumn>,
    attributes: AttributeNames,
    record_offsets: Vec<u64>,
    record_buffer: AlignedVec<16>,
    record_arena: Arena,
    static_ranks: Vec<u32>,
    groups: Vec<u64>,
    ids: Vec<(u64, u32)>,
    last: Option<(u32, String)>,
}

struct NumberColumn {
    name: String,
    decimals: u8,
    values: Vec<i64>,
    /// Products whose attribute of this name is no number.
    unread: u64,
}

/// What the columns of a segment came to hold.
pub struct ColumnReport {
    pub facets: Vec<FacetInfo>,
    /// How many products have an attribute that should be a number and is none, by its name.
    pub unread_numbers: Vec<(String, u64)>,
}

/// One facet while it is gathered: values are numbered as they come, and renumbered in order at the end.
struct FacetColumn {
    name: String,
    kind: FacetKind,
    numbers: HashMap<String, u32>,
    /// The values of every document, and where each document's end.
    values: Vec<u32>,
    ends: Vec<u32>,
}

#[derive(Default)]
struct AttributeNames {
    private: BTreeSet<String>,
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl AttributeNames {
    /// The attribute's number, or None for one that must not be written.
    fn key(&mut self, name: &str) -> Option<u32> {
        if self.private.contains(name) {
            return None;
        }
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        Some(number)
    }
}

impl<W: Write> SegmentWriter<W> {
    /// # Errors
    /// When writing fails, here and below.
    pub fn new(out: W, catalogue: &Catalogue) -> Result<Self, Error> {
        let mut sections = SectionWriter::new(out).map_err(write_error)?;
        sections.begin("records").map_err(write_error)?;
        let number = |name: &str| NumberColumn {
            name: name.to_owned(),
            decimals: catalogue.number_decimals(name).unwrap_or(0),
            values: Vec::new(),
            unread: 0,
        };
        let facet = |facet: &crate::catalogue::Facet| FacetColumn {
            name: facet.name.clone(),
            kind: facet.kind,
            numbers: HashMap::new(),
            values: Vec::new(),
            ends: Vec::new(),
        };
        Ok(Self {
            sections,
            numbers: catalogue.number_names().into_iter().map(number).collect(),
            facets: catalogue.value_facets().map(facet).collect(),
            attributes: AttributeNames { private: catalogue.private_attributes.clone(), ..Default::default() },
            record_offsets: vec![0],
            record_buffer: AlignedVec::new(),
            record_arena: Arena::new(),
            static_ranks: Vec::new(),
            groups: Vec::new(),
            ids: Vec::new(),
            last: None,
        })
    }

    /// Adds the next product. Products come by falling static rank, and by id where ranks are equal.
    ///
    /// # Errors
    /// When the order is broken, a bound is passed, or writing fails.
    pub fn add(&mut self, product: &Product) -> Result<(), Error> {
        let rank = product.static_rank();
        let id = product.id.as_str();
        if let Some((last_rank, last_id)) = &self.last
            && (*last_rank < rank || (*last_rank == rank && last_id.as_str() >= id))
        {
            return Err(Error::TooLarge(format!("product '{id}' is out of order, or stands twice")));
        }
        let doc = self.static_ranks.len();
        if doc == MAX_PRODUCTS {
            return Err(Error::TooLarge(format!("more than {MAX_PRODUCTS} products")));
        }
        self.last = Some((rank, id.to_owned()));
        self.ids.push((id_hash(id), doc as u32));
        self.static_ranks.push(rank);
        self.groups.push(product.variant_group.as_deref().map_or(0, id_hash));
        for column in &mut self.numbers {
            let value = number_of(product, &column.name, column.decimals);
            column.unread += u64::from(value.is_none() && product.attributes.contains_key(&column.name));
            column.values.push(value.unwrap_or(ABSENT));
        }
        for column in &mut self.facets {
            column.add(product)?;
        }
        self.write_record(product)
    }

    fn write_record(&mut self, product: &Product) -> Result<(), Error> {
        let record = Record::new(product, |name| self.attributes.key(name));
        if self.attributes.names.len() > MAX_ATTRIBUTE_NAMES {
            return Err(Error::TooLarge(format!("more than {MAX_ATTRIBUTE_NAMES} attribute names")));
        }
        self.record_buffer.clear();
        let buffer = std::mem::take(&mut self.record_buffer);
        let arena = self.record_arena.acquire();
        let written = rkyv::api::high::to_bytes_in_with_alloc::<_, _, rancor::Error>(&record, buffer, arena);
        self.record_buffer = written.map_err(|error| Error::TooLarge(error.to_string()))?;
        self.sections.write_all(&self.record_buffer).map_err(write_error)?;
        let end = self.record_offsets[self.record_offsets.len() - 1] + self.record_buffer.len() as u64;
        self.record_offsets.push(end);
        Ok(())
    }

    /// Writes the columns and hands over the container for the text index to be added, with what each facet holds.
    ///
    /// # Errors
    /// When two products share an id, or writing fails.
    pub fn finish(mut self) -> Result<(SectionWriter<W>, ColumnReport), Error> {
        self.ids.sort_unstable();
        if self.ids.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::TooLarge("two products have the same id".to_owned()));
        }
        let facets = self.write_columns().map_err(write_error)?;
        let unread = self.numbers.into_iter().filter(|column| column.unread > 0);
        let unread_numbers = unread.map(|column| (column.name, column.unread)).collect();
        Ok((self.sections, ColumnReport { facets, unread_numbers }))
    }

    fn write_columns(&mut self) -> std::io::Result<Vec<FacetInfo>> {
        let out = &mut self.sections;
        out.section("record_offsets", bytemuck::cast_slice(&self.record_offsets))?;
        let names = serde_json::to_vec(&self.attributes.names).map_err(std::io::Error::other)?;
        out.section("attribute_names", &names)?;
        out.section("static_ranks", bytemuck::cast_slice(&self.static_ranks))?;
        out.section("groups", bytemuck::cast_slice(&self.groups))?;
        let hashes: Vec<u64> = self.ids.iter().map(|(hash, _)| *hash).collect();
        out.section("id_hashes", bytemuck::cast_slice(&hashes))?;
        let docs: Vec<u32> = self.ids.iter().map(|(_, doc)| *doc).collect();
        out.section("id_docs", bytemuck::cast_slice(&docs))?;
        let infos = self.numbers.iter();
        let infos: Vec<NumberInfo> =
            infos.map(|column| NumberInfo { name: column.name.clone(), decimals: column.decimals }).collect();
        out.section("numbers", &serde_json::to_vec(&infos).map_err(std::io::Error::other)?)?;
        for column in &self.numbers {
            out.section(&format!("number/{}", column.name), bytemuck::cast_slice(&column.values))?;
        }
        write_facets(out, &mut self.facets, self.static_ranks.len())
    }
}

impl FacetColumn {
    fn add(&mut self, product: &Product) -> Result<(), Error> {
        let start = self.values.len();
        match (self.name.as_str(), self.kind) {
            (_, FacetKind::Hierarchy) => product.category_paths().for_each(|path| self.push(&path)),
            ("category", _) => product.category.last().into_iter().for_each(|level| self.push(level)),
            ("brand", _) => product.brand.iter().for_each(|brand| self.push(brand)),
            ("availability", _) => self.push(product.availability.as_str()),
            ("group", _) => product.variant_group.iter().for_each(|group| self.push(group)),
            (name, _) => {
                let values = product.attributes.get(name).map_or(&[][..], |value| value.values());
                values.iter().for_each(|value| self.push(value));
            }
        }
        // A value that a product lists twice counts once.
        self.values[start..].sort_unstable();
        let mut kept = start;
        for at in start..self.values.len() {
            if kept == start || self.values[kept - 1] != self.values[at] {
                self.values[kept] = self.values[at];
                kept += 1;
            }
        }
        self.values.truncate(kept);
        self.ends.push(u32::try_from(kept).map_err(|_| Error::TooLarge("more than 2^32 facet values".into()))?);
        match self.numbers.len() > MAX_FACET_VALUES {
            true => Err(Error::TooLarge(format!("facet '{}' has over {MAX_FACET_VALUES} values", self.name))),
            false => Ok(()),
        }
    }

    fn push(&mut self, value: &str) {
        if value.is_empty() {
            return;
        }
        let next = self.numbers.len() as u32;
        let number = match self.numbers.get(value) {
            Some(number) => *number,
            None => *self.numbers.entry(value.to_owned()).or_insert(next),
        };
        self.values.push(number);
    }
}

/// Writes the dictionary, a row of value ids for each document, and a list of documents for each value.
/// Ids run through all facets: a facet's values are a range of them, in the order of their text.
fn write_facets<W: Write>(
    out: &mut SectionWriter<W>,
    facets: &mut [FacetColumn],
    docs: usize,
) -> std::io::Result<Vec<FacetInfo>> {
    let mut infos = Vec::new();
    let mut value_offsets: Vec<u32> = vec![0];
    let mut value_bytes: Vec<u8> = Vec::new();
    for facet in facets.iter_mut() {
        let first = (value_offsets.len() - 1) as u32;
        let mut sorted: Vec<(String, u32)> = std::mem::take(&mut facet.numbers).into_iter().collect();
        sorted.sort_unstable();
        let mut new_ids = vec![0; sorted.len()];
        for (place, (text, number)) in sorted.iter().enumerate() {
            new_ids[*number as usize] = first + place as u32;
            value_bytes.extend_from_slice(text.as_bytes());
            value_offsets.push(u32::try_from(value_bytes.len()).map_err(std::io::Error::other)?);
        }
        facet.values.iter_mut().for_each(|value| *value = new_ids[*value as usize]);
        let hierarchy = facet.kind == FacetKind::Hierarchy;
        infos.push(FacetInfo { name: facet.name.clone(), hierarchy, first, count: sorted.len() as u32 });
    }
    let value_count = value_offsets.len() - 1;
    let (row_offsets, rows) = facet_rows(facets, docs).ok_or_else(|| std::io::Error::other("too many facet values"))?;
    let (list_offsets, lists) = invert(&row_offsets, &rows, value_count);
    out.section("facets", &serde_json::to_vec(&infos).map_err(std::io::Error::other)?)?;
    out.section("facet_value_offsets", bytemuck::cast_slice(&value_offsets))?;
    out.section("facet_value_bytes", &value_bytes)?;
    out.section("facet_row_offsets", bytemuck::cast_slice(&row_offsets))?;
    out.section("facet_rows", bytemuck::cast_slice(&rows))?;
    out.section("facet_list_offsets", bytemuck::cast_slice(&list_offsets))?;
    out.section("facet_lists", bytemuck::cast_slice(&lists))?;
    Ok(infos)
}

/// One row a document, its values of all facets side by side and rising.
fn facet_rows(facets: &[FacetColumn], docs: usize) -> Option<(Vec<u32>, Vec<u32>)> {
    let mut offsets = vec![0];
    let mut rows = Vec::with_capacity(facets.iter().map(|facet| facet.values.len()).sum());
    for doc in 0..docs {
        let start = rows.len();
        for facet in facets {
            let from = if doc == 0 { 0 } else { facet.ends[doc - 1] };
            rows.extend_from_slice(&facet.values[from as usize..facet.ends[doc] as usize]);
        }
        rows[start..].sort_unstable();
        offsets.push(u32::try_from(rows.len()).ok()?);
    }
    Some((offsets, rows))
}

/// Turns rows (document to values) into lists (value to documents, rising).
fn invert(row_offsets: &[u32], rows: &[u32], value_count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut offsets = vec![0_u32; value_count + 1];
    for value in rows {
        offsets[*value as usize + 1] += 1;
    }
    for value in 0..value_count {
        offsets[value + 1] += offsets[value];
    }
    let mut next = offsets.clone();
    let mut lists = vec![0; rows.len()];
    for (doc, ends) in row_offsets.windows(2).enumerate() {
        for value in &rows[ends[0] as usize..ends[1] as usize] {
            let at = &mut next[*value as usize];
            lists[*at as usize] = doc as u32;
            *at += 1;
        }
    }
    (offsets, lists)
}

/// The product's number called `name`, in units of its column.
fn number_of(product: &Product, name: &str, decimals: u8) -> Option<i64> {
    match name {
        "price" => product.price.map(|price| price.amount_minor()),
        "list_price" => product.list_price.map(|price| price.amount_minor()),
        "rating" => product.rating_hundredths.map(i64::from),
        "rating_count" => product.rating_hundredths.map(|_| i64::from(product.rating_count)),
        "popularity" => product.popularity_thousandths,
        "updated_at" => product.updated_at_s,
        attribute => {
            let value = product.attributes.get(attribute)?.values().first()?;
            Decimal::parse(value.trim())?.rounded_at(decimals)
        }
    }
}

fn write_error(error: std::io::Error) -> Error {
    Error::io(Path::new("segment"), error)
}
