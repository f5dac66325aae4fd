//! What the host orders while the service runs: another time on its clock, the end of a frozen one, a stop, another start.

use std::io;

use wire::bridge::Order;

use super::{
    super::{control::Control, leftovers::Leftovers, memory::Memory, processes},
    Tracer,
};
use crate::system::{self, ptrace};

impl Tracer<'_> {
    pub(super) fn carry_out(&mut self, number: u64, order: Order, control: &mut Control) {
        match order {
            Order::SetClock(_) if !self.programs.controls.clock => {
                control.answer(number, &Err("the wall clock is not given".to_owned()));
            }
            Order::SetClock(wall) => {
                self.clock.set(wall);
                self.spread_clock(number, control);
            }
            Order::Ready if self.clock.monotonic().is_some() => {
                self.clock.go_on();
                self.spread_clock(number, control);
            }
            Order::Ready => control.answer(number, &Ok(())),
            Order::Stop { signal } => {
                if let Some(earlier) = self.stop.replace(number) {
                    control.answer(earlier, &Err("it was asked to stop again".to_owned()));
                }
                if self.root_status.is_none() {
                    system::send_signal(self.root, signal);
                }
            }
            Order::Restart => {
                let earlier = [self.restart.replace(number), self.stop.take()];
                for earlier in earlier.into_iter().flatten() {
                    control.answer(earlier, &Err("another start was asked for".to_owned()));
                }
                self.is_stopped = false;
                self.end_all();
            }
        }
    }

    fn end_all(&mut self) {
        self.is_ending = true;
        for process in self.processes.numbers() {
            system::send_signal(process, libc::SIGKILL);
        }
    }

    /// With the job's own process gone: starts it again where that was asked for, or ends the others and waits where it was
    /// only stopped. False where nothing more is wanted of it.
    pub(super) fn stands_by(&mut self, control: &mut Control) -> io::Result<bool> {
        if self.restart.is_some() {
            return self.start_anew(control).map(|()| true);
        }
        let Some(number) = self.stop else { return Ok(self.is_stopped && control.input().is_some()) };
        if !self.is_ending {
            self.end_all();
        }
        if self.is_all_gone() {
            self.stop = None;
            self.is_stopped = true;
            let left = self.left.as_ref().and_then(Leftovers::new_since);
            control.answer(number, &left.map_or(Ok(()), |left| Err(format!("{left} is left"))));
        }
        Ok(true)
    }

    /// True when no process is left, met or not.
    fn is_all_gone(&self) -> bool {
        let unmet = processes::traced_by_this_process();
        unmet.iter().for_each(|process| system::send_signal(*process, libc::SIGKILL));
        self.processes.is_empty() && unmet.is_empty()
    }

    /// Writes what the clock shows into each process, and answers when it is in all of them.
    fn spread_clock(&mut self, number: u64, control: &mut Control) {
        self.unanswered.push(number);
        for number in self.processes.numbers() {
            let Some(thread) = self.processes.thread_of(number) else { continue };
            let Some(process) = self.processes.get(number) else { continue };
            // What cannot be written while it runs is written when it stops, which it is made to; one that has ended
            // does neither, and is taken off when that is heard.
            let waits = matches!(process.memory, Memory::Words);
            if waits || process.update(thread, &self.clock).is_err() {
                drop(ptrace::interrupt(thread));
            }
        }
        self.answer_what_is_done(control);
    }

    pub(super) fn answer_what_is_done(&mut self, control: &mut Control) {
        if self.unanswered.is_empty() {
            return;
        }
        let (clock, processes) = (&self.clock, &mut self.processes);
        let mut all = processes.numbers().into_iter().filter_map(|number| {
            let is_done = processes.get(number)?.is_up_to_date(clock);
            Some(is_done)
        });
        if all.all(|is_done| is_done) {
            for number in std::mem::take(&mut self.unanswered) {
                control.answer(number, &Ok(()));
            }
        }
    }

    /// Starts the job again once all of its old processes have ended.
    pub(super) fn start_anew(&mut self, control: &mut Control) -> io::Result<()> {
        if !self.is_all_gone() {
            return Ok(());
        }
        self.is_ending = false;
        self.orphan_count = 0;
        self.early.clear();
        self.clock.start_over(self.settings.wall_clock, self.programs.controls.monotonic);
        self.answer_what_is_done(control);
        self.start()
    }
}
