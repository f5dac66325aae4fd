//! Which variables of a service weigh in a replay: addresses, ports, models, randomness, and what was given by hand.
//!
//! Secrets are not looked at here: a replay asks for them by name.

use std::collections::BTreeSet;

use exchange::{Fingerprint, Session, Subject, Variable, VariableValue};

/// Ends of names that say where something is, or pin what a service does.
const WEIGHTY_ENDS: [&str; 10] =
    ["PORT", "HOST", "URL", "URI", "ADDRESS", "ADDR", "ENDPOINT", "PROXY", "MODEL", "CERT_FILE"];

/// Names that pin randomness or what is computed on.
const WEIGHTY_NAMES: [&str; 6] =
    ["PYTHONHASHSEED", "TZ", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "NODE_EXTRA_CA_CERTS", "LD_PRELOAD"];

/// Ends of names that the desktop or the shell gives, and no service reads for a dependency.
const OF_THE_DESKTOP: [&str; 2] = ["DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS"];

/// What tells a variable that matters from one that does not.
pub(super) struct Weights<'a> {
    /// `HOST:PORT` of the recorded listeners, and of where they led.
    places: BTreeSet<&'a str>,
    /// What the image sets; `None` where the service was no container, and much comes from whoever started it.
    of_image: Option<&'a [Variable]>,
}

impl<'a> Weights<'a> {
    pub(super) fn of(sessions: &'a [Session], fingerprint: &'a Fingerprint) -> Self {
        let listeners = sessions.iter().flat_map(|session| &session.listeners);
        let places = listeners.flat_map(|listener| [listener.listen.as_str(), authority(&listener.upstream)]);
        let of_image = match &fingerprint.subject {
            Subject::Container(container) => Some(&container.image.runtime.variables[..]),
            Subject::Process(_) | Subject::Unknown => None,
        };
        Self { places: places.filter(|place| !place.is_empty()).collect(), of_image }
    }

    /// True for what a reader wants to see before a replay.
    pub(super) fn weighs(&self, variable: &Variable) -> bool {
        let VariableValue::Plain(value) = &variable.value else { return false };
        if self.of_image.is_some_and(|of_image| !of_image.contains(variable)) {
            return true;
        }
        let name = variable.name.to_ascii_uppercase();
        let ends_weightily = WEIGHTY_ENDS.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")));
        let is_named = WEIGHTY_NAMES.contains(&&*name) || (ends_weightily && !OF_THE_DESKTOP.contains(&&*name));
        is_named || value.contains("://") || self.places.iter().any(|place| value.contains(place))
    }
}

/// `HOST:PORT` of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use exchange::{
        ContainerConfig, ContainerIdentity, HostEnvironment, ImageIdentity, ProcessIdentity, RuntimeConfig,
    };

    use super::*;

    fn plain(name: &str, value: &str) -> Variable {
        Variable { name: name.to_owned(), value: VariableValue::Plain(value.to_owned()) }
    }

    fn fingerprint(subject: Subject) -> Fingerprint {
        Fingerprint { subject, host: HostEnvironment::default(), packages: Vec::new() }
    }

    #[test]
    fn of_a_process_addresses_ports_and_seeds_weigh_and_what_a_shell_exports_does_not() {
        let fingerprint = fingerprint(Subject::Process(Box::default()));
        let weights = Weights { places: BTreeSet::from(["10.0.0.7:6379"]), ..Weights::of(&[], &fingerprint) };
        for (name, value) in [
            ("PORT", "8000"),
            ("DB_HOST", "db"),
            ("base", "http://localhost:9001/v1"),
            ("CACHE", "10.0.0.7:6379"),
            ("https_proxy", ""),
            ("PYTHONHASHSEED", "0"),
        ] {
            assert!(weights.weighs(&plain(name, value)), "{name}");
        }
        for (name, value) in [
            ("HOSTNAME", "laptop"),
            ("LS_COLORS", "rs=0:di=01;34"),
            ("REPORT", "yes"),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus"),
        ] {
            assert!(!weights.weighs(&plain(name, value)), "{name}");
        }
    }

    #[test]
    fn of_a_container_all_that_it_was_given_weighs_and_of_its_image_what_a_replay_may_change() {
        let of_image = vec![plain("PATH", "/bin"), plain("LANG", "C"), plain("PORT", "80")];
        let runtime = RuntimeConfig { variables: of_image, ..RuntimeConfig::default() };
        let image = ImageIdentity { runtime, ..ImageIdentity::default() };
        let container = ContainerIdentity { image, config: ContainerConfig::default() };
        let fingerprint = fingerprint(Subject::Container(Box::new(container)));
        let weights = Weights::of(&[], &fingerprint);
        let weighs = |name, value| weights.weighs(&plain(name, value));
        assert_eq!([weighs("LANG", "de"), weighs("MODE", "x"), weighs("PORT", "80")], [true; 3]);
        assert_eq!([weighs("LANG", "C"), weighs("PATH", "/bin")], [false; 2]);
    }

    #[test]
    fn the_places_of_a_recording_are_those_of_its_listeners() {
        assert_eq!(authority("http://10.0.0.7:6379/base?x"), "10.0.0.7:6379");
        assert_eq!(authority(""), "");
        let process = ProcessIdentity::default();
        assert!(Weights::of(&[], &fingerprint(Subject::Process(Box::new(process)))).places.is_empty());
    }
}
