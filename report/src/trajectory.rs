//! The calls of a replayed exchange against production's, for a person: a line for each.
//!
//! In: a trajectory. Out: text. Values are cut by whoever found them; control characters are shown.

use diff::{StepKind, Trajectory, TrajectoryStep};

use crate::{Style, escape_line};

/// A title, and a line for each call: what became of it, its number in production and here, what was called.
pub(crate) fn trajectory_lines(trajectory: &Trajectory, style: Style) -> String {
    let counts = format!("({} in production, {} here)", trajectory.recorded, trajectory.replayed);
    let mut text = format!("\n{} {}\n", style.bold("Calls"), style.dim(&counts));
    trajectory.steps.iter().for_each(|step| text += &step_lines(step, style));
    match trajectory.steps_more {
        0 => text,
        more => text + &format!("  and {more} more\n"),
    }
}

fn step_lines(step: &TrajectoryStep, style: Style) -> String {
    let word = format!("{:<7}", step.step.word());
    let (sign, word) = match step.step {
        StepKind::Same => (" ", style.dim(&word)),
        StepKind::Moved => (">", style.yellow(&word)),
        StepKind::Changed => ("~", style.red(&word)),
        StepKind::Missing => ("-", style.red(&word)),
        StepKind::Extra => ("+", style.red(&word)),
    };
    let number = |at: Option<u64>| at.map_or_else(|| "–".to_owned(), |at| (at + 1).to_string());
    let (recorded, replayed) = (number(step.recorded_at), number(step.replayed_at));
    let mut text = format!("{sign} {word} {recorded:>3} → {replayed:>3}  {}\n", escape_line(&step.title));
    for words in &step.arguments {
        text += &format!("                       {}\n", escape_line(words));
    }
    text
}

#[cfg(test)]
mod tests {
    use diff::{NearCall, RecordedCall, ReplayedCall};
    use exchange::Id;

    use super::*;

    #[test]
    fn each_call_is_a_line_with_its_place_on_either_side_and_nothing_can_drive_a_terminal() {
        let recorded = |number: u8, title: &str| RecordedCall { id: Id([number; 16]), title: title.to_owned() };
        let recorded =
            [recorded(1, "llm POST /v1/chat"), recorded(2, "search GET /?q=a"), recorded(3, "store POST /notes")];
        let replayed = |title: &str, repeats: Option<u8>, nearest: Option<u8>| ReplayedCall {
            title: title.to_owned(),
            repeats: repeats.map(|number| Id([number; 16])),
            near: Vec::from_iter(nearest.map(|number| NearCall {
                id: Id([number; 16]),
                distance: [0, 1, 0],
                arguments: vec!["/q: recorded \"a\", asked \"b\"".to_owned()],
            })),
        };
        let replayed = [
            replayed("llm POST /v1/chat", Some(1), None),
            replayed("search GET /?q=b\x1b[2J", None, Some(2)),
            replayed("mail POST /send", None, None),
        ];
        insta::assert_snapshot!(trajectory_lines(&Trajectory::of(&recorded, &replayed), Style::PLAIN).trim_start(), @r#"
        Calls (3 in production, 3 here)
          same      1 →   1  llm POST /v1/chat
        ~ changed   2 →   2  search GET /?q=b\x1b[2J
                               /q: recorded "a", asked "b"
        + extra     – →   3  mail POST /send
        - missing   3 →   –  store POST /notes
        "#);
    }
}
