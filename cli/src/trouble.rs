//! An error on its way to the person: what was wrong, its causes, and what to do next.

use std::{error::Error, fmt, io};

/// What ends a command with exit code 2.
#[derive(Debug)]
pub(crate) struct Trouble {
    message: String,
    causes: Vec<String>,
    help: Option<String>,
}

impl Trouble {
    /// Trouble of our own finding.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), help: None }
    }

    /// Trouble with an error and everything that caused it.
    pub(crate) fn of(error: &dyn Error) -> Self {
        let causes = std::iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string).collect();
        Self { message: error.to_string(), causes, help: None }
    }

    /// The same under another message, which becomes the first line; the former one becomes its cause.
    pub(crate) fn while_doing(mut self, message: impl Into<String>) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.message, message.into()));
        self
    }

    /// The same with advice, unless the error brought its own.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.get_or_insert_with(|| help.into());
        self
    }

    /// The same with this advice, whatever the error brought.
    pub(crate) fn advise(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Message, causes and advice, one line each, without a style.
    pub(crate) fn lines(&self) -> Vec<String> {
        let parts = std::iter::once(&self.message).chain(&self.causes).chain(&self.help);
        parts.map(|part| report::escape_line(part).into_owned()).collect()
    }

    /// Text for standard error, its parts on lines of their own, control characters made visible.
    pub(crate) fn text(&self, style: report::Style) -> String {
        let mut text = format!("{} {}\n", style.red("error:"), report::escape_lines(&self.message));
        let mut said = self.message.as_str();
        for cause in &self.causes {
            // Some libraries repeat their cause in their own message; once is enough.
            if !said.ends_with(cause.as_str()) {
                text += &format!("  {} {}\n", style.dim("because:"), report::escape_lines(cause));
            }
            said = cause;
        }
        if let Some(help) = &self.help {
            text += &format!("{} {}\n", style.green("help:"), report::escape_lines(help));
        }
        text
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text(report::Style::PLAIN).trim_end())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::of(&error).while_doing("cannot write the result")
    }
}

/// Makes [`Trouble`] of library errors that have advice of their own.
macro_rules! trouble_from {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                let trouble = Self::of(&error);
                match error.help() {
                    Some(help) => trouble.help(help),
                    None => trouble,
                }
            }
        }
    )+};
}
pub(crate) use trouble_from;
