//! What a capture says while it runs, in words: a warning, or news.

use std::net::SocketAddr;

use capture::Notice;
use content::unrepeatable::Unrepeatable;
use report::json;
use serde_json::json;
use wire::ca::TlsTrouble;

use crate::{console::Console, exit::Exit};

/// Says a notice: on standard error, and for machines as a line on standard output.
pub(super) fn say(notice: &Notice, as_json: bool, console: &Console) {
    let (kind, is_warning, words) = in_words(notice);
    if as_json {
        let line = json::line("capture-notice", &json!({ "kind": kind, "warning": is_warning, "text": words }));
        // Whoever reads the lines may be gone; the capture is for the store.
        console.write(Exit::Passed, |out| out.write_all(line.as_bytes())).ok();
    }
    if is_warning {
        console.warn(&words);
    } else {
        console.note(&words);
    }
}

/// Its kind for machines, whether it is a warning, and the words.
fn in_words(notice: &Notice) -> (&'static str, bool, String) {
    match notice {
        Notice::StoreFails { reason } => {
            ("store-fails", true, format!("the store takes nothing, requests go on and recordings are lost: {reason}"))
        }
        Notice::StoreWorks => ("store-works", false, "the store takes what is recorded again".to_owned()),
        Notice::ClockSet { by_ns } => {
            let (seconds, way) = (by_ns.unsigned_abs() / 1_000_000_000, if *by_ns < 0 { "back" } else { "forward" });
            let words = format!("this machine's clock went {way} by {seconds} s: order and durations stay right");
            ("clock-set", true, words)
        }
        Notice::EnvironmentUnknown { reason } => {
            ("environment-unknown", true, format!("the service's environment is not recorded: {reason}"))
        }
        Notice::ArgumentsUnknown { shows } => (
            "arguments-unknown",
            true,
            format!(
                "the service shows `{shows}` in place of its arguments, so these are not recorded: replay with `--process CMD`, or let \
                 `retake capture -- CMD` start its program"
            ),
        ),
        Notice::EnvironmentChanged { container } => (
            "environment-changed",
            false,
            format!("container `{container}` changed: exchanges from now on have another fingerprint"),
        ),
        Notice::MountUnknown { reason } => (
            "mount-unknown",
            true,
            format!("the content of a mount is not recorded, so a replay cannot check it: {reason}"),
        ),
        Notice::PackagesUnknown { reason } => {
            ("packages-unknown", true, format!("the packages in the service's container are not recorded: {reason}"))
        }
        Notice::LogUnknown { reason } => {
            ("log-unknown", true, format!("what the service's container logs is not recorded: {reason}"))
        }
        Notice::UsageUnknown { reason } => {
            ("usage-unknown", true, format!("what the service uses is not sampled until it can be seen: {reason}"))
        }
        Notice::Unrepeatable { dependency, why } => ("unrepeatable", true, unrepeatable(dependency, *why)),
        Notice::ConnectionCut { dependency } => (
            "connection-cut",
            true,
            format!(
                "a connection to `{dependency}` is recorded no further: more passed on it than is kept of one (`--body-max` bytes, 32,768 \
                 reads each way). Requests that need what comes are `unjudged` in a replay: let the service open a new connection now \
                 and then, make this capture shorter, or replay with a real one beside, `--beside {dependency}=IMAGE`"
            ),
        ),
        Notice::UpstreamSilent { container, upstream, reason } => {
            ("upstream-silent", true, upstream_silent(container.as_deref(), upstream, reason))
        }
        Notice::OpenToOthers { dependency, address, instead } => {
            ("open-to-others", true, open_to_others(dependency.as_deref(), *address, *instead))
        }
        Notice::OutOfReach { container, dependency, listens, upstream, address, urls } => (
            "out-of-reach",
            true,
            format!(
                "container `{container}` cannot call `{dependency}` at {listens}, which is this machine's loopback and not its \
                 own: listen with `--dependency {dependency}={upstream},listen={address}`, and let the service call {}",
                either(urls)
            ),
        ),
        Notice::CalledAt { container, dependency, urls } => {
            ("called-at", false, format!("container `{container}` has to call `{dependency}` at {}", either(urls)))
        }
        Notice::NoNetwork { container } => (
            "no-network",
            true,
            format!(
                "container `{container}` has no network, so its service can call nothing that is recorded here: start it with \
                 one, as with `docker run --network bridge`"
            ),
        ),
        Notice::NoWayHere { container, dependency, networks } => {
            ("no-way-here", true, no_way_here(container, dependency, networks))
        }
        Notice::TlsUnreadable { host, trouble } => ("tls-unreadable", true, tls_unreadable(host, trouble)),
        other => ("other", true, format!("{other:?}")),
    }
}

fn unrepeatable(dependency: &str, why: Unrepeatable) -> String {
    let remedy = why.remedy().map(|remedy| format!("{remedy}, or ")).unwrap_or_default();
    format!(
        "what is said to `{dependency}` cannot be answered from this recording: the connection {}; {remedy}replay with a real \
         one beside, `--beside {dependency}=IMAGE`",
        why.words()
    )
}

fn tls_unreadable(host: &str, trouble: &TlsTrouble) -> String {
    let trust = match trouble {
        TlsTrouble::NotTrusted { .. } => "have it trust the certificate that `retake ca` shows, or ",
        _ => "",
    };
    format!(
        "not recorded: what the service says to `{host}`, since {trouble}; {trust}let it pass unread with `--forward-through {host}`"
    )
}

fn upstream_silent(container: Option<&str>, upstream: &str, reason: &str) -> String {
    let ended = container.map(|name| format!("; if it has ended, `docker logs {name}` says why")).unwrap_or_default();
    format!(
        "the service does not accept at `{upstream}`: {reason}. Until it does, requests are answered with 502; if it listens \
         elsewhere, say so with `--upstream`{ended}"
    )
}

fn open_to_others(dependency: Option<&str>, address: SocketAddr, instead: SocketAddr) -> String {
    match dependency {
        Some(name) => format!(
            "whoever reaches {address} can call `{name}` through it: `listen={instead}` in `--dependency` keeps it to this machine"
        ),
        None => format!(
            "whoever reaches {address} can call the service through it: `--listen {instead}` keeps it to this machine"
        ),
    }
}

fn no_way_here(container: &str, dependency: &str, networks: &[String]) -> String {
    let why = match networks {
        [] => "it is in no network".to_owned(),
        networks => format!("this machine has no address in {}", networks.join(", ")),
    };
    format!(
        "container `{container}` cannot call `{dependency}`, because {why}: connect it to a bridge as well, with `docker network \
         connect bridge {container}`, and start this again"
    )
}

fn either(urls: &[String]) -> String {
    urls.iter().map(|url| format!("`{url}`")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_replay_can_answer_is_said_with_what_to_do_about_it() {
        let said = |why| in_words(&Notice::Unrepeatable { dependency: "db".to_owned(), why }).2;
        insta::assert_snapshot!(said(Unrepeatable::Encrypted), @"what is said to `db` cannot be answered from this recording: the connection is encrypted, which differs with every connection; record it without TLS (`redis://` for `rediss://`, `sslmode=disable`), or replay with a real one beside, `--beside db=IMAGE`");
        insta::assert_snapshot!(said(Unrepeatable::SaltedLogin), @"what is said to `db` cannot be answered from this recording: the connection begins with a login (SASL) in which both sides make up numbers; record it with a login that repeats (`md5`, `password` or `trust` in PostgreSQL's `pg_hba.conf`), or replay with a real one beside, `--beside db=IMAGE`");
        insta::assert_snapshot!(said(Unrepeatable::OwnSession), @"what is said to `db` cannot be answered from this recording: the connection has a session whose id its client makes up (MongoDB); replay with a real one beside, `--beside db=IMAGE`");
        insta::assert_snapshot!(in_words(&Notice::ConnectionCut { dependency: "cache".to_owned() }).2, @"a connection to `cache` is recorded no further: more passed on it than is kept of one (`--body-max` bytes, 32,768 reads each way). Requests that need what comes are `unjudged` in a replay: let the service open a new connection now and then, make this capture shorter, or replay with a real one beside, `--beside cache=IMAGE`");
    }
    #[test]
    fn what_the_forward_proxy_cannot_read_is_said_with_the_way_around() {
        let said = |trouble| in_words(&Notice::TlsUnreadable { host: "api.test".to_owned(), trouble }).2;
        let reason = || "unknown ca".to_owned();
        insta::assert_snapshot!(said(TlsTrouble::NotTrusted { reason: reason() }), @"not recorded: what the service says to `api.test`, since it does not trust Retake's certificate (unknown ca); have it trust the certificate that `retake ca` shows, or let it pass unread with `--forward-through api.test`");
        insta::assert_snapshot!(said(TlsTrouble::OnlyHttp2), @"not recorded: what the service says to `api.test`, since it speaks only HTTP/2, as gRPC does, and HTTP/1.1 is what can be recorded; let it pass unread with `--forward-through api.test`");
        insta::assert_snapshot!(said(TlsTrouble::Failed { reason: reason() }), @"not recorded: what the service says to `api.test`, since TLS could not be agreed on: unknown ca; let it pass unread with `--forward-through api.test`");
    }
}
