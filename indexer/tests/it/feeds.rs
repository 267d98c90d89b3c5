//! Google Merchant feeds: the same products however they are written, and nothing less of them unnoticed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use indexer::source::{Format, Mapping, Row, Source};
use serde_json::Value;

use crate::command::{SETTINGS, fails, indexer, json};

const TSV: &str = "\u{feff}ID\tTitle\tdescription\tlink\timage link\tadditional_image_link\tavailability\tprice\tsale_price\tbrand\tgtin\tMPN\tproduct_type\tcertification\tcolor\tcost_of_goods_sold\n\
    1\t19\" Rack & \"more\"\tOak\thttps://x/1\thttps://i/1.png\thttps://i/a,b.png,https://i/c.png\tin stock\t15.00 USD\t12.00 USD\tAcme\t123,456\tM-1\tHome > Racks\tEC:EPREL:123456\tblack/oak\t7.77 USD\n\
    2\tLamp\t\thttps://x/2?a=1&b=2\t\t\tOut_of_stock\t3.00 USD\t\t\t\t\t\t\t\t\n";

const RSS: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>A shop</title><link>https://x</link>
<item><g:id>1</g:id><title>19" Rack &amp; "more"</title><description>&lt;p&gt;Oak&lt;/p&gt;</description>
  <link>https://x/1</link><g:image_link>https://i/1.png</g:image_link>
  <g:additional_image_link>https://i/a,b.png</g:additional_image_link>
  <g:additional_image_link>https://i/c.png</g:additional_image_link>
  <g:availability>https://schema.org/InStock</g:availability><g:price>15.00 USD</g:price><g:sale_price>12.00 USD</g:sale_price>
  <g:brand>Acme</g:brand><g:gtin>123</g:gtin><g:gtin>456</g:gtin><g:mpn>M-1</g:mpn>
  <g:product_type>Home &gt; Racks</g:product_type><g:color>black/oak</g:color>
  <g:certification><g:certification_authority>EC</g:certification_authority><g:certification_name>EPREL</g:certification_name>
  <g:certification_code>123456</g:certification_code></g:certification>
  <g:cost_of_goods_sold>7.77 USD</g:cost_of_goods_sold></item>
<item><g:id>2</g:id><title><![CDATA[Lamp]]></title><link>https://x/2?a=1&amp;b=2</link>
  <g:availability>out of stock</g:availability><g:price>3.00 USD</g:price></item>
</channel></rss>
"#;

const ATOM: &str = r#"
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:s="http://base.google.com/ns/1.0"><title>A shop</title><id>shop</id>
<entry><id>tag:x,1</id><s:id>1</s:id><title>19" Rack &#38; "more"</title><summary>Oak</summary>
  <link href="https://x/1"/><s:image_link>https://i/1.png</s:image_link>
  <s:additional_image_link>https://i/a,b.png</s:additional_image_link>
  <s:additional_image_link>https://i/c.png</s:additional_image_link>
  <s:availability>In Stock</s:availability><s:price>15.00 USD</s:price><s:sale_price>12.00 USD</s:sale_price>
  <s:brand>Acme</s:brand><s:gtin>123</s:gtin><s:gtin>456</s:gtin><s:mpn>M-1</s:mpn>
  <s:product_type>Home &gt; Racks</s:product_type><s:color>black/oak</s:color>
  <s:certification><s:certification_authority>EC</s:certification_authority><s:certification_name>EPREL</s:certification_name>
  <s:certification_code>123456</s:certification_code></s:certification></entry>
<entry><id>2</id><title>Lamp</title><link rel="alternate" href="https://x/2?a=1&amp;b=2"/>
  <s:availability>out of stock</s:availability><s:price>3.00 USD</s:price></entry>
</feed>
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("catalogue.toml"), SETTINGS).expect("settings");
    folder
}

fn build(folder: &Path, input: &str, flags: &[&str]) -> Value {
    json(folder, &[&["build", "--catalogue", "catalogue.toml", "--out", "out", "--strict"], flags, &[input]].concat())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("gzip");
    gzip.finish().expect("gzip")
}

fn rows(path: &Path, format: Option<Format>) -> Vec<Row> {
    let source = Source::open(path, format, Mapping::default()).expect("a feed");
    source.map(|row| row.expect("a feed").row.expect("a row")).collect()
}

#[test]
fn a_feed_is_the_same_in_every_format() {
    let folder = folder();
    let path = folder.path();
    let expected = serde_json::json!([
        {"id": "1", "title": "19\" Rack & \"more\"", "description": "Oak", "link": "https://x/1", "brand": "Acme",
         "images": ["https://i/1.png", "https://i/a,b.png", "https://i/c.png"], "price": "12.00 USD",
         "list_price": "15.00 USD", "gtins": ["123", "456"], "sku": "M-1", "category": ["Home", "Racks"],
         "attributes": {"mpn": "M-1", "color": ["black", "oak"], "certification": "EC:EPREL:123456"}},
        {"id": "2", "title": "Lamp", "link": "https://x/2?a=1&b=2", "price": "3.00 USD"},
    ]);
    let files = [("feed.tsv", TSV), ("feed.xml", RSS), ("feed.atom", ATOM)];
    let mut objects = Vec::new();
    for (name, text) in files {
        fs::write(path.join(name), text).expect("a feed");
        let packed = format!("{name}.gz");
        fs::write(path.join(&packed), gzip(text)).expect("a feed");
        let format = name.ends_with(".tsv").then_some(Format::Google);
        for name in [name, &packed] {
            let mut rows: Vec<Value> = rows(&path.join(name), format).into_iter().map(Value::Object).collect();
            // It is spelled in many ways, and read by what makes a product of a row.
            for row in &mut rows {
                row.as_object_mut().expect("an object").remove("availability").expect("an availability");
            }
            assert_eq!(Value::Array(rows), expected, "{name}");
            let built = build(path, name, &["--format", "google"]);
            assert_eq!(built["product_count"], 2, "{name}");
            objects.push(built["objects"].clone());
        }
    }
    assert!(objects.iter().all(|other| *other == objects[0]), "{objects:?}");
}

#[test]
fn a_tsv_is_a_merchant_feed_only_where_that_is_said() {
    let folder = folder();
    fs::write(folder.path().join("rows.tsv"), "id\ttitle\timage_link\n1\tLamp\thttps://i/1.png\n").expect("rows");
    let path = folder.path().join("rows.tsv");
    assert!(rows(&path, None)[0].contains_key("image_link"));
    assert!(rows(&path, Some(Format::Google))[0].contains_key("images"));
}

#[test]
fn a_mapping_uses_the_names_of_the_feed() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("feed.tsv"), TSV).expect("a feed");
    fs::write(path.join("feed.xml"), RSS).expect("a feed");
    let flags = ["--format", "google", "--map", "mpn=ignore", "--map", "image_link=attributes.picture"];
    let mapped = build(path, "feed.xml", &flags);
    assert_eq!(mapped["objects"], build(path, "feed.tsv", &flags)["objects"]);
    assert_ne!(mapped["objects"], build(path, "feed.xml", &[])["objects"]);
    let told = fails(
        path,
        &[
            "build",
            "--catalogue",
            "catalogue.toml",
            "--out",
            "out",
            "--format",
            "google",
            "--map",
            "nme=title",
            "feed.tsv",
        ],
    );
    assert!(told.contains("column 'nme' is not in the input, which has id, title"), "{told}");
}

#[test]
fn a_sale_is_on_while_its_interval_lasts() {
    let folder = folder();
    let item = |id: &str, interval: &str| {
        format!(
            "<item><g:id>{id}</g:id><title>x</title><g:price>15.00 USD</g:price><g:sale_price>12.00 USD</g:sale_price>\
             <g:sale_price_effective_date>{interval}</g:sale_price_effective_date></item>"
        )
    };
    let past = item("1", "2001-02-24T11:07+0100/2001-03-01T23:07+0100");
    let lasting = item("2", "2001-02-24T11:07+0100/2999-03-01T23:07+0100");
    let text = format!("<rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel>{past}{lasting}</channel></rss>");
    fs::write(folder.path().join("feed.xml"), text).expect("a feed");
    let rows = rows(&folder.path().join("feed.xml"), None);
    let prices: Vec<_> = rows.iter().map(|row| (row.get("price"), row.get("list_price"))).collect();
    let (regular, sale) = (serde_json::json!("15.00 USD"), serde_json::json!("12.00 USD"));
    assert_eq!(prices, [(Some(&regular), None), (Some(&sale), Some(&regular))]);
}

/// A thousand items that had expired were a thousand faulty rows, and failed a build of a feed that was sound.
#[test]
fn items_that_have_expired_are_counted_apart_and_deleted() {
    let folder = folder();
    let path = folder.path();
    let feed = |ends: &str| {
        let item = |id: usize, more: &str| format!("<item><g:id>{id}</g:id><title>Lamp</title>{more}</item>");
        let items = item(1, "")
            + &item(2, &format!("<g:expiration_date>{ends}</g:expiration_date>"))
            + &item(3, "<g:expiration_date>2001-03-01T23:07+0100</g:expiration_date>");
        let text = format!("<rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel>{items}</channel></rss>");
        fs::write(path.join("feed.xml"), text).expect("a feed");
    };
    feed("9999-12-31");
    // In strict mode, the first faulty row would end it.
    let built = build(path, "feed.xml", &[]);
    let counts = |told: &Value, names: [&str; 3]| names.map(|name| told[name].as_u64().expect(name));
    assert_eq!(counts(&built, ["product_count", "rows_expired", "rows_rejected"]), [2, 1, 0], "{built}");
    assert!(built["rejects_file"].is_null(), "{built}");
    feed("2001-03-01");
    let updated = json(path, &["update", "--out", "out", "--strict", "feed.xml"]);
    assert_eq!(counts(&updated, ["product_count", "rows_expired", "rows_rejected"]), [1, 2, 0], "{updated}");
    assert_eq!(counts(&updated, ["changed", "deleted", "unknown_deletions"]), [0, 1, 0], "{updated}");
}

#[test]
fn a_damaged_item_is_set_aside_without_what_is_secret() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("catalogue.toml"), "name = \"shop\"\ncurrency = \"USD\"\n").expect("settings");
    fs::write(path.join("feed.xml"), RSS.replace("Rack &amp;", "Rack &amp; &made_up;")).expect("a feed");
    fs::write(path.join("feed.tsv"), TSV.replace("\t7.77 USD", "\t7.77 USD\tmore")).expect("a feed");
    for (name, line) in [("feed.xml", 3), ("feed.tsv", 2)] {
        let arguments = ["build", "--catalogue", "catalogue.toml", "--out", "out", "--format", "google", name];
        let built = json(path, &arguments);
        assert_eq!((&built["product_count"], &built["rows_rejected"]), (&1.into(), &1.into()), "{name}");
        let rejects = fs::read_to_string(path.join("rejects.jsonl")).expect("the rejects");
        let reject: Value = serde_json::from_str(rejects.trim()).expect("one JSON line");
        assert_eq!(reject["line"], line, "{reject}");
        assert_eq!(reject["field"], "row", "{reject}");
        assert!(!rejects.contains("7.77"), "{rejects}");
    }
}

#[test]
fn a_feed_that_is_cut_off_or_is_none_fails_the_build() {
    let folder = folder();
    let path = folder.path();
    let check = |name: &str, bytes: &[u8], expected: &str| {
        fs::write(path.join(name), bytes).expect("a feed");
        // Beside a feed that is whole, which alone would be a smaller shop.
        fs::write(path.join("whole.xml"), RSS.replace("<g:id>", "<g:id>whole-")).expect("a feed");
        let arguments =
            ["build", "--catalogue", "catalogue.toml", "--out", "out", "--format", "google", "whole.xml", name];
        let told = fails(path, &arguments);
        assert!(told.contains(name) && told.contains(expected), "{told}");
        assert!(
            !path.join("out/snapshots").exists() || fs::read_dir(path.join("out/snapshots")).expect("it").count() == 0
        );
    };
    let second = RSS.rfind("<item>").expect("a second item");
    check("cut.xml", &RSS.as_bytes()[..second], "is the file cut off?");
    check("cut.xml", &RSS.as_bytes()[..second + 20], "line 13: ");
    let packed = gzip(RSS);
    check("cut.xml.gz", &packed[..packed.len() - 20], "cut.xml.gz");
    let row = TSV.rfind("Out_of_stock").expect("a second row");
    check("cut.tsv", &TSV.as_bytes()[..row], "line 3: the last row has 7 of 16 columns and no end");
    check("page.xml", b"<html><head></head></html>", "is no feed: it begins with <html>");
    check("latin.xml", b"<?xml version='1.0' encoding='ISO-8859-1'?><rss/>", "ISO-8859-1");
    check("wide.xml", b"\xff\xfe<\0r\0s\0s\0", "UTF-16");
    check("empty.xml", b"\n", "is empty");
}

const ITEMS: usize = 128;
/// What each item has of text that is no part of its product. It goes through a pipe, so that memory tells what is kept.
const ITEM_BYTES: usize = 256 * 1024;

/// Letters that nothing packs well.
fn noise() -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state >> 32) as u8 % 16)
    });
    letters.take(ITEM_BYTES).collect()
}

/// What a process has had in memory at the most.
fn peak_kib(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process's memory");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Builds a feed that comes in pieces: what stands before its items, each of them by its number, and what stands behind.
/// Whoever writes to a pipe has been read but for what the pipe holds, and a reader that waits for more has not ended.
fn check_memory(start: &[u8], item: impl Fn(usize) -> Vec<u8>, end: &[u8]) {
    let folder = folder();
    let said = folder.path().join("said");
    let mut reader = indexer();
    reader.args(["--json", "build", "--catalogue", "catalogue.toml", "--out", "out", "--strict"]);
    reader.args(["--format", "google", "-"]).current_dir(folder.path()).stdin(Stdio::piped());
    let mut reader = reader.stdout(fs::File::create(&said).expect("a file")).spawn().expect("the indexer runs");
    let mut pipe = reader.stdin.take().expect("its input");
    pipe.write_all(start).expect("the indexer reads");
    let mut early_kib = 0;
    for number in 0..ITEMS {
        pipe.write_all(&item(number)).expect("the indexer reads");
        if number == ITEMS / 8 {
            early_kib = peak_kib(reader.id());
        }
    }
    let grown_kib = peak_kib(reader.id()).saturating_sub(early_kib);
    pipe.write_all(end).expect("the indexer reads");
    drop(pipe);
    assert!(reader.wait().expect("the indexer ends").success());
    let said = fs::read_to_string(said).expect("what it said");
    let built: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON lines");
    assert_eq!(built["product_count"], ITEMS);
    assert!(grown_kib * 1024 < ITEMS * ITEM_BYTES / 4, "{grown_kib} KiB more");
}

#[test]
fn a_long_feed_is_never_in_memory_as_a_whole() {
    let noise = noise();
    let tsv_start = b"id\ttitle\tcustom_label_0\n";
    let tsv_item = |id: usize| format!("{id}\tLamp\t{noise}\n").into_bytes();
    check_memory(tsv_start, tsv_item, b"");
    let atom_item = |id: usize| {
        format!("<entry><id>{id}</id><title>Lamp</title><custom_label_0>{noise}</custom_label_0></entry>\n")
            .into_bytes()
    };
    check_memory(b"<feed xmlns=\"http://www.w3.org/2005/Atom\">", atom_item, b"</feed>");
    // Parts that are packed one by one are one file, and what is the same in all is packed once.
    let packed = gzip(&format!("\tLamp\t{noise}\n"));
    check_memory(&gzip("id\ttitle\tcustom_label_0\n"), |id| [gzip(&id.to_string()), packed.clone()].concat(), b"");
}
