//! Starts a container as a replay does, with nothing to replay in it: what `retake doctor` finds out by doing it.
//!
//! In: an engine and this program. Out: how long it took, or what went wrong. The image is made for it, and goes with it:
//! a file without content, since this program itself is both init and service.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use host::{ContainerSpec, Delivery, Docker, RunningContainer};
use wire::client::Clock;

use crate::{
    container::reach::{BridgeWay, Order, Reached, Unreached, reach},
    error::ReplayError,
};

/// How long the container may take to end. A choice, as a replay's.
const PATIENCE: Duration = Duration::from_secs(30);

/// A tar without entries: two blocks of zeroes (POSIX.1-1988, 10.1.1).
const EMPTY_TAR: [u8; 1024] = [0; 1024];

/// A rehearsal that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// How long it took.
    pub took: Duration,
    /// True where the engine sees other files than this program, so that all was copied in and an exec's streams were the
    /// bridge's way.
    pub is_copied: bool,
}

/// Starts a container without network from an image without content, waits until its init speaks over the bridge and its
/// service has ended, and removes both. How long that took is by `clock`.
///
/// # Errors
/// What a replay in this engine would fail with.
pub async fn rehearse(docker: &Docker, executable: &Path, clock: Arc<Clock>) -> Result<Rehearsed, ReplayError> {
    let started_ns = clock();
    let image = format!("retake-doctor:{}", std::process::id());
    docker.import_layer(Bytes::from_static(&EMPTY_TAR), &image).await?;
    let rehearsed = run(docker, &image, executable, &clock).await;
    docker.remove_image(&image).await?;
    let is_copied = rehearsed? == Delivery::Copied;
    Ok(Rehearsed { took: Duration::from_nanos(clock().saturating_sub(started_ns)), is_copied })
}

async fn run(docker: &Docker, image: &str, executable: &Path, clock: &Arc<Clock>) -> Result<Delivery, ReplayError> {
    let spec = ContainerSpec {
        image: image.to_owned(),
        argv: vec!["/.retake/retake".to_owned(), "--version".to_owned()],
        executable: executable.to_owned(),
        run: "doctor".to_owned(),
        ..ContainerSpec::default()
    };
    let (outcome, logs) = match reach(docker, &Order { spec, ..Order::default() }, BridgeWay::Auto, clock).await {
        Ok(Reached { mut container, bridge, delivery, folder: _folder, .. }) => {
            let outcome = watch(&mut container).await.map(|()| delivery);
            drop(bridge);
            (outcome, container.remove().await?)
        }
        Err(Unreached::NoBridge(reason, logs)) => (Err(reason), logs),
        Err(Unreached::Error(error)) => return Err(error),
    };
    outcome.map_err(|reason| {
        let last = logs.last().map(|line| format!("; its last line: {}", line.text)).unwrap_or_default();
        ReplayError::Target { target: "a container without network".to_owned(), reason: format!("{reason}{last}") }
    })
}

async fn watch(container: &mut RunningContainer) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, container.ended()).await {
        Ok(Some(0)) => Ok(()),
        Ok(status) => Err(format!("it ended with status {}", status.map_or("unknown".to_owned(), |it| it.to_string()))),
        Err(_) => Err(format!("it did not end within {} s", PATIENCE.as_secs())),
    }
}
