//! Which recording comes nearest to a call that none equals, and how they differ, in words.
//!
//! In: the call and recordings, the likelier ones first. Out: the one with the fewest differences. This explains, it
//! does not judge: elements of arrays are compared by position, and the fine comparison of answers is `diff`'s.

use content::json::Value;
use exchange::{Id, text_of_bytes};

use crate::{
    Nearest,
    key::{Keyed, KeyedBody},
};

/// Most recordings looked at for one miss. A choice that bounds the work of a service that asks in vain in a loop.
pub(crate) const CANDIDATES_LEN_MAX: usize = 64;

/// Most differences named. A choice: what fits on a screen.
const NAMED_LEN_MAX: usize = 5;

/// Most values compared in one pair of bodies. A choice, as above.
const VALUES_MAX: usize = 20_000;

/// Longest value shown, in characters. A choice.
const SHOWN_CHARS_MAX: usize = 60;

/// Longest pointer shown, in characters. A choice: keys can be as long as the body.
const POINTER_CHARS_MAX: usize = 200;

/// How much of two texts is shown before the place where they part, in characters. A choice.
const SHOWN_CHARS_BEFORE: usize = 15;

/// The nearest of these recordings: another method or target weighs more than any difference of bodies, and among equals
/// the first wins.
pub(crate) fn of<'a>(asked: &Keyed, candidates: impl Iterator<Item = (Id, &'a Keyed)>) -> Option<Nearest> {
    let compared =
        candidates.take(CANDIDATES_LEN_MAX).map(|(id, recorded)| (id, recorded, Differences::between(recorded, asked)));
    let (id, recorded, differences) = compared.min_by_key(|(_, recorded, differences)| {
        let elsewhere = (recorded.target != asked.target, recorded.method != asked.method);
        (elsewhere, differences.count)
    })?;
    let differences_more = differences.count - differences.named.len() as u64;
    Some(Nearest { id, title: recorded.title.clone(), differences: differences.named, differences_more })
}

/// What differs between a recording and a call.
struct Differences {
    named: Vec<String>,
    count: u64,
    values_left: usize,
}

impl Differences {
    fn between(recorded: &Keyed, asked: &Keyed) -> Self {
        let mut differences = Self { named: Vec::new(), count: 0, values_left: VALUES_MAX };
        if recorded.method != asked.method {
            differences.add(|| in_words("method", &text_of_bytes(&recorded.method), &text_of_bytes(&asked.method)));
        }
        if recorded.target != asked.target {
            let text = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
            differences.add(|| in_words("target", &text(&recorded.target), &text(&asked.target)));
        }
        differences.add_bodies(recorded, asked);
        differences
    }

    fn add_bodies(&mut self, recorded: &Keyed, asked: &Keyed) {
        match (&recorded.body, &asked.body) {
            (KeyedBody::Json(recorded), KeyedBody::Json(asked)) => self.add_values(&mut String::new(), recorded, asked),
            _ if recorded.content == asked.content => {}
            (KeyedBody::Forgotten, _) => {
                self.add(|| "the body differs; it is not held in memory to say where".to_owned())
            }
            (recorded, asked) => self.add(|| format!("body: recorded {}, asked {}", recorded.kind(), asked.kind())),
        }
    }

    fn add_values(&mut self, pointer: &mut String, recorded: &Value, asked: &Value) {
        let Some(left) = self.values_left.checked_sub(1) else { return };
        self.values_left = left;
        match (recorded, asked) {
            (Value::Object(recorded), Value::Object(asked)) => self.add_members(pointer, recorded, asked),
            (Value::Array(recorded), Value::Array(asked)) => {
                for at in 0..recorded.len().max(asked.len()) {
                    self.add_pair(pointer, &at.to_string(), recorded.get(at), asked.get(at));
                }
            }
            (recorded, asked) if recorded == asked => {}
            (recorded, asked) => self.add(|| in_words(&place(pointer), &shown(recorded), &shown(asked))),
        }
    }

    /// Members in the order of the recording, then what only the call has.
    fn add_members(&mut self, pointer: &mut String, recorded: &[(String, Value)], asked: &[(String, Value)]) {
        let of_asked: std::collections::BTreeMap<_, _> =
            asked.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let of_recorded: std::collections::BTreeSet<_> = recorded.iter().map(|(key, _)| key.as_str()).collect();
        for (key, value) in recorded {
            self.add_pair(pointer, key, Some(value), of_asked.get(key.as_str()).copied());
        }
        for (key, value) in asked.iter().filter(|(key, _)| !of_recorded.contains(key.as_str())) {
            self.add_pair(pointer, key, None, Some(value));
        }
    }

    fn add_pair(&mut self, pointer: &mut String, step: &str, recorded: Option<&Value>, asked: Option<&Value>) {
        if self.values_left == 0 {
            return;
        }
        let len = pointer.len();
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1").replace('*', "~2"));
        match (recorded, asked) {
            (Some(recorded), Some(asked)) => self.add_values(pointer, recorded, asked),
            (Some(recorded), None) => self.add(|| {
                format!("{}: recorded {}, not asked", place(pointer), beginning(&shown(recorded), SHOWN_CHARS_MAX))
            }),
            (None, Some(asked)) => self.add(|| {
                format!("{}: not recorded, asked {}", place(pointer), beginning(&shown(asked), SHOWN_CHARS_MAX))
            }),
            (None, None) => {}
        }
        pointer.truncate(len);
    }

    fn add(&mut self, in_words: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED_LEN_MAX {
            self.named.push(in_words());
        }
    }
}

impl KeyedBody {
    fn kind(&self) -> String {
        match self {
            Self::Json(value) => format!("JSON ({})", value.kind_name()),
            Self::Bytes(0) => "none".to_owned(),
            Self::Bytes(1) => "1 byte".to_owned(),
            Self::Bytes(len) => format!("{len} bytes"),
            Self::Forgotten => "JSON".to_owned(),
        }
    }
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "body".to_owned() } else { beginning(pointer, POINTER_CHARS_MAX) }
}

fn shown(value: &Value) -> String {
    value.to_compact_text()
}

/// Both texts from shortly before the place where they part.
fn in_words(place: &str, recorded: &str, asked: &str) -> String {
    let common = recorded.chars().zip(asked.chars()).take_while(|(one, other)| one == other).count();
    let fits = recorded.chars().count().max(asked.chars().count()) <= SHOWN_CHARS_MAX;
    let skip = if fits { 0 } else { common.saturating_sub(SHOWN_CHARS_BEFORE) };
    let cut = |text: &str| {
        let rest: String = text.chars().skip(skip).collect();
        format!("{}{}", if skip > 0 { "…" } else { "" }, beginning(&rest, SHOWN_CHARS_MAX))
    };
    format!("{place}: recorded {}, asked {}", cut(recorded), cut(asked))
}

fn beginning(text: &str, chars_max: usize) -> String {
    let mut characters = text.chars();
    let shown: String = characters.by_ref().take(chars_max).collect();
    if characters.next().is_some() { format!("{shown}…") } else { shown }
}
