//! The storefront page: its files are part of the binary.

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct PageFile {
    path: &'static str,
    pub content_type: &'static str,
    pub bytes: &'static [u8],
}

const FILES: &[PageFile] = &[
    PageFile { path: "/", content_type: "text/html; charset=utf-8", bytes: include_bytes!("../storefront/index.html") },
    PageFile {
        path: "/storefront/style.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../storefront/style.css"),
    },
    PageFile {
        path: "/storefront/app.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../storefront/app.js"),
    },
    PageFile {
        path: "/storefront/api.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../storefront/api.js"),
    },
    PageFile {
        path: "/storefront/view.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../storefront/view.js"),
    },
];

/// The file at a path of the page.
pub fn file(path: &str) -> Option<&'static PageFile> {
    FILES.iter().find(|file| file.path == path)
}
