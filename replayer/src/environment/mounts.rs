//! What the recorded container had mounted, and what stands in for each here.
//!
//! In: the recorded mounts, what was given with `--mount`, and a way to look at folders of this machine. Out: what to mount,
//! or which of them is missing or is another one, and how to give it. Nothing is mounted here.

use std::path::{Path, PathBuf};

use exchange::{Digest, Mount};

use crate::receipt::Void;

/// A mount given for the replay: `--mount PATH=HERE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenMount {
    /// Where, in the container.
    pub path: String,
    /// A file or folder of this machine; `None` leaves the mount out (`--mount PATH=none`).
    pub here: Option<PathBuf>,
}

/// A recorded mount and what it is in this replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    pub(crate) path: String,
    pub(crate) from: Origin,
    pub(crate) read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An empty volume of its own.
    Empty,
    /// A file or folder of this machine.
    Here(PathBuf),
    /// A copy of a volume of this engine.
    Volume(String),
}

/// What to mount, and what to say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountPlan {
    pub(crate) mounts: Vec<Mounted>,
    /// From where on this machine what was recorded comes.
    pub(crate) supplied: Vec<String>,
    /// What is left out, or may be another.
    pub(crate) replacements: Vec<String>,
}

/// Looks at a file or folder of this machine.
pub(crate) trait Look {
    /// What it is beside a recorded mount, whatever is below the relative paths in `without` left out; or why that cannot
    /// be told.
    fn look(&self, path: &Path, recorded: &Mount, without: &[String]) -> Result<Found, String>;
}

/// A file or folder of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) digest: Digest,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Where it first differs from what was recorded, in words, as far as the recording tells.
    pub(crate) difference: Option<String>,
}

/// What a file or folder is that may stand in for one certain mount.
type Looked<'a> = dyn Fn(&Path) -> Result<Found, String> + 'a;

/// Decides what stands in for each recorded mount. Paths in `supplied` are Retake's own to fill; those in `volumes` are
/// recorded volumes that the engine still has, with the recorded content.
///
/// # Errors
/// `Void` for a mount that is missing or is another one.
pub(crate) fn plan(
    recorded: &[Mount],
    given: &[GivenMount],
    supplied: &[String],
    volumes: &[String],
    look: &dyn Look,
) -> Result<MountPlan, Void> {
    let mut plan = MountPlan::default();
    let paths: Vec<String> = recorded.iter().map(|mount| mount.path.clone()).collect();
    let mut missing = Vec::new();
    let wanted = recorded.iter().filter(|mount| mount.kind != "tmpfs" && !supplied.contains(&mount.path));
    for mount in wanted {
        let without = host::mounted_below(&mount.path, &paths);
        let look = |path: &Path| look.look(path, mount, &without);
        match given.iter().rev().find(|given| same_path(&given.path, &mount.path)) {
            Some(GivenMount { here: None, .. }) => {
                plan.replacements.push(format!("{}: not mounted, as asked", mount.path));
            }
            Some(GivenMount { here: Some(here), .. }) => plan.take_given(mount, here, &look)?,
            None if volumes.contains(&mount.path) => plan.take_volume(mount),
            None if !plan.take_unasked(mount, &look) => missing.push(mount),
            None => {}
        }
    }
    if missing.is_empty() { Ok(plan) } else { Err(lacking(&missing)) }
}

impl MountPlan {
    fn take_given(&mut self, mount: &Mount, here: &Path, look: &Looked<'_>) -> Result<(), Void> {
        let found = look(here).map_err(|reason| Void {
            reason: format!("`{}`, given for the mount {}, cannot be read: {reason}", here.display(), mount.path),
            help: format!("`--mount {}=HERE` takes a file or folder of this machine", mount.path),
            ..Void::default()
        })?;
        match mount.digest {
            Some(wanted) if wanted != found.digest => return Err(another(mount, here, &found)),
            Some(_) => self.supplied.push(format!("{}: from `{}`, the recorded content", mount.path, here.display())),
            None => self.replacements.push(format!(
                "{}: from `{}`; whether it is the recorded content is not known",
                mount.path,
                here.display()
            )),
        }
        self.mount(mount, Origin::Here(here.to_owned()));
        Ok(())
    }

    /// What needs nobody to give it: an empty volume, and what still is here as it was.
    fn take_unasked(&mut self, mount: &Mount, look: &Looked<'_>) -> bool {
        if mount.kind == "volume" && mount.files == Some(0) {
            self.mount(mount, Origin::Empty);
            return true;
        }
        let source = Path::new(&mount.source);
        let is_here = mount.digest.is_some()
            && source.is_absolute()
            && look(source).ok().map(|found| found.digest) == mount.digest;
        if is_here {
            self.supplied.push(format!("{}: from `{}`, where it was recorded", mount.path, mount.source));
            self.mount(mount, Origin::Here(source.to_owned()));
        }
        is_here
    }

    fn take_volume(&mut self, mount: &Mount) {
        self.supplied.push(format!("{}: a copy of the volume `{}`, where it was recorded", mount.path, mount.source));
        self.mount(mount, Origin::Volume(mount.source.clone()));
    }

    fn mount(&mut self, mount: &Mount, from: Origin) {
        self.mounts.push(Mounted { path: mount.path.clone(), from, read_only: mount.read_only });
    }
}

/// What was given is not what was recorded.
fn another(mount: &Mount, here: &Path, found: &Found) -> Void {
    let first = found.difference.as_deref().unwrap_or("its content differs");
    let recorded = count_words(mount.files.unwrap_or_default(), mount.bytes.unwrap_or_default());
    let now = count_words(found.files, found.bytes);
    let sizes =
        if now == recorded { format!("{now}, as recorded") } else { format!("{now} here, {recorded} recorded") };
    Void {
        reason: format!("`{}` is not what was mounted at {}: {first} ({sizes})", here.display(), mount.path),
        help: format!(
            "give what was recorded: `--mount {}=HERE`; to see what other content does, run the service yourself and say \
             `--target URL`",
            mount.path
        ),
        ..Void::default()
    }
}

fn count_words(files: u64, bytes: u64) -> String {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let bytes = if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    format!("{files}, {bytes}")
}

fn lacking(missing: &[&Mount]) -> Void {
    let described = missing.iter().map(|mount| format!("{}{}", mount.path, size_in_words(mount)));
    let flags = missing.iter().map(|mount| format!("--mount {}=HERE", mount.path));
    Void {
        reason: format!(
            "the recorded container had {} mounted, which the recording does not hold",
            described.collect::<Vec<_>>().join(", ")
        ),
        help: format!(
            "say where it is on this machine: `{}`; its content is checked. `--mount PATH=none` leaves one out",
            flags.collect::<Vec<_>>().join(" ")
        ),
        ..Void::default()
    }
}

fn size_in_words(mount: &Mount) -> String {
    match (mount.files, mount.bytes) {
        (Some(files), Some(bytes)) => format!(" ({})", count_words(files, bytes)),
        _ => String::new(),
    }
}

fn same_path(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// The first of `given` for which the recording has no mount.
pub(crate) fn not_recorded<'a>(recorded: &[Mount], given: &'a [GivenMount]) -> Option<&'a GivenMount> {
    given.iter().find(|given| recorded.iter().all(|mount| !same_path(&mount.path, &given.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folders(Vec<(&'static str, &'static [u8])>);

    impl Look for Folders {
        fn look(&self, path: &Path, _recorded: &Mount, _without: &[String]) -> Result<Found, String> {
            let content = self.0.iter().find(|(name, _)| Path::new(name) == path).map(|(_, content)| content);
            let content = content.ok_or_else(|| "there is no such file".to_owned())?;
            let (digest, bytes) = (Digest::of(content), content.len() as u64);
            Ok(Found { digest, bytes, files: 1, difference: Some("`weights` differs".to_owned()) })
        }
    }

    fn mount(path: &str, kind: &str, source: &str, content: Option<&[u8]>) -> Mount {
        Mount {
            path: path.to_owned(),
            kind: kind.to_owned(),
            source: source.to_owned(),
            digest: content.map(Digest::of),
            bytes: content.map(|content| content.len() as u64),
            files: content.map(|content| u64::from(!content.is_empty())),
            ..Mount::default()
        }
    }

    fn given(path: &str, here: Option<&str>) -> GivenMount {
        GivenMount { path: path.to_owned(), here: here.map(PathBuf::from) }
    }

    #[test]
    fn what_was_given_is_taken_when_it_is_what_was_recorded() {
        let recorded = [mount("/models", "bind", "/srv/models", Some(b"weights"))];
        let here = Folders(vec![("/home/me/models", b"weights"), ("/home/me/other", b"others")]);
        let taken = plan(&recorded, &[given("/models/", Some("/home/me/models"))], &[], &[], &here).unwrap();
        assert_eq!(taken.mounts[0].from, Origin::Here("/home/me/models".into()));
        let other = plan(&recorded, &[given("/models", Some("/home/me/other"))], &[], &[], &here).unwrap_err();
        let why = "`/home/me/other` is not what was mounted at /models: `weights` differs (1 file, 6 bytes here, 1 file, \
                   7 bytes recorded)";
        assert_eq!(other.reason, why);
        let none = plan(&recorded, &[given("/models", Some("/nowhere"))], &[], &[], &here).unwrap_err();
        assert!(none.reason.contains("there is no such file"), "{}", none.reason);
        let left_out = plan(&recorded, &[given("/models", None)], &[], &[], &here).unwrap();
        assert_eq!((left_out.mounts.len(), left_out.replacements.len()), (0, 1));
    }

    #[test]
    fn what_is_missing_is_named_with_the_words_that_give_it() {
        let recorded = [
            mount("/models", "bind", "/srv/models", Some(b"weights")),
            mount("/run/docker.sock", "bind", "/run/docker.sock", None),
            mount("/tmp", "tmpfs", "", None),
        ];
        let void = plan(&recorded, &[], &[], &[], &Folders(Vec::new())).unwrap_err();
        assert!(void.reason.contains("/models (1 file, 7 bytes)") && void.reason.contains("/run/docker.sock"));
        assert!(void.help.contains("`--mount /models=HERE --mount /run/docker.sock=HERE`"), "{}", void.help);
        assert!(plan(&recorded[..1], &[], &["/models".to_owned()], &[], &Folders(Vec::new())).is_ok());
    }

    #[test]
    fn what_is_still_here_needs_nobody_to_give_it_and_an_empty_volume_is_made_anew() {
        let recorded =
            [mount("/models", "bind", "/srv/models", Some(b"weights")), mount("/data", "volume", "0f", Some(b""))];
        let here = Folders(vec![("/srv/models", b"weights")]);
        let taken = plan(&recorded, &[], &[], &[], &here).unwrap();
        let from: Vec<_> = taken.mounts.iter().map(|mount| mount.from.clone()).collect();
        assert_eq!(from, [Origin::Here("/srv/models".into()), Origin::Empty]);
        let changed = Folders(vec![("/srv/models", b"other weights")]);
        assert!(plan(&recorded, &[], &[], &[], &changed).is_err());
    }

    #[test]
    fn a_volume_that_the_engine_still_has_is_copied_unless_something_else_is_given() {
        let recorded = [mount("/data", "volume", "models", Some(b"weights"))];
        let here = Folders(vec![("/home/me/data", b"weights")]);
        let volumes = ["/data".to_owned()];
        let taken = plan(&recorded, &[], &[], &volumes, &here).unwrap();
        assert_eq!(taken.mounts[0].from, Origin::Volume("models".to_owned()));
        let instead = plan(&recorded, &[given("/data", Some("/home/me/data"))], &[], &volumes, &here).unwrap();
        assert_eq!(instead.mounts[0].from, Origin::Here("/home/me/data".into()));
    }

    #[test]
    fn a_mount_that_was_not_recorded_is_told() {
        let recorded = [mount("/models", "bind", "/srv/models", None)];
        assert_eq!(not_recorded(&recorded, &[given("/models/", None)]), None);
        assert_eq!(not_recorded(&recorded, &[given("/model", None)]).unwrap().path, "/model");
    }
}
