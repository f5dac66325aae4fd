//! Tells the bridge what is seen: lines to its standard input, from a thread that may wait for it where the watch may not.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::ChildStdin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use wire::bridge::Attempts;

/// How long is gathered before it is told. A choice: short beside the second after which the bridge tells the host.
const GATHER: Duration = Duration::from_millis(200);

/// Whoever has something to tell rings it.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<(Mutex<Rung>, Condvar)>);

#[derive(Default)]
struct Rung {
    changed: bool,
    ended: bool,
}

impl Bell {
    /// Something has changed.
    pub(super) fn ring(&self) {
        self.rung().changed = true;
        self.0.1.notify_one();
    }

    /// The last word is due.
    pub(crate) fn end(&self) {
        self.rung().ended = true;
        self.0.1.notify_one();
    }

    /// Waits for something to tell, and then a little longer; true when that is the last.
    fn wait(&self) -> bool {
        let unheard = self.0.1.wait_while(self.rung(), |rung| !rung.changed && !rung.ended);
        let unheard = unheard.unwrap_or_else(PoisonError::into_inner);
        let gathered = self.0.1.wait_timeout_while(unheard, GATHER, |rung| !rung.ended);
        let (mut rung, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        rung.changed = false;
        rung.ended
    }

    fn rung(&self) -> MutexGuard<'_, Rung> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of `attempts` whenever the bell rings, and lets go of the bridge's input after the last word.
pub(super) fn start(attempts: Attempts, input: &ChildStdin) -> io::Result<Bell> {
    let mut input = File::from(input.as_fd().try_clone_to_owned()?);
    let bell = Bell::default();
    let heard = bell.clone();
    thread::Builder::new().name("tell".to_owned()).spawn(move || {
        loop {
            let is_last = heard.wait();
            let lines: String = attempts.changed().into_iter().map(|line| line + "\n").collect();
            // A bridge that is gone is told nothing more, and init hears of its end elsewhere.
            if input.write_all(lines.as_bytes()).is_err() || is_last {
                return;
            }
        }
    })?;
    Ok(bell)
}
