//! The edge itself, asked as peers are.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Target;
use super::http::{HttpTarget, encoded};
use super::shop::{Question, Set, Shop};

/// An edge that serves the shop.
pub fn edge_target(address: SocketAddr, shop: &Shop) -> Box<dyn Target> {
    let mut filtered = String::new();
    if !shop.facets.is_empty() {
        filtered += &format!("&facets={}", shop.facets.join(","));
    }
    if let Some(price) = &shop.price_below {
        filtered += &format!("&filters={}", encoded(&format!("price<{}", price.major)));
    }
    let path = move |question: &Question| {
        let rest = if question.set == Set::Filtered { filtered.as_str() } else { "" };
        format!("/v1/search?q={}{rest}", encoded(&question.text))
    };
    Box::new(HttpTarget { address, header: None, path: Arc::new(path), found: "found" })
}
