//! How deterministic a replay is asked to be, as the replayer has it.

use replayer::{Order, determinism};

use crate::{
    args::{Alike, ReplayArgs, ReplayOrder},
    trouble::Trouble,
};

/// The SOURCEs: what stands behind `--require-determinism` and is no level is one of them.
pub(super) fn sources(args: &ReplayArgs) -> Result<Vec<String>, Trouble> {
    let first = args.require_determinism.iter().filter(|text| !is_level(text) && *text != AS_ASKED);
    let sources: Vec<String> = first.chain(&args.sources).cloned().collect();
    if sources.is_empty() {
        return Err(Trouble::new("there is nothing to replay").help("name a SOURCE: a bundle, a store, a run or an id"));
    }
    Ok(sources)
}

/// What is asked for.
pub(super) fn asked(args: &ReplayArgs) -> Result<determinism::Asked, Trouble> {
    let required = match args.require_determinism.as_deref() {
        None => None,
        Some(text) if is_level(text) => Some(level(text)?),
        Some(_) => Some(args.determinism),
    };
    if let Some(required) = required.filter(|required| *required > args.determinism) {
        return Err(Trouble::new(format!(
            "`--require-determinism {required}` is above `--determinism {}`: it would never be reached",
            args.determinism
        ))
        .help(format!("say `--determinism {required}` too")));
    }
    Ok(determinism::Asked {
        level: args.determinism,
        required,
        without: args.without.iter().copied().collect(),
        with: args.with.iter().copied().collect(),
        alike: match args.alike {
            Alike::Production => determinism::Alike::Production,
            Alike::Itself => determinism::Alike::Itself,
        },
        seed: args.random,
    })
}

pub(super) fn order(order: ReplayOrder) -> Order {
    match order {
        ReplayOrder::Recorded => Order::Recorded,
        ReplayOrder::Serial => Order::Serial,
    }
}

/// What `--require-determinism` is without a value.
const AS_ASKED: &str = "asked";

fn is_level(text: &str) -> bool {
    text.parse::<u8>().is_ok()
}

fn level(text: &str) -> Result<u8, Trouble> {
    crate::args::level(text).map_err(|why| Trouble::new(format!("`--require-determinism {text}`: {why}")))
}
