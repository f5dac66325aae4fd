//! What stands at `/dev/urandom` and `/dev/random` (level 2): a file of bytes that the seed decides.
//!
//! A file ends, and each opening begins at its first byte. Who asks for more than there is gets an end of file, as it would
//! of no device: an error that shows, and never bytes from elsewhere. What asks the system call instead is level 3's.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::PathBuf};

use super::{Asked, Control, State};
use crate::{
    environment::{Mounted, Origin},
    error::ReplayError,
    job::{Job, Preparation},
    run_folder::RunFolder,
};

/// Where it stands.
pub(crate) const DEVICES: [&str; 2] = ["/dev/urandom", "/dev/random"];

/// Bytes of the file. A choice: a hundred thousand ids, written in some milliseconds.
const LEN: usize = 2 << 20;

/// The file, for as long as this lives.
pub(crate) struct SeededDevice {
    folder: RunFolder,
}

impl SeededDevice {
    /// Writes it.
    pub(crate) fn make(asked: &Asked) -> io::Result<Self> {
        let folder = RunFolder::make()?;
        let device = Self { folder };
        let mut bytes = vec![0; LEN];
        blake3::Hasher::new_keyed(&asked.key("retake 2026-11 /dev/urandom")).finalize_xof().fill(&mut bytes);
        fs::write(device.path(), bytes)?;
        fs::set_permissions(device.path(), fs::Permissions::from_mode(0o444))?;
        Ok(device)
    }

    /// Where it is on this machine.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("urandom")
    }

    /// The file at each device, for a container.
    pub(crate) fn mounts(&self) -> impl Iterator<Item = Mounted> {
        let from = self.path();
        DEVICES.into_iter().map(move |path| Mounted {
            path: path.to_owned(),
            from: Origin::Here(from.clone()),
            read_only: true,
        })
    }

    /// What is said of it.
    pub(crate) fn words() -> String {
        format!("{}: a file of {LEN} bytes from the seed, anew for each opening", DEVICES.join(" and "))
    }
}

impl Job<'_> {
    /// The seeded device, where it is asked for.
    pub(crate) fn seeded_device(&self, preparation: &mut Preparation) -> Result<Option<SeededDevice>, ReplayError> {
        let asked = &self.settings.determinism;
        if asked.why_off(Control::Urandom).is_some() {
            return Ok(None);
        }
        let device = SeededDevice::make(asked).map_err(ReplayError::Prepare)?;
        preparation.controls.say(Control::Urandom, State::On, vec![SeededDevice::words()]);
        Ok(Some(device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_the_bytes() {
        let bytes = |seed| {
            let device = SeededDevice::make(&Asked { seed, ..Asked::default() }).unwrap();
            fs::read(device.path()).unwrap()
        };
        assert_eq!(bytes(1).len(), LEN);
        assert!(bytes(1) == bytes(1));
        assert!(bytes(1) != bytes(2));
    }
}
