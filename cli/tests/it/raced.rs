//! The fixture service's race, recorded and repeated: it appears, is called flaky, stands beside production's rate, and is
//! traced to another exchange's value.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use bundle::Archive;
use exchange::Exchange;
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use triage::{Ticket, normalise, slot_of, summary};

use crate::{
    otherwise::{Capturing, capture_of, dependency, free_port, post, recorded_tickets, serve, wait_until_it_accepts},
    retake,
    shipped::{IGNORED, replay, skipped},
    untrue::triage,
};

/// In flight at a time, as the race was made for.
const IN_FLIGHT: usize = 16;
/// Most exchanges that are replayed together.
const WINDOW: usize = 30;
/// Rounds of all tickets after which the race is given up. One is enough as a rule.
const ROUNDS_MAX: usize = 10;
/// Wrong answers after which no further round is sent: a single one may have taken what comes once in thousands.
const WRONG_MIN: usize = 3;

/// A store with wrong answers in it, and thirty exchanges around one.
struct Race {
    folder: TempDir,
    window: String,
}

impl Race {
    /// Records the service with its defect on until an answer was wrong.
    fn record(tickets: &[(String, Vec<u8>)], in_flight: usize) -> Option<Self> {
        let folder = tempdir().unwrap();
        let (_serving, model, store) = serve(folder.path());
        let [port, model_port, store_port] = [(); 3].map(|()| free_port());
        let [model_flag, model] = dependency("model", &model, &format!("127.0.0.1:{model_port}"));
        let [store_flag, store] = dependency("store", &store, &format!("127.0.0.1:{store_port}"));
        let dependencies = ["--no-default-dependencies", &model_flag, &model, &store_flag, &store];
        let upstream = format!("http://127.0.0.1:{port}");
        let mut capture = capture_of(folder.path(), &upstream, &[&dependencies[..], &["--", &triage()]].concat());
        capture.envs([
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("LLM_BASE_URL", format!("http://127.0.0.1:{model_port}/v1")),
            ("STORE_BASE_URL", format!("http://127.0.0.1:{store_port}")),
            ("TRIAGE_SHARED_CACHE", "1".to_owned()),
        ]);
        let capture = Capturing::start(capture);
        wait_until_it_accepts(port);
        let mut wrong = 0;
        for _ in 0..ROUNDS_MAX {
            wrong += send(&capture.address, tickets, in_flight);
            if wrong >= WRONG_MIN {
                break;
            }
        }
        capture.stop();
        let store = folder.path().join(".retake");
        (wrong > 0).then(|| Self { window: window(&store), folder })
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join(".retake")
    }

    fn repeat(&self, times: &str, more: &[&str]) -> Value {
        // Ids are to be fresh: what is under test is what differs.
        self.repeat_held(times, &[&["--determinism", "0"], more].concat())
    }

    /// As nobody asks otherwise: at level 3.
    fn repeat_held(&self, times: &str, more: &[&str]) -> Value {
        let only = ["--only", &self.window, "--repeat", times];
        let ran = replay(self.folder.path(), &self.store(), &[&only[..], more].concat());
        let document = ran.json();
        assert!(matches!(ran.code, 0 | 1), "{}", ran.err);
        document
    }
}

/// Thirty of the recorded tickets that share slots of the cache with others of them, those of one slot together: sent at
/// once, they race on a machine of any speed.
fn rivals() -> Vec<(String, Vec<u8>)> {
    let mut tickets = recorded_tickets(200);
    let slot = |body: &[u8]| slot_of(&Ticket::parse(body).unwrap().key());
    tickets.sort_by_key(|(_, body)| slot(body));
    let slots: Vec<usize> = tickets.iter().map(|(_, body)| slot(body)).collect();
    let has_rival = |body: &[u8]| slots.iter().filter(|it| **it == slot(body)).count() > 1;
    tickets.into_iter().filter(|(_, body)| has_rival(body)).take(WINDOW).collect()
}

/// Sends all tickets, so many at a time; how many answers were not the ticket's own.
fn send(address: &str, tickets: &[(String, Vec<u8>)], in_flight: usize) -> usize {
    let (next, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..in_flight {
            scope.spawn(|| {
                while let Some((path, body)) = tickets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = post(address, path, body, "");
                    wrong.fetch_add(usize::from(!is_right(body, &answer)), Ordering::Relaxed);
                }
            });
        }
    });
    wrong.into_inner()
}

/// True where the answer has the ticket's own summary.
fn is_right(ticket: &[u8], answer: &str) -> bool {
    let own = summary(&normalise(&Ticket::parse(ticket).unwrap()));
    answer.contains(&serde_json::to_string(&own).unwrap())
}

/// The ids of the exchanges around a wrong one, where most others are, as `--only` takes them.
fn window(store: &Path) -> String {
    let archive = Archive::open(store).unwrap();
    let mut clients: Vec<_> = archive.entries().iter().filter(|entry| entry.dependency.is_none()).collect();
    clients.sort_by_key(|entry| entry.started_ns);
    let is_wrong = |exchange: &Exchange| {
        let body = |body| archive.body(body, 1 << 20).unwrap();
        let answer = body(&exchange.response.as_ref().unwrap().body);
        !is_right(&body(&exchange.request.body), &String::from_utf8_lossy(&answer))
    };
    let wrong: Vec<bool> = clients.iter().map(|entry| is_wrong(&archive.exchange(&entry.id).unwrap())).collect();
    let around = |at: usize| (at + 1).saturating_sub(WINDOW / 2).min(clients.len().saturating_sub(WINDOW));
    let firsts = (0..wrong.len()).filter(|at| wrong[*at]).map(around);
    let first = firsts.max_by_key(|first| wrong.iter().skip(*first).take(WINDOW).filter(|it| **it).count()).unwrap();
    let ids = clients.iter().skip(first).take(WINDOW).map(|entry| entry.id.to_string());
    ids.collect::<Vec<_>>().join(",")
}

/// The exchanges that were flaky.
fn flaky(document: &Value) -> Vec<&Value> {
    let results = document["results"].as_array().unwrap();
    results.iter().filter(|result| result["repeated"]["class"] == "flaky").collect()
}

/// Records the race and finds it in so many repeats; gives the recording and what was found.
fn the_race_is_found(times: &str, tickets: &[(String, Vec<u8>)], in_flight: usize) -> Option<(Race, Value)> {
    let Some(race) = Race::record(tickets, in_flight) else {
        skipped("the race", "no answer was wrong in any round: nothing was in flight together here");
        return None;
    };
    let document = race.repeat(times, &[]);
    let repeats = &document["receipt"]["repeats"];
    assert!(!flaky(&document).is_empty(), "{repeats:#}");
    assert_eq!(document["receipt"]["pinned"]["relation"], "same-executable");
    // Both rates stand side by side, each with its interval, and it is said whether these overlap.
    for of in ["unusual_in_production", "unusual_here"] {
        let rate = &repeats[of];
        let (low, high) = (rate["low"].as_f64().unwrap(), rate["high"].as_f64().unwrap());
        assert!(rate["of"].as_u64() >= Some(WINDOW as u64) && low < high, "{rate}");
    }
    let (production, here) = (&repeats["unusual_in_production"], &repeats["unusual_here"]);
    let bound = |rate: &Value, name: &str| rate[name].as_f64().unwrap();
    let overlap = bound(production, "low") <= bound(here, "high") && bound(here, "low") <= bound(production, "high");
    assert_eq!(repeats["intervals_overlap"], overlap);
    // Where they do not overlap, what was otherwise by a fifth or more is named; a window with a failure in it is none at random.
    let is_unlike = |what: &str| {
        let [was, is] = ["production", "here"].map(|side| repeats[side][what].as_f64().unwrap());
        was.max(is) > 1.2 * was.min(is)
    };
    let unlike = is_unlike("requests_per_s") || is_unlike("took_ms_median");
    let has_same_load = repeats["production"]["in_flight_max"] == repeats["here"]["in_flight_max"];
    assert_eq!(repeats["otherwise"].is_array(), unlike || !has_same_load, "{repeats}");

    // What fresh ids and times do to every answer is learned of this version.
    let archive = Archive::open(&race.folder.path().join(document["run_path"].as_str().unwrap())).unwrap();
    let [profile] = &archive.noise_profiles().unwrap()[..] else { panic!("one version ran") };
    assert_eq!(profile.version, document["receipt"]["pinned"]["used"].as_str().unwrap());
    let id = profile.places.iter().find(|place| place.route == "POST /tickets" && place.pointer == "/id").unwrap();
    assert!(id.compared > 0 && id.differed == id.compared, "{id:?}");
    assert_eq!(profile.learned_from.len(), WINDOW);

    Some((race, document))
}

#[test]
fn a_race_appears_is_flaky_and_is_traced_to_the_exchange_whose_value_it_gave() {
    let Some((race, document)) = the_race_is_found("40", &rivals(), WINDOW) else { return };
    // Whose value it is, and that it was in flight, is found from the run alone.
    let diagnosis =
        retake(race.folder.path(), &["diagnose", "flakiness", "--json", document["run_path"].as_str().unwrap()]);
    assert_eq!(diagnosis.code, 1, "{}", diagnosis.err);
    let diagnosis = diagnosis.json();
    let item = |source: &str| {
        let items = diagnosis["checklist"].as_array().unwrap();
        items.iter().find(|item| item["source"] == source).unwrap_or_else(|| panic!("{items:?}"))
    };
    assert_eq!(item("cache-race")["state"], "seen", "{diagnosis:#}");
    let evidence = item("cache-race")["evidence"].as_array().unwrap();
    assert!(evidence.iter().any(|it| it.as_str().unwrap().contains("/summary is another's")), "{diagnosis:#}");
    assert_eq!((&item("clock")["state"], &item("identifiers")["state"]), (&"seen".into(), &"seen".into()));
    // Its dependencies answered at once.
    assert_eq!(item("time-outs")["state"], "not-looked-at");

    // One at a time it is gone, and that is said.
    let serial = race.repeat("12", &["--order", "serial"]);
    assert!(flaky(&serial).is_empty(), "{}", serial["results"]);
    let said = serial["conclusions"].to_string();
    assert!(said.contains("with one exchange at a time") && said.contains("a race"), "{said}");
    let runs = [&document, &serial].map(|document| document["run_path"].as_str().unwrap());
    let both = retake(race.folder.path(), &["diagnose", "flakiness", runs[0], runs[1]]);
    assert!(both.out.contains("at order `recorded` and steady at `serial`"), "{}{}", both.out, both.err);
}

#[test]
fn slow_repeats_three_hundred_repeats_of_the_race_have_a_rate_beside_productions() {
    let Some((race, _)) = the_race_is_found("300", &recorded_tickets(200), IN_FLIGHT) else { return };
    let serial = race.repeat("30", &["--order", "serial"]);
    assert!(flaky(&serial).is_empty(), "{}", serial["results"]);
    assert!(serial["conclusions"].to_string().contains("with one exchange at a time"), "{}", serial["conclusions"]);
}

#[test]
fn slow_repeats_a_race_comes_with_clock_chance_and_addresses_held_still_too() {
    let Some((race, document)) = the_race_is_found("40", &rivals(), WINDOW) else { return };
    let held = race.repeat_held("300", &[]);
    assert_eq!(held["receipt"]["determinism"]["level"], 3, "{}", held["receipt"]["determinism"]);
    assert!(!flaky(&held).is_empty(), "{}", held["receipt"]["repeats"]);
    for (level, document) in [(0, &document), (3, &held)] {
        let repeats = &document["receipt"]["repeats"];
        let (here, production) = (&repeats["unusual_here"], &repeats["unusual_in_production"]);
        eprintln!("level {level}: {here} here, {production} in production");
    }
    let serial = race.repeat_held("30", &["--order", "serial"]);
    assert!(flaky(&serial).is_empty(), "{}", serial["results"]);
}

#[test]
fn a_run_without_answers_is_diagnosed_beside_one_with_them_and_takes_none_of_those() {
    let folder = tempdir().unwrap();
    let source = crate::shipped::shipped();
    let (only, process) = (crate::untrue::first_tickets(2), triage());
    let run = |more: &[&str]| {
        let arguments = [&["replay", source.to_str().unwrap(), "--json", "--only", &only][..], more].concat();
        let document = retake(folder.path(), &arguments).json();
        (document["receipt"]["replayed"].clone(), document["run_path"].as_str().unwrap().to_owned())
    };
    let (sent, silent) = run(&["--process", "/bin/false"]);
    assert_eq!(sent, 0);
    let (_, speaking) = run(&["--process", &process, "--repeat", "5", "--reset", "none", "--order", "serial"]);
    let alone = retake(folder.path(), &["diagnose", "flakiness", "--json", &speaking]);
    for runs in [[&silent, &speaking], [&speaking, &silent]] {
        let both = retake(folder.path(), &["diagnose", "flakiness", "--json", runs[0], runs[1]]);
        assert_eq!((both.code, both.err.as_str()), (alone.code, alone.err.as_str()), "{}", both.out);
        assert_eq!(both.json()["exchanges"].as_array().map(Vec::len), Some(2), "{}", both.out);
    }
}

#[test]
fn what_is_no_run_cannot_be_diagnosed_and_a_run_without_repeats_is_not_called_steady() {
    let folder = tempdir().unwrap();
    let source = crate::shipped::shipped();
    let ran = retake(folder.path(), &["diagnose", "flakiness", source.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("holds 0 runs") && ran.err.contains("--repeat N"), "{}", ran.err);
    let only = crate::untrue::first_tickets(1);
    let process = triage();
    let mut arguments = vec!["replay", source.to_str().unwrap(), "--json", "--only", &only, "--process", &process];
    arguments.extend(IGNORED);
    let run = retake(folder.path(), &arguments).json();
    let ran = retake(folder.path(), &["diagnose", "flakiness", run["run_path"].as_str().unwrap()]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("[?] clock") && ran.out.contains("no exchange was repeated"), "{}", ran.out);

    // Nor is one that answered all repeats itself; what was held still is not called unseen.
    arguments.extend(["--repeat", "10", "--reset", "none", "--order", "serial"]);
    let run = retake(folder.path(), &arguments).json();
    assert_eq!(run["results"][0]["repeated"]["class"], "unconfirmed");
    let ran = retake(folder.path(), &["diagnose", "flakiness", run["run_path"].as_str().unwrap()]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("unconfirmed") && ran.out.contains("one service answered several repeats"), "{}", ran.out);
    let controls = run["receipt"]["determinism"]["controls"].as_array().unwrap();
    let is_held = controls.iter().any(|it| it["control"] == "clock" && it["state"] == "on");
    assert_eq!(ran.out.contains("held still (clock)"), is_held, "{}", ran.out);
}
