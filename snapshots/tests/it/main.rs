//! Tests of the store over every kind of storage that it promises.

mod credentials;
mod store;
