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
    insta::assert_snapshot!(with("", &["--beside", "db=postgres:16", "--beside", "db=redis:7"]), @"");
    insta::assert_snapshot!(with("", &["--beside", "db=postgres:16", "--process", &triage()]), @"");
    insta::assert_snapshot!(with("", &["--beside", "db=postgres:16", "--target", "http://127.0.0.1:1"]), @"");
    insta::assert_snapshot!(with("", &["--beside", "postgres:16"]), @"");
}

#[test]
fn a_server_whose_image_port_or_dump_is_not_known_is_refused_with_what_to_say() {
    if !docker("a_server_whose_image_port_or_dump_is_not_known_is_refused_with_what_to_say") {
        return;
    }
    let image = store_image("beside-refused", 8090, &["EXPOSE 8091"]);
    insta::assert_snapshot!(with("", &["--beside", "db=retake-test/nowhere:16"]), @"");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE"]), @"");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=8090,dump=gone.sql"]), @"");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=8090,dump=shop.sql"]), @"");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=18080"]), @"");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=8090", "--beside", "other=IMAGE,port=8090"]), @"");
}

#[test]
fn a_server_that_dies_or_is_never_ready_is_void_with_what_it_wrote() {
    if !docker("a_server_that_dies_or_is_never_ready_is_void_with_what_it_wrote") {
        return;
    }
    let image = store_image("beside-void", 8090, &[]);
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,env=PORT=none"]), @"");
    insta::assert_snapshot!(with(&image.0, &["--beside", "db=IMAGE,port=1", "--ready-timeout", "1s"]), @"");
}
