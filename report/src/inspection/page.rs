//! The page for a person: what a replay needs, what was recorded, and the command to type.
//!
//! What needs nobody's attention is counted, and listed with [`Detail::All`].

use exchange::{
    ContainerIdentity, HostEnvironment, Limits, Listener, Mount, Package, ProcessIdentity, Session, Subject, Variable,
    VariableValue,
};

use replayer::Unanswerable;

use super::{
    Accepted, EnvironmentLine, ImagePlace, Inspection, ModelCount, NoiseLine, Pseudonym, RouteCount, is_asked_for,
    weighty::Weights,
};
use crate::{SignatureFound, Style, Table, bytes, escape_line, instant};

/// How much of the environment is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What matters for a replay, the rest counted.
    Weighty,
    /// Every variable and package.
    All,
}

/// The page.
pub fn inspection_page(inspection: &Inspection<'_>, detail: Detail, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    page.line("source", &source_words(inspection));
    page.line("signature", &inspection.signature.map(SignatureFound::words).unwrap_or_default());
    for session in inspection.sessions {
        page.session(session);
    }
    for accepted in inspection.accepted {
        page.line("accepted", &accepted_words(accepted));
    }
    page.needs(inspection);
    page.routes(&inspection.routes);
    page.environments(inspection.environments);
    match inspection.subject() {
        Some(Subject::Container(container)) => page.container(container),
        Some(Subject::Process(process)) => page.process(process),
        Some(Subject::Unknown) | None => {}
    }
    if let Some(fingerprint) = inspection.fingerprint {
        let weights = Weights::of(inspection.sessions, fingerprint);
        page.variables(fingerprint.variables(), &weights, detail);
        page.host(&fingerprint.host);
        page.packages(&fingerprint.packages, detail);
    }
    page.noise(inspection.noise);
    page.pseudonyms(inspection.pseudonyms);
    let title = if inspection.asks_for_secrets() {
        "To replay it (secrets that are left out get stand-ins):"
    } else {
        "To replay it:"
    };
    page.text += &format!("\n{} {}\n", style.bold(title), escape_line(&inspection.command()));
    page.text
}

fn accepted_words(accepted: &Accepted) -> String {
    let mut words = format!("{} answer{}", accepted.answers, if accepted.answers == 1 { "" } else { "s" });
    if let Some(run) = accepted.run {
        words += &format!(" of run {run}");
    }
    if let Some(at_unix_ns) = accepted.at_unix_ns {
        words += &format!(" on {}", instant(at_unix_ns));
    }
    if let Some(digest) = accepted.replaces {
        words += &format!(", in place of those of the bundle {digest}");
    }
    words
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

    /// What has to be there, or to be given, before it can be replayed.
    fn needs(&mut self, inspection: &Inspection<'_>) {
        self.heading("A replay needs");
        match inspection.subject() {
            Some(Subject::Container(container)) => {
                let image = &container.image;
                let digests = image.config_digest.iter().chain(&image.repository_digests).cloned().collect::<Vec<_>>();
                self.line("image", &[image.tags.join(", "), digests.join(", ")].join("  "));
                self.line("", &inspection.image.map(place_words).unwrap_or_default());
                let ports = container.config.ports.iter();
                let ports = ports.map(|port| format!("{}/{} from {}", port.container, port.protocol, port.host));
                self.line("ports", &ports.collect::<Vec<_>>().join(", "));
            }
            Some(Subject::Process(process)) => {
                let digest = process.digest.map(|digest| format!("  blake3:{digest}")).unwrap_or_default();
                self.line("executable", &format!("{}{digest}", process.executable));
                for (path, digest) in &process.files {
                    self.line("file", &format!("{path}  blake3:{digest}"));
                }
                for (path, digest) in &process.secret_files {
                    // No other program gets at this digest.
                    self.line("file", &format!("{path}  salted:{digest}"));
                }
            }
            Some(Subject::Unknown) | None => {
                self.line("service", "one that runs: neither a container nor a process was recorded");
            }
        }
        for mount in inspection.mounts() {
            self.line("mount", &mount_words(mount));
        }
        for connections in inspection.unanswerable {
            self.line("dependency", &unanswerable_words(connections, inspection.takes_servers()));
        }
        for name in inspection.secret_variables() {
            self.line("secret", &format!("the variable {name}: `--env {name}`"));
        }
        if !inspection.pseudonyms.is_empty() {
            let lines = inspection.pseudonyms.len();
            let lines = if lines == 1 { "1 credential".to_owned() } else { format!("{lines} credentials") };
            self.line("secret", &format!("{lines}, listed below: `--secrets FILE`"));
        }
        for model in inspection.models {
            self.line("model", &model_words(model));
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

    fn container(&mut self, container: &ContainerIdentity) {
        let config = &container.config;
        self.heading("Container");
        self.line("command", &[&config.entrypoint[..], &config.command].concat().join(" "));
        self.line("user", &config.user);
        self.line("folder", &config.working_dir);
        self.line("health", &config.health.as_ref().map(|health| health.test.join(" ")).unwrap_or_default());
        self.line("limits", &limit_words(&config.limits));
        self.line("root", if config.read_only { "read-only" } else { "" });
        let devices = config.devices.iter().cloned().chain(config.gpus.iter().map(|gpus| format!("GPUs: {gpus}")));
        self.line("devices", &devices.collect::<Vec<_>>().join(", "));
        let names = config.extra_hosts.iter().map(|(name, address)| format!("{name} is {address}"));
        self.line("hosts", &names.collect::<Vec<_>>().join(", "));
        for mount in config.mounts.iter().filter(|mount| !is_asked_for(mount)) {
            self.line("mount", &mount_words(mount));
        }
    }

    fn process(&mut self, process: &ProcessIdentity) {
        self.heading("Process");
        self.line("command", &process.arguments.join(" "));
        self.line("folder", &process.working_dir);
    }

    fn variables(&mut self, variables: &[Variable], weights: &Weights<'_>, detail: Detail) {
        let plain = variables.iter().filter_map(|variable| match &variable.value {
            VariableValue::Plain(value) => Some((variable, value)),
            VariableValue::Secret { .. } => None,
        });
        let (shown, rest): (Vec<_>, Vec<_>) =
            plain.partition(|(variable, _)| detail == Detail::All || weights.weighs(variable));
        if shown.is_empty() && rest.is_empty() {
            return;
        }
        self.heading("Variables");
        for (variable, value) in &shown {
            self.text += &format!("{}\n", escape_line(&format!("{}={value}", variable.name)));
        }
        self.folded(rest.len(), if shown.is_empty() { "" } else { "and " }, " more of the image's or the shell's");
    }

    /// A line for what is not listed.
    fn folded(&mut self, count: usize, before: &str, what: &str) {
        if count > 0 {
            let line = format!("{before}{count}{what}; `--all` lists them");
            self.text += &format!("{}\n", self.style.dim(&line));
        }
    }

    /// From when to when each environment held; one alone needs no list.
    fn environments(&mut self, environments: &[EnvironmentLine]) {
        if environments.len() < 2 {
            return;
        }
        self.heading("Environments (what follows is of that of most exchanges)");
        let mut table = Table::new(&["FINGERPRINT", "FROM (UTC)", "UNTIL", ">EXCHANGES", "WHAT"]);
        for line in environments {
            let uncertain = if line.uncertain > 0 { format!(" ({} uncertain)", line.uncertain) } else { String::new() };
            table.row([
                line.fingerprint.short(),
                line.from_unix_ns.map_or_else(|| "unknown".to_owned(), instant),
                line.until_unix_ns.map_or_else(|| "the end".to_owned(), instant),
                format!("{}{uncertain}", line.exchanges),
                line.what.clone(),
            ]);
        }
        self.text += &table.to_text(self.style);
    }

    fn host(&mut self, host: &HostEnvironment) {
        self.heading("Machine");
        self.line("processor", &format!("{} × {} ({})", host.cpu_count, host.cpu_model, host.architecture));
        self.line("memory", &bytes(host.memory_bytes));
        self.line("kernel", &host.kernel);
        self.line("engine", host.engine.as_deref().unwrap_or_default());
        let gpus = host.gpus.iter().map(|gpu| format!("{} (driver {})", gpu.model, gpu.driver));
        self.line("gpu", &gpus.collect::<Vec<_>>().join(", "));
    }

    fn packages(&mut self, packages: &[Package], detail: Detail) {
        if packages.is_empty() {
            return;
        }
        self.heading("Packages");
        if detail == Detail::Weighty {
            return self.folded(packages.len(), "", "");
        }
        let mut table = Table::new(&["OF", "PACKAGE", "VERSION"]);
        for package in packages {
            table.row([package.ecosystem.clone(), package.name.clone(), package.version.clone()]);
        }
        self.text += &table.to_text(self.style);
    }

    /// Profiles by version: what they know, and which of them are of no use any more.
    fn noise(&mut self, profiles: &[NoiseLine]) {
        if profiles.is_empty() {
            return;
        }
        self.heading("Measured noise");
        let mut table = Table::new(&["VERSION", ">PLACES", ">COMPARED", "ROUTES", "IN"]);
        for profile in profiles {
            let version = if profile.stale {
                format!("{} (nothing else of it is here)", profile.version)
            } else {
                profile.version.clone()
            };
            let routes = match &profile.routes[..] {
                [] => "none differed".to_owned(),
                [first] => first.clone(),
                [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            };
            let compared = format!("{} or more", profile.compared_min);
            table.row([version, profile.places.to_string(), compared, routes, profile.from.clone()]);
        }
        self.text += &table.to_text(self.style);
        if profiles.iter().any(|profile| profile.stale && profile.alone) {
            self.line("", "`retake gc --stale-noise` removes files that have such profiles alone");
        }
    }

    fn pseudonyms(&mut self, pseudonyms: &[Pseudonym]) {
        if pseudonyms.is_empty() {
            return;
        }
        self.heading("Credentials, by what stands for them; lines for a file that `--secrets` names");
        for pseudonym in pseudonyms {
            let count = if pseudonym.count > 0 { format!("{} × ", pseudonym.count) } else { String::new() };
            let comment = format!("# {count}{}", pseudonym.places.join(", "));
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
    if status == 0 { format!("no status × {count}") } else { format!("{status} × {count}") }
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

fn model_words(model: &ModelCount) -> String {
    let of = model.dependency.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    format!(
        "{}{of}, asked {}",
        model.model,
        if model.count == 1 { "once".to_owned() } else { format!("{} times", model.count) }
    )
}

fn unanswerable_words(connections: &Unanswerable, takes_servers: bool) -> String {
    let Unanswerable { dependency, why, count, in_part } = connections;
    let whose = if *count == 1 { "1 connection: it".to_owned() } else { format!("{count} connections: each") };
    let what = if *in_part { "for what came later " } else { "" };
    let real =
        if takes_servers { format!("a real one, `--beside {dependency}=IMAGE`") } else { "`--target URL`".to_owned() };
    format!("{dependency}, {whose} {why}; {what}{real}")
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
            // With secrets in it no other program gets at this digest.
            let hash = if mount.salt.is_some() { "salted" } else { "blake3" };
            format!(", {files}, {}, {hash}:{}", bytes(len), &digest.to_string()[..12])
        }
        _ if mount.kind == "tmpfs" => String::new(),
        _ => ", content not recorded".to_owned(),
    };
    let what = format!("{} {}", mount.kind, mount.source);
    format!("{}: {}, {access}{content}", mount.path, what.trim_end())
}
