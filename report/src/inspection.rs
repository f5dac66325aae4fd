//! What a recording holds, and what a replay of it needs: read before it is trusted.
//!
//! In: counts, sessions, the fingerprint and the pseudonyms, as `cli` read them. Out: a page that ends with the command to
//! type, or the same as a document. Nothing of the recording is run or believed for it.

mod page;
mod weighty;

use std::collections::{BTreeMap, BTreeSet};

use bundle::{ANSWERS_ACCEPTED, Entry};
use exchange::{
    ContainerIdentity, Digest, Event, Exchange, Fingerprint, Holding, Id, Mount, Role, SeedPlace, Session, Subject,
    Variable, VariableValue,
};
use replayer::Unanswerable;
use serde::{Deserialize, Serialize};

pub use self::page::{Detail, inspection_page};
use crate::{SignatureFound, json};

/// All that the page shows.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection<'a> {
    /// As the SOURCE was named.
    pub source: &'a str,
    /// The bundle's digest; a store, which still grows, has none.
    pub digest: Option<Digest>,
    /// False where something of it is damaged; `retake verify` says what.
    pub whole: bool,
    /// It was encrypted: a replay asks for the private key again.
    pub encrypted: bool,
    /// The signature beside the file.
    pub signature: Option<&'a SignatureFound>,
    /// Capture sessions, oldest first.
    pub sessions: &'a [Session],
    /// What took answers of runs for right, oldest first.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub accepted: &'a [Accepted],
    /// Replays in it.
    pub runs: usize,
    /// Exchanges counted by route.
    pub routes: Vec<RouteCount>,
    /// Environments that its exchanges ran in, and from when to when they held.
    pub environments: &'a [EnvironmentLine],
    /// The environment of most exchanges.
    pub fingerprint: Option<&'a Fingerprint>,
    /// The image, where it ran in one.
    pub image: Option<ImagePlace>,
    /// What stands for credentials, the most frequent first.
    pub pseudonyms: &'a [Pseudonym],
    /// Models that were asked for.
    pub models: &'a [ModelCount],
    /// Connections that are no HTTP and cannot be answered.
    pub unanswerable: &'a [Unanswerable],
    /// Noise profiles in it; of a store also those of its runs.
    pub noise: &'a [NoiseLine],
}

/// Answers of a run that `retake test --update` put in place of the recorded ones. What of it cannot be read is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// How many exchanges have another answer since.
    pub answers: usize,
    /// Digest of the bundle that this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
    /// The run that they are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Id>,
    /// When, in nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_unix_ns: Option<u64>,
}

/// All that was taken for right, by the events that say so.
pub fn list_accepted(events: impl Iterator<Item = Event>) -> Vec<Accepted> {
    let accepted = events.filter(|event| event.kind == ANSWERS_ACCEPTED).map(|event| Accepted {
        answers: event.links.len(),
        replaces: event.data.get("replaces").and_then(|digest| Digest::deserialize(digest).ok()),
        run: event.data.get("run").and_then(|id| Id::deserialize(id).ok()),
        at_unix_ns: event.data.get("at_unix_ns").and_then(serde_json::Value::as_u64),
    });
    let mut accepted: Vec<_> = accepted.collect();
    accepted.sort_by_key(|it| it.at_unix_ns);
    accepted
}

/// A noise profile, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoiseLine {
    /// The version that it was learned of.
    pub version: String,
    /// True where nothing here, recorded or run, is of that version.
    pub stale: bool,
    /// Where it is: `the recording`, or the file of a run.
    pub from: String,
    /// True where that file has nothing else, as `retake diff --learn` writes it: `retake gc --stale-noise` removes it.
    pub alone: bool,
    /// Places at which answers differed.
    pub places: u64,
    /// Their routes.
    pub routes: Vec<String>,
    /// Comparisons of the exchange that had the fewest.
    pub compared_min: u64,
    /// Runs that it was learned from.
    pub runs: Vec<Id>,
}

/// An environment, from when to when it held, and what ran in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentLine {
    /// Digest of its fingerprint.
    pub fingerprint: Digest,
    /// The session; `None` where it was taken once for whatever there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Id>,
    /// Since when, in nanoseconds since 1970; `None` where its session is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_unix_ns: Option<u64>,
    /// Until when; `None` for until its session ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_unix_ns: Option<u64>,
    /// What ran, in a few words.
    pub what: String,
    /// Exchanges that began in it.
    pub exchanges: u64,
    /// Those among them of which it is not certain.
    pub uncertain: u64,
}

/// Environments with their times and the exchanges that ran in them, in the order of time.
pub fn list_environments<'a>(
    holdings: &[(Id, Holding)],
    fingerprints: &[(Digest, Fingerprint)],
    sessions: &[Session],
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Vec<EnvironmentLine> {
    let what = |digest: &Digest| {
        let found = fingerprints.iter().find(|(other, _)| other == digest);
        found.map(|(_, fingerprint)| subject_words(&fingerprint.subject)).unwrap_or_default()
    };
    let mut lines: Vec<EnvironmentLine> = Vec::new();
    for (session, holding) in holdings {
        lines.push(EnvironmentLine {
            fingerprint: holding.fingerprint,
            session: Some(*session),
            from_unix_ns: Some(holding.from_unix_ns),
            until_unix_ns: holding.until_unix_ns,
            what: what(&holding.fingerprint),
            exchanges: 0,
            uncertain: 0,
        });
    }
    for entry in entries {
        let Some(fingerprint) = entry.fingerprint else { continue };
        let started = sessions.iter().find(|session| session.id == entry.session);
        let started_unix_ns = started.map(|session| session.started.wall_unix_ns);
        let began_unix_ns = started_unix_ns.map(|start| start.saturating_add(entry.started_ns));
        let is_its = |line: &&mut EnvironmentLine| {
            line.fingerprint == fingerprint && line.session.is_none_or(|session| session == entry.session)
        };
        // The same one may have held twice: the later one that had begun.
        let had_begun = |line: &EnvironmentLine| line.from_unix_ns <= began_unix_ns;
        let number = lines.iter_mut().filter(is_its).filter(|line| had_begun(line)).count();
        let found = lines.iter_mut().filter(is_its).nth(number.saturating_sub(1));
        let line = match found {
            Some(line) => line,
            // Nobody followed it: it was taken once, when the session began.
            None => {
                lines.push(EnvironmentLine {
                    fingerprint,
                    session: Some(entry.session),
                    from_unix_ns: started_unix_ns,
                    until_unix_ns: None,
                    what: what(&fingerprint),
                    exchanges: 0,
                    uncertain: 0,
                });
                let last = lines.len() - 1;
                &mut lines[last]
            }
        };
        line.exchanges += 1;
        line.uncertain += u64::from(entry.context.doubt.is_some());
    }
    lines.sort_by_key(|line| line.from_unix_ns);
    lines
}

fn subject_words(subject: &Subject) -> String {
    match subject {
        Subject::Container(container) => {
            let image = &container.image;
            let name = image.tags.first().or(image.config_digest.as_ref()).or(image.repository_digests.first());
            format!("container of {}", name.map_or("an image without a name", String::as_str))
        }
        Subject::Process(process) => process.executable.clone(),
        Subject::Unknown => "not known".to_owned(),
    }
}

/// Exchanges of one route and status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteCount {
    /// The dependency that was called; `None` for calls of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// Method and path, what looks like an id as `*`.
    pub route: String,
    /// By status; 0 where there was none: no answer, or no HTTP.
    pub statuses: BTreeMap<u16, u64>,
}

/// Where the recorded image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ImagePlace {
    /// In the recording itself.
    pub inside: bool,
    /// On this machine; `None` where no container engine answers.
    pub here: Option<bool>,
}

/// What stands for a credential in recorded heads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pseudonym {
    /// Itself: what a line of a secrets file begins with.
    pub text: String,
    /// Where it stands, `request header:authorization` and the like.
    pub places: Vec<String>,
    /// In how many exchanges; 0 where it stands in the service's command alone.
    pub count: u64,
}

/// Exchanges that asked one model of one dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelCount {
    /// The dependency; `None` where clients named the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// The model, as the request named it.
    pub model: String,
    /// How many exchanges.
    pub count: u64,
}

/// Counts models as exchanges go by.
#[derive(Clone, Debug, Default)]
pub struct ModelCounter(BTreeMap<(Option<String>, String), u64>);

impl ModelCounter {
    /// Takes the model that the request of an exchange named, if it did.
    pub fn take(&mut self, exchange: &Exchange) {
        let dependency = match &exchange.role {
            Role::Ingress => None,
            Role::Dependency { name, .. } => Some(name.clone()),
        };
        let named = exchange.seeds.iter().find(|seed| seed.place == SeedPlace::Request && seed.pointer == "/model");
        if let Some(seed) = named {
            let model = seed.value.trim_matches('"').to_owned();
            *self.0.entry((dependency, model)).or_default() += 1;
        }
    }

    /// The counts, by dependency and model.
    pub fn counts(self) -> Vec<ModelCount> {
        let count = |((dependency, model), count)| ModelCount { dependency, model, count };
        self.0.into_iter().map(count).collect()
    }
}

/// Counts exchanges by who was called, route and status.
pub fn count_routes<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<RouteCount> {
    let mut counts: BTreeMap<(Option<String>, String), BTreeMap<u16, u64>> = BTreeMap::new();
    for entry in entries {
        let key = (entry.dependency.as_deref().map(str::to_owned), route_of(&entry.title));
        *counts.entry(key).or_default().entry(entry.status.unwrap_or_default()).or_default() += 1;
    }
    let count = |((dependency, route), statuses)| RouteCount { dependency, route, statuses };
    counts.into_iter().map(count).collect()
}

/// Method and path without query, with `*` for segments that look like ids.
fn route_of(title: &str) -> String {
    let title = title.split('?').next().unwrap_or_default();
    let general = |segment: &str| if looks_like_an_id(segment) { "*".to_owned() } else { segment.to_owned() };
    title.split('/').map(general).collect::<Vec<_>>().join("/")
}

/// Digits, a UUID, or at least eight hexadecimal digits with one of 0 to 9 among them.
fn looks_like_an_id(segment: &str) -> bool {
    let all = |is: fn(&u8) -> bool| !segment.is_empty() && segment.bytes().all(|byte| is(&byte));
    let has_digit = segment.bytes().any(|byte| byte.is_ascii_digit());
    all(u8::is_ascii_digit)
        || (has_digit && segment.len() >= 8 && all(|byte| byte.is_ascii_hexdigit() || *byte == b'-'))
}

impl Inspection<'_> {
    /// The page for a machine: schema `retake.inspection/0`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            inspection: &'a Inspection<'a>,
            /// To be filled in where it says `HERE`, `IMAGE` or `FILE`.
            replay: String,
        }
        json::document("inspection", &Document { inspection: self, replay: self.command() })
    }

    fn subject(&self) -> Option<&Subject> {
        self.fingerprint.map(|fingerprint| &fingerprint.subject)
    }

    fn container(&self) -> Option<&ContainerIdentity> {
        self.subject().and_then(|subject| match subject {
            Subject::Container(container) => Some(&**container),
            _ => None,
        })
    }

    /// Mounts that a replay may have to be given.
    fn mounts(&self) -> impl Iterator<Item = &Mount> {
        let mounts = self.container().map(|container| &container.config.mounts);
        mounts.into_iter().flatten().filter(|mount| is_asked_for(mount))
    }

    fn asks_for_secrets(&self) -> bool {
        self.secret_variables().next().is_some() || !self.pseudonyms.is_empty()
    }

    fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let variables = self.fingerprint.map(Fingerprint::variables).unwrap_or_default();
        let is_secret = |variable: &&Variable| matches!(variable.value, VariableValue::Secret { .. });
        variables.iter().filter(is_secret).map(|variable| variable.name.as_str())
    }

    /// True where a replay has a network that a real server can be put in.
    fn takes_servers(&self) -> bool {
        self.container().is_some()
    }

    /// Dependencies that have to be there for real.
    fn wanted_servers(&self) -> impl Iterator<Item = &str> {
        let whole = self.unanswerable.iter().filter(|it| self.takes_servers() && !it.in_part);
        let names: BTreeSet<&str> = whole.map(|it| it.dependency.as_str()).collect();
        names.into_iter()
    }

    /// The command that replays it, with all that it may need.
    fn command(&self) -> String {
        let mut words = vec!["retake replay".to_owned(), quoted(self.source)];
        words.extend(self.encrypted.then(|| "--identity KEYFILE".to_owned()));
        words.extend(self.mounts().map(|mount| format!("--mount {}", quoted(&format!("{}=HERE", mount.path)))));
        words.extend(self.secret_variables().map(|name| format!("--env {}", quoted(name))));
        words.extend(self.wanted_servers().map(|name| format!("--beside {}", quoted(&format!("{name}=IMAGE")))));
        words.extend((!self.pseudonyms.is_empty()).then(|| "--secrets FILE".to_owned()));
        if !matches!(self.subject(), Some(Subject::Container(_) | Subject::Process(_))) {
            words.push("--target URL".to_owned());
        }
        words.join(" ")
    }
}

/// False for what a replay makes by itself.
fn is_asked_for(mount: &Mount) -> bool {
    mount.kind != "tmpfs" && mount.files != Some(0)
}

/// As a shell takes it for one word.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=:@+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use exchange::{ContainerConfig, HostEnvironment, ImageIdentity, Package};

    use super::*;
    use crate::{Style, instant};

    fn secret() -> VariableValue {
        VariableValue::Secret { salt: "00".repeat(16), hash: "00".repeat(32), stand_in: "xyz".to_owned() }
    }

    fn fingerprint() -> Fingerprint {
        let config = ContainerConfig {
            entrypoint: vec!["/serve".to_owned()],
            user: "1000".to_owned(),
            variables: vec![
                Variable { name: "API_KEY".to_owned(), value: secret() },
                Variable { name: "MODE".to_owned(), value: VariableValue::Plain("\u{1b}[2J".to_owned()) },
            ],
            mounts: vec![
                Mount {
                    path: "/models".to_owned(),
                    kind: "bind".to_owned(),
                    source: "/srv/my models".to_owned(),
                    read_only: true,
                    digest: Some(Digest::of(b"weights")),
                    bytes: Some(7),
                    files: Some(1),
                    ..Mount::default()
                },
                Mount { path: "/tmp".to_owned(), kind: "tmpfs".to_owned(), ..Mount::default() },
            ],
            ..ContainerConfig::default()
        };
        let image = ImageIdentity {
            config_digest: Some("sha256:0f".to_owned()),
            tags: vec!["triage:v3".to_owned()],
            ..ImageIdentity::default()
        };
        let subject = Subject::Container(Box::new(ContainerIdentity { image, config }));
        Fingerprint { subject, host: HostEnvironment::default(), packages: Vec::new() }
    }

    fn inspected<'a>(fingerprint: Option<&'a Fingerprint>, pseudonyms: &'a [Pseudonym]) -> Inspection<'a> {
        Inspection {
            source: "case.retake",
            digest: None,
            whole: true,
            encrypted: false,
            signature: None,
            sessions: &[],
            accepted: &[],
            runs: 0,
            routes: vec![RouteCount {
                dependency: None,
                route: "POST /tickets".to_owned(),
                statuses: BTreeMap::from([(200, 5), (500, 1)]),
            }],
            environments: &[],
            fingerprint,
            image: fingerprint.map(|_| ImagePlace { inside: false, here: Some(true) }),
            pseudonyms,
            models: &[],
            noise: &[],
            unanswerable: &[],
        }
    }

    #[test]
    fn what_cannot_be_answered_from_bytes_asks_for_a_real_one_where_a_replay_has_room_for_it() {
        let of = |dependency: &str, count, in_part| Unanswerable {
            dependency: dependency.to_owned(),
            why: "is encrypted, which differs with every connection",
            count,
            in_part,
        };
        let unanswerable = [of("cache", 1, true), of("db", 3, false)];
        let fingerprint = fingerprint();
        let inspection = Inspection { unanswerable: &unanswerable, ..inspected(Some(&fingerprint), &[]) };
        let page = inspection_page(&inspection, Detail::Weighty, Style::PLAIN);
        for line in [
            "\ndependency   db, 3 connections: each is encrypted, which differs with every connection; a real one, `--beside db=IMAGE`\n",
            "\ndependency   cache, 1 connection: it is encrypted, which differs with every connection; for what came later a real \
             one, `--beside cache=IMAGE`\n",
        ] {
            assert!(page.contains(line), "{page}");
        }
        assert!(inspection.command().contains(" --beside db=IMAGE") && !inspection.command().contains("cache"));
        let nobodys = Inspection { unanswerable: &unanswerable, ..inspected(None, &[]) };
        let page = inspection_page(&nobodys, Detail::Weighty, Style::PLAIN);
        assert!(page.contains("each is encrypted, which differs with every connection; `--target URL`"), "{page}");
        assert!(!nobodys.command().contains("--beside"));
    }

    #[test]
    fn what_an_update_replaced_is_told_and_what_cannot_be_read_of_it_is_not_made_up() {
        let event = |data| Event {
            id: Id([1; 16]),
            session: None,
            at_ns: 0,
            kind: ANSWERS_ACCEPTED.to_owned(),
            actor: String::new(),
            subject: String::new(),
            links: vec![Id([2; 16]), Id([3; 16])],
            data,
        };
        let told = serde_json::json!({
            "replaces": Digest([0xab; 32]), "run": Id([0xcd; 16]), "at_unix_ns": 1_795_460_651_000_000_000_u64,
        });
        let other = Event { kind: "deploy".to_owned(), ..event(told.clone()) };
        let accepted = list_accepted([event(told), other, event(serde_json::json!({ "replaces": 7 }))].into_iter());
        let page =
            inspection_page(&Inspection { accepted: &accepted, ..inspected(None, &[]) }, Detail::All, Style::PLAIN);
        let lines: Vec<_> = page.lines().filter(|line| line.starts_with("accepted")).collect();
        assert_eq!(
            lines,
            [
                "accepted     2 answers".to_owned(),
                format!(
                    "accepted     2 answers of run {} on {}, in place of those of the bundle {}",
                    "cd".repeat(16),
                    instant(1_795_460_651_000_000_000),
                    "ab".repeat(32)
                ),
            ]
        );
        let document: serde_json::Value =
            serde_json::from_str(&Inspection { accepted: &accepted, ..inspected(None, &[]) }.to_json()).unwrap();
        assert_eq!(document["accepted"][1]["replaces"], "ab".repeat(32));
    }

    #[test]
    fn the_page_says_what_a_replay_needs_and_ends_with_the_command() {
        let pseudonym =
            Pseudonym { text: "tok-xyz".to_owned(), places: vec!["request header:authorization".to_owned()], count: 6 };
        let fingerprint = fingerprint();
        let pseudonyms = [pseudonym];
        let models = [ModelCount { dependency: Some("llm".to_owned()), model: "small-1".to_owned(), count: 6 }];
        let inspection = Inspection { models: &models, ..inspected(Some(&fingerprint), &pseudonyms) };
        insta::assert_snapshot!(inspection_page(&inspection, Detail::Weighty, Style::PLAIN));
    }

    #[test]
    fn what_needs_no_attention_is_counted_and_listed_on_demand() {
        let mut fingerprint = fingerprint();
        let Subject::Container(container) = &mut fingerprint.subject else { panic!("it is a container's") };
        let lang = Variable { name: "LANG".to_owned(), value: VariableValue::Plain("C".to_owned()) };
        container.image.runtime.variables = vec![lang.clone()];
        container.config.variables.push(lang);
        let package =
            |name: &str| Package { ecosystem: "dpkg".to_owned(), name: name.to_owned(), version: "1".to_owned() };
        fingerprint.packages = vec![package("libc6"), package("zlib1g")];
        let inspection = inspected(Some(&fingerprint), &[]);
        let page = inspection_page(&inspection, Detail::Weighty, Style::PLAIN);
        assert!(page.contains("and 1 more of the image's or the shell's; `--all` lists them\n"), "{page}");
        assert!(page.contains("\n2; `--all` lists them\n") && !page.contains("libc6"), "{page}");
        let page = inspection_page(&inspection, Detail::All, Style::PLAIN);
        assert!(page.contains("\nLANG=C\n") && page.contains("dpkg  zlib1g   1\n"), "{page}");
        assert!(!page.contains("`--all`"), "{page}");
    }

    #[test]
    fn environments_are_listed_with_their_times_and_what_ran_in_them_when_one_was_there_twice() {
        let fingerprint = fingerprint();
        let (one, other, session) = (Digest::of(b"1"), Digest::of(b"2"), Id([9; 16]));
        let held = |fingerprint, from_s: u64, until_s: Option<u64>| {
            let (from_unix_ns, until_unix_ns) = (from_s * 1_000_000_000, until_s.map(|it| it * 1_000_000_000));
            (session, Holding { fingerprint, from_unix_ns, until_unix_ns })
        };
        let holdings = [held(one, 100, Some(110)), held(other, 111, Some(120)), held(one, 121, None)];
        let entry = |fingerprint, at_s: u64, doubt| Entry {
            session,
            started_ns: at_s * 1_000_000_000,
            fingerprint: Some(fingerprint),
            context: exchange::Context { doubt, ..exchange::Context::default() }.into(),
            ..crate::exchange_list::tests::entry(1, "GET /", None, None)
        };
        let doubt = Some(exchange::Doubt::Uncertain { environments: vec![one, other] });
        let entries = [entry(one, 1, None), entry(one, 9, doubt), entry(other, 12, None), entry(one, 22, None)];
        let sessions = [Session {
            started: exchange::ClockPair { monotonic_ns: 0, wall_unix_ns: 100_000_000_000 },
            ..crate::exchange_list::tests::session()
        }];
        let fingerprints = [(one, fingerprint.clone())];
        let lines = list_environments(&holdings, &fingerprints, &sessions, &entries);
        let counts: Vec<_> = lines.iter().map(|line| (line.exchanges, line.uncertain)).collect();
        assert_eq!(counts, [(2, 1), (1, 0), (1, 0)]);
        let inspection = Inspection { environments: &lines, ..inspected(Some(&fingerprint), &[]) };
        let page = inspection_page(&inspection, Detail::Weighty, Style::PLAIN);
        let from = page.find("Environments").unwrap();
        insta::assert_snapshot!(page[from..].lines().take(5).collect::<Vec<_>>().join("\n"), @r"
        Environments (what follows is of that of most exchanges)
        FINGERPRINT   FROM (UTC)               UNTIL                          EXCHANGES  WHAT
        d63bd9a826af  1970-01-01 00:01:40.000  1970-01-01 00:01:50.000  2 (1 uncertain)  container of triage:v3
        813e9b729141  1970-01-01 00:01:51.000  1970-01-01 00:02:00.000                1
        d63bd9a826af  1970-01-01 00:02:01.000  the end                                1  container of triage:v3
        ");
        // Without events: once, since the session began.
        let lines = list_environments(&[], &fingerprints, &sessions, &entries[..2]);
        assert_eq!((lines.len(), lines[0].exchanges, lines[0].from_unix_ns), (1, 2, Some(100_000_000_000)));
    }

    #[test]
    fn what_is_of_nobody_is_replayed_against_an_address() {
        assert_eq!(inspected(None, &[]).command(), "retake replay case.retake --target URL");
        let odd = Inspection { source: "my case'.retake", ..inspected(None, &[]) };
        assert_eq!(odd.command(), "retake replay 'my case'\\''.retake' --target URL");
    }

    #[test]
    fn routes_have_a_star_for_what_looks_like_an_id() {
        assert_eq!(route_of("GET /users/17/orders/3fa9c1d2?x=1"), "GET /users/*/orders/*");
        assert_eq!(route_of("GET /9d5c1c0e-6c2b-4b8e-9a51-0c6f5a0b3d11"), "GET /*");
        assert_eq!(route_of("POST /v1/chat/completions"), "POST /v1/chat/completions");
        assert_eq!(route_of("GET /deadbeef/decade"), "GET /deadbeef/decade");
    }
}
