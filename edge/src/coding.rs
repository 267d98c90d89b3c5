//! Content codings: what a client takes, and bodies made smaller with it.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap};

/// Smaller bodies fit into a packet or two as they are.
const MIN_BYTES: usize = 1_024;
/// Larger bodies would hold up the thread that serves, and are compressed elsewhere.
pub const MAX_AT_ONCE_BYTES: usize = 32 * 1024;
/// A body is compressed once and sent often, but a request waits for it.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 5;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// The coding that a client likes best (RFC 9110, 12.5.3); of those that it likes as well, the cheapest to read.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let offers = values.flat_map(|value| value.split(',')).filter_map(|offer| {
            let mut parts = offer.split(';').map(str::trim);
            let name = parts.next()?;
            let mut all = [Self::Identity, Self::Gzip, Self::Zstd].into_iter();
            let coding = all.find(|coding| name.eq_ignore_ascii_case(coding.name()))?;
            let quality: f32 = parts
                .find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
                .map_or(1.0, |q| q.parse().unwrap_or(0.0));
            (quality > 0.0).then_some((quality, coding))
        });
        let best = offers.max_by(|a, b| a.0.total_cmp(&b.0).then((a.1 as u8).cmp(&(b.1 as u8))));
        best.map_or(Self::Identity, |(_, coding)| coding)
    }

    /// As a header names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The body, made smaller; None where that is not worth it.
    pub fn encode(self, body: &[u8]) -> Option<Bytes> {
        if body.len() < MIN_BYTES {
            return None;
        }
        let encoded = match self {
            Self::Identity => return None,
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).ok()?,
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(GZIP_LEVEL));
                encoder.write_all(body).ok()?;
                encoder.finish().ok()?
            }
        };
        // It is kept, and its buffer was made for more.
        (encoded.len() < body.len()).then(|| encoded.into_boxed_slice().into())
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_best_accepted_coding_is_chosen() {
        let check = |value: &'static str, expected| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(Coding::accepted(&headers), expected, "{value}");
        };
        check("gzip, deflate, br, zstd", Coding::Zstd);
        check("GZIP", Coding::Gzip);
        check("zstd;q=0.5, gzip", Coding::Gzip);
        check("zstd;q=0, gzip; q=0.1", Coding::Gzip);
        check("br, *;q=0.1", Coding::Identity);
        check("gzip;q=nonsense", Coding::Identity);
        check("gzip;Q=0", Coding::Identity);
        check("identity, gzip;q=0.5", Coding::Identity);
        assert_eq!(Coding::accepted(&HeaderMap::new()), Coding::Identity);
    }
}
