//! The demo's service: its image in Docker, or without Docker its program as a process.

use std::{
    collections::BTreeMap, io::Read, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio, sync::Arc,
    time::Duration,
};

use bundle::Archive;
use bytes::Bytes;
use exchange::{Body, ImageRecord};
use host::{Docker, RunningContainer};
use tokio::{net::TcpStream, process::Child};

use crate::{clock::Clock, trouble::Trouble};

use super::stage::Stage;

/// Where the program stands in the image.
const PROGRAM: &str = "/triage";
/// Largest program that is taken out of the image, in bytes.
const PROGRAM_BYTES_MAX: u64 = 64 << 20;
/// The planted defect: another rule for what is urgent.
const DEFECT: (&str, &str) = ("TRIAGE_RULES", "2");
/// How long the service may take to accept a connection.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// The service, and what has to be taken away after it.
pub(super) struct Service {
    runs_as: RunsAs,
    running: Option<RunningService>,
}

/// How the service can be started.
enum RunsAs {
    /// Its image is loaded.
    Image {
        /// The engine.
        docker: Docker,
        /// What the engine calls the image.
        engine_id: String,
        /// The changed image, once it was made.
        defect: Option<String>,
    },
    /// Its program was taken out of the image.
    Program {
        /// Where the program is.
        path: PathBuf,
    },
}

/// The service while it runs.
enum RunningService {
    Container(Box<RunningContainer>),
    Process(Child),
}

impl Service {
    pub(super) async fn prepare(archive: &Arc<Archive>, stage: &Stage<'_>) -> Result<Self, Trouble> {
        let images = archive.images()?;
        let image = images.into_iter().next().ok_or_else(|| Trouble::new("the shipped recording has no image"))?;
        let runs_as = match Docker::connect().await {
            Ok(docker) => RunsAs::load(docker, archive, image).await?,
            Err(error) => {
                stage.say(&format!("No Docker here ({error}): the service runs as a process of its own instead."));
                RunsAs::unpack(archive, &image, stage)?
            }
        };
        Ok(Self { runs_as, running: None })
    }

    /// Starts it on `port`, its model and its store at these ports of the loopback. Gives what tells `retake capture` whose
    /// fingerprint to take.
    pub(super) async fn start(&mut self, port: u16, model: u16, store: u16) -> Result<Vec<String>, Trouble> {
        let variables = [
            ("HOST".to_owned(), "127.0.0.1".to_owned()),
            ("PORT".to_owned(), port.to_string()),
            ("LLM_BASE_URL".to_owned(), format!("http://127.0.0.1:{model}/v1")),
            ("LLM_API_KEY".to_owned(), "sk-demo-0123456789abcdef".to_owned()),
            ("STORE_BASE_URL".to_owned(), format!("http://127.0.0.1:{store}")),
        ];
        let running = match &self.runs_as {
            RunsAs::Image { docker, engine_id, .. } => {
                let clock = Clock::start().monotonic;
                RunningService::Container(Box::new(docker.start_on_host_network(engine_id, &variables, clock).await?))
            }
            RunsAs::Program { path } => {
                let mut command = tokio::process::Command::new(path);
                command.env_clear().envs(variables).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                RunningService::Process(command.kill_on_drop(true).spawn()?)
            }
        };
        let whose = running.capture_arguments();
        self.running = Some(running);
        let accepts = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let late = |_| Trouble::new("the demo's service did not start");
        tokio::time::timeout(READY_PATIENCE, accepts).await.map_err(late)?;
        Ok(whose)
    }

    /// Ends it.
    pub(super) async fn end(&mut self) -> Result<(), Trouble> {
        match self.running.take() {
            Some(running) => running.end().await,
            None => Ok(()),
        }
    }

    /// What to say beyond SOURCE to replay what was recorded from it: nothing, the recording knows.
    pub(super) fn replay_as_recorded(&self) -> Vec<String> {
        Vec::new()
    }

    /// What to say to replay the shipped recording: without Docker, the program that was in its image.
    pub(super) fn replay_shipped(&self) -> Vec<String> {
        match &self.runs_as {
            RunsAs::Image { .. } => Vec::new(),
            RunsAs::Program { .. } => vec!["--process".to_owned(), "./triage".to_owned()],
        }
    }

    /// Makes the changed service; gives what to say to replay against it.
    pub(super) async fn plant_defect(&mut self) -> Result<Vec<String>, Trouble> {
        match &mut self.runs_as {
            RunsAs::Image { docker, engine_id, defect } => {
                let tag = format!("retake-demo:rules-{}", std::process::id());
                let (name, value) = DEFECT;
                let variables = BTreeMap::from([(name.to_owned(), value.to_owned())]);
                docker.derive_image(engine_id, &variables, &tag).await?;
                *defect = Some(tag.clone());
                Ok(vec!["--image".to_owned(), tag])
            }
            RunsAs::Program { .. } => {
                let mut arguments = self.replay_shipped();
                arguments.extend(["--env".to_owned(), format!("{}={}", DEFECT.0, DEFECT.1)]);
                Ok(arguments)
            }
        }
    }

    /// Ends it if it still runs, and takes the changed image away again. The recorded one stays: it is what a replay looks for.
    pub(super) async fn clean_up(&mut self) -> Result<(), Trouble> {
        self.end().await?;
        if let RunsAs::Image { docker, defect, .. } = &mut self.runs_as
            && let Some(tag) = defect.take()
        {
            docker.remove_image(&tag).await?;
        }
        Ok(())
    }
}

impl RunsAs {
    async fn load(docker: Docker, archive: &Arc<Archive>, image: ImageRecord) -> Result<Self, Trouble> {
        if docker.find_image(&image.identity).await?.is_none() {
            let archive = Arc::clone(archive);
            let pieces =
                image.archive.parts.clone().into_iter().map(move |part| piece_of(&archive, part).map(Bytes::from));
            docker.load_image(futures_util::stream::iter(pieces)).await?;
        }
        let found = docker.find_image(&image.identity).await?;
        let found = found.ok_or_else(|| Trouble::new("the image was loaded, and is not there"))?;
        Ok(Self::Image { docker, engine_id: found.engine_id, defect: None })
    }

    fn unpack(archive: &Arc<Archive>, image: &ImageRecord, stage: &Stage<'_>) -> Result<Self, Trouble> {
        let reader = Pieces { archive, parts: image.archive.parts.iter(), piece: Vec::new(), at: 0 };
        let program = host::file_of_archive(reader, PROGRAM, PROGRAM_BYTES_MAX)?;
        let program = program.ok_or_else(|| Trouble::new(format!("the image has no `{PROGRAM}`")))?;
        let path = stage.folder().join("triage");
        std::fs::write(&path, program)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self::Program { path })
    }
}

impl RunningService {
    fn capture_arguments(&self) -> Vec<String> {
        match self {
            Self::Container(container) => vec!["--container".to_owned(), container.id()[..12].to_owned()],
            Self::Process(child) => vec!["--pid".to_owned(), child.id().unwrap_or_default().to_string()],
        }
    }

    async fn end(self) -> Result<(), Trouble> {
        match self {
            Self::Container(mut container) => {
                container.stop(Duration::from_secs(5)).await?;
                container.remove().await?;
            }
            Self::Process(mut child) => child.kill().await?,
        }
        Ok(())
    }
}

fn piece_of(archive: &Archive, part: exchange::Part) -> std::io::Result<Vec<u8>> {
    let body = Body { len: part.len, parts: vec![part], ..Body::default() };
    archive.body(&body, bundle::PART_BYTES_MAX as u64).map_err(std::io::Error::other)
}

/// The image's archive as a reader.
struct Pieces<'a> {
    archive: &'a Archive,
    parts: std::slice::Iter<'a, exchange::Part>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(part) = self.parts.next() else { return Ok(0) };
            self.piece = piece_of(self.archive, *part)?;
            self.at = 0;
        }
        let len = buffer.len().min(self.piece.len() - self.at);
        buffer[..len].copy_from_slice(&self.piece[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}
