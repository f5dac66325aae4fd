//! Bodies that are neither JSON nor server-sent events: what is said of them, and what holds for all of them.

use std::io::Cursor;

use content::{base64, protobuf::Schema};
use diff::{
    CallRequest, ChangeKind, ComparedAs, Comparison, Output, Route, Rules, compare_calls, compare_documents,
    compare_responses, outcome_bytes, places_of_calls_apart,
};
use exchange::Head;
use proptest::prelude::*;
use prost::Message as _;

fn head(content_type: &str) -> Head {
    Head::new(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n"))
}

fn rules_of(texts: &[&str]) -> Rules {
    texts.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap()
}

/// Compares two bodies of one content type, and holds what is said of them against their outcomes and against the other way round.
fn compared(content_type: &str, one: &[u8], other: &[u8], rules: &Rules) -> Comparison {
    let (head, route) = (head(content_type), Route::new("POST", "/chat.v1.Chat/Ask"));
    let output = |body| Output { head: &head, body, complete: true, whole: true };
    let comparison = compare_responses(&output(one), &output(other), rules, &route);
    let mirrored = compare_responses(&output(other), &output(one), rules, &route).mirrored();
    assert_eq!(comparison.changes, mirrored.changes, "swapping sides swaps the result");
    assert_eq!(comparison.compared_as, mirrored.compared_as);
    let outcome = |body| outcome_bytes(&output(body), rules, &route);
    let has_tolerance = rules.texts().any(|text| text.starts_with("tolerance"));
    assert_eq!(comparison.is_equal(), outcome(one) == outcome(other) || (has_tolerance && comparison.is_equal()));
    comparison
}

fn told(comparison: &Comparison) -> Vec<String> {
    comparison.changes.iter().map(|change| format!("{} {}", change.kind.word(), change.pointer)).collect()
}

#[test]
fn forms_are_compared_by_field_whatever_their_order_and_escapes() {
    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
    let between = |one: &str, other: &str| compared(FORM, one.as_bytes(), other.as_bytes(), &Rules::strict());
    assert!(between("a=x+y&b=2", "b=2&a=x%20y").is_equal());
    let comparison = between("a=1&b=2&c=3", "a=1&b=3&d=4&d=5");
    assert_eq!(told(&comparison), ["changed /b", "removed /c", "added /d"]);
    assert_eq!(comparison.compared_as, ComparedAs::Form);
    assert_eq!(told(&between("a=1", "a=1&a=2")), ["added /a/1"]);
    assert!(compared(FORM, b"a=1&at=7", b"a=1&at=8", &rules_of(&["/at"])).is_equal());
    assert_eq!(between("a=%ff", "a=%fe").compared_as, ComparedAs::Text, "no UTF-8: nothing may be made equal");
}

fn multipart(boundary: &str, parts: &[(&str, &str)]) -> Vec<u8> {
    let part = |(head, body): &(&str, &str)| format!("--{boundary}\r\n{head}\r\n\r\n{body}\r\n");
    (parts.iter().map(part).collect::<String>() + &format!("--{boundary}--\r\n")).into_bytes()
}

#[test]
fn parts_are_compared_by_name_and_the_boundary_is_not() {
    let field = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
    let json = format!("{}\r\nContent-Type: application/json", field("meta"));
    let (a, b) = (field("a"), field("b"));
    let one = multipart("one", &[(&a, "x"), (&json, r#"{"k":1,"l":2}"#)]);
    let other = multipart("other", &[(&json, r#"{ "l": 3, "k": 1 }"#), (&a, "x"), (&b, "y")]);
    let heads = ["multipart/form-data; boundary=one", "multipart/form-data; boundary=other"].map(head);
    let rules = Rules::strict();
    let output = |head, body| Output { head, body, complete: true, whole: true };
    let comparison = compare_responses(&output(&heads[0], &one), &output(&heads[1], &other), &rules, &Route::default());
    assert_eq!(told(&comparison), ["added /b", "changed /meta/content/l"]);
    let same = multipart("other", &[(&json, r#"{ "l": 2, "k": 1 }"#), (&a, "x")]);
    let (one_output, same_output) = (output(&heads[0], &one), output(&heads[1], &same));
    assert!(compare_responses(&one_output, &same_output, &rules, &Route::default()).is_equal());
    let outcomes = [one_output, same_output].map(|output| outcome_bytes(&output, &rules, &Route::default()));
    assert_eq!(outcomes[0], outcomes[1]);
    let said = |text: &str| multipart("one", &[(&json, text)]);
    let bare = "multipart/form-data; boundary=one";
    let comparison = compared(bare, &said("hello"), &said("\"hello\""), &rules);
    assert_eq!(told(&comparison), ["added /meta/content", "removed /meta/text"]);
    assert_eq!(comparison.compared_as, ComparedAs::Multipart);
    let mixed = "multipart/mixed; boundary=m";
    let (one, other) =
        (multipart("m", &[("a: 1", "x"), ("a: 1", "y")]), multipart("m", &[("a: 1", "y"), ("a: 2", "z")]));
    assert_eq!(
        told(&compared(mixed, &one, &other, &Rules::strict())),
        ["changed /0/content", "changed /1/content", "changed /1/headers/a"]
    );
    let cut = compared(mixed, &one, &one[..one.len() - 4], &Rules::strict());
    assert_eq!((cut.compared_as, cut.is_equal()), (ComparedAs::Bytes, false));
}

#[test]
fn html_is_compared_by_element_and_text() {
    let page = |text: &str, class: &str| {
        format!("<!doctype html><html><body><p class={class}>{text}</p><ul><li>1<li>2</ul></body></html>")
    };
    let one = page("The payment has been declined, so the order waits for another card.", "a");
    let laid_out = one.replace("><", ">\n  <").replace("<li>2", "</li><!-- two --><li>2</li>");
    let between = |one: &str, other: &str| compared("text/html", one.as_bytes(), other.as_bytes(), &Rules::strict());
    assert!(between(&one, &laid_out).is_equal());
    let comparison = between(&one, &page("The payment has been accepted, so the order waits for another card.", "b"));
    assert_eq!(
        told(&comparison),
        ["changed /1/children/0/children/0/attributes/class", "changed /1/children/0/children/0/children/0"]
    );
    assert_eq!(comparison.changes[1].text.as_ref().unwrap().words_added, Some(1));
    assert_eq!(comparison.compared_as, ComparedAs::Html);
    assert_eq!(compare_documents(one.as_bytes(), laid_out.as_bytes(), &Rules::strict()).compared_as, ComparedAs::Html);
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(message, repeated, tag = "3")]
    tokens: Vec<Token>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Token {
    #[prost(uint32, tag = "1")]
    id: u32,
}

fn answer(text: &str, ids: &[u32]) -> Vec<u8> {
    Answer { text: text.to_owned(), tokens: ids.iter().map(|&id| Token { id }).collect() }.encode_to_vec()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn schema() -> Schema {
    use prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
        ServiceDescriptorProto, field_descriptor_proto as field,
    };
    let of =
        |name: &str, number, kind: field::Type, label: field::Label, type_name: Option<&str>| FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            r#type: Some(kind as i32),
            label: Some(label as i32),
            type_name: type_name.map(str::to_owned),
            ..FieldDescriptorProto::default()
        };
    let message =
        |name: &str, field| DescriptorProto { name: Some(name.to_owned()), field, ..DescriptorProto::default() };
    let tokens = of("tokens", 3, field::Type::Message, field::Label::Repeated, Some(".chat.v1.Token"));
    let method = MethodDescriptorProto {
        name: Some("Ask".to_owned()),
        input_type: Some(".chat.v1.Token".to_owned()),
        output_type: Some(".chat.v1.Answer".to_owned()),
        ..MethodDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        package: Some("chat.v1".to_owned()),
        message_type: vec![
            message("Answer", vec![of("text", 1, field::Type::String, field::Label::Optional, None), tokens]),
            message("Token", vec![of("id", 1, field::Type::Uint32, field::Label::Optional, None)]),
        ],
        service: vec![ServiceDescriptorProto {
            name: Some("Chat".to_owned()),
            method: vec![method],
            ..ServiceDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    Schema::read(&FileDescriptorSet { file: vec![file] }.encode_to_vec()).unwrap()
}

#[test]
fn protobuf_is_compared_by_field_number_and_by_name_where_its_type_is_described() {
    let (one, other) = (answer("Hi there", &[1]), answer("Hi there", &[1, 2]));
    let framed_both = [framed(&one), framed(&other)];
    let by_number = compared("application/grpc", &framed_both[0], &framed_both[1], &Rules::strict());
    assert_eq!(told(&by_number), ["added /0/#3/1"]);
    assert_eq!(by_number.compared_as, ComparedAs::Protobuf);
    let described = Rules::strict().reading_messages(schema(), None);
    let by_name = compared("application/grpc+proto", &framed_both[0], &framed_both[1], &described);
    assert_eq!(told(&by_name), ["added /0/tokens/1"]);
    assert_eq!(by_name.changes[0].replayed.as_ref().unwrap().text, r#"{"id":2}"#);
    let changed = answer("Hi there", &[7]);
    assert_eq!(told(&compared("application/proto", &one, &changed, &Rules::strict())), ["changed /#3/#1"]);
    assert_eq!(told(&compared("application/proto", &one, &changed, &described)), ["changed /tokens/0/id"]);
    let named = Rules::strict().reading_messages(schema(), Some("chat.v1.Answer".to_owned()));
    assert_eq!(told(&compare_documents(&one, &changed, &named)), ["changed /tokens/0/id"]);
    let typed = r#"application/x-protobuf; messageType="chat.v1.Token""#;
    let [one, other] = [1, 2].map(|id| Token { id }.encode_to_vec());
    assert_eq!(told(&compared(typed, &one, &other, &described)), ["changed /id"]);
    let web = base64::encode(&framed(&answer("a", &[])));
    let other = base64::encode(&framed(&answer("b", &[])));
    assert_eq!(
        told(&compared("application/grpc-web-text", web.as_bytes(), other.as_bytes(), &described)),
        ["changed /0/text"]
    );
    let rules = described.ignoring("/*/text").unwrap();
    assert!(compared("application/grpc", &framed(&answer("a", &[])), &framed(&answer("b", &[])), &rules).is_equal());
}

#[test]
fn what_a_dependency_is_asked_in_protobuf_is_told_by_the_names_of_its_methods_request() {
    let head = Head::new("POST /chat.v1.Chat/Ask HTTP/1.1\r\ncontent-type: application/proto\r\n\r\n");
    let [one, other] = [1, 2].map(|id| Token { id }.encode_to_vec());
    let call = |body| CallRequest { dependency: "llm", head: &head, body };
    let places = |rules: &Rules| -> Vec<String> {
        let changes = compare_calls(&call(&one), &call(&other), rules).unwrap();
        changes.into_iter().map(|change| change.pointer).collect()
    };
    let described = Rules::strict().reading_messages(schema(), None);
    assert_eq!(
        (places(&Rules::strict()), places(&described)),
        (vec!["dep:llm:/#1".into()], vec!["dep:llm:/id".into()])
    );
    let rules = described.ignoring("dep:llm:/id").unwrap();
    assert!(places(&rules).is_empty());
    // What is learned of noise has the same names, whatever rules there are.
    let learned = places_of_calls_apart(&call(&one), &call(&other), &rules).unwrap();
    assert_eq!(learned[0].pointer, "dep:llm:/id");
}

fn png(samples: [u8; 12], compression: png::Compression) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(compression);
    encoder.write_header().unwrap().write_image_data(&samples).unwrap();
    bytes
}

fn wav(samples: &[i16], rate: u32) -> Vec<u8> {
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_are_compared_by_their_pixels_and_then_by_their_file() {
    let samples = [9; 12];
    let mut nearly = samples;
    nearly[4] = 11;
    let one = png(samples, png::Compression::Fast);
    let between = |other: &[u8], rules: &[&str]| compared("image/png", &one, other, &rules_of(rules));
    let comparison = between(&png(nearly, png::Compression::Fast), &[]);
    assert_eq!(told(&comparison), ["changed /pixels"]);
    let distance = comparison.changes[0].vector.unwrap();
    assert_eq!((distance.len, distance.differing, distance.max_abs.unwrap().get()), (12, 1, 2.0));
    assert_eq!((comparison.compared_as, comparison.coarse), (ComparedAs::Image, false));
    assert!(between(&png(nearly, png::Compression::Fast), &["tolerance /pixels=abs:2"]).is_equal());
    assert!(!between(&png(nearly, png::Compression::Fast), &["tolerance /pixels=abs:1"]).is_equal());
    let cut = between(&one[..60], &[]);
    let file = cut.changes.iter().find(|change| change.pointer == "/file").unwrap();
    let shown = [&file.recorded, &file.replayed].map(|it| it.as_ref().unwrap().text.clone());
    assert!(
        !shown[0].contains("not decoded") && shown[1].starts_with("\"60 bytes that were not decoded, "),
        "{shown:?}"
    );
    assert!(cut.coarse);
    let repacked = png(samples, png::Compression::High);
    assert_ne!(repacked, one);
    assert_eq!(told(&between(&repacked, &[])), ["changed /file"]);
    assert!(between(&repacked, &["/file"]).is_equal());
    assert!(between(&png(nearly, png::Compression::Fast), &["/pixels"]).is_equal());
    let damaged = between(&one[..one.len() - 20], &[]);
    assert!(damaged.coarse && !damaged.is_equal(), "what cannot be decoded is said to be compared coarsely");
    assert_eq!(compare_documents(&one, &repacked, &Rules::strict()).compared_as, ComparedAs::Image);
}

/// A gradient of 24 by 16 pixels, written by Pillow 13 at two qualities.
#[test]
fn one_picture_at_two_qualities_is_as_far_apart_as_its_pixels_are() {
    let [fine, coarse] = [&include_bytes!("quality-95.jpg")[..], include_bytes!("quality-60.jpg")];
    let between = |other: &[u8], rules: &[&str]| compared("image/jpeg", fine, other, &rules_of(rules));
    let comparison = between(coarse, &[]);
    assert_eq!((told(&comparison), comparison.coarse), (vec!["changed /pixels".to_owned()], false));
    let distance = comparison.changes[0].vector.unwrap();
    // Pillow's decoder has them 11 apart at most; decoders round differently.
    let max = distance.max_abs.unwrap().get();
    assert!(distance.len == 24 * 16 * 3 && (7.0..=15.0).contains(&max), "{distance:?}");
    assert!(
        between(coarse, &["tolerance /pixels=abs:15"]).is_equal()
            && !between(coarse, &["tolerance /pixels=abs:1"]).is_equal()
    );
    assert!(between(fine, &[]).is_equal());
    let cut = between(&coarse[..200], &[]);
    assert!(cut.coarse && !cut.is_equal());
}

#[test]
fn sounds_are_compared_by_their_samples_and_those_that_cannot_be_decoded_by_size_and_digest() {
    let one = wav(&[1, 2, 3], 8_000);
    let between = |other: &[u8]| compared("audio/wav", &one, other, &Rules::strict());
    let comparison = between(&wav(&[1, 2, -3], 8_000));
    assert_eq!(told(&comparison), ["changed /samples"]);
    assert_eq!(comparison.changes[0].vector.unwrap().max_abs.unwrap().get(), 6.0);
    assert_eq!(told(&between(&wav(&[1, 2, 3, 4], 16_000))), ["changed /frames", "changed /rate", "changed /samples"]);
    let mp3 = compared("audio/mpeg", b"ID3 one", b"ID3 other", &Rules::strict());
    assert_eq!((told(&mp3), mp3.coarse, mp3.compared_as), (vec!["changed /file".to_owned()], true, ComparedAs::Audio));
    assert!(mp3.changes[0].recorded.as_ref().unwrap().text.starts_with("\"7 bytes that were not decoded, "));
    let text = compared("text/plain", b"ID3 is a tag", b"ID3 is another", &Rules::strict());
    assert_eq!(text.compared_as, ComparedAs::Text);
    assert_eq!(compare_documents(b"ID3 is a tag", b"ID3 is another", &Rules::strict()).compared_as, ComparedAs::Text);
}

/// An object a line, as Ollama streams.
fn ollama(pieces: &[&str], took: u64) -> String {
    let line = |piece: &&str| {
        format!(
            "{{\"model\":\"m\",\"created_at\":\"t\",\"message\":{{\"role\":\"assistant\",\"content\":\"{piece}\"}},\"done\":false}}\n"
        )
    };
    pieces.iter().map(line).collect::<String>()
        + &format!(
            "{{\"model\":\"m\",\"created_at\":\"t\",\"message\":{{\"role\":\"assistant\",\"content\":\"\"}},\"done\":true,\"done_reason\":\"stop\",\"eval_duration\":{took}}}\n"
        )
}

#[test]
fn lines_of_ollama_are_compared_by_their_message_and_with_one_in_one_piece() {
    const LINES: &str = "application/x-ndjson";
    let between =
        |one: &str, other: &str, rules: &[&str]| compared(LINES, one.as_bytes(), other.as_bytes(), &rules_of(rules));
    let comparison = between(&ollama(&["Hel", "lo"], 1), &ollama(&["Hello"], 1), &[]);
    assert_eq!((told(&comparison), comparison.compared_as), (Vec::new(), ComparedAs::Message));
    assert_eq!(comparison.streams.unwrap().recorded.unwrap().end.as_deref(), Some("done"));
    assert_eq!(
        told(&between(&ollama(&["a"], 1), &ollama(&["b"], 2), &["/eval_duration"])),
        ["changed /message/content"]
    );
    assert!(between(&ollama(&["a"], 1), &ollama(&["a"], 2), &["sse:/eval_duration"]).is_equal());
    let cut = ollama(&["a", "b"], 1);
    let cut = &cut[..cut
        .find("{\"model\":\"m\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"\"")
        .unwrap()];
    assert!(told(&between(&ollama(&["a", "b"], 1), cut, &[])).contains(&"removed sse:end".to_owned()));
    assert_eq!(told(&between("{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":3}\n", &[])), ["changed /1/a"]);
    let whole = r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":"Hello"},"done":true,"done_reason":"stop","eval_duration":1}"#;
    let (heads, rules) = ([LINES, "application/json"].map(head), rules_of(&["header:content-type"]));
    let stream = ollama(&["Hel", "lo"], 1);
    let streamed = Output { head: &heads[0], body: stream.as_bytes(), complete: true, whole: true };
    let in_one = Output { head: &heads[1], body: whole.as_bytes(), complete: true, whole: true };
    let comparison = compare_responses(&streamed, &in_one, &rules, &Route::default());
    assert_eq!((told(&comparison), comparison.compared_as), (Vec::new(), ComparedAs::Message));
}

#[test]
fn a_part_of_any_of_them_is_compared_as_far_as_it_goes() {
    for (content_type, whole) in [
        ("application/x-www-form-urlencoded", b"a=1&b=2".to_vec()),
        ("text/html", b"<html><p>a</html>".to_vec()),
        ("application/grpc", framed(&answer("Hi", &[1]))),
        ("image/png", png([9; 12], png::Compression::Fast)),
        ("multipart/mixed; boundary=m", multipart("m", &[("a: 1", "x")])),
        ("application/x-ndjson", ollama(&["a", "b"], 1).into_bytes()),
    ] {
        let head = head(content_type);
        let part = Output { head: &head, body: &whole[..whole.len() - 3], complete: false, whole: true };
        let full = Output { head: &head, body: &whole, complete: true, whole: true };
        let comparison = compare_responses(&part, &full, &Rules::strict(), &Route::default());
        assert_eq!(told(&comparison), Vec::<String>::new(), "{content_type}");
        let replayed_cut = compare_responses(&full, &part, &Rules::strict(), &Route::default());
        assert!(!replayed_cut.is_equal() || replayed_cut.replayed_part_only, "{content_type}");
    }
}

const TYPES: [&str; 9] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=m",
    "text/html",
    "application/grpc",
    "application/x-protobuf",
    "image/png",
    "audio/wav",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
];

/// A body of this type, made of a seed.
fn body(content_type: &str, text: &str, number: u32) -> Vec<u8> {
    match content_type {
        "application/x-www-form-urlencoded" => format!("a={text}&n={number}&a=1").into_bytes(),
        "text/html" => format!("<p id={number}>{text}<ul><li>{text}</ul>").into_bytes(),
        "application/grpc" => framed(&answer(text, &[number, 1])),
        "application/x-protobuf" => answer(text, &vec![number; number as usize % 3]),
        "image/png" => png([number as u8; 12], png::Compression::Fast),
        "audio/wav" => wav(&[number as i16, 2], 8_000),
        "application/x-ndjson" => format!("{{\"a\":{number}}}\n{{\"b\":{number}}}\n").into_bytes(),
        "application/vnd.amazon.eventstream" => vec![number as u8; 20],
        _ => multipart(
            "m",
            &[
                ("content-disposition: form-data; name=a", text),
                ("content-disposition: form-data; name=n", &number.to_string()),
            ],
        ),
    }
}

proptest! {
    /// What `compared` asserts, whatever the bodies are and wherever they are damaged.
    #[test]
    fn outcomes_agree_and_swapping_swaps_for_all_formats(
        which in 0..TYPES.len(), texts in ("[a-c <&]{0,6}", "[a-c <&]{0,6}"), numbers in (0_u32..4, 0_u32..4),
        damage in prop::option::of((0_usize..200, any::<u8>())),
    ) {
        let content_type = TYPES[which];
        let one = body(content_type, &texts.0, numbers.0);
        let mut other = body(content_type, &texts.1, numbers.1);
        if let Some((at, byte)) = damage {
            let at = at % other.len().max(1);
            other.splice(at..(at + 1).min(other.len()), [byte]);
        }
        let same = compared(content_type, &one, &one, &Rules::strict());
        prop_assert!(same.is_equal());
        let comparison = compared(content_type, &one, &other, &Rules::strict());
        prop_assert!(comparison.changes.iter().all(|change| change.kind != ChangeKind::Moved || change.pointer.contains('/')));
        compare_documents(&one, &other, &Rules::strict());
    }
}
