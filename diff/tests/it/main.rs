//! The crate through its public face.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod formats;
mod memory;
mod noise;
mod planted;
mod provider;
#[path = "../../../core/exchange/tests/provider/mod.rs"]
mod recorded;
mod resplit;
