//! Where a request went: the beginning of its URL.

/// Scheme and authority of a URL, and what follows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: String,
    /// Host, and port where one is written; a user and password that stood before them are left out.
    pub authority: String,
}

impl Origin {
    /// The origin and the target (path and query; a fragment is never sent) of an absolute URL, or `None` where it is no
    /// HTTP. Web sockets begin as HTTP.
    pub(crate) fn split(url: &str) -> Option<(Self, &str)> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest[..end].rsplit('@').next().unwrap_or_default();
        let target = rest[end..].split('#').next().unwrap_or_default();
        let is_host = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_graphic() || byte >= 0x80);
        let origin = Self { scheme: scheme.to_owned(), authority: authority.to_ascii_lowercase() };
        is_host.then_some((origin, target))
    }

    /// As a URL without a path.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// True when `host` is its host, or its host and port; the scheme's own port may be written or not.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        let host = host.trim().to_ascii_lowercase();
        let host = host.split_once("://").map_or(host.as_str(), |(_, host)| host).trim_end_matches('/');
        let own_port = if self.scheme == "https" { ":443" } else { ":80" };
        let plain = self.authority.strip_suffix(own_port).unwrap_or(&self.authority);
        host == self.authority || host == self.host() || host.strip_suffix(own_port).unwrap_or(host) == plain
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn a_url_is_split_where_its_path_begins_and_userinfo_and_fragment_are_left_out() {
        let split = |url| Origin::split(url).map(|(origin, target)| (origin.url(), target.to_owned()));
        let of = |origin: &str, target: &str| Some((origin.to_owned(), target.to_owned()));
        assert_eq!(split("https://User:pw@API.example:8443/a?b#c"), of("https://api.example:8443", "/a?b"));
        assert_eq!(split("http://[::1]:80?x=http://y"), of("http://[::1]:80", "?x=http://y"));
        assert_eq!(split("wss://h/s"), of("https://h", "/s"));
        assert_eq!((split("data:text/plain,hi"), split("http:///x"), split("file:///etc")), (None, None, None));
    }

    #[test]
    fn a_host_is_known_with_and_without_its_port() {
        let (origin, _) = Origin::split("https://api.example/").unwrap();
        assert!(["api.example", "API.example:443", "https://api.example/"].iter().all(|host| origin.is_at(host)));
        assert!(!origin.is_at("api.example:80") && !origin.is_at("example"));
        let (ported, _) = Origin::split("http://127.0.0.1:9000/").unwrap();
        assert!(ported.is_at("127.0.0.1") && ported.is_at("127.0.0.1:9000") && !ported.is_at("127.0.0.1:9001"));
    }
}
