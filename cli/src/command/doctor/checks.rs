//! What the facts mean: which are as they should be, what the others are needed for, and how to get them.

use host::{DiskSurvey, EngineSurvey, KernelSurvey};
use replayer::{Rehearsed, Unanswerable};
use report::Check;

use super::{Engine, Survey};

/// Oldest engine API that is spoken, as DESIGN has it (Docker 20.10).
const API_OLDEST: (u32, u32) = (1, 41);

/// Least room on a disk, in bytes, below which little can be recorded, and below which it is worth a word. Choices: the
/// image of a Python service is about 1 GB.
const DISK_BYTES_MIN: u64 = 256 << 20;
const DISK_BYTES_COMFORT: u64 = 2 << 30;

/// Longest path of a unix socket in bytes (unix(7)), and what we put behind the temporary folder.
const SOCKET_PATH_MAX: usize = 107;
const SOCKET_PATH_OURS: &str = "/retake-run-XXXXXX/run/bridge.sock";

/// Open files below which many connections at once wait for one another. A choice: a connection takes two.
const OPEN_FILES_COMFORT: u64 = 4_096;

/// A check for each thing that was looked at.
pub(super) fn of(survey: &Survey) -> Vec<Check> {
    let mut checks = vec![platform(&survey.kernel), program(survey)];
    checks.extend(engine(&survey.engine, &survey.kernel));
    checks.extend([
        name_spaces(survey.no_name_spaces.as_deref()),
        observation(&survey.kernel),
        tracing(&survey.kernel),
        ipv6(&survey.kernel),
        control_groups(&survey.kernel),
        disk("disk for the store", &survey.store, "say `--store DIR` for a folder on a larger disk"),
        disk("disk for temporary files", &survey.temporary, "set TMPDIR to a folder on a larger disk"),
        temporary_path(survey),
        listen(survey.listen_refused.as_deref()),
        open_files(survey.open_files_max),
        gpus(&survey.gpus),
    ]);
    checks.extend(survey.unanswerable.iter().filter(|it| !it.in_part).map(unanswerable));
    checks
}

fn platform(kernel: &KernelSurvey) -> Check {
    let found = format!("Linux {} on {}", kernel.release, kernel.architecture);
    match kernel.architecture.as_str() {
        "x86_64" => Check::fine("platform", found),
        _ => Check::limited(
            "platform",
            found,
            "recordings of x86-64 services are replayed on x86-64 only",
            "replay on a machine of the recorded architecture",
        ),
    }
}

fn program(survey: &Survey) -> Check {
    let (path, is_static) = &survey.program;
    if *is_static {
        return Check::fine("this program", format!("{}, static: it runs in every image", env!("CARGO_PKG_VERSION")));
    }
    Check::missing(
        "this program",
        format!("`{}` is not a static executable", path.display()),
        "it is the first process of each replayed container, whatever is in the image",
        "use the release's binary, or build with the target and flags in `.cargo/config.toml`",
    )
}

fn engine(engine: &Engine, kernel: &KernelSurvey) -> Vec<Check> {
    const NAME: &str = "container engine";
    const FOR: &str = "recording and replaying containers; processes (`-- CMD`, `--process`) need none";
    match engine {
        Engine::Silent { reason, help } if reason.contains("ermission denied") => vec![Check::missing(
            NAME,
            reason,
            FOR,
            format!("become a member of its group: `sudo usermod -aG docker $USER`, then log in again; or: {help}"),
        )],
        Engine::Silent { reason, help } => vec![Check::missing(NAME, reason, FOR, help)],
        Engine::Answers { survey, rehearsal } => {
            let mut checks = vec![version(survey), same_platform(survey, kernel), limits(survey), gateway(survey)];
            checks.extend(left_behind(survey));
            checks.push(rehearsed(rehearsal.as_ref()));
            checks
        }
    }
}

fn version(survey: &EngineSurvey) -> Check {
    let found = format!("{} at {}, API {}", survey.version, survey.address, survey.api_version);
    let mut numbers = survey.api_version.split('.').map(|part| part.parse().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= API_OLDEST {
        return Check::fine("container engine", found);
    }
    Check::missing(
        "container engine",
        found,
        "API 1.41 and later is understood",
        "upgrade it: Docker 20.10 of 2020 is new enough",
    )
}

fn same_platform(survey: &EngineSurvey, kernel: &KernelSurvey) -> Check {
    let found = format!("{} on {}", survey.os, survey.architecture);
    if survey.os == "linux" && survey.architecture == kernel.architecture {
        return Check::fine("engine's platform", found);
    }
    Check::missing(
        "engine's platform",
        found,
        "this program becomes the init of its containers, so both have to be Linux of one architecture",
        "set DOCKER_HOST to an engine like this machine, or run this program where the engine is",
    )
}

fn limits(survey: &EngineSurvey) -> Check {
    if survey.limits_missing.is_empty() {
        return Check::fine("container limits", "memory, swap, CPU and processes can be limited");
    }
    Check::limited(
        "container limits",
        format!("cannot be put on a container here: {}", survey.limits_missing.join(", ")),
        "recorded limits of that kind do not hold in a replay, which its receipt says",
        "enable the kernel's controllers (kernel parameters `cgroup_enable=memory swapaccount=1`, or cgroups version 2)",
    )
}

fn gateway(survey: &EngineSurvey) -> Check {
    if !survey.is_here {
        return Check::limited(
            "address for containers",
            "the engine's machine is another one than this",
            "its containers cannot call a capture that listens here at their gateway",
            "run `retake capture` on the engine's machine; replays work from here",
        );
    }
    if survey.gateway.is_empty() {
        return Check::fine("address for containers", "the engine has no default bridge network");
    }
    let gateway = &survey.gateway;
    Check::fine(
        "address for containers",
        format!(
            "on the default network they reach this machine at {gateway}: `--dependency NAME=URL,listen={gateway}:PORT`"
        ),
    )
}

fn left_behind(survey: &EngineSurvey) -> Option<Check> {
    (survey.left_behind > 0).then(|| {
        Check::limited(
            "left behind",
            format!("{} containers and volumes of replays that were killed", survey.left_behind),
            "they take room and do no other harm",
            "the next `retake replay` in a container removes them",
        )
    })
}

fn rehearsed(rehearsal: Option<&Result<Rehearsed, String>>) -> Check {
    const NAME: &str = "container without network";
    const COPIED: &str = "; the engine sees other files than this program, so all was copied in, and the bridge ran over an exec's streams";
    match rehearsal {
        None => Check::limited(
            NAME,
            "not tried",
            "whether one can be run shows only when one is",
            "leave out `--no-container`",
        ),
        Some(Ok(Rehearsed { took, is_copied })) => {
            let how = if *is_copied { COPIED } else { "" };
            Check::fine(
                NAME,
                format!("started, reached over the bridge and removed within {:.1} s{how}", took.as_secs_f64()),
            )
        }
        Some(Err(reason)) => Check::missing(
            NAME,
            reason,
            "it is what a recorded image is replayed in",
            "see the engine's own log; `docker run --rm --network none IMAGE` should work as well",
        ),
    }
}

fn name_spaces(refused: Option<&str>) -> Check {
    match refused {
        None => Check::fine("name spaces", "a replayed process gets a network and processes of its own"),
        Some(reason) => Check::limited(
            "name spaces",
            reason,
            "without them a replayed process (`-- CMD`, `--process`) runs on this machine's network, and the receipt says that \
             egress was not prevented",
            "allow them: `sysctl kernel.unprivileged_userns_clone=1`, on Ubuntu `kernel.apparmor_restrict_unprivileged_userns=0`, \
             in a container `--security-opt seccomp=unconfined`; or run as root",
        ),
    }
}

fn observation(kernel: &KernelSurvey) -> Check {
    if kernel.has_seccomp_notifications {
        return Check::fine("what a service connects to", "each attempt can be named (seccomp notifications)");
    }
    Check::limited(
        "what a service connects to",
        "the kernel has no seccomp notifications",
        "what was not recorded is counted instead of named, and refused connections are not seen",
        "run Linux 5.5 or later",
    )
}

fn tracing(kernel: &KernelSurvey) -> Check {
    const NAME: &str = "ptrace";
    match kernel.ptrace_scope {
        None | Some(0 | 1) => Check::fine(NAME, "a process may trace its children"),
        Some(scope) => Check::limited(
            NAME,
            format!("kernel.yama.ptrace_scope is {scope}"),
            "debuggers cannot follow a replayed service; determinism level 3 needs it",
            "`sysctl kernel.yama.ptrace_scope=1`",
        ),
    }
}

fn ipv6(kernel: &KernelSurvey) -> Check {
    if kernel.has_ipv6_loopback {
        return Check::fine("IPv6 loopback", "::1 is there");
    }
    Check::limited(
        "IPv6 loopback",
        "there is no ::1",
        "a service that listens on `::1` alone, or was recorded with such a dependency, cannot be replayed",
        "`sysctl net.ipv6.conf.all.disable_ipv6=0`, or boot without `ipv6.disable=1`",
    )
}

fn control_groups(kernel: &KernelSurvey) -> Check {
    match kernel.cgroup_version {
        Some(version) => Check::fine("control groups", format!("version {version}")),
        None => Check::limited(
            "control groups",
            "none are mounted",
            "recorded limits on memory, CPU and processes cannot be put on a container",
            "mount them at /sys/fs/cgroup",
        ),
    }
}

fn disk(name: &str, room: &Result<DiskSurvey, String>, help: &str) -> Check {
    const FOR: &str = "a capture whose disk is full loses recordings, never requests";
    let room = match room {
        Ok(room) => room,
        Err(reason) => return Check::missing(name, reason, "recordings and runs are written there", help),
    };
    let found = format!("{} free at `{}`", report::bytes(room.free_bytes), room.folder.display());
    match room.free_bytes {
        0..DISK_BYTES_MIN => Check::missing(name, found, FOR, help),
        DISK_BYTES_MIN..DISK_BYTES_COMFORT => Check::limited(name, found, FOR, help),
        _ => Check::fine(name, found),
    }
}

fn temporary_path(survey: &Survey) -> Check {
    const NAME: &str = "temporary folder's name";
    let folder = survey.temporary_folder.display().to_string();
    if folder.len() + SOCKET_PATH_OURS.len() <= SOCKET_PATH_MAX {
        return Check::fine(NAME, format!("`{folder}` is short enough for a socket in it"));
    }
    Check::missing(
        NAME,
        format!("`{folder}` is too long"),
        "the socket into a replayed container stands in it, and its path has at most 107 bytes",
        "set TMPDIR to a shorter path, such as /tmp",
    )
}

fn listen(refused: Option<&str>) -> Check {
    let address = capture::Settings::default().listen;
    match refused {
        None => Check::fine("capture's address", format!("{address} is free")),
        Some(reason) => Check::limited(
            "capture's address",
            format!("{address}: {reason}"),
            "clients call a capture there unless it is told otherwise",
            "say another one with `retake capture --listen 127.0.0.1:PORT`",
        ),
    }
}

fn open_files(most: Option<u64>) -> Check {
    match most {
        Some(most @ ..OPEN_FILES_COMFORT) => Check::limited(
            "open files",
            format!("at most {most}"),
            "a capture holds two for each connection; later ones wait",
            "`ulimit -n 65536`, or `nofile` in /etc/security/limits.conf",
        ),
        Some(most) => Check::fine("open files", format!("up to {most}")),
        None => Check::fine("open files", "without a limit"),
    }
}

fn gpus(gpus: &[String]) -> Check {
    let none = "none: what was recorded with one that the service used is replayed where there is one".to_owned();
    Check::fine("GPU", if gpus.is_empty() { none } else { gpus.join(", ") })
}

fn unanswerable(found: &Unanswerable) -> Check {
    let Unanswerable { dependency, why, .. } = found;
    Check::limited(
        "recorded dependency",
        format!("`{dependency}` {why}"),
        "exchanges of this store that need it are `unjudged` in a replay",
        format!("replay with a real one beside, `--beside {dependency}=IMAGE`, as `retake inspect` says"),
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use report::CheckState;

    use super::*;

    fn state(check: &Check) -> CheckState {
        check.state
    }

    #[test]
    fn an_engine_of_an_older_api_is_missing_and_of_a_later_one_fine() {
        let engine = |api: &str| EngineSurvey { api_version: api.to_owned(), ..EngineSurvey::default() };
        let states = ["1.40", "1.41", "1.9", "1.54", "2.0", "nonsense"].map(|api| state(&version(&engine(api))));
        use CheckState::{Fine, Missing};
        assert_eq!(states, [Missing, Fine, Missing, Fine, Fine, Missing]);
    }

    #[test]
    fn an_engine_that_may_not_be_spoken_to_is_another_trouble_than_one_that_is_not_there() {
        let silent = |reason: &str| Engine::Silent { reason: reason.to_owned(), help: "start Docker".to_owned() };
        let kernel = KernelSurvey::default();
        assert!(engine(&silent("Permission denied (os error 13)"), &kernel)[0].help.contains("usermod"));
        assert_eq!(engine(&silent("No such file"), &kernel)[0].help, "start Docker");
    }

    #[test]
    fn little_room_is_worth_a_word_and_none_is_missing() {
        let room = |free_bytes| {
            state(&disk("disk", &Ok(DiskSurvey { folder: PathBuf::from("/"), free_bytes, total_bytes: 1 << 40 }), ""))
        };
        assert_eq!(
            [room(1 << 20), room(1 << 30), room(1 << 35)],
            [CheckState::Missing, CheckState::Limited, CheckState::Fine]
        );
    }

    #[test]
    fn whatever_is_not_fine_says_what_for_and_how_to_get_it() {
        let kernel = KernelSurvey { ptrace_scope: Some(3), ..KernelSurvey::default() };
        let engine_survey =
            EngineSurvey { limits_missing: vec!["swap".to_owned()], left_behind: 1, ..EngineSurvey::default() };
        let survey = Survey {
            program: (PathBuf::from("/retake"), false),
            no_name_spaces: Some("refused".to_owned()),
            engine: Engine::Answers { survey: Box::new(engine_survey), rehearsal: Some(Err("refused".to_owned())) },
            store: Err("gone".to_owned()),
            temporary: Err("gone".to_owned()),
            temporary_folder: PathBuf::from(format!("/{}", "x".repeat(100))),
            listen_refused: Some("taken".to_owned()),
            open_files_max: Some(256),
            gpus: Vec::new(),
            unanswerable: vec![Unanswerable {
                dependency: "db".to_owned(),
                why: "is encrypted, which differs with every connection",
                count: 1,
                in_part: false,
            }],
            kernel,
        };
        let checks = of(&survey);
        let not_fine: Vec<_> = checks.iter().filter(|check| check.state != CheckState::Fine).collect();
        assert_eq!(not_fine.len(), checks.len() - 1, "all but the GPU");
        assert!(not_fine.iter().all(|check| !check.needed_for.is_empty() && !check.help.is_empty()));
    }
}
