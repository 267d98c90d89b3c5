//! Items of RSS 2.0 and Atom 1.0, one at a time.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;

use jiff::Timestamp;
use quick_xml::escape::resolve_html5_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use super::merchant;
use super::{MAX_LINE_BYTES, Mapping, Row, SourceError, SourceRow};

/// Elements of an item, and how deep they lie.
const MAX_ELEMENTS: usize = 2_000;
const MAX_DEPTH: usize = 16;

/// Counts lines, and fails when an item grows without end.
struct CountedInput {
    inner: BufReader<Box<dyn Read>>,
    line: Rc<Cell<u64>>,
    item_bytes: Rc<Cell<usize>>,
}

impl Read for CountedInput {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for CountedInput {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.item_bytes.get() > MAX_LINE_BYTES {
            return Err(std::io::Error::other(format!("an item is longer than {MAX_LINE_BYTES} bytes")));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let lines = self.inner.buffer().iter().take(count).filter(|byte| **byte == b'\n').count();
        self.line.set(self.line.get() + lines as u64);
        self.item_bytes.set(self.item_bytes.get() + count);
        self.inner.consume(count);
    }
}

/// The items of a feed as they come.
pub struct FeedXml {
    reader: Reader<CountedInput>,
    line: Rc<Cell<u64>>,
    item_bytes: Rc<Cell<usize>>,
    mapping: Mapping,
    now: Timestamp,
    buffer: Vec<u8>,
    /// The elements around the items that are open.
    depth: usize,
    is_over: bool,
}

impl FeedXml {
    pub fn new(input: BufReader<Box<dyn Read>>, mapping: Mapping, now: Timestamp) -> Self {
        let (line, item_bytes) = (Rc::new(Cell::new(1)), Rc::new(Cell::new(0)));
        let input = CountedInput { inner: input, line: line.clone(), item_bytes: item_bytes.clone() };
        let mut reader = Reader::from_reader(input);
        reader.config_mut().expand_empty_elements = true;
        // Many feeds write a lone ampersand, which can mean nothing else.
        reader.config_mut().allow_dangling_amp = true;
        Self { reader, line, item_bytes, mapping, now, buffer: Vec::new(), depth: 0, is_over: false }
    }

    /// Reads on to the next item, and all of it; None at the end of the feed.
    fn next_item(&mut self) -> Result<Option<SourceRow>, SourceError> {
        loop {
            self.item_bytes.set(0);
            let (line, item_bytes) = (self.line.get(), self.item_bytes.clone());
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| fault(line, &error))?;
            match event {
                Event::Start(start) if is_item(&start) => {
                    let line = self.line.get();
                    item_bytes.set(0);
                    return self.item(line).map(Some);
                }
                Event::Start(_) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(fault(line, &"elements lie too deep: is this a feed?"));
                    }
                }
                Event::End(_) => self.depth = self.depth.saturating_sub(1),
                Event::Decl(declaration) => check_encoding(line, &declaration)?,
                Event::Eof if self.depth > 0 => return Err(fault(line, &"the feed ends in the middle")),
                Event::Eof => return Ok(None),
                _ => {}
            }
        }
    }

    fn item(&mut self, line: u64) -> Result<SourceRow, SourceError> {
        let mut item = Item::default();
        let mut open: Vec<Element> = Vec::new();
        loop {
            self.buffer.clear();
            let at = self.line.get();
            match self.reader.read_event_into(&mut self.buffer).map_err(|error| fault(at, &error))? {
                Event::Start(start) => {
                    item.elements += 1;
                    if open.len() >= MAX_DEPTH || item.elements > MAX_ELEMENTS {
                        return Err(fault(at, &"an item has too many elements: is one of them not closed?"));
                    }
                    open.push(Element::new(&start));
                }
                Event::End(_) => match open.pop() {
                    Some(element) => match open.last_mut() {
                        Some(outer) => outer.take(element),
                        None => item.take(element),
                    },
                    None => return Ok(self.finish(line, item)),
                },
                Event::Text(text) => item.add(open.last_mut(), text.xml10_content().map_err(|error| error.to_string())),
                Event::CData(text) => {
                    item.add(open.last_mut(), text.xml10_content().map_err(|error| error.to_string()));
                }
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map(|name| name.into_owned()).unwrap_or_default();
                    let resolved = match reference.resolve_char_ref() {
                        Ok(Some(letter)) => Ok(letter.to_string()),
                        Ok(None) => resolve_html5_entity(&name).map(str::to_owned).ok_or(()),
                        Err(_) => Err(()),
                    };
                    let resolved = resolved.map_err(|()| format!("'&{name};' is no letter that is known"));
                    item.add(open.last_mut(), resolved);
                }
                Event::Eof => return Err(fault(at, &"the feed ends in the middle of an item")),
                _ => {}
            }
        }
    }

    fn finish(&self, line: u64, item: Item) -> SourceRow {
        let attributes = item.attributes();
        let text = Value::Object(attributes.clone()).to_string();
        let row = match item.fault {
            Some(fault) => Err(fault),
            None => merchant::row(attributes, &self.mapping, self.now),
        };
        SourceRow { line, text, row }
    }
}

impl Iterator for FeedXml {
    type Item = Result<SourceRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_item().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// An element of an item, with what it says.
struct Element {
    name: String,
    /// It has a namespace of its own: in a feed for merchants that is Google's, and counts more than RSS and Atom.
    has_prefix: bool,
    text: String,
    inner: Map<String, Value>,
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Self {
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        // Atom writes links as attributes.
        let link = start.try_get_attribute("href").ok().flatten();
        let link = link
            .filter(|_| name == "link")
            .and_then(|link| link.normalized_value(XmlVersion::Implicit1_0).ok().map(String::from));
        Self {
            has_prefix: start.name().prefix().is_some(),
            name: merchant::plain_name(&name),
            text: link.unwrap_or_default(),
            inner: Map::new(),
        }
    }

    fn take(&mut self, inner: Self) {
        self.inner.insert(inner.name.clone(), inner.value());
    }

    fn value(self) -> Value {
        match self.inner.is_empty() {
            true => Value::String(self.text.trim().to_owned()),
            false => Value::Object(self.inner),
        }
    }
}

/// An item as it is read.
#[derive(Default)]
struct Item {
    /// Name, whether it has a prefix, and value.
    values: Vec<(String, bool, Value)>,
    elements: usize,
    fault: Option<String>,
}

impl Item {
    fn take(&mut self, element: Element) {
        let (name, has_prefix) = (element.name.clone(), element.has_prefix);
        let value = element.value();
        if value.as_str().is_none_or(|text| !text.is_empty()) {
            self.values.push((name, has_prefix, value));
        }
    }

    /// What an item cannot be read for is told of it, and of no other.
    fn add<T: AsRef<str>>(&mut self, element: Option<&mut Element>, text: Result<T, String>) {
        match (text, element) {
            (Ok(text), Some(element)) => element.text.push_str(text.as_ref()),
            (Ok(_), None) => {}
            (Err(fault), _) => drop(self.fault.get_or_insert(fault)),
        }
    }

    /// The attributes by name, those that stand several times as lists.
    fn attributes(&self) -> Row {
        let mut row = Row::new();
        for (name, has_prefix, value) in &self.values {
            let is_shadowed = !has_prefix && self.values.iter().any(|(other, prefixed, _)| *prefixed && other == name);
            if is_shadowed {
                continue;
            }
            let value = match (name.as_str(), value) {
                ("description", Value::String(text)) => Value::String(without_tags(text)),
                (_, value) => value.clone(),
            };
            // Atom has these for what RSS calls a description.
            let name = if matches!(name.as_str(), "summary" | "content") { "description" } else { name };
            match row.get_mut(name) {
                None => drop(row.insert(name.to_owned(), value)),
                Some(Value::Array(values)) => values.push(value),
                Some(one) => *one = Value::Array(vec![one.take(), value]),
            }
        }
        row
    }
}

/// A text without the marks of HTML, which feeds carry in their descriptions.
fn without_tags(text: &str) -> String {
    if !text.contains('<') {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        plain.push_str(before);
        let is_tag = behind.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        match behind.split_once('>').filter(|_| is_tag) {
            Some((_, after)) => {
                plain.push(' ');
                rest = after;
            }
            None => {
                plain.push('<');
                rest = behind;
            }
        }
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_item(start: &BytesStart<'_>) -> bool {
    matches!(start.local_name().as_ref(), b"item" | b"entry")
}

fn check_encoding(line: u64, declaration: &quick_xml::events::BytesDecl<'_>) -> Result<(), SourceError> {
    let Some(Ok(encoding)) = declaration.encoding() else { return Ok(()) };
    match encoding.eq_ignore_ascii_case(b"utf-8") || encoding.eq_ignore_ascii_case(b"us-ascii") {
        true => Ok(()),
        false => {
            let name = String::from_utf8_lossy(&encoding);
            Err(fault(line, &format!("is written in {name}, and only UTF-8 is read: convert it first")))
        }
    }
}

fn fault(line: u64, reason: &dyn std::fmt::Display) -> SourceError {
    SourceError::Read { line, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Vec<Result<SourceRow, SourceError>> {
        let input: Box<dyn Read> = Box::new(std::io::Cursor::new(xml.to_owned().into_bytes()));
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        FeedXml::new(BufReader::with_capacity(16, input), Mapping::default(), now).collect()
    }

    fn first(xml: &str) -> Row {
        read(xml).swap_remove(0).expect("an item").row.expect("a row")
    }

    #[test]
    fn rss_and_atom_say_the_same() {
        let fields = "<g:id>7</g:id><title>Lamp &amp; shade</title><g:price>15.00 USD</g:price>\
                      <g:image_link>http://a/1.png</g:image_link><g:shipping><g:country>US</g:country></g:shipping>";
        let rss = first(&format!(
            "<?xml version=\"1.0\"?><rss xmlns:g=\"x\"><channel><title>Shop</title>\n<item>{fields}<link>http://a</link>\
                      <description><![CDATA[<p>So <b>bright</b></p>]]></description></item></channel></rss>"
        ));
        let atom = first(&format!(
            "<feed xmlns:g=\"x\"><title>Shop</title><entry><id>tag:7</id>{fields}<link href=\"http://a\"/>\
                      <summary type=\"html\">&lt;p&gt;So bright&lt;/p&gt;</summary></entry></feed>"
        ));
        assert_eq!(rss["id"], "7");
        assert_eq!((rss["title"].as_str(), rss["description"].as_str()), (Some("Lamp & shade"), Some("So bright")));
        assert_eq!(rss["images"][0], "http://a/1.png");
        let mut atom_description = atom.clone();
        atom_description
            .insert("description".into(), Value::String(without_tags(atom["description"].as_str().expect("text"))));
        assert_eq!(rss, atom_description);
    }

    #[test]
    fn entities_are_letters_and_unknown_ones_spoil_one_item() {
        let rows = read(
            "<rss><channel>\n<item><id>1</id><title>Caf&eacute; &#233; &#xE9; R&D</title></item>\n<item><id>2</id><title>&nonsense;</title></item>\n\
                      <item><id>3</id><title>c</title></item></channel></rss>",
        );
        let rows: Vec<SourceRow> = rows.into_iter().map(|row| row.expect("a readable feed")).collect();
        assert_eq!(rows[0].row.as_ref().expect("a row")["title"], "Café é é R&D");
        assert_eq!((rows[1].line, rows[1].row.as_ref().expect_err("no letter").contains("&nonsense;")), (3, true));
        assert_eq!(rows[2].row.as_ref().expect("a row")["id"], "3");
    }

    #[test]
    fn what_is_cut_off_is_no_smaller_shop() {
        let whole = "<rss><channel><item><id>1</id></item><item><id>2</id></item></channel></rss>";
        assert_eq!(read(whole).len(), 2);
        for end in 1..whole.len() {
            let rows = read(&whole[..end]);
            assert!(rows.last().is_none_or(Result::is_err), "cut at {end}");
            assert!(!rows.is_empty(), "cut at {end}");
        }
        assert!(read("<rss><channel><item><id>1</title></item></channel></rss>")[0].is_err());
        let latin = read("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><rss></rss>").swap_remove(0);
        assert!(latin.is_err_and(|error| error.to_string().contains("only UTF-8")));
        let endless = format!("<rss><channel><item><title>{}", "x".repeat(MAX_LINE_BYTES + 100_000));
        assert!(read(&endless)[0].as_ref().is_err_and(|error| error.to_string().contains("longer than")));
    }

    #[test]
    fn tags_go_and_signs_stay() {
        assert_eq!(without_tags("<p>a</p><br/>b &lt; c"), "a b &lt; c");
        assert_eq!(without_tags("5 < 6 and <b>7</b> > 6"), "5 < 6 and 7 > 6");
        assert_eq!(without_tags("plain\ntext"), "plain\ntext");
    }
}
