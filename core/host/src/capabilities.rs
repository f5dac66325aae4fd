//! Which Linux capabilities a replayed container has: of those that it had, the ones over its own files and users.
//!
//! Much of what runs as root first makes folders, gives them away and becomes another user (nginx, PostgreSQL, most
//! entrypoint scripts), and ends at once where it may not. Nothing here reaches beyond the container's own root and
//! processes, and no network is there to be used.

use exchange::ContainerConfig;

/// Part of the engine's usual set (moby, `oci/caps/defaults.go`). Left out of it are `NET_RAW`, `MKNOD`, `AUDIT_WRITE` and
/// `SETFCAP`: raw packets without a network, devices, the kernel's audit log, and giving capabilities to files.
const KEPT: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Every capability.
const ALL: &str = "ALL";

/// Names as they are recorded: upper case, without `CAP_`, sorted.
pub(crate) fn names(given: Vec<String>) -> Vec<String> {
    let plain = |name: String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
    };
    let mut names: Vec<_> = given.into_iter().map(plain).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What a replay of this container gets. As with the engine, what was added is there although all was dropped.
pub(crate) fn kept(recorded: &ContainerConfig) -> Vec<String> {
    let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
    let (added, dropped) = (&recorded.capabilities_added, &recorded.capabilities_dropped);
    let had = |name: &&str| match (has(dropped, ALL), has(dropped, name)) {
        (_, true) => false,
        (true, false) => has(added, name),
        (false, false) => true,
    };
    KEPT.into_iter().filter(had).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_of(added: &[&str], dropped: &[&str]) -> Vec<String> {
        let names = |list: &[&str]| names(list.iter().map(ToString::to_string).collect());
        kept(&ContainerConfig {
            capabilities_added: names(added),
            capabilities_dropped: names(dropped),
            ..ContainerConfig::default()
        })
    }

    #[test]
    fn a_container_as_usual_may_change_owners_and_users_and_nothing_of_the_network_or_devices() {
        assert_eq!(kept_of(&[], &[]), KEPT);
        assert_eq!(kept_of(&["NET_ADMIN", "CAP_SYS_ADMIN", "ALL"], &[]), KEPT);
    }

    #[test]
    fn what_was_dropped_stays_dropped_and_what_was_added_after_all_was_dropped_is_there() {
        assert!(!kept_of(&[], &["CAP_CHOWN"]).contains(&"CHOWN".to_owned()));
        assert!(kept_of(&[], &["ALL"]).is_empty());
        assert_eq!(kept_of(&["cap_net_bind_service"], &["all"]), ["NET_BIND_SERVICE"]);
    }
}
