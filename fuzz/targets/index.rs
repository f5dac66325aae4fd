//! The index of a sealed file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    std::hint::black_box(bundle::fuzzing::index(bytes));
});
