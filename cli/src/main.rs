//! The command itself.
fn main() {}
