//! Faults that must cost nothing: one test for each way in which a part of the world goes away, lies, or comes twice, each
//! on a real PostgreSQL, with the checkout as a process. After each, the books must agree.

mod answers;
mod bodies;
#[allow(dead_code, reason = "the torture run shares it, and each uses a part")]
mod books;
mod carts;
mod databases;
#[allow(dead_code, reason = "the torture run shares it, and each uses a part")]
mod harness;
mod kills;
mod outages;
mod prices;
mod races;
mod reconciling;
mod refunds;
mod stock;
mod subscribers;
mod webhooks;
