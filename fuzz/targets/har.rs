//! HAR, as far as the items that an import makes exchanges of.
#![no_main]

use interchange::{Har, Interchange, Limits, Next};
use libfuzzer_sys::fuzz_target;

/// Items looked at.
const ITEMS_MAX: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let mut left = ITEMS_MAX;
    let mut input = bytes;
    let read = Har.read(&mut input, Limits { item_bytes_max: 1 << 20 }, &mut |item| {
        std::hint::black_box(item.request.head.bytes.len());
        left -= 1;
        if left == 0 { Next::Stop } else { Next::GoOn }
    });
    if let Err(fault) = read {
        assert!(fault.place.offset <= bytes.len() as u64, "the place is in the file: {fault:?}");
    }
});
