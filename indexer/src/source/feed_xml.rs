//! Merchant feeds as RSS 2.0 and Atom 1.0: one item at a time.

use std::io::{BufReader, Read};
use std::sync::Arc;

use super::merchant::{FeedItem, FeedValue, Merchant, Standing, WITHHELD, attribute_name, is_secret};
use super::xml::{Element, Piece, XmlReader};
use super::{SourceError, SourceRow, UnreadRow};

/// How many elements one item may have, at any depth.
const MAX_ELEMENTS: usize = 5_000;

pub struct FeedXml {
    xml: XmlReader,
    merchant: Arc<Merchant>,
    /// What a product is called, once the first element has told.
    item_name: Option<&'static str>,
    ended: bool,
}

impl FeedXml {
    pub fn new(input: BufReader<Box<dyn Read>>, merchant: Merchant) -> Self {
        Self { xml: XmlReader::new(input), merchant: Arc::new(merchant), item_name: None, ended: false }
    }

    fn next_item(&mut self) -> Result<Option<UnreadRow>, SourceError> {
        loop {
            self.xml.mark();
            let line = self.xml.line();
            match self.xml.piece()? {
                Piece::End => return Ok(None),
                Piece::Open(element) => match self.item_name {
                    None => self.item_name = Some(self.item_name_in(&element.name)?),
                    Some(item_name) if element.name == item_name => return self.item(line).map(Some),
                    Some(_) => {}
                },
                Piece::Close | Piece::Text(_) | Piece::Other => {}
            }
        }
    }

    /// A page that says why there is no feed must not pass for a feed without products.
    fn item_name_in(&self, root: &str) -> Result<&'static str, SourceError> {
        match root {
            "rss" => Ok("item"),
            "feed" => Ok("entry"),
            other => Err(self.xml.fault(format!("is no feed: it begins with <{other}>, not with <rss> or <feed>"))),
        }
    }

    fn item(&mut self, line: u64) -> Result<UnreadRow, SourceError> {
        let mut reader = ItemReader::default();
        loop {
            match self.xml.piece()? {
                Piece::Open(element) => reader.open(element),
                Piece::Text(text) => reader.text(text),
                Piece::Close if reader.depth > 0 => reader.close(),
                // The document cannot end in here: its elements would not be closed.
                Piece::Close | Piece::End => break,
                Piece::Other => {}
            }
        }
        let text = match reader.has_secret {
            true => WITHHELD.to_owned(),
            false => String::from_utf8_lossy(self.xml.raw()).into_owned(),
        };
        let merchant = self.merchant.clone();
        let read = move || {
            let item = match reader.fault {
                Some(reason) => Err(reason),
                None => merchant.row(reader.item),
            };
            SourceRow::of_item(line, text, item)
        };
        Ok(UnreadRow::new(self.xml.raw().len(), read))
    }
}

impl Iterator for FeedXml {
    type Item = Result<UnreadRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.next_item();
        self.ended = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

/// An item while it is read. Its elements are attributes, and theirs are sub-attributes.
#[derive(Default)]
struct ItemReader {
    item: FeedItem,
    /// How many elements are open below the item.
    depth: usize,
    elements: usize,
    /// The attribute that is open.
    name: String,
    standing: Standing,
    value: FeedValue,
    /// The first thing that spoils the item.
    fault: Option<String>,
    has_secret: bool,
}

impl ItemReader {
    fn open(&mut self, element: Element) {
        self.depth += 1;
        self.elements += 1;
        let name = attribute_name(&element.name);
        self.has_secret |= is_secret(&name);
        if self.elements > MAX_ELEMENTS {
            self.spoil(format!("has more than {MAX_ELEMENTS} elements"));
            return;
        }
        match self.depth {
            1 => {
                self.name = name;
                self.standing = element.standing;
                self.value = FeedValue::default();
                if let Some(href) = element.href {
                    self.text(href);
                }
            }
            2 => self.value.parts.push((name, String::new())),
            _ => {}
        }
        // Words of two elements are not one word.
        self.value.text.push(' ');
    }

    fn text(&mut self, text: Result<String, String>) {
        match text {
            Err(reason) if self.depth == 0 => self.spoil(reason),
            Err(reason) => self.spoil(format!("{} {reason}", self.name)),
            Ok(_) if self.depth == 0 => {}
            Ok(text) => {
                self.value.text.push_str(&text);
                if let Some((_, part)) = self.value.parts.last_mut().filter(|_| self.depth > 1) {
                    part.push_str(&text);
                }
            }
        }
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.value.text.push(' ');
        if self.depth > 0 {
            return;
        }
        let mut value = std::mem::take(&mut self.value);
        if self.fault.is_some() {
            return;
        }
        value.text = match value.parts.is_empty() {
            true => value.text.trim().to_owned(),
            false => value.text.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        self.item.add(&self.name, self.standing, value);
    }

    fn spoil(&mut self, reason: String) {
        self.fault.get_or_insert(reason);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use serde_json::Value;

    use super::*;
    use crate::source::{MAX_LINE_BYTES, Mapping};

    fn read(xml: impl Into<Vec<u8>>) -> Vec<Result<SourceRow, SourceError>> {
        let input: Box<dyn Read> = Box::new(Cursor::new(xml.into()));
        let merchant = Merchant::new(Mapping::default(), "2026-03-01T12:00:00Z".parse().expect("a time"));
        // So small that everything is cut somewhere.
        FeedXml::new(BufReader::with_capacity(7, input), merchant).map(|row| row.map(UnreadRow::read)).collect()
    }

    fn rss(items: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel><title>A shop</title>\n{items}</channel></rss>\n"
        )
    }

    fn row_of(item: &str) -> Result<Value, String> {
        let mut rows = read(rss(&format!("<item>{item}</item>")));
        assert_eq!(rows.len(), 1, "{item}");
        rows.remove(0).expect("a feed").row.map(Value::Object)
    }

    fn check(item: &str, expected: &str) {
        let expected: Value = serde_json::from_str(expected).expect("JSON");
        assert_eq!(row_of(item), Ok(expected), "{item}");
    }

    fn fault_of(xml: &str) -> String {
        let rows = read(xml);
        let faults: Vec<String> = rows.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
        assert_eq!(faults.len(), 1, "{xml}");
        faults.concat()
    }

    #[test]
    fn texts_are_read_however_they_are_written() {
        check("<title>A &amp; B &#233;&#xE9;&eacute;&ndash;</title>", r#"{"title": "A & B ééé–"}"#);
        check("<title><![CDATA[A & <B>]]> too</title>", r#"{"title": "A & <B> too"}"#);
        check("<title>\n A <!-- not this --> lamp\n</title>", r#"{"title": "A  lamp"}"#);
        check("<description>&lt;p&gt;Oak&amp;nbsp;lamp&lt;/p&gt;</description>", r#"{"description": "Oak lamp"}"#);
        check("<description><p>Oak</p><p>lamp</p></description>", r#"{"description": "Oak lamp"}"#);
    }

    #[test]
    fn googles_elements_stand_above_plain_ones() {
        check("<g:title>Told</g:title><title>Shown</title>", r#"{"title": "Told"}"#);
        check("<title>Shown</title><g:title>Told</g:title>", r#"{"title": "Told"}"#);
        check("<title>Shown</title><g:title></g:title>", r#"{"title": "Shown"}"#);
        check(
            "<x:title xmlns:x=\"http://base.google.com/ns/1.0\">Told</x:title><title>Shown</title>",
            r#"{"title": "Told"}"#,
        );
        check(
            "<title>A</title><m:title xmlns:m=\"urn:media\">B</m:title><c:fabric>wool</c:fabric>",
            r#"{"title": "A", "attributes": {"m:title": "B", "fabric": "wool"}}"#,
        );
    }

    #[test]
    fn elements_of_elements_are_read() {
        check(
            "<g:product_detail><g:section_name>S</g:section_name><g:attribute_name>Socket</g:attribute_name>\
             <g:attribute_value>E27</g:attribute_value></g:product_detail>\
             <g:shipping><g:country>US</g:country></g:shipping><g:subscription_cost><g:period>month</g:period>\
             <g:period_length>12</g:period_length><g:amount>35.00 USD</g:amount></g:subscription_cost>\
             <c:care><p>Wash <b>cold</b></p> and dry</c:care>",
            r#"{"attributes": {"Socket": "E27", "subscription_cost": "month:12:35.00 USD", "care": "Wash cold and dry"}}"#,
        );
        check(
            "<g:structured_title><g:digital_source_type>default</g:digital_source_type><g:content>Lamp</g:content>\
             </g:structured_title>",
            r#"{"title": "Lamp"}"#,
        );
    }

    #[test]
    fn atom_has_its_link_in_an_attribute() {
        let xml = "<feed xmlns='http://www.w3.org/2005/Atom' xmlns:g='http://base.google.com/ns/1.0'><id>feed</id>\
                   <entry><id>tag:1</id><g:id>1</g:id><link rel='self' href='https://no'/>\
                   <link href='https://x/?a=1&amp;b=2'/><summary>Oak</summary></entry></feed>";
        let mut rows = read(xml);
        assert_eq!(rows.len(), 1);
        let row = rows.remove(0).expect("a feed").row.map(Value::Object);
        assert_eq!(row, Ok(serde_json::json!({"id": "1", "link": "https://x/?a=1&b=2", "description": "Oak"})));
    }

    #[test]
    fn a_damaged_item_is_one_row_at_its_line() {
        let damaged: [(&[u8], &str); 6] = [
            (b"<g:title>A &made_up; B</g:title>", "title has '&made_up;'"),
            (b"<title>Black & Decker</title>", "title has a bare '&'"),
            (b"<link>https://x/?a=1&b=2</link>", "link has a bare '&'"),
            (b"<title>\xe9</title>", "title is not UTF-8"),
            (b"<title><![CDATA[\xe9]]></title>", "title is not UTF-8"),
            (
                b"<g:sale_price>1</g:sale_price><g:sale_price_effective_date>x</g:sale_price_effective_date>",
                "sale_price_effective_date",
            ),
        ];
        for (item, expected) in damaged {
            let before = rss("<item><g:id>1</g:id></item>\n<item>").replace("</channel></rss>\n", "");
            let after = b"</item>\n<item><g:id>2</g:id></item></channel></rss>";
            let rows = read([before.as_bytes(), item, after].concat());
            let rows: Vec<SourceRow> = rows.into_iter().map(|row| row.expect("a feed")).collect();
            let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [3, 4, 5], "{expected}");
            assert!(rows[0].row.is_ok() && rows[2].row.is_ok(), "{expected}");
            let fault = rows[1].row.as_ref().expect_err(expected);
            assert!(fault.contains(expected), "{fault}");
            assert!(rows[1].text.starts_with("<item><") && rows[1].text.ends_with("></item>"), "{}", rows[1].text);
        }
    }

    #[test]
    fn what_only_google_may_know_is_shown_nowhere() {
        let secret = "<g:id>1</g:id><g:cost_of_goods_sold>7.77</g:cost_of_goods_sold><title>&made_up;</title>";
        let rows = read(rss(&format!("<item>{secret}</item>")));
        let row = rows.into_iter().next().expect("a row").expect("a feed");
        assert!(row.row.is_err());
        assert!(!row.text.contains("7.77"), "{}", row.text);
    }

    #[test]
    fn what_is_ill_formed_ends_the_reading() {
        let check = |xml: &str, expected: &str| {
            let fault = fault_of(xml);
            assert!(fault.contains(expected), "{xml}: {fault}");
        };
        let whole = rss("<item><g:id>1</g:id></item>\n<item><g:id>2</g:id></item>");
        assert!(read(whole.as_str()).iter().all(Result::is_ok));
        // Wherever the last element is cut off, the reading fails and does not end.
        for length in 1..whole.trim_end().len() {
            let rows = read(&whole.as_bytes()[..length]);
            assert!(rows.last().is_some_and(Result::is_err), "{}", &whole[..length]);
        }
        check(&rss("<item><g:id>1</g:title></item>"), "line 3: ");
        check(&rss("</item>"), "line 3: ");
        check("<html><body>Not found</body></html>", "is no feed: it begins with <html>");
        check(&format!("{whole}<rss/>"), "behind the end");
        check(&format!("{whole}more"), "text outside");
        check("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><rss/>", "is written in ISO-8859-1");
    }

    #[test]
    fn everything_has_a_bound() {
        let deep = rss(&format!("<item>{}", "<a>".repeat(1_000)));
        assert!(fault_of(&deep).contains("inside of each other"));
        let long = rss(&format!("<item><title>{}</title></item>", "x".repeat(MAX_LINE_BYTES)));
        assert!(fault_of(&long).contains("is longer than"));
        let many = "<a>1</a>".repeat(MAX_ELEMENTS + 1);
        assert_eq!(row_of(&many), Err(format!("has more than {MAX_ELEMENTS} elements")));
        // Entities that the document declares are not followed.
        let declared = format!("<!DOCTYPE rss [<!ENTITY a \"b\">]>{}", &rss("<item><title>&a;</title></item>")[21..]);
        let row = read(declared.as_str()).remove(0).expect("a feed").row;
        assert!(row.expect_err("an entity").contains("'&a;'"));
    }
}
