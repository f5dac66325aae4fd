//! The way to the bridge, and through it to the host: orders come, answers and what was reached go.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use wire::bridge::{CONTROL_LINE_MAX, Order, Reached, answer_line};

use crate::system::waiting::{self, monotonic_ns};

/// The way, or none where there is no bridge.
#[derive(Debug, Default)]
pub(super) struct Control {
    stream: Option<UnixStream>,
    unread: Vec<u8>,
    told: Vec<String>,
    told_at_ns: i64,
}

impl Control {
    /// Over the descriptor that init has left open for it.
    pub(super) fn open(number: Option<i32>) -> std::io::Result<Self> {
        let stream = number.map(waiting::inherited).transpose()?.map(UnixStream::from);
        if let Some(stream) = &stream {
            stream.set_nonblocking(true)?;
        }
        Ok(Self { stream, ..Self::default() })
    }

    /// What becomes readable when there are orders.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(|stream| stream.as_fd())
    }

    /// How long may be waited before something is to be told.
    pub(super) fn patience(&self, every: Duration) -> Option<Duration> {
        self.stream.as_ref().map(|_| every)
    }

    /// The orders that have come.
    pub(super) fn orders(&mut self) -> Vec<(u64, Order)> {
        let mut piece = [0; CONTROL_LINE_MAX];
        while let Some(stream) = &mut self.stream {
            match stream.read(&mut piece) {
                Ok(len) if len > 0 => self.unread.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // The bridge is gone, and init sees to the rest.
                Ok(_) | Err(_) => self.stream = None,
            }
        }
        let mut orders = Vec::new();
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            // It is our own host that orders, in this release's words; what it does not answer fails there in time.
            orders.extend(std::str::from_utf8(&line[..end]).ok().and_then(Order::read));
        }
        orders
    }

    pub(super) fn answer(&mut self, number: u64, answer: &Result<(), String>) {
        self.say(&answer_line(number, answer));
    }

    /// Tells what was reached, as far as that is news.
    pub(super) fn tell(&mut self, reached: &Reached) {
        let lines = reached.lines();
        for line in lines.iter().filter(|line| !self.told.contains(line)).cloned().collect::<Vec<_>>() {
            self.say(&line);
        }
        self.told = lines;
        self.told_at_ns = monotonic_ns();
    }

    /// The same, unless it was just told. True when so much time has passed.
    pub(super) fn tell_now_and_then(&mut self, reached: &Reached, every: Duration) -> bool {
        let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
        let is_due = self.stream.is_some() && monotonic_ns().saturating_sub(self.told_at_ns) >= every;
        if is_due {
            self.tell(reached);
        }
        is_due
    }

    /// A line, unless the bridge does not read, which has more room than we have to say.
    fn say(&mut self, line: &str) {
        if let Some(stream) = &mut self.stream {
            drop(stream.write_all(format!("{line}\n").as_bytes()));
        }
    }
}
