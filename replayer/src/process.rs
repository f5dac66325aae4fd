//! A replay in a child process, in name spaces of its own where this machine allows it.
//!
//! In: the recorded command, or the one that was asked for. Out: a started process, its recorded listeners served on its
//! own loopback through the bridge; else, without name spaces, on this machine's, and then the receipt says that egress was
//! neither prevented nor observed.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use exchange::{LogLine, ProcessIdentity, Stream, Subject};
use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};
use wire::{bridge, client::Clock};

use crate::{
    answer::Answerer,
    determinism::{DEVICES, SHIM, SeededDevice, keep_place, set_variables, shim_words},
    environment::{Addresses, Variables, process_variables, reveal_arguments},
    error::ReplayError,
    held::may_be_executed,
    job::{Halt, Job, Preparation, Running, Started},
    receipt::{Egress, Relation, Void},
    run_folder::RunFolder,
    serve::{listen, serve_listener},
    service::{Aftermath, Doorway, answer_bridge, egress_of, last_lines, listened_on},
};

/// How long the init may take to connect. A choice.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(10);
/// How long the process may take to end when it is asked to. As Docker's default.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Most log lines kept of one run. A choice.
const LOG_LINES_MAX: usize = 100_000;

/// A process that runs for this replay.
pub(crate) struct ProcessRun {
    child: Child,
    ended: Option<ExitStatus>,
    bridge: Option<Arc<bridge::Host>>,
    answering: Vec<JoinHandle<()>>,
    logs: Arc<Mutex<Vec<LogLine>>>,
    readers: Vec<JoinHandle<()>>,
    folder: RunFolder,
    _device: Option<SeededDevice>,
}

/// Starts the process.
pub(crate) async fn start(
    job: &Job<'_>,
    command: Option<&[String]>,
    answerer: &Arc<Answerer>,
    preparation: &mut Preparation,
) -> Result<Started, Halt> {
    let recorded = match job.recorded.map(|recorded| &recorded.subject) {
        Some(Subject::Process(process)) => Some(&**process),
        _ => None,
    };
    let mut command = match (command, recorded) {
        (Some(command), _) => {
            preparation.pinned.used = job.ledger.redactor().text(&command.join(" ")).0;
            preparation.pinned.relation = Relation::NotPinned;
            command.to_vec()
        }
        (None, Some(recorded)) => {
            let mut command = pinned_command(recorded, preparation)?;
            preparation.replacements.extend(reveal_arguments(&mut command, &job.secrets));
            command
        }
        (None, None) => return Err(ReplayError::NothingPinned.into()),
    };
    preparation.target.clone_from(&preparation.pinned.used);
    let mut variables = variables_for(job, recorded);
    set_variables(&mut variables.values, &job.settings.determinism, preparation.processors, &mut preparation.controls);
    keep_place(&job.settings.determinism, &mut preparation.controls);
    let port = job.port()?;
    let addresses = job.place(port, BTreeMap::new(), &mut command[1..], &mut variables);
    if preparation.pinned.relation == Relation::NotPinned {
        let program = program_of(&command[0], variables.values.get("PATH").map(String::as_str))?;
        job.hold_program(&program, &command[1..])?;
    }
    let trusted = answerer.forward().map(|forward| forward.trust_here(&mut variables));
    preparation.supplied.extend(variables.supplied.iter().cloned());
    preparation.replacements.extend(variables.replacements.iter().cloned());
    // The program's own name (argv[0]) may be another than its file's: a virtual environment's Python finds itself by it.
    let pinned = preparation.pinned.relation == Relation::SameExecutable;
    let program = recorded.filter(|_| pinned).map(|recorded| recorded.executable.clone());
    let program = program.unwrap_or_else(|| command[0].clone());
    let working_dir = recorded.filter(|_| pinned).map(|recorded| recorded.working_dir.clone());
    let launch = Launch { job, program, command, variables, addresses, working_dir };
    let started = match isolation(&job.settings.executable).await {
        Ok(()) => launch.isolated(answerer, preparation, port).await,
        Err(reason) => launch.plain(answerer, preparation, port, &reason).await,
    };
    preparation.injected.extend(trusted);
    started
}

/// Where a program is, looked for as a shell does it, in the service's own `PATH`; refuses one that is not there, or is none.
fn program_of(program: &str, path: Option<&str>) -> Result<PathBuf, ReplayError> {
    let refused = |reason: String| ReplayError::Target { target: program.to_owned(), reason };
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![PathBuf::from(program)],
        false => path.unwrap_or_default().split(':').map(|folder| Path::new(folder).join(program)).collect(),
    };
    if let Some(found) = places.iter().find(|place| may_be_executed(place)) {
        return Ok(found.clone());
    }
    Err(refused(match (places.iter().any(|place| place.is_file()), program.contains('/')) {
        (true, _) => "that file may not be executed; `chmod +x` lets it".to_owned(),
        (false, true) => "there is no such file".to_owned(),
        (false, false) => format!("there is no such program in its PATH, which is `{}`", path.unwrap_or_default()),
    }))
}

/// Why there are no name spaces to be had, if so.
async fn isolation(executable: &Path) -> Result<(), String> {
    let probe = Command::new(executable).args(["__init", "--probe"]).stdin(Stdio::null()).output().await;
    match probe {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The recorded command, when its executable and the files it names are still what they were.
fn pinned_command(recorded: &ProcessIdentity, preparation: &mut Preparation) -> Result<Vec<String>, Halt> {
    let executable = recorded.digest.as_ref().map(|digest| (&recorded.executable, digest, false));
    let files = recorded.files.iter().map(|(path, digest)| (path, digest, false));
    let secret_files = recorded.secret_files.iter().map(|(path, digest)| (path, digest, true));
    for (path, digest, is_secret) in executable.into_iter().chain(files).chain(secret_files) {
        let absolute = Path::new(&recorded.working_dir).join(path);
        let found = if is_secret {
            host::secret_file_digest(&absolute, recorded.salt.as_deref().unwrap_or_default())
        } else {
            host::file_digest(&absolute)
        };
        let problem = match found {
            Ok(found) if found == *digest => continue,
            Ok(_) => "is not what it was when it was recorded".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let void = Void {
            reason: format!("`{path}` {problem}"),
            help: "to replay against it all the same, say `--process CMD`".to_owned(),
            ..Void::default()
        };
        return Err(Halt::Void(void, Box::new(std::mem::take(preparation))));
    }
    let unknown = match (recorded.digest, &recorded.arguments[..]) {
        (None, _) => Some(format!("the executable `{}` could not be read when it was recorded", recorded.executable)),
        (_, []) => Some(format!("the arguments of `{}` are not in the recording", recorded.executable)),
        _ => None,
    };
    if let Some(reason) = unknown {
        let void = Void { reason, help: "say `--process CMD`".to_owned(), ..Void::default() };
        return Err(Halt::Void(void, Box::new(std::mem::take(preparation))));
    }
    preparation.pinned.used = preparation.pinned.wanted.clone();
    preparation.pinned.relation = Relation::SameExecutable;
    preparation.is_pinned = true;
    Ok(recorded.arguments.clone())
}

pub(crate) fn identity_words(process: &ProcessIdentity) -> String {
    let digest = process.digest.map(|digest| format!(" blake3:{}", &digest.to_string()[..12])).unwrap_or_default();
    format!("{}{digest}", process.executable)
}

/// The recorded variables, over this process's own where the recording has none.
fn variables_for(job: &Job<'_>, recorded: Option<&ProcessIdentity>) -> Variables {
    let given = &job.settings.given;
    match recorded {
        Some(recorded) => process_variables(&recorded.variables, given),
        None => {
            let recorded = match job.recorded.map(|recorded| &recorded.subject) {
                Some(Subject::Container(container)) => process_variables(&container.config.variables, given),
                _ => process_variables(&[], given),
            };
            let own = std::env::vars_os();
            let mut values: BTreeMap<String, String> =
                own.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
            values.extend(recorded.values.clone());
            let mut replacements = recorded.replacements;
            replacements.push("variables: this program's own, under those of the recording".to_owned());
            Variables { values, replacements, ..recorded }
        }
    }
}

struct Launch<'a> {
    job: &'a Job<'a>,
    program: String,
    command: Vec<String>,
    variables: Variables,
    addresses: Addresses,
    working_dir: Option<String>,
}

impl Launch<'_> {
    /// In name spaces of its own: no network but a loopback, and the bridge into it.
    async fn isolated(
        self,
        answerer: &Arc<Answerer>,
        preparation: &mut Preparation,
        port: u16,
    ) -> Result<Started, Halt> {
        let folder = RunFolder::make().map_err(ReplayError::Prepare)?;
        let places = self.addresses.listeners();
        preparation.supplied.extend(self.addresses.hosts_in_words());
        preparation.replacements.extend(self.addresses.moved_ports_in_words());
        let listener = bridge::listen(folder.path()).map_err(ReplayError::Prepare)?;
        let listen: Vec<_> = places.iter().map(|place| place.address.to_string()).collect();
        let socket = folder.path().join(bridge::SOCKET_NAME);
        let device = self.job.seeded_device(preparation)?;
        let over = device.as_ref().map(|device| DEVICES.map(|path| (path, device.path())));
        let preload = self.job.preload().map(|_| folder.path().join(SHIM));
        if let (Some(library), Some(path)) = (self.job.preload(), &preload) {
            std::fs::write(path, library).map_err(ReplayError::Prepare)?;
        }
        let settings = serde_json::json!({
            "over": over.into_iter().flatten().collect::<BTreeMap<_, _>>(),
            "socket": socket,
            "listen": listen,
            "resolver": true,
            "determinism": self.job.inside(),
            "preload": preload,
            "program": self.program,
            "hosts": self.addresses.hosts,
        });
        let settings_path = folder.path().join("init.json");
        std::fs::write(&settings_path, settings.to_string()).map_err(ReplayError::Prepare)?;
        let mut command = Command::new(&self.job.settings.executable);
        command.args(["__init", "--isolate"]).arg(&settings_path).arg("--").args(&self.command);
        let mut run = self.spawn(command, folder, device)?;
        let bridge = match bridge::Host::accept(listener, BRIDGE_PATIENCE).await {
            Ok(bridge) => Arc::new(bridge),
            Err(error) => {
                let aftermath = Box::new(run).stop().await;
                let void = Void {
                    reason: format!("the service could not be started: {error}"),
                    help: "see what it wrote above; whether processes can be isolated here, `retake doctor` says"
                        .to_owned(),
                    last_lines: last_lines(&aftermath.logs),
                };
                return Err(Halt::Void(void, Box::new(std::mem::take(preparation))));
            }
        };
        preparation.injected = vec!["name spaces of its own: network with a loopback only, processes".to_owned()];
        preparation.injected.extend(preload.map(|_| shim_words(SHIM)));
        let not_served = self.job.not_served(&listened_on(&bridge, &self.addresses, &mut preparation.replacements));
        let clock = Arc::clone(&self.job.settings.clock);
        run.answering.push(tokio::spawn(answer_bridge(Arc::clone(&bridge), places, Arc::clone(answerer), clock)));
        run.bridge = Some(Arc::clone(&bridge));
        Ok(started(Doorway::Bridge(bridge, port), run, not_served))
    }

    /// On this machine's own network: recorded answers are served at the recorded addresses.
    async fn plain(
        self,
        answerer: &Arc<Answerer>,
        preparation: &mut Preparation,
        port: u16,
        reason: &str,
    ) -> Result<Started, Halt> {
        let folder = RunFolder::make().map_err(ReplayError::Prepare)?;
        refuse_strangers(port).await?;
        let places = self.addresses.places.clone();
        let not_served = self.job.not_served(&places);
        let unnamed = self.addresses.hosts.keys().map(|name| format!("{name}: not in this machine's hosts file"));
        preparation.replacements.extend(unnamed);
        let mut answering = Vec::new();
        for place in places {
            let (listener, place) = listen(&place).await?;
            let clock = Arc::clone(&self.job.settings.clock);
            answering.push(tokio::spawn(serve_listener(listener, place.name, answerer.clone(), clock)));
        }
        preparation.injected = vec![format!("no name spaces ({reason}): it runs on this machine's network")];
        let mut command = Command::new(&self.program);
        command.arg0(&self.command[0]).args(&self.command[1..]);
        let mut run = self.spawn(command, folder, None)?;
        // No name space ends with this process and takes it along.
        if let Some(pid) = run.child.id() {
            run.folder.name_service(pid).map_err(ReplayError::Prepare)?;
        }
        run.answering = answering;
        Ok(started(Doorway::Loopback(port), run, not_served))
    }

    fn spawn(&self, mut command: Command, folder: RunFolder, device: Option<SeededDevice>) -> Result<ProcessRun, Halt> {
        command.env_clear().envs(&self.variables.values);
        if let Some(working_dir) = self.working_dir.as_ref().filter(|path| !path.is_empty()) {
            command.current_dir(working_dir);
        }
        // A group of its own, so that what it starts ends with it.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let refused =
            |error: std::io::Error| ReplayError::Target { target: self.command[0].clone(), reason: error.to_string() };
        let mut child = command.spawn().map_err(refused)?;
        let logs = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        if let Some(output) = child.stdout.take() {
            readers.push(tokio::spawn(follow(
                output,
                Stream::Stdout,
                Arc::clone(&logs),
                Arc::clone(&self.job.settings.clock),
            )));
        }
        if let Some(output) = child.stderr.take() {
            readers.push(tokio::spawn(follow(
                output,
                Stream::Stderr,
                Arc::clone(&logs),
                Arc::clone(&self.job.settings.clock),
            )));
        }
        Ok(ProcessRun {
            child,
            ended: None,
            bridge: None,
            answering: Vec::new(),
            logs,
            readers,
            folder,
            _device: device,
        })
    }
}

/// What listens on the service's port before the service runs is something else, and real: it must not get the requests.
async fn refuse_strangers(port: u16) -> Result<(), ReplayError> {
    match Doorway::Loopback(port).connect().await {
        Err(_) => Ok(()),
        Ok(_) => Err(ReplayError::PortTaken { port }),
    }
}

fn started(doorway: Doorway, run: ProcessRun, not_served: BTreeSet<String>) -> Started {
    Started { doorway, running: Box::new(run), calls_observed: true, not_served, host: None, health: None }
}

impl Running for ProcessRun {
    fn gone(&mut self) -> Option<String> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.map(|status| match status.signal() {
            Some(signal) => format!("by signal {signal}"),
            None => format!("with status {}", status.code().unwrap_or_default()),
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Aftermath> {
        Box::pin(self.stop())
    }
}

impl ProcessRun {
    /// Ends the process and tells what was seen of it.
    async fn stop(mut self: Box<Self>) -> Aftermath {
        let service_ended = self.gone().map(|status| format!("by itself, {status}"));
        self.end_child().await;
        let mut egress = Egress::default();
        let mut reached = None;
        if let Some(bridge) = &self.bridge {
            let told = tokio::time::timeout(STOP_PATIENCE, bridge.ended()).await;
            let observed = bridge.observed();
            egress = egress_of(&observed, true);
            reached = observed.reached;
            if told.is_err() {
                (egress.names, egress.without_route) = (None, None);
            }
        }
        self.answering.iter().for_each(JoinHandle::abort);
        for reader in &mut self.readers {
            // A grandchild may hold the pipe open; what it still writes is not waited for.
            if tokio::time::timeout(Duration::from_secs(1), &mut *reader).await.is_err() {
                reader.abort();
            }
        }
        let logs = std::mem::take(&mut *self.logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        Aftermath { egress, logs, service_ended, reached, ..Aftermath::default() }
    }

    async fn end_child(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        // One that is gone already needs no signal.
        let _gone = pid.map(|pid| rustix::process::kill_process_group(pid, rustix::process::Signal::TERM));
        if tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            let _gone = pid.map(|pid| rustix::process::kill_process_group(pid, rustix::process::Signal::KILL));
            drop(self.child.kill().await);
        }
    }
}

/// Longest log line kept, in bytes.
const LOG_LINE_BYTES_MAX: u64 = 64 << 10;

async fn follow(output: impl AsyncRead + Unpin, stream: Stream, logs: Arc<Mutex<Vec<LogLine>>>, clock: Arc<Clock>) {
    use tokio::io::AsyncReadExt as _;
    let mut reader = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LOG_LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut logs = logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if logs.len() < LOG_LINES_MAX {
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            logs.push(LogLine { at_ns: clock(), stream, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_something_else_listens_on_is_refused_and_a_free_one_is_not() {
        let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = stranger.local_addr().unwrap().port();
        assert!(matches!(refuse_strangers(port).await, Err(ReplayError::PortTaken { port: taken }) if taken == port));
        drop(stranger);
        assert!(refuse_strangers(port).await.is_ok());
    }
}
