//! The cells of a Google TSV that hold more than one text. In XML the same attributes are repeated or have elements.

use super::item::{FeedItem, FeedValue, Standing};

/// Adds a cell to an item.
pub(crate) fn add_cell(item: &mut FeedItem, name: &str, cell: &str) {
    let values: Vec<FeedValue> = match name {
        "product_highlight" => outside_quotes(cell).into_iter().map(|text| FeedValue::plain(unquoted(text))).collect(),
        "product_detail" => details_of(cell),
        "structured_title" | "structured_description" => vec![structured(cell)],
        _ => vec![FeedValue::plain(cell)],
    };
    for value in values {
        item.add(name, Standing::Google, value);
    }
}

/// The parts between commas. Those between double quotes divide nothing.
fn outside_quotes(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let divides = |letter: char| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    };
    text.split(divides).collect()
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"').trim()
}

/// Reads `section:name:value,section:name:value`. A comma that begins no such group belongs to the value before it.
fn details_of(cell: &str) -> Vec<FeedValue> {
    let mut details: Vec<(&str, String)> = Vec::new();
    for piece in outside_quotes(cell) {
        let parts: Vec<&str> = piece.splitn(3, ':').collect();
        if let [_, name, value] = parts.as_slice() {
            details.push((unquoted(name), unquoted(value).to_owned()));
        } else if let Some((_, value)) = details.last_mut() {
            value.push(',');
            value.push_str(piece.trim_end());
        } else if let [name, value] = parts.as_slice() {
            details.push((unquoted(name), unquoted(value).to_owned()));
        }
    }
    let value_of = |(name, value): (&str, String)| FeedValue {
        text: format!("{name}: {value}"),
        parts: vec![("attribute_name".to_owned(), name.to_owned()), ("attribute_value".to_owned(), value)],
    };
    details.into_iter().map(value_of).collect()
}

/// Reads `trained_algorithmic_media:"A title"`: who wrote a text, and the text.
fn structured(cell: &str) -> FeedValue {
    let content = match cell.split_once(':') {
        Some(("default" | "trained_algorithmic_media", content)) => unquoted(content),
        _ => unquoted(cell),
    };
    FeedValue { text: content.to_owned(), parts: vec![("content".to_owned(), content.to_owned())] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(cell: &str) -> Vec<String> {
        details_of(cell).into_iter().map(|detail| detail.text).collect()
    }

    #[test]
    fn details_are_read_and_their_commas_kept() {
        assert_eq!(details("General:Type:Flash,:Colour name:Deep: blue"), ["Type: Flash", "Colour name: Deep: blue"]);
        assert_eq!(details("Output:Ports:HDMI, VGA,General:Weight:2 kg"), ["Ports: HDMI, VGA", "Weight: 2 kg"]);
        assert_eq!(details("Output:Ports:\"HDMI, a:b:c\""), ["Ports: HDMI, a:b:c"]);
        assert_eq!(details("Weight:2 kg"), ["Weight: 2 kg"]);
        assert!(details("nothing").is_empty());
    }

    #[test]
    fn highlights_and_structured_texts_are_read() {
        let mut item = FeedItem::default();
        add_cell(&mut item, "product_highlight", "Light, \"Quiet, even at night\"");
        assert_eq!(item.texts("product_highlight"), ["Light", "Quiet, even at night"]);
        add_cell(&mut item, "structured_title", "trained_algorithmic_media:\"A lamp: oak\"");
        assert_eq!(item.structured("structured_title").as_deref(), Some("A lamp: oak"));
        add_cell(&mut item, "structured_title", "A lamp: oak");
        assert_eq!(item.structured("structured_title").as_deref(), Some("A lamp: oak"));
    }
}
