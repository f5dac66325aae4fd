//! Carries out what was decided of the mounts: folders of this machine where they cannot be changed, copies where they can.
//!
//! A replay touches nothing real: what the service may write to is a copy, and goes with the container.

use std::path::{Path, PathBuf};

use exchange::Mount;
use host::{Content, Delivery, Docker, Looking, MountSource, MountSpec, Tree, TreeLimits};

use crate::{
    container::reach::Order,
    environment::{Found, GivenMount, Look, MountPlan, Mounted, Origin, not_recorded, plan_mounts},
    error::ReplayError,
    forward::{certificates_of, supplied_mounts},
    job::{Against, Halt, Job, Preparation},
};

/// Reads this machine's files.
struct ThisMachine;

impl Look for ThisMachine {
    fn look(&self, path: &Path, recorded: &Mount, without: &[String]) -> Result<Found, String> {
        let tree =
            host::local_tree(path, &looking_at(recorded, without.to_vec())).map_err(|error| error.to_string())?;
        let differs = recorded.digest.is_some_and(|wanted| wanted != tree.digest);
        let difference = differs.then(|| difference(path, recorded, &tree)).flatten();
        Ok(Found { digest: tree.digest, files: tree.files, bytes: tree.bytes, difference })
    }
}

/// Where the content differs from the recorded one, in words.
fn difference(path: &Path, recorded: &Mount, found: &Tree) -> Option<String> {
    let was_file = recorded.files == Some(1) && recorded.outline.is_empty();
    match (path.is_dir(), was_file) {
        (true, true) => Some("it is a folder, and a file was recorded".to_owned()),
        (false, false) => Some("it is a file, and a folder was recorded".to_owned()),
        _ => found.difference(&recorded.outline).map(|difference| difference.to_string()),
    }
}

impl Job<'_> {
    /// Decides what is mounted; contents are read and compared for it. Where the recorded container had the certificate of the
    /// recorded authority, `certificate` stands, which is this run's. `image` is any that the engine has.
    pub(crate) async fn mounts(
        &self,
        docker: &Docker,
        image: &str,
        certificate: Option<PathBuf>,
        preparation: &mut Preparation,
    ) -> Result<MountPlan, Halt> {
        let recorded = self.recorded_container().map(|config| config.mounts.clone()).unwrap_or_default();
        let given = self.settings.mounts.clone();
        let unknown = not_recorded(&recorded, &given);
        if let Some(unknown) = unknown.filter(|_| !matches!(self.settings.against, Against::Image(_))) {
            return Err(ReplayError::UnknownMount { path: unknown.path.clone(), known: known(&recorded) }.into());
        }
        let certificates = certificates_of(&self.settings.archive);
        let config = self.recorded_container();
        let supplied = config.map(|config| supplied_mounts(config, &certificates)).unwrap_or_default();
        let at_recorded_paths = certificate.iter().flat_map(|from| {
            supplied.iter().map(|path| Mounted {
                path: path.clone(),
                from: Origin::Here(from.clone()),
                read_only: true,
            })
        });
        let at_recorded_paths: Vec<_> = at_recorded_paths.collect();
        let recorded = with_others(recorded, &given);
        let volumes = self.volumes_here(docker, image, &recorded, &given).await;
        // Seconds for a large model: not on the runtime's threads.
        let planned =
            tokio::task::spawn_blocking(move || plan_mounts(&recorded, &given, &supplied, &volumes, &ThisMachine))
                .await;
        match planned.map_err(|panicked| ReplayError::Prepare(std::io::Error::other(panicked)))? {
            Ok(mut plan) => {
                let words = |mount: &Mounted| {
                    format!("{}: the certificate made for this run, in the place of the recorded one", mount.path)
                };
                preparation.injected.extend(at_recorded_paths.iter().map(words));
                plan.mounts.extend(at_recorded_paths);
                preparation.supplied.extend(plan.supplied.iter().cloned());
                preparation.replacements.extend(plan.replacements.iter().cloned());
                Ok(plan)
            }
            Err(void) => Err(Halt::Void(void, Box::new(std::mem::take(preparation)))),
        }
    }
}

impl Job<'_> {
    /// The paths of recorded volumes that this engine still has, with the recorded content, where nothing else is given.
    async fn volumes_here(
        &self,
        docker: &Docker,
        image: &str,
        recorded: &[Mount],
        given: &[GivenMount],
    ) -> Vec<String> {
        let paths: Vec<String> = recorded.iter().map(|mount| mount.path.clone()).collect();
        let is_asked = |mount: &&Mount| {
            let is_named = mount.kind == "volume" && mount.files != Some(0) && !mount.source.starts_with('/');
            is_named && mount.digest.is_some() && not_given(mount, given)
        };
        let mut here = Vec::new();
        for mount in recorded.iter().filter(is_asked) {
            let looking = looking_at(mount, host::mounted_below(&mount.path, &paths));
            let tree = docker.volume_tree(&self.run.to_string(), image, &mount.source, looking).await;
            // One that cannot be looked at is asked for like one that is not here.
            if tree.ok().flatten().is_some_and(|tree| Some(tree.digest) == mount.digest) {
                here.push(mount.path.clone());
            }
        }
        here
    }
}

fn not_given(mount: &Mount, given: &[GivenMount]) -> bool {
    given.iter().all(|given| given.path.trim_end_matches('/') != mount.path.trim_end_matches('/'))
}

fn looking_at(recorded: &Mount, without: Vec<String>) -> Looking {
    Looking {
        mounted_at: recorded.path.clone(),
        without,
        salt: recorded.salt.as_deref().and_then(host::secret::mount_salt),
        limits: TreeLimits::default(),
    }
}

/// What another image is given beside the recorded mounts.
fn with_others(mut recorded: Vec<Mount>, given: &[GivenMount]) -> Vec<Mount> {
    while let Some(other) = not_recorded(&recorded, given) {
        recorded.push(Mount { path: other.path.clone(), kind: "bind".to_owned(), read_only: true, ..Mount::default() });
    }
    recorded
}

fn known(recorded: &[Mount]) -> String {
    let paths: Vec<&str> =
        recorded.iter().filter(|mount| mount.kind != "tmpfs").map(|mount| mount.path.as_str()).collect();
    if paths.is_empty() { "no mounts".to_owned() } else { paths.join(", ") }
}

/// What is to be mounted, made.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) mounts: Vec<MountSpec>,
    /// Volumes made for it, which go with the container.
    pub(crate) volumes: Vec<String>,
}

/// Makes what is to be mounted; single files that are copied stand in `copies`.
pub(crate) async fn make(
    docker: &Docker,
    order: &Order<'_>,
    delivery: Delivery,
    copies: &Path,
) -> Result<Made, ReplayError> {
    let mut made = Made::default();
    match fill(&mut made, docker, order, delivery, copies).await {
        Ok(()) => Ok(made),
        Err(error) => {
            for volume in &made.volumes {
                // Why it cannot be mounted is what is told.
                drop(docker.remove_volume(volume).await);
            }
            Err(error)
        }
    }
}

/// Notes a volume as soon as it is there, also where a later one fails.
async fn fill(
    made: &mut Made,
    docker: &Docker,
    order: &Order<'_>,
    delivery: Delivery,
    copies: &Path,
) -> Result<(), ReplayError> {
    for (number, mount) in order.plan.mounts.iter().enumerate() {
        let source = match &mount.from {
            Origin::Empty => MountSource::Fresh,
            Origin::Volume(name) => {
                let volume = docker.copy_volume(&order.spec.run, &order.spec.image, name).await?;
                made.volumes.push(volume.name.clone());
                MountSource::Volume(volume.name)
            }
            Origin::Here(from) if delivery == Delivery::Mounted && mount.read_only => {
                MountSource::Here(absolute(from)?)
            }
            // A volume is a folder: a single file is copied to one of ours.
            Origin::Here(from) if delivery == Delivery::Mounted && from.is_file() => {
                let copy = copies.join(number.to_string());
                std::fs::copy(from, &copy).map_err(ReplayError::Prepare)?;
                MountSource::Here(copy)
            }
            Origin::Here(from) => {
                let content = Content::of(from);
                let file = from.is_file().then(|| content.at.clone());
                let volume = docker.make_volume(&order.spec.run, &order.spec.image, vec![content]).await?;
                made.volumes.push(volume.name.clone());
                // A single file is mounted out of its volume's folder, where the engine has it.
                file.map_or(MountSource::Volume(volume.name), |name| MountSource::Here(volume.folder.join(name)))
            }
        };
        made.mounts.push(MountSpec { path: mount.path.clone(), source, read_only: mount.read_only });
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, ReplayError> {
    path.canonicalize().map_err(ReplayError::Prepare)
}
