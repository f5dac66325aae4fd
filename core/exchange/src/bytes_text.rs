//! Bytes that are almost always text, kept exactly: every byte becomes the character of the same number (ISO 8859-1).

/// The text whose characters are the bytes' numbers. Reversed by [`bytes_of_text`].
pub fn text_of_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The bytes that [`text_of_bytes`] wrote, or `None` where a character is above U+00FF.
pub fn bytes_of_text(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

/// `#[serde(with = "…")]` for a byte vector written as such text.
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::text_of_bytes(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::bytes_of_text(&text).ok_or_else(|| D::Error::custom("a character above U+00FF stands for no byte"))
    }
}
