//! The folder with what a replayed container is told, which it shares with this program where the engine sees it.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use host::{Delivery, INIT_SETTINGS};
use serde_json::json;
use wire::bridge::Virtual;

use crate::{determinism::SHIM, environment::Addresses, run_folder::RunFolder as Outer};

/// The folder that becomes `/.retake/run`: the socket is made by the bridge where the folder is mounted, the settings here.
/// Whoever is not us cannot reach it from outside, since the folder it is in is ours alone; a bind mount does not pass
/// through that one.
pub(super) fn run_folder(
    addresses: &Addresses,
    waits: bool,
    determinism: Option<&Virtual>,
    preload: Option<&[u8]>,
    delivery: Delivery,
) -> std::io::Result<RunFolder> {
    let outer = Outer::make()?;
    let path = outer.path().join("run");
    // The service's user inside may be any.
    std::fs::DirBuilder::new().create(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let listen: Vec<_> = addresses.listeners().iter().map(|place| place.address.to_string()).collect();
    let mut settings = match delivery {
        Delivery::Mounted => json!({ "socket": "/.retake/run/bridge.sock" }),
        Delivery::Copied => json!({ "relay": true }),
    };
    settings["listen"] = json!(listen);
    settings["detours"] = json!(addresses.detours());
    settings["waits"] = json!(waits);
    settings["resolver"] = json!(true);
    settings["determinism"] = json!(determinism);
    if let Some(library) = preload {
        let file = path.join(SHIM);
        std::fs::write(&file, library)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444))?;
        settings["preload"] = json!(format!("/.retake/run/{SHIM}"));
    }
    std::fs::write(path.join(INIT_SETTINGS), settings.to_string())?;
    Ok(RunFolder { path, outer })
}

/// Removed when it is dropped.
pub(crate) struct RunFolder {
    pub(super) path: PathBuf,
    /// Ours alone: copies of what the service may write to stand in it.
    pub(super) outer: Outer,
}
