//! Which process it is: its executable and the files that its arguments name, by content.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use content::redact::Redactor;
use exchange::{Digest, ProcessIdentity};

use crate::{Looking, error::ProcessError, local_tree, secret};

/// Most of `/proc/PID/cmdline` and `environ` that is read, in bytes. A choice, twice the kernel's usual limit.
const PROC_LEN_MAX: u64 = 4 << 20;

/// Most files that are taken from the arguments. A choice.
const FILES_MAX: usize = 64;

/// How often, and how far apart, a process without arguments is looked at again. Choices: programs without any are rare,
/// and setting arguments takes the kernel microseconds.
const SETTLING_TRIES: u32 = 50;
const SETTLING_PAUSE: Duration = Duration::from_millis(2);

/// A process as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenProcess {
    /// What it is.
    pub identity: ProcessIdentity,
    /// What it shows in the place of its arguments, where it has written over them and they are not known; the identity then has
    /// none.
    pub shows: Option<String>,
}

/// Which process `pid` is. Reads its executable and the files its arguments name whole: seconds for large models, so
/// call it off the runtime's threads.
///
/// `command` is what it was started with, program first, where that is known: its arguments, where it still runs that program
/// and shows something else (nginx, gunicorn and PostgreSQL show what they are about, as by setproctitle(3)).
///
/// Secrets are replaced in the arguments by `redactor`, and kept as hashes in the environment, those in `secret_names`
/// too.
///
/// # Errors
/// `Gone` when there is no such process, `Unreadable` when it is another user's.
pub fn process_identity(
    pid: u32,
    command: &[String],
    redactor: &Redactor,
    secret_names: &[String],
) -> Result<SeenProcess, ProcessError> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    if !proc.exists() {
        return Err(ProcessError::Gone { pid });
    }
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| ProcessError::Unreadable { path, source }
    };
    let read = |name: &str| read_capped(&proc.join(name)).map_err(unreadable(&proc.join(name)));
    let link = |name: &str| fs::read_link(proc.join(name)).map_err(unreadable(&proc.join(name)));
    let look = || -> Result<_, ProcessError> {
        let program = Program::opened(&proc).map_err(unreadable(&proc.join("exe")))?;
        let arguments = texts(&read_once_set(|| read("cmdline"))?);
        Ok((program, arguments, texts(&read("environ")?), link("cwd")?))
    };
    let (program, arguments, environment, working_dir) = of_one_program(|| program_of(pid), look)?;
    // The files as the process sees them, which may have a root of its own.
    let root = proc.join("root");
    let (arguments, shows) = match title_of(&arguments, &working_dir, &root) {
        None => (arguments, None),
        Some(_) if is_program(&program.path, command) => (command.to_vec(), None),
        Some(title) => (Vec::new(), Some(redactor.text(&title).0)),
    };
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| ProcessError::Random(error.into()))?;
    let NamedFiles { files, secrets } = files_of(&arguments, &working_dir, &root, salt);
    let identity = ProcessIdentity {
        executable: text_of(&program.path),
        digest: program.file.and_then(|file| digest_of(file).ok()),
        files,
        salt: (!secrets.is_empty()).then(|| secret::hex(&salt)),
        secret_files: secrets,
        arguments: redactor.arguments(&arguments).0,
        working_dir: text_of(&working_dir),
        variables: variables(&environment, secret_names)?,
    };
    Ok(SeenProcess { identity, shows })
}

/// What a process shows in the place of its arguments, where these cannot be arguments: one text with spaces in it that names no
/// file. What was written over the rest is empty.
fn title_of(arguments: &[String], working_dir: &Path, root: &Path) -> Option<String> {
    let (first, others) = arguments.split_first()?;
    let is_title = first.contains(' ') && others.iter().all(String::is_empty);
    let path = working_dir.join(first);
    let is_file = || inside(root, &path).is_file();
    (is_title && !is_file()).then(|| first.trim_end().to_owned())
}

/// A path of a process as this one finds it.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// True where the program that a command names is this executable.
fn is_program(executable: &Path, command: &[String]) -> bool {
    let Some(name) = command.first() else { return false };
    let is_it = |path: PathBuf| path.canonicalize().is_ok_and(|path| path == executable);
    if name.contains('/') {
        return is_it(PathBuf::from(name));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file()).is_some_and(is_it)
}

fn variables(environment: &[String], secret_names: &[String]) -> Result<Vec<exchange::Variable>, ProcessError> {
    let pairs: BTreeMap<_, _> = environment.iter().filter_map(|line| line.split_once('=')).collect();
    let kept = pairs.into_iter().map(|(name, value)| secret::variable(name, value, secret_names));
    kept.collect::<io::Result<_>>().map_err(ProcessError::Random)
}

/// Files that arguments name, sorted by path.
#[derive(Debug, Default, PartialEq, Eq)]
struct NamedFiles {
    files: Vec<(String, Digest)>,
    /// Those that look like secrets, by slow hashes.
    secrets: Vec<(String, Digest)>,
}

/// The regular files that arguments name, by themselves or behind an option's `=`.
fn files_of(arguments: &[String], working_dir: &Path, root: &Path, salt: [u8; 16]) -> NamedFiles {
    let named = arguments.iter().skip(1).flat_map(|argument| {
        let value = argument.split_once('=').map(|(_, value)| value);
        std::iter::once(argument.as_str()).chain(value).filter(|word| !word.is_empty())
    });
    let mut files = BTreeMap::new();
    for word in named {
        let path = working_dir.join(word);
        if files.len() >= FILES_MAX || files.contains_key(&text_of(&path)) {
            continue;
        }
        let inside = root.join(path.strip_prefix("/").unwrap_or(&path));
        if let Ok(kept) = named_file(&inside, &text_of(&path), salt) {
            files.insert(text_of(&path), kept);
        }
    }
    let mut named = NamedFiles::default();
    for (path, (digest, is_secret)) in files {
        let whose = if is_secret { &mut named.secrets } else { &mut named.files };
        whose.push((path, digest));
    }
    named
}

/// What is kept of a file that an argument names as `path`, and whether that is the slow hash of a secret one.
fn named_file(file: &Path, path: &str, salt: [u8; 16]) -> io::Result<(Digest, bool)> {
    must_be_regular(file)?;
    let tree = local_tree(file, &Looking { mounted_at: path.to_owned(), salt: Some(salt), ..Looking::default() })?;
    Ok((tree.digest, tree.has_secrets))
}

/// What is kept of a secret file that a process was started with: to be compared with the recorded slow hash. `salt_hex` is
/// the recorded one.
///
/// # Errors
/// `InvalidInput` for what is no regular file, `InvalidData` for what is no salt, else whatever reading it fails with.
pub fn secret_file_digest(path: &Path, salt_hex: &str) -> io::Result<Digest> {
    let salt = secret::mount_salt(salt_hex)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the recording has no salt for it"))?;
    named_file(path, &text_of(path), salt).map(|(digest, _)| digest)
}

/// BLAKE3 of a regular file's content. Nothing else is opened: a device or a pipe might never end.
///
/// # Errors
/// `InvalidInput` for what is no regular file, else whatever reading it fails with.
pub fn file_digest(path: &Path) -> io::Result<Digest> {
    must_be_regular(path)?;
    digest_of(File::open(path)?)
}

fn digest_of(file: File) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

/// Which program a process runs: another each time it runs one, whatever it calls itself meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramMark {
    /// Device and inode of its file.
    file: (u64, u64),
    /// What the kernel gave it at its start (`AT_RANDOM` and other addresses, getauxval(3)); empty where it is not ours to read.
    given: Vec<u8>,
}

/// How often a mark is read again that was another one a moment ago. A choice: a start fills it once.
const MARK_READS_MAX: usize = 8;

/// Which program `pid` runs now; `None` where it has ended, or is not ours to look at.
pub fn program_of(pid: u32) -> Option<ProgramMark> {
    let mut mark = mark_of(pid)?;
    // What the kernel gives is written while others may read: of a program that starts just now a part may be missing.
    for _ in 0..MARK_READS_MAX {
        let again = mark_of(pid)?;
        if again == mark {
            break;
        }
        mark = again;
    }
    Some(mark)
}

fn mark_of(pid: u32) -> Option<ProgramMark> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let file = fs::metadata(proc.join("exe")).ok()?;
    let given = match read_capped(&proc.join("auxv")) {
        // Its memory is gone: it is ending.
        Ok(given) if given.is_empty() => return None,
        Ok(given) => given,
        Err(_) => Vec::new(),
    };
    Some(ProgramMark { file: (file.dev(), file.ino()), given })
}

/// A process's executable: what is read of the file is of what the path was then, also where the process runs another one.
struct Program {
    path: PathBuf,
    /// `None` where it may be run and not read.
    file: Option<File>,
}

impl Program {
    fn opened(proc: &Path) -> io::Result<Self> {
        let exe = proc.join("exe");
        match File::open(&exe) {
            Ok(file) => {
                let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
                Ok(Self { path, file: Some(file) })
            }
            Err(_) => Ok(Self { path: fs::read_link(&exe)?, file: None }),
        }
    }
}

/// What is seen by several looks, all of one program: a script that runs another one in its place is met between the two
/// otherwise.
fn of_one_program<T, M: PartialEq>(
    mark: impl Fn() -> M,
    look: impl Fn() -> Result<T, ProcessError>,
) -> Result<T, ProcessError> {
    for _ in 1..SETTLING_TRIES {
        let before = mark();
        let seen = look();
        if mark() == before {
            return seen;
        }
        pause();
    }
    look()
}

fn must_be_regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Reads again while nothing is there: a process that has just been started shows its new executable a moment before its
/// arguments.
fn read_once_set(read: impl Fn() -> Result<Vec<u8>, ProcessError>) -> Result<Vec<u8>, ProcessError> {
    for _ in 0..SETTLING_TRIES {
        let bytes = read()?;
        if !bytes.is_empty() {
            return Ok(bytes);
        }
        pause();
    }
    read()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kernel gives no sign when a started program's arguments are in place"
)]
fn pause() {
    std::thread::sleep(SETTLING_PAUSE);
}

fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(PROC_LEN_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Texts that end with a zero byte each.
fn texts(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use exchange::VariableValue;

    use super::*;

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn redactor() -> Redactor {
        Redactor::new([7; 32], &content::redact::Extra::default())
    }

    #[test]
    fn a_process_is_known_by_its_executable_and_the_files_it_names_and_its_secrets_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.gguf"), "weights").unwrap();
        fs::write(folder.path().join("serve.sh"), "read line\n").unwrap();
        let child = Command::new("/bin/sh")
            .args(["serve.sh", "--model=model.gguf", "--api-key", "sk-live-0123456789abcdef", "nofile"])
            .current_dir(folder.path())
            .env_clear()
            .envs([("MODEL_TOKEN", "hunter2hunter2"), ("LANG", "C")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let child = Killed(child);
        let identity = process_identity(child.0.id(), &[], &redactor(), &[]).unwrap().identity;

        let path = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(identity.digest, Some(file_digest(Path::new("/bin/sh")).unwrap()));
        let files = [(path("model.gguf"), Digest::of(b"weights")), (path("serve.sh"), Digest::of(b"read line\n"))];
        assert_eq!(identity.files, files);
        assert_eq!(identity.variables[0].value, VariableValue::Plain("C".to_owned()));
        assert!(matches!(identity.variables[1].value, VariableValue::Secret { .. }));
        let kept = serde_json::to_string(&identity).unwrap();
        assert!(!kept.contains("0123456789abcdef") && !kept.contains("hunter2"), "{kept}");
    }

    #[test]
    fn of_a_file_that_looks_like_a_secret_only_a_slow_hash_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let env = folder.path().join(".env");
        fs::write(&env, "TOKEN=1234\n").unwrap();
        fs::write(folder.path().join("app.py"), "serve()\n").unwrap();
        let arguments = ["serve", "app.py", "--env-file=.env"].map(str::to_owned);
        let NamedFiles { files, secrets } = files_of(&arguments, folder.path(), Path::new("/"), [7; 16]);
        assert_eq!(files, [(text_of(&folder.path().join("app.py")), Digest::of(b"serve()\n"))]);
        let [(path, digest)] = &secrets[..] else { panic!("{secrets:?}") };
        assert_eq!(*path, text_of(&env));
        assert_ne!(*digest, Digest::of(b"TOKEN=1234\n"));
        let salt = secret::hex(&[7; 16]);
        assert_eq!(secret_file_digest(&env, &salt).unwrap(), *digest);
        assert_ne!(secret_file_digest(&env, &secret::hex(&[8; 16])).unwrap(), *digest);
        assert_eq!(secret_file_digest(&env, "zz").unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::write(&env, "TOKEN=1235\n").unwrap();
        assert_ne!(secret_file_digest(&env, &salt).unwrap(), *digest);
    }

    #[test]
    fn what_a_process_shows_about_itself_is_told_from_its_arguments() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("My Service"), "").unwrap();
        let of = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
            title_of(&arguments, folder.path(), Path::new("/"))
        };
        let title = "nginx: master process nginx -g daemon off;";
        assert_eq!(of(&[title]).as_deref(), Some(title));
        assert_eq!(of(&["gunicorn: master [app]   ", "", ""]).as_deref(), Some("gunicorn: master [app]"));
        assert_eq!(of(&["My Service"]), None, "a file that is named so");
        assert_eq!(of(&["python", "-m", "app"]), None);
        assert_eq!(of(&["serve"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_command_is_known_by_its_program_wherever_it_is_found() {
        let shell = fs::canonicalize("/bin/sh").unwrap();
        assert!(is_program(&shell, &["/bin/sh".to_owned(), "-c".to_owned()]));
        assert!(is_program(&shell, &["sh".to_owned()]));
        assert!(!is_program(&shell, &["/bin/cat".to_owned()]) && !is_program(&shell, &[]));
    }

    #[test]
    fn arguments_that_are_not_in_place_yet_are_waited_for() {
        let looked = std::cell::Cell::new(0);
        let read = || {
            looked.set(looked.get() + 1);
            Ok(if looked.get() < 3 { Vec::new() } else { b"serve\0".to_vec() })
        };
        assert_eq!(texts(&read_once_set(read).unwrap()), ["serve"]);
        assert!(read_once_set(|| Ok(Vec::new())).unwrap().is_empty());
    }

    #[test]
    fn what_is_seen_of_a_process_is_of_one_program() {
        let (runs, looked) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let look = || {
            looked.set(looked.get() + 1);
            // It runs another one while the first three looks are taken.
            runs.set(runs.get() + u32::from(looked.get() <= 3));
            Ok(looked.get())
        };
        assert_eq!(of_one_program(|| runs.get(), look).unwrap(), 4);
    }

    #[test]
    fn a_process_that_runs_another_program_has_another_mark_and_one_that_does_not_has_the_same() {
        let script = "read line; exec /bin/sh -c 'echo up; read line; exec sleep 60'";
        let mut child = Command::new("/bin/sh");
        let child = child.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = Killed(child.spawn().unwrap());
        let (mut input, output) = (child.0.stdin.take().unwrap(), child.0.stdout.take().unwrap());
        let mark = || program_of(child.0.id()).unwrap();
        let first = mark();
        assert_eq!(mark(), first);
        io::Write::write_all(&mut input, b"\n").unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut line).unwrap();
        // The same file once more is another start all the same.
        assert_ne!(mark(), first);
        assert_eq!(program_of(u32::MAX), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error = process_identity(u32::MAX, &[], &redactor(), &[]).unwrap_err();
        assert!(matches!(error, ProcessError::Gone { pid: u32::MAX }));
    }

    #[test]
    fn devices_are_not_read() {
        let arguments = ["x", "/dev/zero", "--in=/dev/zero", "/proc/self"].map(str::to_owned);
        assert_eq!(files_of(&arguments, Path::new("/"), Path::new("/"), [7; 16]), NamedFiles::default());
        assert_eq!(file_digest(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
