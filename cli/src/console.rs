//! The person's side: results to stdout, progress and complaints to stderr, colours only where they are wanted.

use std::io::{self, BufWriter, IsTerminal, Write};

use report::Style;

use crate::{args::When, exit::Exit, trouble::Trouble};

/// Where a command writes, and how.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    /// Style of what goes to stdout.
    pub(crate) out: Style,
    /// Style of what goes to stderr.
    pub(crate) err: Style,
    /// True when stdout is a terminal: bodies must not be able to drive it.
    pub(crate) out_is_terminal: bool,
    err_is_terminal: bool,
}

impl Default for Console {
    fn default() -> Self {
        Self::new(When::Auto)
    }
}

impl Console {
    /// Looks at the terminal, `NO_COLOR` and `TERM`.
    pub(crate) fn new(color: When) -> Self {
        let (out_is_terminal, err_is_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let style = |is_terminal: bool| match color {
            When::Always => Style::COLOURED,
            When::Auto if is_terminal && colours_are_welcome() => Style::COLOURED,
            When::Auto | When::Never => Style::PLAIN,
        };
        Self { out: style(out_is_terminal), err: style(err_is_terminal), out_is_terminal, err_is_terminal }
    }

    /// Writes a result to stdout and gives back `exit`. A reader that went away (`retake ls | head`) is no trouble.
    pub(crate) fn write(
        &self,
        exit: Exit,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Exit, Trouble> {
        let mut out = BufWriter::new(io::stdout().lock());
        let written = write(&mut out).and_then(|()| out.flush());
        // What is left in the buffer after a failed write would be tried again on drop.
        drop(out.into_parts());
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(exit),
        }
    }

    /// Writes `text` to stdout and succeeds.
    pub(crate) fn finish(&self, text: String) -> Exit {
        self.write(Exit::Passed, |out| out.write_all(text.as_bytes())).unwrap_or_else(|trouble| self.complain(&trouble))
    }

    /// Says on stderr what went wrong.
    pub(crate) fn complain(&self, trouble: &Trouble) -> Exit {
        self.say(&trouble.text(self.err));
        Exit::Trouble
    }

    /// A line on stdout, as it is, at once.
    pub(crate) fn tell(&self, line: &str) {
        // A reader that went away misses the rest.
        drop(writeln!(io::stdout().lock(), "{line}"));
    }

    /// A warning: the command goes on.
    pub(crate) fn warn(&self, text: &str) {
        self.say(&format!("{} {}\n", self.err.yellow("warning:"), report::escape_lines(text)));
    }

    /// A line of news on stderr, as it is.
    pub(crate) fn note(&self, text: &str) {
        self.say(&format!("{}\n", report::escape_lines(text)));
    }

    /// A progress bar on stderr, or none where nobody is watching.
    pub(crate) fn progress(&self, label: &'static str, unit: Unit) -> Progress {
        Progress { bar: self.err_is_terminal.then(|| bar(label, unit)) }
    }

    fn say(&self, text: &str) {
        // A closed stderr leaves nobody to tell.
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// Bytes of files.
    Bytes,
    /// Exchanges.
    Exchanges,
    /// Repeats.
    Repeats,
    /// Cases of a suite.
    Cases,
}

/// A progress bar that may not be there.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// `done` of `total`.
    pub(crate) fn show(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    /// Repeat number `repeat`, from 0, of `repeats` is under way, and `failed` before it failed.
    pub(crate) fn show_repeats(&self, repeat: u32, repeats: u32, failed: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(if failed > 0 { format!("replaying, {failed} failed") } else { "replaying".to_owned() });
        }
        self.show(repeat.into(), repeats.into());
    }
}

impl Progress {
    /// Writes without the bar in the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(label: &'static str, unit: Unit) -> indicatif::ProgressBar {
    let template = match unit {
        Unit::Bytes => "{msg} [{bar:32}] {bytes} of {total_bytes}",
        Unit::Exchanges => "{msg} [{bar:32}] {pos} of {len} exchanges",
        Unit::Cases => "{msg} [{bar:32}] {pos} of {len} cases",
        Unit::Repeats => "{msg} [{bar:32}] {pos} of {len} repeats",
    };
    let style = indicatif::ProgressStyle::with_template(template).expect("the templates are constants that parse");
    indicatif::ProgressBar::new(0).with_style(style.progress_chars("=> ")).with_message(label)
}

/// `NO_COLOR` (<https://no-color.org>: present and not empty) and terminals that cannot show any.
fn colours_are_welcome() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
