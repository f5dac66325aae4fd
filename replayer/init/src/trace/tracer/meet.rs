//! Processes and threads that are new, and those that must not go on.

use super::{
    super::{
        entropy::Lineage,
        processes::{Process, identity},
    },
    Tracer,
};
use crate::system;

impl Tracer<'_> {
    /// Notes what another thread says that it has made, unless that was quicker and maybe is over by now.
    pub(super) fn meet_made(&mut self, made: i32, maker: Option<i32>) {
        if !self.early.remove(&made) {
            self.meet(made, maker);
        }
    }

    /// Notes a thread or a process that is new.
    pub(super) fn meet(&mut self, thread: i32, maker: Option<i32>) {
        if self.processes.knows(thread) {
            return;
        }
        if let Some(process) = self.processes.of_new(thread, maker) {
            return self.processes.add_thread(thread, process);
        }
        // One that is gone already needs no more.
        let Ok((process, parent)) = identity(thread) else { return };
        if process != thread {
            return self.processes.add_thread(thread, process);
        }
        let maker = self.processes.get(maker.unwrap_or(parent));
        let made = match maker {
            Some(maker) => {
                let lineage = maker.lineage.child();
                // What is in the maker's memory is in its child's too.
                Process { vdso: maker.vdso, ..Process::new(thread, lineage) }
            }
            None => {
                self.orphan_count += 1;
                let mut first = Lineage::first(&self.settings.seed, self.job.purpose);
                let lineage = (0..self.orphan_count).fold(first.child(), |lineage, _| { lineage }.child());
                Process::new(thread, lineage)
            }
        };
        self.processes.add(thread, made);
    }

    /// Kills what would have had the machine's own time or chance.
    pub(super) fn refuse(&mut self, thread: i32, reason: &str) {
        let process = self.processes.process_of(thread).unwrap_or(thread);
        self.reached.refused_count += 1;
        let name = std::fs::read_link(format!("/proc/{process}/exe"));
        let name = name.map_or_else(|_| format!("process {process}"), |path| format!("`{}`", path.display()));
        let trouble = format!("{name} was killed: {reason}");
        crate::say(&trouble);
        self.reached.add_trouble(trouble);
        system::send_signal(process, libc::SIGKILL);
    }
}
