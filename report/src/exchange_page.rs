//! One exchange, whole: heads, bodies, times, and what surrounds it.

mod turns;

use bundle::Entry;
use content::base64;
use exchange::{
    Certainty, End, Exchange, Fingerprint, Head, HostEnvironment, ImageIdentity, SeedPlace, Session, Subject, Transport,
};
use serde_json::{Value, json};

use crate::{
    StreamPace, Style,
    body::{BodyView, pretty_body},
    bytes, escape_line, instant, json as document, span,
    trajectory::trajectory_lines,
};

/// An exchange and what is shown with it.
#[derive(Clone, Copy, Debug)]
pub struct ExchangePage<'a> {
    /// The exchange.
    pub exchange: &'a Exchange,
    /// Its session; `None` where it is not in the source.
    pub session: Option<&'a Session>,
    /// The dependency calls that were, or may have been, made for it.
    pub children: &'a [&'a Entry],
    /// In a run: its calls against production's, where they differ.
    pub trajectory: Option<&'a diff::Trajectory>,
    /// The environment it ran in.
    pub fingerprint: Option<&'a Fingerprint>,
    /// Kept bytes of the request's body, from the beginning.
    pub request_body: &'a [u8],
    /// Kept bytes of the response's body, from the beginning.
    pub response_body: &'a [u8],
}

/// The page for a person.
pub fn exchange_page(page: &ExchangePage<'_>, style: Style) -> String {
    let mut text = facts(page, style);
    if let Some(trajectory) = page.trajectory {
        text += &trajectory_lines(trajectory, style);
    }
    let exchange = page.exchange;
    if is_conversation(exchange) {
        return text + &turns::turns(page, style);
    }
    text += &title(style, "Request", exchange.request.body.len);
    text += &head(&exchange.request.head, style);
    text += &pretty_body(&page.view(&exchange.request.head, &exchange.request.body, page.request_body), style);
    for interim in &exchange.interim {
        text += &format!("\n{}\n", style.bold("Interim response"));
        text += &head(&interim.head, style);
    }
    match &exchange.response {
        Some(response) => {
            text += &title(style, "Response", response.body.len);
            text += &head(&response.head, style);
            text += &pretty_body(&page.view(&response.head, &response.body, page.response_body), style);
        }
        None => text += &format!("\n{}\n", style.bold("No response")),
    }
    text
}

impl<'a> ExchangePage<'a> {
    /// The whole record with both bodies as a document of schema `retake.exchange`.
    pub fn to_json(&self) -> String {
        let wall = self.session.map(|session| session.started.wall_at(self.exchange.times.started_ns));
        let children: Vec<_> = self.children.iter().map(|child| child.id).collect();
        document::document(
            "exchange",
            &json!({
                "exchange": self.exchange,
                "started_unix_ns": wall,
                "request_body": body_value(self.request_body),
                "response_body": body_value(self.response_body),
                "children": children,
                "stream": self.pace(),
                "trajectory": self.trajectory,
                "fingerprint": self.fingerprint,
            }),
        )
    }

    /// How its answer came, where that is a stream whose body is whole here.
    fn pace(&self) -> Option<StreamPace> {
        let body = &self.exchange.response.as_ref()?.body;
        (self.response_body.len() as u64 == body.kept_len())
            .then(|| StreamPace::of(self.exchange, self.response_body))?
    }

    fn view(&self, head: &'a Head, body: &'a exchange::Body, bytes: &'a [u8]) -> BodyView<'a> {
        BodyView { head, body, bytes, started_ns: self.exchange.times.started_ns }
    }
}

/// Bytes as sent: `text` where they are UTF-8, else `base64`.
fn body_value(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": base64::encode(bytes) }),
    }
}

fn title(style: Style, name: &str, len: u64) -> String {
    format!("\n{} {}\n", style.bold(name), style.dim(&format!("({} of body)", bytes(len))))
}

/// A head as it was on the socket, its start line apart.
fn head(head: &Head, style: Style) -> String {
    let raw = String::from_utf8_lossy(&head.bytes);
    let mut lines = raw.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).map(escape_line);
    let mut text = match lines.next().filter(|line| !line.is_empty()) {
        Some(line) => format!("{}\n", style.cyan(&line)),
        None => return format!("{}\n", style.dim("(no head)")),
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        text += &format!("{}{}{value}\n", style.dim(name), style.dim(":"));
    }
    text + "\n"
}

/// The facts above the heads, one a line, names aligned.
fn facts(page: &ExchangePage<'_>, style: Style) -> String {
    let exchange = page.exchange;
    let mut facts: Vec<(&str, String)> = vec![("id", exchange.id.to_string()), ("what", what(exchange))];
    facts.push(("began", began(page)));
    facts.push(("times", times(exchange)));
    facts.extend(page.pace().map(|pace| ("stream", pace.words())));
    facts.push(("end", end(&exchange.end)));
    facts.extend(parent(exchange).map(|parent| ("parent", parent)));
    facts.extend(page.children.iter().map(|child| ("called", call(child))));
    facts.extend(exchange.trace.as_ref().map(|trace| {
        (
            "trace",
            format!(
                "{} span {}{}",
                trace.trace_id,
                trace.span_id,
                if trace.made { " (made by the proxy)" } else { "" }
            ),
        )
    }));
    facts.extend(exchange.seeds.iter().map(|seed| ("seed", seed_fact(seed))));
    facts.extend(notes(exchange));
    facts.extend(exchange.redactions.iter().map(|it| ("redacted", format!("{} × {}", it.count, it.place))));
    facts.extend(exchange.repeats.as_ref().map(|repeats| {
        let original = repeats.original.map_or_else(|| "nothing recorded".to_owned(), |id| id.to_string());
        ("repeats", format!("{original} (repeat {}) at {}", repeats.repeat, repeats.target))
    }));
    facts.extend(exchange.context.doubt.iter().map(|doubt| ("ran in", doubt.words())));
    facts.extend(page.fingerprint.map(environment).unwrap_or_default());
    facts
        .into_iter()
        .map(|(name, fact)| format!("{}  {}\n", style.dim(&format!("{name:<8}")), escape_line(&fact)))
        .collect()
}

fn what(exchange: &Exchange) -> String {
    let who = match exchange.role.dependency() {
        None => "a client's request to the service".to_owned(),
        Some(name) => format!("a call of the service to `{name}`"),
    };
    match exchange.transport {
        Transport::Http1 => format!("{}: {who}", exchange.title()),
        Transport::Upgraded => format!("{}: {who}, then bytes both ways", exchange.title()),
        Transport::Raw if is_conversation(exchange) => {
            format!("a connection of the service to `{}`", exchange.role.dependency().unwrap_or_default())
        }
        Transport::Raw => format!("{who}: bytes that are no HTTP/1.x message, both ways"),
    }
}

/// True for a connection to a dependency that was recorded as what it is, no HTTP.
fn is_conversation(exchange: &Exchange) -> bool {
    exchange.transport == Transport::Raw && exchange.role.dependency().is_some() && exchange.role.parent().is_none()
}

fn began(page: &ExchangePage<'_>) -> String {
    let since = page.exchange.times.started_ns;
    match page.session {
        Some(session) => {
            let wall = instant(session.started.wall_at(since));
            format!("{wall} UTC, {} into session {}", span(since), session.id.short())
        }
        None => format!("{} into a session that is not here", span(since)),
    }
}

/// Times as the proxy saw them.
fn times(exchange: &Exchange) -> String {
    let times = &exchange.times;
    let since =
        |at_ns: Option<u64>| at_ns.map_or_else(|| "never".to_owned(), |at| span(at.saturating_sub(times.started_ns)));
    format!(
        "request in {}, answer after {}, ended after {} (the proxy's)",
        since(times.request_ended_ns),
        since(times.response_started_ns),
        since(Some(times.ended_ns)),
    )
}

fn end(end: &End) -> String {
    match end {
        End::Unreachable { reason } => format!("{}: {reason}", end.word()),
        other => other.word().to_owned(),
    }
}

fn parent(exchange: &Exchange) -> Option<String> {
    let parent = exchange.role.parent()?;
    Some(match parent.certainty {
        Certainty::Recorded => format!("{} (its trace context says so)", parent.id),
        Certainty::Inferred => format!("{} (inferred: it was the only one in flight)", parent.id),
        Certainty::Ambiguous => {
            let others: Vec<String> = parent.candidates.iter().map(exchange::Id::short).collect();
            format!("{} or another (ambiguous: {})", parent.id, others.join(", "))
        }
    })
}

fn call(child: &Entry) -> String {
    let name = child.dependency.as_deref().unwrap_or("?");
    let status = child.status.map_or_else(|| child.end.to_owned(), |status| status.to_string());
    let mark = if child.certainty == Some(Certainty::Recorded) { "" } else { " (not certain)" };
    format!("{} {name}: {} → {status}{mark}", child.id.short(), child.title)
}

/// What another tool recorded, and what it did not.
fn imported_line(imported: &exchange::Imported) -> String {
    let lacks: Vec<_> = imported.lacks.iter().map(|lack| lack.words()).collect();
    let without = if lacks.is_empty() { String::new() } else { format!(", without {}", lacks.join("; ")) };
    format!("from {}{without}", imported.format)
}

/// What the user named, and the conversation, and where it was imported from.
fn notes(exchange: &Exchange) -> Vec<(&'static str, String)> {
    let conversation = exchange.context.conversation.as_ref();
    let conversation = conversation.map(|it| ("talk", format!("{} ({})", it.id, it.how.words())));
    let annotations = exchange.context.annotations.iter().map(|note| {
        let value = note.value.as_deref().unwrap_or("(longer than is kept)");
        ("noted", format!("{} = {}", note.name, shortened(value)))
    });
    let imported = exchange.context.imported.iter().map(|it| ("imported", imported_line(it)));
    conversation.into_iter().chain(annotations).chain(imported).collect()
}

/// A value on one line; `--json` has all of it.
fn shortened(value: &str) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 200;
    match value.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}… ({})", &value[..end], bytes(value.len() as u64)),
        None => value.to_owned(),
    }
}

fn seed_fact(seed: &exchange::Seed) -> String {
    let place = match seed.place {
        SeedPlace::Request => "request",
        SeedPlace::Response => "response",
    };
    format!("{place} {} = {}", seed.pointer, seed.value)
}

/// The environment in a few lines.
fn environment(fingerprint: &Fingerprint) -> Vec<(&'static str, String)> {
    let host = &fingerprint.host;
    let mut facts = match &fingerprint.subject {
        Subject::Container(container) => vec![
            ("image", image(&container.image)),
            ("command", [&container.config.entrypoint[..], &container.config.command[..]].concat().join(" ")),
        ],
        Subject::Process(process) => {
            vec![("process", format!("{} {}", process.executable, process.arguments.join(" ")))]
        }
        Subject::Unknown => vec![("service", "not known: the capture was not told container or process".to_owned())],
    };
    facts.push(("host", machine(host)));
    facts
}

/// The machine, as far as it is known.
fn machine(host: &HostEnvironment) -> String {
    let known = |is_known: bool, text: String| Some(text).filter(|_| is_known);
    let words = [
        known(true, host.architecture.clone()),
        known(host.cpu_count > 0, format!("{} × {}", host.cpu_count, or_unknown(&host.cpu_model))),
        known(host.memory_bytes > 0, bytes(host.memory_bytes)),
        known(!host.kernel.is_empty(), format!("kernel {}", host.kernel)),
        known(!host.gpus.is_empty(), host.gpus.iter().map(|gpu| gpu.model.as_str()).collect::<Vec<_>>().join(", ")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "CPU of unknown model" } else { text }
}

fn image(image: &ImageIdentity) -> String {
    let by_digest = image.config_digest.as_deref().or(image.repository_digests.first().map(String::as_str));
    let identity = by_digest.map_or_else(|| format!("{} layers", image.layers.len()), str::to_owned);
    match image.tags.first() {
        Some(tag) => format!("{identity} ({tag})"),
        None => identity,
    }
}

#[cfg(test)]
mod tests;
