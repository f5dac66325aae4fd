//! Messages that a real library wrote.

use proptest::prelude::*;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(int32, tag = "2")]
    shift: i32,
    #[prost(message, repeated, tag = "3")]
    tokens: Vec<Token>,
    #[prost(float, repeated, tag = "4")]
    vector: Vec<f32>,
    #[prost(enumeration = "Finish", tag = "5")]
    finish: i32,
    #[prost(sint64, tag = "6")]
    zigzag: i64,
    #[prost(double, tag = "7")]
    score: f64,
    #[prost(bool, tag = "8")]
    cached: bool,
    #[prost(bytes = "vec", tag = "9")]
    audio: Vec<u8>,
    #[prost(fixed64, tag = "10")]
    seed: u64,
    #[prost(uint64, repeated, tag = "11")]
    counts: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Token {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    piece: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Finish {
    Unknown = 0,
    Stop = 1,
}

fn answer() -> Answer {
    Answer {
        text: "Hi there".to_owned(),
        shift: -1,
        tokens: vec![Token { id: 300, piece: "Hi".to_owned() }, Token { id: 7, piece: String::new() }],
        vector: vec![0.5, -1.25],
        finish: Finish::Stop as i32,
        zigzag: -3,
        score: 0.1,
        cached: true,
        audio: vec![0, 255, 1],
        seed: 9,
        counts: vec![1, 1 << 40],
    }
}

fn field(name: &str, number: i32, kind: Type, label: Label, type_name: Option<&str>) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        r#type: Some(kind as i32),
        label: Some(label as i32),
        type_name: type_name.map(str::to_owned),
        ..FieldDescriptorProto::default()
    }
}

/// What `protoc` would write of these types.
fn descriptors() -> Vec<u8> {
    let one = |name, number, kind| field(name, number, kind, Label::Optional, None);
    let token = DescriptorProto {
        name: Some("Token".to_owned()),
        field: vec![one("id", 1, Type::Uint32), one("piece", 2, Type::String)],
        ..DescriptorProto::default()
    };
    let value = |name: &str, number| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..EnumValueDescriptorProto::default()
    };
    let finish = EnumDescriptorProto {
        name: Some("Finish".to_owned()),
        value: vec![value("FINISH_UNKNOWN", 0), value("FINISH_STOP", 1)],
        ..EnumDescriptorProto::default()
    };
    let answer = DescriptorProto {
        name: Some("Answer".to_owned()),
        field: vec![
            one("text", 1, Type::String),
            one("shift", 2, Type::Int32),
            field("tokens", 3, Type::Message, Label::Repeated, Some(".chat.v1.Answer.Token")),
            field("vector", 4, Type::Float, Label::Repeated, None),
            field("finish", 5, Type::Enum, Label::Optional, Some(".chat.v1.Answer.Finish")),
            one("zigzag", 6, Type::Sint64),
            one("score", 7, Type::Double),
            one("cached", 8, Type::Bool),
            one("audio", 9, Type::Bytes),
            one("seed", 10, Type::Fixed64),
        ],
        nested_type: vec![token],
        enum_type: vec![finish],
        ..DescriptorProto::default()
    };
    let method = MethodDescriptorProto {
        name: Some("Ask".to_owned()),
        input_type: Some(".chat.v1.Question".to_owned()),
        output_type: Some(".chat.v1.Answer".to_owned()),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Chat".to_owned()),
        method: vec![method],
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("chat.proto".to_owned()),
        package: Some("chat.v1".to_owned()),
        message_type: vec![answer],
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

fn shown(bytes: &[u8], of: Option<(&Schema, &str)>) -> String {
    document(bytes, of, &mut 1_000).map(|value| value.to_compact_text()).unwrap_or_default()
}

fn framed(payload: &[u8], flags: u8) -> Vec<u8> {
    [&[flags][..], &u32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat()
}

#[test]
fn without_a_schema_a_message_is_read_by_field_number() {
    assert_eq!(
        shown(&answer().encode_to_vec(), None),
        r##"{"#1":["Hi there"],"#2":[18446744073709551615],"#3":[{"#1":[300],"#2":["Hi"]},{"#1":[7]}],"#4":["AAAAPwAAoL8="],"#5":[1],"#6":[5],"#7":["0x3fb999999999999a"],"#8":[1],"#9":["AP8B"],"#10":["0x0000000000000009"],"#11":["AYCAgICAIA=="]}"##
    );
}

#[test]
fn with_a_schema_fields_have_names_and_types_and_what_it_does_not_know_stays_by_number() {
    let schema = Schema::read(&descriptors()).unwrap();
    let name = schema.response_of("/prefix/chat.v1.Chat/Ask").unwrap();
    assert_eq!(
        shown(&answer().encode_to_vec(), Some((&schema, name))),
        r##"{"text":"Hi there","shift":-1,"tokens":[{"id":300,"piece":"Hi"},{"id":7}],"vector":[0.5,-1.25],"finish":"FINISH_STOP","zigzag":-3,"score":0.1,"cached":true,"audio":"AP8B","seed":9,"#11":["AYCAgICAIA=="]}"##
    );
    assert!(
        !is_by_number(Some((&schema, name))) && is_by_number(Some((&schema, "chat.v1.Question"))) && is_by_number(None)
    );
    assert_eq!(schema.message_names().collect::<Vec<_>>(), ["chat.v1.Answer", "chat.v1.Answer.Token"]);
}

#[test]
fn a_value_of_another_type_than_the_schema_says_stays_by_number() {
    let schema = Schema::read(&descriptors()).unwrap();
    let other = Token { id: 4, piece: String::new() }.encode_to_vec();
    assert_eq!(shown(&other, Some((&schema, "chat.v1.Answer"))), r##"{"#1":[4]}"##);
}

#[test]
fn what_is_no_set_of_descriptors_is_refused_with_what_to_do() {
    assert_eq!(Schema::read(b"syntax = \"proto3\";").unwrap_err(), SchemaError::NotDescriptors);
    assert_eq!(Schema::read(b"").unwrap_err(), SchemaError::Empty);
    assert!(SchemaError::Empty.help().unwrap().contains("protoc"));
}

#[test]
fn bodies_of_grpc_are_lists_of_messages_with_trailers() {
    let token = Token { id: 1, piece: "a".to_owned() }.encode_to_vec();
    let body = [framed(&token, 0), framed(&token, 0), framed(b"grpc-status:0\r\n", 0x80)].concat();
    let of = |body: &[u8], coding| {
        grpc_document(body, coding, None, false, 1_000, &mut 1_000)
            .map(|value| value.to_compact_text())
            .unwrap_or_default()
    };
    assert_eq!(
        of(&body, None),
        r##"[{"#1":[1],"#2":["a"]},{"#1":[1],"#2":["a"]},{"trailers":{"grpc-status":["0"]}}]"##
    );
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &token).unwrap();
    let packed = framed(&packed.finish().unwrap(), 1);
    assert_eq!(of(&packed, Some("gzip")), r##"[{"#1":[1],"#2":["a"]}]"##);
    for (body, coding) in [(&packed[..], None), (&packed, Some("x\r\ny")), (&body[..body.len() - 1], None), (b"", None)]
    {
        assert_eq!(of(body, coding), "");
    }
}

#[test]
fn a_compressed_message_that_grows_beyond_the_bound_is_none() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![0; 1 << 20]).unwrap();
    let packed = framed(&packed.finish().unwrap(), 1);
    assert_eq!(grpc_document(&packed, Some("gzip"), None, false, 1_000, &mut 1_000), None);
}

#[test]
fn messages_in_messages_end_somewhere_and_take_no_longer_for_it() {
    // Each a field 1 that holds all that follow.
    let mut nested = vec![0x08, 0x01];
    while nested.len() < 1 << 20 {
        let mut outer = vec![0x0a];
        let mut len = nested.len();
        while len > 0x7f {
            outer.push(len as u8 | 0x80);
            len >>= 7;
        }
        outer.push(len as u8);
        outer.extend_from_slice(&nested);
        nested = if outer.len() < 2_000 { outer } else { [outer.clone(), outer].concat() };
    }
    let value = document(&nested, None, &mut (1 << 20)).unwrap();
    assert!(crate::json::parse(value.to_compact_text().as_bytes()).is_ok());
    let groups = [vec![0x0b; 100_000], vec![0x0c; 100_000]].concat();
    assert_eq!(document(&groups, None, &mut 1_000), None);
    assert_eq!(document(&[0x08, 1].repeat(1_001), None, &mut 1_000), None, "too many values");
}

proptest! {
    #[test]
    fn anything_at_all_is_read_without_panic_and_is_a_document(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let schema = Schema::read(&descriptors()).unwrap();
        for of in [None, Some((&schema, "chat.v1.Answer"))] {
            if let Some(value) = document(&bytes, of, &mut 1_000) {
                prop_assert!(crate::json::parse(value.to_compact_text().as_bytes()).is_ok());
            }
        }
        let _schema = Schema::read(&bytes);
        grpc_document(&bytes, Some("gzip"), None, false, 1_000, &mut 100);
    }

    /// Two messages are one document exactly when they say the same.
    #[test]
    fn different_messages_are_different_documents(id in any::<u32>(), other in any::<u32>(), piece in "\\PC{0,9}", another in "\\PC{0,9}") {
        let one = Token { id, piece };
        let two = Token { id: other, piece: another };
        let schema = Schema::read(&descriptors()).unwrap();
        let of = Some((&schema, "chat.v1.Answer.Token"));
        prop_assert_eq!(one == two, shown(&one.encode_to_vec(), of) == shown(&two.encode_to_vec(), of));
        prop_assert_eq!(one == two, shown(&one.encode_to_vec(), None) == shown(&two.encode_to_vec(), None));
    }
}
