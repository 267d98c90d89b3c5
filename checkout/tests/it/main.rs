//! Tests of checkout as its clients, its operators and its databases see it.

mod contract;
mod decoding;
mod faults;
mod http;
mod postgres;
