use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Pieces in memory.
#[derive(Default)]
struct Pieces {
    pieces: Vec<(Form, Vec<u8>)>,
    names: HashMap<Name, u32>,
}

impl Shelf for Pieces {
    fn find(&mut self, name: &Name) -> Option<u32> {
        self.names.get(name).copied()
    }

    fn next(&self) -> u32 {
        self.pieces.len() as u32
    }

    fn put(&mut self, name: Option<Name>, form: Form, payload: &[u8]) -> Result<u32, WriteError> {
        assert!(!payload.is_empty() && payload.len() <= PIECE_BYTES_MAX);
        let number = self.next();
        self.pieces.push((form, payload.to_vec()));
        if let Some(name) = name {
            assert_eq!(self.names.insert(name, number), None, "a name is put once");
        }
        Ok(number)
    }
}

impl Pieces {
    fn put(&mut self, body: &[u8]) -> u32 {
        put_body(body, self).unwrap()
    }

    fn read(&self, number: u32) -> Vec<u8> {
        self.read_at(number, 0)
    }

    fn read_at(&self, number: u32, depth: usize) -> Vec<u8> {
        assert!(depth < PIECES_DEEP);
        let (form, payload) = &self.pieces[number as usize];
        let Some(recipe) = Recipe::of(*form, number, payload).unwrap() else { return payload.clone() };
        let control = recipe.control();
        let mut bytes = Vec::new();
        for step in recipe {
            match step.unwrap() {
                Step::Bytes(plain) => bytes.extend_from_slice(plain),
                Step::Piece { separator, number } => {
                    bytes.extend_from_slice(separator);
                    bytes.extend(self.read_at(number, depth + 1));
                }
            }
        }
        control.map_or(bytes.clone(), |control| restore_events(control, &bytes, usize::MAX).unwrap())
    }

    /// Bytes of all payloads.
    fn len(&self) -> usize {
        self.pieces.iter().map(|(_, payload)| payload.len()).sum()
    }

    /// What putting this body adds; it is read back.
    fn added(&mut self, body: &[u8]) -> usize {
        let before = self.len();
        let number = self.put(body);
        assert!(self.read(number) == body, "{}", String::from_utf8_lossy(body));
        self.len() - before
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    crate::sample::noise(seed, len)
}

/// A text of letters that no other seed has.
fn words(seed: u64, len: usize) -> String {
    noise(seed, len).iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

fn message(role: &str, number: u64) -> String {
    format!(r#"{{"role":"{role}","content":"{}"}}"#, words(number, 200))
}

fn request(messages: &[String], separator: &str) -> Vec<u8> {
    format!(r#"{{"model":"m","messages":[{}],"stream":true}}"#, messages.join(separator)).into_bytes()
}

#[test]
fn a_history_that_grows_costs_what_is_new() {
    for separator in [",", ", "] {
        let mut pieces = Pieces::default();
        let mut messages: Vec<String> = (0..100).map(|number| message("user", number)).collect();
        pieces.added(&request(&messages, separator));
        for number in 100..120 {
            messages.push(message("user", number));
            let added = pieces.added(&request(&messages, separator));
            assert!(added < 400, "{added} bytes for a message of 230");
        }
    }
}

#[test]
fn an_answer_that_came_token_by_token_is_known_when_the_next_request_repeats_it() {
    let text = words(1, 2_000);
    let tokens = text.as_bytes().chunks(4).map(|token| String::from_utf8_lossy(token).into_owned());
    let event = |token: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-8f2c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{token}\"}}}}]}}\n\n"
        )
    };
    let mut stream =
        "data: {\"id\":\"chatcmpl-8f2c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"
            .to_owned();
    stream.extend(tokens.map(|token| event(&token)));
    stream.push_str("data: [DONE]\n\n");
    let mut pieces = Pieces::default();
    let added = pieces.added(stream.as_bytes());
    assert!(added < 2_000 + 500 + 400, "{added} bytes for a text of 2,000 in 500 tokens");
    let messages = [format!(r#"{{"role":"assistant","content":"{text}"}}"#)];
    let added = pieces.added(&request(&messages, ","));
    assert!(added < 150, "{added} bytes, though the text is known");
}

#[test]
fn events_of_several_lines_and_lines_of_json_are_coded_too() {
    let token = |at: u64| words(at, 1 + at as usize % 7);
    let named: String = (0..300)
        .map(|at| format!("event: content_block_delta\r\ndata: {{\"delta\":{{\"text\":\"{}\"}}}}\r\n\r\n", token(at)))
        .collect();
    let lines: String =
        (0..300).map(|at| format!("{{\"model\":\"llama\",\"response\":\"{}\",\"done\":false}}\n", token(at))).collect();
    for (stream, least) in [(named, 10), (lines, 8)] {
        let added = Pieces::default().added(stream.as_bytes());
        assert!(added * least < stream.len(), "{added} of {}", stream.len());
    }
}

#[test]
fn a_text_whose_tokens_begin_alike_or_have_quotes_is_one_text() {
    let tokens = ["He", "Hello", "Help", r#"\"quo"#, r#"\"ted\""#, r#"\"#, r#"n\""#, "end"];
    let text = tokens.concat().repeat(10);
    let mut pieces = Pieces::default();
    let stream: String = (0..10)
        .flat_map(|_| tokens)
        .map(|token| format!("data: {{\"delta\":{{\"content\":\"{token}\"}}}}\n\n"))
        .collect();
    pieces.added(stream.as_bytes());
    assert!(pieces.names.contains_key(&Name::of(text.as_bytes())));
}

#[test]
fn a_large_text_and_what_has_no_structure_are_found_again_though_a_little_of_them_changed() {
    let mut pieces = Pieces::default();
    let image = words(1, 300_000);
    let asked = |image: &str, question: &str| {
        format!(r#"{{"messages":[{{"content":[{{"type":"text","text":"{question}"}},{{"type":"image","data":"{image}"}}]}}]}}"#).into_bytes()
    };
    pieces.added(&asked(&image, "what is it"));
    assert!(pieces.added(&asked(&image, "what else is it")) < 300);
    let mut changed = image.clone();
    changed.insert_str(150_000, "a few letters more");
    assert!(pieces.added(&asked(&changed, "what is it")) < 80_000);
    let mut binary = noise(2, 300_000);
    pieces.added(&binary);
    binary.splice(100..100, [1, 2, 3]);
    assert!(pieces.added(&binary) < 80_000);
}

#[test]
fn a_body_that_came_before_is_a_piece_that_is_there() {
    let mut pieces = Pieces::default();
    for body in [&b"ok"[..], br#"{"a":1}"#, &noise(3, 4_000)] {
        let number = pieces.put(body);
        assert_eq!(pieces.put(body), number);
    }
}

#[test]
fn what_is_longer_than_a_piece_may_be_is_put_in_chunks() {
    // Texts too short for chunks, and new each time: as one list they would be several MiB.
    let texts: Vec<String> = (0..100_000).map(|number| format!("\"{}\"", words(number, 24))).collect();
    let body = format!("[{}]", texts.join(",")).into_bytes();
    let mut pieces = Pieces::default();
    let added = pieces.added(&body);
    assert!(added < body.len() + body.len() / 100, "{added} of {}", body.len());
    let mut stream = String::new();
    for number in 0..400_000 {
        stream.push_str(&format!("data: {{\"content\":\"{}\"}}\n\n", number % 10));
    }
    Pieces::default().added(stream.as_bytes());
}

#[test]
fn a_written_piece_that_is_wrong_says_what_and_gives_nothing_without_end() {
    fn steps(payload: &[u8]) -> Result<Result<Vec<Step<'_>>, &'static str>, &'static str> {
        Recipe::of(Form::List, 5, payload).map(|recipe| recipe.unwrap().collect())
    }
    assert_eq!(steps(b"").err(), Some("a recipe has no step"));
    assert!(steps(&[0]).unwrap().unwrap_err().contains("no bytes"));
    assert!(steps(&[8, 1]).unwrap().unwrap_err().contains("more than there are"));
    assert!(steps(&[1]).unwrap().unwrap_err().contains("does not come before"));
    assert!(steps(&[7]).unwrap().unwrap_err().contains("separator"));
    assert!(steps(&[0x80]).unwrap().unwrap_err().contains("cut short"));
    let far = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert!(steps(&far[..]).unwrap().is_err());
    assert!(Recipe::of(Form::Events, 5, &[9, 0]).is_err());
    assert!(restore_events(&[0, 5], b"abcd", 100).is_err());
    assert!(restore_events(&[0, 3], b"abcd", 100).unwrap_err().contains("all bytes"));
    assert!(restore_events(&[0, 4], b"abcd", 3).unwrap_err().contains("longer"));
    assert!(restore_events(&[2, 1, 1, 1], b"abc", 100).is_err());
    assert_eq!(restore_events(&[2, 1, 1, 1, 0], b"abc", 100).unwrap(), b"acbab");
}

#[test]
fn the_example_of_the_format_description_is_read_as_it_says() {
    let payload = [0x05, 0x02, 0x03, 0x02, 0x01, 0x02, 0x10, 0x44, 0x3a, 0x20, 0x0a, 0x0a, 0x78, 0x79, 0x7a];
    let hex: Vec<_> = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(include_str!("../../../../docs/format.md").contains(&hex.join(" ")));
    let mut pieces = Pieces { pieces: vec![(Form::Data, vec![0]); 7], ..Pieces::default() };
    pieces.pieces.push((Form::Events, payload.to_vec()));
    assert_eq!(pieces.read(7), b"D: x\n\nD: yz\n\n");
}

proptest! {
    #[test]
    fn any_bytes_come_back(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..2_000), 1..4)) {
        let mut pieces = Pieces::default();
        for body in &bodies {
            pieces.added(body);
        }
    }

    #[test]
    fn anything_like_json_or_events_comes_back(
        bodies in prop::collection::vec(
            prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ", ", ":", "\"", "\\", "\"text\"", "data: ", "event: x\n", "\n", "\n\n", "\r\n\r\n",
                    "{\"role\":\"user\",\"content\":\"a message that is long enough to be a piece of its own, and to be looked up\"}",
                    "data: {\"delta\":{\"content\":\"a\"}}\n\n", "data: {\"delta\":{\"content\":\"an\\\"\"}}\n\n",
                    "{\"response\":\"b\",\"done\":false}\n", "12.5", "null",
                ]),
                1..60,
            ),
            1..6,
        )
    ) {
        let mut pieces = Pieces::default();
        for body in &bodies {
            pieces.added(body.concat().as_bytes());
        }
    }

    #[test]
    fn any_written_piece_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200), own in 0..100_u32, form in 0..3_u8) {
        if let Ok(Some(recipe)) = Recipe::of(Form::of(form).unwrap(), own, &payload) {
            let control = recipe.control();
            for step in recipe {
                if let Ok(Step::Piece { number, .. }) = step {
                    prop_assert!(number < own);
                }
            }
            if let Some(Ok(bytes)) = control.map(|control| restore_events(control, &payload, 10_000)) {
                prop_assert!(bytes.len() <= 10_000);
            }
        }
    }
}
