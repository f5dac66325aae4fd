//! Reads the text of a place.

use std::str::FromStr;

use super::{At, Place, Route, Side, Step};

/// Longest text of a place, in bytes, and most steps of its pointer. Choices: they bound what a settings file can cost.
const TEXT_BYTES_MAX: usize = 4_096;
const STEPS_MAX: usize = 63;

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no place in a request or response: {what}")]
pub struct PlaceError {
    /// The text, cut to 200 characters.
    text: String,
    what: &'static str,
}

impl PlaceError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        Some(
            "write a pointer into the body (`/usage/total_tokens`) or `header:NAME`, where `request:` or `response:` may stand \
             before it, and before that a route (`POST /tickets /label`)",
        )
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |what| PlaceError { text: text.chars().take(200).collect(), what };
        if text.len() > TEXT_BYTES_MAX {
            return Err(refused("it is longer than any"));
        }
        let (route, rest) = route(text.trim()).map_err(refused)?;
        let (side, rest) = side(rest);
        let at = match rest.strip_prefix("header:") {
            Some(name) => At::Header(header(name).ok_or_else(|| refused("the name of a header field is expected"))?),
            None => At::Body(steps(rest.strip_prefix("sse:").unwrap_or(rest)).map_err(refused)?),
        };
        Ok(Self { route, side, at })
    }
}

fn begins_like_a_place(text: &str) -> bool {
    ["/", "header:", "sse:", "request:", "response:"].iter().any(|begin| text.starts_with(begin))
}

/// A method and a path where they stand before the place, and the rest.
fn route(text: &str) -> Result<(Option<Route>, &str), &'static str> {
    if text.is_empty() {
        return Err("there is nothing");
    }
    if begins_like_a_place(text) {
        return Ok((None, text));
    }
    let (method, rest) = text.split_once(' ').ok_or("a pointer begins with `/`")?;
    if method != "*" && !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err("a pointer begins with `/`, a route with a method in upper case or `*`");
    }
    let (path, rest) = rest.trim_start().split_once(' ').ok_or("a pointer is expected after the route")?;
    if !path.starts_with('/') {
        return Err("a path that begins with `/` is expected after the method");
    }
    let method = Some(method.to_owned()).filter(|method| method != "*");
    Ok((Some(Route { method, segments: path.split('/').map(str::to_owned).collect() }), rest.trim_start()))
}

fn side(text: &str) -> (Option<Side>, &str) {
    match (text.strip_prefix("request:"), text.strip_prefix("response:")) {
        (Some(rest), _) => (Some(Side::Request), rest),
        (_, Some(rest)) => (Some(Side::Response), rest),
        (None, None) => (None, text),
    }
}

/// A field's name: a token of RFC 9110, section 5.6.2.
fn header(name: &str) -> Option<String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_token)).then(|| name.to_ascii_lowercase())
}

fn steps(text: &str) -> Result<Vec<Step>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text.strip_prefix('/').ok_or("a pointer begins with `/`")?;
    let steps = rest.split('/').map(step).collect::<Result<Vec<_>, _>>()?;
    if steps.len() > STEPS_MAX { Err("it has more than 63 steps") } else { Ok(steps) }
}

fn step(text: &str) -> Result<Step, &'static str> {
    if text == "*" {
        return Ok(Step::AnyOne);
    }
    let mut key = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        key.push(match (character, character == '~') {
            ('*', _) => return Err("`*` stands alone in a step; a literal `*` is written `~2`"),
            (_, true) => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                Some('2') => '*',
                _ => return Err("after `~` comes 0 (for `~`), 1 (for `/`) or 2 (for `*`)"),
            },
            (other, false) => other,
        });
    }
    let index = key.parse().ok().filter(|index: &usize| index.to_string() == key);
    Ok(Step::Literal { key, index })
}
