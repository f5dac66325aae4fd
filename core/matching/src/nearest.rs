//! Which recording comes nearest to a call that none equals, and how they differ, in words.
//!
//! In: the call and recordings, the likelier ones first. Out: the one with the fewest differences, and others that may be meant.
//! This explains, it does not judge: elements of arrays are compared by position, and the fine comparison of answers is `diff`'s.

use std::sync::Arc;

use content::json::Value;
use exchange::{Id, text_of_bytes};

use crate::{
    Distance, Nearest, Standing,
    key::{Keyed, KeyedBody},
    likeness::{WORDS_BYTES_MAX, bytes_unlike},
};

/// Most recordings looked at for one miss: of more, those that may be alike by their sketches. A choice that bounds the work of a
/// service that asks in vain in a loop.
pub(crate) const CANDIDATES_LEN_MAX: usize = 64;

/// Most differences named. A choice: what fits on a screen.
const NAMED_LEN_MAX: usize = 5;

/// Most values compared in one pair of bodies. A choice, as above.
const VALUES_MAX: usize = 20_000;

/// Longest value shown, in characters. A choice.
const SHOWN_CHARS_MAX: usize = 60;

/// Longest pointer shown, in characters. A choice: keys can be as long as the body.
const POINTER_CHARS_MAX: usize = 200;

/// Longest title of a recording, in characters. A choice: what fits on a page.
const TITLE_CHARS_MAX: usize = 1_000;

/// How much of two texts is shown before the place where they part, in characters. A choice.
const SHOWN_CHARS_BEFORE: usize = 15;

/// Most recordings of which it is told in words where they differ. A choice: each takes a few hundred bytes for as long as a run goes.
const WORDED_LEN_MAX: usize = 8;

/// Most work on differing texts of one pair, in bytes whose words are compared. A choice, as above; beyond it their lengths are.
const WORDS_WORK_MAX: usize = 128 << 10;

/// How many bytes take as long to find equal as one takes whose words are compared. Measured, roughly.
const EQUAL_BYTES_PER_WORK: usize = 256;

/// A recording that may be the nearest.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: Id,
    pub(crate) standing: Standing,
    /// True where the call may be instead of it: it is of the same route and exchange, and no equal call has it.
    pub(crate) may_be_meant: bool,
    pub(crate) keyed: Arc<Keyed>,
}

/// The nearest of these recordings, and those that may be meant, the nearest first; among equals in the order given.
pub(crate) fn of(asked: &Keyed, candidates: &[Candidate]) -> (Option<Nearest>, Vec<Nearest>) {
    let mut measured: Vec<(Distance, &Candidate)> =
        candidates.iter().map(|candidate| (distance(candidate, asked), candidate)).collect();
    measured.sort_by_key(|(distance, _)| *distance);
    let nearest = measured.first().map(|&(distance, candidate)| told(asked, candidate, distance));
    let meant = measured.iter().filter(|(_, candidate)| candidate.may_be_meant).enumerate();
    let near = meant.map(|(at, &(distance, candidate))| match (at, &nearest) {
        (_, Some(nearest)) if nearest.id == candidate.id => nearest.clone(),
        (0..WORDED_LEN_MAX, _) => told(asked, candidate, distance),
        _ => counted(candidate, distance),
    });
    let near = near.collect();
    (nearest, near)
}

fn distance(candidate: &Candidate, asked: &Keyed) -> Distance {
    let recorded = &*candidate.keyed;
    let other_kind = matches!(
        (&recorded.body, &asked.body),
        (KeyedBody::Json(_), KeyedBody::Bytes(_)) | (KeyedBody::Bytes(_), KeyedBody::Json(_))
    );
    let standing = Standing { other_kind, ..candidate.standing };
    let mut distance = Distance { standing, places: target_places(recorded, asked), bytes: 0 };
    if recorded.target != asked.target {
        distance.bytes += bytes_unlike(&recorded.target, &asked.target);
    }
    let bodies = Differences::between_bodies(recorded, asked, 0);
    distance.places += bodies.count;
    if matches!(recorded.body, KeyedBody::Forgotten) && recorded.content != asked.content {
        // In how many places it differs is not known any more: as many as its sketch does.
        distance.places += u64::from(recorded.sketch.unlike(&asked.sketch)).saturating_sub(1);
    }
    distance.bytes += bodies.bytes;
    distance
}

/// Segments of the path, and fields of the query, that differ.
fn target_places(recorded: &Keyed, asked: &Keyed) -> u64 {
    let segments = |keyed: &Keyed| keyed.path().split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (was, is) = (segments(recorded), segments(asked));
    let of_path = was.iter().zip(&is).filter(|(was, is)| was != is).count() + was.len().abs_diff(is.len());
    let fields = |keyed: &Keyed| {
        let query = keyed.target.get(keyed.path().len() + 1..).unwrap_or_default();
        let mut fields: Vec<Vec<u8>> = query.split(|&byte| byte == b'&').map(<[u8]>::to_vec).collect();
        fields.sort_unstable();
        fields
    };
    let (was, is) = (fields(recorded), fields(asked));
    let only =
        |these: &[Vec<u8>], those: &[Vec<u8>]| these.iter().filter(|it| those.binary_search(it).is_err()).count();
    (of_path + only(&was, &is).max(only(&is, &was))) as u64
}

fn told(asked: &Keyed, candidate: &Candidate, distance: Distance) -> Nearest {
    let Differences { named, count, .. } = Differences::between(&candidate.keyed, asked);
    let differences_more = count - named.len() as u64;
    Nearest { id: candidate.id, title: title_of(candidate), differences: named, differences_more, distance }
}

fn counted(candidate: &Candidate, distance: Distance) -> Nearest {
    let title = title_of(candidate);
    Nearest { id: candidate.id, title, differences: Vec::new(), differences_more: distance.places.max(1), distance }
}

/// Targets may be long, and many are held.
fn title_of(candidate: &Candidate) -> String {
    beginning(&candidate.keyed.title, TITLE_CHARS_MAX)
}

/// What differs between a recording and a call.
struct Differences {
    named: Vec<String>,
    named_max: usize,
    count: u64,
    /// How much of the values that differ does.
    bytes: u64,
    work_left: usize,
    values_left: usize,
}

impl Differences {
    fn none(named_max: usize) -> Self {
        let (work_left, values_left) = (WORDS_WORK_MAX, VALUES_MAX);
        Self { named: Vec::new(), named_max, count: 0, bytes: 0, work_left, values_left }
    }

    /// All of them, in words.
    fn between(recorded: &Keyed, asked: &Keyed) -> Self {
        let mut differences = Self::none(NAMED_LEN_MAX);
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

    /// Those of the bodies; as many in words.
    fn between_bodies(recorded: &Keyed, asked: &Keyed, named_max: usize) -> Self {
        let mut differences = Self::none(named_max);
        differences.add_bodies(recorded, asked);
        differences
    }

    fn add_bodies(&mut self, recorded: &Keyed, asked: &Keyed) {
        if recorded.content == asked.content {
            return;
        }
        match (&recorded.body, &asked.body) {
            (KeyedBody::Json(recorded), KeyedBody::Json(asked)) => self.add_values(&mut String::new(), recorded, asked),
            (KeyedBody::Forgotten, _) => {
                self.bytes += u64::from(recorded.sketch.unlike(&asked.sketch));
                self.add(|| "the body differs; it is not held in memory to say where".to_owned());
            }
            (was, is) => {
                if let (KeyedBody::Bytes(was), KeyedBody::Bytes(is)) = (was, is) {
                    self.weigh(was, is);
                }
                self.add(|| format!("body: recorded {}, asked {}", was.kind(), is.kind()));
            }
        }
    }

    /// Counts in how much two texts differ.
    fn weigh(&mut self, recorded: &[u8], asked: &[u8]) {
        let len = recorded.len().max(asked.len());
        let work = len.min(2 * WORDS_BYTES_MAX) + len / EQUAL_BYTES_PER_WORK;
        self.bytes += match self.work_left.checked_sub(work) {
            Some(left) => {
                self.work_left = left;
                bytes_unlike(recorded, asked)
            }
            None => (recorded.len().abs_diff(asked.len()) as u64).max(1),
        };
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
            (recorded, asked) => {
                match (recorded, asked) {
                    (Value::String(was) | Value::Number(was), Value::String(is) | Value::Number(is)) => {
                        self.weigh(was.as_bytes(), is.as_bytes());
                    }
                    (recorded, asked) => self.bytes += size(recorded).max(size(asked)),
                }
                self.add(|| in_words(&place(pointer), &shown(recorded), &shown(asked)));
            }
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
        self.bytes += match (recorded, asked) {
            (Some(one), None) | (None, Some(one)) => size(one),
            _ => 0,
        };
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
        if self.named.len() < self.named_max {
            self.named.push(in_words());
        }
    }
}

impl KeyedBody {
    fn kind(&self) -> String {
        match self {
            Self::Json(value) => format!("JSON ({})", value.kind_name()),
            Self::Bytes(bytes) => match bytes.len() {
                0 => "none".to_owned(),
                1 => "1 byte".to_owned(),
                len => format!("{len} bytes"),
            },
            Self::Forgotten => "more than is held in memory".to_owned(),
        }
    }
}

/// How much there is of a value that only one side has: its own text, or its elements. It need not be exact.
fn size(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(text) | Value::String(text) => text.len() as u64 + 1,
        Value::Array(elements) => elements.len() as u64 + 1,
        Value::Object(members) => members.len() as u64 + 1,
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
