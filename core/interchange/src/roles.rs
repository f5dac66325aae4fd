//! Which entries are a client's requests, and which the service's own calls.

use std::collections::VecDeque;

use exchange::{Certainty, Id, Parent, Role};

use crate::Origin;

/// Ingress exchanges that are remembered to find the parents of calls. A choice: what is in flight at one time.
const RECENT_MAX: usize = 256;
/// Candidates that an ambiguous parent names, as a capture has it.
const CANDIDATES_MAX: usize = 16;

/// What was said of hosts. Nothing said: every entry is ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Hosts that are the service. Where any is given, entries to all others are dependency calls.
    pub ingress: Vec<String>,
    /// Names of dependencies, each with its host.
    pub dependencies: Vec<(String, String)>,
}

impl Roles {
    /// The dependency's name, or `None` for the service: what is named, else by its host where only the service is.
    pub fn dependency_at(&self, origin: &Origin) -> Option<String> {
        if let Some((name, _)) = self.dependencies.iter().find(|(_, host)| origin.is_at(host)) {
            return Some(name.clone());
        }
        let is_service = self.ingress.is_empty() || self.ingress.iter().any(|host| origin.is_at(host));
        (!is_service).then(|| origin.authority.clone())
    }
}

/// An ingress exchange that may be a parent.
#[derive(Clone, Debug)]
struct Candidate {
    id: Id,
    trace_id: Option<String>,
    started_ns: u64,
    ended_ns: u64,
}

/// The latest ingress exchanges, from which the parents of dependency calls are told.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Candidate>);

impl Recent {
    /// Remembers an ingress exchange.
    pub(crate) fn note(&mut self, id: Id, trace_id: Option<String>, started_ns: u64, ended_ns: u64) {
        if self.0.len() == RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Candidate { id, trace_id, started_ns, ended_ns });
    }

    /// The role of a call that began then: its parent is the one with its trace id, else whatever was in flight.
    pub(crate) fn call(&self, name: String, trace_id: Option<&str>, at_ns: u64) -> Role {
        let in_flight = |it: &&Candidate| (it.started_ns..=it.ended_ns).contains(&at_ns);
        let traced: Vec<Id> = self
            .0
            .iter()
            .filter(|it| trace_id.is_some() && it.trace_id.as_deref() == trace_id)
            .map(|it| it.id)
            .collect();
        if let [id] = traced[..] {
            return Role::Dependency {
                name,
                parent: Some(Parent { id, certainty: Certainty::Recorded, candidates: Vec::new() }),
            };
        }
        let candidates: Vec<Id> = self.0.iter().filter(in_flight).map(|it| it.id).take(CANDIDATES_MAX).collect();
        let parent = match candidates[..] {
            [] => None,
            [id] => Some(Parent { id, certainty: Certainty::Inferred, candidates: Vec::new() }),
            [id, ..] => Some(Parent { id, certainty: Certainty::Ambiguous, candidates }),
        };
        Role::Dependency { name, parent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::split(url).unwrap().0
    }

    #[test]
    fn hosts_are_the_service_unless_something_else_is_said() {
        let (service, model) = (origin("http://app:9000/"), origin("https://llm.example/"));
        let named = vec![("model".to_owned(), "llm.example".to_owned())];
        assert_eq!(Roles::default().dependency_at(&model), None);
        let roles = Roles { ingress: vec!["app".to_owned()], dependencies: Vec::new() };
        assert_eq!(
            (roles.dependency_at(&service), roles.dependency_at(&model)),
            (None, Some("llm.example".to_owned()))
        );
        let roles = Roles { ingress: Vec::new(), dependencies: named };
        assert_eq!((roles.dependency_at(&service), roles.dependency_at(&model)), (None, Some("model".to_owned())));
    }

    #[test]
    fn a_call_belongs_to_its_trace_else_to_what_was_in_flight() {
        let mut recent = Recent::default();
        let [one, other] = [Id([1; 16]), Id([2; 16])];
        recent.note(one, Some("t1".to_owned()), 0, 100);
        recent.note(other, None, 50, 200);
        let parent = |trace, at| recent.call("model".to_owned(), trace, at).parent().cloned();
        assert_eq!(parent(Some("t1"), 150).map(|it| (it.id, it.certainty)), Some((one, Certainty::Recorded)));
        assert_eq!(parent(None, 150).map(|it| (it.id, it.certainty)), Some((other, Certainty::Inferred)));
        assert_eq!(parent(None, 70).map(|it| it.candidates), Some(vec![one, other]));
        assert_eq!(parent(None, 300), None);
    }
}
