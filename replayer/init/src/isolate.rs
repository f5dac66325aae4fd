//! Name spaces for a process that has no container: no network but its own loopback, and processes, shared memory and queues
//! of its own.
//!
//! As root without a user name space, so that files keep their owners; otherwise with one in which the user is itself.
//! A mount name space comes with them, for a resolver configuration that points to the loopback.

use std::{ffi::OsString, fs, path::Path, process::Command};

use crate::{Config, InitError, WORD, service, system};

/// Sockets through which names are resolved without asking the resolver: they lead out of the name spaces.
const RESOLVER_SOCKETS: [&str; 2] = ["/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"];

/// Makes name spaces and runs `CONFIG -- COMMAND` as their first process.
pub(crate) fn run(config: &Path, command: &[OsString]) -> Result<u8, InitError> {
    enter()?;
    redirect_resolver(config)?;
    add_hosts(config)?;
    put_over(config)?;
    system::block_signals();
    let executable = system::own_executable();
    let mut inner = Command::new(&executable);
    inner.arg(WORD).arg(config).arg("--").args(command);
    system::first_of_name_space(&mut inner);
    let child = service::start(&mut inner, &executable.into_os_string())?;
    Ok(service::wait_for(system::pid_of(&child), None).0)
}

/// Says on standard output why `--isolate` would not work, if so.
#[expect(clippy::print_stdout, reason = "the answer is read by the process that asked")]
pub(crate) fn probe() -> Result<u8, InitError> {
    match enter() {
        Ok(()) => Ok(0),
        Err(error) => {
            println!("{error}");
            Ok(1)
        }
    }
}

fn enter() -> Result<(), InitError> {
    let without_user =
        if system::is_root() { system::unshare(false) } else { Err(std::io::ErrorKind::PermissionDenied.into()) };
    if without_user.is_err() {
        let (user, group) = system::user_and_group();
        system::unshare(true).map_err(|source| InitError::System { what: "make name spaces", source })?;
        map_to_itself(user, group)
            .map_err(|source| InitError::System { what: "map the user into its name space", source })?;
    }
    system::bring_loopback_up().map_err(|source| InitError::System { what: "bring the loopback up", source })?;
    // Lets an ordinary user's service, and our resolver, have ports below 1024, as containers do. Where it fails they
    // are refused them, and say so.
    drop(fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"));
    Ok(())
}

fn map_to_itself(user: u32, group: u32) -> std::io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Puts the recorded names before those of `/etc/hosts`: the first line that has a name counts (hosts(5)).
fn add_hosts(config: &Path) -> Result<(), InitError> {
    let hosts = Config::read(config)?.hosts;
    if hosts.is_empty() {
        return Ok(());
    }
    let failed = |source| InitError::System { what: "put the recorded names into `/etc/hosts`", source };
    let mut lines: String = hosts.iter().map(|(name, ip)| format!("{ip}\t{name}\n")).collect();
    // Read as it is: where it cannot be, the loopback's own name is all that is needed.
    lines += &fs::read_to_string("/etc/hosts").unwrap_or_else(|_| "127.0.0.1\tlocalhost\n".to_owned());
    let ours = config.with_file_name("hosts");
    fs::write(&ours, lines).map_err(failed)?;
    system::bind_mount(&ours, Path::new("/etc/hosts")).map_err(failed)
}

/// Puts files where the service is to find them instead of what is there.
fn put_over(config: &Path) -> Result<(), InitError> {
    for (path, ours) in Config::read(config)?.over {
        system::bind_mount(&ours, &path)
            .map_err(|source| InitError::System { what: "put a file over one of the system's", source })?;
    }
    Ok(())
}

/// Points `/etc/resolv.conf` to the loopback. Without that names would be asked elsewhere and not be seen, so it is
/// an error.
fn redirect_resolver(config: &Path) -> Result<(), InitError> {
    let failed = |source| InitError::System { what: "point `/etc/resolv.conf` to the loopback", source };
    system::keep_mounts_private().map_err(failed)?;
    for socket in RESOLVER_SOCKETS.map(Path::new) {
        if socket.exists() {
            system::bind_mount(Path::new("/dev/null"), socket).map_err(failed)?;
        }
    }
    let ours = config.with_file_name("resolv.conf");
    fs::write(&ours, "nameserver 127.0.0.1\n").map_err(failed)?;
    system::bind_mount(&ours, Path::new("/etc/resolv.conf")).map_err(failed)
}
