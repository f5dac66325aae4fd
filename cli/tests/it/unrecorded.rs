//! What a service looks for that was not recorded is named, with what can be done about it.

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    retake,
    shipped::{IGNORED, docker, replay, shipped, skipped},
    untrue::{first_tickets, replay_script},
};

/// True where connects were observed; a machine that gives no name spaces, or no filter, says that they were not.
fn observed(document: &Value) -> bool {
    let receipt = &document["receipt"];
    let is_observed = receipt["egress"]["attempts"].is_array();
    if !is_observed {
        assert!(receipt.get("absent").is_none(), "named without having been seen: {receipt}");
        skipped("what was not recorded", "connects are not observed here");
    }
    is_observed
}

/// The attempt at this address.
fn attempt<'a>(document: &'a Value, address: &str) -> &'a Value {
    let attempts = document["receipt"]["egress"]["attempts"].as_array().unwrap();
    let of_address = attempts.iter().find(|attempt| attempt["address"] == address);
    of_address.unwrap_or_else(|| panic!("{address} is not among {attempts:?}"))
}

#[test]
fn docker_a_service_whose_cache_was_not_recorded_has_it_named_with_what_to_type() {
    if !docker("a service whose cache was not recorded") {
        return;
    }
    let folder = tempdir().unwrap();
    let only = first_tickets(1);
    let elsewhere = ["--only", &only, "--env", "LLM_BASE_URL=http://127.0.0.1:6379/v1"];
    let ran = replay(folder.path(), &shipped(), &elsewhere);
    let document = ran.json();
    assert_eq!(ran.code, 1, "{}", ran.err);
    let cache = attempt(&document, "127.0.0.1:6379");
    assert_eq!((&cache["transport"], &cache["found"]), (&"tcp".into(), &"nothing".into()));
    assert!(cache["count"].as_u64() >= Some(1), "{cache}");
    assert!(document["receipt"]["egress"].get("attempts_unread").is_none());
    let absent = &document["receipt"]["absent"][0];
    let what = absent["what"].as_str().unwrap();
    assert!(what.starts_with("`127.0.0.1:6379` was connected to ") && what.contains("usually Redis"), "{what}");
    let help = absent["help"].as_str().unwrap();
    let recorded = "record it with `retake capture --dependency redis=tcp://127.0.0.1:6379`";
    assert_eq!(help, format!("{recorded}, or run a real one beside a container: `retake replay --beside redis=IMAGE`"));

    let source = shipped();
    let mut arguments = vec!["replay", source.to_str().unwrap()];
    arguments.extend(IGNORED);
    arguments.extend(elsewhere);
    let page = retake(folder.path(), &arguments).out;
    let told = page.lines().find(|line| line.starts_with("absent   `127.0.0.1:6379`"));
    assert!(told.is_some_and(|line| line.contains("redis=tcp://127.0.0.1:6379")), "{page}");
}

#[test]
fn recorded_dependencies_are_found_and_not_named() {
    let folder = tempdir().unwrap();
    let (ran, document) = replay_script(folder.path(), &shipped(), 2, "exec \"$0\"", &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(document["receipt"].get("absent").is_none());
    if observed(&document) {
        let attempts = document["receipt"]["egress"]["attempts"].as_array().unwrap();
        assert!(attempts.iter().any(|attempt| attempt["found"] == "recorded"), "{attempts:?}");
        assert!(attempts.iter().all(|attempt| attempt["found"] == "recorded"), "{attempts:?}");
    }
}

#[test]
fn a_service_that_ends_because_its_database_is_not_there_says_so_in_the_reason() {
    let folder = tempdir().unwrap();
    let script = "(exec 3<>/dev/tcp/127.0.0.1/5432) 2>/dev/null; echo no database; exit 1";
    let process = format!("/bin/bash -c '{script}'");
    let only = first_tickets(1);
    let ran = replay(folder.path(), &shipped(), &["--process", &process, "--only", &only]);
    let document = ran.json();
    assert_eq!(ran.code, 3, "{}", ran.err);
    if observed(&document) {
        let void = &document["receipt"]["void"];
        let reason = void["reason"].as_str().unwrap();
        assert!(reason.contains("`127.0.0.1:5432` was connected to once and nothing is there"), "{reason}");
        let help = void["help"].as_str().unwrap();
        assert!(help.contains("--dependency postgres=tcp://127.0.0.1:5432"), "{help}");
        assert_eq!(void["last_lines"], serde_json::json!(["no database"]));
    }
}

#[test]
fn a_service_that_waits_for_its_queue_for_ever_says_so_in_the_reason() {
    let folder = tempdir().unwrap();
    let script = "until (exec 3<>/dev/tcp/10.0.0.7/5672) 2>/dev/null; do /bin/sleep 0.05; done";
    let process = format!("/bin/bash -c '{script}'");
    let only = first_tickets(1);
    let arguments = ["--process", &process, "--only", &only, "--ready-timeout", "1s"];
    let ran = replay(folder.path(), &shipped(), &arguments);
    let document = ran.json();
    assert_eq!(ran.code, 3, "{}", ran.err);
    if observed(&document) {
        let reason = document["receipt"]["void"]["reason"].as_str().unwrap();
        assert!(reason.contains("`10.0.0.7:5672` was connected to "), "{reason}");
        assert!(reason.contains("there is no network in a replay (5672 is usually RabbitMQ)"), "{reason}");
        assert!(attempt(&document, "10.0.0.7:5672")["count"].as_u64() > Some(2));
    }
}

#[test]
fn a_service_that_was_running_before_is_not_observed_and_nothing_is_said_of_it() {
    let folder = tempdir().unwrap();
    let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", service.local_addr().unwrap());
    std::thread::spawn(move || service.incoming().for_each(drop));
    let only = first_tickets(1);
    let document = replay(folder.path(), &shipped(), &["--target", &url, "--only", &only]).json();
    let receipt = &document["receipt"];
    assert!(receipt["egress"].get("attempts").is_none() && receipt.get("absent").is_none(), "{receipt}");
}
