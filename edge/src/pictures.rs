//! Pictures of a demo shop, read into memory once.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

const MAX_PICTURES: usize = 10_000;
const MAX_TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// The SVG files of a folder by name.
#[derive(Default)]
pub struct Pictures(HashMap<String, Bytes>);

impl Pictures {
    /// # Errors
    /// When the folder cannot be read, or holds more than a demo needs.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        let mut pictures = HashMap::new();
        let mut total_bytes = 0;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".svg"))
            else {
                continue;
            };
            let bytes = std::fs::read(&path)?;
            total_bytes += bytes.len();
            if pictures.len() == MAX_PICTURES || total_bytes > MAX_TOTAL_BYTES {
                return Err(std::io::Error::other("more pictures than a demo needs: use a CDN"));
            }
            pictures.insert(name.to_owned(), bytes.into());
        }
        Ok(Self(pictures))
    }

    pub fn get(&self, name: &str) -> Option<Bytes> {
        self.0.get(name).cloned()
    }
}
