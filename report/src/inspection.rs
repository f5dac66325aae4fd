//! What a recording holds, and what a replay of it needs: read before it is trusted.
//!
//! In: counts, sessions, the fingerprint and the pseudonyms, as `cli` read them. Out: a page that ends with the command to
//! type, or the same as a document. Nothing of the recording is run or believed for it.

use std::collections::BTreeMap;

use bundle::Entry;
use exchange::{
    ContainerIdentity, Digest, Fingerprint, HostEnvironment, Limits, Listener, Mount, ProcessIdentity, Session,
    Subject, Variable, VariableValue,
};
use serde::Serialize;

use crate::{Style, Table, bytes, escape_line, instant, json};

/// All that the page shows.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection<'a> {
    /// As the SOURCE was named.
    pub source: &'a str,
    /// The bundle's digest; a store, which still grows, has none.
    pub digest: Option<Digest>,
    /// False where something of it is damaged; `retake verify` says what.
    pub whole: bool,
    /// Capture sessions, oldest first.
    pub sessions: &'a [Session],
    /// Replays in it.
    pub runs: usize,
    /// Exchanges counted by route.
    pub routes: Vec<RouteCount>,
    /// Environments that its exchanges ran in.
    pub environments: usize,
    /// The environment of most exchanges.
    pub fingerprint: Option<&'a Fingerprint>,
    /// The image, where it ran in one.
    pub image: Option<ImagePlace>,
    /// What stands for credentials, the most frequent first.
    pub pseudonyms: &'a [Pseudonym],
}

/// Exchanges of one route and status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteCount {
    /// The dependency that was called; `None` for calls of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// Method and path, what looks like an id as `*`.
    pub route: String,
    /// By status; 0 where there was no answer.
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
    /// In how many exchanges.
    pub count: u64,
}

/// Counts exchanges by who was called, route and status.
pub fn count_routes(entries: &[Entry]) -> Vec<RouteCount> {
    let mut counts: BTreeMap<(Option<String>, String), BTreeMap<u16, u64>> = BTreeMap::new();
    for entry in entries {
        let key = (entry.dependency.clone(), route_of(&entry.title));
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
            /// To be filled in where it says `HERE` or `FILE`.
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
        mounts.into_iter().flatten().filter(|mount| mount.kind != "tmpfs" && mount.files != Some(0))
    }

    fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let variables = self.fingerprint.map(Fingerprint::variables).unwrap_or_default();
        let is_secret = |variable: &&Variable| matches!(variable.value, VariableValue::Secret { .. });
        variables.iter().filter(is_secret).map(|variable| variable.name.as_str())
    }

    /// The command that replays it, with all that it may need.
    fn command(&self) -> String {
        let mut words = vec!["retake replay".to_owned(), quoted(self.source)];
        words.extend(self.mounts().map(|mount| format!("--mount {}", quoted(&format!("{}=HERE", mount.path)))));
        words.extend(self.secret_variables().map(|name| format!("--env {}", quoted(name))));
        words.extend((!self.pseudonyms.is_empty()).then(|| "--secrets FILE".to_owned()));
        if !matches!(self.subject(), Some(Subject::Container(_) | Subject::Process(_))) {
            words.push("--target URL".to_owned());
        }
        words.join(" ")
    }
}

/// The page for a person.
pub fn inspection_page(inspection: &Inspection<'_>, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    page.line("source", &source_words(inspection));
    for session in inspection.sessions {
        page.session(session);
    }
    page.routes(&inspection.routes);
    match inspection.subject() {
        Some(Subject::Container(container)) => page.container(container, inspection.image),
        Some(Subject::Process(process)) => page.process(process),
        Some(Subject::Unknown) | None => {
            page.line("ran in", "not recorded: neither a container nor a process was named")
        }
    }
    if let Some(fingerprint) = inspection.fingerprint {
        page.variables(fingerprint.variables());
        page.host(&fingerprint.host, fingerprint.packages.len(), inspection.environments);
    }
    page.pseudonyms(inspection.pseudonyms);
    let has_secrets = inspection.secret_variables().next().is_some() || !inspection.pseudonyms.is_empty();
    let title = if has_secrets { "To replay it (secrets that are left out get stand-ins):" } else { "To replay it:" };
    page.text += &format!("\n{} {}\n", style.bold(title), escape_line(&inspection.command()));
    page.text
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn line(&mut self, label: &str, words: &str) {
        if !words.is_empty() {
            self.text += &format!("{} {}\n", self.style.dim(&format!("{label:<12}")), escape_line(words));
        }
    }

    fn heading(&mut self, text: &str) {
        self.text += &format!("\n{}\n", self.style.bold(text));
    }

    fn session(&mut self, session: &Session) {
        let version = session.service_version.as_ref().map(|version| format!(", service version {version}"));
        let words = format!(
            "{} of {} by retake {}{}",
            session.id.short(),
            instant(session.started.wall_unix_ns),
            session.tool_version,
            version.unwrap_or_default()
        );
        self.line("session", &words);
        for listener in &session.listeners {
            self.line("", &listener_words(listener));
        }
    }

    fn routes(&mut self, routes: &[RouteCount]) {
        self.heading("Exchanges");
        let mut table = Table::new(&["OF", "ROUTE", ">COUNT", "STATUS"]);
        for route in routes {
            let of = route.dependency.clone().unwrap_or_else(|| "clients".to_owned());
            let statuses: Vec<_> = route.statuses.iter().map(|(status, count)| status_words(*status, *count)).collect();
            let total: u64 = route.statuses.values().sum();
            table.row([of, route.route.clone(), total.to_string(), statuses.join(", ")]);
        }
        self.text += &table.to_text(self.style);
    }

    fn container(&mut self, container: &ContainerIdentity, place: Option<ImagePlace>) {
        let (image, config) = (&container.image, &container.config);
        self.heading("Container");
        let digests = image.config_digest.iter().chain(&image.repository_digests).cloned().collect::<Vec<_>>();
        self.line("image", &[image.tags.join(", "), digests.join(", ")].join("  "));
        self.line("", &place.map(place_words).unwrap_or_default());
        self.line("command", &[&config.entrypoint[..], &config.command].concat().join(" "));
        self.line("user", &config.user);
        self.line("folder", &config.working_dir);
        let ports = config.ports.iter().map(|port| format!("{}/{} from {}", port.container, port.protocol, port.host));
        self.line("ports", &ports.collect::<Vec<_>>().join(", "));
        self.line("health", &config.health.as_ref().map(|health| health.test.join(" ")).unwrap_or_default());
        self.line("limits", &limit_words(&config.limits));
        self.line("root", if config.read_only { "read-only" } else { "" });
        let devices = config.devices.iter().cloned().chain(config.gpus.iter().map(|gpus| format!("GPUs: {gpus}")));
        self.line("devices", &devices.collect::<Vec<_>>().join(", "));
        for mount in &config.mounts {
            self.line("mount", &mount_words(mount));
        }
    }

    fn process(&mut self, process: &ProcessIdentity) {
        self.heading("Process");
        let digest = process.digest.map(|digest| format!("  blake3:{digest}")).unwrap_or_default();
        self.line("executable", &format!("{}{digest}", process.executable));
        self.line("command", &process.arguments.join(" "));
        self.line("folder", &process.working_dir);
        for (path, digest) in &process.files {
            self.line("file", &format!("{path}  blake3:{digest}"));
        }
    }

    fn variables(&mut self, variables: &[Variable]) {
        if variables.is_empty() {
            return;
        }
        self.heading("Variables");
        for variable in variables {
            let words = match &variable.value {
                VariableValue::Plain(value) => format!("{}={value}", variable.name),
                VariableValue::Secret { .. } => {
                    format!("{}: a secret; give it with `--env {}`", variable.name, variable.name)
                }
            };
            self.text += &format!("{}\n", escape_line(&words));
        }
    }

    fn host(&mut self, host: &HostEnvironment, packages: usize, environments: usize) {
        self.heading("Machine");
        self.line("processor", &format!("{} × {} ({})", host.cpu_count, host.cpu_model, host.architecture));
        self.line("memory", &bytes(host.memory_bytes));
        self.line("kernel", &host.kernel);
        self.line("engine", host.engine.as_deref().unwrap_or_default());
        let gpus = host.gpus.iter().map(|gpu| format!("{} (driver {})", gpu.model, gpu.driver));
        self.line("gpu", &gpus.collect::<Vec<_>>().join(", "));
        self.line("packages", &packages.to_string());
        if environments > 1 {
            self.line("", &format!("and {} more environments; this is that of most exchanges", environments - 1));
        }
    }

    fn pseudonyms(&mut self, pseudonyms: &[Pseudonym]) {
        if pseudonyms.is_empty() {
            return;
        }
        self.heading("Credentials, by what stands for them; lines for a file that `--secrets` names");
        for pseudonym in pseudonyms {
            let comment = format!("# {} × {}", pseudonym.count, pseudonym.places.join(", "));
            let line = format!("{}=VALUE", pseudonym.text);
            self.text += &format!("{}\n{}\n", self.style.dim(&escape_line(&comment)), escape_line(&line));
        }
    }
}

fn source_words(inspection: &Inspection<'_>) -> String {
    let digest = inspection.digest.map(|digest| format!("  blake3:{digest}")).unwrap_or_default();
    let damaged = if inspection.whole { "" } else { "; damaged, `retake verify` says where" };
    let runs = if inspection.runs > 0 { format!("; {} replays", inspection.runs) } else { String::new() };
    format!("{}{digest}{runs}{damaged}", inspection.source)
}

fn listener_words(listener: &Listener) -> String {
    match (&listener.dependency, &listener.forward_proxy) {
        (_, Some(_)) => format!("a forward proxy at {}", listener.listen),
        (Some(name), _) => format!("dependency {name}: {}, listened for at {}", listener.upstream, listener.listen),
        (None, _) => format!("clients: {}, listened for at {}", listener.upstream, listener.listen),
    }
}

fn status_words(status: u16, count: u64) -> String {
    if status == 0 { format!("no answer × {count}") } else { format!("{status} × {count}") }
}

fn place_words(place: ImagePlace) -> String {
    let inside = if place.inside { "in the recording" } else { "not in the recording" };
    let here = match place.here {
        Some(true) => "on this machine",
        Some(false) => "not on this machine",
        None => "no container engine answers here (`retake doctor`)",
    };
    format!("{inside}, {here}")
}

fn limit_words(limits: &Limits) -> String {
    let memory = limits.memory_bytes.map(|memory| format!("memory {}", bytes(memory)));
    let hundredths = |nanos: u64| nanos % 1_000_000_000 / 10_000_000;
    let cpus = limits.cpu_nanos.map(|nanos| format!("{}.{:02} CPUs", nanos / 1_000_000_000, hundredths(nanos)));
    let set = limits.cpu_set.as_ref().map(|set| format!("CPUs {set}"));
    let pids = limits.pids.map(|pids| format!("{pids} processes"));
    let words: Vec<_> = [memory, cpus, set, pids].into_iter().flatten().chain(limits.ulimits.iter().cloned()).collect();
    words.join(", ")
}

fn mount_words(mount: &Mount) -> String {
    let access = if mount.read_only { "read-only" } else { "writable" };
    let content = match (mount.digest, mount.files, mount.bytes) {
        (Some(digest), Some(files), Some(len)) => {
            let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
            format!(", {files}, {}, blake3:{}", bytes(len), &digest.to_string()[..12])
        }
        _ if mount.kind == "tmpfs" => String::new(),
        _ => ", content not recorded".to_owned(),
    };
    let what = format!("{} {}", mount.kind, mount.source);
    format!("{}: {}, {access}{content}", mount.path, what.trim_end())
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=:@+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use exchange::{ContainerConfig, ImageIdentity};

    use super::*;

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
            sessions: &[],
            runs: 0,
            routes: vec![RouteCount {
                dependency: None,
                route: "POST /tickets".to_owned(),
                statuses: BTreeMap::from([(200, 5), (500, 1)]),
            }],
            environments: usize::from(fingerprint.is_some()),
            fingerprint,
            image: fingerprint.map(|_| ImagePlace { inside: false, here: Some(true) }),
            pseudonyms,
        }
    }

    #[test]
    fn the_page_says_what_a_replay_needs_and_ends_with_the_command() {
        let pseudonym =
            Pseudonym { text: "tok-xyz".to_owned(), places: vec!["request header:authorization".to_owned()], count: 6 };
        let fingerprint = fingerprint();
        let pseudonyms = [pseudonym];
        let page = inspection_page(&inspected(Some(&fingerprint), &pseudonyms), Style::PLAIN);
        insta::assert_snapshot!(page);
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
