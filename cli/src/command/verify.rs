//! `retake verify`: every hash and frame, and the signature where one is wanted; and all that is whole of what is not.

use std::{fs::File, path::Path};

use bundle::{Archive, Salvaged, VerifyReport};
use report::{SignedBy, salvage_page, verification_json, verification_page};
use sealing::{Signature, Signers};

use crate::{
    args::VerifyArgs,
    console::{Console, Unit},
    exit::Exit,
    sealed,
    source::{check_exists, tell_scrubbed},
    trouble::Trouble,
};

/// Verifies a bundle, a store or a run, names every damage with what it costs, and saves what is whole where that is wanted.
/// A signature is looked at first: nothing of a file is read that is not from whom it should be.
pub(crate) fn verify(args: &VerifyArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let path = args.path.as_ref().unwrap_or(&args.store.store);
    check_exists(path)?;
    let signed = if args.signed_by.is_empty() { None } else { Some(signed(path, args)?) };
    let encrypted = sealed::open(path)?;
    if encrypted.is_some() && args.salvage.is_some() {
        return Err(Trouble::new(format!("`{}` is encrypted, and nothing is saved from within", path.display())).help(
            "decrypt it with `age -d -i KEYFILE -o case.retake FILE`; of a damaged encrypted file nothing can be saved",
        ));
    }
    let is_plain = encrypted.is_none();
    let report = proved(path, args, encrypted, signed.as_ref().map(|(file, _)| file), console)?;
    if let (true, Ok(archive)) = (is_plain, Archive::open(path)) {
        tell_scrubbed(&archive, console);
    }
    let salvaged = args.salvage.as_ref().map(|out| salvage(path, out, console)).transpose()?;
    let signed_by = signed.map(|(_, signed_by)| signed_by);
    let name = path.display().to_string();
    let text = if as_json {
        verification_json(&name, &report, signed_by.as_ref(), salvaged.as_ref())
    } else {
        let saved = salvaged.as_ref().map(|salvaged| salvage_page(salvaged, console.out));
        let signed = signed_by.map(|signed_by| signed_by.line(console.out)).unwrap_or_default();
        signed + &verification_page(&name, &report, console.out) + &saved.unwrap_or_default()
    };
    let exit = if report.damage.is_empty() { Exit::Passed } else { Exit::Trouble };
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// Verifies what the path names: the very file whose signature was looked at, and what is in it where it is encrypted.
fn proved(
    path: &Path,
    args: &VerifyArgs,
    encrypted: Option<File>,
    signed: Option<&File>,
    console: &Console,
) -> Result<VerifyReport, Trouble> {
    let plain = match (&encrypted, signed) {
        (Some(encrypted), signed) => Some(sealed::decrypt(signed.unwrap_or(encrypted), path, &args.keys)?),
        (None, Some(signed)) => Some(sealed::again(signed)?),
        (None, None) => None,
    };
    let progress = console.progress("verifying", Unit::Bytes);
    let mut show = |done, total| progress.show(done, total);
    Ok(match plain {
        Some(plain) => bundle::verify_file(plain, path, &mut show)?,
        None => bundle::verify(path, &mut show)?,
    })
}

/// The file, open, and who signed it.
fn signed(path: &Path, args: &VerifyArgs) -> Result<(File, SignedBy), Trouble> {
    if !path.is_file() {
        return Err(Trouble::new(format!("`{}` is a folder, and only files are signed", path.display()))
            .help("seal what is to be handed on with `retake export --sign KEYFILE`"));
    }
    let mut signers = Signers::new();
    args.signed_by.iter().try_for_each(|text| signers.add(text))?;
    let cannot = |error| Trouble::from(error).while_doing(format!("`{}` cannot be trusted", path.display()));
    let at = args.signature.clone().unwrap_or_else(|| sealed::signature_path(path));
    let signature = Signature::read(&at).map_err(cannot)?;
    let file = sealed::open_any(path)?;
    signature.prove(&file, path).map_err(cannot)?;
    let signer = signers.who(&signature).map_err(cannot)?;
    Ok((file, SignedBy { name: signer.name, key: signer.key }))
}

fn salvage(path: &Path, out: &Path, console: &Console) -> Result<Salvaged, Trouble> {
    let progress = console.progress("salvaging", Unit::Exchanges);
    Ok(bundle::salvage(path, out, &mut |done, total| progress.show(done, total))?)
}
