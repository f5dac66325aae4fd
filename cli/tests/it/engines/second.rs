//! Engines of the tests' own: behind a port of loopback, and inside a container.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    Ran,
    contained::client,
    shipped::{shipped, skipped},
};

/// How long an engine may take to start. A choice: it takes one or two seconds.
const START_TRIES: usize = 300;

/// Where the engine's own program is, for one that is started here; without it, or as an ordinary user, the test is skipped.
fn engine_program(test: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin"];
    let program = folders.iter().map(|folder| Path::new(folder).join("dockerd")).find(|path| path.exists());
    if program.is_none() {
        skipped(test, "there is no `dockerd` to start another engine with");
    }
    program.filter(|_| is_root(test))
}

/// True for root; for anybody else the test is skipped.
pub(super) fn is_root(test: &str) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        skipped(test, "only root can do that");
    }
    is_root
}

#[expect(clippy::disallowed_methods, reason = "a test that waits for a process of somebody else's")]
fn pause() {
    std::thread::sleep(Duration::from_millis(200));
}

/// What an engine needs: less than `--privileged`, which is refused where the outer engine lacks a capability itself.
const CAPABILITIES: [&str; 7] =
    ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "MKNOD", "SETFCAP", "DAC_READ_SEARCH"];

/// A folder with what is replayed and who replays it, to be mounted as `/case`.
pub(super) fn work_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(env!("CARGO_BIN_EXE_retake"), folder.path().join("retake")).unwrap();
    fs::copy(shipped(), folder.path().join("case.retake")).unwrap();
    folder
}

/// Where it listens: on the loopback of a network name space of its own, since an engine without a bridge takes the
/// machine's `docker0` away.
const ADDRESS: &str = "tcp://127.0.0.1:2375";

/// Another engine on a port of loopback, with files of its own; ended when dropped.
pub(super) struct SecondEngine {
    program: PathBuf,
    /// Does nothing but keep the network name space.
    space: Child,
    engine: Child,
    folder: TempDir,
}

impl SecondEngine {
    pub(super) fn start(test: &str) -> Option<Self> {
        let program = engine_program(test)?;
        let mut space = Command::new("unshare");
        space.args(["--net", "--", "sh", "-c", "ip link set lo up && echo up && exec cat"]);
        let mut space = space.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 3];
        space.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let engine = spawn(&program, &space, folder.path());
        let engine = Self { program, space, engine, folder };
        engine.wait_until_it_answers();
        Some(engine)
    }

    /// A program that finds the engine at its port, since it runs in the engine's network name space.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = inside(&self.space, program);
        command.env("DOCKER_HOST", ADDRESS);
        command
    }

    /// What the engine's own client prints.
    pub(super) fn client(&self, words: &[&str]) -> String {
        let output = self.command("docker").args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Sends it a signal and waits until it has ended.
    pub(super) fn end(&mut self, signal: &str) {
        Command::new("kill").args([signal, &self.engine.id().to_string()]).status().unwrap();
        self.engine.wait().unwrap();
    }

    /// Starts one again, with the files that the one before had.
    pub(super) fn start_again(&mut self) {
        // Its containerd goes with it, but where nobody buries the dead it seems to be there still.
        drop(fs::remove_file(self.folder.path().join("exec/containerd/containerd.pid")));
        self.engine = spawn(&self.program, &self.space, self.folder.path());
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..START_TRIES {
            let asked = self.command("docker").arg("version").output().unwrap();
            if asked.status.success() {
                return;
            }
            pause();
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        panic!("the second engine does not answer: {log}");
    }
}

/// A program in the network name space of another.
fn inside(space: &Child, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", space.id())).arg(program);
    command
}

fn spawn(program: &Path, space: &Child, folder: &Path) -> Child {
    let path = |name: &str| folder.join(name).display().to_string();
    let log = File::options().append(true).create(true).open(folder.join("log")).unwrap();
    inside(space, program)
        .args(["--host", ADDRESS, "--data-root", &path("data"), "--exec-root", &path("exec")])
        .args(["--pidfile", &path("pid"), "--bridge", "none", "--iptables=false"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        self.end("-TERM");
        self.space.kill().unwrap();
        self.space.wait().unwrap();
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let place = |line: &str| line.split(' ').nth(1).map(PathBuf::from);
        let own: Vec<_> =
            mounts.lines().filter_map(place).filter(|path| path.starts_with(self.folder.path())).collect();
        for path in own.iter().rev() {
            Command::new("umount").arg("--lazy").arg(path).status().unwrap();
        }
    }
}

/// An image with the engine's programs and the libraries that they need, as they are here; removed when dropped.
pub(super) struct EngineImage(String);

impl EngineImage {
    pub(super) fn make(test: &str) -> Option<Self> {
        let engine = engine_program(test)?;
        let folders = [engine.parent().unwrap(), Path::new("/usr/bin"), Path::new("/usr/sbin")];
        let found = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.exists());
        let names = ["dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "runc"];
        let programs: Vec<_> = names.into_iter().filter_map(found).collect();
        let name = format!("retake-test/engine-{test}:{}", std::process::id());
        let mut tar = Command::new("tar")
            .args(["--create", "--dereference", "--absolute-names", "--transform", "s,^/,,"])
            .args(with_libraries(&programs))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let import = Command::new("docker")
            .args(["import", "--change", "ENV PATH=/usr/sbin:/usr/bin:/usr/local/bin", "-", &name])
            .stdin(tar.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(tar.wait().unwrap().success() && import.status.success(), "{import:?}");
        Some(Self(name))
    }

    /// Starts a container with an engine in it, which sees the files of the container and no others.
    pub(super) fn run_with_an_engine_of_its_own(&self, work: &Path) -> Inside {
        let capabilities = CAPABILITIES.iter().flat_map(|name| ["--cap-add", name]);
        let unconfined = ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"];
        let unconfined = unconfined.into_iter().flat_map(|what| ["--security-opt", what]);
        let folders = ["--volume", "/sys/fs/cgroup:/sys/fs/cgroup", "--volume", "/var/lib/docker"];
        let options: Vec<_> =
            ["--network", "none"].into_iter().chain(folders).chain(capabilities).chain(unconfined).collect();
        self.run(work, &options, &["dockerd", "--bridge", "none", "--iptables=false"])
    }

    /// Starts a container of it with `work` as `/case`.
    pub(super) fn run(&self, work: &Path, options: &[&str], program: &[&str]) -> Inside {
        let work = format!("{}:/case", work.display());
        let run = ["run", "--detach", "--tmpfs", "/tmp", "--tmpfs", "/run", "--workdir", "/case", "--volume", &work];
        Inside(client(&[&run[..], options, &[&self.0], program].concat()))
    }
}

/// Programs, and what the dynamic linker needs for them (ldd(1)).
fn with_libraries(programs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut files: BTreeSet<PathBuf> = programs.iter().cloned().collect();
    for program in programs {
        let output = Command::new("ldd").arg(program).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        files.extend(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    files
}

impl Drop for EngineImage {
    fn drop(&mut self) {
        Command::new("docker").args(["rmi", "--force", &self.0]).output().unwrap();
    }
}

/// A container that runs; removed when dropped.
pub(super) struct Inside(String);

impl Inside {
    /// Waits until containers can be run from inside, as the doctor finds out by doing it.
    pub(super) fn wait_for_its_engine(&self) {
        for _ in 0..START_TRIES {
            let doctor = Command::new("docker").args(["exec", &self.0, "/case/retake", "doctor", "--json"]).output();
            if String::from_utf8_lossy(&doctor.unwrap().stdout).contains("reached over the bridge") {
                return;
            }
            pause();
        }
        let logs = Command::new("docker").args(["logs", &self.0]).output().unwrap();
        panic!("no engine answers inside: {logs:?}");
    }

    /// `retake replay` inside.
    pub(super) fn replay(&self, more: &[&str]) -> Ran {
        let replay = ["exec", &self.0, "/case/retake", "replay", "case.retake", "--json"];
        Ran::of(&Command::new("docker").args(replay).args(more).output().unwrap())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        Command::new("docker").args(["rm", "--force", "--volumes", &self.0]).output().unwrap();
    }
}
