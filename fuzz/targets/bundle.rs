//! A file as it may come from anywhere.
#![no_main]

use std::sync::LazyLock;

use fuzzed::Scratch;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|file: &[u8]| SCRATCH.read(file));
