//! Environments over time: which fingerprint holds from when to when, and what is not certain of an exchange's.

use serde::{Deserialize, Serialize};

use crate::{Digest, Event, Fingerprint, Id, Subject, surroundings::event_kind};

/// What is not certain of the environment that an exchange ran in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Doubt {
    /// The container changed while the exchange was under way, or changed again before it was seen what it had become: the
    /// exchange ran in one of these, or in one after the other.
    Uncertain {
        /// Digests of fingerprints, in the order in which they held; the first is the one in which it began. One alone where
        /// it was not seen what the container became.
        environments: Vec<Digest>,
    },
    /// Several replicas are behind one address, and which of them answered cannot be seen.
    OneOf {
        /// Digests of all fingerprints that it may have been, in the order in which the replicas were named. Those that are alike
        /// cause no doubt.
        environments: Vec<Digest>,
    },
}

impl Doubt {
    /// All environments that it may have run in.
    pub fn environments(&self) -> &[Digest] {
        match self {
            Self::Uncertain { environments } | Self::OneOf { environments } => environments,
        }
    }

    /// One word for a table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Uncertain { .. } => "uncertain",
            Self::OneOf { .. } => "one of",
        }
    }

    /// What is not certain, and between what.
    pub fn words(&self) -> String {
        let names: Vec<String> = self.environments().iter().map(Digest::short).collect();
        match (self, &names[..]) {
            (Self::Uncertain { .. }, [_, _, ..]) => {
                format!("uncertain: it ran while the container was changing ({})", names.join(", then "))
            }
            (Self::OneOf { .. }, _) => format!("one of several replicas ({})", names.join(", ")),
            (Self::Uncertain { .. }, _) => {
                format!(
                    "uncertain: it ran while the container was changing, from {} into what was not seen",
                    names.concat()
                )
            }
        }
    }
}

/// From when to when a fingerprint held: the `data` of an event of kind [`event_kind::ENVIRONMENT`]. It is written when it
/// begins to hold, and once more when it ceases to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Digest of the fingerprint.
    pub fingerprint: Digest,
    /// Since when, in nanoseconds since 1970. The first of a session holds since the session began.
    pub from_unix_ns: u64,
    /// Until when; absent for one that still held when this was written: then until its session's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ns: Option<u64>,
}

impl Holding {
    /// What an event of this kind says, with its session; `None` for events of other kinds.
    pub fn of(event: &Event) -> Option<(Id, Self)> {
        let holding = serde_json::from_value(event.data.clone());
        event.session.filter(|_| event.kind == event_kind::ENVIRONMENT).zip(holding.ok())
    }

    /// What all these events say, each holding once, in the order of the sessions' ids and of time.
    pub fn all<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<(Id, Self)> {
        let mut all: Vec<_> = events.into_iter().filter_map(Self::of).collect();
        // One that has ended says more than the same before that.
        all.sort_by_key(|(session, it)| (*session, it.from_unix_ns, it.fingerprint, it.until_unix_ns.is_none()));
        all.dedup_by_key(|(session, it)| (*session, it.from_unix_ns, it.fingerprint));
        all
    }
}

impl Fingerprint {
    /// True when a service cannot be expected to behave otherwise in the other one: they differ in nothing, or in no more than
    /// the name, the addresses and the published ports that an engine gives to each container anew.
    pub fn is_like(&self, other: &Self) -> bool {
        self == other || (!matches!(self.subject, Subject::Unknown) && self.without_names() == other.without_names())
    }

    fn without_names(&self) -> Self {
        let mut bare = self.clone();
        if let Subject::Container(container) = &mut bare.subject {
            let config = &mut container.config;
            config.hostname.clear();
            config.addresses.clear();
            config.ports.iter_mut().for_each(|port| port.host = 0);
            // A volume without a name is given one of 64 digits; what is in it has a digest.
            let is_given = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            config.mounts.iter_mut().filter(|mount| is_given(&mount.source)).for_each(|mount| mount.source.clear());
            // Names of an image prove nothing.
            container.image.tags.clear();
        }
        bare
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ContainerConfig, ContainerIdentity, HostEnvironment, ImageIdentity, Variable, VariableValue};

    fn fingerprint(change: impl FnOnce(&mut ContainerConfig)) -> Fingerprint {
        let mut config = ContainerConfig { hostname: "0123456789ab".to_owned(), ..ContainerConfig::default() };
        change(&mut config);
        let subject = Subject::Container(Box::new(ContainerIdentity { image: ImageIdentity::default(), config }));
        Fingerprint { subject, host: HostEnvironment::default(), packages: Vec::new() }
    }

    #[test]
    fn what_an_engine_gives_anew_makes_no_other_environment_and_a_variable_does() {
        let one = fingerprint(|_| {});
        let moved = fingerprint(|config| {
            config.hostname = "ba9876543210".to_owned();
            config.addresses = vec!["172.17.0.3".to_owned()];
        });
        assert!(one != moved && one.is_like(&moved));
        let other = fingerprint(|config| {
            config.variables = vec![Variable { name: "MODE".to_owned(), value: VariableValue::Plain("b".to_owned()) }];
        });
        assert!(!one.is_like(&other) && !moved.is_like(&other));
    }

    #[test]
    fn one_whose_service_is_not_known_is_like_no_other_machine() {
        let unknown = |kernel: &str| Fingerprint {
            subject: Subject::Unknown,
            host: HostEnvironment { kernel: kernel.to_owned(), ..HostEnvironment::default() },
            packages: Vec::new(),
        };
        assert!(!unknown("6.1").is_like(&unknown("6.2")) && !unknown("6.1").is_like(&fingerprint(|_| {})));
    }

    #[test]
    fn a_holding_is_listed_once_with_its_end_whatever_was_written_first() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let event = |data| Event {
            id: Id([1; 16]),
            session: Some(Id([9; 16])),
            at_ns: 0,
            kind: event_kind::ENVIRONMENT.to_owned(),
            actor: String::new(),
            subject: String::new(),
            links: Vec::new(),
            data,
        };
        let events = [
            event(json!({ "fingerprint": other, "from_unix_ns": 20 })),
            event(json!({ "fingerprint": one, "from_unix_ns": 10 })),
            event(json!({ "fingerprint": one, "from_unix_ns": 10, "until_unix_ns": 19 })),
            event(json!({ "nothing": "of the kind" })),
        ];
        let all: Vec<_> = Holding::all(&events).into_iter().map(|(_, it)| (it.fingerprint, it.until_unix_ns)).collect();
        assert_eq!(all, [(one, Some(19)), (other, None)]);
    }
}
