//! `retake verify`: every hash and frame; and all that is whole of what is not.

use std::path::Path;

use bundle::Salvaged;
use report::{salvage_page, verification_json, verification_page};

use crate::{
    args::VerifyArgs,
    console::{Console, Unit},
    exit::Exit,
    source::check_exists,
    trouble::Trouble,
};

/// Verifies a bundle, a store or a run, names every damage with what it costs, and saves what is whole where that is wanted.
pub(crate) fn verify(args: &VerifyArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let path = args.path.as_ref().unwrap_or(&args.store.store);
    check_exists(path)?;
    let progress = console.progress("verifying", Unit::Bytes);
    let report = bundle::verify(path, &mut |done, total| progress.show(done, total))?;
    drop(progress);
    let salvaged = args.salvage.as_ref().map(|out| salvage(path, out, console)).transpose()?;
    let name = path.display().to_string();
    let text = if as_json {
        verification_json(&name, &report, salvaged.as_ref())
    } else {
        let saved = salvaged.as_ref().map(|salvaged| salvage_page(salvaged, console.out));
        verification_page(&name, &report, console.out) + &saved.unwrap_or_default()
    };
    let exit = if report.damage.is_empty() { Exit::Passed } else { Exit::Trouble };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

fn salvage(path: &Path, out: &Path, console: &Console) -> Result<Salvaged, Trouble> {
    let progress = console.progress("salvaging", Unit::Exchanges);
    Ok(bundle::salvage(path, out, &mut |done, total| progress.show(done, total))?)
}
