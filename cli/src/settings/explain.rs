//! `--print-settings`: each flag of a command, its value, and which place won.

use clap::{ArgMatches, Command, parser::ValueSource};
use serde::Serialize;

use super::layer::{Layer, flags};

/// One setting and where its value comes from.
#[derive(Debug, Serialize)]
struct Explained {
    key: String,
    values: Vec<String>,
    origin: String,
}

/// All settings of the command that was named, as text or JSON.
pub(crate) fn explain(plain: &Command, matches: &ArgMatches, layer: &Layer, as_json: bool) -> String {
    let Some((name, inner)) = matches.subcommand() else { return String::new() };
    let explained: Vec<Explained> = flags(plain, name)
        .map(|flag| {
            let id = flag.arg.get_id().as_str();
            Explained { key: flag.key().to_owned(), values: values(inner, id), origin: origin(inner, id, layer) }
        })
        .collect();
    if as_json {
        return report::json::document("settings", &serde_json::json!({ "command": name, "settings": explained }));
    }
    let mut table = report::Table::new(&["SETTING", "VALUE", "FROM"]);
    for setting in explained {
        table.row([setting.key, setting.values.join(", "), setting.origin]);
    }
    table.to_text(report::Style::PLAIN)
}

fn values(matches: &ArgMatches, id: &str) -> Vec<String> {
    let raw = matches.get_raw(id).into_iter().flatten();
    raw.map(|value| value.to_string_lossy().into_owned()).collect()
}

fn origin(matches: &ArgMatches, id: &str, layer: &Layer) -> String {
    match (matches.value_source(id), layer.of(id)) {
        (Some(ValueSource::CommandLine), _) => "flag".to_owned(),
        (_, Some(setting)) => setting.origin.to_string(),
        (Some(_), None) => "default".to_owned(),
        (None, None) => "not set".to_owned(),
    }
}
