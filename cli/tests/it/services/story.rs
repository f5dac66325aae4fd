//! The story of one service: run, recorded, removed, run again both ways.

use std::{fs, io::Write as _, net::SocketAddr, path::Path};

use serde_json::Value;

use crate::{
    Ran, command,
    engines::{receipt_of, verdicts_of},
    harm::{Capture, connect, read_rest},
    services::{
        engine::{Container, Program, accepts, docker, image, until},
        told::{Dependency, Mounted, Request, Secret, Service, folder_of},
    },
    shipped::skipped,
};

/// Records the service, then replays it: every answer is the same, nothing got out, nothing is left.
pub(crate) fn tell(name: &str) {
    let service = Service::read(name);
    let image = match image(service.image_of.as_deref().unwrap_or(name)) {
        Ok(image) => image,
        Err(reason) => return skip(name, &reason),
    };
    let folder = tempfile::tempdir().unwrap();
    let expected = record(&service, &image, folder.path());
    let document = replay(&service, folder.path(), "socket");
    let over_exec = replay(&service, folder.path(), "exec");
    assert_eq!(verdicts_of(&document), verdicts_of(&over_exec), "{name}");
    assert_eq!(receipt_of(&document), receipt_of(&over_exec), "{name}");
    let receipt = &document["receipt"];
    let told = || format!("{name}: {}", serde_json::to_string_pretty(&document).unwrap());
    assert_eq!(receipt["tally"]["same"].as_u64(), Some(expected), "{}", told());
    assert_eq!(receipt["replayed"].as_u64(), Some(expected), "{}", told());
    assert_eq!(receipt["egress"]["prevented"], true, "{}", told());
    assert_eq!(receipt["answers"]["missed"], 0, "{}", told());
    assert_eq!(receipt["pinned"]["relation"], "same-config-digest", "{}", told());
    doubt_mounts(&service, folder.path());
}

/// Replays with what was mounted left out, and with a byte more in it: both are void, and say which mount is meant.
fn doubt_mounts(service: &Service, folder: &Path) {
    let void = |given: &[String]| {
        let ran = run_replay(service, folder, "auto", given);
        assert_eq!(ran.code, 3, "{}: {}{}", service.name, ran.out, ran.err);
        ran.json()["receipt"]["void"]["reason"].as_str().unwrap().to_owned()
    };
    for mount in &service.mounts {
        let given = folder.join(GIVEN).join(mount.name());
        let reason = void(&[]);
        assert!(reason.contains(&mount.at), "{reason}");
        let kept = fs::read(&given).unwrap();
        fs::write(&given, [&kept[..], b"\n"].concat()).unwrap();
        let reason = void(&mount_flags(service));
        let expected = format!("`{GIVEN}/{}` is not what was mounted at {}", mount.name(), mount.at);
        assert!(reason.starts_with(&expected), "{reason}");
        fs::write(&given, kept).unwrap();
    }
}

/// A service whose image cannot be made here is left out by name.
fn skip(name: &str, reason: &str) {
    skipped(&format!("service {name}"), reason.lines().last().unwrap_or_default());
}

/// Runs the service and what it needs, asks it everything through a capture, seals that; gives the number of requests.
fn record(service: &Service, image: &str, folder: &Path) -> u64 {
    lay_out_mounts(service, image, folder);
    let dependencies: Vec<_> = service.dependencies.iter().map(|it| Running::start(it, service, folder)).collect();
    let mut run: Vec<_> = service.run.iter().map(|word| filled(word, service, folder)).collect();
    for mount in &service.mounts {
        let here = folder.join(PRODUCTION).join(mount.name());
        run.extend(["--volume".to_owned(), format!("{}:{}:ro", here.display(), mount.at)]);
    }
    let container = Container::create(&service.name, &run, image, &service.command);
    if !service.calls_at_start {
        start(&container, service);
    }
    let flags = capture_flags(service, &container, &dependencies);
    let capture = Capture::start(folder, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    if service.calls_at_start {
        start(&container, service);
    }
    service.requests.iter().for_each(|request| ask(service, request, capture.address(0), &container));
    let counts = capture.stop();
    container.stop();
    drop(dependencies);
    if !service.mounts.is_empty() {
        fs::rename(folder.join(PRODUCTION), folder.join(GIVEN)).unwrap();
    }
    let asked = service.requests.len() as u64;
    assert!(counts["exchanges"].as_u64() >= Some(asked), "{counts}");
    assert_eq!(counts["exchanges_missed"], 0, "{counts}");
    let sealed = crate::retake(folder, &["export", ".retake", "-o", "case.retake"]);
    assert_eq!(sealed.code, 0, "{}", sealed.err);
    asked
}

/// Where mounted files are while the service is recorded, and where they are afterwards.
const PRODUCTION: &str = "production";
const GIVEN: &str = "given";

fn lay_out_mounts(service: &Service, image: &str, folder: &Path) {
    if service.mounts.is_empty() {
        return;
    }
    fs::create_dir(folder.join(PRODUCTION)).unwrap();
    let source = Container::create(&format!("{}-files", service.name), &[], image, &[]);
    for mount in &service.mounts {
        let to = folder.join(PRODUCTION).join(mount.name());
        match (&mount.file, &mount.from_image) {
            (Some(file), None) => drop(fs::copy(folder_of(&service.name).join(file), to).unwrap()),
            (None, Some(from)) => drop(docker(["cp", &format!("{}:{from}", source.name), to.to_str().unwrap()])),
            _ => panic!("{}: {} is either a file or from the image", service.name, mount.at),
        }
    }
}

fn mount_flags(service: &Service) -> Vec<String> {
    let flag = |mount: &Mounted| ["--mount".to_owned(), format!("{}={GIVEN}/{}", mount.at, mount.name())];
    service.mounts.iter().flat_map(flag).collect()
}

fn filled(word: &str, service: &Service, folder: &Path) -> String {
    let here = folder_of(&service.name);
    let word = word.replace("{folder}", folder.to_str().unwrap()).replace("{here}", here.to_str().unwrap());
    match word.split_once("{image:") {
        None => word,
        Some((before, rest)) => {
            let (name, after) = rest.split_once('}').unwrap();
            format!("{before}{}{after}", image(name).unwrap())
        }
    }
}

fn start(container: &Container, service: &Service) {
    container.start();
    let address = format!("127.0.0.1:{}", service.port).parse().unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", service.ready);
    let ready = until("the service is ready", || {
        assert!(container.runs(), "{}: it has ended\n{}", service.name, container.logs());
        let mut stream = std::net::TcpStream::connect::<SocketAddr>(address).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let (answer, _) = read_rest(&mut stream);
        answer.starts_with(b"HTTP/1.1 200").then_some(())
    });
    ready.unwrap_or_else(|error| panic!("{}: {error}\n{}", service.name, container.logs()));
}

fn capture_flags(service: &Service, container: &Container, dependencies: &[Running]) -> Vec<String> {
    let upstream = format!("http://127.0.0.1:{}", service.port);
    let mut flags: Vec<_> = ["--upstream", &upstream, "--container", &container.name].map(str::to_owned).to_vec();
    for flag in dependencies.iter().filter_map(|running| running.flag.clone()) {
        flags.extend(["--dependency".to_owned(), flag]);
    }
    flags.extend(service.capture.iter().cloned());
    flags
}

/// Something that the service calls, while it is recorded.
struct Running {
    /// Kept until the recording has ended.
    _container: Option<Container>,
    _program: Option<Program>,
    /// `NAME=URL,listen=ADDR`, where it is recorded.
    flag: Option<String>,
}

impl Running {
    fn start(dependency: &Dependency, service: &Service, folder: &Path) -> Self {
        let is_recorded = dependency.scheme != "none";
        let (container, program, address) = match dependency.is.as_str() {
            "model" => {
                let (program, address) = Program::model(folder);
                (None, Some(program), address)
            }
            name => {
                let port = dependency.port.expect("a dependency from an image has a port");
                let published = if is_recorded { "127.0.0.1:".to_owned() } else { dependency.listen.clone() };
                let mut run = vec!["--publish".to_owned(), format!("{published}:{port}")];
                run.extend(dependency.run.iter().map(|word| filled(word, service, folder)));
                let container = Container::create(name, &run, &image(name).unwrap(), &[]);
                container.start();
                let address = container.address_of(port);
                accepts(&address);
                (Some(container), None, address)
            }
        };
        let Dependency { name, scheme, listen, .. } = dependency;
        let flag = is_recorded.then(|| format!("{name}={scheme}://{address},listen={listen}"));
        Self { _container: container, _program: program, flag }
    }
}

/// Sends one request through the capture and looks at its answer.
fn ask(service: &Service, request: &Request, through: SocketAddr, container: &Container) {
    let mut stream = connect(through);
    stream.write_all(&request.bytes(&service.name, &through.to_string())).unwrap();
    let (answer, _) = read_rest(&mut stream);
    let answer = String::from_utf8_lossy(&whole(&answer)).into_owned();
    let told = || format!("{}: {}\n{answer}\n{}", service.name, request.send, container.logs());
    assert!(answer.starts_with(&format!("HTTP/1.1 {}", request.status)), "{}", told());
    assert!(request.says.as_ref().is_none_or(|words| answer.contains(words)), "{}", told());
}

/// Head and body of an answer without the lines between its chunks, which may stand anywhere.
fn whole(answer: &[u8]) -> Vec<u8> {
    let Some(head_len) = answer.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4) else {
        return answer.to_vec();
    };
    let (head, mut rest) = answer.split_at(head_len);
    if !head.to_ascii_lowercase().windows(26).any(|field| field == b"transfer-encoding: chunked") {
        return answer.to_vec();
    }
    let mut whole = head.to_vec();
    while let Some(line_len) = rest.windows(2).position(|end| end == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line_len]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&rest[line_len + 2..][..size]);
        rest = &rest[line_len + 2 + size + 2..];
    }
    whole
}

/// Replays what was sealed, over the bridge of that kind; nothing of the recording runs any more. Nothing of the replay is
/// left.
fn replay(service: &Service, folder: &Path, bridge: &str) -> Value {
    let ran = run_replay(service, folder, bridge, &mount_flags(service));
    assert_eq!(ran.code, 0, "{}: {}\n{}", service.name, ran.err, ran.out);
    ran.json()
}

fn run_replay(service: &Service, folder: &Path, bridge: &str, mounts: &[String]) -> Ran {
    let mut arguments = vec!["replay".to_owned(), "case.retake".to_owned(), "--json".to_owned()];
    arguments.extend(["--bridge".to_owned(), bridge.to_owned()]);
    arguments.extend_from_slice(mounts);
    for ignored in &service.ignored {
        arguments.extend(["--ignore".to_owned(), ignored.rule.clone()]);
    }
    if !service.secrets.is_empty() {
        fs::write(folder.join("secrets"), secrets(service, folder)).unwrap();
        arguments.extend(["--secrets".to_owned(), "secrets".to_owned()]);
    }
    arguments.extend(service.replay.iter().map(|word| filled(word, service, folder)));
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = command(folder, &words);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let owner = child.id();
    let ran = Ran::of(&child.wait_with_output().unwrap());
    let name = &service.name;
    for kind in [&["ps", "--all"][..], &["volume", "ls"]] {
        let format = ["--filter", "label=retake.owner", "--format", r#"{{.Label "retake.owner"}}"#];
        let left = docker(kind.iter().copied().chain(format));
        assert!(!left.lines().any(|line| line.starts_with(&format!("{owner}:"))), "{name}: {kind:?}: {left}");
    }
    ran
}

/// The lines of a `--secrets` file: what stands in the recording for each secret, and the secret.
fn secrets(service: &Service, folder: &Path) -> String {
    let archive = bundle::Archive::open(&folder.join("case.retake")).unwrap();
    let exchanges = archive.entries().iter().map(|entry| archive.exchange(&entry.id).unwrap());
    let heads: Vec<_> = exchanges.map(|it| String::from_utf8(it.request.head.bytes).unwrap()).collect();
    let line = |secret: &Secret| {
        let mut lines = heads.iter().flat_map(|head| head.lines());
        let pseudonym = lines.find_map(|line| line.strip_prefix(&secret.behind)).unwrap();
        assert_ne!(pseudonym, secret.value, "{}: a secret is in the recording", service.name);
        format!("{pseudonym}={}\n", secret.value)
    };
    service.secrets.iter().map(line).collect()
}
