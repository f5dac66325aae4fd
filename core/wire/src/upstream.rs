//! Where traffic goes: an `http`, `https` or `tcp` URL, taken apart.
//!
//! In: what a person typed. Out: an [`Upstream`], or what is wrong with it. Reaching it is `connect`'s.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// What is spoken with a server, by its URL's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP in the clear.
    Http,
    /// HTTP within TLS.
    Https,
    /// Something else than HTTP, which passes as bytes.
    Tcp,
}

impl Scheme {
    /// As URLs have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
        }
    }

    /// The scheme by which a listener before such a server is called: TLS is spoken behind it only.
    pub fn in_the_clear(self) -> Self {
        match self {
            Self::Http | Self::Https => Self::Http,
            Self::Tcp => Self::Tcp,
        }
    }

    fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Tcp => None,
        }
    }
}

/// A server that traffic is passed on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What is spoken there.
    pub scheme: Scheme,
    /// A name or an address literal, an IPv6 one without brackets.
    pub host: String,
    /// The port, 80 or 443 where the URL names none; `tcp` has none of its own.
    pub port: u16,
    /// What is put before the path of every request: empty, or beginning and not ending with `/`.
    pub base_path: String,
    /// The name that its certificate has to be for, where that is not the host: a client of a forward proxy may ask for one.
    pub server_name: Option<String>,
}

/// Why a text is no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is no upstream: {problem}")]
pub struct UpstreamError {
    url: String,
    problem: &'static str,
}

impl UpstreamError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        Some("write it as `http://HOST:PORT` or `https://HOST/BASE/PATH`")
    }
}

impl Upstream {
    /// The URL's authority: the host, and the port where it is not the scheme's own. What a `Host` field says.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.scheme.default_port() == Some(self.port) { host } else { format!("{host}:{}", self.port) }
    }

    /// The name of the dependency that this is, on a forward proxy: that of the first of `known` with the same scheme, host
    /// and port, else its authority in lower case.
    pub fn name_among<'a>(&self, known: impl IntoIterator<Item = (&'a str, &'a Self)>) -> String {
        let is_there = |other: &Self| {
            (self.scheme, self.port) == (other.scheme, other.port) && self.host.eq_ignore_ascii_case(&other.host)
        };
        let found = known.into_iter().find(|(_, upstream)| is_there(upstream));
        found.map_or_else(|| self.authority().to_ascii_lowercase(), |(name, _)| name.to_owned())
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}{}", self.scheme.word(), self.authority(), self.base_path)
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        parse(url).map_err(|problem| UpstreamError { url: url.chars().take(200).collect(), problem })
    }
}

fn parse(url: &str) -> Result<Upstream, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("it names no scheme")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "tcp" => Scheme::Tcp,
        _ => return Err("its scheme is none of `http`, `https` and `tcp`"),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if url.contains(['?', '#']) {
        return Err("it has a query or a fragment, which a base URL has not");
    }
    if authority.contains('@') {
        return Err("it holds a user name; the client sends its own credentials");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it holds a character that has to be percent-encoded");
    }
    let (host, port) = split_authority(authority)?;
    let port = port.or(scheme.default_port()).ok_or("it names no port, and `tcp` has none of its own")?;
    let base_path = path.trim_end_matches('/').to_owned();
    if scheme == Scheme::Tcp && !base_path.is_empty() {
        return Err("it has a path, which nothing but HTTP has");
    }
    Ok(Upstream { scheme, host: host.to_owned(), port, base_path, server_name: None })
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("its IPv6 address has no closing bracket")?;
            host.parse::<Ipv6Addr>().map_err(|_| "what stands in brackets is no IPv6 address")?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or("its port is no number")?) })
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("it names no host");
    }
    let port = match port {
        None => None,
        Some(digits) => {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let port = is_number.then(|| digits.parse::<u16>().ok()).flatten().filter(|&port| port != 0);
            Some(port.ok_or("its port is no number from 1 to 65535")?)
        }
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_again() {
        for url in [
            "tcp://127.0.0.1:6379",
            "tcp://db:80",
            "http://127.0.0.1:8080",
            "https://api.openai.com/v1",
            "http://[::1]:81/a/b",
            "http://[::1]",
        ] {
            assert_eq!(url.parse::<Upstream>().unwrap().to_string(), url);
        }
        let upstream: Upstream = "HTTPS://api.example:443/v1/".parse().unwrap();
        assert_eq!(
            (upstream.port, upstream.base_path.as_str(), upstream.authority().as_str()),
            (443, "/v1", "api.example")
        );
        assert_eq!("http://host/".parse::<Upstream>().unwrap().base_path, "");
    }

    #[test]
    fn what_is_no_base_url_is_refused_and_says_why() {
        let refused = [
            "host:80",
            "ftp://host",
            "http://",
            "http://:80",
            "http://u:p@host",
            "http://host:0",
            "http://host:70000",
            "http://host:+1",
            "http://host:",
            "http://host/?q",
            "http://[::1",
            "http://[x]",
            "http://a b",
            "http://[::1]x",
            "http://1:2:3",
            "tcp://host",
            "tcp://host:6379/0",
        ];
        for url in refused {
            assert!(url.parse::<Upstream>().is_err(), "{url}");
        }
        let error = "host:80".parse::<Upstream>().unwrap_err();
        assert_eq!(error.to_string(), "`host:80` is no upstream: it names no scheme");
    }
}
