//! A replay that cannot start anything.

use std::net::TcpListener;

use tempfile::tempdir;

use super::{refusal, refused};
use crate::{
    Ran, command,
    shipped::{docker, shipped},
    untrue::{first_tickets, triage},
};

#[test]
fn without_an_engine_it_says_how_to_get_one_and_what_goes_without() {
    let folder = tempdir().unwrap();
    let source = shipped();
    let mut replay = command(folder.path(), &["replay", source.to_str().unwrap()]);
    let ran = Ran::of(&replay.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap());
    insta::assert_snapshot!(refusal(&ran, &[]), @r"
    exit code 2
    error: no container can be started for the replay
      because: no container engine answers at `unix:///nonexistent/docker.sock`
      because: Socket not found: /nonexistent/docker.sock
    help: start Docker (on Debian: `apt-get install docker.io`, then `dockerd`), or set DOCKER_HOST; without it, replay against `--process CMD` or `--target URL`; `retake doctor` checks what is there
    ");
    let mut replay = command(folder.path(), &["replay", source.to_str().unwrap()]);
    let ran = Ran::of(&replay.env("DOCKER_HOST", "ssh://host").output().unwrap());
    insta::assert_snapshot!(refusal(&ran, &[]), @r"
    exit code 2
    error: no container can be started for the replay
      because: no container engine answers at `ssh://host`
      because: URI scheme is not supported: ssh://host
    help: DOCKER_HOST is understood as `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`; bring what is behind ssh here with `ssh -nNT -L ./docker.sock:/var/run/docker.sock HOST`, then set DOCKER_HOST to `unix://$PWD/docker.sock`; `retake doctor` checks what is there
    ");
}

#[test]
fn an_engine_behind_tls_is_named_with_the_way_around() {
    let folder = tempdir().unwrap();
    let source = shipped();
    let mut replay = command(folder.path(), &["replay", source.to_str().unwrap()]);
    replay.env("DOCKER_HOST", "tcp://127.0.0.1:2376").env("DOCKER_TLS_VERIFY", "1");
    insta::assert_snapshot!(refusal(&Ran::of(&replay.output().unwrap()), &[]), @r"
    exit code 2
    error: no container can be started for the replay
      because: the container engine at `tcp://127.0.0.1:2376` is behind TLS, which is not spoken here
    help: bring its socket here with `ssh -nNT -L ./docker.sock:/var/run/docker.sock HOST`, then set DOCKER_HOST to `unix://$PWD/docker.sock`
    ");
}

#[test]
fn an_image_that_is_not_here_is_named_with_how_to_get_it() {
    if !docker("an_image_that_is_not_here_is_named_with_how_to_get_it") {
        return;
    }
    let folder = tempdir().unwrap();
    let source = shipped();
    let arguments = ["replay", source.to_str().unwrap(), "--image", "retake-test/nowhere:1"];
    insta::assert_snapshot!(refused(folder.path(), &arguments, &[]), @r"
    exit code 2
    error: no container can be started for the replay
      because: there is no image `retake-test/nowhere:1` on this machine
    help: `docker images` lists those that are; get this one with `docker pull retake-test/nowhere:1`, or build it
    ");
}

#[test]
fn a_command_that_is_not_there_or_cannot_be_run_is_named() {
    let folder = tempdir().unwrap();
    let source = shipped();
    let of = |command: &str| {
        let arguments = ["replay", source.to_str().unwrap(), "--only", &first_tickets(1), "--process", command];
        refused(folder.path(), &arguments, &[(folder.path().to_str().unwrap(), "FOLDER")])
    };
    insta::assert_snapshot!(of("nope --port 80"), @r"
    exit code 2
    error: cannot replay against `nope`: there is no such program in its PATH, which is `/`
    help: a command is written as in a shell: `--process './serve --port 8000'`; a service that runs already as `--target http://HOST:PORT`
    ");
    insta::assert_snapshot!(of("./nope"), @r"
    exit code 2
    error: cannot replay against `./nope`: there is no such file
    help: a command is written as in a shell: `--process './serve --port 8000'`; a service that runs already as `--target http://HOST:PORT`
    ");
    let text = folder.path().join("text");
    std::fs::write(&text, "no program").unwrap();
    insta::assert_snapshot!(of(text.to_str().unwrap()), @r"
    exit code 2
    error: cannot replay against `FOLDER/text`: that file may not be executed; `chmod +x` lets it
    help: a command is written as in a shell: `--process './serve --port 8000'`; a service that runs already as `--target http://HOST:PORT`
    ");
    insta::assert_snapshot!(of("'unfinished"), @r"
    exit code 2
    error: `--process 'unfinished` is no command line
    help: close every quote that it opens
    ");
}

#[test]
fn a_port_that_something_else_has_is_named_where_there_are_no_name_spaces() {
    let folder = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let source = shipped();
    let only = first_tickets(1);
    let process = triage();
    let arguments = ["replay", source.to_str().unwrap(), "--only", &only, "--process", &process, "--port", &port];
    let said = refused(folder.path(), &[&arguments[..], &["--ready-timeout", "1s"]].concat(), &[(&port, "PORT")]);
    // In name spaces of its own the port is free, and the service is simply not on it.
    if said.contains("VOID") {
        insta::assert_snapshot!(said, @r"
        exit code 3
        VOID     the service accepted no connection on port PORT within 1 s
          wrote | triage listens on 127.0.0.1:18080
          wrote | triage has stopped
        next     say which port it listens on with `--port N`, or give it longer with `--ready-timeout 5m`
        ");
    } else {
        assert!(said.contains("something listens on port PORT of this machine already"), "{said}");
    }
}
