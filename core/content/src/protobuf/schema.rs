//! What fields are called and which types they have: descriptors as `protoc --include_imports --descriptor_set_out` writes them.
//!
//! In: a `FileDescriptorSet` (google/protobuf/descriptor.proto), itself a message. Out: messages and enums by full name, and what
//! methods answer.

use std::collections::BTreeMap;

use super::wire::{self, Field, Wire};

/// Why a file is no set of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Other bytes.
    #[error("this is no set of protobuf descriptors")]
    NotDescriptors,
    /// A set without any message.
    #[error("this set of protobuf descriptors has no message")]
    Empty,
}

impl SchemaError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        Some("write one with `protoc --include_imports --descriptor_set_out=FILE …`, or `buf build -o FILE`")
    }
}

/// Types of messages by name, and what methods are asked and answer.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    messages: BTreeMap<String, Message>,
    enums: BTreeMap<String, BTreeMap<i32, String>>,
    /// Types of request and response by path: `/package.Service/Method`.
    methods: BTreeMap<String, (String, String)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) fields: BTreeMap<u32, FieldType>,
}

/// A field as it is described.
#[derive(Clone, Debug)]
pub(super) struct FieldType {
    pub(super) name: String,
    pub(super) is_repeated: bool,
    pub(super) kind: Kind,
}

/// The type of a field.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Double,
    Float,
    /// `int32`, `int64`: as the two's complement of 64 bits.
    Signed,
    /// `uint32`, `uint64`
    Unsigned,
    /// `sint32`, `sint64`: zigzag.
    ZigZag,
    Fixed64,
    Fixed32,
    SignedFixed64,
    SignedFixed32,
    Bool,
    String,
    Bytes,
    /// By full name.
    Message(String),
    /// By full name.
    Enum(String),
}

/// Numbers of fields in descriptor.proto.
mod number {
    pub(super) const SET_FILE: u32 = 1;
    pub(super) const FILE_PACKAGE: u32 = 2;
    pub(super) const FILE_MESSAGE: u32 = 4;
    pub(super) const FILE_ENUM: u32 = 5;
    pub(super) const FILE_SERVICE: u32 = 6;
    /// Of messages, fields, enums, values, services and methods alike.
    pub(super) const NAME: u32 = 1;
    pub(super) const MESSAGE_FIELD: u32 = 2;
    pub(super) const MESSAGE_NESTED: u32 = 3;
    pub(super) const MESSAGE_ENUM: u32 = 4;
    pub(super) const FIELD_NUMBER: u32 = 3;
    pub(super) const FIELD_LABEL: u32 = 4;
    pub(super) const FIELD_TYPE: u32 = 5;
    pub(super) const FIELD_TYPE_NAME: u32 = 6;
    pub(super) const ENUM_VALUE: u32 = 2;
    pub(super) const VALUE_NUMBER: u32 = 2;
    pub(super) const SERVICE_METHOD: u32 = 2;
    pub(super) const METHOD_INPUT: u32 = 2;
    pub(super) const METHOD_OUTPUT: u32 = 3;
}

/// `LABEL_REPEATED`
const REPEATED: u64 = 3;

impl Schema {
    /// Reads a set of descriptors.
    ///
    /// # Errors
    /// When the bytes are none, or no message is described.
    pub fn read(bytes: &[u8]) -> Result<Self, SchemaError> {
        let mut schema = Self::default();
        schema.take_set(bytes).ok_or(SchemaError::NotDescriptors)?;
        if schema.messages.is_empty() { Err(SchemaError::Empty) } else { Ok(schema) }
    }

    /// True when a message of this full name is described: `package.Message`.
    pub fn has_message(&self, name: &str) -> bool {
        self.messages.contains_key(name)
    }

    /// The full names of all messages.
    pub fn message_names(&self) -> impl Iterator<Item = &str> {
        self.messages.keys().map(String::as_str)
    }

    /// The type of what a method answers, by the path that it is called at: `/package.Service/Method`, whatever stands before it.
    pub fn response_of(&self, path: &str) -> Option<&str> {
        self.method(path).map(|(_, response)| response.as_str())
    }

    /// The type of what a method is asked, by the same path.
    pub fn request_of(&self, path: &str) -> Option<&str> {
        self.method(path).map(|(request, _)| request.as_str())
    }

    fn method(&self, path: &str) -> Option<&(String, String)> {
        self.methods.get(path.rmatch_indices('/').nth(1).map_or(path, |(at, _)| &path[at..]))
    }

    pub(super) fn message(&self, name: &str) -> Option<&Message> {
        self.messages.get(name)
    }

    pub(super) fn enum_word(&self, name: &str, number: i32) -> Option<&str> {
        self.enums.get(name)?.get(&number).map(String::as_str)
    }

    fn take_set(&mut self, bytes: &[u8]) -> Option<()> {
        for file in messages_of(&fields(bytes)?, number::SET_FILE) {
            let file = fields(file)?;
            let package = text_of(&file, number::FILE_PACKAGE).unwrap_or_default();
            self.take_types(&file, [number::FILE_MESSAGE, number::FILE_ENUM], package, super::DEPTH_MAX)?;
            for service in messages_of(&file, number::FILE_SERVICE) {
                let service = fields(service)?;
                let name = join(package, text_of(&service, number::NAME)?);
                for method in messages_of(&service, number::SERVICE_METHOD) {
                    let method = fields(method)?;
                    let of = |number| text_of(&method, number).map(full_name);
                    let (path, types) =
                        (text_of(&method, number::NAME)?, (of(number::METHOD_INPUT)?, of(number::METHOD_OUTPUT)?));
                    self.methods.insert(format!("/{name}/{path}"), types);
                }
            }
        }
        Some(())
    }

    /// Messages and enums, and those in the messages.
    fn take_types(&mut self, within: &[Field<'_>], numbers: [u32; 2], scope: &str, depth_left: usize) -> Option<()> {
        for described in messages_of(within, numbers[1]) {
            let described = fields(described)?;
            let name = join(scope, text_of(&described, number::NAME)?);
            let words = self.enums.entry(name).or_default();
            for value in messages_of(&described, number::ENUM_VALUE) {
                let value = fields(value)?;
                let at = varint_of(&value, number::VALUE_NUMBER).unwrap_or_default() as i32;
                // Of several words for one number the first counts.
                words.entry(at).or_insert(text_of(&value, number::NAME)?.to_owned());
            }
        }
        for described in messages_of(within, numbers[0]) {
            let described = fields(described)?;
            let name = join(scope, text_of(&described, number::NAME)?);
            let mut message = Message::default();
            for field in messages_of(&described, number::MESSAGE_FIELD) {
                let (number, field) = field_type(&fields(field)?)?;
                message.fields.insert(number, field);
            }
            self.take_types(
                &described,
                [number::MESSAGE_NESTED, number::MESSAGE_ENUM],
                &name,
                depth_left.checked_sub(1)?,
            )?;
            self.messages.insert(name, message);
        }
        Some(())
    }
}

fn field_type(field: &[Field<'_>]) -> Option<(u32, FieldType)> {
    let number = u32::try_from(varint_of(field, number::FIELD_NUMBER)?).ok()?;
    let type_name = || text_of(field, number::FIELD_TYPE_NAME).map(full_name);
    // `FieldDescriptorProto.Type`
    let kind = match varint_of(field, number::FIELD_TYPE)? {
        1 => Kind::Double,
        2 => Kind::Float,
        3 | 5 => Kind::Signed,
        4 | 13 => Kind::Unsigned,
        6 => Kind::Fixed64,
        7 => Kind::Fixed32,
        8 => Kind::Bool,
        9 => Kind::String,
        10 | 11 => Kind::Message(type_name()?),
        12 => Kind::Bytes,
        14 => Kind::Enum(type_name()?),
        15 => Kind::SignedFixed32,
        16 => Kind::SignedFixed64,
        17 | 18 => Kind::ZigZag,
        _ => return None,
    };
    let name = text_of(field, number::NAME)?.to_owned();
    Some((number, FieldType { name, is_repeated: varint_of(field, number::FIELD_LABEL) == Some(REPEATED), kind }))
}

fn fields(bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    wire::fields(bytes, super::DEPTH_MAX)
}

fn messages_of<'a>(fields: &[Field<'a>], number: u32) -> Vec<&'a [u8]> {
    let bytes = |field: &Field<'a>| match field.wire {
        Wire::Bytes(bytes) if field.number == number => Some(bytes),
        _ => None,
    };
    fields.iter().filter_map(bytes).collect()
}

fn text_of<'a>(fields: &[Field<'a>], number: u32) -> Option<&'a str> {
    std::str::from_utf8(messages_of(fields, number).last()?).ok()
}

fn varint_of(fields: &[Field<'_>], number: u32) -> Option<u64> {
    let value = |field: &Field<'_>| match field.wire {
        Wire::Varint(value) if field.number == number => Some(value),
        _ => None,
    };
    fields.iter().rev().find_map(value)
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Names that are whole begin with a dot.
fn full_name(name: &str) -> String {
    name.strip_prefix('.').unwrap_or(name).to_owned()
}
