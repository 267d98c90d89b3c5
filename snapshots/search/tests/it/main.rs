//! Tests of the engine over snapshots that are built, stored, installed and opened for real.

mod browsing;
mod brute_force;
mod curating;
mod folding;
mod golden;
mod hostile;
mod searching;
mod suggesting;
mod support;
mod updating;
