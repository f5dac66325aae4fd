//! One answer, as the comparison takes it.

use exchange::Head;

/// An answer as it came: its head and its body as sent, content-encoding included.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Status line and header fields.
    pub head: &'a Head,
    /// All bytes of the body that are kept, as sent.
    pub body: &'a [u8],
    /// False when the answer was cut: more was to come.
    pub complete: bool,
    /// False when bytes that came were not kept; those missing are at the end.
    pub whole: bool,
}

impl Output<'_> {
    /// True when the body may have gone on behind what is here.
    pub(crate) fn is_part(&self) -> bool {
        !(self.complete && self.whole)
    }
}
