use proptest::prelude::*;

use super::*;

/// What a client said in these pieces, with credentials as `*`.
fn masked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut spoken = Spoken::default();
    let mut all: Vec<u8> = pieces.iter().flat_map(|piece| spoken.hear(piece).masked()).collect();
    all.extend(spoken.flush().masked());
    all
}

fn text(pieces: &[&[u8]]) -> String {
    String::from_utf8_lossy(&masked(pieces)).into_owned()
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len() + 4).unwrap();
    [&[kind][..], &len.to_be_bytes(), payload].concat()
}

#[test]
fn redis_loses_its_passwords_and_nothing_else() {
    for (words, secret) in [
        (&[&b"auth"[..], b"hunter22"][..], &b"hunter22"[..]),
        (&[b"AUTH", b"default", b"hunter22"], b"hunter22"),
        (&[b"HELLO", b"3", b"AUTH", b"default", b"hunter22", b"SETNAME", b"x"], b"hunter22"),
        (&[b"CONFIG", b"SET", b"requirepass", b"hunter22"], b"hunter22"),
        (&[b"ACL", b"SETUSER", b"ann", b"on", b">hunter22", b"~*"], b">hunter22"),
    ] {
        let said = [command(words), command(&[b"SET", b"AUTH", b"hunter22"])].concat();
        let hidden: Vec<&[u8]> =
            words.iter().map(|word| if *word == secret { &b"*********"[..secret.len()] } else { word }).collect();
        assert_eq!(masked(&[&said]), [command(&hidden), command(&[b"SET", b"AUTH", b"hunter22"])].concat());
    }
    assert_eq!(text(&[b"AUTH hunter22\r\nGET a\r\n"]), "AUTH ********\r\nGET a\r\n");
}

#[test]
fn postgresql_loses_passwords_and_what_sasl_says_but_not_its_mechanism() {
    let start = [&23_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"user\0ann\0db\0x\0\0"].concat();
    let request = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
    let said = [&request[..], &start, &message(b'p', b"hunter22\0"), &message(b'Q', b"select 'p'\0")].concat();
    assert!(!text(&[&said]).contains("hunter22") && text(&[&said]).contains("select 'p'"));
    let first = [&b"SCRAM-SHA-256\0"[..], &12_u32.to_be_bytes(), b"n,,n=,r=abcd"].concat();
    let said = [&start[..], &message(b'p', &first)].concat();
    let shown = text(&[&said]);
    assert!(shown.contains("SCRAM-SHA-256") && shown.ends_with("************"), "{shown}");
}

#[test]
fn mysql_loses_its_scramble() {
    let mut payload = [&0x0020_8000_u32.to_le_bytes()[..], &[0, 0, 0, 1, 33], &[0; 23], b"ann\0"].concat();
    payload.extend([&[8][..], b"scramble", b"mysql_native_password\0"].concat());
    let said = [&[payload.len() as u8, 0, 0, 1][..], &payload, &[5, 0, 0, 0, 3], b"do 1"].concat();
    let shown = text(&[&said]);
    assert!(!shown.contains("scramble") && shown.contains("mysql_native_password") && shown.ends_with("do 1"));
}

#[test]
fn line_protocols_lose_what_follows_their_word() {
    for (said, shown) in [
        (
            "EHLO me\r\nAUTH PLAIN AGFubgBodW50ZXI=\r\nMAIL FROM:<a>\r\n",
            "EHLO me\r\nAUTH PLAIN ****************\r\nMAIL FROM:<a>\r\n",
        ),
        ("AUTH LOGIN\r\nYW5u\r\naHVudGVy\r\nQUIT\r\n", "AUTH LOGIN\r\n****\r\n********\r\nQUIT\r\n"),
        ("USER ann\r\nPASS hunter 2\r\n", "USER ann\r\nPASS ********\r\n"),
        ("a1 LOGIN ann hunter2\r\na2 NOOP\r\n", "a1 LOGIN ann *******\r\na2 NOOP\r\n"),
        ("GET / HTTP/1.1\r\nAuthorization: Bearer x\r\n", "GET / HTTP/1.1\r\nAuthorization: ********\r\n"),
        ("get a\r\nset b 0 0 5\r\nAUTHx\r\n", "get a\r\nset b 0 0 5\r\nAUTHx\r\n"),
    ] {
        assert_eq!(text(&[said.as_bytes()]), shown);
    }
}

#[test]
fn what_is_no_credential_is_not_held_back_and_what_may_become_one_is_until_told_otherwise() {
    let mut spoken = Spoken::default();
    assert_eq!(spoken.hear(b"\x01\x02\x03binary").bytes, b"\x01\x02\x03binary");
    let mut spoken = Spoken::default();
    assert!(spoken.hear(b"PING").bytes.is_empty() && spoken.holds());
    assert_eq!(spoken.flush().bytes, b"PING");
    let mut spoken = Spoken::default();
    let big = command(&[b"SET", b"a", &[b'x'; 1000]]);
    assert_eq!(spoken.hear(&big[..big.len() - 10]).bytes, big[..big.len() - 10]);
}

proptest! {
    #[test]
    fn however_it_is_cut_the_same_bytes_come_out_with_the_same_credentials(
        kind in 0..5_usize, cuts in proptest::collection::vec(0..200_usize, 0..6), noise in proptest::collection::vec(any::<u8>(), 0..40)
    ) {
        let start = [&23_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"user\0ann\0db\0x\0\0"].concat();
        let said = match kind {
            0 => [command(&[b"AUTH", b"hunter22"]), command(&[b"SET", b"k", &noise])].concat(),
            1 => [&start[..], &message(b'p', b"hunter22\0"), &message(b'Q', &noise)].concat(),
            2 => [b"AUTH LOGIN\r\nYW5u\r\naHVudGVy\r\nQUIT\r\n", &noise[..], b"\n"].concat(),
            3 => [&b"a1 LOGIN ann hunter2\r\n"[..], &noise, b"\n"].concat(),
            _ => noise,
        };
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(said.len())).chain([0, said.len()]).collect();
        ends.sort_unstable();
        let pieces: Vec<&[u8]> = ends.windows(2).map(|ends| &said[ends[0]..ends[1]]).collect();
        let once = masked(&[&said]);
        prop_assert_eq!(once.len(), said.len());
        prop_assert_eq!(masked(&pieces), once);
    }

    #[test]
    fn a_mask_is_where_it_was(kind in 0..3_usize, noise in "[ -~]{0,12}") {
        let said = match kind {
            0 => command(&[b"AUTH", noise.as_bytes()]),
            1 => format!("AUTH PLAIN {noise}\r\n").into_bytes(),
            _ => format!("a LOGIN b {noise}\r\n").into_bytes(),
        };
        let once = masked(&[&said]);
        prop_assert_eq!(masked(&[&once]), once);
    }
}
