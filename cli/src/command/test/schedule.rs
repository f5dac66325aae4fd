//! Many cases at a time, within a budget of processors; their results in order.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use report::CaseResult;

use super::{case::Planned, play::Player};
use crate::args::TestArgs;

/// How much may go on at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Cases.
    jobs: usize,
    /// Processors that they take together.
    cpus: usize,
}

impl Budget {
    /// As it was asked for; otherwise what this machine lets its programs have.
    pub(super) fn of(args: &TestArgs) -> Self {
        let here = || std::thread::available_parallelism().map_or(1, usize::from);
        let cpus = args.cpus.map_or_else(here, usize::from).max(1);
        // More cases than processors were asked for: then those are no limit.
        let jobs = args.jobs.map_or(cpus, usize::from).max(1);
        let cpus = if args.cpus.is_none() { cpus.max(jobs) } else { cpus };
        Self { jobs, cpus }
    }
}

struct State<'a> {
    next: usize,
    free: usize,
    results: Vec<Option<CaseResult>>,
    /// Results that were told.
    told: usize,
    done: u64,
    tell: &'a mut (dyn FnMut(u64, &CaseResult) + Send),
}

/// Plays all of them. `tell` is called with each result in the cases' order, as soon as all before it are there, and with
/// how many are done.
pub(super) fn run_all(
    planned: &[Planned],
    budget: &Budget,
    player: &Player<'_>,
    tell: &mut (dyn FnMut(u64, &CaseResult) + Send),
) -> Vec<CaseResult> {
    let results = planned.iter().map(|_| None).collect();
    let state = Mutex::new(State { next: 0, free: budget.cpus, results, told: 0, done: 0, tell });
    let freed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..budget.jobs.min(planned.len()) {
            scope.spawn(|| work(planned, budget, player, &state, &freed));
        }
    });
    let results = state.into_inner().unwrap_or_else(PoisonError::into_inner).results;
    results.into_iter().map(|result| result.expect("every case has a result")).collect()
}

fn work(planned: &[Planned], budget: &Budget, player: &Player<'_>, state: &Mutex<State<'_>>, freed: &Condvar) {
    let mut held = lock(state);
    while let Some(next) = planned.get(held.next) {
        // What takes more than there is takes all.
        let weight = next.case.as_ref().map_or(0, |case| usize::from(case.cpus)).min(budget.cpus);
        if weight > held.free {
            held = freed.wait(held).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let at = held.next;
        held.next += 1;
        held.free -= weight;
        drop(held);
        let result = player.play(next);
        held = lock(state);
        held.free += weight;
        held.put(at, result);
        freed.notify_all();
    }
}

fn lock<'m, 'a>(state: &'m Mutex<State<'a>>) -> MutexGuard<'m, State<'a>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State<'_> {
    fn put(&mut self, at: usize, result: CaseResult) {
        self.results[at] = Some(result);
        self.done += 1;
        while let Some(Some(result)) = self.results.get(self.told) {
            (self.tell)(self.done, result);
            self.told += 1;
        }
    }
}
