//! Addresses in texts: which ones a text names, and writing another one over them.

use std::net::IpAddr;

/// Replaces `from` wherever `belongs`, told what stands before and behind it, says so; `None` where it nowhere does.
pub(super) fn replace(text: &str, from: &str, to: &str, belongs: impl Fn(&str, &str) -> bool) -> Option<String> {
    let mut replaced = String::new();
    let mut rest = 0;
    for (at, _) in text.match_indices(from) {
        let behind = at + from.len();
        if belongs(&text[..at], &text[behind..]) {
            replaced.push_str(&text[rest..at]);
            replaced.push_str(to);
            rest = behind;
        }
    }
    replaced.push_str(&text[rest..]);
    (rest > 0).then_some(replaced)
}

/// True where an address or a name may begin: `::ffff:172.17.0.1` is an address of its own kind, and `a-172.17.0.1` a name.
pub(super) fn begins(before: &str) -> bool {
    let last = before.chars().next_back();
    last.is_none_or(|last| !last.is_alphanumeric() && !matches!(last, '.' | ':' | '-' | '_'))
}

/// True behind a URL's `://`.
pub(super) fn begins_authority(before: &str) -> bool {
    before.ends_with("://")
}

/// True where a port may end: no further digit, which would make it another one.
pub(super) fn ends(behind: &str) -> bool {
    behind.chars().next().is_none_or(|next| !next.is_alphanumeric() && next != '.' && next != '_')
}

/// True where an address ends that has no port.
pub(super) fn ends_without_port(behind: &str) -> bool {
    let has_port = behind.strip_prefix(':').is_some_and(|port| port.starts_with(|digit: char| digit.is_ascii_digit()));
    ends(behind) && !has_port
}

/// As an address stands in a URL: IPv6 in brackets (RFC 3986, section 3.2.2).
pub(super) fn in_url(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// `host`, `host:port`, `[::1]:port`, without a user before it.
pub(super) fn host_and_port(authority: &str, usual: u16) -> Option<(String, u16)> {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).map_or(Some(usual), |port| port.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The hosts and ports that a text names: in URLs, and as the whole of it, of a word, or of an option's value.
pub(super) fn authorities_of(text: &str) -> Vec<(String, u16)> {
    let found = authorities_with_scheme(text).into_iter();
    found.map(|authority| (authority.host, authority.port)).collect()
}

/// A host and port that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: String,
    pub(super) port: u16,
    /// The port that its URL's scheme means; 0 where there is no URL, or none that is known here.
    pub(super) usual: u16,
}

/// As [`authorities_of`], with what the schemes say.
pub(super) fn authorities_with_scheme(text: &str) -> Vec<Authority> {
    let mut found = Vec::new();
    for word in text.split(|it: char| it.is_ascii_whitespace() || matches!(it, ',' | ';' | '"' | '\'' | '=')) {
        let (authority, usual) = match word.split_once("://") {
            Some((scheme, rest)) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                (&rest[..end], usual_port(scheme))
            }
            None if word.contains(':') && !word.contains('/') => (word, 0),
            None => continue,
        };
        let named = host_and_port(authority, usual).filter(|(_, port)| *port > 0);
        found.extend(named.map(|(host, port)| Authority { host, port, usual }));
    }
    found
}

/// The port that a URL of this scheme means where it names none; 0 for a scheme that is not known here.
fn usual_port(scheme: &str) -> u16 {
    // `jdbc:postgresql`, `postgresql+asyncpg`.
    let scheme = scheme.rsplit(':').next().and_then(|scheme| scheme.split('+').next()).unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "redis" | "rediss" | "valkey" => 6379,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "mongodb" => 27017,
        "amqp" => 5672,
        _ => 0,
    }
}

/// Letters, digits, `-`, `_` and dots (RFC 952 as it is used), and no address.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len())
        && name.bytes().all(is_part)
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_hosts_in_urls_and_as_words_of_their_own() {
        let found = |text: &str| {
            let found = authorities_of(text).into_iter().map(|(host, port)| format!("{host} {port}"));
            found.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(found("http://a.b/x,https://[fd00::1]:81/?u=http://c:9"), "a.b 80, fd00::1 81, c 9");
        assert_eq!(found("--db=postgresql+asyncpg://me:pw@db/x redis://cache"), "db 5432, cache 6379");
        assert_eq!(found("cache:6379"), "cache 6379");
        assert_eq!(found("/a:1 plain a:b c: unknown://d"), "");
    }

    #[test]
    fn only_what_belongs_is_replaced() {
        assert_eq!(replace("a1 a a", "a", "b", |_, behind| ends(behind)).as_deref(), Some("a1 b b"));
        assert_eq!(replace("a1", "a", "b", |_, behind| ends(behind)), None);
        assert!(begins("http://") && begins("x=") && begins("") && !begins("::ffff:") && !begins("1"));
        assert!(
            ends_without_port("/x") && ends_without_port(": ") && !ends_without_port(":1") && !ends_without_port("0")
        );
    }
}
