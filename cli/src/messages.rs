//! Descriptors of protobuf messages, so that their fields have names.
//!
//! In: the arguments. Out: rules that read messages with them.

use std::{fs::File, io::Read};

use content::protobuf::Schema;
use diff::Rules;

use crate::{args::RuleArgs, settings::nearest::nearest, trouble::Trouble};

/// Largest file of descriptors, in bytes. A choice: those of all of Google's public services are a tenth of it.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Names of messages that an error lists.
const NAMES_LEN_MAX: usize = 5;

/// The rules, with the descriptors that were given.
///
/// # Errors
/// Where the file cannot be read, is none of descriptors, or does not have the message.
pub(crate) fn reading(rules: Rules, args: &RuleArgs) -> Result<Rules, Trouble> {
    let Some(path) = &args.descriptors else { return Ok(rules) };
    let name = path.display();
    let cannot = |error: std::io::Error| Trouble::of(&error).while_doing(format!("cannot read `{name}`"));
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Trouble::new(format!("`{name}` is longer than {}", report::bytes(FILE_BYTES_MAX))));
    }
    let schema = Schema::read(&bytes).map_err(|error| {
        let trouble = Trouble::of(&error).while_doing(format!("cannot read `{name}`"));
        error.help().into_iter().fold(trouble, Trouble::help)
    })?;
    if let Some(message) = args.message.as_deref().filter(|message| !schema.has_message(message)) {
        let trouble = Trouble::new(format!("`{name}` describes no message `{message}`"));
        return Err(trouble.help(match nearest(message, schema.message_names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let names: Vec<&str> = schema.message_names().take(NAMES_LEN_MAX).collect();
                format!("a message has its package before its name: `{}`, …", names.join("`, `"))
            }
        }));
    }
    Ok(rules.reading_messages(schema, args.message.clone()))
}
