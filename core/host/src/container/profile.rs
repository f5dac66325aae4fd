//! A seccomp profile that lets a program be started at fixed addresses, which an engine's own refuses.
//!
//! An engine's profile stands for what a container without capabilities should not do. Ours names that, and allows the rest:
//! `personality`, by which addresses are fixed, among it. What a missing capability refuses by itself is not repeated.

use serde_json::{Value, json};

/// Kernel interfaces that have let programs out of containers, or that know nothing of name spaces: what Docker's
/// documentation lists as blocked, beyond those that take a capability that a replay never has.
const REFUSED: [&str; 29] = [
    "acct",
    "add_key",
    "bpf",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "request_key",
    "setns",
    "swapoff",
    "swapon",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
];

/// Flags of clone(2) that make name spaces: mount, control group, host name, IPC, user, process and network.
const NAME_SPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

/// `AF_VSOCK`: sockets to the machine around this one, which know nothing of network name spaces (vsock(7)).
const TO_THE_HYPERVISOR: u64 = 40;

/// `ENOSYS`: programs then use clone(2), whose flags a filter can see.
const NOT_THERE: u64 = 38;

/// The profile, as engines take it.
pub(super) fn fixed_addresses() -> Value {
    let refused = json!({ "names": REFUSED, "action": "SCMP_ACT_ERRNO" });
    let clone3 = json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": NOT_THERE });
    let address_family = json!({ "index": 0, "value": TO_THE_HYPERVISOR, "op": "SCMP_CMP_EQ" });
    let socket = json!({ "names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [address_family] });
    let clone = NAME_SPACES.map(|flag| {
        let argument = json!({ "index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ" });
        json!({ "names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [argument] })
    });
    let rules: Vec<Value> = [refused, clone3, socket].into_iter().chain(clone).collect();
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    })
}
