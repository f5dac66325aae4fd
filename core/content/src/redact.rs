//! Replaces secrets by keyed pseudonyms, in place, before anything is hashed, queued or written.
//!
//! In: heads as on the socket; command lines and values of variables as text. Out: the same with secrets replaced, never
//! longer or shorter, and where that was. Equal secrets become equal pseudonyms under one key, wherever they stand, so
//! that matching and deduplication still work. Found are:
//!
//! - by the field's name: `Authorization`, cookies, API keys ([`is_credential_header`]), and names the user adds. The
//!   scheme's word stays (`Bearer`), so do names and attributes of cookies;
//! - by the query's key, in targets and in fields that hold a URL: `key`, `access_token`, `X-Amz-Signature` and the like,
//!   and names the user adds; and the userinfo of a URL;
//! - by form, wherever else in a head or text: `sk-…`, `ghp_…`, JSON web tokens and the like.
//!
//! Bodies are left to whoever can decode and encode them again; keeping the key is left to the store.

use std::{collections::BTreeMap, fmt, ops::Range};

use exchange::{Head, Redaction};

mod forms;
mod head;
mod names;
mod pseudonym;
pub mod spoken;
#[cfg(test)]
mod tests;
mod url;

pub(crate) use names::CREDENTIAL_HEADERS;
pub use names::{is_credential_header, is_secret_query_key};

/// What to take for a secret beside what always is one.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Names of header fields, whatever their case.
    pub headers: Vec<String>,
    /// Keys of queries, whatever their case, decoded.
    pub query_keys: Vec<String>,
}

/// Replaces secrets by pseudonyms under one key.
#[derive(Clone)]
pub struct Redactor {
    key: [u8; 32],
    extra: Extra,
    /// Values whose replacement is given: recorded pseudonyms stay, secrets given for a replay turn back into theirs.
    known: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A secret, or the pseudonym of one, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As in [`Redaction::place`].
    pub place: String,
    /// Its bytes, percent-encoding taken off.
    pub value: Vec<u8>,
}

impl fmt::Debug for Redactor {
    /// Without the key, and without the values that are known: both are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").field("extra", &self.extra).finish_non_exhaustive()
    }
}

/// A request's target with the values of its credential keys (`?key=…`) as `*`: equal for a recorded pseudonym, a stand-in
/// and the secret itself.
pub fn without_credentials(target: &[u8]) -> Vec<u8> {
    let mut shown = target.to_vec();
    for pair in url::secret_pairs(target, 0..target.len(), names::is_secret_query_key).into_iter().rev() {
        shown.splice(pair.value, *b"*");
    }
    shown
}

impl Redactor {
    /// A redactor under this key. A store keeps one for itself; a replay makes one of its own.
    pub fn new(key: [u8; 32], extra: &Extra) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let extra = Extra { headers: lower(&extra.headers), query_keys: lower(&extra.query_keys) };
        Self { key, extra, known: BTreeMap::new() }
    }

    /// The same, with replacements that are given: each value becomes the other of its pair, which itself stays as it is.
    ///
    /// A replay gives the recorded pseudonyms, each paired with itself, and the secrets of `--secrets`, each paired with
    /// its pseudonym. A replacement of another length would move what follows it, and one with control characters would
    /// end a line: such pairs are passed over.
    #[must_use]
    pub fn knowing(mut self, pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let is_safe = |(value, other): &(Vec<u8>, Vec<u8>)| {
            value == other || value.len() == other.len() && !other.iter().any(u8::is_ascii_control)
        };
        for (value, replacement) in pairs.into_iter().filter(is_safe) {
            self.known.entry(replacement.clone()).or_insert_with(|| replacement.clone());
            self.known.insert(value, replacement);
        }
        self
    }

    /// Replaces the secrets of a request's head; gives the places, sorted, each once.
    pub fn request_head(&self, head: &mut Head) -> Vec<Redaction> {
        head::Walk::request(self, head).redactions()
    }

    /// Replaces the secrets of a response's head; gives the places, sorted, each once.
    pub fn response_head(&self, head: &mut Head) -> Vec<Redaction> {
        head::Walk::response(self, head).redactions()
    }

    /// Replaces the secrets of the trailer fields that followed a request's body.
    pub fn request_trailers(&self, trailers: &mut [u8]) -> Vec<Redaction> {
        self.trailers(trailers, "request trailer")
    }

    /// Replaces the secrets of the trailer fields that followed a response's body.
    pub fn response_trailers(&self, trailers: &mut [u8]) -> Vec<Redaction> {
        self.trailers(trailers, "response trailer")
    }

    fn trailers(&self, trailers: &mut [u8], side: &'static str) -> Vec<Redaction> {
        const NO_FIRST_LINE: &[u8] = b"\r\n";
        let mut head = Head::new([NO_FIRST_LINE, &trailers[..]].concat());
        let redactions = head::Walk::trailers(self, &mut head, side).redactions();
        trailers.copy_from_slice(&head.bytes[NO_FIRST_LINE.len()..]);
        redactions
    }

    /// What stands where a request's head has its secrets: in a recorded one, the pseudonyms.
    pub fn found_in_request(&self, head: &Head) -> Vec<Found> {
        head::Walk::request(self, &mut head.clone()).found
    }

    /// What stands where a response's head has its secrets: in a recorded one, the pseudonyms.
    pub fn found_in_response(&self, head: &Head) -> Vec<Found> {
        head::Walk::response(self, &mut head.clone()).found
    }

    /// What stands in for a secret: as long, and each digit, lower-case and upper-case letter replaced by one of its kind.
    ///
    /// Letters beyond ASCII are replaced too, and UTF-8 stays UTF-8. Everything else is kept, and so is a beginning that
    /// tells the kind of secret (`sk-ant-`, `ghp_`). Always the same for the same value under the same key, and never
    /// the value itself where it has four characters or more that can be replaced.
    pub fn pseudonym(&self, value: &[u8]) -> Vec<u8> {
        match self.known.get(value) {
            Some(replacement) => replacement.clone(),
            None => pseudonym::of(&self.key, value, forms::prefix_len(value)),
        }
    }

    /// True for the name of an environment variable, an option or a JSON member whose value is a secret: `OPENAI_API_KEY`,
    /// `--db-password`, `clientSecret`; not `KEYBOARD`, `MAX_TOKENS` or `PASSWORD_FILE`.
    pub fn is_secret_name(name: &str) -> bool {
        names::is_secret(name)
    }

    /// Replaces the secrets of a text by their form, by the names they are assigned to (`API_KEY=…`, `"token": "…"`),
    /// and in the userinfo of URLs; gives how many there were.
    pub fn text(&self, text: &str) -> (String, u32) {
        let mut bytes = text.as_bytes().to_vec();
        let mut count = 0;
        for range in forms::find_in_text(&bytes) {
            count += u32::from(self.replace(&mut bytes, range));
        }
        (text_of(bytes), count)
    }

    /// Replaces the secrets of a command line, each argument as [`Self::text`] does and also after an option that is named
    /// for a secret (`--api-key VALUE`); gives how many there were.
    pub fn arguments(&self, arguments: &[String]) -> (Vec<String>, u32) {
        let mut count = 0;
        let redacted = arguments.iter().zip(places_in(arguments)).map(|(argument, places)| {
            let mut bytes = argument.as_bytes().to_vec();
            for place in places {
                count += u32::from(self.replace(&mut bytes, place));
            }
            text_of(bytes)
        });
        let redacted = redacted.collect();
        (redacted, count)
    }

    /// What stands where a command line has its secrets: in a recorded one, the pseudonyms.
    pub fn found_in_arguments(arguments: &[String]) -> Vec<Found> {
        let mut found = Vec::new();
        for (argument, places) in arguments.iter().zip(places_in(arguments)) {
            let value_at = |place: Range<usize>| argument.as_bytes()[place].to_vec();
            found
                .extend(places.into_iter().map(|place| Found { place: "argument".to_owned(), value: value_at(place) }));
        }
        found
    }

    /// Puts the pseudonym where the secret stands; false when there was nothing in it to replace.
    fn replace(&self, bytes: &mut [u8], range: Range<usize>) -> bool {
        let pseudonym = self.pseudonym(&bytes[range.clone()]);
        let place = &mut bytes[range];
        let is_other = *place != pseudonym[..];
        place.copy_from_slice(&pseudonym);
        is_other
    }
}

/// Where each argument has its secrets: by their form, by names that they are assigned to, and the whole of one behind an
/// option that is named for a secret.
fn places_in(arguments: &[String]) -> Vec<Vec<Range<usize>>> {
    let mut after_secret_option = false;
    let places = arguments.iter().map(|argument| {
        let is_option = argument.starts_with('-');
        let is_value = std::mem::take(&mut after_secret_option) && !is_option;
        after_secret_option = is_option && !argument.contains('=') && names::is_secret(argument);
        if is_value { std::iter::once(0..argument.len()).collect() } else { places_in_line(argument) }
    });
    places.collect()
}

/// Where one argument has its secrets. It may be a whole line of a shell: `serve --api-key VALUE`.
fn places_in_line(line: &str) -> Vec<Range<usize>> {
    let mut places = forms::find_in_text(line.as_bytes());
    let mut after_secret_option = false;
    let mut at = 0;
    for word in line.split_inclusive(|letter: char| letter.is_ascii_whitespace()) {
        let begins = at;
        at += word.len();
        let word = word.trim_end_matches(|letter: char| letter.is_ascii_whitespace());
        let is_option = word.starts_with('-');
        let bare = word.trim_matches(['"', '\'']);
        // A variable is no secret, its value is.
        if after_secret_option && !is_option && !bare.is_empty() && !bare.starts_with('$') {
            let begin = begins + word.find(bare).unwrap_or_default();
            let place = begin..begin + bare.len();
            places.retain(|other| other.end <= place.start || other.start >= place.end);
            places.push(place);
        }
        after_secret_option = is_option && !word.contains('=') && names::is_secret(word);
    }
    places
}

/// A pseudonym of UTF-8 is UTF-8, and secrets begin and end between characters; a known replacement may be anything.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
