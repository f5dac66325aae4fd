//! Base64 (RFC 4648, sections 4 and 5), read as leniently as other tools write it: with or without padding, with line
//! breaks, with either alphabet.

/// The bytes, or the place of the first character that is none of base64's.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, usize> {
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
    use super::decode;

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
