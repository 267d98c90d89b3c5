//! XML in pieces, one at a time. What is ill-formed, cut off or without bound ends the reading; what only spoils a text
//! is told with that text. Entities that a document declares and documents that it points to are never followed.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::events::{BytesDecl, BytesRef, BytesStart, BytesText, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

use super::entities::{MAX_REFERENCE_BYTES, entity};
use super::merchant::Standing;
use super::{MAX_LINE_BYTES, SourceError};

/// How many elements may be open at once.
const MAX_DEPTH: usize = 64;

const GOOGLE: [&[u8]; 2] = [b"http://base.google.com/ns/1.0", b"https://base.google.com/ns/1.0"];
const CUSTOM: [&[u8]; 2] = [b"http://base.google.com/cns/1.0", b"https://base.google.com/cns/1.0"];
const ATOM: &[u8] = b"http://www.w3.org/2005/Atom";

pub(crate) struct XmlReader {
    reader: NsReader<Watched>,
    buffer: Vec<u8>,
    /// How many elements are open.
    depth: usize,
    root_closed: bool,
}

pub(crate) enum Piece {
    Open(Element),
    Close,
    /// Text with its entities replaced, or what is wrong with it. One text may come in several pieces.
    Text(Result<String, String>),
    /// A comment, a declaration and the like.
    Other,
    /// The end of the document, whose elements are all closed.
    End,
}

pub(crate) struct Element {
    pub standing: Standing,
    /// The name without the prefix; with it where the prefix is of a foreign vocabulary.
    pub name: String,
    /// Where a `link` of Atom leads to, which is an attribute there.
    pub href: Option<Result<String, String>>,
}

impl XmlReader {
    pub fn new(input: BufReader<Box<dyn Read>>) -> Self {
        let mut reader = NsReader::from_reader(Watched { inner: input, line_ends: 0, raw: Vec::new() });
        reader.config_mut().expand_empty_elements = true;
        // The commonest mistake of all spoils one text, not the whole feed.
        reader.config_mut().allow_dangling_amp = true;
        Self { reader, buffer: Vec::new(), depth: 0, root_closed: false }
    }

    /// Forgets what was read so far: what follows is counted against the bound, and is what [`Self::raw`] gives.
    pub fn mark(&mut self) {
        self.reader.get_mut().raw.clear();
    }

    /// The document as it is written, since the last mark.
    pub fn raw(&self) -> &[u8] {
        &self.reader.get_ref().raw
    }

    /// The line that the next piece begins on, from 1.
    pub fn line(&self) -> u64 {
        self.reader.get_ref().line_ends + 1
    }

    pub fn fault(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Read { line: self.line(), reason: reason.into() }
    }

    /// # Errors
    /// When the document is ill-formed, is cut off, goes beyond a bound or is not UTF-8.
    pub fn piece(&mut self) -> Result<Piece, SourceError> {
        self.buffer.clear();
        let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| error.to_string());
        let piece = event.and_then(|event| piece_of(&self.reader, event));
        let piece = piece.and_then(|piece| match self.fault_in_structure(&piece) {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(piece),
        });
        let piece = piece.map_err(|reason| self.fault(reason))?;
        match piece {
            Piece::Open(_) => self.depth += 1,
            Piece::Close => {
                self.depth -= 1;
                self.root_closed = self.depth == 0;
            }
            Piece::Text(_) | Piece::Other | Piece::End => {}
        }
        Ok(piece)
    }

    /// What the parser leaves to its user: one root, no text around it, all closed at the end.
    fn fault_in_structure(&self, piece: &Piece) -> Option<&'static str> {
        match piece {
            Piece::Open(_) if self.root_closed => Some("has an element behind the end of the document"),
            Piece::Open(_) if self.depth == MAX_DEPTH => Some("has elements inside of each other without end"),
            Piece::Close if self.depth == 0 => Some("closes an element that is not open"),
            Piece::Text(text) if self.depth == 0 && !text.as_ref().is_ok_and(|text| text.trim().is_empty()) => {
                Some("has text outside of all elements")
            }
            Piece::End if self.depth > 0 || !self.root_closed => {
                Some("the document ends inside of an element: is the file cut off?")
            }
            _ => None,
        }
    }
}

fn piece_of(reader: &NsReader<Watched>, event: Event<'_>) -> Result<Piece, String> {
    Ok(match event {
        Event::Start(start) | Event::Empty(start) => Piece::Open(element_of(reader, &start)?),
        Event::End(_) => Piece::Close,
        Event::Text(text) => Piece::Text(text_of(&text)),
        Event::CData(text) => Piece::Text(text.xml10_content().map(Into::into).map_err(|_| not_utf_8())),
        Event::GeneralRef(reference) => Piece::Text(character_of(&reference)),
        Event::Decl(declaration) => {
            check_encoding(&declaration)?;
            Piece::Other
        }
        Event::Comment(_) | Event::PI(_) | Event::DocType(_) => Piece::Other,
        Event::Eof => Piece::End,
    })
}

fn element_of(reader: &NsReader<Watched>, start: &BytesStart<'_>) -> Result<Element, String> {
    let name = start.name();
    let (namespace, local) = reader.resolver().resolve_element(name);
    let (standing, written) = match standing_of(&namespace, name.prefix().is_some()) {
        Some(standing) => (standing, local.into_inner()),
        None => (Standing::Custom, name.into_inner()),
    };
    let written = std::str::from_utf8(written).map_err(|_| "the name of an element is not UTF-8".to_owned())?;
    let href = if written == "link" { href_of(start) } else { None };
    Ok(Element { standing, name: written.to_owned(), href })
}

/// Whose vocabulary an element is of; None for one that has nothing to do with feeds of products. Prefixes that nobody
/// declares are taken for what they are by custom.
fn standing_of(namespace: &ResolveResult<'_>, has_prefix: bool) -> Option<Standing> {
    match namespace {
        ResolveResult::Bound(Namespace(name)) if GOOGLE.contains(name) => Some(Standing::Google),
        ResolveResult::Bound(Namespace(name)) if CUSTOM.contains(name) => Some(Standing::Custom),
        ResolveResult::Bound(Namespace(name)) if *name == ATOM => Some(Standing::Plain),
        ResolveResult::Unknown(prefix) if prefix.as_slice() == b"g" => Some(Standing::Google),
        ResolveResult::Unknown(prefix) if prefix.as_slice() == b"c" => Some(Standing::Custom),
        _ if !has_prefix => Some(Standing::Plain),
        _ => None,
    }
}

/// Atom has several links; the product's page is the one that says nothing else.
fn href_of(start: &BytesStart<'_>) -> Option<Result<String, String>> {
    match attribute_of(start, "rel") {
        None => attribute_of(start, "href"),
        Some(Ok(rel)) if rel == "alternate" => attribute_of(start, "href"),
        Some(_) => None,
    }
}

fn attribute_of(start: &BytesStart<'_>, name: &str) -> Option<Result<String, String>> {
    let fault = |reason: String| format!("the attribute '{name}': {reason}");
    match start.try_get_attribute(name) {
        Ok(attribute) => attribute.map(|attribute| {
            let value = attribute.decoded_and_normalized_value(XmlVersion::Implicit1_0, start.decoder());
            value.map(Into::into).map_err(|error| fault(error.to_string()))
        }),
        Err(error) => Some(Err(fault(error.to_string()))),
    }
}

fn text_of(text: &BytesText<'_>) -> Result<String, String> {
    // The parser takes every other '&' for the beginning of a reference.
    if text.starts_with(b"&") {
        return Err("has a bare '&', which is written &amp;".to_owned());
    }
    text.xml10_content().map(Into::into).map_err(|_| not_utf_8())
}

fn character_of(reference: &BytesRef<'_>) -> Result<String, String> {
    let name = std::str::from_utf8(reference).map_err(|_| not_utf_8())?;
    entity(name).map(String::from).ok_or_else(|| {
        let shown: String = name.chars().take(MAX_REFERENCE_BYTES).collect();
        format!("has '&{shown};', which stands for nothing: a bare '&' is written &amp;")
    })
}

fn not_utf_8() -> String {
    "is not UTF-8".to_owned()
}

fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), String> {
    let Some(encoding) = declaration.encoding() else { return Ok(()) };
    let encoding = encoding.map_err(|error| error.to_string())?;
    let known: [&[u8]; 3] = [b"utf-8", b"utf8", b"us-ascii"];
    match known.iter().any(|known| known.eq_ignore_ascii_case(&encoding)) {
        true => Ok(()),
        false => Err(format!("is written in {}, and only UTF-8 is read", String::from_utf8_lossy(&encoding))),
    }
}

/// Counts lines, keeps what is read, and fails when that grows without end.
struct Watched {
    inner: BufReader<Box<dyn Read>>,
    /// How many lines are behind.
    line_ends: u64,
    /// What was read since the last mark.
    raw: Vec<u8>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Watched {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.raw.len() > MAX_LINE_BYTES {
            let reason = format!("an item is longer than {MAX_LINE_BYTES} bytes: is an element not closed?");
            return Err(io::Error::other(reason));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let taken = &self.inner.buffer()[..count];
        self.line_ends += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.raw.extend_from_slice(taken);
        self.inner.consume(count);
    }
}
