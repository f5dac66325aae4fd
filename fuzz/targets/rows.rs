//! A block of exchanges by columns, after their number (2 bytes).
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((count, raw)) = input.split_first_chunk() else { return };
    std::hint::black_box(bundle::fuzzing::rows(u16::from_le_bytes(*count).into(), raw));
});
