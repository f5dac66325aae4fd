//! Which exchanges the options of `ls`, `grep`, `export` and `scrub` choose: by what the index holds, so that nothing else is read,
//! but for the model where no capture noted it.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use bundle::{Archive, Entry};
use diff::Route;
use exchange::{Annotation, Id};

use crate::{args::Select, clock::Clock, trouble::Trouble};

/// Titles of which it is remembered whether they are on a route. A choice.
const TITLES_KEPT_MAX: usize = 4096;

/// The options, read.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    routes: Vec<RoutePattern<'a>>,
    /// Whether a title is on one of them, of those seen last: most exchanges have the title of another.
    on_route: RefCell<HashMap<Arc<str>, bool>>,
    /// When sessions and runs began, of those that were met.
    began: RefCell<HashMap<Id, Option<u64>>>,
    /// From when until when, in nanoseconds since 1970; `None` for any time.
    times_unix_ns: Option<(u64, u64)>,
    options: &'a Select,
}

/// A method, or any, and a path in which `*` is any one segment.
#[derive(Debug)]
struct RoutePattern<'a> {
    method: Option<&'a str>,
    segments: Vec<&'a str>,
}

impl<'a> Selection<'a> {
    /// Reads the options.
    ///
    /// # Errors
    /// When a route is no route.
    pub(crate) fn of(options: &'a Select) -> Result<Self, Trouble> {
        let routes = options.routes.iter().map(|text| RoutePattern::of(text)).collect::<Result<_, _>>()?;
        let has_times = options.since.is_some() || options.until.is_some();
        let times_unix_ns = has_times.then(|| {
            let now_unix_ns = Clock::start().started_unix_ns;
            let since = options.since.as_ref().map_or(0, |moment| moment.unix_ns(now_unix_ns));
            (since, options.until.as_ref().map_or(u64::MAX, |moment| moment.unix_ns(now_unix_ns)))
        });
        Ok(Self { routes, on_route: RefCell::default(), began: RefCell::default(), times_unix_ns, options })
    }

    /// True when every kind of option that was given chooses this exchange of an archive.
    pub(crate) fn chooses(&self, archive: &Archive, entry: &Entry) -> bool {
        self.chooses_by_entry(entry)
            && self.times_unix_ns.is_none_or(|times| self.is_within(times, archive, entry))
            && (self.options.models.is_empty() || self.is_of_model(archive, entry))
    }

    fn chooses_by_entry(&self, entry: &Entry) -> bool {
        let options = self.options;
        let by_status = |status: u16| options.statuses.iter().any(|range| range.contains(&status));
        let by_name = |name: &str| options.dependencies.iter().any(|wanted| wanted == name);
        (self.routes.is_empty() || self.is_on_route(&entry.title))
            && (options.statuses.is_empty() || entry.status.is_some_and(by_status))
            && (options.dependencies.is_empty() || entry.dependency.as_deref().is_some_and(by_name))
            && options.slower_than.is_none_or(|least| entry.took() >= least)
            && options.wheres.iter().all(|(name, value)| has_value(entry, name, value))
            && options.conversation.as_ref().is_none_or(|id| is_of_conversation(entry, id))
            && !(options.ingress && entry.dependency.is_some())
            && !(options.failed && is_fine(entry))
    }

    fn is_within(&self, (since, until): (u64, u64), archive: &Archive, entry: &Entry) -> bool {
        let mut known = self.began.borrow_mut();
        let began = *known.entry(entry.session).or_insert_with(|| archive.began_unix_ns().get(&entry.session).copied());
        began.is_some_and(|began| (since..until).contains(&began.saturating_add(entry.started_ns)))
    }

    /// By what the capture noted; of other recordings by what the exchange pins, which is read for it.
    fn is_of_model(&self, archive: &Archive, entry: &Entry) -> bool {
        let is_wanted =
            |json: &str| serde_json::from_str::<String>(json).is_ok_and(|name| self.options.models.contains(&name));
        match entry.context.annotation(Annotation::MODEL).and_then(|note| note.value.as_deref()) {
            Some(noted) => is_wanted(noted),
            None => archive
                .exchange(&entry.id)
                .is_ok_and(|exchange| exchange.seeds.iter().any(|seed| seed.is_model() && is_wanted(&seed.value))),
        }
    }

    fn is_on_route(&self, title: &Arc<str>) -> bool {
        let mut known = self.on_route.borrow_mut();
        if let Some(is_on_route) = known.get(title) {
            return *is_on_route;
        }
        if known.len() >= TITLES_KEPT_MAX {
            known.clear();
        }
        let is_on_route = self.routes.iter().any(|route| route.matches(title));
        known.insert(Arc::clone(title), is_on_route);
        is_on_route
    }
}

/// True when the value was kept under the name: as JSON, or as the text that it is.
fn has_value(entry: &Entry, name: &str, value: &str) -> bool {
    let kept = entry.context.annotation(name).and_then(|annotation| annotation.value.as_deref());
    let is_text = |kept: &str| serde_json::from_str::<String>(kept).is_ok_and(|text| text == value);
    kept.is_some_and(|kept| kept == value || is_text(kept))
}

fn is_of_conversation(entry: &Entry, id: &str) -> bool {
    entry.context.conversation.as_ref().is_some_and(|conversation| conversation.id.starts_with(id))
}

pub(crate) fn is_fine(entry: &Entry) -> bool {
    entry.end == exchange::End::Complete.word() && entry.status.is_some_and(|status| status < 500)
}

impl<'a> RoutePattern<'a> {
    fn of(text: &'a str) -> Result<Self, Trouble> {
        let (method, path) = match text.trim().split_once(' ') {
            Some((method, path)) => (Some(method).filter(|method| *method != "*"), path.trim()),
            None => (None, text.trim()),
        };
        if !path.starts_with('/') {
            return Err(Trouble::new(format!("`{text}` is no route"))
                .help("a route is a path, or a method and a path: 'POST /tickets/*'"));
        }
        Ok(Self { method, segments: path.split('/').collect() })
    }

    fn matches(&self, title: &str) -> bool {
        let (method, target) = title.split_once(' ').unwrap_or_default();
        let route = Route::new(method, target);
        let segments: Vec<&str> = route.path.split('/').collect();
        let fits = |(wanted, found): (&&str, &&str)| *wanted == "*" || wanted == found;
        self.method.is_none_or(|method| method == route.method)
            && self.segments.len() == segments.len()
            && self.segments.iter().zip(&segments).all(fits)
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Annotation, Context, Conversation, ConversationSource, Id};

    use super::*;

    fn entry(title: &str, status: u16, dependency: Option<&str>) -> Entry {
        Entry {
            id: Id([1; 16]),
            session: Id([2; 16]),
            sequence: 0,
            dependency: dependency.map(Into::into),
            parent: None,
            certainty: None,
            candidates: Vec::new(),
            title: title.into(),
            status: Some(status),
            end: "complete",
            started_ns: 0,
            ended_ns: 0,
            request_len: 0,
            response_len: None,
            whole: true,
            fingerprint: None,
            context: std::sync::Arc::default(),
            original: None,
            repeat: None,
        }
    }

    fn note((name, value): (&str, &str)) -> Annotation {
        Annotation { name: name.to_owned(), value: Some(value.to_owned()) }
    }

    #[test]
    fn what_was_noted_chooses_as_it_is_written_or_as_it_reads() {
        let wheres = |pairs: &[(&str, &str)]| Select {
            wheres: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Select::default()
        };
        assert_eq!(chosen(wheres(&[("label", "billing"), ("tokens", "42")])), [0]);
        assert_eq!(chosen(wheres(&[("label", r#""billing""#)])), [0]);
        assert_eq!(chosen(wheres(&[("label", "other")])), [] as [usize; 0]);
        assert_eq!(chosen(Select { conversation: Some("thread".to_owned()), ..Select::default() }), [0]);
    }

    fn chosen(options: Select) -> Vec<usize> {
        let mut cut = entry("GET /tickets/7/notes", 200, None);
        cut.end = "client gone";
        let mut noted = entry("POST /tickets?draft=1", 200, None);
        noted.context = Context {
            annotations: [("label", r#""billing""#), ("tokens", "42")].map(note).to_vec(),
            conversation: Some(Conversation { id: "thread-1".to_owned(), how: ConversationSource::Given }),
            ..Context::default()
        }
        .into();
        noted.ended_ns = 2_000_000;
        let entries = [noted, cut, entry("POST /v1/chat", 503, Some("model")), entry("GET /tickets/8", 404, None)];
        let selection = Selection::of(&options).unwrap();
        (0..entries.len()).filter(|&place| selection.chooses_by_entry(&entries[place])).collect()
    }

    #[test]
    fn options_of_one_kind_are_alternatives_and_kinds_narrow_each_other() {
        let routes = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(Select::default()), [0, 1, 2, 3]);
        assert_eq!(chosen(Select { routes: routes(&["/tickets/*"]), ..Select::default() }), [3]);
        assert_eq!(
            chosen(Select { routes: routes(&["POST /tickets", "GET /tickets/*/notes"]), ..Select::default() }),
            [0, 1]
        );
        assert_eq!(chosen(Select { failed: true, ..Select::default() }), [1, 2]);
        assert_eq!(chosen(Select { failed: true, ingress: true, ..Select::default() }), [1]);
        assert_eq!(chosen(Select { statuses: vec![400..=499, 503..=503], ..Select::default() }), [2, 3]);
        assert_eq!(chosen(Select { dependencies: routes(&["model"]), ..Select::default() }), [2]);
        let slower_than = Some(std::time::Duration::from_millis(2));
        assert_eq!(chosen(Select { slower_than, ..Select::default() }), [0]);
    }

    #[test]
    fn a_route_without_a_path_is_refused() {
        let options = Select { routes: vec!["POST".to_owned()], ..Select::default() };
        assert!(Selection::of(&options).unwrap_err().to_string().contains("'POST /tickets/*'"));
    }
}
