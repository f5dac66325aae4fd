//! The bridge's process: started by init, tells it when the service may start, ends when init closes its standard input.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncBufReadExt as _,
    net::{UnixStream, unix::pipe},
    runtime,
};
use wire::bridge::{self, Attempts, Inside, SetsClock, Tracer};

use crate::{Config, InitError, WORD, arguments::number_word, clock::Clock, relay, rest, say, system};

/// What the bridge writes to its standard output once the service may start.
const GO: &str = "go\n";

/// How long the relay may take to come. A choice: whoever replays starts it at once, unless it is gone.
const RELAY_PATIENCE: Duration = Duration::from_secs(60);

/// A bridge that listens.
pub(crate) struct Bridge {
    pub(crate) pid: i32,
    /// Dropping it asks the bridge to say its last word and end.
    pub(crate) stop: ChildStdin,
}

impl Bridge {
    /// Starts the bridge and waits until it listens, and until the host lets the service go where it has to wait for that.
    /// `tracer` is its way to the tracer, if there will be one, and `clock` the clock that it sets.
    pub(crate) fn start(config: &Path, tracer: Option<OwnedFd>, clock: Option<Clock>) -> Result<Self, InitError> {
        let failed = |source| InitError::System { what: "start the container bridge", source };
        let mut command = Command::new(system::own_executable());
        command.args([WORD, "--bridge"]).arg(config);
        let tracer_number = tracer.as_ref().map(|tracer| system::leave_open(&mut command, tracer));
        command.args([tracer_number, clock.map(Clock::number)].map(number_word));
        let mut child: Child = command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (stop, stdout) = stdin.zip(stdout).ok_or(InitError::Bridge)?;
        let mut line = String::new();
        BufReader::new(stdout.take(64)).read_line(&mut line).map_err(failed)?;
        if line != GO {
            return Err(InitError::Bridge);
        }
        Ok(Self { pid: system::pid_of(&child), stop })
    }
}

/// Is the bridge: connects, listens, carries, until standard input ends or the host says goodbye.
pub(crate) fn run(config: &Path, tracer: Option<i32>, clock: Option<i32>) -> Result<u8, InitError> {
    // A service that signals everything it can reach must not silence what reports on it.
    system::ignore_polite_signals();
    let config = Config::read(config)?;
    let attempts = Attempts::default();
    let failed = |source| InitError::System { what: "reach the tracer from the bridge", source };
    let tracer = tracer.map(system::waiting::inherited).transpose().map_err(failed)?;
    let failed = |source| InitError::System { what: "reach the service's clock from the bridge", source };
    let clock = clock.map(Clock::of).transpose().map_err(failed)?;
    let mut settings = Inside {
        listen: config.listen,
        detours: config.detours.into_iter().collect(),
        waits: config.waits,
        resolver: config.resolver,
        attempts: attempts.clone(),
        tracer: Tracer::default(),
        clock: clock.map(|clock| SetsClock::by(move |wall| clock.set(wall))),
        sees_rest: rest::sees(),
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| InitError::System { what: "start the bridge's runtime", source })?;
    let outcome = runtime.block_on(async {
        if let Some(tracer) = tracer {
            let stream = std::os::unix::net::UnixStream::from(tracer);
            stream.set_nonblocking(true)?;
            settings.tracer = Tracer::over(UnixStream::from_std(stream)?);
        }
        let stream = way_out(config.socket.as_deref()).await?;
        bridge::inside(stream, &settings, let_go, standard_input_ended(&attempts)).await
    });
    match outcome {
        Ok(()) => Ok(0),
        Err(error) => {
            say(&error);
            Ok(1)
        }
    }
}

/// Through the socket, else through whoever comes first, which is the relay: nothing else runs in the container yet.
async fn way_out(socket: Option<&Path>) -> io::Result<UnixStream> {
    match socket {
        Some(socket) => UnixStream::connect(socket).await,
        None => {
            let relay = relay::listen()?;
            let accepted = tokio::time::timeout(RELAY_PATIENCE, relay.accept()).await;
            Ok(accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.0)
        }
    }
}

/// Tells init that it may go on. Init is gone when this fails, and the container with it.
fn let_go() {
    let written = std::io::stdout().as_fd().try_clone_to_owned().map(File::from);
    drop(written.and_then(|mut stdout| stdout.write_all(GO.as_bytes())));
}

/// Takes what init tells of attempts. The input's end, and any error, mean that init wants us to end.
async fn standard_input_ended(attempts: &Attempts) {
    let input = std::io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    let Ok(input) = input else { return };
    let mut lines = tokio::io::BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // It is our own init that speaks, in this release's words.
        attempts.take(&line);
    }
}
