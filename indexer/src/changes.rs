//! Rows that change some products: the newest version of each, or that it is deleted.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use snapshots::{Catalogue, Product, ProductError, ProductId};

use crate::build::RowsRequest;
use crate::product_row::product_of;
use crate::progress::Progress;
use crate::rejects::Rejects;
use crate::source::{Input, Row, Source};

/// More changes than this are a catalogue, and built as one.
const MAX_CHANGES: usize = 200_000;

/// What becomes of each product that is named: its new version, or none.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) by_id: BTreeMap<String, Option<Product>>,
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) rejected_by_field: BTreeMap<String, u64>,
    pub(crate) rejects_file: Option<std::path::PathBuf>,
}

impl Changes {
    /// Reads all inputs in their order; of several rows of one product the last counts.
    pub(crate) fn read(request: &RowsRequest, catalogue: &Catalogue, progress: &mut Progress) -> Result<Self> {
        let mut changes = Self::default();
        let mut rejects = Rejects::new(request.rejects.clone(), catalogue.private_attributes.clone());
        for input in &request.inputs {
            let source = Source::of(input, request.format, request.mapping.clone())?;
            changes.read_one(source, input, catalogue, &mut rejects, progress)?;
        }
        changes.rejected_by_field = rejects.finish()?;
        changes.rejected = rejects.count();
        changes.rejects_file = rejects.file().map(Path::to_owned);
        Ok(changes)
    }

    fn read_one(
        &mut self,
        mut source: Source,
        input: &Input,
        catalogue: &Catalogue,
        rejects: &mut Rejects,
        progress: &mut Progress,
    ) -> Result<()> {
        let (name, is_of_query) = (input.name(), matches!(input, Input::Sql(_)));
        progress.begin("read", "bytes", source.size_bytes());
        while let Some(row) = source.next() {
            let row = row.with_context(|| name.display().to_string())?;
            self.rows += 1;
            let change = match &row.row {
                Ok(fields) => change_of(fields, is_of_query, catalogue),
                Err(reason) => Err(ProductError::new("row", reason.clone())),
            };
            match change {
                Ok((id, product)) => drop(self.by_id.insert(id, product)),
                Err(fault) => rejects.add(name, &row, &fault).with_context(|| name.display().to_string())?,
            }
            ensure!(
                self.by_id.len() <= MAX_CHANGES,
                "more than {MAX_CHANGES} products change: build the catalogue anew with 'indexer build'"
            );
            progress.at(source.position());
        }
        progress.end();
        Ok(())
    }
}

/// `{"delete": "ID"}` deletes a product; every other row is one. A query gives the same columns for every row, so that what
/// stands beside its `delete` says nothing.
fn change_of(row: &Row, is_of_query: bool, catalogue: &Catalogue) -> Result<(String, Option<Product>), ProductError> {
    let Some(id) = deleted_id(row)? else {
        let product = product_of(row, catalogue)?;
        return Ok((product.id.as_str().to_owned(), Some(normal(product))));
    };
    let may_stand = |field: &str| matches!(field, "delete" | "id" | "updated_at");
    if !is_of_query && row.iter().any(|(field, value)| !may_stand(field) && !value.is_null()) {
        return Err(ProductError::new("delete", "stands beside other fields: a row deletes a product or is one"));
    }
    Ok((id, None))
}

/// The product that a row deletes, if it deletes one.
pub(crate) fn deleted_id(row: &Row) -> Result<Option<String>, ProductError> {
    let id = match row.get("delete") {
        Some(Value::String(id)) => id.trim().to_owned(),
        Some(Value::Number(id)) => id.to_string(),
        Some(Value::Null) | None => return Ok(None),
        Some(_) => return Err(ProductError::new("delete", "must be the id of a product")),
    };
    Ok(Some(ProductId::new(id)?.as_str().to_owned()))
}

/// A product as it comes out of a record: a count of ratings without a rating is none.
fn normal(mut product: Product) -> Product {
    if product.rating_hundredths.is_none() {
        product.rating_count = 0;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str, is_of_query: bool) -> Result<(String, bool), String> {
        let catalogue = Catalogue::parse("name = \"t\"\ncurrency = \"USD\"").expect("valid settings");
        let changed = change_of(&serde_json::from_str(json).expect("an object"), is_of_query, &catalogue);
        changed.map(|(id, product)| (id, product.is_some())).map_err(|fault| fault.to_string())
    }

    /// Every deletion was set aside that a query told with the other columns beside it.
    #[test]
    fn what_a_query_deletes_is_deleted_whatever_stands_beside_it() {
        let row = r#"{"id": "7", "title": "Lamp", "price": 5, "delete": "7"}"#;
        assert_eq!(change(row, true), Ok(("7".to_owned(), false)));
        let refused = change(row, false).expect_err("a row of a file says one thing");
        assert!(refused.contains("stands beside other fields"), "{refused}");
        for is_of_query in [false, true] {
            assert_eq!(change(r#"{"delete": 7}"#, is_of_query), Ok(("7".to_owned(), false)));
            let product = change(r#"{"id": "7", "title": "Lamp", "delete": null}"#, is_of_query);
            assert_eq!(product, Ok(("7".to_owned(), true)));
            assert!(change(r#"{"id": "7", "title": "Lamp", "delete": true}"#, is_of_query).is_err());
        }
    }
}
