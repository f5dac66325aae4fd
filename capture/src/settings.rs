//! What a capture is told to do.
//!
//! In: what a person wrote. Out: plain values. Where they come from (flags, environment, file) is the command line's.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use content::place::{Place, PlaceError};
use wire::{Upstream, UpstreamError};

use crate::ForwardSettings;

/// The providers whose SDKs read a variable for their base URL: name, variables, public address.
///
/// The first variable is the one that is read for a former value. `OPENAI_API_BASE` is what older versions of OpenAI's
/// SDK and many tools beside it read.
const PROVIDERS: [(&str, &[&str], &str); 2] = [
    ("openai", &["OPENAI_BASE_URL", "OPENAI_API_BASE"], "https://api.openai.com/v1"),
    ("anthropic", &["ANTHROPIC_BASE_URL"], "https://api.anthropic.com"),
];

/// What a capture is told to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service to record; without one only dependency calls are recorded.
    pub upstream: Option<Upstream>,
    /// Where clients call instead of the service.
    pub listen: SocketAddr,
    /// The folder of the store.
    pub store: PathBuf,
    /// What the service calls.
    pub dependencies: Vec<Dependency>,
    /// A forward proxy for what it calls by other means than a base URL.
    pub forward: Option<ForwardSettings>,
    /// Whose environment is recorded, and whether it is started here.
    pub service: Service,
    /// More containers of the same service, behind the same upstream.
    pub replicas: Vec<String>,
    /// What the service calls its own version.
    pub service_version: Option<String>,
    /// Version of this tool, for the record.
    pub tool_version: String,
    /// True to add a `traceparent` to requests of clients that have none.
    pub adds_traceparent: bool,
    /// Names of further header fields whose values are secrets.
    pub secret_headers: Vec<String>,
    /// Further keys of queries whose values are secrets.
    pub secret_query_keys: Vec<String>,
    /// Names of further environment variables whose values are secrets.
    pub secret_variables: Vec<String>,
    /// Values of requests and responses that are kept under names of the user's own.
    pub annotations: Vec<Annotate>,
    /// Where the id of a conversation stands.
    pub conversation: Option<ConversationAt>,
    /// How often it is sampled what the service uses; `None` for never.
    pub sample_interval: Option<Duration>,
    /// True to record what the service logs.
    pub records_logs: bool,
    /// Largest part of one body that is kept, in bytes as sent.
    pub body_bytes_max: u64,
    /// Most bytes that wait to be written, over all exchanges.
    pub queue_bytes_max: usize,
    /// How often what was recorded is made safe from power loss.
    pub sync_interval: Duration,
    /// Size at which a segment of the store is sealed and another one begun, in bytes.
    pub segment_bytes_max: u64,
    /// Memory for finding what came before, in bytes: what falls out of it is written again.
    pub dedup_bytes_max: u64,
    /// How long exchanges and the service may go on once the capture is to stop.
    pub grace: Duration,
}

impl Default for Settings {
    /// Nothing to record; otherwise the values of the command line's help. The limits are choices.
    fn default() -> Self {
        Self {
            upstream: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            store: PathBuf::from(".retake"),
            dependencies: Vec::new(),
            forward: None,
            service: Service::Unknown,
            replicas: Vec::new(),
            service_version: None,
            tool_version: String::new(),
            adds_traceparent: true,
            secret_headers: Vec::new(),
            secret_query_keys: Vec::new(),
            secret_variables: Vec::new(),
            annotations: Vec::new(),
            conversation: None,
            sample_interval: Some(Duration::from_secs(1)),
            records_logs: true,
            body_bytes_max: 256 << 20,
            queue_bytes_max: 64 << 20,
            sync_interval: Duration::from_millis(200),
            segment_bytes_max: 256 << 20,
            dedup_bytes_max: 64 << 20,
            grace: Duration::from_secs(5),
        }
    }
}

/// Whose environment is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// Nobody's but the host's.
    #[default]
    Unknown,
    /// A container's, by name or id.
    Container(String),
    /// A process's.
    Process(u32),
    /// A child's that the capture starts, program first.
    Command(Vec<OsString>),
}

/// Most bytes of a name given to a value. A choice.
const ANNOTATION_NAME_BYTES_MAX: usize = 64;

/// A value that is kept under a name of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotate {
    /// The name.
    pub name: String,
    /// Where the value stands.
    pub place: Place,
}

/// Why a text is no value to keep.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotateError {
    /// There is no name, or an odd one.
    #[error("`{text}` has no name of letters, digits, `-`, `_` and `.` before a `=`")]
    Name {
        /// What was given.
        text: String,
    },
    /// What follows is no place.
    #[error("nothing can be kept as `{name}`")]
    Place {
        /// The name.
        name: String,
        /// What is wrong with the place.
        #[source]
        source: PlaceError,
    },
}

impl AnnotateError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Name { .. } => Some("write it as `NAME=/pointer` or `NAME=header:FIELD`"),
            Self::Place { source, .. } => source.help(),
        }
    }
}

impl FromStr for Annotate {
    type Err = AnnotateError;

    /// Reads `NAME=PLACE`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = |name: &str| (1..=ANNOTATION_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_part);
        let named = text.split_once('=').filter(|(name, _)| is_name(name));
        let (name, place) = named.ok_or_else(|| AnnotateError::Name { text: text.chars().take(200).collect() })?;
        let name = name.to_owned();
        let place = place.parse().map_err(|source| AnnotateError::Place { name: name.clone(), source })?;
        Ok(Self { name, place })
    }
}

/// Where the id of a conversation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationAt {
    /// As it was written, for the recording.
    pub text: String,
    /// The place.
    pub place: Place,
}

impl FromStr for ConversationAt {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), place: text.parse()? })
    }
}

/// Something that the service calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its name in recordings.
    pub name: String,
    /// Where the calls go.
    pub upstream: Upstream,
    /// Where the service calls; `None` for a free port of loopback.
    pub listen: Option<SocketAddr>,
    /// Variables of a started service that are set to the listener's URL.
    pub variables: Vec<&'static str>,
}

/// Why a text is no dependency.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DependencyError {
    /// There is no name, or an odd one.
    #[error("`{text}` has no name of letters, digits, `-` and `_` before a `=`")]
    Name {
        /// What was given.
        text: String,
    },
    /// The URL is none.
    #[error("the dependency `{name}` has no usable URL")]
    Url {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        #[source]
        source: UpstreamError,
    },
    /// The address to listen on is none.
    #[error("the dependency `{name}` has `{found}` after its URL where `listen=ADDRESS:PORT` may stand")]
    Listen {
        /// The dependency.
        name: String,
        /// What was given.
        found: String,
    },
}

impl DependencyError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        Some(
            "write it as `NAME=URL` or `NAME=URL,listen=127.0.0.1:9001`; the URL of what is no HTTP is `tcp://HOST:PORT`",
        )
    }
}

impl FromStr for Dependency {
    type Err = DependencyError;

    /// Reads `NAME=URL[,listen=ADDRESS:PORT]`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |name: &&str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            (1..=64).contains(&name.len()) && name.bytes().all(is_part)
        };
        let named = text.split_once('=').filter(|(name, _)| is_name(name));
        let (name, rest) = named.ok_or_else(|| DependencyError::Name { text: text.chars().take(200).collect() })?;
        let name = name.to_owned();
        let (url, listen) = rest.split_once(',').map_or((rest, None), |(url, listen)| (url, Some(listen)));
        let upstream = url.parse().map_err(|source| DependencyError::Url { name: name.clone(), source })?;
        let listen = match listen {
            None => None,
            Some(found) => {
                let wrong = || DependencyError::Listen { name: name.clone(), found: found.to_owned() };
                let address = found.strip_prefix("listen=").and_then(|address| address.parse().ok());
                Some(address.ok_or_else(wrong)?)
            }
        };
        let variables =
            PROVIDERS.iter().find(|(provider, ..)| *provider == name).map(|(_, variables, _)| variables.to_vec());
        Ok(Self { name, upstream, listen, variables: variables.unwrap_or_default() })
    }
}

/// The dependencies that exist without being asked for when the service is started here: those providers that `given` does
/// not name, at their variable's former value, else at their public address.
///
/// # Errors
/// `Url` when a variable's former value is no base URL.
pub fn default_dependencies(
    given: &[Dependency],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Dependency>, DependencyError> {
    let missing = PROVIDERS.iter().filter(|(name, ..)| given.iter().all(|dependency| dependency.name != *name));
    let made = missing.map(|(name, variables, public)| {
        let former = variables.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let url = former.as_deref().unwrap_or(public);
        let upstream = url.parse().map_err(|source| DependencyError::Url { name: (*name).to_owned(), source })?;
        Ok(Dependency { name: (*name).to_owned(), upstream, listen: None, variables: variables.to_vec() })
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_a_name_a_url_and_perhaps_an_address() {
        let dependency: Dependency = "db=http://10.0.0.1:5000/api,listen=127.0.0.1:9001".parse().unwrap();
        assert_eq!(
            (dependency.name.as_str(), dependency.upstream.to_string().as_str()),
            ("db", "http://10.0.0.1:5000/api")
        );
        assert_eq!(dependency.listen, Some(SocketAddr::from(([127, 0, 0, 1], 9001))));
        let cache: Dependency = "cache=tcp://127.0.0.1:6379".parse().unwrap();
        assert_eq!(cache.upstream.scheme, wire::Scheme::Tcp);
        for wrong in [
            "cache=tcp://127.0.0.1",
            "http://x",
            "=http://x",
            "a b=http://x",
            "db=x",
            "db=http://x,listen=9001",
            "db=http://x,port=1",
        ] {
            let error = wrong.parse::<Dependency>().unwrap_err();
            assert!(error.help().is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_value_to_keep_is_a_name_and_a_place() {
        let annotate: Annotate = "tokens=POST /chat /usage/total_tokens".parse().unwrap();
        assert_eq!(annotate.name, "tokens");
        for wrong in ["tokens", "=/x", "a b=/x", "tokens=usage"] {
            assert!(wrong.parse::<Annotate>().unwrap_err().help().is_some(), "{wrong}");
        }
    }

    #[test]
    fn the_usual_providers_are_there_unless_named_and_follow_their_former_variable() {
        let given: Dependency = "anthropic=http://127.0.0.1:1".parse().unwrap();
        assert_eq!(given.variables, ["ANTHROPIC_BASE_URL"]);
        let none = default_dependencies(&[given], |_| None).unwrap();
        assert_eq!(
            none.iter().map(|dependency| dependency.upstream.to_string()).collect::<Vec<_>>(),
            ["https://api.openai.com/v1"]
        );
        let former = |name: &str| (name == "OPENAI_API_BASE").then(|| "http://127.0.0.1:11434/v1".to_owned());
        let both = default_dependencies(&[], former).unwrap();
        assert_eq!(both[0].upstream.to_string(), "http://127.0.0.1:11434/v1");
        assert!(default_dependencies(&[], |_| Some("nonsense".to_owned())).is_err());
    }
}
