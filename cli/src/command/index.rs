//! `retake index`: the index of each file, made again from its records.

use bundle::IndexState;

use crate::{
    args::IndexArgs,
    console::{Console, Unit},
    exit::Exit,
    source::check_exists,
    trouble::Trouble,
};

/// Makes the indexes of a bundle or store again, and mends those that are damaged.
pub(crate) fn index(args: &IndexArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let path = args.path.as_ref().unwrap_or(&args.store.store);
    check_exists(path)?;
    let progress = console.progress("indexing", Unit::Bytes);
    let files = bundle::reindex(path, &mut |done, total| progress.show(done, total))?;
    drop(progress);
    let count = |state| files.iter().filter(|file| file.state == state).count();
    let (held, mended, lost) = (count(IndexState::Held), count(IndexState::Mended), count(IndexState::Lost));
    let text = if as_json {
        let of_file = |file: &bundle::Reindexed| {
            let path = file.path.display().to_string();
            serde_json::json!({ "path": path, "index": word(file.state) })
        };
        let files: Vec<_> = files.iter().map(of_file).collect();
        report::json::document("indexes", &serde_json::json!({ "files": files }))
    } else {
        let mut text = String::new();
        for file in files.iter().filter(|file| matches!(file.state, IndexState::Mended | IndexState::Lost)) {
            let path = file.path.display().to_string();
            text += &format!("{}: {}\n", report::escape_line(&path), said(file.state));
        }
        text + &format!("{held} held, {mended} mended, {lost} lost, {} without one\n", count(IndexState::None))
    };
    if lost > 0 && !as_json {
        console.note("`retake verify` names what is damaged, and `--salvage OUT` saves all that is whole");
    }
    let exit = if lost > 0 { Exit::Trouble } else { Exit::Passed };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

fn word(state: IndexState) -> &'static str {
    match state {
        IndexState::Held => "held",
        IndexState::Mended => "mended",
        IndexState::Lost => "lost",
        IndexState::None => "none",
    }
}

fn said(state: IndexState) -> &'static str {
    match state {
        IndexState::Held => "its index is what its records give",
        IndexState::Mended => "its index was damaged, and is again what was sealed",
        IndexState::Lost => {
            "its records give another index than was sealed: they are damaged, or another release wrote it"
        }
        IndexState::None => "it is not sealed, and has no index yet",
    }
}
