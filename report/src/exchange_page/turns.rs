//! A connection that is no HTTP as what was said in turn.

use exchange::Body;
use matching::conversation::{Heard, Piece, shown, turns_of};

use super::ExchangePage;
use crate::{Style, bytes, escape_line, span};

/// Most turns that are shown. A choice: what a person reads.
const TURNS_MAX: usize = 500;

/// The turns, one line for what was asked and one for what was answered, with when it was asked.
pub(super) fn turns(page: &ExchangePage<'_>, style: Style) -> String {
    let exchange = page.exchange;
    let empty = Body::default();
    let answered = exchange.response.as_ref().map_or(&empty, |response| &response.body);
    let (asked_pieces, answered_pieces) = (pieces(&exchange.request.body), pieces(answered));
    let (greeting, turns) = turns_of(
        Heard { bytes: page.request_body, pieces: &asked_pieces },
        Heard { bytes: page.response_body, pieces: &answered_pieces },
    );
    let title = format!("{} asked, {} answered", bytes(exchange.request.body.len), bytes(answered.len));
    let mut text = format!("\n{} {}\n", style.bold("Turns"), style.dim(&format!("({title})")));
    let answer = |range: std::ops::Range<usize>| {
        let said = page.response_body.get(range).unwrap_or_default();
        let len = if said.len() > 99 { format!("  ({})", bytes(said.len() as u64)) } else { String::new() };
        format!("  ← {}{}\n", escape_line(&shown(said)), style.dim(&len))
    };
    if !greeting.is_empty() {
        text += &format!("{}\n{}", style.dim("greeting"), answer(greeting));
    }
    for (at, turn) in turns.iter().take(TURNS_MAX).enumerate() {
        let after = span(turn.at_ns.saturating_sub(exchange.times.started_ns));
        text += &format!("{}\n", style.dim(&format!("turn {}, after {after}", at + 1)));
        text += &format!("  → {}\n", escape_line(&shown(&turn.asked)));
        if !turn.answer.is_empty() {
            text += &answer(turn.answer.clone());
        }
    }
    if turns.len() > TURNS_MAX {
        text += &format!("{}\n", style.dim(&format!("and {} more turns", turns.len() - TURNS_MAX)));
    }
    text
}

fn pieces(body: &Body) -> Vec<Piece> {
    let chunks = body.chunks.iter();
    chunks.filter_map(|it| Some(Piece { offset: usize::try_from(it.offset).ok()?, at_ns: it.at_ns })).collect()
}
