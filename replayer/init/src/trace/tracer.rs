//! The loop that traces: what each process and thread of the service does is answered here, in the order it comes.
//!
//! Processes are known from the moment they are made: by their maker's stop or their own first one, whichever comes first.
//! Each waits stopped until we let it go on, so none reads a clock or gets a random byte before it is ready for that.

mod meet;
mod orders;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    os::fd::RawFd,
    time::Duration,
};

use wire::bridge::{Reached, Virtual};

use super::{
    calls::{self, Answered, MONOTONICS, WALLS},
    control::Control,
    deadlines::{self, Changed},
    entropy::{Lineage, Purpose},
    leftovers::Leftovers,
    memory::Memory,
    processes::{Process, Processes},
    program::{Controls, Outcome, Programs},
};
use crate::{
    clock::Clock,
    system::{
        self,
        launch::{self, Failure, Preparation, Step},
        ptrace::{self, Change},
        told_calls::{Filter, Told},
        waiting::{self, Readable, Signals, monotonic_ns},
    },
};

/// How often what was reached is told again, where that has changed. A choice: as the bridge tells the host.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What is to be run.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) program: OsString,
    /// Its words, the first of which is its own name for itself.
    pub(super) command: Vec<OsString>,
    pub(super) purpose: Purpose,
    /// Where its standard output goes, if not to ours.
    pub(super) output: Option<RawFd>,
    /// How long it may take.
    pub(super) patience: Option<Duration>,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// As [`Change::Over`] has it.
    pub(super) status: u8,
    /// What it failed at, where it did not come to run its program.
    pub(super) failure: Option<(Step, io::Error)>,
}

/// Traces one job.
pub(super) struct Tracer<'a> {
    settings: &'a Virtual,
    job: Job,
    programs: Programs,
    processes: Processes,
    /// The job's own process.
    root: i32,
    failure: Option<Failure>,
    root_status: Option<u8>,
    /// The number of the order to start anew, while the old processes end and until the new one runs.
    restart: Option<u64>,
    /// The number of the order to stop, until all processes have ended.
    stop: Option<u64>,
    /// True from then on, until another start.
    is_stopped: bool,
    /// What was there before the job was, where it is known.
    left: Option<Leftovers>,
    is_ending: bool,
    orphan_count: u64,
    /// Threads that were met before whoever made them said so. A maker that is killed never does.
    early: BTreeSet<i32>,
    /// Threads in a call whose moment was changed, and what is to be put back.
    waiting: BTreeMap<i32, Changed>,
    reached: Reached,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(settings: &'a Virtual, programs: Programs, job: Job, reached: Reached) -> Self {
        Self {
            settings,
            job,
            programs,
            processes: Processes::default(),
            root: 0,
            failure: None,
            root_status: None,
            restart: None,
            stop: None,
            is_stopped: false,
            left: None,
            is_ending: false,
            orphan_count: 0,
            early: BTreeSet::new(),
            waiting: BTreeMap::new(),
            reached,
        }
    }

    /// Runs the job to its end, meanwhile handing signals on to it.
    ///
    /// An error means that nothing could be traced; the job was not run then.
    pub(super) fn run(&mut self, control: &mut Control) -> io::Result<Ended> {
        let (signals, parent) = (Signals::open()?, system::parent());
        // Only with a way to the host can it be stopped.
        self.left = control.input().map(|_| Leftovers::now());
        self.start()?;
        let deadline = self.job.patience.map(|patience| monotonic_ns().saturating_add(nanoseconds(patience)));
        let mut readable = Readable { signals: true, input: true };
        loop {
            // Before what children did is asked for: what they do from then on is another signal.
            for (signal, sender) in readable.signals.then(|| signals.take()).into_iter().flatten() {
                // Others reach the service themselves, where they mean it.
                if signal == libc::SIGCHLD || sender != parent {
                    continue;
                }
                match self.root_status {
                    None => system::send_signal(self.root, signal),
                    // What is stopped and told to end has.
                    Some(_) => (self.stop, self.is_stopped) = (None, false),
                }
            }
            while let Some((thread, change)) = ptrace::next_change() {
                self.take(thread, change, control);
            }
            if readable.input {
                for (number, order) in control.orders() {
                    self.carry_out(number, order, control);
                }
            }
            if let Some(status) = self.root_status
                && !self.stands_by(control)?
            {
                control.tell(&self.reached);
                return Ok(Ended { status, failure: self.failure.take().and_then(Failure::read) });
            }
            if control.tell_now_and_then(&self.reached, TELL_EVERY) {
                self.programs.clock().into_iter().for_each(Clock::watch);
            }
            let left = deadline.map(|deadline| deadline.saturating_sub(monotonic_ns()));
            if left.is_some_and(|left| left <= 0) {
                system::send_signal(self.root, libc::SIGKILL);
            }
            let patience = deadline.map(|_| TELL_EVERY).or(control.patience(TELL_EVERY));
            readable = waiting::wait(&signals, control.input(), patience);
        }
    }

    pub(super) fn reached(self) -> Reached {
        self.reached
    }

    fn start(&mut self) -> io::Result<()> {
        let Controls { clock, entropy, aslr_off, tsc, monotonic } = self.programs.controls;
        let walls = WALLS.into_iter().filter(|_| clock);
        let clocks = walls.chain(MONOTONICS.into_iter().filter(|_| monotonic)).collect();
        let preparation = Preparation {
            no_randomize: aslr_off,
            trap_tsc: tsc,
            filter: Filter::of(&Told { random: entropy, clocks, deadlines: clock }),
            output: self.job.output,
        };
        let waiting = launch::start(&self.job.program, &self.job.command, &preparation)?;
        if let Err(error) = ptrace::seize(waiting.pid) {
            waiting.end();
            return Err(error);
        }
        self.root = waiting.pid;
        self.root_status = None;
        let lineage = Lineage::first(&self.settings.seed, self.job.purpose);
        self.processes.add(self.root, Process::new(self.root, lineage));
        self.failure = Some(waiting.let_go()?);
        Ok(())
    }

    fn take(&mut self, thread: i32, change: Change, control: &mut Control) {
        if let Change::Over { status, signal } = change {
            return self.take_end(thread, status, signal);
        }
        if !self.processes.knows(thread) {
            self.early.insert(thread);
            self.meet(thread, None);
        }
        if self.is_ending {
            // What was made while the others ended ends as well.
            return system::send_signal(thread, libc::SIGKILL);
        }
        let done = match change {
            Change::Made => {
                let maker = self.processes.process_of(thread);
                ptrace::message(thread).map(|made| self.meet_made(made, maker)).map(|()| 0)
            }
            Change::Exec => self.take_program(thread, control),
            Change::Call => self.take_call(thread),
            Change::CallOver => match self.waiting.remove(&thread) {
                Some(changed) => deadlines::put_back(thread, changed).map(|()| 0),
                None => Ok(0),
            },
            Change::Signal(signal) => self.take_signal(thread, signal),
            Change::GroupStop => return ptrace::stay_stopped(thread),
            Change::Stop | Change::Over { .. } => Ok(0),
        };
        match done {
            Ok(_) if change == Change::Call && self.waiting.contains_key(&thread) => ptrace::go_on_into_call(thread),
            Ok(signal) => ptrace::go_on(thread, signal),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.refuse(thread, &error.to_string()),
            // It has just been killed, whatever failed for that; and what is not stopped any more must not go on.
            Err(_) if !ptrace::is_stopped(thread) => system::send_signal(thread, libc::SIGKILL),
            Err(error) => self.refuse(thread, &error.to_string()),
        }
    }

    fn take_end(&mut self, thread: i32, status: u8, signal: Option<i32>) {
        let is_process = self.processes.remove(thread);
        self.waiting.remove(&thread);
        if is_process && signal == Some(libc::SIGSYS) {
            self.reached.refused_count += 1;
        }
        if thread == self.root {
            self.root_status = Some(status);
        }
    }

    fn take_program(&mut self, thread: i32, control: &mut Control) -> io::Result<i32> {
        self.processes.keep_only(thread);
        self.waiting.remove(&thread);
        let Some(process) = self.processes.get(thread) else { return Err(io::ErrorKind::NotFound.into()) };
        process.memory = Memory::of(thread);
        process.lineage.run_program();
        process.tsc_count = 0;
        if thread == self.root {
            self.programs.note_first(thread);
        }
        match self.programs.prepare(thread, process)? {
            Outcome::Left => {}
            Outcome::Redirected => self.reached.redirected_count += 1,
            Outcome::Stripped => self.reached.stripped_count += 1,
        }
        if thread == self.root
            && let Some(number) = self.restart.take()
        {
            self.reached.restart_count += 1;
            control.answer(number, &Ok(()));
        }
        Ok(0)
    }

    fn take_call(&mut self, thread: i32) -> io::Result<i32> {
        let Some(process) = self.processes.of_thread(thread) else { return Err(io::ErrorKind::NotFound.into()) };
        match calls::answer(thread, process, &self.programs)? {
            Answered::ByKernel => {}
            Answered::Translated(changed) => {
                self.waiting.insert(thread, changed);
            }
            Answered::Random => self.reached.random_count += 1,
            Answered::Clock => self.reached.clock_count += 1,
            Answered::Failed => self.reached.unserved_count += 1,
        }
        Ok(0)
    }

    /// Gives the signal that is to be delivered, 0 for none.
    fn take_signal(&mut self, thread: i32, signal: i32) -> io::Result<i32> {
        if signal == libc::SIGSEGV
            && self.programs.controls.tsc
            && let Some(process) = self.processes.of_thread(thread)
            && calls::answer_tsc(thread, process)?
        {
            self.reached.tsc_count += 1;
            return Ok(0);
        }
        Ok(signal)
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
