//! `retake capture`: record a service until it ends, or until told to stop.

mod notice;

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc};

use capture::{
    Annotate, AnnotateError, Bound, BoundForward, CaptureError, Clock, Dependency, DependencyError, ForwardSettings,
    Service, Settings, Started, Summary,
};
use exchange::SessionCounts;
use report::{Table, json};
use serde_json::json;

use super::replay::stop_on_signals;
use crate::{
    args::CaptureArgs,
    authority::AuthorityFolder,
    console::Console,
    exit::Exit,
    trouble::{Trouble, trouble_from},
};

trouble_from!(CaptureError, DependencyError, AnnotateError, capture::PlaceError, wire::UpstreamError);

/// Records, says where it listens and in the end what it kept, and passes on the status of a service that it started.
pub(crate) fn capture(args: CaptureArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let named = args.dependencies.iter().map(|text| Ok(text.parse::<Dependency>()?.name));
    let named = named.collect::<Result<Vec<_>, DependencyError>>()?;
    let settings = settings(args)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let said = |started: &Started| say_started(started, as_json, console);
    let style = console.clone();
    let summary = runtime.block_on(async {
        let mut stop = stop_on_signals();
        let stopped = async move {
            // The sender lives as long as the program.
            stop.wait_for(|is_stopped| *is_stopped).await.ok();
        };
        capture::run(settings, Clock::start(), stopped, said, move |notice| notice::say(&notice, as_json, &style)).await
    })?;
    let exit = summary.child.map_or(Exit::Passed, exit_of);
    say_summary(&summary, &named, exit, as_json, console)
}

fn settings(args: CaptureArgs) -> Result<Settings, Trouble> {
    let forward = forward(&args)?;
    let upstream = args.upstream.as_deref().map(str::parse).transpose()?;
    let given = args.dependencies.iter().map(|text| text.parse()).collect::<Result<Vec<Dependency>, _>>()?;
    let dependencies = match args.command.is_empty() || args.no_default_dependencies {
        true => given,
        false => {
            let usual = capture::default_dependencies(&given, |name| std::env::var(name).ok())?;
            given.into_iter().chain(usual).collect()
        }
    };
    let mut replicas = args.container.into_iter();
    let container = replicas.next();
    Ok(Settings {
        upstream,
        listen: args.listen,
        store: args.store.store,
        dependencies,
        forward,
        service: service(container, args.pid, args.command),
        replicas: replicas.collect(),
        service_version: args.service_version,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        adds_traceparent: !args.no_traceparent,
        secret_headers: args.redact_headers,
        secret_query_keys: args.redact_query_keys,
        secret_variables: args.env_secrets,
        annotations: args.annotate.iter().map(|text| text.parse()).collect::<Result<Vec<Annotate>, _>>()?,
        conversation: args.conversation.as_deref().map(str::parse).transpose()?,
        sample_interval: args.samples.0,
        records_logs: !args.no_logs,
        body_bytes_max: args.body_max,
        dedup_bytes_max: args.dedup_memory,
        queue_bytes_max: usize::try_from(args.memory).unwrap_or(usize::MAX),
        sync_interval: args.sync_interval,
        ..Settings::default()
    })
}

/// The forward proxy, where one is wanted, with the authority that vouches for what is behind it.
fn forward(args: &CaptureArgs) -> Result<Option<ForwardSettings>, Trouble> {
    let Some(listen) = args.forward_proxy else { return Ok(None) };
    let folder = AuthorityFolder::of(args.ca_dir.as_deref())?;
    let (authority, _) = folder.open(false)?;
    Ok(Some(ForwardSettings {
        listen,
        authority: Arc::new(authority),
        certificate: folder.certificate(),
        bundle: folder.bundle(),
        through: args.forward_through.clone(),
    }))
}

fn service(container: Option<String>, pid: Option<u32>, command: Vec<std::ffi::OsString>) -> Service {
    match (container, pid, command) {
        (Some(name), ..) => Service::Container(name),
        (None, Some(pid), _) => Service::Process(pid),
        (None, None, command) if command.is_empty() => Service::Unknown,
        (None, None, command) => Service::Command(command),
    }
}

/// The service's own status; where a signal ended it, 128 and the signal, as a shell has it.
fn exit_of(status: ExitStatus) -> Exit {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Exit::OfService(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Where it listens: on stderr, since stdout belongs to the service; for machines a line on stdout.
fn say_started(started: &Started, as_json: bool, console: &Console) {
    for torn in &started.torn {
        console.warn(&format!("an earlier capture was cut off; its torn tail is cut away: {torn}"));
    }
    if as_json {
        let listeners: Vec<_> = started.listeners.iter().map(listener).collect();
        let fields = json!({
            "session": started.session, "store": started.store, "listeners": listeners, "child": started.child,
            "forward_proxy": started.forward.as_ref().map(forward_proxy),
        });
        // Whoever reads the lines may be gone; the capture is for the store.
        console.write(Exit::Passed, |out| out.write_all(json::line("capture-started", &fields).as_bytes())).ok();
        return;
    }
    console.note(&format!("recording to `{}`, session {}", started.store.display(), started.session.short()));
    let is_told = started.child.is_some();
    let mut table =
        if is_told { Table::new(&["FOR", "CALL", "GOES TO", "SET"]) } else { Table::new(&["FOR", "CALL", "GOES TO"]) };
    for bound in &started.listeners {
        let whose = bound.dependency.clone().unwrap_or_else(|| "clients".to_owned());
        let set = is_told.then(|| bound.variables.join(", "));
        table.row([whose, bound.url.clone(), bound.upstream.to_string()].into_iter().chain(set));
    }
    if !started.listeners.is_empty() {
        console.note(table.to_text(report::Style::PLAIN).trim_end());
    }
    if let Some(forward) = &started.forward {
        console.note(&forward_words(forward, started.child.is_some()));
    }
}

/// Where the forward proxy is, and what a service that was not started here has to be told.
fn forward_words(forward: &BoundForward, is_told: bool) -> String {
    let (address, bundle) = (forward.address, forward.bundle.display());
    let begin = format!("forward proxy at http://{address}");
    if is_told {
        return format!("{begin}; the command is told by HTTPS_PROXY, SSL_CERT_FILE and the like");
    }
    format!(
        "{begin}; set HTTPS_PROXY and HTTP_PROXY to it, and SSL_CERT_FILE={bundle} (`retake ca` says what else); \
         in a container on the host's network:\n  docker run --network host -e HTTPS_PROXY=http://{address} \
         -e HTTP_PROXY=http://{address} -v {bundle}:/etc/retake-ca.pem:ro -e SSL_CERT_FILE=/etc/retake-ca.pem \
         -e REQUESTS_CA_BUNDLE=/etc/retake-ca.pem -e NODE_EXTRA_CA_CERTS=/etc/retake-ca.pem …"
    )
}

fn forward_proxy(forward: &BoundForward) -> serde_json::Value {
    json!({
        "listen": forward.address,
        "certificate": forward.certificate,
        "bundle": forward.bundle,
        "variables": forward.variables.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn listener(bound: &Bound) -> serde_json::Value {
    json!({
        "dependency": bound.dependency,
        "listen": bound.address,
        "url": bound.url,
        "upstream": bound.upstream.to_string(),
        "variables": bound.variables,
    })
}

/// What was kept, what was lost, and which of the dependencies that were `named` was never called.
fn say_summary(
    summary: &Summary,
    named: &[String],
    exit: Exit,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    let counts = &summary.counts;
    if as_json {
        let fields = json!({
            "session": summary.session,
            "counts": counts,
            "segments": summary.segments,
            "sealed": summary.is_sealed,
            "never_called": summary.never_called,
        });
        return console.write(exit, |out| out.write_all(json::line("capture-ended", &fields).as_bytes()));
    }
    if counts.exchanges_missed > 0 || counts.body_bytes_missed > 0 {
        let lost = report::bytes(counts.body_bytes_missed);
        console.warn(&format!("not recorded: {} exchanges, {lost} of bodies", counts.exchanges_missed));
    }
    if !summary.is_sealed {
        console.warn("the last segment is not sealed; what was synced can be read all the same");
    }
    if counts.log_lines_missed > 0 {
        console.warn(&format!("not recorded: {}, logged too fast", counted(counts.log_lines_missed, "log line")));
    }
    never_called_words(summary, named).iter().for_each(|words| console.warn(words));
    console.note(&format!("recorded {}, session {}", recorded(counts), summary.session.short()));
    Ok(exit)
}

/// Of each of the dependencies that were `named`, that nobody called it, where there was traffic that could have.
fn never_called_words(summary: &Summary, named: &[String]) -> Vec<String> {
    let is_told = |name: &&String| summary.counts.exchanges > 0 && named.contains(name);
    let words = |name| {
        format!(
            "the dependency `{name}` was never called where it listens: if the service calls it, then at another address, \
             and a replay cannot answer that"
        )
    };
    summary.never_called.iter().filter(is_told).map(words).collect()
}

/// What was recorded, each with how many there are.
fn recorded(counts: &SessionCounts) -> String {
    let beside = [(counts.log_lines, "log line"), (counts.samples, "sample")];
    let beside = beside.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(count, what));
    std::iter::once(counted(counts.exchanges, "exchange")).chain(beside).collect::<Vec<_>>().join(", ")
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_own_status_is_passed_on_and_a_signal_as_shells_have_it() {
        assert_eq!(exit_of(ExitStatus::from_raw(3 << 8)), Exit::OfService(3));
        assert_eq!(exit_of(ExitStatus::from_raw(9)), Exit::OfService(137));
    }

    #[test]
    fn the_last_line_counts_what_there_is() {
        let counts = SessionCounts { exchanges: 1, log_lines: 2, ..SessionCounts::default() };
        assert_eq!(recorded(&counts), "1 exchange, 2 log lines");
        assert_eq!(recorded(&SessionCounts::default()), "0 exchanges");
    }

    #[test]
    fn a_dependency_that_was_named_and_never_called_is_told_where_something_was_recorded() {
        let counts = SessionCounts { exchanges: 1, ..SessionCounts::default() };
        let never_called = vec!["llm".to_owned(), "openai".to_owned()];
        let (segments, is_sealed) = (Vec::new(), true);
        let mut summary =
            Summary { session: exchange::Id([1; 16]), counts, segments, is_sealed, child: None, never_called };
        let named = ["llm".to_owned(), "store".to_owned()];
        let words = never_called_words(&summary, &named);
        assert!(words.len() == 1 && words[0].contains("`llm` was never called"), "{words:?}");
        summary.counts.exchanges = 0;
        assert!(never_called_words(&summary, &named).is_empty());
    }

    #[test]
    fn a_container_a_process_and_a_command_are_told_apart() {
        assert_eq!(service(Some("triage".to_owned()), None, Vec::new()), Service::Container("triage".to_owned()));
        assert_eq!(service(None, Some(7), Vec::new()), Service::Process(7));
        assert_eq!(service(None, None, vec!["app".into()]), Service::Command(vec!["app".into()]));
        assert_eq!(service(None, None, Vec::new()), Service::Unknown);
    }
}
