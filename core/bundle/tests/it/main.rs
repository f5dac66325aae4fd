//! The crate through its public face: files that must never read differently, and input that nobody should trust.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod golden;
mod hostile;
mod provider;
