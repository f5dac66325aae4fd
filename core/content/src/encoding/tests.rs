use std::io::Write;

use flate2::{Compression, write};
use proptest::prelude::*;

use super::*;

const LEN_MAX: u64 = 1 << 20;

fn head_with(codings: &str) -> Head {
    Head::new(format!("HTTP/1.1 200 OK\r\nContent-Encoding: {codings}\r\n\r\n"))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
    brotli::BrotliCompress(&mut &plain[..], &mut coded, &params).unwrap();
    coded
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 3).unwrap()
}

type Encoder = fn(&[u8]) -> Vec<u8>;

/// Every coding with its name; `deflate` in both of its forms.
const ENCODERS: [(&str, Encoder); 5] =
    [("gzip", gzip), ("deflate", zlib), ("deflate", raw_deflate), ("br", brotli), ("zstd", zstd)];

#[test]
fn a_body_without_coding_is_borrowed() {
    for head in [Head::new(*b"HTTP/1.1 200 OK\r\n\r\n"), head_with("identity"), head_with(" , Identity")] {
        assert!(matches!(decode(&head, b"plain", 0).unwrap(), Cow::Borrowed(b"plain")));
    }
}

#[test]
fn codings_come_off_in_reverse_order_whatever_their_case_and_however_many_fields_name_them() {
    let coded = zstd(&brotli(&zlib(&gzip(b"four times"))));
    assert_eq!(*decode(&head_with("X-GZIP, deflate, br, zstd"), &coded, LEN_MAX).unwrap(), *b"four times");
    let head = Head::new(*b"HTTP/1.1 200 OK\ncontent-encoding: gzip, deflate\nContent-Encoding:BR,identity,zstd\n\n");
    assert_eq!(*decode(&head, &coded, LEN_MAX).unwrap(), *b"four times");
}

#[test]
fn an_empty_body_is_empty_whatever_is_announced() {
    assert_eq!(*decode(&head_with("gzip"), b"", LEN_MAX).unwrap(), *b"");
}

#[test]
fn a_coding_that_is_not_known_is_named() {
    let error = decode(&head_with("gzip, aws-chunked"), b"x", LEN_MAX).unwrap_err();
    assert_eq!(error.to_string(), "content coding `aws-chunked` is not known");
    let error = decode(&head_with(&["gzip"; 9].join(",")), b"x", LEN_MAX).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyCodings { count: 9 }));
}

#[test]
fn the_cap_itself_is_allowed_and_one_byte_more_is_not() {
    for (name, encode) in ENCODERS {
        let coded = encode(&[7; 40_000]);
        assert_eq!(decode(&head_with(name), &coded, 40_000).unwrap().len(), 40_000, "{name}");
        assert!(
            matches!(decode(&head_with(name), &coded, 39_999), Err(DecodeError::TooLong { len_max: 39_999 })),
            "{name}"
        );
    }
}

/// Codes one GiB of zeros without holding it.
fn bomb<W: Write>(mut encoder: W) -> W {
    let zeros = vec![0; 1 << 20];
    for _ in 0..1 << 10 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder
}

#[test]
fn a_bomb_of_one_gib_ends_at_the_cap() {
    let gzip = bomb(write::GzEncoder::new(Vec::new(), Compression::fast())).finish().unwrap();
    let zstd = bomb(zstd::Encoder::new(Vec::new(), 1).unwrap()).finish().unwrap();
    let brotli = bomb(brotli::CompressorWriter::new(Vec::new(), 1 << 16, 1, 22)).into_inner();
    for (name, coded) in [("gzip", gzip), ("zstd", zstd), ("br", brotli)] {
        assert!(coded.len() < 8 << 20, "{name}: {} bytes", coded.len());
        assert!(matches!(decode(&head_with(name), &coded, LEN_MAX), Err(DecodeError::TooLong { .. })), "{name}");
    }
}

#[test]
fn a_zstd_window_beyond_what_the_content_coding_allows_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"small").unwrap();
    let coded = encoder.finish().unwrap();
    assert!(matches!(decode(&head_with("zstd"), &coded, LEN_MAX), Err(DecodeError::Malformed { coding: "zstd", .. })));
}

#[test]
fn members_of_a_gzip_body_and_frames_of_a_zstd_body_are_put_together() {
    assert_eq!(*decode(&head_with("gzip"), &[gzip(b"one "), gzip(b"two")].concat(), LEN_MAX).unwrap(), *b"one two");
    assert_eq!(*decode(&head_with("zstd"), &[zstd(b"one "), zstd(b"two")].concat(), LEN_MAX).unwrap(), *b"one two");
    let many = gzip(b"").repeat(5000);
    assert!(matches!(decode(&head_with("gzip"), &many, LEN_MAX), Err(DecodeError::Malformed { .. })));
}

#[test]
fn bytes_after_the_end_are_not_passed_over() {
    for (name, encode) in ENCODERS {
        let coded = [encode(b"whole"), b"and more".to_vec()].concat();
        let error = decode(&head_with(name), &coded, LEN_MAX).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { .. }), "{name}: {error:?}");
        assert_eq!(error.decoded(), Some(&b"whole"[..]), "{name}");
    }
}

#[test]
fn a_body_cut_short_gives_what_could_be_decoded_through_all_codings() {
    // Random, so that it does not shrink, and several zstd blocks (128 KiB each) long.
    let mut plain = vec![0; 600_000];
    blake3::Hasher::new().finalize_xof().fill(&mut plain);
    for (name, encode) in ENCODERS {
        let coded = encode(&plain);
        let error = decode(&head_with(name), &coded[..coded.len() / 2], LEN_MAX).unwrap_err();
        let DecodeError::Truncated { decoded, .. } = &error else { panic!("{name}: {error:?}") };
        assert!(decoded.len() > 1000 && plain.starts_with(decoded), "{name}: {} bytes", decoded.len());
    }
    let coded = zstd(&gzip(&plain));
    let error = decode(&head_with("gzip, zstd"), &coded[..coded.len() / 2], LEN_MAX).unwrap_err();
    assert!(matches!(&error, DecodeError::Truncated { coding: "zstd", .. }), "{error:?}");
    assert!(error.decoded().is_some_and(|decoded| decoded.len() > 1000 && plain.starts_with(decoded)));
}

#[test]
fn every_prefix_of_a_coded_body_is_cut_short_and_says_so() {
    for (name, encode) in ENCODERS {
        let coded = encode(b"a body that is long enough to have a header, a middle and a trailer");
        for len in 1..coded.len() {
            let error = decode(&head_with(name), &coded[..len], LEN_MAX).unwrap_err();
            assert!(matches!(error, DecodeError::Truncated { .. }), "{name} cut at {len}: {error:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_what_it_was(plain in proptest::collection::vec(any::<u8>(), 0..3000), which in 0..ENCODERS.len()) {
        let (name, encode) = ENCODERS[which];
        let coded = encode(&plain);
        prop_assert_eq!(&*decode(&head_with(name), &coded, LEN_MAX).unwrap(), &plain[..]);
    }

    #[test]
    fn damage_is_an_error_or_decodes_within_the_cap(
        plain in proptest::collection::vec(any::<u8>(), 1..200), which in 0..ENCODERS.len(), place in any::<proptest::sample::Index>(), flip in 1..=255_u8
    ) {
        let (name, encode) = ENCODERS[which];
        let mut coded = encode(&plain);
        let at = place.index(coded.len());
        coded[at] ^= flip;
        match decode(&head_with(name), &coded, 4096) {
            Ok(decoded) => prop_assert!(decoded.len() <= 4096),
            Err(error) => prop_assert!(error.decoded().is_none_or(|decoded| decoded.len() <= 4096)),
        }
    }
}
