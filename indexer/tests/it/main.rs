//! Tests of the indexer as a process.

mod building;
mod canaries;
mod channels;
mod checking;
mod collecting;
mod command;
mod diffing;
mod evaluating;
mod faulty_store;
mod feeds;
mod interleaving;
mod killed;
mod late_files;
mod mending;
mod merging;
mod nodes;
mod publishing;
mod regions;
mod reporting;
mod shop;
mod signing;
mod sql;
mod updating;
mod watched_regions;
mod watching;
