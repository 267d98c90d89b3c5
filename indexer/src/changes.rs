//! Rows that change some products: the newest version of each, or that it is deleted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use snapshots::{Catalogue, Product, ProductError, ProductId, id_hash};

use crate::build::RowsRequest;
use crate::product_row::product_of;
use crate::progress::Progress;
use crate::rejects::{RejectCounts, Rejects};
use crate::source::{Input, Row, Source};
use crate::update::Taking;

/// More changes than this at once are a catalogue, and built as one.
pub(crate) const MAX_CHANGES: usize = 200_000;

/// What stands before a watermark of each kind.
pub(crate) const SQL_MARK: &str = "sql:";
pub(crate) const FILES_MARK: &str = "files:";

/// Reads changes of a snapshot.
pub(crate) struct ChangesReader<'a> {
    pub(crate) request: &'a RowsRequest,
    pub(crate) taking: Taking,
    pub(crate) catalogue: &'a Catalogue,
    /// The version of a product that there is.
    pub(crate) before: &'a dyn Fn(&str) -> Result<Option<Product>>,
    /// So many products may change.
    pub(crate) most: usize,
}

/// What becomes of each product that changes: its new version, or none.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) by_id: BTreeMap<String, Option<Product>>,
    pub(crate) rows: u64,
    /// Rows that say what is so already.
    pub(crate) unchanged: u64,
    /// Deletions of products that are not there, other than by items that have expired.
    pub(crate) unknown: u64,
    /// Items of a feed that are to be sold no longer, whether they are there or not.
    pub(crate) expired: u64,
    pub(crate) rejected: RejectCounts,
    pub(crate) rejects_file: Option<PathBuf>,
    /// Where the source stands once these are in, where it says so.
    pub(crate) watermark: Option<String>,
}

/// The changes of one input, on top of those of the ones before it.
#[derive(Default)]
struct Part {
    changes: Changes,
    /// What earlier inputs say of these is no longer so: they are as they were.
    as_before: BTreeSet<String>,
    /// The products that its rows are, by the hash of their ids.
    sold: HashSet<u64>,
    /// The rest of the input is left to the next look.
    is_cut: bool,
}

impl ChangesReader<'_> {
    /// Reads all inputs in their order; of several rows of one product the last counts, but for an item of a feed that has
    /// expired where the same feed sells it as well. Of a source that is followed, what lies before an input that cannot be
    /// taken does not wait for it.
    pub(crate) fn read(&self, progress: &mut Progress) -> Result<Changes> {
        let mut changes = Changes::default();
        let mut rejects = Rejects::new(self.request.rejects.clone(), self.catalogue.private_attributes.clone());
        for input in &self.request.inputs {
            let counted = rejects.counts().clone();
            let part = self.part(input, &changes, &mut rejects, progress);
            progress.end();
            match part {
                Ok(part) => {
                    if part.is_cut {
                        let most = self.most;
                        progress
                            .note(&format!("more than {most} products change: the rest is taken with the next look"));
                    }
                    let mark = self.mark(input, part.is_cut);
                    changes.take(part, mark);
                }
                // What lies before it is published first; it is told with the next look.
                Err(_) if self.taking == Taking::WhatFits && changes.watermark.is_some() => {
                    rejects.back_to(counted);
                    break;
                }
                Err(error) => return Err(self.fault(input, error)),
            }
        }
        changes.rejected = rejects.finish()?;
        changes.rejects_file = rejects.file().map(Path::to_owned);
        Ok(changes)
    }

    /// Why an input cannot be taken, and, where others wait behind it, what to do.
    fn fault(&self, input: &Input, error: anyhow::Error) -> anyhow::Error {
        let (Input::File(path), Taking::WhatFits) = (input, self.taking) else { return error };
        let name = self.name(input).display().to_string();
        // The same fault is to be told in the same words, and the folder of the copy is another one each time.
        let reason = format!("{error:#}").replace(&path.display().to_string(), &name);
        anyhow!(
            "{name} stops the inbox; nothing of it is lost: mend it under its name, or move it out of the inbox, and what lies \
             behind it is taken: {reason}"
        )
    }

    fn part(&self, input: &Input, earlier: &Changes, rejects: &mut Rejects, progress: &mut Progress) -> Result<Part> {
        let (name, is_of_query) = (self.name(input), matches!(input, Input::Sql(_)));
        let at = || name.display().to_string();
        let mut source = Source::of(input, self.request.format, self.request.mapping.clone())?;
        let mut part = Part::default();
        progress.begin("read", "bytes", source.size_bytes());
        while let Some(row) = source.next() {
            let row = row.with_context(at)?;
            let change = match &row.row {
                Ok(fields) => change_of(fields, is_of_query, self.catalogue),
                Err(reason) => Err(ProductError::new("row", reason.clone())),
            };
            part.changes.expired += u64::from(row.is_expired && change.is_ok());
            match change {
                Ok((id, product)) => {
                    if !self.take(&mut part, earlier, id, product, row.is_expired)? {
                        // Only a query can be asked for its rest.
                        ensure!(is_of_query && self.taking == Taking::WhatFits, self.too_many());
                        part.is_cut = true;
                        break;
                    }
                }
                Err(fault) => rejects.add(name, &row, &fault).with_context(at)?,
            }
            part.changes.rows += 1;
            progress.at(source.position());
        }
        let new = part.changes.by_id.keys().filter(|id| !earlier.by_id.contains_key(*id)).count();
        ensure!(earlier.by_id.len() + new <= self.most, self.too_many());
        rejects.finish()?;
        Ok(part)
    }

    /// Takes one change; false where there is no room for it.
    fn take(
        &self,
        part: &mut Part,
        earlier: &Changes,
        id: String,
        product: Option<Product>,
        is_expired: bool,
    ) -> Result<bool> {
        // As in a build, what has expired is left out, and takes the place of nothing in its input.
        if is_expired && part.sold.contains(&id_hash(&id)) {
            return Ok(true);
        }
        if product.is_some() {
            part.sold.insert(id_hash(&id));
        }
        let changes = &mut part.changes;
        let before = (self.before)(&id)?;
        if before == product {
            changes.by_id.remove(&id);
            match product {
                Some(_) => changes.unchanged += 1,
                None => changes.unknown += u64::from(!is_expired),
            }
            if earlier.by_id.contains_key(&id) {
                part.as_before.insert(id);
            }
            return Ok(true);
        }
        if changes.by_id.len() >= self.most && !changes.by_id.contains_key(&id) {
            return Ok(false);
        }
        changes.by_id.insert(id, product);
        Ok(true)
    }

    /// What an input is called. Files that are followed are read from a copy, whose folder says nothing to anybody.
    fn name<'i>(&self, input: &'i Input) -> &'i Path {
        match (self.taking, input) {
            (Taking::WhatFits, Input::File(path)) => path.file_name().map_or(path.as_path(), Path::new),
            _ => input.name(),
        }
    }

    fn too_many(&self) -> String {
        format!(
            "more than {} products change: build the catalogue anew with 'indexer build', or give them in parts",
            self.most
        )
    }

    /// Where the source stands once an input was taken. Products that were taken of a time that is not whole are read again,
    /// and are no change then.
    fn mark(&self, input: &Input, is_cut: bool) -> Option<String> {
        match (input, self.taking) {
            (Input::Sql(query), _) if is_cut => query.latest_whole().map(|time| format!("{SQL_MARK}{time}")),
            (Input::Sql(query), _) => query.latest().map(|time| format!("{SQL_MARK}{time}")),
            (Input::File(_), Taking::WhatFits) => Some(format!("{FILES_MARK}{}", self.name(input).display())),
            (Input::File(_), Taking::All) => None,
        }
    }
}

impl Changes {
    fn take(&mut self, part: Part, watermark: Option<String>) {
        for id in &part.as_before {
            self.by_id.remove(id);
        }
        self.by_id.extend(part.changes.by_id);
        self.rows += part.changes.rows;
        self.unchanged += part.changes.unchanged;
        self.unknown += part.changes.unknown;
        self.expired += part.changes.expired;
        self.watermark = watermark.or(self.watermark.take());
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
    use crate::progress::Output;
    use crate::rejects::RejectPolicy;
    use crate::source::Mapping;

    const SETTINGS: &str = "name = \"t\"\ncurrency = \"USD\"";

    /// Reads files, each by its name and rows, on top of products 'old' and 'other', and gives which products change.
    fn read(taking: Taking, files: &[(&str, &str)]) -> Result<(Vec<String>, Changes)> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalogue = Catalogue::parse(SETTINGS).expect("valid settings");
        let mut inputs = Vec::new();
        for (name, rows) in files {
            std::fs::write(folder.path().join(name), rows).expect("rows");
            inputs.push(Input::File(folder.path().join(name)));
        }
        let request = RowsRequest {
            inputs,
            format: None,
            mapping: Mapping::default(),
            rejects: RejectPolicy {
                file: folder.path().join("rejects.jsonl"),
                strict: false,
                max_rejects: 1,
                keeps_earlier: true,
            },
        };
        let before = |id: &str| -> Result<Option<Product>> {
            let is_there = ["old", "other"].contains(&id);
            Ok(is_there.then(|| Product::new(ProductId::new(id).expect("an id"), "lamp")))
        };
        let reader = ChangesReader { request: &request, taking, catalogue: &catalogue, before: &before, most: 2 };
        let changes = reader.read(&mut Progress::new(Output::Text).quiet())?;
        let told = changes.by_id.iter().map(|(id, product)| match product {
            Some(product) => format!("{id} {}", product.title),
            None => format!("{id} -"),
        });
        Ok((told.collect(), changes))
    }

    fn rows(rows: &[(&str, &str)]) -> String {
        rows.iter().map(|(id, title)| format!("{{\"id\": \"{id}\", \"title\": \"{title}\"}}\n")).collect()
    }

    #[test]
    fn of_several_rows_the_last_counts_also_where_it_says_what_is_so() {
        let first = rows(&[("old", "table"), ("new", "chair"), ("other", "lamp")]) + "{\"delete\": \"gone\"}\n";
        let second = rows(&[("old", "lamp"), ("new", "sofa")]);
        let (told, changes) =
            read(Taking::All, &[("1.jsonl", first.as_str()), ("2.jsonl", second.as_str())]).expect("changes");
        assert_eq!(told, ["new sofa"]);
        assert_eq!((changes.rows, changes.unchanged, changes.unknown, changes.watermark), (6, 2, 1, None));
        let back = second + "{\"delete\": \"new\"}\n";
        let (told, changes) =
            read(Taking::All, &[("1.jsonl", first.as_str()), ("2.jsonl", back.as_str())]).expect("changes");
        assert_eq!((told.len(), changes.unknown), (0, 2));
    }

    /// An item that stood in a feed twice, expired in its last row, was a product to a build, and deleted by an update.
    #[test]
    fn what_has_expired_takes_no_place_of_what_the_same_feed_sells() {
        let item =
            |id: &str, title: &str, more: &str| format!("<item><g:id>{id}</g:id><title>{title}</title>{more}</item>");
        let feed =
            |items: &str| format!("<rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel>{items}</channel></rss>");
        let expired = "<g:expiration_date>2001-03-01T23:07+0100</g:expiration_date>";
        let sold = item("old", "lamp", "") + &item("new", "chair", "");
        let ended = item("old", "lamp", expired) + &item("new", "chair", expired);
        for items in [format!("{sold}{ended}"), format!("{ended}{sold}")] {
            let (told, changes) = read(Taking::All, &[("1.xml", feed(&items).as_str())]).expect("changes");
            assert_eq!((told, changes.expired), (vec!["new chair".to_owned()], 2), "{items}");
        }
        // What a later feed says is news.
        let (first, second) = (feed(&sold), feed(&ended));
        let (told, _) = read(Taking::All, &[("1.xml", first.as_str()), ("2.xml", second.as_str())]).expect("changes");
        assert_eq!(told, ["old -"]);
    }

    /// A backlog of more changes than one update may have failed each time, and grew.
    #[test]
    fn what_fits_is_taken_first() {
        let (one, two) = (rows(&[("a", "lamp")]), rows(&[("b", "lamp"), ("c", "lamp")]));
        let files = [("1.jsonl", one.as_str()), ("2.jsonl", two.as_str())];
        let (told, changes) = read(Taking::WhatFits, &files).expect("changes");
        assert_eq!((told, changes.watermark.as_deref()), (vec!["a lamp".to_owned()], Some("files:1.jsonl")));
        assert!(read(Taking::All, &files).err().expect("too many").to_string().contains("more than 2 products change"));
        // What says nothing new takes no room.
        let same = rows(&[("old", "lamp"), ("other", "lamp"), ("d", "lamp")]);
        let (told, _) =
            read(Taking::WhatFits, &[("1.jsonl", one.as_str()), ("2.jsonl", same.as_str())]).expect("changes");
        assert_eq!(told, ["a lamp", "d lamp"]);
    }

    /// One file that could not be read kept those before it away as well, whose turn it was.
    #[test]
    fn a_file_that_cannot_be_read_keeps_none_before_it() {
        let good = rows(&[("a", "lamp")]);
        let bad = "{\"id\": \"1\"}\n{\"id\": \"2\"}\n";
        let too_large = rows(&[("b", "lamp"), ("c", "lamp"), ("d", "lamp")]);
        // Its last row was set aside, and nothing came back for the rest.
        let cut_off = "{\"id\": \"b\", \"title\": \"lamp\"}\n{\"id\": \"c\"";
        let faulty =
            [("2.dat", good.as_str()), ("2.jsonl", bad), ("2.jsonl", too_large.as_str()), ("2.jsonl", cut_off)];
        for (name, text) in faulty {
            let files = [("1.jsonl", good.as_str()), (name, text), ("3.jsonl", good.as_str())];
            let (told, changes) = read(Taking::WhatFits, &files).expect("changes");
            assert_eq!((told, changes.watermark.as_deref()), (vec!["a lamp".to_owned()], Some("files:1.jsonl")));
            assert_eq!(changes.rejected.all, 0, "its rows are counted when it is taken");
            let error = format!("{:#}", read(Taking::WhatFits, &files[1..]).err().expect("it is at fault"));
            assert!(error.starts_with(&format!("{name} stops the inbox")) && !error.contains("/2."), "{error}");
            assert!(read(Taking::All, &files).is_err(), "{name}");
        }
    }

    fn change(json: &str, is_of_query: bool) -> Result<(String, bool), String> {
        let catalogue = Catalogue::parse(SETTINGS).expect("valid settings");
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
