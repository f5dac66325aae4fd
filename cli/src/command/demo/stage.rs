//! Where the demo takes place: a temporary folder, and commands of this program run in it.

use std::{
    borrow::Cow,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{console::Console, trouble::Trouble};

/// How long a command may take to say that it listens, and to end when it is asked to. A choice.
const PATIENCE: Duration = Duration::from_secs(20);

/// The demo's folder and voice.
pub(super) struct Stage<'a> {
    folder: TempDir,
    executable: PathBuf,
    console: &'a Console,
    /// The command whose end is waited for.
    current: Option<Running>,
}

impl<'a> Stage<'a> {
    pub(super) fn set(keep: bool, console: &'a Console) -> Result<Self, Trouble> {
        let folder = tempfile::Builder::new().prefix("retake-demo-").disable_cleanup(keep).tempdir()?;
        let executable = std::env::current_exe()?;
        let stage = Self { folder, executable, console, current: None };
        if keep {
            stage.say(&format!("In {}", stage.folder.path().display()));
        }
        Ok(stage)
    }

    /// Takes it down: a command that was left in the middle ends first, and then the folder goes, unless it was to be kept.
    pub(super) async fn strike(mut self) {
        if let Some(mut current) = self.current.take() {
            // How it ends after it was told to is of no interest.
            drop(current.end().await);
        }
        drop(self.folder);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn say(&self, text: &str) {
        self.console.tell(text);
    }

    pub(super) fn heading(&self, number: u32, text: &str) {
        self.console.tell("");
        self.console.tell(&self.console.out.bold(&format!("{number}. {text}")));
    }

    /// Runs a command to its end; another exit code than `expected` ends the demo.
    pub(super) async fn run(&mut self, arguments: &[&str], expected: &[i32]) -> Result<(), Trouble> {
        self.show(arguments);
        let child = self.command(arguments).spawn()?;
        let current = self.current.insert(Running { child, name: arguments[0].to_owned() });
        let status = current.child.wait().await?;
        self.current = None;
        match status.code() {
            Some(code) if expected.contains(&code) => Ok(()),
            _ => Err(Trouble::new(format!("`retake {}` ended with {status}", arguments.join(" ")))
                .help("run it again with `retake demo --keep`, and look at what is in its folder")),
        }
    }

    /// Starts a command that goes on, and waits until it has said its first line.
    pub(super) async fn start(&self, arguments: &[&str]) -> Result<Running, Trouble> {
        self.show(arguments);
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let said = first_line(&mut child, arguments[0]).await?;
        self.say(&format!("  {}", said.trim_end()));
        Ok(Running { child, name: arguments[0].to_owned() })
    }

    fn show(&self, arguments: &[&str]) {
        let words: Vec<_> = arguments.iter().map(|word| quoted(word)).collect();
        self.console.tell(&self.console.out.cyan(&format!("$ retake {}", words.join(" "))));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }
}

/// As a shell takes it. `=` and `,` inside an argument mean nothing to a shell; quotes for their sake are in the way.
fn quoted(word: &str) -> Cow<'_, str> {
    match shlex::try_quote(&word.replace(['=', ','], "")) {
        Ok(Cow::Borrowed(_)) => Cow::Borrowed(word),
        _ => shlex::try_quote(word).unwrap_or_default(),
    }
}

/// The first line of either stream; what comes after it is read and passed over, so that no pipe fills.
async fn first_line(child: &mut Child, name: &str) -> Result<String, Trouble> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    if let Some(output) = child.stdout.take() {
        tokio::spawn(pass_on(BufReader::new(output).lines(), sender.clone()));
    }
    if let Some(output) = child.stderr.take() {
        tokio::spawn(pass_on(BufReader::new(output).lines(), sender));
    }
    let silent = || Trouble::new(format!("`retake {name}` did not say that it listens"));
    tokio::time::timeout(PATIENCE, receiver.recv()).await.ok().flatten().ok_or_else(silent)
}

async fn pass_on<R: tokio::io::AsyncBufRead + Unpin>(
    mut lines: tokio::io::Lines<R>,
    sender: tokio::sync::mpsc::Sender<String>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        // Only the first one has a reader.
        drop(sender.try_send(line));
    }
}

/// A command that goes on beside the demo.
pub(super) struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Ends it as Ctrl-C would, and waits for it.
    pub(super) async fn end(&mut self) -> Result<(), Trouble> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let _gone = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::INT));
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(()),
            Ok(status) => Err(Trouble::new(format!("`retake {}` ended with {}", self.name, status?))),
            Err(_) => Err(Trouble::new(format!("`retake {}` did not end", self.name))),
        }
    }
}

/// A port that is free now, held until the listener is dropped.
pub(super) fn free_port() -> Result<(TcpListener, u16), Trouble> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_can_be_typed() {
        assert_eq!(
            quoted("model=http://127.0.0.1:1,listen=127.0.0.1:2"),
            "model=http://127.0.0.1:1,listen=127.0.0.1:2"
        );
        assert_eq!(quoted("POST /a=b"), "'POST /a=b'");
    }
}
