//! Tests of the indexer as a process.

mod building;
mod channels;
mod checking;
mod command;
mod diffing;
mod evaluating;
mod feeds;
mod killed;
mod proxy;
mod publishing;
mod sql;
mod updating;
mod watching;
