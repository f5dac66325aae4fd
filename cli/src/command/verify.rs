//! `retake verify`: every hash and frame, and the signature where one is wanted; and all that is whole of what is not.

use std::{fs::File, path::Path};

use bundle::{Archive, Salvaged, VerifyReport};
use remote::Address;
use report::{SignedBy, salvage_page, verification_json, verification_page};
use sealing::{Signature, Signers};

use crate::{
    args::VerifyArgs,
    bucket::{self, Opened},
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
    if let Some(address) = bucket::address(path)? {
        return verify_object(&address, path, args, as_json, console);
    }
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
    tell(path, &report, signed.map(|(_, signed_by)| signed_by), salvaged.as_ref(), as_json, console)
}

/// The same of a bundle on object storage: read by ranges, or fetched where it is encrypted or has to be signed.
fn verify_object(
    address: &Address,
    path: &Path,
    args: &VerifyArgs,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    if args.salvage.is_some() {
        return Err(Trouble::new(format!("nothing is saved of `{address}` where it is"))
            .help("copy it to this machine, and salvage that"));
    }
    let progress = console.progress("verifying", Unit::Bytes);
    let mut show = |done, total| progress.show(done, total);
    if address.is_store() && !args.signed_by.is_empty() {
        return Err(only_files_are_signed(path));
    }
    let whole = |report: VerifyReport, progress| {
        drop(progress);
        tell(path, &report, None, None, as_json, console)
    };
    let (file, signed_by) = match (args.signed_by.is_empty(), bucket::open(address)?) {
        (true, Opened::Bundle(object)) => return whole(bundle::verify_file(object, path, &mut show)?, progress),
        (_, Opened::Store(files)) => return whole(bundle::verify_files(&files, &mut show)?, progress),
        (true, Opened::Other(file)) => (file, None),
        (false, _) => {
            let file = bucket::fetch(address)?;
            let signed_by = match &args.signature {
                Some(signature) => signer(&file, path, signature, args)?,
                None => signer_of_object(&file, address, path, args)?,
            };
            (file, Some(signed_by))
        }
    };
    let plain = if sealed::is_encrypted(&file, path)? { sealed::decrypt(&file, path, &args.keys)? } else { file };
    let report = bundle::verify_file(plain, path, &mut show)?;
    drop(progress);
    tell(path, &report, signed_by, None, as_json, console)
}

/// Who signed an object, by the signature that lies beside it.
fn signer_of_object(file: &File, address: &Address, path: &Path, args: &VerifyArgs) -> Result<SignedBy, Trouble> {
    let none = || Trouble::new(format!("there is no `{}`", bucket::signature_address(address)));
    let signature = bucket::signature(address)?;
    let signature = signature.ok_or_else(|| none().help("name the signature with `--signature FILE`"))?;
    signer(file, path, signature.path(), args)
}

fn tell(
    path: &Path,
    report: &VerifyReport,
    signed_by: Option<SignedBy>,
    salvaged: Option<&Salvaged>,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    let name = path.display().to_string();
    let text = if as_json {
        verification_json(&name, report, signed_by.as_ref(), salvaged)
    } else {
        let saved = salvaged.map(|salvaged| salvage_page(salvaged, console.out));
        let signed = signed_by.map(|signed_by| signed_by.line(console.out)).unwrap_or_default();
        signed + &verification_page(&name, report, console.out) + &saved.unwrap_or_default()
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
        return Err(only_files_are_signed(path));
    }
    let at = args.signature.clone().unwrap_or_else(|| sealed::signature_path(path));
    let file = sealed::open_any(path)?;
    let signed_by = signer(&file, path, &at, args)?;
    Ok((file, signed_by))
}

fn only_files_are_signed(path: &Path) -> Trouble {
    Trouble::new(format!("`{}` is a store, and only bundles are signed", path.display()))
        .help("seal what is to be handed on with `retake export --sign KEYFILE`")
}

/// Who signed this open file, by the signature at `at`.
fn signer(file: &File, path: &Path, at: &Path, args: &VerifyArgs) -> Result<SignedBy, Trouble> {
    let mut signers = Signers::new();
    args.signed_by.iter().try_for_each(|text| signers.add(text))?;
    let cannot = |error| Trouble::from(error).while_doing(format!("`{}` cannot be trusted", path.display()));
    let signature = Signature::read(at).map_err(cannot)?;
    signature.prove(file, path).map_err(cannot)?;
    let signer = signers.who(&signature).map_err(cannot)?;
    Ok(SignedBy { name: signer.name, key: signer.key })
}

fn salvage(path: &Path, out: &Path, console: &Console) -> Result<Salvaged, Trouble> {
    let progress = console.progress("salvaging", Unit::Exchanges);
    Ok(bundle::salvage(path, out, &mut |done, total| progress.show(done, total))?)
}
