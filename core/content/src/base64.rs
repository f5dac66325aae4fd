//! Base64 (RFC 4648): written as section 4 has it; read as leniently as other tools write it: with or without padding, with
//! line breaks, with either alphabet.

/// `bytes` with padding, without line breaks.
pub fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digit = |place: u32| char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]);
        text.extend([digit(0), digit(1)]);
        text.push(if group.len() > 1 { digit(2) } else { '=' });
        text.push(if group.len() > 2 { digit(3) } else { '=' });
    }
    text
}

/// The bytes.
///
/// # Errors
/// The place of the first character that is none of base64's.
pub fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut digits = text.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    for (at, byte) in digits.by_ref() {
        let Some(digit) = digit_of(byte) else {
            // Padding ends it; what follows may be padding only.
            let is_padding = byte == b'=' && digits.all(|(_, rest)| rest == b'=');
            return if is_padding && held != 6 { Ok(bytes) } else { Err(at) };
        };
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    // One digit alone holds no byte.
    if held == 6 { Err(text.len()) } else { Ok(bytes) }
}

fn digit_of(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn bytes_are_written_as_the_examples_of_rfc_4648_section_10_have_it() {
        let examples = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| encode(text.as_bytes()));
        assert_eq!(examples, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(encode(&[0xff, 0xef]), "/+8=");
    }

    #[test]
    fn the_examples_of_rfc_4648_section_10_with_padding_and_without() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zg", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9v\r\nYg==", "foob")]
        {
            assert_eq!(decode(text), Ok(bytes.as_bytes().to_vec()), "{text}");
        }
        assert_eq!(decode("/+8="), decode("_-8"));
    }

    #[test]
    fn what_is_none_is_refused_where_it_stands() {
        assert_eq!((decode("Zm9v!"), decode("Z"), decode("Zg==Zg")), (Err(4), Err(1), Err(2)));
        assert_eq!(decode("é"), Err(0));
    }
}
