//! Encrypted files that are not what was written.

use std::io::Read;

use proptest::prelude::*;
use sealing::{DecryptError, Envelope, Identities, is_encrypted};

use crate::support::{Desk, content, decrypted, encrypted};

#[test]
fn no_flipped_bit_and_no_cut_gives_anything_but_an_error() {
    let Some(desk) = Desk::new() else { return };
    let recipient = desk.age_key("key.txt");
    let whole = encrypted(b"fifty bytes of plain text", &[&recipient]);
    let identities = Identities::read(&[desk.path("key.txt")]).unwrap();
    let opened = |bytes: &[u8]| {
        desk.write("case.age", bytes);
        sealing::decrypt(&desk.open("case.age"), &identities)
    };
    assert!(opened(&whole).is_ok());
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(opened(&flipped).is_err(), "byte {at}");
        assert!(opened(&whole[..at]).is_err(), "cut at {at}");
    }
    assert!(opened(&[&whole[..], b"x"].concat()).is_err(), "something behind its end");
    assert!(opened(&[&whole[..], &whole[..]].concat()).is_err(), "twice");
}

#[test]
fn pieces_that_are_changed_cut_off_swapped_or_left_out_are_named_by_their_place() {
    let Some(desk) = Desk::new() else { return };
    let recipient = desk.age_key("key.txt");
    let whole = encrypted(&content(200_000), &[&recipient]);
    let start = whole.len() - (200_000 + 4 * 16);
    let sealed_piece = (64 << 10) + 16;
    let piece = |number: usize| start + number * sealed_piece;
    let keys = [desk.path("key.txt")];
    let damaged_at = |bytes: &[u8]| match decrypted(&desk.write("case.age", bytes), &keys) {
        Err(DecryptError::Damaged { at }) => at.unwrap() as usize,
        other => panic!("{:?}", other.map(|plain| plain.len())),
    };
    let mut flipped = whole.clone();
    flipped[piece(2) + 5] ^= 0x40;
    assert_eq!(damaged_at(&flipped), piece(2));
    assert_eq!(damaged_at(&whole[..piece(1)]), piece(1), "cut between two pieces");
    assert_eq!(damaged_at(&whole[..piece(1) + 100]), piece(1));
    let swapped =
        [&whole[..piece(0)], &whole[piece(1)..piece(2)], &whole[piece(0)..piece(1)], &whole[piece(2)..]].concat();
    assert_eq!(damaged_at(&swapped), piece(0));
    let left_out = [&whole[..piece(1)], &whole[piece(2)..]].concat();
    assert_eq!(damaged_at(&left_out), piece(1));
}

#[test]
fn a_header_without_an_end_is_refused_before_it_is_read_into_memory() {
    let Some(desk) = Desk::new() else { return };
    let mut header = b"age-encryption.org/v1\n".to_vec();
    while header.len() < 4 << 20 {
        header.extend_from_slice(b"-> X25519 AAAA\nAAAA\n");
    }
    desk.write("long.age", &header);
    assert!(matches!(Envelope::read(&desk.open("long.age")), Err(DecryptError::HeaderTooLong { .. })));
    let mut line = b"age-encryption.org/v1\n-> ".to_vec();
    line.resize(4 << 20, b'a');
    desk.write("line.age", &line);
    assert!(matches!(Envelope::read(&desk.open("line.age")), Err(DecryptError::HeaderTooLong { .. })));
    desk.write("later.age", b"age-encryption.org/v9\n-> X25519 AAAA\nAAAA\n--- AAAA\n");
    assert!(matches!(Envelope::read(&desk.open("later.age")), Err(DecryptError::Version)));
    desk.write("bundle", b"something else");
    assert!(!is_encrypted(&desk.open("bundle")).unwrap());
    assert!(matches!(Envelope::read(&desk.open("bundle")), Err(DecryptError::NotEncrypted)));
}

/// One key and one file for all cases of a property.
fn hostile_desk() -> Option<(Desk, Identities)> {
    let desk = Desk::new()?;
    desk.age_key("key.txt");
    let identities = Identities::read(&[desk.path("key.txt")]).unwrap();
    Some((desk, identities))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_stands_behind_the_magic_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), text: bool) {
        let Some((desk, identities)) = hostile_desk() else { return Ok(()) };
        let beginning: &[u8] =
            if text { b"-----BEGIN AGE ENCRYPTED FILE-----\n" } else { b"age-encryption.org/v1\n" };
        desk.write("case.age", &[beginning, &bytes].concat());
        let mut plain = Vec::new();
        if let Ok(mut opened) = sealing::decrypt(&desk.open("case.age"), &identities) {
            opened.read_to_end(&mut plain).unwrap();
        }
        prop_assert!(plain.is_empty());
    }
}
