//! `retake inspect`: what is in a recording, and what a replay of it needs, before it is trusted.

use std::{collections::BTreeMap, fs::File, path::Path};

use bundle::Archive;
use content::redact::{Extra, Redactor};
use exchange::{Digest, Exchange, Fingerprint, ImageIdentity, Subject};
use report::{
    Detail, ImagePlace, Inspection, ModelCounter, Pseudonym, SealedFile, SealedTo, SignatureFound, count_routes,
    inspection_page, list_accepted, list_environments, sealed_page,
};
use sealing::{Envelope, RecipientKind};

use crate::{args::InspectArgs, console::Console, exit::Exit, noise, sealed, source::Source, trouble::Trouble};

/// Says what is in a bundle, a store or a run. Reads records, and of bodies how connections begin that are no HTTP; runs nothing.
pub(crate) fn inspect(args: &InspectArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    if let Some(encrypted) = encrypted_without_key(args)? {
        return from_without(&encrypted, args, as_json, console);
    }
    let source = Source::open_to_look(args.source.as_deref(), &args.store.store, &args.keys)?;
    let archive = &source.archive;
    let fingerprint = most_frequent(archive)?;
    let (pseudonyms, models) = heads(archive, fingerprint.as_ref())?;
    let (holdings, fingerprints) = (archive.holdings()?, archive.fingerprints()?);
    let environments = list_environments(&holdings, &fingerprints, archive.sessions(), archive.entries());
    let folder = args.source.as_deref().map_or(args.store.store.as_path(), Path::new);
    let noise = noise::listed(&source, folder.is_dir().then_some(folder))?;
    let signature = args.source.as_deref().map(Path::new).map(sealed::signature_beside).transpose()?.flatten();
    let inspection = Inspection {
        source: &source.name,
        digest: archive.digest(),
        whole: archive.damage().is_empty(),
        encrypted: source.decrypted.is_some(),
        signature: signature.as_ref(),
        sessions: archive.sessions(),
        // Events that cannot be read are damage, which is told.
        accepted: &list_accepted(archive.events().filter_map(Result::ok)),
        runs: archive.runs()?.len(),
        routes: count_routes(archive.entries()),
        environments: &environments,
        image: fingerprint.as_ref().and_then(recorded_image).map(|image| place_of(archive, image)).transpose()?,
        fingerprint: fingerprint.as_ref(),
        pseudonyms: &pseudonyms,
        models: &models.counts(),
        unanswerable: &replayer::unanswerable(archive)?,
        noise: &noise,
    };
    let detail = if args.all { Detail::All } else { Detail::Weighty };
    let text = if as_json { inspection.to_json() } else { inspection_page(&inspection, detail, console.out) };
    let exit = source.warn(console).or_worse(signature_exit(signature.as_ref()));
    console.write(exit, |out| out.write_all(text.as_bytes()))
}

/// The file, where it is encrypted and no key was given.
fn encrypted_without_key(args: &InspectArgs) -> Result<Option<File>, Trouble> {
    match args.source.as_deref().filter(|_| args.keys.identity.is_empty()) {
        Some(source) => sealed::open_encrypted(Path::new(source)),
        None => Ok(None),
    }
}

/// What an encrypted file tells everyone.
fn from_without(encrypted: &File, args: &InspectArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let source = args.source.as_deref().unwrap_or_default();
    let cannot = |error| Trouble::from(error).while_doing(format!("`{source}` is no whole encrypted file"));
    let envelope = Envelope::read(encrypted).map_err(cannot)?;
    let signature = sealed::signature_beside(Path::new(source))?;
    let to = |(kind, count): (&RecipientKind, &u64)| SealedTo { kind: kind.describe(), count: *count };
    let file = SealedFile {
        source,
        bytes: encrypted.metadata()?.len(),
        recipients: envelope.recipients.iter().map(to).collect(),
        is_text: envelope.is_text,
        signature: signature.as_ref(),
    };
    let text = if as_json { file.to_json() } else { sealed_page(&file, console.out) };
    console.write(signature_exit(signature.as_ref()), |out| out.write_all(text.as_bytes()))
}

/// A signature that does not hold is damage.
fn signature_exit(signature: Option<&SignatureFound>) -> Exit {
    let is_broken = signature.is_some_and(|signature| signature.key.is_none());
    if is_broken { Exit::Trouble } else { Exit::Passed }
}

/// The environment that most exchanges ran in.
fn most_frequent(archive: &Archive) -> Result<Option<Fingerprint>, Trouble> {
    let mut counts: BTreeMap<Digest, u64> = BTreeMap::new();
    for digest in archive.entries().iter().filter_map(|entry| entry.fingerprint) {
        *counts.entry(digest).or_default() += 1;
    }
    let digest = counts.iter().max_by_key(|(_, count)| **count).map(|(digest, _)| *digest);
    Ok(match digest {
        Some(digest) => archive.fingerprint(&digest)?,
        None => archive.fingerprints()?.into_iter().next().map(|(_, fingerprint)| fingerprint),
    })
}

fn recorded_image(fingerprint: &Fingerprint) -> Option<&ImageIdentity> {
    match &fingerprint.subject {
        Subject::Container(container) => Some(&container.image),
        Subject::Process(_) | Subject::Unknown => None,
    }
}

fn place_of(archive: &Archive, image: &ImageIdentity) -> Result<ImagePlace, Trouble> {
    let inside = archive.images()?.iter().any(|record| host::same_image(&record.identity, image).is_some());
    let here = tokio::runtime::Runtime::new()?.block_on(async {
        let docker = host::Docker::connect().await.ok()?;
        Some(docker.find_image(image).await.ok()?.is_some())
    });
    Ok(ImagePlace { inside, here })
}

/// What all exchanges say beside their bodies: what stands for credentials in their heads, and in the service's commands, the
/// most frequent first; and the models that they named.
fn heads(archive: &Archive, fingerprint: Option<&Fingerprint>) -> Result<(Vec<Pseudonym>, ModelCounter), Trouble> {
    // Only places are looked up: the key does not matter.
    let finder = Redactor::new([0; 32], &Extra::default());
    let mut found: BTreeMap<String, Pseudonym> = BTreeMap::new();
    let mut models = ModelCounter::default();
    for entry in archive.entries() {
        let exchange = archive.exchange(&entry.id)?;
        models.take(&exchange);
        count_pseudonyms(&finder, &exchange, &mut found);
    }
    for pseudonym in fingerprint.into_iter().flat_map(replayer::pseudonyms_in_commands) {
        let text = String::from_utf8_lossy(&pseudonym).into_owned();
        let pseudonym = found.entry(text.clone()).or_insert_with(|| Pseudonym { text, places: Vec::new(), count: 0 });
        let place = "argument".to_owned();
        if !pseudonym.places.contains(&place) {
            pseudonym.places.push(place);
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.text.cmp(&other.text)));
    Ok((found, models))
}

fn count_pseudonyms(finder: &Redactor, exchange: &Exchange, found: &mut BTreeMap<String, Pseudonym>) {
    let mut of_this = finder.found_in_request(&exchange.request.head);
    of_this.extend(exchange.response.iter().flat_map(|response| finder.found_in_response(&response.head)));
    // One exchange counts once, wherever in it the same one stands.
    of_this.sort_by(|one, other| one.value.cmp(&other.value));
    let mut last = None;
    for one in of_this {
        let text = String::from_utf8_lossy(&one.value).into_owned();
        let pseudonym = found.entry(text.clone()).or_insert_with(|| Pseudonym { text, places: Vec::new(), count: 0 });
        if !pseudonym.places.contains(&one.place) {
            pseudonym.places.push(one.place);
        }
        if last.as_ref() != Some(&one.value) {
            pseudonym.count += 1;
        }
        last = Some(one.value);
    }
}
