//! A capture that cannot begin.

use std::net::TcpListener;

use tempfile::tempdir;

use super::refused;
use crate::shipped::docker;

#[test]
fn a_container_or_a_process_that_is_not_there_is_named() {
    let folder = tempdir().unwrap();
    let upstream = ["capture", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"];
    let gone = refused(folder.path(), &[&upstream[..], &["--pid", "4194305"]].concat(), &[]);
    insta::assert_snapshot!(gone, @r"
    exit code 2
    error: there is no process 4194305
    help: see the running ones with `ps`
    ");
    if docker("a_container_or_a_process_that_is_not_there_is_named") {
        let nameless = refused(folder.path(), &[&upstream[..], &["--container", "retake-test-nobody"]].concat(), &[]);
        insta::assert_snapshot!(nameless, @r"
        exit code 2
        error: there is no container `retake-test-nobody`
        help: see the running ones with `docker ps`
        ");
    }
    assert!(!folder.path().join(".retake/segments").exists(), "nothing was begun");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named_with_what_may_be_the_reason() {
    let folder = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = TcpListener::bind(taken).unwrap();
    let address = taken.to_string();
    let upstream = ["capture", "--upstream", "http://127.0.0.1:1"];
    let listen = |more: &[&str]| refused(folder.path(), &[&upstream[..], more].concat(), &[(&address, "ADDRESS")]);
    insta::assert_snapshot!(listen(&["--listen", &address]), @r"
    exit code 2
    error: cannot listen on `ADDRESS` for clients
      because: Address already in use (os error 98)
    help: something else listens there, perhaps another capture: end it, or choose another address with `--listen` or, for a dependency, `NAME=URL,listen=ADDRESS:PORT`
    ");
    let elsewhere = "llm=http://127.0.0.1:1,listen=192.0.2.1:9101";
    insta::assert_snapshot!(listen(&["--listen", "127.0.0.1:0", "--dependency", elsewhere]), @r"
    exit code 2
    error: cannot listen on `192.0.2.1:9101` for the dependency `llm`
      because: Cannot assign requested address (os error 99)
    help: this machine has no such address; `ip address` lists those that it has, `docker network inspect bridge` the one that containers reach it at
    ");
    drop(holder);
}

#[test]
fn what_is_no_url_or_no_dependency_is_shown_as_it_has_to_be_written() {
    let folder = tempdir().unwrap();
    insta::assert_snapshot!(refused(folder.path(), &["capture", "--upstream", "127.0.0.1:9000"], &[]), @r"
    exit code 2
    error: `127.0.0.1:9000` is no upstream: it names no scheme
    help: write it as `http://HOST:PORT` or `https://HOST/BASE/PATH`
    ");
    let dependency =
        ["capture", "--upstream", "http://127.0.0.1:1", "--dependency", "llm=http://127.0.0.1:2,127.0.0.1:3"];
    insta::assert_snapshot!(refused(folder.path(), &dependency, &[]), @r"
    exit code 2
    error: the dependency `llm` has `127.0.0.1:3` after its URL where `listen=ADDRESS:PORT` may stand
    help: write it as `NAME=URL` or `NAME=URL,listen=127.0.0.1:9001`; the URL of what is no HTTP is `tcp://HOST:PORT`
    ");
}

#[test]
fn an_address_of_what_is_no_http_is_shown_as_it_has_to_be_written() {
    let folder = tempdir().unwrap();
    let capture = ["capture", "--upstream", "http://127.0.0.1:1", "--dependency"];
    let dependency = |url: &str| refused(folder.path(), &[&capture[..], &[&format!("cache={url}")]].concat(), &[]);
    insta::assert_snapshot!(dependency("tcp://127.0.0.1"), @r"
    exit code 2
    error: the dependency `cache` has no usable URL
      because: `tcp://127.0.0.1` is no upstream: it names no port, and `tcp` has none of its own
    help: write it as `NAME=URL` or `NAME=URL,listen=127.0.0.1:9001`; the URL of what is no HTTP is `tcp://HOST:PORT`
    ");
    insta::assert_snapshot!(dependency("tcp://127.0.0.1:6379/0"), @r"
    exit code 2
    error: the dependency `cache` has no usable URL
      because: `tcp://127.0.0.1:6379/0` is no upstream: it has a path, which nothing but HTTP has
    help: write it as `NAME=URL` or `NAME=URL,listen=127.0.0.1:9001`; the URL of what is no HTTP is `tcp://HOST:PORT`
    ");
    insta::assert_snapshot!(dependency("redis://127.0.0.1:6379"), @r"
    exit code 2
    error: the dependency `cache` has no usable URL
      because: `redis://127.0.0.1:6379` is no upstream: its scheme is none of `http`, `https` and `tcp`
    help: write it as `NAME=URL` or `NAME=URL,listen=127.0.0.1:9001`; the URL of what is no HTTP is `tcp://HOST:PORT`
    ");
    insta::assert_snapshot!(refused(folder.path(), &["capture", "--upstream", "tcp://127.0.0.1:6379"], &[]), @r"
    exit code 2
    error: `tcp://127.0.0.1:6379` cannot be the service: what clients ask of it has to be HTTP to be sent again
    help: record what it calls, with `--dependency NAME=tcp://HOST:PORT`
    ");
}
