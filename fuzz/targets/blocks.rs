//! A file whose checks hold and whose blocks hold anything: pieces, recipes, records, exchanges, index.
#![no_main]

use std::sync::LazyLock;

use bundle::fuzzing::file_of;
use fuzzed::{Scratch, blocks_in};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(|input: &[u8]| SCRATCH.read(&file_of(&blocks_in(input))));
