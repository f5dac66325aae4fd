//! Captures through real sockets on 127.0.0.1, read back from their stores.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails is to say where")]

mod child;
mod kept;
mod lost;
mod mounted;
mod noted;
mod raw;
mod support;
