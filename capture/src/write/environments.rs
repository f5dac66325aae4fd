//! Which environment an exchange ran in, by when it began and ended.
//!
//! In: what was seen, with the times between which one environment ceased to hold and the next one did. Out: for each exchange
//! the fingerprint that held when it began, and what is not certain of that.

use std::net::IpAddr;

use exchange::{Digest, Doubt, Fingerprint, Subject};

use crate::queue::{Change, Seen};

/// Fingerprints that are kept, the latest. A choice: exchanges that began before still have the digest.
const KEPT_MAX: usize = 16;

/// How long an exchange waits after its end before it is written, in nanoseconds: what the engine tells of its container's
/// change comes a little after it. A choice.
const SETTLE_NS: u64 = 200_000_000;

/// The environments of all containers that the service has.
#[derive(Debug)]
pub(super) struct Replicas {
    all: Vec<Environments>,
    /// Kinds of environments so far: those that are alike are of one.
    kinds: usize,
    /// True once an exchange reached the service.
    has_served: bool,
}

/// Environments of one container, in the order in which they held.
#[derive(Debug, Default)]
struct Environments {
    all: Vec<Held>,
    /// Something happened, and was not looked at yet.
    changing: Option<Change>,
    /// True when changes are to be expected at any time.
    follows: bool,
}

/// An environment that held.
#[derive(Debug)]
struct Held {
    digest: Option<Digest>,
    /// `None` for one that is not kept any more.
    fingerprint: Option<Fingerprint>,
    addresses: Vec<IpAddr>,
    /// Since when, at the earliest: the one before had ceased to hold.
    earliest_ns: u64,
    /// Since when for certain.
    from_ns: u64,
    /// Equal for those that are alike.
    kind: usize,
}

/// What is said of the environment of an exchange.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RanIn {
    /// The one in which it began.
    pub(super) digest: Option<Digest>,
    /// What is not certain of it.
    pub(super) doubt: Option<Doubt>,
}

impl Environments {
    /// None yet. `follows` where they may change.
    fn new(follows: bool) -> Self {
        Self { follows, ..Self::default() }
    }

    /// Something happened.
    fn change(&mut self, change: Change) {
        match &mut self.changing {
            // It may have been another one since the first of them.
            Some(earlier) => *earlier = Change { ceased_ns: earlier.ceased_ns.min(change.ceased_ns), ..change },
            none => *none = Some(change),
        }
    }

    /// It was looked at: true where it is another environment than the one before.
    fn see(&mut self, seen: &Seen, digest: Option<Digest>, kind: usize) -> bool {
        if self.changing.as_ref().is_some_and(|changing| changing.number <= seen.number) {
            self.changing = None;
        }
        let is_known = digest.is_some() && self.all.last().is_some_and(|last| last.digest == digest);
        let Some(fingerprint) = seen.fingerprint.as_ref().filter(|_| !is_known) else { return false };
        let (earliest_ns, from_ns) = (seen.ceased_ns.min(seen.from_ns), seen.from_ns);
        let addresses = addresses_of(fingerprint);
        self.all.push(Held { digest, fingerprint: Some(fingerprint.clone()), addresses, earliest_ns, from_ns, kind });
        if let Some(old) = self.all.len().checked_sub(KEPT_MAX + 1) {
            self.all[old].fingerprint = None;
        }
        true
    }

    /// True when all is known that there will be of an exchange that ended then.
    fn is_settled(&self, ended_ns: u64, now_ns: u64) -> bool {
        let is_before = |change: &Change| ended_ns <= change.ceased_ns;
        self.changing.as_ref().is_none_or(is_before) && now_ns >= self.settles_ns(ended_ns)
    }

    /// When it is, if nothing happens until then.
    fn settles_ns(&self, ended_ns: u64) -> u64 {
        if self.follows { ended_ns.saturating_add(SETTLE_NS) } else { ended_ns }
    }

    /// What it may have run in that was under way between these times.
    fn maybe(&self, started_ns: u64, ended_ns: u64) -> Maybe<'_> {
        let next = |number: usize| self.all.get(number + 1).map_or(u64::MAX, |next| next.from_ns);
        // At an end of its time an environment held, or did not: it is asked for more than an instant.
        let held = |&(number, held): &(usize, &Held)| {
            started_ns < next(number) && (number == 0 || ended_ns > held.earliest_ns || started_ns >= held.from_ns)
        };
        let unseen = self.changing.as_ref().filter(|change| ended_ns > change.ceased_ns);
        if unseen.is_some_and(|change| started_ns >= change.from_ns) {
            return Maybe { held: Vec::new(), is_seen: false };
        }
        let maybe = self.all.iter().enumerate().filter(held).map(|(_, held)| held).collect();
        Maybe { held: maybe, is_seen: unseen.is_none() && !self.all.is_empty() }
    }
}

/// Environments that an exchange may have run in.
struct Maybe<'a> {
    held: Vec<&'a Held>,
    /// False where there may have been another one that was not seen.
    is_seen: bool,
}

impl Maybe<'_> {
    fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.held.iter().filter_map(|held| held.digest).collect();
        digests.dedup();
        digests
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.held.iter().any(|held| held.addresses.contains(&address))
    }
}

impl Replicas {
    /// None yet, of as many containers. `follows` where they may change.
    pub(super) fn new(count: usize, follows: bool) -> Self {
        Self { all: (0..count).map(|_| Environments::new(follows)).collect(), kinds: 0, has_served: false }
    }

    /// True once each was seen, or was found not to be seen.
    pub(super) fn are_seen(&self) -> bool {
        self.all.iter().all(|environments| !environments.all.is_empty())
    }

    /// Something happened.
    pub(super) fn change(&mut self, change: Change) {
        if let Some(environments) = self.all.get_mut(change.replica) {
            environments.change(change);
        }
    }

    /// An exchange reached the service.
    pub(super) fn note_served(&mut self) {
        self.has_served = true;
    }

    /// One was looked at: true where it is another environment than before. A process that has answered nothing so far only led
    /// to what it is now, which holds from the beginning.
    pub(super) fn see(&mut self, seen: &Seen, digest: Option<Digest>) -> bool {
        let alike = |held: &&Held| {
            let pair = held.fingerprint.as_ref().zip(seen.fingerprint.as_ref());
            pair.is_some_and(|(one, other)| one.is_like(other))
        };
        let known = self.all.iter().flat_map(|environments| &environments.all).find(alike).map(|held| held.kind);
        let kind = known.unwrap_or(self.kinds);
        self.kinds += usize::from(known.is_none());
        let Some(environments) = self.all.get_mut(seen.replica) else { return false };
        if seen.container.is_some() || self.has_served || seen.fingerprint.is_none() {
            return environments.see(seen, digest, kind);
        }
        environments.all.clear();
        environments.see(&Seen { ceased_ns: 0, from_ns: 0, ..seen.clone() }, digest, kind)
    }

    /// True when all is known that there will be of an exchange that ended then.
    pub(super) fn is_settled(&self, ended_ns: u64, now_ns: u64) -> bool {
        self.all.iter().all(|environments| environments.is_settled(ended_ns, now_ns))
    }

    /// When it is, if nothing happens until then.
    pub(super) fn settles_ns(&self, ended_ns: u64) -> u64 {
        self.all.first().map_or(ended_ns, |environments| environments.settles_ns(ended_ns))
    }

    /// The environment of an exchange that was under way between these times; `peer` is at the service's end of it.
    pub(super) fn of(&self, peer: Option<IpAddr>, started_ns: u64, ended_ns: u64) -> RanIn {
        let mut maybe: Vec<Maybe<'_>> = self.all.iter().map(|it| it.maybe(started_ns, ended_ns)).collect();
        let is_at = |maybe: &Maybe<'_>| peer.is_some_and(|peer| maybe.has_address(peer));
        if maybe.iter().filter(|maybe| is_at(maybe)).count() == 1 {
            maybe.retain(is_at);
        }
        let mut environments: Vec<Digest> = Vec::new();
        for digest in maybe.iter().flat_map(Maybe::digests) {
            if !environments.contains(&digest) {
                environments.push(digest);
            }
        }
        let digest = environments.first().copied();
        // Those that are of one kind leave no doubt, whichever it was.
        let mut kinds = maybe.iter().flat_map(|maybe| &maybe.held).map(|held| held.kind);
        let first = kinds.next();
        let is_certain = maybe.iter().all(|maybe| maybe.is_seen) && kinds.all(|kind| Some(kind) == first);
        let doubt = (!is_certain && digest.is_some()).then_some(match maybe.len() {
            0 | 1 => Doubt::Uncertain { environments },
            _ => Doubt::OneOf { environments },
        });
        RanIn { digest, doubt }
    }

    /// The fingerprints that this names and that are kept, with their digests.
    pub(super) fn fingerprints<'a>(&'a self, ran_in: &'a RanIn) -> impl Iterator<Item = (Digest, &'a Fingerprint)> {
        let doubted = ran_in.doubt.as_ref().map(Doubt::environments).unwrap_or_default();
        let is_meant = |digest: &Digest| ran_in.digest == Some(*digest) || doubted.contains(digest);
        let held = self.all.iter().flat_map(|environments| &environments.all);
        held.filter_map(move |held| Some((held.digest.filter(is_meant)?, held.fingerprint.as_ref()?)))
    }
}

/// The addresses of a container.
fn addresses_of(fingerprint: &Fingerprint) -> Vec<IpAddr> {
    match &fingerprint.subject {
        Subject::Container(container) => {
            container.config.addresses.iter().filter_map(|address| address.parse().ok()).collect()
        }
        Subject::Process(_) | Subject::Unknown => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use exchange::{HostEnvironment, Subject};

    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn seen(name: &str, number: u64, ceased_ns: u64, from_ns: u64) -> Seen {
        let host = HostEnvironment { kernel: name.to_owned(), ..HostEnvironment::default() };
        let fingerprint = Fingerprint { subject: Subject::Unknown, host, packages: Vec::new() };
        Seen {
            replica: 0,
            fingerprint: Some(fingerprint),
            container: Some("web".to_owned()),
            number,
            ceased_ns,
            from_ns,
        }
    }

    fn change(number: u64, ceased_ns: u64, from_ns: u64) -> Change {
        Change { replica: 0, number, id: "0f".to_owned(), ceased_ns, from_ns, had_another: true }
    }

    /// `a` until something between 100 and 120, `b` from then on.
    fn two() -> Replicas {
        let mut environments = Replicas::new(1, false);
        environments.see(&seen("a", 0, 0, 0), Some(digest("a")));
        environments.change(change(1, 100, 120));
        environments.see(&seen("b", 1, 100, 120), Some(digest("b")));
        environments
    }

    fn certain(name: &str) -> RanIn {
        RanIn { digest: Some(digest(name)), doubt: None }
    }

    #[test]
    fn an_exchange_ran_where_it_began_and_one_in_flight_across_a_change_is_uncertain() {
        let environments = two();
        assert_eq!(environments.of(None, 10, 99), certain("a"));
        assert_eq!(environments.of(None, 10, 100), certain("a"));
        assert_eq!(environments.of(None, 120, 130), certain("b"));
        assert_eq!(environments.of(None, 200, 200), certain("b"));
        let doubt = Some(Doubt::Uncertain { environments: vec![digest("a"), digest("b")] });
        for (started_ns, ended_ns) in [(10, 130), (10, 101), (105, 110), (119, 500)] {
            assert_eq!(
                environments.of(None, started_ns, ended_ns),
                RanIn { digest: Some(digest("a")), doubt: doubt.clone() }
            );
        }
    }

    #[test]
    fn what_may_be_changing_waits_until_it_was_looked_at_and_no_earlier_look_will_do() {
        let mut environments = two();
        assert!(environments.is_settled(300, 300));
        environments.change(change(2, 400, 410));
        environments.change(change(3, 450, 460));
        assert!(environments.is_settled(400, 500) && !environments.is_settled(401, 500));
        environments.see(&seen("b", 2, 400, 410), Some(digest("b")));
        assert!(!environments.is_settled(401, 500));
        // It did not change after all.
        assert!(!environments.see(&seen("b", 3, 400, 460), Some(digest("b"))));
        assert!(environments.is_settled(401, 500));
        assert_eq!(environments.of(None, 390, 470), certain("b"));
    }

    #[test]
    fn a_change_that_was_never_looked_at_leaves_an_exchange_uncertain_and_later_ones_unknown() {
        let mut environments = two();
        environments.change(change(2, 400, 410));
        let doubt = Some(Doubt::Uncertain { environments: vec![digest("b")] });
        assert_eq!(environments.of(None, 300, 405), RanIn { digest: Some(digest("b")), doubt });
        assert_eq!(environments.of(None, 410, 420), RanIn::default());
        assert_eq!(environments.of(None, 300, 400), certain("b"));
    }

    #[test]
    fn a_program_that_answered_nothing_led_to_the_one_that_did() {
        let process = |name: &str, number, at_ns| Seen { container: None, ..seen(name, number, at_ns, at_ns) };
        let mut environments = Replicas::new(1, true);
        environments.see(&process("script", 0, 0), Some(digest("script")));
        environments.change(change(1, 100, 150));
        environments.see(&Seen { ceased_ns: 100, ..process("program", 1, 150) }, Some(digest("program")));
        assert_eq!(environments.of(None, 120, 140), certain("program"));
        environments.note_served();
        environments.see(&Seen { ceased_ns: 300, ..process("another", 2, 350) }, Some(digest("another")));
        assert_eq!(environments.of(None, 120, 140), certain("program"));
        assert_eq!(environments.of(None, 400, 410), certain("another"));
    }

    #[test]
    fn a_change_that_a_look_may_have_in_it_leaves_in_doubt_what_was_between() {
        let mut environments = two();
        environments.change(change(2, 200, 210));
        environments.change(change(3, 300, 300));
        // The look after the second change ended only after the third.
        environments.see(&seen("c", 2, 200, 300), Some(digest("c")));
        assert!(!environments.is_settled(250, 900), "the third is to be looked at");
        assert!(!environments.see(&seen("c", 3, 300, 300), Some(digest("c"))));
        assert!(environments.is_settled(250, 900));
        let doubt = Some(Doubt::Uncertain { environments: vec![digest("b"), digest("c")] });
        assert_eq!(environments.of(None, 220, 230), RanIn { digest: Some(digest("b")), doubt });
        assert_eq!(environments.of(None, 300, 310), certain("c"));
    }

    #[test]
    fn environments_that_are_alike_cause_no_doubt() {
        let mut environments = two();
        environments.change(change(2, 200, 210));
        // The same again under another digest.
        assert!(environments.see(&seen("b", 2, 200, 210), Some(digest("b2"))));
        assert_eq!(environments.of(None, 190, 220), certain("b"));
        assert_eq!(environments.of(None, 215, 220), certain("b2"));
    }

    #[test]
    fn with_a_container_an_exchange_waits_a_little_for_what_the_engine_tells() {
        let mut environments = two();
        environments.all[0].follows = true;
        assert!(!environments.is_settled(300, 300) && environments.is_settled(300, 300 + SETTLE_NS));
    }

    #[test]
    fn which_replica_it_was_is_told_by_its_address_or_by_nothing_and_equal_ones_need_no_telling() {
        let container = |mode: &str, address: &str| {
            let value = exchange::VariableValue::Plain(mode.to_owned());
            let config = exchange::ContainerConfig {
                variables: vec![exchange::Variable { name: "MODE".to_owned(), value }],
                addresses: vec![address.to_owned()],
                ..exchange::ContainerConfig::default()
            };
            let identity = exchange::ContainerIdentity { image: exchange::ImageIdentity::default(), config };
            let subject = Subject::Container(Box::new(identity));
            Fingerprint { subject, host: HostEnvironment::default(), packages: Vec::new() }
        };
        let mut replicas = Replicas::new(2, true);
        let mut look = |replica: usize, mode: &str, address: &str, from_ns: u64| {
            let fingerprint = Some(container(mode, address));
            let seen = Seen { replica, fingerprint, ..seen("", 0, from_ns, from_ns) };
            replicas.see(&seen, Some(digest(address)));
        };
        look(0, "a", "10.0.0.2", 0);
        look(1, "a", "10.0.0.3", 0);
        look(1, "b", "10.0.0.4", 100);
        let told = |address: &str| Some(address.parse().unwrap());
        assert_eq!(replicas.of(told("10.0.0.9"), 1, 2), certain("10.0.0.2"));
        assert_eq!(replicas.of(told("10.0.0.4"), 200, 210), certain("10.0.0.4"));
        assert_eq!(replicas.of(told("10.0.0.2"), 50, 210), certain("10.0.0.2"));
        let doubt = Doubt::OneOf { environments: vec![digest("10.0.0.2"), digest("10.0.0.4")] };
        let expected = RanIn { digest: Some(digest("10.0.0.2")), doubt: Some(doubt) };
        assert_eq!(replicas.of(None, 200, 210), expected);
        assert_eq!(replicas.of(told("127.0.0.1"), 200, 210), expected);
    }
}
