//! Routes: what requests to one place of the service have in common, and patterns that name them.
//!
//! In: a request's head, or a method and a path. Out: the route with segments that look like ids as `*`. Which requests
//! belong together for statistics is decided here; `--route PATTERN` and rules both use the pattern.

use std::fmt;

use exchange::{Head, text_of_bytes};
use serde::{Deserialize, Serialize};

/// Shortest segment of hex digits that is taken for an id, in characters. A choice: `cafe` and `1a` are words and
/// versions, eight digits are the shortest that ids are commonly cut to.
const HEX_ID_LEN_MIN: usize = 8;

/// Method and path of a request, without its query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// As sent, usually in upper case.
    pub method: String,
    /// As sent, without the query.
    pub path: String,
}

impl Route {
    /// The route of this method and target; a query is cut off.
    pub fn new(method: &str, target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        Self { method: method.to_owned(), path: path.to_owned() }
    }

    /// The route that a request's head asks for; empty for a head without request line.
    pub fn of(request: &Head) -> Self {
        let method = request.request_line().map(|line| text_of_bytes(line.method)).unwrap_or_default();
        let target = request.origin_target().map(String::from_utf8_lossy).unwrap_or_default();
        Self::new(&method, &target)
    }
}

/// Method and path with the segments that look like ids as `*`: `POST /tickets/*/close`.
impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.method)?;
        for (at, segment) in self.path.split('/').enumerate() {
            let shown = if looks_like_id(segment) { "*" } else { segment };
            formatter.write_str(if at == 0 { " " } else { "/" })?;
            formatter.write_str(shown)?;
        }
        Ok(())
    }
}

/// True for digits, a UUID, or at least eight hex digits with a decimal one among them.
fn looks_like_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let some_digit = bytes.iter().any(u8::is_ascii_digit);
    let hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    let digits = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    digits || is_uuid(segment) || (bytes.len() >= HEX_ID_LEN_MIN && some_digit && hex(bytes))
}

/// Groups of 8, 4, 4, 4 and 12 hex digits (RFC 9562, section 4).
pub(crate) fn is_uuid(segment: &str) -> bool {
    if segment.len() != 36 {
        return false;
    }
    let groups: Vec<_> = segment.split('-').collect();
    let lens = groups.iter().map(|group| group.len());
    lens.eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Which routes are meant: a method or `*`, and a path in which `*` is any one segment and `**` any number of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoutePattern {
    method: String,
    path: String,
}

impl RoutePattern {
    /// A pattern of this method (`*` for any) and path.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned() }
    }

    /// True when the route is one of those meant. A segment may be named as it was sent, or as `*`.
    pub(crate) fn matches(&self, route: &Route) -> bool {
        let method_fits = self.method == "*" || self.method == route.method;
        let wanted: Vec<_> = self.path.split('/').collect();
        let found: Vec<_> = route.path.split('/').collect();
        method_fits && segments_match(&wanted, &found)
    }
}

/// Like `Pattern::matches`, over path segments.
fn segments_match(wanted: &[&str], found: &[&str]) -> bool {
    let (mut wanted_at, mut found_at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while found_at < found.len() {
        match wanted.get(wanted_at) {
            Some(&"**") => {
                retry = Some((wanted_at + 1, found_at));
                wanted_at += 1;
            }
            Some(&segment) if segment == "*" || segment == found[found_at] => {
                wanted_at += 1;
                found_at += 1;
            }
            _ => {
                let Some((after_star, eaten)) = retry else { return false };
                retry = Some((after_star, eaten + 1));
                (wanted_at, found_at) = (after_star, eaten + 1);
            }
        }
    }
    wanted[wanted_at..].iter().all(|segment| *segment == "**")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_look_like_ids_are_shown_as_stars_and_words_are_not() {
        let shown = |target: &str| Route::new("GET", target).to_string();
        assert_eq!(shown("/tickets/42/notes?x=1"), "GET /tickets/*/notes");
        assert_eq!(shown("/u/0b9a6c1e-4f7d-4a52-9c7e-1d2f3a4b5c6d"), "GET /u/*");
        assert_eq!(shown("/blob/9f86d081884c7d65"), "GET /blob/*");
        assert_eq!(shown("/v1/facade/deadbeef/cafe1"), "GET /v1/facade/deadbeef/cafe1");
        assert_eq!(shown("/"), "GET /");
    }

    #[test]
    fn a_pattern_names_a_route_by_stars_or_as_it_was_sent() {
        let route = Route::new("POST", "/tickets/42/notes");
        let matches = |method: &str, path: &str| RoutePattern::new(method, path).matches(&route);
        assert!(matches("POST", "/tickets/*/notes"));
        assert!(matches("*", "/tickets/42/notes"));
        assert!(matches("POST", "/**/notes"));
        assert!(matches("*", "/**"));
        assert!(!matches("GET", "/tickets/*/notes"));
        assert!(!matches("POST", "/tickets/*"));
    }

    #[test]
    fn a_route_is_read_from_a_head_and_an_empty_head_has_an_empty_one() {
        let head = Head::new(*b"POST http://host/a/1?q HTTP/1.1\r\n\r\n");
        assert_eq!(Route::of(&head), Route::new("POST", "/a/1"));
        assert_eq!(Route::of(&Head::default()).method, "");
    }
}
