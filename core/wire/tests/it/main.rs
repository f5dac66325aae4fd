//! The proxy through real sockets on 127.0.0.1.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails is to say where")]

mod bodies;
mod endings;
mod forward;
mod heads;
mod killed;
mod storm;
mod support;
mod tls;
mod unclear;
