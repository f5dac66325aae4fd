//! What the service tries to connect to is seen, and it notices nothing of that: as a static program and a dynamic one, as
//! root and as another user, in a container and in name spaces of its own.

use std::{
    env,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{self, fs::PermissionsExt as _, net::UnixStream},
    },
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use exchange::ContainerConfig;
use wire::bridge::{self, Attempt, Destination, Fate, Host, Observed};

use crate::{
    PATIENCE, Setup,
    docker::{Contained, Image, engine, is_service},
    isolation_is_missing, skipped,
};

/// Where nothing listens, and how often it is tried there at once.
const ABSENT: &str = "127.0.0.1:6379";
const THREAD_COUNT: u64 = 8;
const CONNECT_COUNT: u64 = 500;

fn tcp(address: &str) -> Destination {
    Destination::Tcp(address.parse().unwrap())
}

fn times(destination: Destination, fate: Fate, count: u64) -> Attempt {
    Attempt { destination, fate, count }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    TcpStream::connect(address.parse::<SocketAddr>().unwrap())
}

#[test]
#[ignore = "the service inside"]
fn service_that_tries_everything() {
    if !is_service() {
        return;
    }
    drop(connect("127.0.0.1:8101").unwrap());
    let own = TcpListener::bind("127.0.0.1:8200").unwrap();
    drop(connect("127.0.0.1:8200").unwrap());
    drop(own);
    assert_eq!(connect("127.0.0.1:8200").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(connect("192.0.2.1:5432").unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
    assert_eq!(UnixStream::connect("/no/such.sock").unwrap_err().kind(), io::ErrorKind::NotFound);
    let name = unix::net::SocketAddr::from_abstract_name("retake\n").unwrap();
    assert_eq!(UnixStream::connect_addr(&name).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.send_to(b"count:1|c", "127.0.0.1:8125").unwrap();
    datagrams.send_to(b"to itself", datagrams.local_addr().unwrap()).unwrap();
    thread::scope(|scope| {
        for _ in 0..THREAD_COUNT {
            scope.spawn(|| {
                for _ in 0..CONNECT_COUNT {
                    assert_eq!(connect(ABSENT).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
                }
            });
        }
    });
    println!("tried everything");
}

fn expected() -> Vec<Attempt> {
    let unix = |bytes: &[u8]| Destination::unix(bytes);
    vec![
        times(tcp(ABSENT), Fate::Absent, THREAD_COUNT * CONNECT_COUNT),
        times(tcp("127.0.0.1:8101"), Fate::Recorded, 1),
        times(tcp("127.0.0.1:8200"), Fate::Inside, 1),
        times(tcp("127.0.0.1:8200"), Fate::Absent, 1),
        times(tcp("192.0.2.1:5432"), Fate::Outside, 1),
        times(Destination::Udp(([127, 0, 0, 1], 8125).into()), Fate::Absent, 1),
        times(unix(b"/no/such.sock"), Fate::Absent, 1),
        times(unix(b"@retake\n"), Fate::Absent, 1),
    ]
}

/// All that was tried, less what a program sends to itself at a port that the kernel chose, and what the C library asks
/// of the daemons of its name services.
fn tried(observed: &Observed) -> Vec<Attempt> {
    let is_its_own = |attempt: &&Attempt| match &attempt.destination {
        Destination::Udp(address) => attempt.fate != Fate::Inside || address.port() < 1024,
        Destination::Unix(path) => !path.contains("nscd"),
        Destination::Tcp(_) => true,
    };
    observed.attempts.iter().filter(is_its_own).cloned().collect()
}

fn assert_all_seen(observed: &Observed) {
    assert!(observed.complete && observed.attempts_observed && !observed.attempts_cut, "{observed:?}");
    assert_eq!(observed.attempts_unread_count, 0);
    assert_eq!(tried(observed), expected());
}

/// Runs a command in name spaces of its own, as this user or as another one.
async fn isolated(user: Option<u32>, command: &[&str]) -> (Observed, Output) {
    let setup = Setup::with_bridge(SocketAddr::from(([127, 0, 0, 1], 8101)));
    let listener = bridge::listen(setup.folder.path()).unwrap();
    std::fs::set_permissions(setup.folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut init = setup.command(&["--isolate"], command);
    if let Some(user) = user {
        let mut as_user = Command::new("setpriv");
        as_user.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
        as_user.arg("--").arg(init.get_program()).args(init.get_args());
        init = as_user;
    }
    init.env("RETAKE_TEST_PART", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
    let init = init.spawn().unwrap();
    let ended = async {
        let host = Host::accept(listener, PATIENCE).await.unwrap();
        host.ended().await;
        host.close().await
    };
    let observed = tokio::time::timeout(PATIENCE, ended).await;
    let output = init.wait_with_output().unwrap();
    (observed.unwrap_or_else(|_| panic!("it hangs: {output:?}")), output)
}

/// This test's own executable, which is static, run as the service.
fn own_part<'a>(executable: &'a str, part: &'a str) -> [&'a str; 5] {
    [executable, "--exact", part, "--ignored", "--nocapture"]
}

/// A copy of this executable that every user can read.
fn own_executable() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("service");
    std::fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let name = copy.to_str().unwrap().to_owned();
    (folder, name)
}

/// True where another user's processes get name spaces, which some systems forbid.
fn other_users_have_name_spaces() -> bool {
    let init = env!("CARGO_BIN_EXE_retake-init");
    let user = ["--reuid=1000", "--regid=1000", "--clear-groups", "--", init, "__init", "--probe"];
    let probe = Command::new("setpriv").args(user).output().is_ok_and(|probe| probe.status.success());
    if !probe {
        skipped("another user's processes get no name spaces");
    }
    probe
}

#[tokio::test]
async fn each_thing_that_an_isolated_service_tries_is_seen_and_comes_out_as_ever() {
    if isolation_is_missing() {
        return;
    }
    let (_folder, executable) = own_executable();
    let command = own_part(&executable, "watched::service_that_tries_everything");
    for user in [None, Some(1000)] {
        if user.is_some() && !other_users_have_name_spaces() {
            continue;
        }
        let (observed, output) = isolated(user, &command).await;
        assert!(String::from_utf8_lossy(&output.stdout).contains("tried everything"), "{output:?}");
        assert_all_seen(&observed);
    }
}

#[tokio::test]
async fn each_thing_that_a_contained_service_tries_is_seen_as_root_and_as_another_user() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("watched");
    let ordinary = ContainerConfig { user: "1000:1000".to_owned(), read_only: true, ..ContainerConfig::default() };
    for config in [ordinary, ContainerConfig::default()] {
        let contained = Contained::start(&docker, &image, "watched::service_that_tries_everything", config).await;
        let (status, observed, log) = contained.ended().await;
        assert_eq!(status, Some(0), "{log:?}");
        assert!(log.iter().any(|line| line.text == "tried everything"), "{log:?}");
        assert_all_seen(&observed);
    }
}

#[tokio::test]
async fn a_shell_and_what_it_forks_are_seen_to_the_last_moment() {
    if isolation_is_missing() {
        return;
    }
    let script = "try() { (exec 3<>/dev/tcp/$1) 2>/dev/null; }; \
                  for i in 1 2 3; do try 127.0.0.1/6379 & done; wait; \
                  bash -c 'exec 3<>/dev/tcp/10.0.0.7/9092' 2>/dev/null; \
                  exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/5432' 2>/dev/null";
    let (observed, output) = isolated(None, &["bash", "-c", script]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let expected = [
        times(tcp("10.0.0.7:9092"), Fate::Outside, 1),
        times(tcp("127.0.0.1:5432"), Fate::Absent, 1),
        times(tcp(ABSENT), Fate::Absent, 3),
    ];
    assert_eq!(tried(&observed), expected);
}

#[tokio::test]
async fn a_process_that_outlives_the_service_neither_hangs_nor_delays_the_end() {
    if isolation_is_missing() {
        return;
    }
    let script = "(while :; do (exec 3<>/dev/tcp/127.0.0.1/6379) 2>/dev/null; done) & sleep 0.3; exit 4";
    let (observed, output) = isolated(None, &["bash", "-c", script]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(matches!(&tried(&observed)[..], [Attempt { count: 1.., fate: Fate::Absent, .. }]), "{observed:?}");
}

#[tokio::test]
async fn outside_a_name_space_of_its_own_nothing_is_observed_and_nothing_is_said_to_be() {
    let setup = Setup::with_bridge(crate::own_address());
    let listener = bridge::listen(setup.folder.path()).unwrap();
    let script = "(exec 3<>/dev/tcp/127.0.0.1/1) 2>/dev/null; exit 0";
    let mut init = setup.command(&[], &["bash", "-c", script]).spawn().unwrap();
    let host = Host::accept(listener, PATIENCE).await.unwrap();
    host.ended().await;
    let observed = host.close().await;
    assert!(init.wait().unwrap().success());
    assert!(observed.complete && !observed.attempts_observed && observed.attempts.is_empty(), "{observed:?}");
}

/// A program that its user may run but not read is not to be looked into: what it tries is counted, and not named.
#[tokio::test]
async fn what_a_program_tries_that_must_not_be_read_is_counted_and_not_named() {
    if isolation_is_missing() || !other_users_have_name_spaces() {
        return;
    }
    let (_folder, executable) = own_executable();
    std::fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o711)).unwrap();
    let command = own_part(&executable, "watched::service_that_tries_everything");
    let (observed, output) = isolated(Some(1000), &command).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("tried everything"), "{output:?}");
    assert_eq!((tried(&observed).len(), observed.attempts_observed), (0, true));
    assert!(observed.attempts_unread_count >= THREAD_COUNT * CONNECT_COUNT, "{observed:?}");
}

/// Says how long a refused connect, one that is answered and another call take, in nanoseconds.
#[test]
#[ignore = "the service inside"]
#[expect(clippy::disallowed_methods, reason = "a measurement asks the clock")]
fn service_that_measures_connects() {
    if !is_service() {
        return;
    }
    let own = TcpListener::bind("127.0.0.1:8200").unwrap();
    thread::spawn(move || own.incoming().for_each(|connection| connection.unwrap().write_all(b"x").unwrap()));
    let each = |work: &dyn Fn()| {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            (0..2000).for_each(|_| work());
            best = best.min(started.elapsed() / 2000);
        }
        best.as_nanos()
    };
    let refused = each(&|| assert!(connect(ABSENT).is_err()));
    let answered = each(&|| connect("127.0.0.1:8200").unwrap().read_exact(&mut [0]).unwrap());
    let other = each(&|| assert!(Path::new("/").exists()));
    println!("\nrefused {refused} answered {answered} another call {other}");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn connects_that_are_seen_beside_those_that_are_not() {
    if is_service() || isolation_is_missing() {
        return;
    }
    let (_folder, executable) = own_executable();
    let command = own_part(&executable, "watched::service_that_measures_connects");
    let (_, watched) = isolated(None, &command).await;
    // Without a bridge nobody looks on.
    let alone =
        Setup::without_bridge().command(&["--isolate"], &command).env("RETAKE_TEST_PART", "1").output().unwrap();
    for (name, output) in [("seen", watched), ("not seen", alone)] {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        eprintln!("{name}: {}", text.lines().find(|line| line.starts_with("refused")).unwrap_or(&text));
    }
}
