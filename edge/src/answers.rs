//! The JSON of answers. Product fields are copied as they are stored; only what is computed is written.

use std::fmt::Write;

use jiff::Timestamp;
use search::{
    Answer, Category, FacetAnswer, FieldSet, Highlighter, Hit, Index, Level, NumberStats, ScoreParts, SearchRequest,
    SuggestRequest, Suggestions,
};
use serde_json::json;
use snapshots::{FragmentKey, PRODUCT_FIELDS, Pointer, RecordView, write_scaled};

use crate::live::Generation;

/// The place of the attributes among the fields: the last, and the only one that is an object.
pub const ATTRIBUTES: usize = PRODUCT_FIELDS.len() - 1;
const BEFORE_MARK: &str = "<mark>";
const AFTER_MARK: &str = "</mark>";

/// Bytes of an answer, being written.
pub struct JsonOut(pub Vec<u8>);

impl Write for JsonOut {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl JsonOut {
    pub fn new() -> Self {
        Self(Vec::with_capacity(16 * 1024))
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        // Writing to a vector cannot fail.
        let _ = write!(self, "{number}");
    }

    fn text(&mut self, text: &str) {
        // Neither can serialising a str.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    fn texts<'t>(&mut self, texts: impl IntoIterator<Item = &'t String>) {
        self.raw("[");
        for (place, text) in texts.into_iter().enumerate() {
            self.comma(place);
            self.text(text);
        }
        self.raw("]");
    }

    fn comma(&mut self, place: usize) {
        if place > 0 {
            self.raw(",");
        }
    }
}

/// Writes the answer to a search.
pub fn search(out: &mut JsonOut, generation: &Generation, request: &SearchRequest, answer: &Answer) {
    let index = &generation.index;
    let mut highlighter = Highlighter::new(index, &answer.words);
    out.raw("{\"hits\":[");
    for (place, hit) in answer.hits.iter().enumerate() {
        out.comma(place);
        search_hit(out, index, request, answer, hit, &mut highlighter);
    }
    out.raw("],\"found\":");
    out.number(answer.found);
    out.raw(",\"page\":");
    out.number(request.page);
    out.raw(",\"per_page\":");
    out.number(request.per_page);
    out.raw(",\"facets\":{");
    for (place, facet) in answer.facets.iter().enumerate() {
        out.comma(place);
        facet_values(out, index, facet);
    }
    out.raw("},\"query\":{\"original\":");
    out.text(&request.query);
    out.raw(",\"corrected\":");
    match &answer.corrected {
        Some(corrected) => out.text(corrected),
        None => out.raw("null"),
    }
    out.raw(",\"dropped\":");
    out.texts(&answer.dropped);
    out.raw("},");
    curated(out, &answer.rules, answer.redirect.as_deref(), &answer.user_data);
    snapshot(out, generation);
    out.raw("}");
}

/// Writes a hit of a search, with what is told of it besides its fields.
fn search_hit(
    out: &mut JsonOut,
    index: &Index,
    request: &SearchRequest,
    answer: &Answer,
    hit: &Hit,
    highlighter: &mut Highlighter<'_>,
) {
    out.raw("{");
    let record = index.record(hit.segment, hit.doc);
    let mut fields = product_fields(out, index, hit.segment, record, request.fields);
    let mut next = |out: &mut JsonOut, name: &str| {
        out.comma(fields);
        fields += 1;
        out.raw("\"");
        out.raw(name);
        out.raw("\":");
    };
    if hit.missing != 0 {
        next(out, "missing");
        let missing = answer.words.iter().enumerate().filter(|(word, _)| hit.missing >> word & 1 == 1);
        out.texts(missing.map(|(_, word)| word));
    }
    if hit.is_pinned {
        next(out, "pinned");
        out.raw("true");
    }
    if !hit.variants.is_empty() {
        next(out, "variants");
        out.raw("[");
        for (place, (segment, doc)) in hit.variants.iter().enumerate() {
            out.comma(place);
            product(out, index, *segment, index.record(*segment, *doc), request.fields);
        }
        out.raw("]");
    }
    if let Some(parts) = &hit.parts {
        next(out, "explain");
        explanation(out, hit, parts);
    }
    if !request.highlight.is_empty() {
        next(out, "highlight");
        highlights(out, record, request, highlighter);
    }
    out.raw("}");
}

/// Writes what places a hit: its level, then its score, and what that is made of.
fn explanation(out: &mut JsonOut, hit: &Hit, parts: &ScoreParts) {
    out.raw("{\"score\":");
    out.number(hit.score);
    if let Some(Level { missing, weak, is_corrected }) = hit.level {
        out.raw(",\"level\":{\"missing\":");
        out.number(missing);
        out.raw(",\"weak\":");
        out.number(weak);
        out.raw(",\"corrected\":");
        out.number(is_corrected);
        out.raw("}");
    }
    for (name, value) in parts.named() {
        out.raw(",\"");
        out.raw(name);
        out.raw("\":");
        out.number(value);
    }
    out.raw("}");
}

/// Writes what rules did, where any applied.
fn curated(out: &mut JsonOut, rules: &[String], redirect: Option<&str>, user_data: &[String]) {
    if rules.is_empty() {
        return;
    }
    out.raw("\"rules\":");
    out.texts(rules);
    out.raw(",");
    if let Some(redirect) = redirect {
        out.raw("\"redirect\":");
        out.text(redirect);
        out.raw(",");
    }
    if !user_data.is_empty() {
        out.raw("\"user_data\":[");
        for (place, json) in user_data.iter().enumerate() {
            out.comma(place);
            out.raw(json);
        }
        out.raw("],");
    }
}

/// Writes suggestions and the products that the first one finds.
pub fn suggestions(out: &mut JsonOut, generation: &Generation, request: &SuggestRequest, found: &Suggestions) {
    let index = &generation.index;
    let words = index.words_of(found.corrected.as_deref().unwrap_or(&request.query));
    let mut highlighter = Highlighter::new(index, &words);
    out.raw("{\"suggestions\":[");
    for (place, suggestion) in found.suggestions.iter().enumerate() {
        out.comma(place);
        out.raw("{\"text\":");
        out.text(&suggestion.text);
        out.raw(",\"highlight\":");
        let mut marked = String::new();
        highlighter.write(&suggestion.text, BEFORE_MARK, AFTER_MARK, &mut marked);
        out.text(&marked);
        out.raw(",\"scopes\":[");
        for (place, (category, count)) in suggestion.scopes.iter().enumerate() {
            out.comma(place);
            out.raw("{\"category\":");
            out.text(category);
            out.raw(",\"count\":");
            out.number(count);
            out.raw("}");
        }
        out.raw("]}");
    }
    out.raw("],\"products\":[");
    hits(out, index, &found.products.hits, request.fields);
    out.raw("],\"searched\":");
    out.text(&found.searched);
    out.raw(",\"query\":{\"original\":");
    out.text(&request.query);
    out.raw(",\"corrected\":");
    match &found.corrected {
        Some(corrected) => out.text(corrected),
        None => out.raw("null"),
    }
    out.raw("},");
    curated(out, &found.rules, found.redirect.as_deref(), &found.user_data);
    snapshot(out, generation);
    out.raw("}");
}

/// Writes the products that are like another one.
pub fn similar(out: &mut JsonOut, generation: &Generation, found: &[Hit], fields: FieldSet) {
    out.raw("{\"products\":[");
    hits(out, &generation.index, found, fields);
    out.raw("],");
    snapshot(out, generation);
    out.raw("}");
}

fn hits(out: &mut JsonOut, index: &Index, found: &[Hit], fields: FieldSet) {
    for (place, hit) in found.iter().enumerate() {
        out.comma(place);
        product(out, index, hit.segment, index.record(hit.segment, hit.doc), fields);
    }
}

/// Writes a product alone.
pub fn product(out: &mut JsonOut, index: &Index, segment: usize, record: RecordView<'_>, fields: FieldSet) {
    out.raw("{");
    product_fields(out, index, segment, record, fields);
    out.raw("}");
}

/// A product alone, in a buffer that is no larger than it.
pub fn product_body(index: &Index, segment: usize, record: RecordView<'_>, fields: FieldSet) -> Vec<u8> {
    let mut out = JsonOut(Vec::with_capacity(product_length(index, segment, record, fields)));
    product(&mut out, index, segment, record, fields);
    out.0
}

/// How many bytes [`product`] writes.
fn product_length(index: &Index, segment: usize, record: RecordView<'_>, fields: FieldSet) -> usize {
    let keys = index.snapshot().segments[segment].segment.attribute_keys();
    let (mut length, mut written, mut attributes) = ("{}".len(), 0_usize, 0);
    for (key, json) in record.fragments() {
        let key_length = match key {
            FragmentKey::Field(place) if fields.contains(place) => {
                written += 1;
                PRODUCT_FIELDS[place].len() + "\"\":".len()
            }
            FragmentKey::Attribute(number) if fields.contains(ATTRIBUTES) => {
                attributes += 1;
                keys[number].len() + ":".len()
            }
            _ => continue,
        };
        length += key_length + json.len();
    }
    if attributes > 0 {
        written += 1;
        length += "\"attributes\":{}".len() + attributes - 1;
    }
    // The commas between them.
    length + written.saturating_sub(1)
}

/// Writes the products of a batch, and which ids there are none of.
pub fn products(out: &mut JsonOut, generation: &Generation, ids: &[String], fields: FieldSet, now: Timestamp) {
    let mut missing = Vec::new();
    let mut written = 0;
    out.raw("{\"products\":[");
    for id in ids {
        match generation.index.product_at(id, now) {
            Some((segment, record)) => {
                out.comma(written);
                written += 1;
                product(out, &generation.index, segment, record, fields);
            }
            None => missing.push(id),
        }
    }
    out.raw("],\"missing\":");
    out.texts(missing);
    out.raw(",");
    snapshot(out, generation);
    out.raw("}");
}

/// Writes a category tree.
pub fn categories(out: &mut JsonOut, generation: &Generation, tree: &[Category]) {
    out.raw("{\"categories\":");
    category_list(out, tree);
    out.raw(",");
    snapshot(out, generation);
    out.raw("}");
}

fn category_list(out: &mut JsonOut, list: &[Category]) {
    out.raw("[");
    for (place, category) in list.iter().enumerate() {
        out.comma(place);
        out.raw("{\"name\":");
        out.text(category.name());
        out.raw(",\"path\":");
        out.text(&category.path);
        out.raw(",\"count\":");
        out.number(category.count);
        out.raw(",\"children\":");
        category_list(out, &category.children);
        out.raw("}");
    }
    out.raw("]");
}

/// Copies the chosen fields of a record, and returns how many there were.
fn product_fields(out: &mut JsonOut, index: &Index, segment: usize, record: RecordView<'_>, fields: FieldSet) -> usize {
    let keys = index.snapshot().segments[segment].segment.attribute_keys();
    let (mut written, mut attributes) = (0, 0);
    for (key, json) in record.fragments() {
        match key {
            FragmentKey::Field(place) if fields.contains(place) => {
                out.comma(written);
                written += 1;
                out.raw("\"");
                out.raw(PRODUCT_FIELDS[place]);
                out.raw("\":");
            }
            FragmentKey::Attribute(number) if fields.contains(ATTRIBUTES) => {
                if attributes == 0 {
                    out.comma(written);
                    written += 1;
                    out.raw("\"attributes\":{");
                }
                out.comma(attributes);
                attributes += 1;
                out.raw(&keys[number]);
                out.raw(":");
            }
            _ => continue,
        }
        out.0.extend_from_slice(json);
    }
    if attributes > 0 {
        out.raw("}");
    }
    written
}

fn highlights(out: &mut JsonOut, record: RecordView<'_>, request: &SearchRequest, highlighter: &mut Highlighter<'_>) {
    out.raw("{");
    let mut written = 0;
    for (key, json) in record.fragments() {
        let FragmentKey::Field(place) = key else { break };
        if !request.highlight.contains(place) || !matches!(PRODUCT_FIELDS[place], "title" | "description" | "brand") {
            continue;
        }
        let Ok(text) = serde_json::from_slice::<std::borrow::Cow<'_, str>>(json) else { continue };
        let mut marked = String::with_capacity(text.len() + 32);
        highlighter.write(&text, BEFORE_MARK, AFTER_MARK, &mut marked);
        out.comma(written);
        written += 1;
        out.raw("\"");
        out.raw(PRODUCT_FIELDS[place]);
        out.raw("\":");
        out.text(&marked);
    }
    out.raw("}");
}

fn facet_values(out: &mut JsonOut, index: &Index, facet: &FacetAnswer) {
    out.text(&index.catalogue().facets[facet.facet].name);
    out.raw(":{\"values\":[");
    for (place, (value, count)) in facet.values.iter().enumerate() {
        out.comma(place);
        out.raw("{\"value\":");
        out.text(value);
        out.raw(",\"count\":");
        out.number(count);
        out.raw("}");
    }
    out.raw("]");
    if let Some(stats) = &facet.stats {
        number_stats(out, stats);
    }
    out.raw("}");
}

/// Statistics in the units that filters take: decimals.
fn number_stats(out: &mut JsonOut, stats: &NumberStats) {
    out.raw(",\"stats\":{\"min\":");
    let _ = write_scaled(out, stats.min, stats.decimals);
    out.raw(",\"max\":");
    let _ = write_scaled(out, stats.max, stats.decimals);
    out.raw(",\"sum\":");
    let _ = write_scaled(out, clamp(stats.sum), stats.decimals);
    out.raw(",\"avg\":");
    // Two more digits than the values have.
    let mean = stats.sum * 100 / i128::from(stats.count.max(1));
    let _ = write_scaled(out, clamp(mean), stats.decimals + 2);
    out.raw(",\"count\":");
    out.number(stats.count);
    out.raw("}");
}

fn clamp(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

fn snapshot(out: &mut JsonOut, generation: &Generation) {
    out.raw("\"snapshot\":{\"id\":");
    out.text(generation.pointer.snapshot.as_str());
    out.raw(",\"sequence\":");
    out.number(generation.pointer.sequence);
    out.raw("}");
}

/// What a market serves, for `/v1/snapshot` and `/healthz`.
pub fn served(name: &str, generation: Option<&Generation>) -> serde_json::Value {
    let Some(generation) = generation else { return json!({ "market": name, "id": null }) };
    json!({
        "market": name,
        "catalogue": generation.index.catalogue().name,
        "id": generation.pointer.snapshot,
        "sequence": generation.pointer.sequence,
        "age_s": age_s(&generation.pointer),
        "product_count": generation.index.product_count(),
        "sorts": generation.index.catalogue().sorts.iter().map(|sort| sort.name.as_str()).collect::<Vec<_>>(),
    })
}

/// Seconds since an announcement.
pub fn age_s(pointer: &Pointer) -> i64 {
    Timestamp::now().duration_since(pointer.announced_at).as_secs()
}
