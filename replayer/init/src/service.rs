//! The service and its end: signals handed on, the orphaned reaped, the bridge left time for its last word.

use std::{
    ffi::OsString,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::Path,
    process::{Child, Command},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    Config, InitError, WORD,
    arguments::number_word,
    bridge::Bridge,
    clock::Clock,
    preload, say, system,
    watch::{self, Bell},
};

/// How long the bridge has for its last word. A choice: more than it gives itself to carry out what the service left.
const LAST_WORD_PATIENCE: Duration = Duration::from_secs(4);

/// How long a service may take to end once nobody replays it any more. Docker's own default.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the recorded command with the bridge beside it, and gives its exit status.
pub(crate) fn run(config: &Path, command: &[OsString]) -> Result<u8, InitError> {
    let settings = Config::read(config)?;
    system::become_reaper();
    system::block_signals();
    let is_traced = settings.determinism.is_some();
    let (control, tracer) = match is_traced && settings.has_bridge() {
        true => {
            let pair = UnixStream::pair();
            pair.map(|(one, other)| (Some(one.into()), Some(other.into())))
                .map_err(|source| InitError::System { what: "connect the tracer with the bridge", source })?
        }
        false => (None, None),
    };
    let clock = is_traced.then(shared_clock).flatten();
    let bridge = settings.has_bridge().then(|| Bridge::start(config, tracer, clock)).transpose()?;
    let launch = match is_traced {
        true => Launch::traced(config, control, clock, command),
        false => {
            let program = settings.program.clone().map_or_else(|| command[0].clone(), OsString::from);
            Launch { program, command: command.to_vec(), left_open: Arc::default(), variable: None }
        }
    };
    let launch = Launch { variable: preload::variable(settings.preload.as_ref()), ..launch };
    let (service, bell) = match &bridge {
        Some(bridge) => watch::start(&settings, &launch, &bridge.stop)?,
        None => (launch.start()?, None),
    };
    let bridge_pid = bridge.as_ref().map(|bridge| bridge.pid);
    let (status, bridge_ended) = wait_for(system::pid_of(&service), bridge_pid);
    if let Some(Bridge { pid, stop }) = bridge {
        // Its input ends when both have let go of it.
        bell.iter().for_each(Bell::end);
        drop(stop);
        if !bridge_ended {
            wait_for_last_word(pid);
        }
    }
    Ok(status)
}

/// The clock that the service is shown; where there can be none, the tracer says that it does not hold.
fn shared_clock() -> Option<Clock> {
    Clock::make().inspect_err(|error| say(&format!("there is no clock for the service: {error}"))).ok()
}

/// The recorded command, to be started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Its program's file.
    program: OsString,
    /// Its words, the first of which is its own name for itself.
    command: Vec<OsString>,
    /// A descriptor that it is started with and that is nobody else's.
    left_open: Arc<Mutex<Option<OwnedFd>>>,
    /// A variable that is set for it.
    variable: Option<(&'static str, OsString)>,
}

impl Launch {
    /// The tracer in the command's place, which starts it.
    fn traced(config: &Path, control: Option<OwnedFd>, clock: Option<Clock>, command: &[OsString]) -> Self {
        let program = system::own_executable().into_os_string();
        let numbers = [control.as_ref().map(|control| control.as_raw_fd()), clock.map(Clock::number)];
        let mut words: Vec<OsString> = vec![program.clone(), WORD.into(), "--trace".into(), config.into()];
        words.extend(numbers.map(|number| number_word(number).into()));
        words.push("--".into());
        words.extend_from_slice(command);
        Self { program, command: words, left_open: Arc::new(Mutex::new(control)), variable: None }
    }

    pub(crate) fn start(&self) -> Result<Child, InitError> {
        let mut command = Command::new(&self.program);
        command.envs(self.variable.clone());
        let left_open = self.left_open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(descriptor) = &left_open {
            system::leave_open(&mut command, descriptor);
        }
        start(command.arg0(&self.command[0]).args(&self.command[1..]), &self.program)
    }
}

/// Starts a command, naming it where that fails.
pub(crate) fn start(command: &mut Command, program: &OsString) -> Result<Child, InitError> {
    let spawned = system::with_no_signal_blocked(command).spawn();
    spawned.map_err(|source| InitError::Start { program: program.to_string_lossy().into_owned(), source })
}

/// Waits for the service, meanwhile handing on signals. Also says whether the bridge ended before it.
pub(crate) fn wait_for(service: i32, bridge: Option<i32>) -> (u8, bool) {
    let mut bridge_ended = false;
    let mut patience = None;
    loop {
        match system::wait_for_signal(patience) {
            Some(system::Signalled::Child) => {}
            Some(system::Signalled::Other(signal)) => system::send_signal(service, signal),
            None => system::send_signal(service, libc::SIGKILL),
        }
        while let Some((pid, status)) = system::reap() {
            if pid == service {
                // Another child's end may be waiting behind it, which the last word's wait will meet.
                return (status, bridge_ended);
            }
            if Some(pid) == bridge {
                bridge_ended = true;
                patience = Some(END_PATIENCE);
                say(&"the container bridge has ended; asking the service to end");
                system::send_signal(service, libc::SIGTERM);
            }
        }
    }
}

fn wait_for_last_word(bridge: i32) {
    // Each child's end wakes us; what is not the bridge only shortens the wait.
    loop {
        while let Some((pid, _)) = system::reap() {
            if pid == bridge {
                return;
            }
        }
        if system::wait_for_signal(Some(LAST_WORD_PATIENCE)).is_none() {
            return;
        }
    }
}
