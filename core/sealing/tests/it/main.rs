//! Through the crate's public face, against the tools that people have: `age`, `age-keygen`, `ssh-keygen`.

#![allow(clippy::unwrap_used, reason = "helpers of tests may stop the test")]

mod damaged;
mod peers;
mod signed;
mod support;
