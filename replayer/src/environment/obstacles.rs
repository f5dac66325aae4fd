//! What of this machine keeps a replay from being what it claims, and what is worth a warning.

use std::path::Path;

use exchange::{Fingerprint, HostEnvironment, Subject};
use host::Machine;

use super::devices::gpu_obstacle;
use crate::receipt::{EnvironmentDifference, Void};

/// What makes a replay of this recording on this machine void before it starts.
pub(crate) fn obstacle(recorded: &Fingerprint, machine: &Machine) -> Option<Void> {
    let here = &machine.environment;
    let architecture = &recorded.host.architecture;
    if !architecture.is_empty() && *architecture != here.architecture {
        return Some(Void {
            reason: format!("recorded on {architecture}, and the machine for the replay is {}", here.architecture),
            help: "replay on a machine of the recorded architecture".to_owned(),
            ..Void::default()
        });
    }
    let Subject::Container(container) = &recorded.subject else { return None };
    if !machine.is_here {
        // What it has besides is not seen from here, and its engine refuses what it lacks.
        return None;
    }
    let is_here = |path: &str| Path::new(path).exists();
    gpu_obstacle(&container.config, &recorded.host, here, is_here)
}

/// What differs and is worth a warning.
pub(crate) fn differences(recorded: &HostEnvironment, here: &HostEnvironment) -> Vec<EnvironmentDifference> {
    let mut differences = Vec::new();
    let mut note = |what: &str, recorded: &str, here: &str| {
        if !recorded.is_empty() && recorded != here {
            let here = if here.is_empty() { "not seen" } else { here };
            let (recorded, here) = (recorded.to_owned(), here.to_owned());
            differences.push(EnvironmentDifference { what: what.to_owned(), recorded, here });
        }
    };
    note("cpu model", &recorded.cpu_model, &here.cpu_model);
    // An engine on another machine tells neither model nor flags, which is said once.
    if !here.cpu_flags.is_empty() {
        note(
            "cpu flags",
            &flags_beyond(&recorded.cpu_flags, &here.cpu_flags),
            &flags_beyond(&here.cpu_flags, &recorded.cpu_flags),
        );
    }
    note("kernel", &recorded.kernel, &here.kernel);
    note("cpus", &recorded.cpu_count.to_string(), &here.cpu_count.to_string());
    let gpus = |host: &HostEnvironment| {
        host.gpus.iter().map(|gpu| format!("{} (driver {})", gpu.model, gpu.driver)).collect::<Vec<_>>().join(", ")
    };
    note("gpu", &gpus(recorded), &gpus(here));
    differences
}

/// The flags of `these` that `those` lack, with a word where there is none so that a one-sided difference shows.
fn flags_beyond(these: &[String], those: &[String]) -> String {
    if these == those || these.is_empty() {
        return String::new();
    }
    let beyond: Vec<_> = these.iter().filter(|flag| !those.contains(flag)).map(String::as_str).collect();
    if beyond.is_empty() { "no others".to_owned() } else { beyond.join(" ") }
}

#[cfg(test)]
mod tests {
    use exchange::Subject;

    use super::*;

    #[test]
    fn another_architecture_is_an_obstacle_and_another_kernel_a_warning() {
        let host = |architecture: &str, kernel: &str| HostEnvironment {
            architecture: architecture.to_owned(),
            kernel: kernel.to_owned(),
            ..HostEnvironment::default()
        };
        let machine = Machine { environment: host("x86_64", "6.1"), is_here: true };
        let fingerprint = |host| Fingerprint { subject: Subject::Unknown, host, packages: Vec::new() };
        assert!(obstacle(&fingerprint(host("aarch64", "6.1")), &machine).is_some());
        assert_eq!(obstacle(&fingerprint(host("x86_64", "5.1")), &machine), None);
        let found = differences(&host("x86_64", "5.1"), &machine.environment);
        assert_eq!(found[0].what, "kernel");
    }
    #[test]
    fn what_an_engine_does_not_tell_of_its_machine_is_said_not_to_be_seen() {
        let recorded = HostEnvironment {
            cpu_model: "EPYC".to_owned(),
            cpu_flags: vec!["avx2".to_owned()],
            ..HostEnvironment::default()
        };
        let found = differences(&recorded, &HostEnvironment::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].what.as_str(), found[0].here.as_str()), ("cpu model", "not seen"));
    }
}
