//! Rows on their way to products: read on every core, and taken in their order.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use snapshots::{Catalogue, Product, ProductError, id_hash};

use crate::changes::deleted_id;
use crate::in_order::{self, batches};
use crate::product_row::product_of;
use crate::progress::Progress;
use crate::rejects::Rejects;
use crate::source::{Input, Row, Source, SourceError, SourceRow, UnreadRow};
use crate::spool::{Packed, Spool};

/// Takes rows, and tells products from rejects.
pub(crate) struct RowSink<'a> {
    catalogue: &'a Catalogue,
    pub(crate) rejects: Rejects,
    /// Where each id was seen first.
    lines: HashMap<u64, u64>,
    /// The private attributes that some row has.
    pub(crate) private_seen: BTreeSet<&'a str>,
    pub(crate) rows: u64,
    pub(crate) deleted: u64,
    pub(crate) expired: u64,
}

/// Reads rows, on any thread.
struct RowReader<'a> {
    catalogue: &'a Catalogue,
    is_of_query: bool,
}

/// A row, and what it is as far as it tells by itself.
struct ReadRow<'a> {
    row: SourceRow,
    /// The private attributes that it has.
    private: Vec<&'a str>,
    is: Kind,
}

enum Kind {
    Product(Packed),
    /// A query, which may be one that is followed as well, says that its product is deleted.
    Deleted,
    Expired,
    Bad(ProductError),
}

impl<'a> RowSink<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, rejects: Rejects) -> Self {
        let (lines, private_seen) = (HashMap::new(), BTreeSet::new());
        Self { catalogue, rejects, lines, private_seen, rows: 0, deleted: 0, expired: 0 }
    }

    /// Reads an input to its end. The spool gets each product when the rows before it were taken.
    ///
    /// # Errors
    /// When the input cannot be read on, or a row is bad that must not be.
    pub(crate) fn read(
        &mut self,
        mut source: Source,
        input: &Input,
        workers: usize,
        spool: &mut Spool,
        progress: &mut Progress,
    ) -> Result<()> {
        let name = input.name();
        progress.begin("read", "bytes", source.size_bytes());
        let mut has_failed = false;
        let rows = std::iter::from_fn(|| {
            if has_failed {
                return None;
            }
            let row = source.next_unread()?;
            has_failed = row.is_err();
            Some((row, source.position()))
        });
        let rows = batches(rows, |(row, _)| row.as_ref().map_or(0, UnreadRow::size_bytes));
        let reader = RowReader { catalogue: self.catalogue, is_of_query: matches!(input, Input::Sql(_)) };
        let work = |batch: Vec<(Result<UnreadRow, SourceError>, u64)>| {
            let read = batch.into_iter().map(|(row, position)| (reader.read(row), position));
            read.collect::<Vec<_>>()
        };
        let take = |batch: Vec<(Result<ReadRow<'a>>, u64)>| -> Result<()> {
            for (row, position) in batch {
                self.take(row.with_context(|| name.display().to_string())?, name, spool)?;
                progress.at(position);
            }
            Ok(())
        };
        in_order::map(workers, rows, work, take)?;
        progress.end();
        Ok(())
    }

    /// Whether a row was a product with this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.lines.contains_key(&id_hash(id))
    }

    fn take(&mut self, read: ReadRow<'a>, name: &Path, spool: &mut Spool) -> Result<()> {
        let ReadRow { row, private, is } = read;
        self.rows += 1;
        self.private_seen.extend(private);
        let fault = match is {
            Kind::Product(product) => match self.first_of_its_id(product.id(), row.line) {
                Ok(()) => return spool.push(product),
                Err(fault) => fault,
            },
            Kind::Deleted => {
                self.deleted += 1;
                return Ok(());
            }
            Kind::Expired => {
                self.expired += 1;
                return Ok(());
            }
            Kind::Bad(fault) => fault,
        };
        self.rejects.add(name, &row, &fault).with_context(|| name.display().to_string())
    }

    fn first_of_its_id(&mut self, id: &str, line: u64) -> Result<(), ProductError> {
        match self.lines.entry(id_hash(id)) {
            Entry::Vacant(place) => {
                place.insert(line);
                Ok(())
            }
            Entry::Occupied(first) => {
                let reason = format!("'{id}' stands twice, first in line {}", first.get());
                Err(ProductError::new("id", reason))
            }
        }
    }
}

impl<'a> RowReader<'a> {
    fn read(&self, row: Result<UnreadRow, SourceError>) -> Result<ReadRow<'a>> {
        let row = row?.read();
        if row.is_expired {
            return Ok(ReadRow { row, private: Vec::new(), is: Kind::Expired });
        }
        let private = row.row.as_ref().map_or_else(|_| Vec::new(), |fields| self.private_in(fields));
        let is = match self.product(&row) {
            Ok(Some(product)) => Kind::Product(Packed::of(&product)?),
            Ok(None) => Kind::Deleted,
            Err(fault) => Kind::Bad(fault),
        };
        Ok(ReadRow { row, private, is })
    }

    /// The product that a row is; None where it says that its product is deleted.
    fn product(&self, row: &SourceRow) -> Result<Option<Product>, ProductError> {
        let fields = row.row.as_ref().map_err(|reason| ProductError::new("row", reason.clone()))?;
        if self.is_of_query && deleted_id(fields)?.is_some() {
            return Ok(None);
        }
        product_of(fields, self.catalogue).map(Some)
    }

    fn private_in(&self, fields: &Row) -> Vec<&'a str> {
        let attributes = fields.get("attributes").and_then(Value::as_object);
        let has = |name: &str| {
            fields.contains_key(name) || attributes.is_some_and(|attributes| attributes.contains_key(name))
        };
        self.catalogue.private_attributes.iter().map(String::as_str).filter(|name| has(name)).collect()
    }
}
