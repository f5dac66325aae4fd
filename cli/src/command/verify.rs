//! `retake verify`: every hash and frame.

use report::{verification_json, verification_page};

use crate::{
    args::VerifyArgs,
    console::{Console, Unit},
    exit::Exit,
    source::check_exists,
    trouble::Trouble,
};

/// Verifies a bundle, a store or a run, and names every damage with what it costs.
pub(crate) fn verify(args: &VerifyArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let path = args.path.as_ref().unwrap_or(&args.store.store);
    check_exists(path)?;
    let progress = console.progress("verifying", Unit::Bytes);
    let report = bundle::verify(path, &mut |done, total| progress.show(done, total))?;
    drop(progress);
    let name = path.display().to_string();
    let text = if as_json { verification_json(&name, &report) } else { verification_page(&name, &report, console.out) };
    let exit = if report.damage.is_empty() { Exit::Passed } else { Exit::Trouble };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}
