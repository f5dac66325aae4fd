//! Starts a program that waits until it is traced, and only then makes itself ready and runs.

use std::{
    ffi::{CString, OsString},
    fs::File,
    io::{self, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    ptr,
};

use super::{check, told_calls::Filter};

/// `ADDR_NO_RANDOMIZE` (linux/personality.h).
const NO_RANDOMIZE: libc::c_ulong = 0x0004_0000;

/// What a program has done to itself before it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preparation {
    pub(crate) no_randomize: bool,
    pub(crate) trap_tsc: bool,
    pub(crate) filter: Option<Filter>,
    /// Where its standard output goes, if not to ours.
    pub(crate) output: Option<RawFd>,
}

/// What a program failed at before it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Randomize,
    Tsc,
    Filter,
    Run,
}

const STEPS: [Step; 4] = [Step::Randomize, Step::Tsc, Step::Filter, Step::Run];

/// A process that waits for leave to go on.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) pid: i32,
    leave: File,
    failure: File,
}

/// What tells why a process ended before it ran its program, if it did.
#[derive(Debug)]
pub(crate) struct Failure(File);

impl Waiting {
    /// Lets it go on.
    pub(crate) fn let_go(mut self) -> io::Result<Failure> {
        self.leave.write_all(b"x")?;
        Ok(Failure(self.failure))
    }

    /// Ends it before it has done anything. It is yet to be reaped.
    pub(crate) fn end(self) {
        // Without leave it ends by itself; a process of ours that has not been reaped keeps its number.
        super::send_signal(self.pid, libc::SIGKILL);
    }
}

impl Failure {
    /// The step and the error, once the process is over; nothing where it ran its program.
    pub(crate) fn read(mut self) -> Option<(Step, io::Error)> {
        let mut told = [0; 5];
        self.0.read_exact(&mut told).ok()?;
        let [step, error @ ..] = told;
        Some((*STEPS.get(usize::from(step))?, io::Error::from_raw_os_error(i32::from_ne_bytes(error))))
    }
}

/// Makes the process. This one must have no other threads.
pub(crate) fn start(program: &OsString, command: &[OsString], preparation: &Preparation) -> io::Result<Waiting> {
    let text = |word: &OsString| CString::new(word.as_bytes()).map_err(io::Error::from);
    let program = text(program)?;
    let words = command.iter().map(text).collect::<io::Result<Vec<_>>>()?;
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(ptr::null());
    let (wait, leave) = pipe()?;
    let (failure, tell) = pipe()?;
    // SAFETY: this process has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    check(pid)?;
    if pid == 0 {
        drop((leave, failure));
        if File::from(wait).read_exact(&mut [0]).is_ok() {
            let (step, error) = match prepare(preparation) {
                // SAFETY: the texts, and the list with its end, outlive the call.
                Ok(()) => (Step::Run, unsafe { run(&program, &pointers) }),
                Err(failed) => failed,
            };
            let number = error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
            let told = [&[STEPS.iter().position(|known| *known == step).unwrap_or(0) as u8][..], &number].concat();
            drop(File::from(tell).write_all(&told));
        }
        // SAFETY: it only ends this process.
        unsafe { libc::_exit(127) };
    }
    Ok(Waiting { pid, leave: leave.into(), failure: failure.into() })
}

/// Becomes the program, with no signal blocked or ignored. Returns only the error.
///
/// # Safety
/// `words` are texts, and end with null.
unsafe fn run(program: &CString, words: &[*const libc::c_char]) -> io::Error {
    let mut none = MaybeUninit::uninit();
    // SAFETY: the set is written before it is read, the default runs no code of ours, and the caller vouches for the words.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::execvp(program.as_ptr(), words.as_ptr());
    }
    io::Error::last_os_error()
}

/// Becomes the program, untraced.
pub(crate) fn become_program(program: &OsString, command: &[OsString]) -> io::Error {
    let text = |word: &OsString| CString::new(word.as_bytes()).map_err(io::Error::from);
    let texts =
        text(program).and_then(|program| Ok((program, command.iter().map(text).collect::<io::Result<Vec<_>>>()?)));
    match texts {
        Ok((program, words)) => {
            let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
            pointers.push(ptr::null());
            // SAFETY: the texts, and the list with its end, outlive the call.
            unsafe { run(&program, &pointers) }
        }
        Err(error) => error,
    }
}

fn prepare(preparation: &Preparation) -> Result<(), (Step, io::Error)> {
    if preparation.no_randomize {
        // SAFETY: personality has no memory to harm; all ones only asks.
        let done = unsafe {
            let now = libc::personality(0xffff_ffff);
            libc::personality(libc::c_ulong::from(now.cast_unsigned()) | NO_RANDOMIZE)
        };
        check(done).map_err(|error| (Step::Randomize, error))?;
    }
    if preparation.trap_tsc {
        // SAFETY: prctl with this option reads two numbers.
        let done = unsafe { libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV, 0, 0, 0) };
        check(done).map_err(|error| (Step::Tsc, error))?;
    }
    if let Some(output) = preparation.output {
        // SAFETY: both are numbers of descriptors.
        check(unsafe { libc::dup2(output, libc::STDOUT_FILENO) }).map_err(|error| (Step::Run, error))?;
    }
    match preparation.filter.clone() {
        Some(mut filter) => filter.install().map_err(|error| (Step::Filter, error)),
        None => Ok(()),
    }
}

/// A pipe that closes itself in what is executed: its reading end, its writing end.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two numbers.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both are open and nobody else has them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// The number of a descriptor that is to be given to `dup2` in the child.
pub(crate) fn number_of(descriptor: &OwnedFd) -> RawFd {
    descriptor.as_raw_fd()
}
