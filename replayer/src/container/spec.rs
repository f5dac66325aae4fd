//! What is asked of the engine: the container as it was recorded, but for what differs with each run.

use std::net::{IpAddr, Ipv4Addr};

use exchange::ContainerIdentity;
use host::{ContainerSpec, FoundImage};

use crate::{environment::Addresses, job::Job};

/// What the hosts file has beside `localhost`: the service's own name too, which services look up.
pub(super) fn hosts_of(addresses: &Addresses, hostname: &str) -> Vec<(String, IpAddr)> {
    let own = Some(hostname).filter(|name| !name.is_empty() && *name != "localhost");
    let own = own.map(|name| (name.to_owned(), Ipv4Addr::LOCALHOST.into()));
    addresses.hosts.iter().map(|(name, ip)| (name.clone(), *ip)).chain(own).collect()
}

/// The command: what the recorded container had from its own image, this one has from its own.
pub(super) fn argv_of(recorded: &ContainerIdentity, image: &FoundImage) -> Vec<String> {
    let (was, is) = (&recorded.image.runtime, &image.identity.runtime);
    let own = |recorded: &Vec<String>, of_image: &Vec<String>, now: &Vec<String>| {
        if recorded == of_image || recorded.is_empty() { now.clone() } else { recorded.clone() }
    };
    let mut argv = own(&recorded.config.entrypoint, &was.entrypoint, &is.entrypoint);
    argv.extend(own(&recorded.config.command, &was.command, &is.command));
    argv
}

/// The container as it was recorded, but for what differs with each run.
pub(super) fn spec_of(job: &Job<'_>, recorded: &ContainerIdentity, image: &FoundImage) -> ContainerSpec {
    let (was, is) = (&recorded.image.runtime, &image.identity.runtime);
    let mut config = recorded.config.clone();
    if config.user == was.user {
        config.user.clone_from(&is.user);
    }
    if config.working_dir == was.working_dir {
        config.working_dir.clone_from(&is.working_dir);
    }
    if config.stop_signal == was.stop_signal {
        config.stop_signal.clone_from(&is.stop_signal);
    }
    ContainerSpec {
        image: image.engine_id.clone(),
        config,
        executable: job.settings.executable.clone(),
        run: job.run.to_string(),
        ..ContainerSpec::default()
    }
}

/// `SIGRTMIN` as glibc has it, which is what engines mean by it.
const FIRST_REAL_TIME: i32 = 34;

/// The number of the signal that ends a container: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`. What says nothing known is 15, the
/// engine's own default.
pub(super) fn signal_of(name: &str) -> i32 {
    let name = name.trim().to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(more) = name.strip_prefix("RTMIN") {
        return more.parse().map_or(FIRST_REAL_TIME, |more: i32| FIRST_REAL_TIME.saturating_add(more).clamp(1, 64));
    }
    let numbers = [("HUP", 1), ("INT", 2), ("QUIT", 3), ("KILL", 9), ("USR1", 10), ("USR2", 12), ("WINCH", 28)];
    let known = numbers.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known.or_else(|| name.parse().ok().filter(|number| (1..=64).contains(number))).unwrap_or(15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        let signals =
            ["", "SIGTERM", "15", "SIGINT", "quit", "SIGRTMIN+3", "RTMIN", "3", "0", "-1", "99", "SIGRTMIN+99"];
        assert_eq!(signals.map(signal_of), [15, 15, 15, 2, 3, 37, 34, 3, 15, 15, 15, 64]);
    }
}
