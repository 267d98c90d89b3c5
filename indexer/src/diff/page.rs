//! A comparison as a page that stands alone. It has no scripts, and loads nothing but the products' images.

use std::fmt::Write;

use search::RuleFindings;

use super::text::{band_name, category_name, change};
use super::{Diff, Drift, FieldChange, Group, Lacking, LineDiff, Named, PriceMove};
use crate::checks::Checked;
use crate::evaluation_page::escaped;
use crate::golden;
use crate::percent::Percent;
use crate::report::bytes;

/// Categories that are listed of each kind.
const MAX_CATEGORIES: usize = 100;

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"referrer\" content=\"no-referrer\">\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src http: https:\">\
<title>What changes</title><style>";

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;color:#1f2430;max-width:75rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:0 0 1.5rem}th,td{text-align:left;vertical-align:top;padding:.25rem .8rem;\
border-bottom:1px solid #e4e7ec;overflow-wrap:anywhere}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
details{border-bottom:1px solid #e4e7ec;padding:.3rem 0}summary{cursor:pointer}td img{width:3rem;height:3rem;object-fit:contain}\
.id{color:#667085}.up{color:#0f5c4d}.down{color:#9b2c2c}.bad{border-left:4px solid #9b2c2c;background:#fdf3f3;padding:.5rem 1rem}\
pre{overflow:auto;background:#f7f8fa;padding:.8rem}";

/// Writes the page, with what was found in the newer snapshot and its rules, if they were checked.
pub fn page(diff: &Diff, found: Option<(&Checked, &RuleFindings)>) -> String {
    let mut out = String::from(HEAD);
    out.push_str(STYLE);
    out.push_str("</style><h1>What changes</h1>");
    sides(diff, &mut out);
    if let Some((checked, rules)) = found {
        judged(checked, rules, &mut out);
    }
    if let Some(before) = &diff.before {
        out.push_str("<h2>Products</h2>");
        group("added", &diff.products.added, diff.after.products, &mut out);
        group("removed", &diff.products.removed, before.products, &mut out);
        let (changed, unchanged) = (diff.products.changed, diff.products.unchanged);
        let _ = write!(out, "<p>{changed} changed ({}%), ", Percent::of(changed, before.products));
        let _ = write!(out, "{unchanged} unchanged ({}%)</p>", Percent::of(unchanged, before.products));
    }
    prices(diff, &mut out);
    fields(diff, &mut out);
    availability(diff, &mut out);
    drift("Categories of the first level", &diff.categories.top, &mut out);
    drift("Categories", &diff.categories.full, &mut out);
    lacking("Without an image", &diff.without_images, &mut out);
    lacking("Without a price", &diff.without_price, &mut out);
    if !diff.facets.became_empty.is_empty() {
        let _ =
            write!(out, "<h2>Facets that became empty</h2><p>{}</p>", escaped(&diff.facets.became_empty.join(", ")));
    }
    lines("Rules", &diff.rules, &mut out);
    lines("Settings", &diff.settings, &mut out);
    out.push_str("</html>\n");
    out
}

fn sides(diff: &Diff, out: &mut String) {
    out.push_str("<table><tr><th><th>snapshot<th>catalogue<th class=\"n\">products<th class=\"n\">size</tr>");
    let before = diff.before.iter().map(|side| ("before", side));
    for (name, side) in before.chain([("after", &diff.after)]) {
        let (snapshot, catalogue) = (escaped(&side.snapshot), escaped(&side.catalogue));
        let _ = write!(out, "<tr><td>{name}<td>{snapshot}<td>{catalogue} ({})", escaped(&side.currency));
        let _ = write!(out, "<td class=\"n\">{}<td class=\"n\">{}</tr>", side.products, bytes(side.size_bytes));
    }
    let objects = &diff.objects;
    let (new, new_bytes, shared) = (objects.new, bytes(objects.new_bytes), objects.shared);
    let _ = write!(out, "</table><p>A publish transfers {new} objects, {new_bytes}; {shared} are there already.</p>");
}

fn judged(checked: &Checked, rules: &RuleFindings, out: &mut String) {
    if checked.violations.is_empty() {
        out.push_str("<p class=\"up\">The policy has nothing against it.</p>");
    }
    for violation in &checked.violations {
        let (code, message) = (escaped(violation.code), escaped(&violation.message));
        let _ = write!(out, "<div class=\"bad\"><b>{code}</b><p>{message}</p>");
        named(&violation.products, out);
        out.push_str("</div>");
    }
    for fault in &rules.faults {
        let _ = write!(out, "<div class=\"bad\"><b>fault</b><p>{}</p></div>", escaped(fault));
    }
    for doubt in &rules.doubts {
        let _ = write!(out, "<p>Probably a mistake: {}</p>", escaped(doubt));
    }
    if let Some(golden) = &checked.golden {
        let _ = write!(out, "<pre>{}</pre>", escaped(&golden::text(golden)));
    }
}

fn group(what: &str, group: &Group, whole: u64, out: &mut String) {
    let _ = write!(out, "<p>{} {what} ({}%)</p>", group.count, Percent::of(group.count, whole));
    named(&group.examples, out);
}

fn named(products: &[Named], out: &mut String) {
    if !products.is_empty() {
        out.push_str("<table>");
        products.iter().for_each(|product| cells(product, out));
        out.push_str("</table>");
    }
}

/// Begins a row with the cells that name a product.
fn cells(product: &Named, out: &mut String) {
    out.push_str("<tr><td>");
    // A path without a host means something only where the shop is served.
    if let Some(image) = product.image.as_deref().filter(|image| image.starts_with("http")) {
        let _ = write!(out, "<img loading=\"lazy\" alt=\"\" src=\"{}\">", escaped(image));
    }
    let _ = write!(out, "<td class=\"id\">{}<td>{}", escaped(&product.id), escaped(&product.title));
}

fn fields(diff: &Diff, out: &mut String) {
    if diff.fields.is_empty() {
        return;
    }
    out.push_str("<h2>Fields</h2>");
    diff.fields.iter().for_each(|change| field(change, out));
    left_out(diff.fields_left_out, "fields changed in fewer products", out);
}

fn field(change: &FieldChange, out: &mut String) {
    let (name, products) = (escaped(&change.field), change.products);
    let _ = write!(out, "<details><summary><b>{name}</b> in {products} products");
    for (what, count) in [("new in", change.gained), ("gone from", change.lost)] {
        if count > 0 {
            let _ = write!(out, ", {what} {count}");
        }
    }
    out.push_str("</summary><table>");
    for example in &change.examples {
        cells(&example.product, out);
        let value = |value: &Option<String>| value.as_deref().map_or("(none)".to_owned(), escaped);
        let _ = write!(out, "<td>{}<td>&rarr;<td>{}</tr>", value(&example.before), value(&example.after));
    }
    out.push_str("</table></details>\n");
}

fn prices(diff: &Diff, out: &mut String) {
    let prices = &diff.prices;
    if prices.raised + prices.lowered + prices.currency_changed + prices.gained + prices.lost == 0 {
        return;
    }
    let (raised, lowered, in_both) = (prices.raised, prices.lowered, prices.in_both);
    let _ = write!(out, "<h2>Prices</h2><p>{raised} up and {lowered} down, of {in_both}; ");
    let _ = write!(out, "{} are new, {} are gone, ", prices.gained, prices.lost);
    let _ = write!(out, "{} are in another currency.</p><table>", prices.currency_changed);
    for band in &prices.bands {
        let _ = write!(out, "<tr><td>{}<td class=\"n\">{}</tr>", band_name(band), band.products);
    }
    out.push_str("</table>");
    price_moves("Largest rises", &prices.largest_rises, out);
    price_moves("Largest falls", &prices.largest_falls, out);
    price_moves("In another currency", &prices.currency_examples, out);
}

fn price_moves(what: &str, moves: &[PriceMove], out: &mut String) {
    if moves.is_empty() {
        return;
    }
    let _ = write!(out, "<h3>{what}</h3><table>");
    for moved in moves {
        cells(&moved.product, out);
        let class = if moved.change_percent.unwrap_or(0) < 0 { "down" } else { "up" };
        let (before, after) = (moved.before, moved.after);
        let _ = write!(out, "<td class=\"n\">{before}<td>&rarr;<td class=\"n\">{after}<td class=\"n {class}\">");
        let _ = write!(out, "{}</tr>", change(moved));
    }
    out.push_str("</table>");
}

fn availability(diff: &Diff, out: &mut String) {
    if diff.availability.is_empty() {
        return;
    }
    out.push_str("<h2>Availability</h2><table>");
    for moved in &diff.availability {
        let (from, to) = (escaped(&moved.from), escaped(&moved.to));
        let _ = write!(out, "<tr><td>{from}<td>&rarr;<td>{to}<td class=\"n\">{}</tr>", moved.products);
    }
    out.push_str("</table>");
}

fn drift(what: &str, drift: &Drift, out: &mut String) {
    if drift.changes.is_empty() {
        return;
    }
    let (vanished, appeared) = (drift.vanished, drift.appeared);
    let _ = write!(out, "<h2>{what}</h2><p>{} &rarr; {}, ", drift.before, drift.after);
    let _ = write!(out, "{vanished} vanished, {appeared} appeared.</p><table>");
    for change in drift.changes.iter().take(MAX_CATEGORIES) {
        let (before, after) = (change.before, change.after);
        let class = if after < before { "down" } else { "up" };
        let by = i128::from(after) - i128::from(before);
        let _ = write!(out, "<tr><td>{}<td class=\"n\">{before}<td>&rarr;", escaped(category_name(change)));
        let _ = write!(out, "<td class=\"n\">{after}<td class=\"n {class}\">{by:+}</tr>");
    }
    out.push_str("</table>");
    let more = drift.changes.len().saturating_sub(MAX_CATEGORIES) + drift.left_out;
    left_out(more, "categories changed less", out);
}

fn lacking(what: &str, lacking: &Lacking, out: &mut String) {
    if lacking.before == lacking.after && lacking.lost == 0 {
        return;
    }
    let (before, after, lost) = (lacking.before, lacking.after, lacking.lost);
    let _ = write!(out, "<h2>{what}</h2><p>{before} before, {after} now; {lost} of them had one.</p>");
    named(if lost > 0 { &lacking.lost_examples } else { &lacking.examples }, out);
}

fn lines(what: &str, diff: &LineDiff, out: &mut String) {
    if diff.added + diff.removed == 0 {
        return;
    }
    let (removed, added) = (diff.removed, diff.added);
    let _ = write!(out, "<h2>{what}</h2><p>{removed} lines removed, {added} added.</p><pre>");
    for line in &diff.lines {
        let sign = line.change.sign();
        let class = if sign == '+' { "up" } else { "down" };
        let (number, text) = (line.line, escaped(&line.text));
        let _ = writeln!(out, "<span class=\"{class}\">{sign}{number:<5} {text}</span>");
    }
    out.push_str("</pre>");
    left_out(diff.left_out, "lines changed", out);
}

fn left_out(count: usize, what: &str, out: &mut String) {
    if count > 0 {
        let _ = write!(out, "<p>{count} more {what}.</p>");
    }
}
