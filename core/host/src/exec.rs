//! Programs started inside a container that runs: to completion with their output, or as a stream of bytes both ways.

use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bollard::{
    container::LogOutput,
    errors::Error,
    exec::{StartExecOptions, StartExecResults},
    models::ExecConfig,
};
use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{container::RunningContainer, error::DockerError};

/// Most output that is kept of a program, in bytes. A choice: what a health check says is a line or two.
const OUTPUT_BYTES_MAX: usize = 8 << 10;

/// What a program in a container came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RanInside {
    /// Its exit status; `None` when it did not end in time, or the engine does not tell.
    pub status: Option<i64>,
    /// What it wrote, both streams together, at most 8 KiB.
    pub output: String,
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

impl RunningContainer {
    /// Runs a program in the container as its user, with its variables, until it ends; one that takes longer than `patience` has
    /// no status. It is waited for all the same: the engine cannot end it, and nothing of ours may run beside what comes next.
    ///
    /// # Errors
    /// What the engine refuses; a program that is not there is status 126 or 127, or an error, as the engine has it.
    pub async fn run_inside(&self, command: &[String], patience: Duration) -> Result<RanInside, DockerError> {
        let (id, mut output, _input) = self.start_inside(command, None, false).await?;
        let mut ran = RanInside::default();
        let reading = async {
            while let Some(Ok(piece)) = output.next().await {
                let room = OUTPUT_BYTES_MAX.saturating_sub(ran.output.len());
                let text = String::from_utf8_lossy(&piece.into_bytes()).into_owned();
                ran.output.extend(text.chars().take(room));
            }
        };
        let mut reading = pin!(reading);
        let in_time = tokio::time::timeout(patience, &mut reading).await.is_ok();
        if in_time {
            let inspected = self.engine().inspect_exec(&id).await.map_err(DockerError::refused("look at a program"))?;
            ran.status = inspected.exit_code;
        } else {
            reading.await;
        }
        Ok(ran)
    }

    /// Starts a program in the container as `user`, and gives its standard streams.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn open_inside(&self, command: &[String], user: Option<&str>) -> Result<InsideStream, DockerError> {
        let (_, output, input) = self.start_inside(command, user, true).await?;
        Ok(InsideStream { output, input, unread: Bytes::new(), said: Said::default() })
    }

    async fn start_inside(
        &self,
        command: &[String],
        user: Option<&str>,
        with_input: bool,
    ) -> Result<(String, Output, Input), DockerError> {
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            user: user.map(str::to_owned),
            attach_stdin: Some(with_input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let engine = self.engine();
        let created = engine.create_exec(self.id(), config).await;
        let id = created.map_err(DockerError::refused("prepare a program in the container"))?.id;
        let options = StartExecOptions { detach: false, tty: false, output_capacity: None };
        let started = engine.start_exec(&id, Some(options)).await;
        match started.map_err(DockerError::refused("start a program in the container"))? {
            StartExecResults::Attached { output, input } => Ok((id, output, input)),
            StartExecResults::Detached => unreachable!("it was asked for with its streams"),
        }
    }
}

/// What a program said on its standard error, while its stream is used.
#[derive(Clone, Debug, Default)]
pub struct Said(Arc<Mutex<String>>);

impl Said {
    /// All of it so far, at most 8 KiB.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned()
    }

    fn add(&self, bytes: &[u8]) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_BYTES_MAX.saturating_sub(text.len());
        text.extend(String::from_utf8_lossy(bytes).chars().take(room));
    }
}

/// Standard input and output of a program in a container.
pub struct InsideStream {
    output: Output,
    input: Input,
    unread: Bytes,
    said: Said,
}

impl InsideStream {
    /// What the program says on its standard error.
    pub fn said(&self) -> Said {
        self.said.clone()
    }
}

impl AsyncRead for InsideStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.output.poll_next_unpin(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Some(Ok(LogOutput::StdErr { message })) => self.said.add(&message),
                Some(Ok(piece)) => self.unread = piece.into_bytes(),
            }
        }
        let len = self.unread.len().min(into.remaining());
        into.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for InsideStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(context)
    }
}
