//! The page for a browser: what no text of a recording can do to it, and that it is the same for the same values.

#![allow(clippy::unwrap_used, reason = "helpers of tests may stop the test")]

mod browser;
mod html;
mod pages;
