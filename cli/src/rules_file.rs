//! Rules by hand: those of flags, and those with a reason and the day until which they hold.
//!
//! In: flags, `[[ignore]]` tables, of a file of rules or of a case's, and today's date. Out: rules, and what is said of those that have
//! expired, which are not applied. A key that nobody knows is an error with its line: a rule that is not what it seems hides
//! what it should not.

use std::path::Path;

use diff::{Reason, Rules};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    args::RuleArgs,
    messages,
    settings::{
        file::{Document, read},
        nearest::nearest,
    },
    trouble::Trouble,
};

/// The keys of a rule.
const KEYS: [&str; 4] = ["pointer", "reason", "until", "owner"];
/// The table of rules.
const TABLE: &str = "ignore";

/// What files say.
#[derive(Clone, Debug, Default)]
pub(crate) struct RulesFile {
    /// The rules that hold: pointer, and why.
    rules: Vec<(String, Reason)>,
    /// What is said of those that have expired.
    pub(crate) expired: Vec<String>,
}

/// The rules of the flags and of the files that they name, as of today. What has expired is said through `say`.
///
/// # Errors
/// Where something is no rule, or a file cannot be read.
pub(crate) fn rules(args: &RuleArgs, now_unix_ns: u64, mut say: impl FnMut(&str)) -> Result<Rules, Trouble> {
    let tolerances = args.tolerance.iter().map(|text| format!("tolerance {text}"));
    let mut rules =
        args.ignore.iter().cloned().chain(tolerances).try_fold(Rules::strict(), |rules, text| rules.ignoring(&text))?;
    for path in &args.rules {
        let file = RulesFile::read(path, now_unix_ns)?;
        file.expired.iter().for_each(|words| say(words));
        rules = file.over(rules)?;
    }
    messages::reading(rules, args)
}

impl RulesFile {
    /// Reads a file; `now_unix_ns` is the time.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or says something that is no rule.
    pub(crate) fn read(path: &Path, now_unix_ns: u64) -> Result<Self, Trouble> {
        if !path.exists() {
            return Err(Trouble::new(format!("there is no `{}`", path.display()))
                .help("`retake diff --accept POINTER` writes one"));
        }
        let document = read(Some(path))?.expect("a file that is named is read, or is an error");
        Self::parse(&document, &report::day(now_unix_ns))
    }

    /// Reads the text of what is to be a file.
    ///
    /// # Errors
    /// As [`RulesFile::read`].
    pub(crate) fn of_text(path: &Path, text: &str, now_unix_ns: u64) -> Result<Self, Trouble> {
        Self::parse(&Document::new(&path.display().to_string(), text), &report::day(now_unix_ns))
    }

    /// These rules after those.
    ///
    /// # Errors
    /// Never: each rule was read before.
    pub(crate) fn over(self, rules: Rules) -> Result<Rules, Trouble> {
        self.rules
            .into_iter()
            .try_fold(rules, |rules, (pointer, reason)| rules.ignoring_because(&pointer, reason).map_err(Trouble::from))
    }

    /// Of a file's text; `today` is `YYYY-MM-DD`.
    fn parse(document: &Document, today: &str) -> Result<Self, Trouble> {
        let parsed = DeTable::parse(document.text()).map_err(|error| document.no_toml(&error))?;
        let mut file = Self::default();
        for (key, value) in parsed.get_ref().iter() {
            if key.get_ref() != TABLE {
                let help = "a rule is a table `[[ignore]]` with `pointer`, `reason` and `until`";
                return Err(unknown(document, key, &[TABLE], help));
            }
            let DeValue::Array(tables) = value.get_ref() else {
                let origin = document.origin(key.span().start);
                return Err(Trouble::new(format!("{origin}: `{TABLE}` is no list of tables"))
                    .help("write `[[ignore]]`, with two brackets on either side"));
            };
            tables.iter().try_for_each(|table| file.take(document, table, today))?;
        }
        Ok(file)
    }

    /// Takes one rule of a document, a table; `today` is `YYYY-MM-DD`.
    ///
    /// # Errors
    /// When it is no rule, lacks a reason or a last day, or has a key that nobody knows.
    pub(crate) fn take(
        &mut self,
        document: &Document,
        table: &Spanned<DeValue<'_>>,
        today: &str,
    ) -> Result<(), Trouble> {
        let line = document.origin(table.span().start);
        let DeValue::Table(keys) = table.get_ref() else {
            return Err(Trouble::new(format!("{line}: a rule is a table")).help("write `[[ignore]]`"));
        };
        for (key, value) in keys.iter() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                return Err(unknown(document, key, &KEYS, "a rule has `pointer`, `reason`, `until` and `owner`"));
            }
            if value.get_ref().as_str().is_none() && !matches!(value.get_ref(), DeValue::Datetime(_)) {
                let at = document.origin(value.span().start);
                return Err(Trouble::new(format!("{at}: `{}` is no text", key.get_ref())).help("put it into quotes"));
            }
        }
        let text = |name: &str| {
            keys.get(name).map(|value| match value.get_ref() {
                DeValue::Datetime(date) => date.to_string(),
                other => other.as_str().unwrap_or_default().to_owned(),
            })
        };
        let needed = |name: &str| {
            text(name).filter(|text| !text.trim().is_empty()).ok_or_else(|| {
                Trouble::new(format!("{line}: the rule has no `{name}`"))
                    .help("`pointer`, `reason` and `until` are needed: nobody removes a rule that gives no reason and never ends")
            })
        };
        let (pointer, reason, until) = (needed("pointer")?, needed("reason")?, needed("until")?);
        if !is_day(&until) {
            return Err(Trouble::new(format!("{line}: `until = \"{until}\"` is no day"))
                .help("write it as in `until = \"2027-03-31\"`"));
        }
        // A rule that cannot be read is an error, expired or not.
        Rules::strict().ignoring(&pointer).map_err(|error| Trouble::from(error).while_doing(line.to_string()))?;
        if until.as_str() < today {
            self.expired
                .push(format!("{line}: the rule for `{pointer}` ended on {until} and is not applied ({reason})"));
        } else {
            self.rules.push((pointer, Reason { reason, until: Some(until), owner: text("owner") }));
        }
        Ok(())
    }
}

fn unknown(document: &Document, key: &Spanned<std::borrow::Cow<'_, str>>, known: &[&str], help: &str) -> Trouble {
    let trouble = Trouble::new(format!("{}: there is no `{}`", document.origin(key.span().start), key.get_ref()));
    match nearest(key.get_ref(), known.iter().copied()) {
        Some(near) => trouble.help(format!("did you mean `{near}`?")),
        None => trouble.help(help),
    }
}

/// True for `YYYY-MM-DD` with a month and a day that there are.
pub(crate) fn is_day(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|part| part.parse::<u32>().ok())
    };
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-") && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
[[ignore]]
pointer = "/usage/total_tokens"
reason = "counted otherwise since the tokenizer's update"
until = "2027-03-31"
owner = "ann"

[[ignore]]
pointer = "POST /tickets /id"
reason = "old"
until = 2026-01-31
"#;

    #[test]
    fn a_rule_holds_until_its_last_day_and_is_then_told_and_not_applied() {
        let read = |today: &str| RulesFile::parse(&Document::new("rules.toml", RULES), today).unwrap();
        let pointers = |file: &RulesFile| file.rules.iter().map(|(pointer, _)| pointer.clone()).collect::<Vec<_>>();
        let file = read("2027-03-31");
        assert_eq!(pointers(&file), ["/usage/total_tokens"]);
        assert_eq!(
            file.expired,
            ["`rules.toml`, line 8: the rule for `POST /tickets /id` ended on 2026-01-31 and is not applied (old)"]
        );
        assert_eq!(read("2026-01-31").expired.len(), 0);
        assert_eq!(pointers(&read("2027-04-01")).len(), 0);
        assert_eq!(read("2026-01-31").over(Rules::strict()).unwrap().texts().count(), 2);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_line_and_what_to_write() {
        let whole = "[[ignore]]\npointer = \"/a\"\nreason = \"r\"\nuntil = \"2027-01-01\"\n";
        for (text, words) in [
            (
                "[[ignore]]\npointer = \"/a\"\nresaon = \"r\"",
                "line 3: there is no `resaon`\nhelp: did you mean `reason`?",
            ),
            ("[[ignore]]\npointer = \"/a\"\nreason = \"r\"", "line 1: the rule has no `until`"),
            ("[[ignore]]\npointer = 7", "line 2: `pointer` is no text"),
            (&*whole.replace("/a", "a b").leak(), "line 1"),
            (&*whole.replace("2027-01-01", "2027-02-29").leak(), "is no day"),
            (&*whole.replace("[[ignore]]", "[[ignored]]").leak(), "line 1: there is no `ignored`"),
            (&*whole.replace("[[ignore]]", "[ignore]").leak(), "is no list of tables"),
            ("ignore = [3]", "line 1: a rule is a table"),
            ("[[ignore", "line 1"),
        ] {
            let trouble = RulesFile::parse(&Document::new("rules.toml", text), "2026-11-27").unwrap_err().to_string();
            assert!(trouble.contains(words), "{text}: {trouble}");
        }
        assert!(RulesFile::parse(&Document::new("rules.toml", ""), "2026-11-27").unwrap().rules.is_empty());
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert!(is_day("2028-02-29") && is_day("2026-12-31"));
        assert!(
            ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "2026-11-31", "soon", "2026-11-27T00"]
                .iter()
                .all(|day| !is_day(day))
        );
    }
}
