//! `retake-init __init …`: what `retake __init …` does, standing alone for tests.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    if let Some(plant) = env::var("RETAKE_INIT_PLANT").ok().as_deref().and_then(init::Plant::named) {
        plant.plant();
    }
    match arguments.split_first() {
        Some((word, rest)) if word == init::WORD => init::main(rest),
        _ => {
            eprintln!("retake-init: this is the first process of a replay's container; it is not for typing");
            ExitCode::from(2)
        }
    }
}
