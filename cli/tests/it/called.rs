//! Noise in what dependencies are asked: ids and times that are others each time, what differs beyond them, and what clock and
//! chance that are held still teach.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    thread,
    time::SystemTime,
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::{
    contained::answer_each,
    determined::{replayed, words},
    otherwise::{Capturing, capture_of, dependency, free_port, post, wait_until_it_accepts},
    resumed::{begin, judged},
    retake,
    untrue::send_signal,
};

/// The service beside these tests.
const SERVICE: &str = "called::service";

/// Exchanges recorded, each with two calls.
const COUNT: usize = 3;

fn uuid() -> String {
    let mut random = [0; 16];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Asks a store with a form, and gives its answer.
fn ask_by_form(store: &str, word: &str) -> String {
    let form = format!("word={word}&limit=10&request_id={}", uuid());
    let mut stream = TcpStream::connect(store).unwrap();
    let fields = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}", form.len());
    write!(stream, "POST /search HTTP/1.1\r\nHost: here\r\n{fields}\r\nConnection: close\r\n\r\n{form}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Not a test: a service that gives its store a fresh id and the time in body, query and path. `WORD` is what it asks for; with
/// `ID=none` there is no id in the body, and with `BY=form` it asks by a form, once.
#[test]
#[ignore = "the service of the tests beside it"]
#[expect(clippy::disallowed_methods, reason = "the service is one that reads the clock")]
fn service() {
    let Ok(port) = env::var("PORT") else { return };
    let (store, word) = (env::var("STORE").unwrap(), env::var("WORD").unwrap_or_else(|_| "invoices".to_owned()));
    let (has_id, by_form) = (env::var("ID").is_err(), env::var("BY").is_ok());
    answer_each(("127.0.0.1", port.parse().unwrap()), |_| {
        if by_form {
            return json!({ "closed": ask_by_form(&store, &word).contains(" 200 OK") }).to_string();
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let id = has_id.then(uuid);
        let question = json!({ "word": word, "limits": [10, 20], "request_id": id }).to_string();
        let target = format!("/lookup?at={}&by=word", now.as_nanos());
        let found = post(&store, &target, question.as_bytes(), "");
        if !found.contains(" 200 OK") {
            return json!({ "error": "the store did not answer" }).to_string();
        }
        let close = json!({ "trace": { "span": uuid() }, "hits": 3 }).to_string();
        let closed = post(&store, &format!("/orders/{}/close", uuid()), close.as_bytes(), "");
        json!({ "closed": closed.contains(" 200 OK"), "id": uuid() }).to_string()
    });
}

/// What a capture has of the service, with more variables, and its store.
fn recorded(variables: &[(&str, &str)]) -> TempDir {
    let folder = tempdir().unwrap();
    let [port, store, listener] = [(); 3].map(|()| free_port());
    thread::spawn(move || answer_each(("127.0.0.1", store), |_| r#"{"hits":3}"#.to_owned()));
    wait_until_it_accepts(store);
    let listener = format!("127.0.0.1:{listener}");
    let [flag, value] = dependency("store", &format!("127.0.0.1:{store}"), &listener);
    let executable = env::current_exe().unwrap();
    let words = words(executable.to_str().unwrap(), SERVICE);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let flags = ["--no-default-dependencies", &flag, &value, "--"];
    let mut capture = capture_of(folder.path(), &format!("http://127.0.0.1:{port}"), &[&flags[..], &words].concat());
    capture.env("PORT", port.to_string()).env("STORE", listener).envs(variables.iter().copied());
    let capture = Capturing::start(capture);
    wait_until_it_accepts(port);
    for _ in 0..COUNT {
        let answer = post(&capture.address, "/ask", b"{}", "");
        assert!(answer.contains(r#""closed":true"#), "{answer}");
    }
    capture.stop();
    folder
}

fn verdicts(document: &Value) -> Vec<&str> {
    let of = if document["results"].is_null() { "exchanges" } else { "results" };
    document[of].as_array().unwrap().iter().map(|result| result["verdict"].as_str().unwrap()).collect()
}

/// Replays at level 0; the exit code, and what came of it.
fn replay(folder: &Path, more: &[&str]) -> (i32, Value) {
    let (ran, document) = replayed(folder, &[&["--determinism", "0", "--order", "serial"], more].concat());
    (ran.code, document)
}

/// Places with their routes.
fn places(list: &Value) -> Vec<(String, String)> {
    let of = |it: &'_ Value| {
        let place = it["pointer"].as_str().or(it["evidence"]["place"].as_str());
        (it["route"].as_str().unwrap().to_owned(), place.unwrap().to_owned())
    };
    list.as_array().unwrap().iter().map(of).collect()
}

/// Where the calls of the service differ each time.
const FRESH: [(&str, &str); 4] = [
    ("store POST /lookup", "dep:store:/request_id"),
    ("store POST /lookup", "dep:store:query:/at"),
    ("store POST /orders/*/close", "dep:store:/trace/span"),
    ("store POST /orders/*/close", "dep:store:path:/1"),
];

fn has(places: &[(String, String)], (route, pointer): (&str, &str)) -> bool {
    places.iter().any(|place| (place.0.as_str(), place.1.as_str()) == (route, pointer))
}

fn has_fresh(places: &[(String, String)]) -> bool {
    FRESH.iter().all(|place| has(places, *place))
}

#[test]
fn repeats_teach_the_noise_of_calls_and_no_call_that_differs_beyond_it_is_hidden() {
    let recorded = recorded(&[]);
    let folder = recorded.path();
    let (code, document) = replay(folder, &[]);
    assert_eq!((code, verdicts(&document)), (1, vec!["diverged"; COUNT]));

    let taught = ["--repeat", "12", "--on-miss", "nearest", "--noise", "none"];
    let (_, learned) = replay(folder, &taught);
    let repeats = &learned["receipt"]["repeats"];
    let measured = places(&repeats["noise"]);
    assert!(has_fresh(&measured), "{repeats}");
    let id = repeats["noise"].as_array().unwrap().iter().find(|it| it["pointer"] == "dep:store:/request_id").unwrap();
    assert_eq!((&id["compared"], &id["differed"]), (&json!(11 * COUNT), &json!(11 * COUNT)));
    assert!(repeats["held_still"].is_null(), "{repeats}");

    let (code, document) = replay(folder, &[]);
    assert_eq!((code, verdicts(&document)), (0, vec!["noise"; COUNT]), "{document}");
    let receipt = &document["receipt"];
    let hidden = places(&receipt["noise"]["hidden"]);
    assert!(has_fresh(&hidden), "{}", receipt["noise"]);
    for used in receipt["noise"]["hidden"].as_array().unwrap() {
        assert_eq!(
            (&used["count"], &used["evidence"]["differed"]["of"]),
            (&json!(COUNT), &json!(11 * COUNT)),
            "{used}"
        );
        assert_eq!(used["evidence"]["runs"][0], learned["receipt"]["run"]);
    }
    assert_eq!((&receipt["answers"]["missed"], &receipt["answers"]["never_asked"]), (&json!(0), &json!(0)));
    assert!(document["results"][0]["trajectory"].is_null());
    let alarms = receipt["noise"]["alarms"].as_array().unwrap();
    assert!(alarms.iter().any(|rate| rate["route"] == "store POST /lookup"), "{alarms:?}");

    // What else is asked, or no id where there always was one, is a finding as ever.
    for (variable, place) in [("WORD=refunds", "/word: recorded"), ("ID=none", "/request_id: recorded")] {
        let (code, document) = replay(folder, &["--env", variable]);
        assert_eq!((code, verdicts(&document)), (1, vec!["diverged"; COUNT]), "{variable}");
        assert!(document["results"][0]["missed"][0]["nearest"].as_str().unwrap().contains(place), "{document}");
    }
    assert_eq!(replay(folder, &["--noise", "none"]).0, 1);
    let (code, document) = replay(folder, &["--repeat", "3"]);
    assert_eq!((code, &document["receipt"]["tally"]["noise"]), (0, &json!(COUNT)), "{}", document["receipt"]);

    // It is listed, and a bundle takes it along.
    let listed = retake(folder, &["inspect", "--json"]).json()["noise"].clone();
    let of_calls = listed.as_array().unwrap().iter().find(|it| it["routes"][0] == "store POST /lookup");
    assert_eq!(of_calls.unwrap()["places"], 4, "{listed}");
    assert_eq!(retake(folder, &["export", ".retake", "-o", "case.retake"]).code, 0);
    let elsewhere =
        ["replay", "case.retake", "--store", "another", "--determinism", "0", "--order", "serial", "--json"];
    let ran = retake(folder, &elsewhere);
    assert_eq!((ran.code, verdicts(&ran.json())), (0, vec!["noise"; COUNT]), "{}", ran.err);

    // Two runs against each other: what they disagree on in their calls is learned, and set apart.
    let (_, other) = replay(folder, &taught);
    let runs = [&learned, &other].map(|document| document["run_path"].as_str().unwrap());
    let diff = |more: &[&str]| retake(folder, &[&["diff", runs[0], runs[1], "--json"], more].concat());
    assert_eq!(verdicts(&diff(&["--noise", "none"]).json())[0], "diverged");
    let learned = diff(&["--learn"]).json();
    let known = places(&learned["calls"]["places"]);
    assert!(has_fresh(&known), "{learned}");
    let ran = diff(&["--noise", learned["path"].as_str().unwrap()]);
    let document = ran.json();
    assert!(ran.code == 0 && verdicts(&document).iter().all(|verdict| *verdict == "noise"), "{document}");
    let noise = document["exchanges"][0]["comparison"]["noise"].to_string();
    assert!(noise.contains("dep:store:path:/1") && noise.contains(r#""call":"store POST /lookup""#), "{noise}");
}

#[test]
fn a_run_that_was_killed_and_gone_on_with_measures_the_calls_of_all_its_repeats() {
    let recorded = recorded(&[]);
    let folder = recorded.path();
    let taught =
        ["--repeat", "40", "--on-miss", "nearest", "--noise", "none", "--determinism", "0", "--order", "serial"];
    let mut child = begin(folder, &folder.join(".retake"), &taught);
    let run = judged(folder, 4);
    send_signal("-KILL", &child);
    child.wait().unwrap();
    let ran = retake(folder, &["replay", "--json", "--resume", run.to_str().unwrap()]);
    let document = ran.json();
    assert_eq!(document["receipt"]["resumed"], 1, "{}", ran.err);
    let noise = document["receipt"]["repeats"]["noise"].as_array().unwrap();
    for (route, pointer) in FRESH {
        let place = noise.iter().find(|it| (&it["route"], &it["pointer"]) == (&json!(route), &json!(pointer))).unwrap();
        assert_eq!((&place["compared"], &place["differed"]), (&json!(39 * COUNT), &json!(39 * COUNT)), "{place}");
    }
}

#[test]
fn repeats_with_clock_and_chance_held_still_say_what_they_do_not_measure_and_how_it_is_measured() {
    let recorded = recorded(&[]);
    let folder = recorded.path();
    let held = |more: &[&str]| {
        let arguments = ["--repeat", "2", "--order", "serial", "--on-miss", "nearest"];
        let (_, document) = replayed(folder, &[&arguments[..], more].concat());
        assert_eq!(document["receipt"]["determinism"]["level"], 3, "{}", document["receipt"]["determinism"]);
        document["receipt"]["repeats"]["held_still"].clone()
    };
    let found = held(&[]);
    assert_eq!(found["measure_with"], "--determinism 0");
    let places = places(&found["places"]);
    assert!(has_fresh(&places) && has(&places, ("POST /ask", "/id")), "{found}");
    assert_eq!((&found["places"][0]["form"], places.len()), (&json!("uuid"), 5), "{found}");
    let arguments = ["replay", ".retake", "--repeat", "2", "--order", "serial", "--on-miss", "nearest"];
    let page = retake(folder, &arguments).out;
    assert!(page.lines().any(|it| it.starts_with("noise") && it.contains("`--determinism 0` measures")), "{page}");

    // Rules leave it out, or it was measured: there is nothing to say.
    let rules = ["--ignore", "/id", "--ignore", "dep:store:/request_id", "--ignore", "dep:store:/trace"];
    assert_eq!(held(&rules)["places"].as_array().unwrap().len(), 2, "no rule is for path and query");
    replay(folder, &["--repeat", "12", "--on-miss", "nearest"]);
    assert!(held(&[]).is_null());
}

#[test]
fn a_form_that_was_not_recorded_is_told_by_field_and_its_noise_is_measured_by_field() {
    let recorded = recorded(&[("BY", "form")]);
    let folder = recorded.path();
    let (code, document) = replay(folder, &["--env", "WORD=refunds"]);
    let nearest = document["results"][0]["missed"][0]["nearest"].as_str().unwrap_or_default();
    assert_eq!(code, 1);
    for field in [r#"/word: recorded "invoices", asked "refunds""#, "/request_id: recorded"] {
        assert!(nearest.contains(field), "{nearest}");
    }
    replay(folder, &["--repeat", "12", "--on-miss", "nearest"]);
    let (code, document) = replay(folder, &[]);
    assert_eq!((code, verdicts(&document)), (0, vec!["noise"; COUNT]), "{document}");
    assert!(has(&places(&document["receipt"]["noise"]["hidden"]), ("store POST /search", "dep:store:/request_id")));
    assert_eq!(replay(folder, &["--env", "WORD=refunds"]).0, 1);
}
