//! Reads stock from a CSV file: the columns product, quantity and reason, in any order.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::http::stock::{MAX_REASON_CHARS, MAX_STOCK, is_product, is_reason};
use crate::store::StockChange;

pub(super) const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// So many faults say enough.
const MAX_FAULTS: usize = 100;
const COLUMNS: [&str; 3] = ["product", "quantity", "reason"];

/// # Errors
/// Tells every line that is at fault.
pub(super) fn read(text: &[u8]) -> Result<Vec<StockChange>, Vec<String>> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text);
    let headers = reader.headers().map_err(|error| vec![format!("line 1: {error}")])?;
    let columns = places(headers)?;
    let mut lines: HashMap<String, u64> = HashMap::new();
    let (mut changes, mut faults) = (Vec::new(), Vec::new());
    for record in reader.records() {
        if faults.len() == MAX_FAULTS {
            faults.push("and more".to_owned());
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                faults.push(format!("line {line}: {error}"));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        match change(&record, columns) {
            Err(reason) => faults.push(format!("line {line}: {reason}")),
            Ok(StockChange::Set { product, .. }) if lines.contains_key(&product) => {
                let first = lines.get(&product).copied().unwrap_or_default();
                faults.push(format!("line {line}: {product} stands in line {first} already"));
            }
            Ok(change) => {
                if let StockChange::Set { product, .. } = &change {
                    lines.insert(product.clone(), line);
                }
                changes.push(change);
            }
        }
    }
    if faults.is_empty() { Ok(changes) } else { Err(faults) }
}

/// Where the columns stand.
fn places(headers: &StringRecord) -> Result<[usize; 3], Vec<String>> {
    let mut faults = Vec::new();
    let places = COLUMNS.map(|column| {
        let mut found = headers.iter().enumerate().filter(|(_, header)| *header == column).map(|(place, _)| place);
        let (place, other) = (found.next(), found.next());
        if place.is_none() {
            faults.push(format!("line 1: there is no column '{column}'"));
        }
        if other.is_some() {
            faults.push(format!("line 1: there are several columns '{column}'"));
        }
        place.unwrap_or_default()
    });
    if faults.is_empty() { Ok(places) } else { Err(faults) }
}

fn change(record: &StringRecord, [product, quantity, reason]: [usize; 3]) -> Result<StockChange, String> {
    let field = |place: usize| record.get(place).unwrap_or_default();
    let (product, quantity, reason) = (field(product), field(quantity), field(reason));
    if !is_product(product) {
        return Err(format!("'{product}' is no id of a product"));
    }
    let available = quantity.parse::<i64>().ok().filter(|number| (0..=MAX_STOCK).contains(number));
    let available = available.ok_or_else(|| format!("'{quantity}' is not a whole number from 0 to {MAX_STOCK}"))?;
    if !is_reason(reason) {
        return Err(format!("the reason is not 1 to {MAX_REASON_CHARS} characters long, or has control characters"));
    }
    Ok(StockChange::Set { product: product.to_owned(), available, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_any_order() {
        let text = "reason,product,quantity\ncounted, p1 ,5\n\"new, boxed\",\"p\"\"2\",0\n";
        let set = |product: &str, available, reason: &str| StockChange::Set {
            product: product.into(),
            available,
            reason: reason.into(),
        };
        let changes = read(text.as_bytes()).expect("changes");
        assert_eq!(changes, [set("p1", 5, "counted"), set("p\"2", 0, "new, boxed")]);
    }

    #[test]
    fn what_spreadsheets_write_is_read() {
        let changes = read(b"\xef\xbb\xbfproduct,quantity,reason\r\n\"p1\",5,\"a, b\"\r\n").expect("changes");
        let wanted = StockChange::Set { product: "p1".into(), available: 5, reason: "a, b".into() };
        assert_eq!(changes, [wanted]);
    }

    #[test]
    fn every_fault_names_its_line() {
        let text = "product,quantity,reason\np1,5,a\np2,-1,a\n,1,a\np3,1,\np1,6,a\np4,1\np5,1.5,a\n";
        let faults = read(text.as_bytes()).expect_err("faults");
        let lines: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(lines, ["line 3", "line 4", "line 5", "line 6", "line 7", "line 8"], "{faults:#?}");
        assert!(faults[3].contains("line 2"), "{faults:#?}");
        let faults = read(b"id,quantity\np1,5\n").expect_err("faults");
        assert_eq!(faults.len(), 2, "{faults:?}");
        // Which of two was meant nobody knows, and the database takes no zero byte.
        let faults = read(b"product,quantity,reason,quantity\np1,5,a,6\n").expect_err("faults");
        assert!(faults.len() == 1 && faults[0].contains("several columns 'quantity'"), "{faults:?}");
        let faults = read(b"product,quantity,reason\np1,5,a\0b\n").expect_err("faults");
        assert!(faults[0].starts_with("line 2"), "{faults:?}");
        let faults = read(b"product,quantity,reason\n\xff,5,a\n").expect_err("faults");
        assert!(faults[0].starts_with("line 2"), "{faults:?}");
    }
}
