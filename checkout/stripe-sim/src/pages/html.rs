//! Pages as HTML.

use crate::money;
use crate::objects::LineItem;
use crate::reply::Reply;

const STYLE: &str = include_str!("style.css");
/// Nothing from elsewhere, and no script.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// A page that is being written.
pub(super) struct Page {
    title: String,
    content: String,
}

impl Page {
    pub(super) fn new(title: &str) -> Self {
        Self { title: escaped(title), content: format!("<h1>{}</h1>", escaped(title)) }
    }

    pub(super) fn note(&mut self, text: &str) {
        self.content += &format!("<p class=\"note\">{}</p>", escaped(text));
    }

    /// What went wrong, told to screen readers at once.
    pub(super) fn alert(&mut self, text: &str) {
        self.content += &format!("<p class=\"alert\" role=\"alert\">{}</p>", escaped(text));
    }

    pub(super) fn link(&mut self, url: &str, text: &str) {
        self.content += &format!("<p><a href=\"{}\">{}</a></p>", escaped(url), escaped(text));
    }

    /// Adds HTML as it is.
    pub(super) fn html(&mut self, html: &str) {
        self.content += html;
    }

    /// What is bought, and what it costs.
    pub(super) fn total(&mut self, lines: &[LineItem], total: i64, currency: &str) {
        self.content += "<table><tbody>";
        for line in lines {
            let each = money::shown(line.unit_amount, currency);
            let description = line.description.as_deref().map_or_else(String::new, |text| format!("{text} "));
            self.content += &format!(
                "<tr><th scope=\"row\">{}<small>{}{} x {each}</small></th><td>{}</td></tr>",
                escaped(&line.name),
                escaped(&description),
                line.quantity,
                money::shown(line.amount(), currency)
            );
        }
        self.content += &format!(
            "</tbody><tfoot><tr><th scope=\"row\">Total</th><td>{}</td></tr></tfoot></table>",
            money::shown(total, currency)
        );
    }

    pub(super) fn reply(self, status: u16) -> Reply {
        let page = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{}</title><style>{STYLE}</style></head><body><main>{}</main></body></html>\n",
            self.title, self.content
        );
        let reply = Reply::html(status, page).with("content-security-policy", CONTENT_POLICY);
        reply.with("cache-control", "no-store").with("referrer-policy", "no-referrer")
    }
}

/// A text inside of HTML or one of its attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_become_markup() {
        assert_eq!(escaped("<a href='x'>\"&\""), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;");
    }
}
