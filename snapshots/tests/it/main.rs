//! Tests of the store over every kind of storage that it promises, and of what nodes keep of it.

mod cache;
mod credentials;
mod files;
mod store;
mod trusting;
