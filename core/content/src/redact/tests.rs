use proptest::prelude::*;

use super::*;

fn redactor() -> Redactor {
    Redactor::new([7; 32], &Extra::default())
}

/// A request's head with these fields, redacted, and where.
fn redacted(head: &str) -> (String, Vec<String>) {
    let mut head = Head::new(head.as_bytes());
    let len = head.bytes.len();
    let redactions = redactor().request_head(&mut head);
    assert_eq!(head.bytes.len(), len);
    let places = redactions.into_iter().map(|redaction| format!("{} {}", redaction.place, redaction.count));
    (String::from_utf8(head.bytes).unwrap(), places.collect())
}

fn pseudonym(value: &str) -> String {
    String::from_utf8(redactor().pseudonym(value.as_bytes())).unwrap()
}

#[test]
fn a_credential_is_replaced_and_the_word_of_its_scheme_stays() {
    let key = "sk-ant-api03-abcDEF0123456789xyz";
    let (head, places) = redacted(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nX-API-Key:{key}\r\nx-plain: kept\r\n\r\n"
    ));
    let stand_in = pseudonym(key);
    assert!(stand_in.starts_with("sk-ant-api03-") && stand_in != key);
    assert_eq!(
        head,
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {stand_in}\r\nX-API-Key:{stand_in}\r\nx-plain: kept\r\n\r\n"
        )
    );
    assert_eq!(places, ["request header:authorization 1", "request header:x-api-key 1"]);
}

#[test]
fn a_path_that_ends_like_a_scheme_leaves_the_version_alone() {
    let (head, places) = redacted("GET /bearer HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head, "GET /bearer HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(places.is_empty(), "{places:?}");
    let (head, _) = redacted("GET /basic abcdefgh12345678 HTTP/1.1\r\n\r\n");
    assert!(!head.contains("abcdefgh12345678") && head.ends_with(" HTTP/1.1\r\n\r\n"), "{head}");
}

#[test]
fn a_credential_without_a_scheme_that_we_know_is_replaced_whole() {
    let (head, _) = redacted("GET / HTTP/1.1\r\nAuthorization: my secret words\r\n\r\n");
    assert!(!head.contains("my") && !head.contains("secret") && head.contains("Authorization: "), "{head}");
    let (head, _) =
        redacted("GET / HTTP/1.1\r\nX-Vault-Token: hunter2hunter2\r\nOcp-Apim-Subscription-Key: abcdef\r\n\r\n");
    assert!(!head.contains("hunter2") && !head.contains("abcdef"), "{head}");
}

#[test]
fn each_cookies_value_is_replaced_and_its_name_stays() {
    let (head, places) = redacted("GET / HTTP/1.1\r\nCookie: sid=abcdefgh; theme=darkmode ;lonelyvalue\r\n\r\n");
    let expected =
        format!("sid={}; theme={} ;{}\r\n", pseudonym("abcdefgh"), pseudonym("darkmode"), pseudonym("lonelyvalue"));
    assert!(head.contains(&expected), "{head}");
    assert_eq!(places, ["request header:cookie 3"]);
}

#[test]
fn of_a_set_cookie_the_attributes_stay() {
    let mut head = Head::new(*b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=abcdefgh; Path=/; Max-Age=3600\r\n\r\n");
    let redactions = redactor().response_head(&mut head);
    let expected =
        format!("HTTP/1.1 200 OK\r\nSet-Cookie: sid={}; Path=/; Max-Age=3600\r\n\r\n", pseudonym("abcdefgh"));
    assert_eq!(String::from_utf8(head.bytes).unwrap(), expected);
    assert_eq!(redactions, [Redaction { place: "response header:set-cookie".to_owned(), count: 1 }]);
}

#[test]
fn folded_lines_of_a_secret_are_replaced_too() {
    let (head, _) = redacted(
        "GET / HTTP/1.1\r\nAuthorization: Bearer abcdefgh\r\n ijklmnop\r\nSet-Cookie: a=bcdefgh\n\tqrstuvwx\r\n\r\n",
    );
    for secret in ["abcdefgh", "ijklmnop", "bcdefgh", "qrstuvwx"] {
        assert!(!head.contains(secret), "{head}");
    }
    assert!(head.contains("Bearer "));
}

#[test]
fn secret_pairs_of_the_query_are_replaced_in_targets_and_in_fields_that_hold_a_url() {
    let (head, places) = redacted(
        "GET /v1/models?alt=sse&key=abcdefgh&API%5FKEY=ijklmnop;x=1 HTTP/1.1\r\nReferer: http://a/?b=1;token=qrstuvwx#access_token=yzabcdef\r\n\r\n",
    );
    let line = format!(
        "GET /v1/models?alt=sse&key={}&API%5FKEY={};",
        pseudonym("abcdefgh"),
        pseudonym("ijklmnop;x=1").split(';').next().unwrap()
    );
    assert!(head.starts_with(&line), "{head}");
    for secret in ["qrstuvwx", "yzabcdef", "x=1"] {
        assert!(!head.contains(secret), "{head}");
    }
    assert!(head.contains("Referer: http://a/?b=1;token="));
    let expected = [
        "request header:referer query:access_token 1",
        "request header:referer query:token 1",
        "request query:api_key 1",
        "request query:key 1",
    ];
    assert_eq!(places, expected);
}

#[test]
fn a_secret_that_is_percent_encoded_has_the_same_pseudonym_and_stays_well_encoded() {
    let secret = "pä+ss/wörd";
    let (head, _) = redacted("GET /?password=p%C3%A4%2bss%2Fw%C3%B6rd HTTP/1.1\r\n\r\n");
    let target = head.split(' ').nth(1).unwrap().strip_prefix("/?password=").unwrap();
    let (value, _) = url::decoded(target.as_bytes());
    assert_eq!(String::from_utf8(value).unwrap(), pseudonym(secret));
    assert!(target.contains("%2b") && target.contains("%2F"), "{target}");
}

#[test]
fn userinfo_of_a_target_is_replaced() {
    let (head, places) = redacted("GET http://alice:wonder1and@host:80/a HTTP/1.1\r\nHost: host\r\n\r\n");
    let expected = format!("GET http://{}:{}@host:80/a HTTP/1.1\r\n", pseudonym("alice"), pseudonym("wonder1and"));
    assert!(head.starts_with(&expected), "{head}");
    assert_eq!(places, ["request userinfo 2"]);
}

#[test]
fn a_secret_shows_by_its_form_wherever_in_a_head_it_stands_and_is_replaced_once() {
    let key = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let stand_in = pseudonym(key);
    let (head, places) = redacted(&format!("GET /a/{key} HTTP/1.1\r\nX-Odd: [{key}]\r\nno colon {key}\r\n\r\n"));
    assert_eq!(head, format!("GET /a/{stand_in} HTTP/1.1\r\nX-Odd: [{stand_in}]\r\nno colon {stand_in}\r\n\r\n"));
    assert_eq!(places, ["request head 2", "request header:x-odd 1"]);
}

#[test]
fn trailers_are_looked_through_like_fields() {
    let mut trailers = b"X-Checksum: 1234\r\nX-Session-Token: abcdefgh\r\n\r\n".to_vec();
    let redactions = redactor().response_trailers(&mut trailers);
    let expected = format!("X-Checksum: 1234\r\nX-Session-Token: {}\r\n\r\n", pseudonym("abcdefgh"));
    assert_eq!(String::from_utf8(trailers).unwrap(), expected);
    assert_eq!(redactions, [Redaction { place: "response trailer header:x-session-token".to_owned(), count: 1 }]);
}

#[test]
fn names_that_the_user_adds_are_secrets_too() {
    let extra = Extra { headers: vec!["X-Tenant".to_owned()], query_keys: vec!["Account".to_owned()] };
    let mut head = Head::new(*b"GET /?account=12345678 HTTP/1.1\r\nx-tenant: abcdefgh\r\n\r\n");
    let redactions = Redactor::new([7; 32], &extra).request_head(&mut head);
    assert_eq!(redactions.len(), 2);
    assert!(!String::from_utf8(head.bytes).unwrap().contains("12345678"));
}

#[test]
fn a_replay_leaves_recorded_pseudonyms_and_turns_secrets_back_into_theirs() {
    let mut recorded = Head::new(*b"GET /?key=abcdefgh HTTP/1.1\r\nAuthorization: Bearer ijklmnop\r\n\r\n");
    redactor().request_head(&mut recorded);
    let found = redactor().found_in_request(&recorded);
    let values: Vec<&[u8]> = found.iter().map(|found| &found.value[..]).collect();
    let (key, token) = (pseudonym("abcdefgh"), pseudonym("ijklmnop"));
    assert_eq!(values, [key.as_bytes(), token.as_bytes()]);

    let pairs = [(key.clone().into_bytes(), key.into_bytes()), (b"ijklmnop".to_vec(), token.into_bytes())];
    let replaying = Redactor::new([8; 32], &Extra::default()).knowing(pairs);
    let mut replayed = Head::new(recorded.bytes.clone());
    replaying.request_head(&mut replayed);
    assert_eq!(replayed, recorded);
    let real = String::from_utf8(recorded.bytes.clone()).unwrap().replace(&pseudonym("ijklmnop"), "ijklmnop");
    let mut replayed = Head::new(real);
    replaying.request_head(&mut replayed);
    assert_eq!(replayed, recorded);
}

#[test]
fn replacements_that_would_move_or_end_a_line_are_passed_over() {
    let pairs = [(b"abcdefgh".to_vec(), b"short".to_vec()), (b"ijklmnop".to_vec(), b"a\r\nb: cd".to_vec())];
    let redactor = redactor().knowing(pairs);
    assert_eq!(redactor.pseudonym(b"abcdefgh"), pseudonym("abcdefgh").into_bytes());
    assert_eq!(redactor.pseudonym(b"ijklmnop"), pseudonym("ijklmnop").into_bytes());
}

#[test]
fn another_key_gives_another_pseudonym_and_the_key_is_not_shown() {
    let other = Redactor::new([8; 32], &Extra::default());
    assert_ne!(other.pseudonym(b"abcdefgh"), redactor().pseudonym(b"abcdefgh"));
    assert!(!format!("{:?}", other.knowing([(b"secretxx".to_vec(), b"standinx".to_vec())])).contains("secret"));
    assert!(!format!("{:?}", redactor()).contains('7'));
}

#[test]
fn names_of_secrets_are_told_from_names_like_them() {
    let secret = [
        "KEY",
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "DB_PASSWORD",
        "client-secret",
        "clientSecret",
        "apiKey",
        "--api-key",
        "REDIS_AUTH",
        "DB_PASS",
        "PGPASSWORD_2_SECRET",
        "TOKEN1",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "GITHUB_PAT",
        "MY_CREDENTIALS",
    ];
    let innocent = [
        "KEYBOARD",
        "TOKENIZERS_PARALLELISM",
        "MAX_TOKENS",
        "MAX_TOKEN",
        "EOS_TOKEN_ID",
        "PWD",
        "OLDPWD",
        "PATH",
        "PASSWORD_FILE",
        "AUTH_ENABLED",
        "MONKEY",
        "AUTHOR",
        "SSH_AUTH_SOCK",
        "GPG_KEY",
        "TOKEN_LIMIT",
        "",
        "_",
        "123",
    ];
    for name in secret {
        assert!(Redactor::is_secret_name(name), "{name}");
    }
    for name in innocent {
        assert!(!Redactor::is_secret_name(name), "{name}");
    }
}

#[test]
fn names_of_credential_headers_are_told_from_names_like_them() {
    for name in [
        "Authorization",
        "X-Auth-Token",
        "X-Amz-Security-Token",
        "Ocp-Apim-Subscription-Key",
        "x-forwarded-authorization",
    ] {
        assert!(is_credential_header(name), "{name}");
    }
    for name in [
        "Idempotency-Key",
        "X-RateLimit-Limit-Tokens",
        "Sec-WebSocket-Key",
        "X-Token-Count",
        "Host",
        "WWW-Authenticate",
        "Access-Control-Allow-Credentials",
    ] {
        assert!(!is_credential_header(name), "{name}");
    }
}

#[test]
fn secrets_in_text_are_found_by_form_by_name_and_in_urls() {
    let cases = [
        ("--token=", "abcdefgh", " --port 80"),
        ("export OPENAI_API_KEY=\"", "abc def gh", "\"; run"),
        ("{\"api_key\": \"", "abcdefgh", "\", \"a\": 1}"),
        ("postgres://bob:", "p4ssw0rd", "@db:5432/x"),
        ("redis://:", "p4ssw0rd", "@db"),
        ("https://", "ghp_abcdefghijklmnopqrstuvwxyz0123", "@github.com/a/b"),
        ("curl -H 'Authorization: Bearer ", "abcd1234.efgh", "' x"),
        ("key is ", "sk-proj-abcdefghijklmnopqrstuv", "."),
        ("AWS ", "AKIAIOSFODNN7EXAMPLE", " id"),
        ("jwt ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_9", " end"),
        ("-----BEGIN RSA PRIVATE KEY-----", "\nMIIEabc\n123\n", "-----END RSA PRIVATE KEY-----"),
    ];
    for (before, secret, after) in cases {
        let (text, count) = redactor().text(&format!("{before}{secret}{after}"));
        assert_eq!((text, count), (format!("{before}{}{after}", pseudonym(secret)), 1), "{before}");
    }
}

#[test]
fn text_without_secrets_stays_as_it_is() {
    let innocent = [
        "python -m uvicorn app:main --host 127.0.0.1 --port 8080 --max-tokens=100",
        "the bearer of this letter knows basic understanding, task-force and sk-8",
        "http://host:80/a@b?c=d git@github.com:a/b.git ssh://git@github.com/a",
        "TOKENIZERS_PARALLELISM=false KEYBOARD=de eyJ.a.b -----BEGIN CERTIFICATE-----",
        "",
    ];
    for text in innocent {
        assert_eq!(redactor().text(text), (text.to_owned(), 0));
    }
}

#[test]
fn an_argument_after_an_option_named_for_a_secret_is_one() {
    let arguments =
        ["serve", "--api-key", "abcdefgh", "--token", "--port", "8080", "--max-tokens", "100"].map(str::to_owned);
    let (redacted, count) = redactor().arguments(&arguments);
    let mut expected = arguments.to_vec();
    expected[2] = pseudonym("abcdefgh");
    assert_eq!((redacted, count), (expected, 1));
}

#[test]
fn texts_made_to_be_slow_are_not() {
    // Each of these would take minutes if every beginning were followed to the end.
    for beginning in ["a-", "eyJ-", "e-", "token=", "://", "bearer ", "\"a\"", "-----BEGIN ", "sk-", "Cookie: a=b;"] {
        let text = beginning.repeat((1 << 18) / beginning.len());
        let (redacted, _) = redactor().text(&text);
        assert_eq!(redacted.len(), text.len());
        let mut head = Head::new(format!("GET /?{text} HTTP/1.1\r\nCookie: {text}\r\nX: {text}\r\n\r\n"));
        redactor().request_head(&mut head);
    }
}

/// The class that a byte's stand-in is of, or the byte itself where it is kept.
fn class_of(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0',
        b'a'..=b'z' => b'a',
        b'A'..=b'Z' => b'A',
        0x80..=0xff => 0x80,
        _ => byte,
    }
}

proptest! {
    #[test]
    fn a_pseudonym_has_the_values_length_and_alphabet_and_is_another(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        let stand_in = redactor().pseudonym(&value);
        let classes = |bytes: &[u8]| bytes.iter().map(|byte| class_of(*byte)).collect::<Vec<_>>();
        prop_assert_eq!(classes(&stand_in), classes(&value));
        prop_assert_eq!(redactor().pseudonym(&value), stand_in.clone());
        let replaceable = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
        prop_assert!(replaceable < 4 || stand_in != value);
    }

    #[test]
    fn a_pseudonym_of_utf_8_is_utf_8(value in any::<String>()) {
        prop_assert!(String::from_utf8(redactor().pseudonym(value.as_bytes())).is_ok());
    }

    #[test]
    fn a_secret_is_nowhere_in_what_is_written(
        secret in "[A-Za-z0-9_.~-]{12,40}", place in 0..7_usize, noise in "[a-z]{0,5}",
    ) {
        let head = match place {
            0 => format!("GET /{noise}?{noise}=1&access_token={secret}&z HTTP/1.1\r\n\r\n"),
            1 => format!("GET / HTTP/1.1\r\nAuthorization: Bearer {secret}\r\n\r\n"),
            2 => format!("GET / HTTP/1.1\r\n{noise}: {noise}\r\nAUTHORIZATION:{secret}\r\n\r\n"),
            3 => format!("GET / HTTP/1.1\r\nCookie: {noise}={secret}; b={secret}\r\n\r\n"),
            4 => format!("GET / HTTP/1.1\nX-Api-Key: \t{secret} \n\n"),
            5 => format!("GET http://{noise}:{secret}@host/ HTTP/1.1\r\n\r\n"),
            _ => format!("POST / HTTP/1.1\r\nProxy-Authorization: Basic {noise}\r\n {secret}\r\n\r\n"),
        };
        let mut head = Head::new(head);
        let before = head.bytes.clone();
        let redactions = redactor().request_head(&mut head);
        prop_assert!(memchr::memmem::find(&head.bytes, secret.as_bytes()).is_none(), "{}", head.bytes.escape_ascii());
        prop_assert_eq!(head.bytes.len(), before.len());
        prop_assert!(!redactions.is_empty());
        // The head reads as it did, save the values.
        let names = |bytes: &[u8]| Head::new(bytes).fields().map(|field| field.name.to_vec()).collect::<Vec<_>>();
        prop_assert_eq!(names(&head.bytes), names(&before));
    }

    #[test]
    fn equal_secrets_stay_equal_and_different_ones_different(one in "[a-z0-9]{12,20}", other in "[a-z0-9]{12,20}") {
        let head = |secret: &str| format!("GET /?token={secret} HTTP/1.1\r\nCookie: a={secret}\r\nX-Api-Key: {secret}\r\n\r\n");
        let (one_head, _) = redacted(&head(&one));
        let stand_in = pseudonym(&one);
        prop_assert_eq!(&one_head, &head(&stand_in));
        prop_assert_eq!(one == other, stand_in == pseudonym(&other));
    }

    #[test]
    fn no_head_makes_it_panic_or_changes_its_length(
        bytes in "(GET|/|\\?|&|;|=|key|token|:|//|@|%|%4|%41|%C3|Cookie:|Set-Cookie:|Authorization:|Bearer | |\t|\r\n|\n|\r|sk-abcdefghijklmnopqrst|é|<|>){0,40}",
        odd in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let bytes = [bytes.into_bytes(), odd].concat();
        for redact in [Redactor::request_head, Redactor::response_head] {
            let mut head = Head::new(bytes.clone());
            redact(&redactor(), &mut head);
            prop_assert_eq!(head.bytes.len(), bytes.len());
            prop_assert_eq!(head.fields().count(), Head::new(bytes.clone()).fields().count());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "([a-zé]|:|//|@|=|\"|'| |key|token|Bearer |sk-abcdefghijklmnopqrst|-----BEGIN PRIVATE KEY-----|\u{1F600}){0,30}") {
        let (redacted, _) = redactor().text(&text);
        prop_assert_eq!(redacted.len(), text.len());
    }
}

#[test]
fn a_target_without_credentials_is_the_same_for_a_secret_and_its_pseudonym() {
    let shown = |target: &str| String::from_utf8(super::without_credentials(target.as_bytes())).unwrap();
    assert_eq!(shown("/v1/models?key=abc&page=2&access_token=d%20e"), "/v1/models?key=*&page=2&access_token=*");
    assert_eq!(shown("/v1/models?page=2"), "/v1/models?page=2");
    assert_eq!(shown("/?key="), "/?key=*");
}

#[test]
fn a_line_for_a_shell_has_its_secrets_behind_options_too() {
    let line = |text: &str| {
        let (redacted, count) = redactor().arguments(&["sh".to_owned(), "-c".to_owned(), text.to_owned()]);
        (redacted[2].clone(), count)
    };
    let (redacted, count) = line("serve --port 80 --api-key 'hunter2' --db-password=hunter3 && echo ready");
    assert_eq!(count, 2);
    assert!(!redacted.contains("hunter2") && !redacted.contains("hunter3"), "{redacted}");
    assert!(redacted.starts_with("serve --port 80 --api-key '") && redacted.ends_with(" && echo ready"), "{redacted}");
    let unchanged = "serve --api-key $API_KEY --token --verbose";
    assert_eq!(line(unchanged), (unchanged.to_owned(), 0));
}

#[test]
fn what_stands_for_a_secret_is_found_again_where_it_was_put() {
    let arguments = ["serve", "--token", "hunter2hunter2", "--key=0451-abcd"].map(str::to_owned);
    let redacted = redactor().arguments(&arguments).0;
    let found: Vec<_> = Redactor::found_in_arguments(&redacted).into_iter().map(|found| found.value).collect();
    assert_eq!(found, [redactor().pseudonym(b"hunter2hunter2"), redactor().pseudonym(b"0451-abcd")]);
}
