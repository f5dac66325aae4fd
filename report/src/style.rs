//! Colours, as a switch that is passed in: this crate never looks at a terminal.

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// Text alone.
    pub const PLAIN: Self = Self { coloured: false };
    /// With ANSI colours (ECMA-48 SGR sequences).
    pub const COLOURED: Self = Self { coloured: true };

    /// True when colours are on.
    pub fn is_coloured(self) -> bool {
        self.coloured
    }

    /// Failure, removal.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Success, addition.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What of something removed makes the difference.
    pub fn red_mark(self, text: &str) -> String {
        self.paint("7;31", text)
    }

    /// What of something added makes the difference.
    pub fn green_mark(self, text: &str) -> String {
        self.paint("7;32", text)
    }

    /// What deserves a look.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Names of things: ids, pointers.
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Headings.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What is beside the point.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
