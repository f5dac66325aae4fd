//! The service as our child: started with its base URLs set, its output passed through and recorded, its end awaited.
//!
//! In: a command and the listeners. Out: lines in the queue, and an exit status. Its environment is otherwise ours, and signals
//! that mean something to a service and nothing to us are handed on to it.

use std::{ffi::OsString, process::ExitStatus, process::Stdio, time::Duration};

use exchange::Stream;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    process::{Child, Command},
    signal::unix::{self, SignalKind},
    task::JoinHandle,
};

use crate::{CaptureError, lines::LineRecorder};

/// How long the output is read after the child has ended: what it started itself may hold its streams open for ever.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Signals that are for the service: to reload, to open its log anew, to say how it is.
const HANDED_ON: [Signal; 3] = [Signal::HUP, Signal::USR1, Signal::USR2];

/// A service that was started here.
pub(crate) struct Started {
    child: Child,
    output: Vec<JoinHandle<()>>,
    signals: Option<JoinHandle<()>>,
}

impl Started {
    /// Starts the command with these variables set beside our own.
    ///
    /// # Errors
    /// `Command` when it cannot be started.
    pub(crate) fn start(
        command: &[OsString],
        variables: Vec<(String, String)>,
        recording: &LineRecorder,
    ) -> Result<Self, CaptureError> {
        let program = command.first().cloned().unwrap_or_default();
        let failed = |source| CaptureError::Command { program: program.to_string_lossy().into_owned(), source };
        let mut started = Command::new(&program);
        started.args(command.iter().skip(1)).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        started.envs(variables);
        // Before there is a child, so that none of them ends us instead.
        let heard: Vec<_> = HANDED_ON.into_iter().filter_map(|signal| Some((signal, listen_to(signal)?))).collect();
        let mut child = started.spawn().map_err(failed)?;
        let signals = pid_of(&child).map(|pid| tokio::spawn(hand_on(heard, pid)));
        let stdout = child.stdout.take().map(|pipe| pass(pipe, tokio::io::stdout(), Stream::Stdout, recording.clone()));
        let stderr = child.stderr.take().map(|pipe| pass(pipe, tokio::io::stderr(), Stream::Stderr, recording.clone()));
        let output = [stdout.map(tokio::spawn), stderr.map(tokio::spawn)].into_iter().flatten().collect();
        Ok(Self { child, output, signals })
    }

    /// Its process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> Option<ExitStatus> {
        let ended = self.child.wait().await;
        // Its number may soon be another process's.
        self.hand_on_no_more();
        ended.ok()
    }

    /// Asks it to end, ends it after the grace, and waits for what it still has to say.
    pub(crate) async fn stop(mut self, grace: Duration) -> Option<ExitStatus> {
        self.hand_on_no_more();
        let status = match self.child.try_wait() {
            Ok(Some(status)) => Some(status),
            _ => self.end_within(grace).await,
        };
        for output in self.output {
            // What is still open after this is held by somebody else.
            tokio::time::timeout(OUTPUT_GRACE, output).await.ok();
        }
        status
    }

    async fn end_within(&mut self, grace: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        if let Ok(ended) = tokio::time::timeout(grace, self.child.wait()).await {
            return ended.ok();
        }
        // It may have ended in between.
        self.child.start_kill().ok();
        self.child.wait().await.ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = pid_of(&self.child) {
            // It may have ended in between.
            kill_process(pid, signal).ok();
        }
    }

    fn hand_on_no_more(&mut self) {
        if let Some(signals) = self.signals.take() {
            signals.abort();
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
}

/// Where it cannot be listened to, a signal does what it does to any program.
fn listen_to(signal: Signal) -> Option<unix::Signal> {
    unix::signal(SignalKind::from_raw(signal.as_raw())).ok()
}

/// Hands signals on as they come.
async fn hand_on(heard: Vec<(Signal, unix::Signal)>, pid: Pid) {
    let each = heard.into_iter().map(|(signal, mut comes)| async move {
        while comes.recv().await.is_some() {
            // It may have ended in between.
            kill_process(pid, signal).ok();
        }
    });
    // Dropped with this task, each of them ends.
    let mut all = tokio::task::JoinSet::from_iter(each);
    while all.join_next().await.is_some() {}
}

/// Passes a stream through and records its lines, until its end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    stream: Stream,
    recording: LineRecorder,
) {
    let mut bytes = vec![0; 8 << 10];
    let mut line = Vec::new();
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let mut lines = recording.split(&mut line, &bytes[..count], stream, recording.clock.now_ns());
        recording.send(&mut lines);
        // Whoever read our output may be gone; the service is not to notice.
        to.write_all(&bytes[..count]).await.ok();
        to.flush().await.ok();
    }
    recording.send(&mut recording.rest(&mut line, stream).into_iter().collect());
}
