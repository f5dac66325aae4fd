//! A server that cannot be run beside the service, or is never ready.

use std::fs;

use tempfile::tempdir;

use super::refused;
use crate::{
    beside::store_image,
    shipped::{docker, shipped},
    untrue::{first_tickets, triage},
};

/// A replay of one ticket with this beside it; `IMAGE` in the texts is the image.
fn with(image: &str, more: &[&str]) -> String {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("shop.sql"), "SELECT 1;").unwrap();
    let more: Vec<String> = more.iter().map(|word| word.replace("IMAGE", image)).collect();
    let (source, only) = (shipped(), first_tickets(1));
    let mut arguments = vec!["replay", source.to_str().unwrap(), "--only", &only];
    arguments.extend(more.iter().map(String::as_str));
    refused(folder.path(), &arguments, &[(source.to_str().unwrap(), "SOURCE"), (image, "IMAGE"), (&triage(), "triage")])
}

#[test]
fn a_server_needs_a_name_of_its_own_and_a_container_to_stand_beside() {
    insta::assert_snapshot!(with("", &["--beside", "db=postgres:16", "--beside", "db=redis:7"]), @r"
    exit code 2
    error: `--beside db=…` is given twice
    help: give each server a name of its own, the one that the service calls it by
    ");
    insta::assert_snapshot!(with("", &["--beside", "db=postgres:16", "--process", &triage()]), @r"
    exit code 2
    error: `--beside db` shares the network of the service's container, and `--process` has none
    help: replay in a container, the recorded image or another with `--image REF`; or start the service with a real one yourself, and replay against it with `--target URL` and without `--beside`
    ");
    insta::assert_snapshot!(with("", &["--beside", "db=postgres:16", "--target", "http://127.0.0.1:1"]), @r"
    exit code 2
    error: `--beside db` shares the network of the service's container, and what runs at `--target` has its own
    help: replay in a container, the recorded image or another with `--image REF`; or start the service with a real one yourself, and replay against it with `--target URL` and without `--beside`
    ");
    insta::assert_snapshot!(with("", &["--beside", "postgres:16"]), @r"
    exit code 2
    error: `--beside postgres:16` is no name, `=` and an image
    help: write it as `--beside db=postgres:16,port=5432,dump=dump.sql,env=POSTGRES_PASSWORD=x`; only NAME=IMAGE is needed, `env=` may be repeated, and a comma in a value is written twice
    ");
}

#[test]
fn a_server_whose_image_port_or_dump_is_not_known_is_refused_with_what_to_say() {
    if !docker("a_server_whose_image_port_or_dump_is_not_known_is_refused_with_what_to_say") {
        return;
    }
    let image = store_image("beside-refused", 8090, &["EXPOSE 8091"]);
    insta::assert_snapshot!(with("", &["--beside", "db=retake-test/nowhere:16"]), @r"
    exit code 2
    error: there is no image `retake-test/nowhere:16` on this machine to run beside the service as `db`
    help: nothing is pulled without being asked: `docker pull retake-test/nowhere:16`; `docker images` lists those that are here
    ");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE"]), @r"
    exit code 2
    error: which port `db` listens on is not known: the image `IMAGE` exposes 8090, 8091
    help: say it: `--beside db=IMAGE,port=N`
    ");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=8090,dump=gone.sql"]), @r"
    exit code 2
    error: cannot read `gone.sql`, the dump for `db`
      because: No such file or directory (os error 2)
    help: name a file or folder of this machine
    ");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=8090,dump=shop.sql"]), @r"
    exit code 2
    error: where the image `IMAGE` reads a dump is not known, so `shop.sql` has no place in `db`
    help: say where it is to be: `--beside db=IMAGE,dump=shop.sql,at=/PATH/IN/IT`; known without are PostgreSQL, MariaDB, MySQL, MongoDB, Valkey, Redis
    ");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=18080"]), @r"
    exit code 2
    error: `db` listens on port 18080, and so does the service itself; a replay has one network for all
    help: let it listen elsewhere, and say where (for PostgreSQL `--beside db=…,env=PGPORT=18081,port=18081`): the service is led there
    ");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=8090", "--beside", "other=IMAGE,port=8090"]), @r"
    exit code 2
    error: `other` listens on port 8090, and so does `db`; a replay has one network for all
    help: let it listen elsewhere, and say where (for PostgreSQL `--beside other=…,env=PGPORT=8091,port=8091`): the service is led there
    ");
}

#[test]
fn a_server_that_dies_or_is_never_ready_is_void_with_what_it_wrote() {
    if !docker("a_server_that_dies_or_is_never_ready_is_void_with_what_it_wrote") {
        return;
    }
    let image = store_image("beside-void", 8090, &[]);
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,env=PORT=none"]), @r"
    exit code 3
    VOID     `db` (IMAGE), beside the service, ended before it was ready, with status 2
      wrote | triage-records: `PORT` is `none`; it may be a port
    next     give it what it lacks here: `--beside db=IMAGE,env=NAME=VALUE`
    ");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=1", "--ready-timeout", "1s"]), @r"
    exit code 3
    VOID     `db` (IMAGE), beside the service, was not ready within 1 s; the last try: port 1: Connection refused (os error 111)
      wrote | triage-records listens on 0.0.0.0:8090
    next     give it longer with `--ready-timeout 5m` (a large dump takes its time), or say where it listens: `--beside db=IMAGE,port=N`
    ");
}
