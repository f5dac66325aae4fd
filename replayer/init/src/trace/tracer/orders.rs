//! What the host orders while the service runs: the end of a frozen clock, a stop, another start.

use std::io;

use wire::bridge::Order;

use super::{
    super::{control::Control, leftovers::Leftovers, processes},
    Tracer,
};
use crate::system;

impl Tracer<'_> {
    pub(super) fn carry_out(&mut self, number: u64, order: Order, control: &mut Control) {
        match order {
            Order::Ready => {
                self.programs.clock().into_iter().for_each(|clock| clock.freeze_monotonic(false));
                control.answer(number, &Ok(()));
            }
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
            return self.start_anew().map(|()| true);
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

    /// Starts the job again once all of its old processes have ended.
    fn start_anew(&mut self) -> io::Result<()> {
        if !self.is_all_gone() {
            return Ok(());
        }
        self.is_ending = false;
        self.orphan_count = 0;
        self.early.clear();
        self.programs.begin_clock(self.settings.wall_clock);
        self.start()
    }
}
