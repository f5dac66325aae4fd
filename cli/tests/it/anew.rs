//! Between repeats a service is started anew in its container, which is kept as long as nothing is left in it.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    contained::{Image, answer_each},
    determined::{SERVICE, ask, outcome, recorded_in_docker, replayed},
    otherwise::{Capturing, post},
    shipped::docker,
    untrue::eventually,
};

/// Not a test: a service that counts what it is asked, and leaves what it is told to. Run as `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the tests beside it"]
fn service() {
    let Ok(port) = std::env::var("PORT") else { return };
    let mut count = 0;
    answer_each(("127.0.0.1", port.parse().unwrap()), |request| {
        count += 1;
        let request = String::from_utf8_lossy(request).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        let left = Path::new(path).file_name().map_or_else(String::new, |_| {
            let before = fs::read_to_string(path).unwrap_or_default();
            fs::write(path, format!("{before}x")).unwrap();
            before
        });
        json!({ "count": count, "left": left }).to_string()
    });
}

fn asking(path: &'static str) -> impl Fn(&Capturing) {
    move |capture| {
        eventually("the service", || post(&capture.address, path, b"", "").contains("\"count\"").then_some(()));
        assert!(post(&capture.address, path, b"", "").contains("\"count\":2"));
    }
}

fn repeats(document: &Value) -> &Value {
    &document["receipt"]["repeats"]
}

#[test]
fn docker_memory_is_forgotten_between_repeats_and_a_container_that_was_written_to_is_replaced() {
    if !docker("docker_memory_is_forgotten_between_repeats_and_a_container_that_was_written_to_is_replaced") {
        return;
    }
    let image = Image::of_these_tests("anew", &[]);
    let remembers_nothing = recorded_in_docker(&image, "anew::service", asking("/"));
    let more = ["--repeat", "5", "--order", "serial"];
    let (ran, document) = replayed(remembers_nothing.path(), &more);
    assert_eq!((ran.code, &document["receipt"]["determinism"]["level"]), (0, &json!(3)), "{document}");
    assert_eq!(repeats(&document)["reset"], "process");
    assert_eq!(repeats(&document)["resets"], json!({ "processes": 4, "containers": 0 }));
    // The same service counts on.
    let (ran, document) = replayed(remembers_nothing.path(), &[&more[..], &["--reset", "none"]].concat());
    assert_eq!(ran.code, 1, "{document}");

    for (path, named) in [("/tmp/left", "first `/tmp/left`"), ("/dev/shm/left", "/dev/shm/left is left")] {
        let leaves = recorded_in_docker(&image, "anew::service", asking(path));
        let (ran, document) = replayed(leaves.path(), &more);
        assert_eq!(ran.code, 0, "{document}");
        let resets = &repeats(&document)["resets"];
        assert_eq!((&resets["processes"], &resets["containers"]), (&json!(0), &json!(4)), "{resets}");
        assert_eq!(resets["why"][0]["count"], 4);
        assert!(resets["why"][0]["reason"].as_str().unwrap().contains(named), "{resets}");
    }

    // Where nothing traces the service, each repeat has a container of its own.
    let (ran, document) = replayed(remembers_nothing.path(), &["--repeat", "3", "--determinism", "2"]);
    assert_eq!((ran.code, &repeats(&document)["resets"]["containers"]), (0, &json!(2)), "{document}");
}

#[test]
fn docker_what_is_started_anew_answers_as_it_does_in_a_fresh_container() {
    if !docker("docker_what_is_started_anew_answers_as_it_does_in_a_fresh_container") {
        return;
    }
    let image = Image::of_these_tests("anew-alike", &[]);
    let folder = recorded_in_docker(&image, SERVICE, ask);
    let at = |reset: &str| replayed(folder.path(), &["--repeat", "4", "--order", "serial", "--reset", reset]).1;
    let (anew, fresh) = (at("process"), at("container"));
    assert_eq!(repeats(&anew)["resets"]["processes"], 3, "{anew}");
    assert_eq!(outcome(&anew), outcome(&fresh));
    for document in [&anew, &fresh] {
        assert_eq!(document["receipt"]["determinism"]["level"], 3);
        for result in document["results"].as_array().unwrap() {
            assert_eq!(result["repeated"]["distinct_exact"], 1, "{result}");
        }
    }
}
