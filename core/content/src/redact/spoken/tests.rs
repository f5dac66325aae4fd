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

/// A document (BSON) of these elements.
fn document(elements: &[&[u8]]) -> Vec<u8> {
    let elements = elements.concat();
    let len = u32::try_from(elements.len() + 5).unwrap();
    [&len.to_le_bytes()[..], &elements, b"\0"].concat()
}

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind][..], name.as_bytes(), b"\0", value].concat()
}

fn string(name: &str, value: &str) -> Vec<u8> {
    let len = u32::try_from(value.len() + 1).unwrap();
    element(2, name, &[&len.to_le_bytes()[..], value.as_bytes(), b"\0"].concat())
}

fn binary(name: &str, value: &[u8]) -> Vec<u8> {
    element(5, name, &[&u32::try_from(value.len()).unwrap().to_le_bytes()[..], b"\0", value].concat())
}

/// A message of MongoDB with a document in it.
fn op_msg(document: &[u8]) -> Vec<u8> {
    let numbers = [u32::try_from(21 + document.len()).unwrap(), 7, 0, 2013, 0].map(u32::to_le_bytes).concat();
    [&numbers[..], b"\0", document].concat()
}

const ONE: &[u8] = &[1, 0, 0, 0];

fn mongodb_login() -> Vec<u8> {
    let start = [
        element(16, "saslStart", ONE),
        string("mechanism", "PLAIN"),
        binary("payload", b"\0ann\0hunter22"),
        string("$db", "$external"),
    ];
    op_msg(&document(&start.each_ref().map(Vec::as_slice)))
}

#[test]
fn mongodb_loses_what_it_logs_in_with_and_the_passwords_it_sets_and_nothing_else() {
    let find =
        op_msg(&document(&[&string("find", "payload"), &binary("payload", b"hunter22"), &string("pwd", "hunter22")]));
    let shown = text(&[&mongodb_login(), &find]);
    assert!(shown.contains("\0ann\0********"), "{shown:?}");
    assert_eq!(shown.matches("hunter22").count(), 2, "what a query has in it is data: {shown:?}");
    let salted = document(&[
        &element(16, "saslStart", ONE),
        &string("mechanism", "SCRAM-SHA-1"),
        &binary("payload", b"n,,n=ann,r=hunter22"),
    ]);
    let hello = document(&[&element(16, "hello", ONE), &element(3, "speculativeAuthenticate", &salted)]);
    let user = document(&[&string("createUser", "ann"), &string("pwd", "hunter22")]);
    let next = document(&[&element(16, "saslContinue", ONE), &string("payload", "hunter22")]);
    for said in [&hello, &user, &next] {
        let shown = text(&[&op_msg(said)]);
        assert!(!shown.contains("hunter22") && shown.contains("********"), "{shown:?}");
    }
    let numbers = [20_u32 + 11 + 8 + u32::try_from(hello.len()).unwrap(), 7, 0, 2004, 0].map(u32::to_le_bytes).concat();
    let old = [&numbers[..], b"admin.$cmd\0", &[0; 8], &hello].concat();
    assert!(!text(&[&old]).contains("hunter22"), "{:?}", text(&[&old]));
}

fn memcached(opcode: u8, key: &str, value: &[u8]) -> Vec<u8> {
    let len = u32::try_from(key.len() + value.len()).unwrap();
    let head = [0x80, opcode, 0, u8::try_from(key.len()).unwrap(), 0, 0, 0, 0];
    [&head[..], &len.to_be_bytes(), &[0; 12], key.as_bytes(), value].concat()
}

fn amqp(method: &[u8], arguments: &[u8]) -> Vec<u8> {
    let len = u32::try_from(method.len() + arguments.len()).unwrap();
    [&[1, 0, 0][..], &len.to_be_bytes(), method, arguments, &[0xce]].concat()
}

fn amqp_login() -> Vec<u8> {
    let start = [
        &6_u32.to_be_bytes()[..],
        b"\x03abct\x01",
        b"\x05PLAIN",
        &13_u32.to_be_bytes(),
        b"\0ann\0hunter22",
        b"\x05en_US",
    ];
    [&b"AMQP\0\0\x09\x01"[..], &amqp(&[0, 10, 0, 11], &start.concat())].concat()
}

fn kafka(key: u8, version: u8, rest: &[u8]) -> Vec<u8> {
    let body = [&[0, key, 0, version, 0, 0, 0, 1, 0, 2][..], b"me", rest].concat();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

#[test]
fn memcached_amqp_and_kafka_lose_what_they_log_in_with_and_nothing_else() {
    let said = [memcached(0x21, "PLAIN", b"\0ann\0hunter22"), memcached(0x01, "k", b"\0\0hunter22")].concat();
    let shown = text(&[&said]);
    assert!(shown.contains("PLAIN\0ann\0********") && shown.ends_with("k\0\0hunter22"), "{shown:?}");
    let said = [amqp_login(), amqp(&[0, 60, 0, 40], b"hunter22")].concat();
    let shown = text(&[&said]);
    assert!(shown.contains("\0ann\0********\x05en_US") && shown.contains("hunter22"), "{shown:?}");
    for (version, len) in [(1, &[0, 0, 0, 13][..]), (2, &[0, 14])] {
        let login = kafka(36, version, &[len, b"\0ann\0hunter22"].concat());
        let said = [kafka(17, 1, b"\0\x05PLAIN"), login, kafka(3, 1, b"hunter22")].concat();
        let shown = text(&[&said]);
        assert!(shown.contains("PLAIN") && shown.ends_with("hunter22"), "{shown:?}");
        assert_eq!(shown.matches("hunter22").count(), 1, "{shown:?}");
    }
}

#[test]
fn logins_that_cannot_be_followed_are_hidden_as_a_whole_and_harm_nothing() {
    for said in [
        [&b"AMQP\0\0\x09\x01"[..], &amqp(&[0, 10, 0, 11], b"")].concat(),
        [&b"AMQP\0\0\x09\x01"[..], &amqp(&[0, 10, 0, 21], b"\xff\xff\xff\xffhunter22")].concat(),
        [kafka(18, 0, b""), vec![0, 0, 0, 4, 0, 36, 0, 2]].concat(),
        [kafka(18, 0, b""), kafka(36, 2, &[0xff; 20])].concat(),
        memcached(0x21, "", b"hunter22"),
        op_msg(&document(&[&element(16, "saslStart", ONE), &element(5, "payload", &[0xff; 5])])),
        op_msg(&document(&[&element(16, "saslStart", ONE), &[5][..]])),
    ] {
        let shown = text(&[&said]);
        assert!(!shown.contains("hunter22"), "{shown:?}");
    }
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
        kind in 0..8_usize, cuts in proptest::collection::vec(0..200_usize, 0..6), noise in proptest::collection::vec(any::<u8>(), 0..40)
    ) {
        let start = [&23_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"user\0ann\0db\0x\0\0"].concat();
        let said = match kind {
            0 => [command(&[b"AUTH", b"hunter22"]), command(&[b"SET", b"k", &noise])].concat(),
            1 => [&start[..], &message(b'p', b"hunter22\0"), &message(b'Q', &noise)].concat(),
            2 => [b"AUTH LOGIN\r\nYW5u\r\naHVudGVy\r\nQUIT\r\n", &noise[..], b"\n"].concat(),
            3 => [&b"a1 LOGIN ann hunter2\r\n"[..], &noise, b"\n"].concat(),
            4 => [mongodb_login(), op_msg(&document(&[&string("find", "a"), &binary("b", &noise)]))].concat(),
            5 => [amqp_login(), amqp(&[0, 60, 0, 40], &noise)].concat(),
            6 => [memcached(0x21, "PLAIN", b"\0ann\0hunter22"), memcached(1, "k", &noise)].concat(),
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
    fn a_mask_is_where_it_was(kind in 0..5_usize, noise in "[ -~]{0,12}") {
        let said = match kind {
            0 => command(&[b"AUTH", noise.as_bytes()]),
            1 => format!("AUTH PLAIN {noise}\r\n").into_bytes(),
            2 => memcached(0x21, "PLAIN", format!("\0ann\0{noise}").as_bytes()),
            3 => [kafka(17, 1, b"\0\x05PLAIN"), kafka(36, 2, &[b"\0\x09", noise.as_bytes()].concat())].concat(),
            _ => format!("a LOGIN b {noise}\r\n").into_bytes(),
        };
        let once = masked(&[&said]);
        prop_assert_eq!(masked(&[&once]), once);
    }
}
