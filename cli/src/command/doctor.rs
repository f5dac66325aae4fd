//! `retake doctor`: what this machine offers, what is missing, and how to get it.

mod checks;

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use bundle::Archive;
use host::{DiskSurvey, Docker, DockerError, EngineSurvey, KernelSurvey};
use replayer::{Rehearsed, Unanswerable};
use report::{CheckState, doctor_json, doctor_page, worst_check};

use crate::{args::DoctorArgs, clock::Clock, console::Console, exit::Exit, trouble::Trouble};

/// Looks at everything, says what it found, and ends with 2 where a recorded container cannot be replayed.
pub(crate) fn doctor(args: &DoctorArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let runtime = tokio::runtime::Runtime::new()?;
    let survey = runtime.block_on(Survey::take(args))?;
    let checks = checks::of(&survey);
    let exit = if worst_check(&checks) == CheckState::Missing { Exit::Trouble } else { Exit::Passed };
    let text = if as_json { doctor_json(&checks) } else { doctor_page(&checks, console.out) };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// Facts, without judgement.
struct Survey {
    /// This program's file, and whether it is static.
    program: (PathBuf, bool),
    kernel: KernelSurvey,
    /// Why a process gets no name spaces of its own, if so.
    no_name_spaces: Option<String>,
    engine: Engine,
    /// Room in the store's folder and in the temporary one.
    store: Result<DiskSurvey, String>,
    temporary: Result<DiskSurvey, String>,
    temporary_folder: PathBuf,
    /// Why nothing can listen where clients of a capture call by default, if so.
    listen_refused: Option<String>,
    /// Most files that this program may have open.
    open_files_max: Option<u64>,
    gpus: Vec<String>,
    /// What of the recordings in the store cannot be answered without a real server.
    unanswerable: Vec<Unanswerable>,
}

/// The container engine.
enum Engine {
    /// Nobody answers.
    Silent { reason: String, help: String },
    /// It answers, and what it says of itself; and why a container with our init could not be run in it, if so, unless that
    /// was not tried.
    Answers { survey: Box<EngineSurvey>, rehearsal: Option<Result<Rehearsed, String>> },
}

impl Survey {
    async fn take(args: &DoctorArgs) -> Result<Self, Trouble> {
        let program = std::env::current_exe()?;
        let is_static = host::is_static(&program);
        let temporary_folder = std::env::temp_dir();
        let machine = host::host_environment();
        Ok(Self {
            kernel: host::kernel_survey(),
            no_name_spaces: no_name_spaces(&program).await,
            engine: Engine::look_at(&program, !args.no_container).await,
            store: room_in(&args.store.store),
            temporary: room_in(&temporary_folder),
            temporary_folder,
            listen_refused: listen_refused(),
            open_files_max: rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
            gpus: machine.gpus.into_iter().map(|gpu| format!("{} (driver {})", gpu.model, gpu.driver)).collect(),
            unanswerable: unanswerable_in(&args.store.store),
            program: (program, is_static),
        })
    }
}

impl Engine {
    async fn look_at(program: &Path, tries_a_container: bool) -> Self {
        let docker = match Docker::connect().await {
            Ok(docker) => docker,
            Err(error) => return Self::silent(&error),
        };
        let survey = match docker.survey().await {
            Ok(survey) => Box::new(survey),
            Err(error) => return Self::silent(&error),
        };
        let mut rehearsal = None;
        if tries_a_container {
            let rehearsed = replayer::rehearse(&docker, program, Clock::start().monotonic).await;
            rehearsal = Some(rehearsed.map_err(|error| with_causes(&error)));
        }
        Self::Answers { survey, rehearsal }
    }

    fn silent(error: &DockerError) -> Self {
        Self::Silent { reason: with_causes(error), help: error.help().unwrap_or_default().to_owned() }
    }
}

/// An error and what caused it, on one line.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn no_name_spaces(program: &Path) -> Option<String> {
    let probe = tokio::process::Command::new(program).args([init::WORD, "--probe"]).output().await;
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Of a store that cannot be read nothing is said here: that is `retake verify`'s.
fn unanswerable_in(store: &Path) -> Vec<Unanswerable> {
    let archive = store.is_dir().then(|| Archive::open(store).ok()).flatten();
    archive.and_then(|archive| replayer::unanswerable(&archive).ok()).unwrap_or_default()
}

fn room_in(folder: &Path) -> Result<DiskSurvey, String> {
    host::disk_survey(folder).map_err(|error| format!("`{}`: {error}", folder.display()))
}

/// Binds and lets go.
fn listen_refused() -> Option<String> {
    std::net::TcpListener::bind(capture::Settings::default().listen).err().map(|error| error.to_string())
}
