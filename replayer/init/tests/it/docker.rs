//! Init, bridge and a service in a real container. Skipped, and said so, where no engine answers; with
//! `RETAKE_REQUIRE_DOCKER=1` that is a failure.

use std::{
    env,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use exchange::{ContainerConfig, LogLine};
use host::{ContainerSpec, Delivery, Docker, INIT_SETTINGS, RunningContainer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::bridge::{self, Host, Observed};

use crate::skipped;

const PATIENCE: Duration = Duration::from_secs(60);

/// Over a socket in a mounted folder, and over an exec's streams with everything copied in.
const WAYS: [Delivery; 2] = [Delivery::Mounted, Delivery::Copied];

pub(crate) async fn engine() -> Option<Docker> {
    match Docker::connect().await {
        Ok(docker) => Some(docker),
        Err(error) if env::var_os("RETAKE_REQUIRE_DOCKER").is_some_and(|value| value == "1") => panic!("{error}"),
        Err(error) => {
            skipped(&error.to_string());
            None
        }
    }
}

/// An image that holds this test's own executable and nothing else; removed when dropped.
pub(crate) struct Image(pub(crate) String);

impl Image {
    pub(crate) fn make(name: &str) -> Self {
        let name = format!("retake-test/{name}:{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("service");
        std::fs::copy(env::current_exe().unwrap(), &service).unwrap();
        std::fs::set_permissions(&service, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut tar =
            Command::new("tar").arg("-cC").arg(folder.path()).arg("service").stdout(Stdio::piped()).spawn().unwrap();
        let import =
            Command::new("docker").args(["import", "-", &name]).stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(tar.wait().unwrap().success() && import.status.success(), "{import:?}");
        Self(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        Command::new("docker").args(["rmi", &self.0]).stdout(Stdio::null()).status().unwrap();
    }
}

/// A container that runs the test `part` of this executable as its service.
pub(crate) struct Contained {
    pub(crate) container: RunningContainer,
    pub(crate) host: Host,
    _folder: TempDir,
}

impl Contained {
    pub(crate) async fn start(docker: &Docker, image: &Image, part: &str, config: ContainerConfig) -> Self {
        Self::start_by(Delivery::Mounted, docker, image, part, config).await
    }

    async fn start_by(way: Delivery, docker: &Docker, image: &Image, part: &str, config: ContainerConfig) -> Self {
        Self::start_with(way, docker, image, part, config, r#""resolver": true"#).await
    }

    /// With more settings for init.
    pub(crate) async fn start_with(
        way: Delivery,
        docker: &Docker,
        image: &Image,
        part: &str,
        config: ContainerConfig,
        more: &str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run_folder = folder.path().join("run");
        std::fs::create_dir(&run_folder).unwrap();
        std::fs::set_permissions(&run_folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let way_out = match way {
            Delivery::Mounted => r#""socket": "/.retake/run/bridge.sock""#,
            Delivery::Copied => r#""relay": true"#,
        };
        let settings = format!(r#"{{{way_out}, "listen": ["127.0.0.1:8101", "[::1]:8102"], {more}}}"#);
        std::fs::write(run_folder.join(INIT_SETTINGS), settings).unwrap();
        let listener = (way == Delivery::Mounted).then(|| bridge::listen(&run_folder).unwrap());
        let argv = ["/service", "--exact", part, "--ignored", "--nocapture"];
        let spec = ContainerSpec {
            image: image.0.clone(),
            config,
            argv: argv.map(str::to_owned).to_vec(),
            variables: vec![("RETAKE_TEST_PART".to_owned(), part.to_owned())],
            executable: Path::new(env!("CARGO_BIN_EXE_retake-init")).to_owned(),
            run_folder,
            delivery: way,
            run: "test".to_owned(),
            ..ContainerSpec::default()
        };
        let container = docker.start(&spec, Arc::new(|| 0)).await.unwrap();
        let host = match listener {
            Some(listener) => Host::accept(listener, PATIENCE).await.unwrap(),
            None => {
                let relay = ["/.retake/retake", "__init", "--relay"].map(str::to_owned);
                Host::over(container.open_inside(&relay, None).await.unwrap(), PATIENCE).await.unwrap()
            }
        };
        Self { container, host, _folder: folder }
    }

    /// Waits for the service's own end, and gives its status, what was observed, and its log.
    pub(crate) async fn ended(mut self) -> (Option<i64>, Observed, Vec<LogLine>) {
        let status = tokio::time::timeout(PATIENCE, self.container.ended()).await.unwrap();
        self.host.ended().await;
        (status, self.host.close().await, self.container.remove().await.unwrap())
    }
}

/// True where this runs as the service of a container, and not because somebody asked for ignored tests.
pub(crate) fn is_service() -> bool {
    env::var_os("RETAKE_TEST_PART").is_some()
}

#[test]
#[ignore = "the service inside the container"]
fn service_that_calls_and_tries_to_leave() {
    if !is_service() {
        return;
    }
    let mut dependency = TcpStream::connect("127.0.0.1:8101").unwrap();
    dependency.write_all(b"question").unwrap();
    dependency.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    dependency.read_to_string(&mut answer).unwrap();
    println!("answered: {answer}");

    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    assert!(resolver.lines().any(|line| line == "nameserver 127.0.0.1"), "{resolver}");
    let query = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x03api\x06retake\x07example\0\0\x01\0\x01"].concat();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&query, "127.0.0.1:53").unwrap();
    let mut reply = [0; 64];
    socket.recv(&mut reply).unwrap();
    println!("no such name: {}", reply[3] & 0xf == 3);

    for _ in 0..2 {
        println!("tcp: {}", TcpStream::connect("192.0.2.1:443").unwrap_err());
    }
    println!("udp: {}", socket_error());
    let service = TcpListener::bind("0.0.0.0:80").unwrap();
    let (mut connection, _) = service.accept().unwrap();
    connection.write_all(b"served").unwrap();
    drop(connection);
    std::process::exit(7);
}

fn socket_error() -> std::io::Error {
    UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", "198.51.100.1:53").unwrap_err()
}

#[tokio::test]
async fn a_contained_service_is_reached_and_answered_and_what_it_tries_to_reach_is_seen() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("egress");
    let ordinary = ContainerConfig { user: "1000:1000".to_owned(), read_only: true, ..ContainerConfig::default() };
    let configs = [ordinary, ContainerConfig::default()];
    for (config, way) in configs.iter().flat_map(|config| WAYS.map(|way| (config.clone(), way))) {
        let name = "docker::service_that_calls_and_tries_to_leave";
        let contained = Contained::start_by(way, &docker, &image, name, config).await;
        let (address, mut call) = contained.host.incoming().await.unwrap();
        assert_eq!(address.to_string(), "127.0.0.1:8101");
        let mut question = String::new();
        call.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        call.write_all(b"as recorded").await.unwrap();
        call.shutdown().await.unwrap();
        let mut connection = connect(&contained.host, 80).await;
        let mut served = String::new();
        connection.read_to_string(&mut served).await.unwrap();
        assert_eq!(served, "served");

        let (status, observed, log) = contained.ended().await;
        let log: Vec<_> = log.into_iter().map(|line| line.text).collect();
        assert_eq!(status, Some(7), "{log:?}");
        for line in ["answered: as recorded", "no such name: true"] {
            assert!(log.iter().any(|found| found == line), "{log:?}");
        }
        assert_eq!(log.iter().filter(|line| line.contains("unreachable")).count(), 3, "{log:?}");
        assert!(observed.complete && observed.names_observed, "{observed:?}");
        assert_eq!(observed.names.len(), 1);
        assert_eq!((observed.names[0].name.as_str(), observed.names[0].question_count), ("api.retake.example", 1));
        assert_eq!(observed.no_route_count, Some(3), "{observed:?}");
    }
}

/// Tries until the service listens.
async fn connect(host: &Host, port: u16) -> bridge::BridgeStream {
    for _ in 0..600 {
        match host.open(port).await {
            Ok(stream) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("nothing listens on {port}");
}

#[test]
#[ignore = "the service inside the container"]
fn service_that_waits() {
    if is_service() {
        loop {
            std::thread::park();
        }
    }
}

#[tokio::test]
async fn a_container_that_is_stopped_passes_the_recorded_signal_on_and_has_its_last_word() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("stop");
    for (way, (stop_signal, number)) in WAYS.into_iter().zip([("", 15), ("SIGQUIT", 3)]) {
        let config = ContainerConfig { stop_signal: stop_signal.to_owned(), ..ContainerConfig::default() };
        let contained = Contained::start_by(way, &docker, &image, "docker::service_that_waits", config).await;
        contained.container.stop(Duration::from_secs(20)).await.unwrap();
        let (status, observed, _) = contained.ended().await;
        assert_eq!(status, Some(128 + number));
        assert_eq!((observed.complete, observed.no_route_count), (true, Some(0)), "{way:?}");
    }
}

#[tokio::test]
async fn a_container_ends_by_itself_when_whoever_replays_is_gone() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("gone");
    for way in WAYS {
        let config = ContainerConfig::default();
        let contained = Contained::start_by(way, &docker, &image, "docker::service_that_waits", config).await;
        let Contained { mut container, host, _folder } = contained;
        drop(host);
        assert_eq!(tokio::time::timeout(PATIENCE, container.ended()).await.unwrap(), Some(128 + 15), "{way:?}");
        container.remove().await.unwrap();
    }
}

#[tokio::test]
async fn the_volume_that_all_was_copied_into_goes_with_its_container() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("volume");
    let part = "docker::service_that_waits";
    let contained = Contained::start_by(Delivery::Copied, &docker, &image, part, ContainerConfig::default()).await;
    let form = "{{range .Mounts}}{{.Name}} {{.RW}}{{end}}";
    let mounted =
        Command::new("docker").args(["inspect", "--format", form, contained.container.id()]).output().unwrap();
    let mounted = String::from_utf8(mounted.stdout).unwrap();
    let (name, is_writable) = mounted.trim().split_once(' ').unwrap();
    assert_eq!(is_writable, "false");
    contained.container.stop(Duration::from_secs(20)).await.unwrap();
    contained.ended().await;
    let inspected = Command::new("docker").args(["volume", "inspect", name]).output().unwrap();
    assert!(!inspected.status.success());
}

#[test]
#[ignore = "the service inside the container"]
fn service_on_ipv6_alone() {
    if !is_service() {
        return;
    }
    let mut dependency = TcpStream::connect("[::1]:8102").unwrap();
    let mut answer = String::new();
    dependency.read_to_string(&mut answer).unwrap();
    println!("answered: {answer}");
    let service = TcpListener::bind("[::1]:80").unwrap();
    service.accept().unwrap().0.write_all(b"served").unwrap();
}

#[tokio::test]
async fn a_service_that_knows_only_ipv6_is_reached_and_answered() {
    let Some(docker) = engine().await else { return };
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return skipped("this kernel has no IPv6");
    }
    let image = Image::make("ipv6");
    for way in WAYS {
        let part = "docker::service_on_ipv6_alone";
        let contained = Contained::start_by(way, &docker, &image, part, ContainerConfig::default()).await;
        let (address, mut call) = contained.host.incoming().await.unwrap();
        assert_eq!(address.to_string(), "[::1]:8102");
        call.write_all(b"as recorded").await.unwrap();
        call.shutdown().await.unwrap();
        drop(call);
        let mut served = String::new();
        connect(&contained.host, 80).await.read_to_string(&mut served).await.unwrap();
        assert_eq!(served, "served");
        let (status, _, log) = contained.ended().await;
        assert!(status == Some(0) && log.iter().any(|line| line.text == "answered: as recorded"), "{log:?}");
    }
}

/// Gives back what it gets, as it comes.
#[test]
#[ignore = "the service inside the container"]
fn service_that_echoes() {
    if !is_service() {
        return;
    }
    let (connection, _) = TcpListener::bind("127.0.0.1:80").unwrap().accept().unwrap();
    std::io::copy(&mut &connection, &mut &connection).unwrap();
}

/// Bytes sent through and back: many times what all buffers on the way hold.
const ECHOED_LEN: usize = 48 << 20;

#[tokio::test]
async fn much_that_is_read_late_comes_whole_over_an_execs_streams() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("echo");
    let part = "docker::service_that_echoes";
    let contained = Contained::start_by(Delivery::Copied, &docker, &image, part, ContainerConfig::default()).await;
    let (mut reader, mut writer) = tokio::io::split(connect(&contained.host, 80).await);
    let byte_at = |place: usize| u8::try_from(place % 251).unwrap();
    let sent: Vec<u8> = (0..ECHOED_LEN).map(byte_at).collect();
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!writing.is_finished(), "nobody reads, so the sender waits");
    let mut came_back = Vec::new();
    reader.read_to_end(&mut came_back).await.unwrap();
    writing.await.unwrap();
    assert_eq!(came_back.len(), ECHOED_LEN);
    assert!(came_back.iter().enumerate().all(|(place, &byte)| byte == byte_at(place)));
    contained.ended().await;
}

/// Small requests and answers in ping-pong, as many connections as want it.
#[tokio::test]
#[ignore = "the service inside the container"]
async fn service_that_answers_small_requests() {
    if !is_service() {
        return;
    }
    let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await.unwrap();
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut request = [0; SMALL_LEN];
            while connection.read_exact(&mut request).await.is_ok() {
                connection.write_all(&request).await.unwrap();
            }
        });
    }
}

/// Bytes of a small request, and of its answer.
const SMALL_LEN: usize = 300;
const REQUEST_COUNT: usize = 10_000;
const CONNECTION_COUNT: usize = 16;

async fn ask_many<S>(mut connection: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut answer = [0; SMALL_LEN];
    for _ in 0..REQUEST_COUNT / CONNECTION_COUNT {
        connection.write_all(&[7; SMALL_LEN]).await.unwrap();
        connection.read_exact(&mut answer).await.unwrap();
    }
}

/// How long all requests take over these connections.
async fn time_of<S>(connections: Vec<S>) -> Duration
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut asking = tokio::task::JoinSet::new();
    let started = tokio::time::Instant::now();
    connections.into_iter().for_each(|connection| drop(asking.spawn(ask_many(connection))));
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    started.elapsed()
}

/// A container with the same service behind a published port, and that port's address.
fn published(image: &Image, part: &str) -> (String, String) {
    let run =
        ["run", "-d", "--rm", "-p", "127.0.0.1::8080", "-e", "RETAKE_TEST_PART=1", &image.0, "/service", "--exact"];
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let id = docker(&[&run[..], &[part, "--ignored", "--nocapture"]].concat());
    let address = docker(&["port", &id, "8080"]);
    (id, address)
}

/// The bridge is to reach half of what a published port does; measured by hand and by `scripts/bench`, since a busy
/// machine makes any such number wander.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn small_requests_through_the_bridge_beside_a_published_port() {
    if is_service() {
        return;
    }
    let Some(docker) = engine().await else { return };
    let image = Image::make("speed");
    let part = "docker::service_that_answers_small_requests";
    let contained = Contained::start(&docker, &image, part, ContainerConfig::default()).await;
    let (id, address) = published(&image, part);
    drop(connect(&contained.host, 8080).await);
    let mut best = [Duration::MAX; 2];
    for _ in 0..3 {
        let (mut bridged, mut direct) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTION_COUNT {
            bridged.push(contained.host.open(8080).await.unwrap());
            let connection = tokio::net::TcpStream::connect(&address).await.unwrap();
            connection.set_nodelay(true).unwrap();
            direct.push(connection);
        }
        best[0] = best[0].min(time_of(bridged).await);
        best[1] = best[1].min(time_of(direct).await);
    }
    Command::new("docker").args(["rm", "-f", &id]).stdout(Stdio::null()).status().unwrap();
    contained.container.stop(Duration::from_secs(10)).await.unwrap();
    contained.ended().await;
    let per_second = best.map(|time| REQUEST_COUNT as f64 / time.as_secs_f64());
    eprintln!(
        "requests a second: {:.0} through the bridge, {:.0} through a published port",
        per_second[0], per_second[1]
    );
    assert!(per_second[0] * 2.0 >= per_second[1], "{per_second:?}");
}
