//! Reads a rule: `[METHOD /path] POINTER`.
//!
//! A text that begins like a pointer (`/`, `status`, `header:`, `sse:`, `dep:`) is one to its last character, spaces
//! included; anything else begins with a method (or `*`) and a path, each ended by a space.

use super::{EventField, Place, Rule};
use crate::{
    numbers::Tolerance,
    pointer::{Pattern, PatternFault},
    route::RoutePattern,
};

/// What a tolerance begins with.
const TOLERANCE: &str = "tolerance ";

/// Longest rule read, in bytes. A choice: far above any real one, and it bounds what a settings file can cost.
const RULE_LEN_MAX: usize = 4_096;

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule `{rule}`, column {column}: {fault}")]
pub struct RuleError {
    /// The text, cut to 200 characters.
    pub rule: String,
    /// Where reading stopped, in characters from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: RuleFault,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// Nothing there.
    #[error("a pointer is expected: `/…`, `status`, `header:NAME`, `sse:/…` or `dep:NAME:/…`")]
    PointerExpected,
    /// Neither a pointer nor a method.
    #[error("neither a pointer (`/…`, `status`, `header:NAME`, `sse:/…`, `dep:NAME:/…`) nor a method in upper case")]
    NeitherPointerNorMethod,
    /// A method without a path.
    #[error("a path that begins with `/` is expected after the method")]
    PathExpected,
    /// Something follows `status`.
    #[error("nothing may follow `status`")]
    AfterStatus,
    /// A header field without a name, or with characters that no name has.
    #[error("the name of a header field is expected")]
    HeaderName,
    /// `dep:` without a name and a colon.
    #[error("`dep:` is followed by a dependency's name and `:`, as in `dep:openai:/user`")]
    DependencyName,
    /// A route before `dep:`.
    #[error("a rule for a dependency takes no route: the call's own route is not the service's")]
    RouteBeforeDependency,
    /// A pointer that does not begin with a slash.
    #[error("a pointer begins with `/`")]
    NoSlash,
    /// A `~` that begins no escape.
    #[error("after `~` comes 0 (for `~`), 1 (for `/`) or 2 (for `*`)")]
    BadEscape,
    /// A `*` beside other characters.
    #[error("`*` and `**` stand alone in a step; a literal `*` is written `~2`")]
    StarInsideStep,
    /// A pointer with more steps than can be followed.
    #[error("a pointer of more than 63 steps")]
    TooManySteps,
    /// A tolerance without its size, or with one that is none.
    #[error("how near is expected behind `=`: `abs:1e-6`, `rel:0.01`, `ulp:4`, or `cos:0.999` for vectors")]
    ToleranceSize,
    /// A tolerance for something that holds no numbers.
    #[error("a tolerance is for numbers in a body: `/…`, `sse:/…` or `dep:NAME:response:/…`")]
    ToleranceElsewhere,
    /// Longer than any rule.
    #[error("longer than {RULE_LEN_MAX} bytes")]
    TooLong,
}

impl RuleError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self.fault {
            RuleFault::NeitherPointerNorMethod | RuleFault::NoSlash => {
                Some("for the field `id` at the top of the body write `/id`, anywhere in it `/**/id`")
            }
            RuleFault::PathExpected => Some("limit a rule to a route as in `POST /tickets/* /id`; any method is `*`"),
            RuleFault::HeaderName => Some("write it as in `header:x-served-by`"),
            RuleFault::RouteBeforeDependency => Some("leave the route out"),
            RuleFault::ToleranceSize => Some("write it as in `/data/*/embedding=cos:0.9999` or `/score=abs:1e-6`"),
            RuleFault::TooManySteps => Some("`**` stands for any number of steps"),
            _ => None,
        }
    }
}

/// Where reading stopped, in bytes from the start of the rule, and why.
type Stop = (usize, RuleFault);

/// Reads one rule.
pub(super) fn rule(text: &str) -> Result<Rule, RuleError> {
    let refused = |(offset, fault): Stop| RuleError {
        rule: text.chars().take(200).collect(),
        column: text.get(..offset).unwrap_or(text).chars().count() + 1,
        fault,
    };
    if text.len() > RULE_LEN_MAX {
        return Err(refused((RULE_LEN_MAX, RuleFault::TooLong)));
    }
    let begin = text.len() - text.trim_start().len();
    let trimmed = text.trim();
    let read = match trimmed.strip_prefix(TOLERANCE) {
        Some(rest) => tolerance(rest).map_err(|(offset, fault)| (TOLERANCE.len() + offset, fault)),
        None => route_and_place(trimmed).map(|(route, place)| (route, place, None)),
    };
    let (route, place, tolerance) = read.map_err(|(offset, fault)| refused((begin + offset, fault)))?;
    Ok(Rule { text: trimmed.to_owned(), reason: None, route, place, tolerance })
}

/// `[METHOD /path] POINTER=KIND:SIZE`; the last `=` counts.
fn tolerance(text: &str) -> Result<(Option<RoutePattern>, Place, Option<Tolerance>), Stop> {
    let at = text.rfind('=').ok_or((text.len(), RuleFault::ToleranceSize))?;
    let size = Tolerance::parse(&text[at + 1..]).ok_or((at + 1, RuleFault::ToleranceSize))?;
    let place_at = text.len() - text.trim_start().len();
    let (route, place) = route_and_place(text[..at].trim()).map_err(|(offset, fault)| (place_at + offset, fault))?;
    match place {
        Place::Body(_) | Place::EventData(_) | Place::CallResponse { .. } => Ok((route, place, Some(size))),
        _ => Err((place_at, RuleFault::ToleranceElsewhere)),
    }
}

fn route_and_place(text: &str) -> Result<(Option<RoutePattern>, Place), Stop> {
    if text.is_empty() {
        return Err((0, RuleFault::PointerExpected));
    }
    if begins_like_a_pointer(text) {
        return Ok((None, place(text, 0)?));
    }
    let method = text.split(' ').next().unwrap_or_default();
    if method != "*" && !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err((0, RuleFault::NeitherPointerNorMethod));
    }
    let (path, path_at) = next_word(text, method.len());
    if !path.starts_with('/') {
        return Err((path_at, RuleFault::PathExpected));
    }
    let (_, pointer_at) = next_word(text, path_at + path.len());
    let place = place(&text[pointer_at..], pointer_at)?;
    if matches!(place, Place::CallRequest { .. } | Place::CallResponse { .. }) {
        return Err((0, RuleFault::RouteBeforeDependency));
    }
    Ok((Some(RoutePattern::new(method, path)), place))
}

fn begins_like_a_pointer(text: &str) -> bool {
    ["/", "header:", "sse:", "dep:"].iter().any(|begin| text.starts_with(begin)) || text.starts_with("status")
}

/// The word after `at` and the spaces there, and where it begins.
fn next_word(text: &str, at: usize) -> (&str, usize) {
    let rest = &text[at..];
    let begin = at + (rest.len() - rest.trim_start().len());
    (text[begin..].split(' ').next().unwrap_or_default(), begin)
}

/// Reads what follows the route; `at` is where that begins in the rule.
fn place(text: &str, at: usize) -> Result<Place, Stop> {
    if text.is_empty() {
        return Err((at, RuleFault::PointerExpected));
    }
    if let Some(after) = text.strip_prefix("status") {
        return if after.is_empty() { Ok(Place::Status) } else { Err((at + 6, RuleFault::AfterStatus)) };
    }
    if let Some(name) = text.strip_prefix("header:") {
        return header(name).ok_or((at + 7, RuleFault::HeaderName));
    }
    if let Some(rest) = text.strip_prefix("sse:") {
        return match EventField::ALL.into_iter().chain([EventField::End]).find(|field| field.name() == rest) {
            Some(field) => Ok(Place::EventField(field)),
            None => pattern(rest, at + 4).map(Place::EventData),
        };
    }
    if let Some(rest) = text.strip_prefix("dep:") {
        return dependency(rest, at + 4);
    }
    pattern(text, at).map(Place::Body)
}

/// A field's name: a token of RFC 9110, section 5.6.2.
fn header(name: &str) -> Option<Place> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_token)).then(|| Place::Header(name.to_ascii_lowercase()))
}

fn dependency(rest: &str, at: usize) -> Result<Place, Stop> {
    let name_len = dependency_name_len(rest).filter(|&len| len > 0).ok_or((at, RuleFault::DependencyName))?;
    let (name, after) = (&rest[..name_len], &rest[name_len + 1..]);
    let (dependency, after_at) = (name.to_owned(), at + name.len() + 1);
    match after.strip_prefix("response:") {
        Some(pointer) => Ok(Place::CallResponse { dependency, pattern: pattern(pointer, after_at + 9)? }),
        None => Ok(Place::CallRequest { dependency, pattern: pattern(after, after_at)? }),
    }
}

/// How long the name at the beginning is; of what is behind a forward proxy it may be a host and a port.
fn dependency_name_len(text: &str) -> Option<usize> {
    let host_begin = if text.starts_with('[') { text.find(']')? } else { 0 };
    let host_end = host_begin + text[host_begin..].find(':')?;
    let port = &text[host_end + 1..];
    let digits = port.bytes().take_while(u8::is_ascii_digit).count();
    let has_port = digits > 0 && port[digits..].starts_with(':');
    Some(if has_port { host_end + 1 + digits } else { host_end })
}

fn pattern(text: &str, at: usize) -> Result<Pattern, Stop> {
    Pattern::parse(text).map_err(|(offset, fault)| {
        let fault = match fault {
            PatternFault::NoSlash => RuleFault::NoSlash,
            PatternFault::BadEscape => RuleFault::BadEscape,
            PatternFault::StarInsideStep => RuleFault::StarInsideStep,
            PatternFault::TooManySteps => RuleFault::TooManySteps,
        };
        (at + offset, fault)
    })
}
