//! The shim: what passes by the kernel's call comes from the seed as well.

use std::{fs, process::Command};

use crate::{
    Setup,
    controlled::Service,
    skipped,
    traced::{built, settings},
};

/// `std::random_device` asks the processor, and this program opens the file of random bytes.
const PROGRAM: &str = r#"
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <random>
#include <unistd.h>
int main(int, char **words) {
    std::random_device device;
    std::printf("%u %u\n", device(), device());
    for (int i = 0; i < 2; i++) {
        unsigned char bytes[4] = {0};
        int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
        long len = read(file, bytes, 4);
        std::printf("%ld %02x%02x%02x%02x\n", len, bytes[0], bytes[1], bytes[2], bytes[3]);
    }
    std::printf("%d\n", open("/no/such/file", O_RDONLY) == -1 && errno == ENOENT);
    std::printf("%d\n", open(words[1], O_CREAT | O_WRONLY, 0640) >= 0);
}
"#;

#[test]
fn what_passes_by_the_call_for_random_bytes_comes_from_the_seed_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let (source, program, shim) = (folder.path().join("p.cc"), folder.path().join("p"), folder.path().join("shim.so"));
    fs::write(&source, PROGRAM).unwrap();
    fs::write(&shim, init::SHIM).unwrap();
    match Command::new("g++").arg("-o").args([&program, &source]).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => return skipped("there is no g++"),
    }
    let setup = Setup::of(&settings("", ""));
    let made = folder.path().join("made");
    let seen = || {
        let mut init = setup.command(&[], &[program.to_str().unwrap(), made.to_str().unwrap()]);
        String::from_utf8(init.env("LD_PRELOAD", &shim).output().unwrap().stdout).unwrap()
    };
    let first = seen();
    assert!(first.ends_with("\n1\n1\n"), "{first}");
    let lines: Vec<_> = first.lines().collect();
    assert!(lines[1].starts_with("4 ") && lines[1] != lines[2], "{first}");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&made).unwrap().permissions()) & 0o777, 0o640);
    for _ in 0..9 {
        assert_eq!(seen(), first);
    }
}

#[test]
fn a_program_of_another_library_loads_the_shim_too() {
    let Some((folder, program)) = built("looks", &["-musl"]) else { return };
    let shim = folder.path().join("shim.so");
    fs::write(&shim, init::SHIM).unwrap();
    let output = Setup::of(&settings("", "")).command(&[], &[&program]).env("LD_PRELOAD", &shim).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn where_the_tracer_gives_no_random_bytes_nothing_is_loaded_that_would_ask_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let [shim, recorded] = ["shim.so", "recorded.so"].map(|name| folder.path().join(name));
    for library in [&shim, &recorded] {
        fs::write(library, init::SHIM).unwrap();
    }
    let preload = format!(r#""preload": {:?}, "#, shim);
    let seen = |plant: &str, recorded: &str| {
        let setup = Setup::of(&settings(&preload, r#", "fallback": true"#));
        let mut init = setup.command(&[], &["sh", "-c", "echo $LD_PRELOAD"]);
        let output = init.env("RETAKE_INIT_PLANT", plant).env("LD_PRELOAD", recorded).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (shim, recorded) = (shim.to_str().unwrap(), recorded.to_str().unwrap());
    if seen("none", "").is_empty() {
        return skipped("there is no loader of glibc");
    }
    assert_eq!(seen("none", recorded), format!("{recorded}:{shim}"));
    assert_eq!([seen("no-entropy", ""), seen("no-entropy", recorded)], ["", recorded]);
}

#[test]
fn what_the_library_gives_without_a_call_is_the_same_each_time_and_each_processs_own() {
    let Some((folder, program)) = built("gives", &[]) else { return };
    let shim = folder.path().join("shim.so");
    fs::write(&shim, init::SHIM).unwrap();
    let seen = |seed: &str| {
        let setup = Setup::of(&settings("", "").replace("5eed5eed", seed));
        let output = setup.command(&[], &[&program]).env("LD_PRELOAD", &shim).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = seen("5eed5eed");
    assert!(first.contains("\n4096\n") && first.ends_with("\n1\n1\n"), "{first}");
    for _ in 0..9 {
        assert_eq!(seen("5eed5eed"), first);
    }
    // Six processes and a thread with six pieces each, and two more.
    let pieces =
        |text: &str| -> Vec<_> { text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect() };
    let all = [pieces(&first), pieces(&seen("0ddb0ddb"))].concat();
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (2 * 38, 2 * 38), "{first}");
}

/// Without the library each of some 1,000 requests is a call.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_library_gives_random_bytes_the_tracer_is_asked_once_in_a_process() {
    let Some((folder, program)) = built("gives", &[]) else { return };
    let shim = folder.path().join("shim.so");
    fs::write(&shim, init::SHIM).unwrap();
    let preload = format!("LD_PRELOAD={}", shim.display());
    for (variable, calls) in [(preload.as_str(), 12..30), ("UNUSED=", 1_000..1_100)] {
        let service = Service::start(&[], "", "", &["env", variable, &program]).await;
        let (status, observed) = service.ended().await;
        let reached = observed.reached.unwrap();
        assert_eq!((status, reached.troubles.len()), (Some(0), 0));
        assert!(calls.contains(&reached.random_count), "{variable} {reached:?}");
    }
}
