//! What `verify` found, with each damage on a line of its own.

use bundle::{Damage, Salvaged, Sealed, TornTail, VerifyReport};
use serde::Serialize;
use serde_json::json;

use crate::{Style, bytes, escape_line, json as document};

/// Ids named for one damage; all are in the JSON.
const COSTS_SHOWN_MAX: usize = 5;

/// Who signed a file: one of those that it should be signed by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// The name that was given with the key.
    pub name: Option<String>,
    /// The key: its kind and its fingerprint.
    pub key: String,
}

impl SignedBy {
    /// A line for a person.
    pub fn line(&self, style: Style) -> String {
        let by = match &self.name {
            Some(name) => format!("{name} ({})", self.key),
            None => self.key.clone(),
        };
        format!("{} {}\n", style.green("signed by"), escape_line(&by))
    }
}

/// The report for a person; the result is the last line.
pub fn verification_page(name: &str, report: &VerifyReport, style: Style) -> String {
    let mut text = String::new();
    for damage in &report.damage {
        text += &damage_lines(damage, style);
    }
    for torn in &report.torn {
        text += &format!("{} {}\n", style.yellow("torn tail:"), escape_line(&torn.to_string()));
    }
    let counts = format!(
        "{} exchanges, {} pieces, {} in {} {}",
        report.exchanges,
        report.pieces,
        bytes(report.bytes),
        report.files,
        if report.files == 1 { "file" } else { "files" },
    );
    if let Some(digest) = &report.digest {
        text += &format!("{} {digest}\n", style.dim("digest"));
    }
    let name = escape_line(name);
    text + &match report.damage.len() {
        0 => format!("{} `{name}`: {counts}\n", style.green("whole")),
        count => format!("{} `{name}`: {count} {}; {counts} can be read\n", style.red("damaged"), places(count)),
    }
}

/// What a salvage came to, for a person; each exchange that was left out with what does not hold.
pub fn salvage_page(salvaged: &Salvaged, style: Style) -> String {
    let left = salvaged.left_out.iter();
    let mut text: String =
        left.map(|it| format!("{} {}: {}\n", style.red("left out:"), it.id.short(), escape_line(&it.why))).collect();
    let exchanges = count_of(salvaged.left_out.len() as u64, "exchange");
    let left = format!("left out: {exchanges}, {}", count_of(salvaged.records_left_out, "other record"));
    text += &match &salvaged.sealed {
        None => format!("{} nothing in it is whole, nothing was written\n", style.red("not salvaged:")),
        Some(sealed) => format!(
            "{} `{}`: {}, {}, digest {}; {left}\n",
            style.green("salvaged"),
            escape_line(&sealed.path.display().to_string()),
            count_of(sealed.counts.exchanges, "exchange"),
            bytes(sealed.len),
            sealed.digest
        ),
    };
    text
}

fn count_of(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn salvage_value(salvaged: &Salvaged) -> serde_json::Value {
    let sealed = |sealed: &Sealed| {
        json!({
            "path": sealed.path.to_string_lossy(),
            "digest": sealed.digest,
            "bytes": sealed.len,
            "exchanges": sealed.counts.exchanges,
        })
    };
    json!({
        "bundle": salvaged.sealed.as_ref().map(sealed),
        "left_out": salvaged.left_out.iter().map(|it| json!({ "id": it.id, "why": it.why })).collect::<Vec<_>>(),
        "records_left_out": salvaged.records_left_out,
    })
}

/// The report as a document of schema `retake.verification`; `signed_by` is `null` where no signature was asked for, `salvaged` is `null` where nothing was to be salvaged.
pub fn verification_json(
    name: &str,
    report: &VerifyReport,
    signed_by: Option<&SignedBy>,
    salvaged: Option<&Salvaged>,
) -> String {
    let damage = |damage: &Damage| {
        json!({
            "path": damage.path.to_string_lossy(),
            "from": damage.range.start,
            "to": damage.range.end,
            "what": damage.what,
            "costs": damage.costs,
        })
    };
    let torn = |tail: &TornTail| json!({ "path": tail.path.to_string_lossy(), "offset": tail.offset, "len": tail.len });
    document::document(
        "verification",
        &json!({
            "path": name,
            "whole": report.damage.is_empty(),
            "digest": report.digest,
            "files": report.files,
            "exchanges": report.exchanges,
            "pieces": report.pieces,
            "bytes": report.bytes,
            "damage": report.damage.iter().map(damage).collect::<Vec<_>>(),
            "torn": report.torn.iter().map(torn).collect::<Vec<_>>(),
            "signed_by": signed_by,
            "salvaged": salvaged.map(salvage_value),
        }),
    )
}

fn damage_lines(damage: &Damage, style: Style) -> String {
    let place = format!("`{}` bytes {}..{}", damage.path.display(), damage.range.start, damage.range.end);
    let mut text = format!("{} {}: {}\n", style.red("damaged:"), escape_line(&place), escape_line(&damage.what));
    let shown: Vec<String> = damage.costs.iter().take(COSTS_SHOWN_MAX).map(exchange::Id::short).collect();
    match damage.costs.len().saturating_sub(COSTS_SHOWN_MAX) {
        0 if shown.is_empty() => {}
        0 => text += &format!("  costs {}\n", shown.join(", ")),
        more => text += &format!("  costs {} and {more} more\n", shown.join(", ")),
    }
    text
}

fn places(count: usize) -> &'static str {
    if count == 1 { "place" } else { "places" }
}

#[cfg(test)]
mod tests {
    use bundle::LeftOut;
    use exchange::{Digest, Id};

    use super::*;

    #[test]
    fn damage_names_file_bytes_and_what_it_costs() {
        let damage = Damage {
            path: "case.retake".into(),
            range: 512..4096,
            what: "hash differs".to_owned(),
            costs: vec![Id([1; 16]); 7],
        };
        let report = VerifyReport {
            files: 1,
            exchanges: 3,
            pieces: 9,
            bytes: 70_000,
            damage: vec![damage],
            ..VerifyReport::default()
        };
        insta::assert_snapshot!(verification_page("case.retake", &report, Style::PLAIN), @r"
        damaged: `case.retake` bytes 512..4096: hash differs
          costs 010101010101, 010101010101, 010101010101, 010101010101, 010101010101 and 2 more
        damaged `case.retake`: 1 place; 3 exchanges, 9 pieces, 68.3 KiB in 1 file can be read
        ");
    }

    #[test]
    fn a_salvage_says_what_it_saved_and_names_what_it_left_out() {
        let why = "there is no blob 7".to_owned();
        let left_out = vec![LeftOut { id: Id([1; 16]), why }];
        let nothing = Salvaged { left_out, records_left_out: 2, sealed: None };
        insta::assert_snapshot!(salvage_page(&nothing, Style::PLAIN), @r"
        left out: 010101010101: there is no blob 7
        not salvaged: nothing in it is whole, nothing was written
        ");
        let counts = bundle::Counts { exchanges: 3, ..bundle::Counts::default() };
        let sealed = Some(Sealed { path: "saved.retake".into(), digest: Digest([7; 32]), len: 2048, counts });
        insta::assert_snapshot!(salvage_page(&Salvaged { sealed, ..nothing }, Style::PLAIN), @r"
        left out: 010101010101: there is no blob 7
        salvaged `saved.retake`: 3 exchanges, 2.0 KiB, digest 0707070707070707070707070707070707070707070707070707070707070707; left out: 1 exchange, 2 other records
        ");
    }

    #[test]
    fn a_torn_tail_is_named_and_the_store_is_whole() {
        let torn = vec![TornTail { path: "s/1.retake".into(), offset: 100, len: 7 }];
        let report = VerifyReport { digest: Some(Digest([7; 32])), files: 2, torn, ..VerifyReport::default() };
        insta::assert_snapshot!(verification_page(".retake", &report, Style::PLAIN), @r"
        torn tail: `s/1.retake` from byte 100: 7 bytes of a block that was not finished
        digest 0707070707070707070707070707070707070707070707070707070707070707
        whole `.retake`: 0 exchanges, 0 pieces, 0 B in 2 files
        ");
        let read: serde_json::Value = serde_json::from_str(&verification_json(".retake", &report, None, None)).unwrap();
        assert_eq!((&read["whole"], &read["torn"][0]["offset"]), (&json!(true), &json!(100)));
    }
}
