//! A recorded request as a command that can be pasted into a shell.
//!
//! What was recorded came from strangers: everything is quoted, and what curl would take for a file name, an option or
//! another protocol is kept from it.

use exchange::{Exchange, Head, text_of_bytes};

use content::base64;

/// Header fields that curl makes itself.
const MADE_BY_CURL: [&str; 6] =
    ["content-length", "transfer-encoding", "connection", "host", "expect", "proxy-connection"];

/// The command that sends the request again to `upstream` (a URL), with what must be known about it in comments.
pub fn curl_command(exchange: &Exchange, upstream: &str, body: &[u8]) -> String {
    let head = &exchange.request.head;
    let Some(line) = head.request_line() else {
        return "# a raw stream that is no HTTP/1.x request: curl cannot send it\n".to_owned();
    };
    let url = [upstream.trim_end_matches('/').as_bytes(), head.origin_target().unwrap_or_default()].concat();
    let mut words = vec!["curl --globoff --path-as-is --proto =http,https".to_owned()];
    words.push(format!("--request {}", quoted(line.method)));
    words.push(format!("--url {}", quoted(&url)));
    words.extend(header_options(head, !body.is_empty()));
    let mut before = comments(exchange, head);
    if is_printable(body) {
        words.extend((!body.is_empty()).then(|| format!("--data-raw {}", quoted(body))));
    } else {
        before += &format!("printf %s {} | base64 -d |\n", quoted(base64::encode(body).as_bytes()));
        words.push("--data-binary @-".to_owned());
    }
    format!("{before}{}\n", words.join(" \\\n  "))
}

fn comments(exchange: &Exchange, head: &Head) -> String {
    let mut text = String::new();
    for redaction in exchange.redactions.iter().filter(|redaction| redaction.place.starts_with("request ")) {
        let place = redaction.place.trim_start_matches("request ");
        text += &format!("# {} is a pseudonym: put the real value there\n", crate::escape_line(place));
    }
    if !exchange.request.body.is_whole() {
        text += "# the body was not kept whole: this is its beginning\n";
    }
    for field in head.fields().filter(|field| !is_token(field.name)) {
        text += &format!("# left out, for its name: {}\n", crate::escape_line(&text_of_bytes(field.name)));
    }
    text
}

/// The recorded fields, and for those that curl would add by itself an order not to.
fn header_options(head: &Head, has_body: bool) -> Vec<String> {
    let is_ours = |name: &[u8]| !MADE_BY_CURL.iter().any(|made| made.as_bytes().eq_ignore_ascii_case(name));
    let recorded = head.fields().filter(|field| is_token(field.name) && is_ours(field.name)).map(|field| {
        let (between, value): (&[u8], _) =
            if field.value.is_empty() { (b";", field.value) } else { (b": ", field.value) };
        [field.name, between, value].concat()
    });
    let of_body = ["Content-Type", "Expect"].into_iter().filter(|_| has_body);
    let unwanted = ["Accept", "User-Agent"].into_iter().chain(of_body).filter(|name| head.value_of(name).is_none());
    let fields = recorded.chain(unwanted.map(|name| format!("{name}:").into_bytes()));
    fields.map(|field| format!("--header {}", quoted(&field))).collect()
}

/// A field name as RFC 9110, section 5.6.2, has it. Anything else (`@file`, say) has a meaning of its own to curl.
fn is_token(name: &[u8]) -> bool {
    let is_token_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_token_byte)
}

/// One word for a POSIX shell; where it is not printable text, for bash and zsh.
fn quoted(word: &[u8]) -> String {
    match std::str::from_utf8(word) {
        Ok(text) if is_printable(word) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => format!("$'{}'", word.iter().map(|&byte| ansi_escaped(byte)).collect::<String>()),
    }
}

fn ansi_escaped(byte: u8) -> String {
    match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        other => format!("\\x{other:02x}"),
    }
}

/// True for text that a terminal shows as it is.
fn is_printable(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| matches!(crate::escape_lines(text), std::borrow::Cow::Borrowed(_)))
}

#[cfg(test)]
mod tests;
