//! Which environment an exchange ran in, by when it began and ended.
//!
//! In: what was seen, with the times between which one environment ceased to hold and the next one did. Out: for each exchange
//! the fingerprint that held when it began, and what is not certain of that.

use exchange::{Digest, Doubt, Fingerprint};

use crate::queue::{Change, Seen};

/// Fingerprints that are kept, the latest. A choice: exchanges that began before still have the digest.
const KEPT_MAX: usize = 16;

/// How long an exchange waits after its end before it is written, in nanoseconds: what the engine tells of its container's
/// change comes a little after it. A choice.
const SETTLE_NS: u64 = 200_000_000;

/// Environments of one session, in the order in which they held.
#[derive(Debug, Default)]
pub(super) struct Environments {
    all: Vec<Held>,
    /// Something happened, and was not looked at yet.
    changing: Option<Change>,
    /// True when changes are to be expected at any time.
    follows_container: bool,
}

/// An environment that held.
#[derive(Debug)]
struct Held {
    digest: Option<Digest>,
    /// `None` for one that is not kept any more.
    fingerprint: Option<Fingerprint>,
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
    /// None yet. `follows_container` where they are a container's, which may change.
    pub(super) fn new(follows_container: bool) -> Self {
        Self { follows_container, ..Self::default() }
    }

    /// Something happened.
    pub(super) fn change(&mut self, change: Change) {
        match &mut self.changing {
            // It may have been another one since the first of them.
            Some(earlier) => *earlier = Change { ceased_ns: earlier.ceased_ns.min(change.ceased_ns), ..change },
            none => *none = Some(change),
        }
    }

    /// It was looked at: true where it is another environment than the one before.
    pub(super) fn see(&mut self, seen: &Seen, digest: Option<Digest>) -> bool {
        if self.changing.as_ref().is_some_and(|changing| changing.number <= seen.number) {
            self.changing = None;
        }
        let is_known = digest.is_some() && self.all.last().is_some_and(|last| last.digest == digest);
        let Some(fingerprint) = seen.fingerprint.as_ref().filter(|_| !is_known) else { return false };
        let alike = |held: &&Held| held.fingerprint.as_ref().is_some_and(|other| other.is_like(fingerprint));
        let kind = self.all.iter().find(alike).map_or(self.all.len(), |held| held.kind);
        let (earliest_ns, from_ns) = (seen.ceased_ns.min(seen.from_ns), seen.from_ns);
        self.all.push(Held { digest, fingerprint: Some(fingerprint.clone()), earliest_ns, from_ns, kind });
        if let Some(old) = self.all.len().checked_sub(KEPT_MAX + 1) {
            self.all[old].fingerprint = None;
        }
        true
    }

    /// True when all is known that there will be of an exchange that ended then.
    pub(super) fn is_settled(&self, ended_ns: u64, now_ns: u64) -> bool {
        let is_before = |change: &Change| ended_ns <= change.ceased_ns;
        self.changing.as_ref().is_none_or(is_before) && now_ns >= self.settles_ns(ended_ns)
    }

    /// When it is, if nothing happens until then.
    pub(super) fn settles_ns(&self, ended_ns: u64) -> u64 {
        if self.follows_container { ended_ns.saturating_add(SETTLE_NS) } else { ended_ns }
    }

    /// The environment of an exchange that was under way between these times.
    pub(super) fn of(&self, started_ns: u64, ended_ns: u64) -> RanIn {
        let next = |number: usize| self.all.get(number + 1).map_or(u64::MAX, |next| next.from_ns);
        // At an end of its time an environment held, or did not: it is asked for more than an instant.
        let held = |&(number, held): &(usize, &Held)| {
            started_ns < next(number) && (number == 0 || ended_ns > held.earliest_ns || started_ns >= held.from_ns)
        };
        let maybe: Vec<&Held> = self.all.iter().enumerate().filter(held).map(|(_, held)| held).collect();
        let unseen = self.changing.as_ref().filter(|change| ended_ns > change.ceased_ns);
        if self.all.is_empty() || unseen.is_some_and(|change| started_ns >= change.from_ns) {
            return RanIn::default();
        }
        let digest = maybe.first().and_then(|held| held.digest);
        let are_alike = maybe.windows(2).all(|two| two[0].kind == two[1].kind);
        let is_certain = are_alike && unseen.is_none();
        let mut environments: Vec<Digest> = maybe.iter().filter_map(|held| held.digest).collect();
        environments.dedup();
        let doubt = (!is_certain && !environments.is_empty()).then_some(Doubt::Uncertain { environments });
        RanIn { digest, doubt }
    }

    /// The fingerprints of these digests that are kept.
    pub(super) fn fingerprints<'a>(&'a self, ran_in: &'a RanIn) -> impl Iterator<Item = &'a Fingerprint> {
        let doubted = ran_in.doubt.as_ref().map(Doubt::environments).unwrap_or_default();
        let is_meant =
            |held: &&Held| held.digest.is_some_and(|digest| ran_in.digest == Some(digest) || doubted.contains(&digest));
        self.all.iter().filter(is_meant).filter_map(|held| held.fingerprint.as_ref())
    }

    /// Since when the last one holds, and until when the one before it did.
    pub(super) fn last_times(&self) -> (u64, u64) {
        self.all.last().map(|last| (last.from_ns, last.earliest_ns)).unwrap_or_default()
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
        Seen { fingerprint: Some(fingerprint), container: Some("web".to_owned()), number, ceased_ns, from_ns }
    }

    fn change(number: u64, ceased_ns: u64, from_ns: u64) -> Change {
        Change { number, id: "0f".to_owned(), ceased_ns, from_ns, had_another: true }
    }

    /// `a` until something between 100 and 120, `b` from then on.
    fn two() -> Environments {
        let mut environments = Environments::default();
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
        assert_eq!(environments.of(10, 99), certain("a"));
        assert_eq!(environments.of(10, 100), certain("a"));
        assert_eq!(environments.of(120, 130), certain("b"));
        assert_eq!(environments.of(200, 200), certain("b"));
        let doubt = Some(Doubt::Uncertain { environments: vec![digest("a"), digest("b")] });
        for (started_ns, ended_ns) in [(10, 130), (10, 101), (105, 110), (119, 500)] {
            assert_eq!(
                environments.of(started_ns, ended_ns),
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
        assert_eq!(environments.of(390, 470), certain("b"));
    }

    #[test]
    fn a_change_that_was_never_looked_at_leaves_an_exchange_uncertain_and_later_ones_unknown() {
        let mut environments = two();
        environments.change(change(2, 400, 410));
        let doubt = Some(Doubt::Uncertain { environments: vec![digest("b")] });
        assert_eq!(environments.of(300, 405), RanIn { digest: Some(digest("b")), doubt });
        assert_eq!(environments.of(410, 420), RanIn::default());
        assert_eq!(environments.of(300, 400), certain("b"));
    }

    #[test]
    fn environments_that_are_alike_cause_no_doubt() {
        let mut environments = two();
        environments.change(change(2, 200, 210));
        // The same again under another digest.
        assert!(environments.see(&seen("b", 2, 200, 210), Some(digest("b2"))));
        assert_eq!(environments.of(190, 220), certain("b"));
        assert_eq!(environments.of(215, 220), certain("b2"));
    }

    #[test]
    fn with_a_container_an_exchange_waits_a_little_for_what_the_engine_tells() {
        let environments = Environments { follows_container: true, ..two() };
        assert!(!environments.is_settled(300, 300) && environments.is_settled(300, 300 + SETTLE_NS));
    }
}
