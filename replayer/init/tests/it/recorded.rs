//! What the recorded container was given of its host, given again.

use std::{fs, io::IsTerminal as _};

use exchange::{ContainerConfig, Limits, Mount};

use crate::docker::{Contained, Image, engine, is_service};

#[test]
#[ignore = "the service inside the container"]
fn service_that_looks_around() {
    if !is_service() {
        return;
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    let line = |text: &str, start: &str| {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    let status = read("/proc/self/status");
    println!("{}", line(&status, "Uid:"));
    let groups = line(&status, "Groups:");
    println!("groups {}", ["44", "1234"].iter().all(|group| groups.split(' ').any(|found| found == *group)));
    println!("{}", line(&read("/proc/self/limits"), "Max open files"));
    println!("somaxconn {}", read("/proc/sys/net/core/somaxconn").trim());
    let mounts = read("/proc/self/mounts");
    println!("shm {}", line(&mounts, "shm /dev/shm").contains("size=4096k"));
    println!("scratch {}", line(&mounts, "tmpfs /scratch").contains("rw"));
    let memory = [read("/sys/fs/cgroup/memory/memory.limit_in_bytes"), read("/sys/fs/cgroup/memory.max")];
    println!("memory {}", memory.iter().any(|limit| limit.trim() == "268435456"));
    println!("folder {}", std::env::current_dir().unwrap().display());
    println!("terminal {}", std::io::stdout().is_terminal());
    println!("root {}", fs::write("/file", "x").is_err());
    std::process::exit(0);
}

#[tokio::test]
async fn a_container_has_the_limits_groups_and_settings_that_were_recorded() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("as-recorded");
    let config = ContainerConfig {
        user: "1000:1000".to_owned(),
        groups: vec!["44".to_owned(), "1234".to_owned()],
        working_dir: "/proc".to_owned(),
        read_only: true,
        shm_bytes: Some(4 << 20),
        sysctls: vec!["net.core.somaxconn=321".to_owned()],
        tty: true,
        mounts: vec![Mount {
            path: "/scratch".to_owned(),
            kind: "tmpfs".to_owned(),
            source: String::new(),
            read_only: false,
            ..Mount::default()
        }],
        limits: Limits {
            memory_bytes: Some(256 << 20),
            ulimits: vec!["nofile=321:654".to_owned()],
            ..Limits::default()
        },
        ..ContainerConfig::default()
    };
    let contained = Contained::start(&docker, &image, "recorded::service_that_looks_around", config).await;
    let (status, _, log) = contained.ended().await;
    let log: Vec<_> = log.into_iter().map(|line| line.text).collect();
    assert_eq!(status, Some(0), "{log:?}");
    let expected = [
        "Uid: 1000 1000 1000 1000",
        "groups true",
        "Max open files 321 654 files",
        "somaxconn 321",
        "shm true",
        "scratch true",
        "memory true",
        "folder /proc",
        "terminal true",
        "root true",
    ];
    for line in expected {
        assert!(log.iter().any(|found| found.trim() == line), "{line}: {log:?}");
    }
}
