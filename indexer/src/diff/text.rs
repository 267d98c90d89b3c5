//! A comparison for people, in a terminal.

use std::fmt::Write;

use super::{Band, CategoryChange, Diff, Direction, Drift, FieldChange, Lacking, LineDiff, Named, PriceMove};
use crate::percent::Percent;
use crate::report::bytes;

/// Fields and categories that are listed; the JSON and the page have more.
const MAX_ROWS: usize = 15;
/// Changed lines of rules and settings that are listed.
const MAX_LINES: usize = 40;

/// Writes what changed. What did not change is not mentioned.
pub fn text(diff: &Diff) -> String {
    let mut out = String::new();
    sides(diff, &mut out);
    products(diff, &mut out);
    fields(diff, &mut out);
    prices(diff, &mut out);
    availability(diff, &mut out);
    drift("categories of the first level", &diff.categories.top, &mut out);
    drift("categories", &diff.categories.full, &mut out);
    lacking("without an image", &diff.without_images, diff, &mut out);
    lacking("without a price", &diff.without_price, diff, &mut out);
    if !diff.facets.became_empty.is_empty() {
        let _ = writeln!(out, "\nfacets that became empty: {}", diff.facets.became_empty.join(", "));
    }
    lines("rules", &diff.rules, &mut out);
    lines("settings", &diff.settings, &mut out);
    out
}

/// What changed, in one line; nothing before a first publish.
pub fn summary(diff: &Diff) -> String {
    let (Some(before), products, prices) = (&diff.before, &diff.products, &diff.prices) else { return String::new() };
    format!(
        "products {} -> {}: {} added, {} removed, {} changed; prices: {} up, {} down\n",
        before.products,
        diff.after.products,
        products.added.count,
        products.removed.count,
        products.changed,
        prices.raised,
        prices.lowered
    )
}

fn sides(diff: &Diff, out: &mut String) {
    let after = &diff.after;
    let (products, size_bytes) = (after.products, after.size_bytes);
    match &diff.before {
        None => {
            let _ = writeln!(out, "nothing before\nafter   {} ({})", after.snapshot, after.catalogue);
            let _ = writeln!(out, "products {products}\nsize     {}", bytes(size_bytes));
        }
        Some(before) => {
            let _ = writeln!(out, "before  {} ({})", before.snapshot, before.catalogue);
            let _ = writeln!(out, "after   {} ({})", after.snapshot, after.catalogue);
            let _ = writeln!(out, "\nproducts {} -> {products}", before.products);
            let _ = writeln!(out, "size     {} -> {}", bytes(before.size_bytes), bytes(size_bytes));
            if before.currency != after.currency {
                let _ = writeln!(out, "currency {} -> {}", before.currency, after.currency);
            }
        }
    }
    let objects = &diff.objects;
    let (new, new_bytes) = (objects.new, bytes(objects.new_bytes));
    let _ =
        writeln!(out, "objects  {new} new ({new_bytes}), {} shared ({})", objects.shared, bytes(objects.shared_bytes));
}

fn products(diff: &Diff, out: &mut String) {
    let Some(before) = &diff.before else { return };
    let products = &diff.products;
    let unnamed: &[Named] = &[];
    out.push('\n');
    for (what, count, whole, examples) in [
        ("added", products.added.count, diff.after.products, &products.added.examples[..]),
        ("removed", products.removed.count, before.products, &products.removed.examples[..]),
        ("changed", products.changed, before.products, unnamed),
        ("unchanged", products.unchanged, before.products, unnamed),
    ] {
        let _ = writeln!(out, "{what:<10} {count:>10}  {:>6}%", Percent::of(count, whole));
        named(examples, out);
    }
}

fn named(products: &[Named], out: &mut String) {
    for product in products {
        let _ = writeln!(out, "  {}  {}", product.id, product.title);
    }
}

fn fields(diff: &Diff, out: &mut String) {
    if diff.fields.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nfields that changed");
    diff.fields.iter().take(MAX_ROWS).for_each(|change| field(change, out));
    let more = diff.fields.len().saturating_sub(MAX_ROWS) + diff.fields_left_out;
    left_out(more, "fields", out);
}

fn field(change: &FieldChange, out: &mut String) {
    let _ = write!(out, "{:<28} {:>10} products", change.field, change.products);
    for (what, count) in [("new in", change.gained), ("gone from", change.lost)] {
        if count > 0 {
            let _ = write!(out, ", {what} {count}");
        }
    }
    out.push('\n');
    for example in &change.examples {
        let Named { id, title, .. } = &example.product;
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        let _ = writeln!(out, "  {id}  {title}: {} -> {}", value(&example.before), value(&example.after));
    }
}

fn prices(diff: &Diff, out: &mut String) {
    let prices = &diff.prices;
    if prices.raised + prices.lowered + prices.currency_changed + prices.gained + prices.lost == 0 {
        return;
    }
    let _ = writeln!(out, "\nprices: {} up, {} down, of {} products", prices.raised, prices.lowered, prices.in_both);
    for (what, count) in [("that had none", prices.gained), ("that have none any more", prices.lost)] {
        if count > 0 {
            let _ = writeln!(out, "{count} products {what}");
        }
    }
    for band in &prices.bands {
        let _ = writeln!(out, "  {:<20} {:>10}", band_name(band), band.products);
    }
    price_moves("largest rises", &prices.largest_rises, out);
    price_moves("largest falls", &prices.largest_falls, out);
    if prices.currency_changed > 0 {
        let _ = writeln!(out, "{} prices are in another currency", prices.currency_changed);
        price_moves("such as", &prices.currency_examples, out);
    }
}

/// "up 5% to 10%", as text and page say it.
pub(super) fn band_name(band: &Band) -> String {
    let direction = match band.direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    match band.up_to_percent {
        Some(end) if band.over_percent == 0 => format!("{direction}, up to {end}%"),
        Some(end) => format!("{direction} {}% to {end}%", band.over_percent),
        None => format!("{direction} over {}%", band.over_percent),
    }
}

/// "+900%", or nothing where no percentage tells how far it moved.
pub(super) fn change(moved: &PriceMove) -> String {
    moved.change_percent.map_or(String::new(), |percent| format!("{percent:+}%"))
}

fn price_moves(what: &str, moves: &[PriceMove], out: &mut String) {
    if moves.is_empty() {
        return;
    }
    let _ = writeln!(out, "{what}");
    for moved in moves {
        let Named { id, title, .. } = &moved.product;
        let line = format!("  {id}  {title}: {} -> {} {}", moved.before, moved.after, change(moved));
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn availability(diff: &Diff, out: &mut String) {
    if !diff.availability.is_empty() {
        let _ = writeln!(out, "\navailability");
    }
    for moved in &diff.availability {
        let _ = writeln!(out, "  {:<14} -> {:<14} {:>10}", moved.from, moved.to, moved.products);
    }
}

fn drift(what: &str, drift: &Drift, out: &mut String) {
    if drift.changes.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n{what}: {} -> {}, {} vanished, {} appeared",
        drift.before, drift.after, drift.vanished, drift.appeared
    );
    for change in drift.changes.iter().take(MAX_ROWS) {
        let CategoryChange { before, after, .. } = change;
        let by = i128::from(*after) - i128::from(*before);
        let _ = writeln!(out, "  {before:>10} -> {after:>10}  {by:>+10}  {}", category_name(change));
    }
    left_out(drift.changes.len().saturating_sub(MAX_ROWS) + drift.left_out, "categories", out);
}

/// What a category is called, where it may also be none.
pub(super) fn category_name(change: &CategoryChange) -> &str {
    if change.category.is_empty() { "(no category)" } else { &change.category }
}

fn lacking(what: &str, lacking: &Lacking, diff: &Diff, out: &mut String) {
    if lacking.before == lacking.after && lacking.lost == 0 {
        return;
    }
    let _ = write!(out, "\nproducts {what}: ");
    if diff.before.is_some() {
        let _ = write!(out, "{} -> ", lacking.before);
    }
    let _ = write!(out, "{}", lacking.after);
    if lacking.lost > 0 {
        let _ = write!(out, ", {} of them had one", lacking.lost);
    }
    out.push('\n');
    named(&lacking.lost_examples, out);
}

fn lines(what: &str, diff: &LineDiff, out: &mut String) {
    if diff.added + diff.removed == 0 {
        return;
    }
    let _ = writeln!(out, "\n{what}: {} lines removed, {} added", diff.removed, diff.added);
    for line in diff.lines.iter().take(MAX_LINES) {
        let _ = writeln!(out, "  {}{:<5} {}", line.change.sign(), line.line, line.text);
    }
    left_out(diff.lines.len().saturating_sub(MAX_LINES) + diff.left_out, "lines", out);
}

fn left_out(count: usize, what: &str, out: &mut String) {
    if count > 0 {
        let _ = writeln!(out, "  and {count} more {what}");
    }
}
