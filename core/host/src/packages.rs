//! The packages that an image's own package manager has on its list: dpkg's and apk's.
//!
//! Read from the container's file system through the engine, without running anything in it. Lists that are missing
//! are none; Python's and node's are many small files in folders of gigabytes, which the engine gives only whole, and
//! are left out.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use bollard::query_parameters as query;
use exchange::Package;
use futures_util::StreamExt as _;

use crate::{
    docker::{Docker, is_not_found},
    error::DockerError,
};

/// Longest list read, in bytes. A choice: a full Debian desktop's is 5 MiB.
const LIST_LEN_MAX: usize = 64 << 20;

/// Longest name or version kept, in bytes. A choice, far above any real one.
const TEXT_LEN_MAX: usize = 512;

/// One package manager's list.
struct List {
    ecosystem: &'static str,
    path: &'static str,
    read: fn(&str) -> Vec<(&str, &str)>,
}

const LISTS: [List; 2] = [
    List { ecosystem: "dpkg", path: "/var/lib/dpkg/status", read: read_dpkg },
    List { ecosystem: "apk", path: "/lib/apk/db/installed", read: read_apk },
];

impl Docker {
    /// The packages on the lists of a container's package managers, sorted.
    ///
    /// # Errors
    /// What the engine refuses, and `Archive` for a list that cannot be read. A container that is not there has no lists.
    pub async fn packages(&self, container: &str) -> Result<Vec<Package>, DockerError> {
        let mut packages = BTreeSet::new();
        for list in &LISTS {
            let Some(archive) = self.archive_of(container, list.path).await? else { continue };
            let text = only_file(&archive).map_err(DockerError::Archive)?;
            packages.extend((list.read)(&text).into_iter().filter_map(|pair| package(list.ecosystem, pair)));
        }
        Ok(packages.into_iter().collect())
    }

    /// A tar with one file of a container, or `None` where it has no such file.
    async fn archive_of(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, DockerError> {
        let options = query::DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut pieces = Box::pin(self.engine.download_from_container(container, Some(options)));
        let mut archive = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(bytes) if archive.len() + bytes.len() <= LIST_LEN_MAX => archive.extend_from_slice(&bytes),
                Ok(_) => return Err(DockerError::Archive(too_long(path))),
                Err(error) if is_not_found(&error) => return Ok(None),
                Err(error) => return Err(DockerError::refused(format!("read `{path}` of the container"))(error)),
            }
        }
        Ok(Some(archive))
    }
}

fn too_long(path: &str) -> io::Error {
    io::Error::other(format!("`{path}` is longer than {LIST_LEN_MAX} bytes"))
}

/// The text of the one regular file in a tar; empty where there is only a link or a folder.
fn only_file(archive: &[u8]) -> io::Result<String> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            // Not longer than the archive, which is capped.
            entry.read_to_end(&mut bytes)?;
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(String::new())
}

fn package(ecosystem: &str, (name, version): (&str, &str)) -> Option<Package> {
    let fits = |text: &str| !text.is_empty() && text.len() <= TEXT_LEN_MAX;
    (fits(name) && fits(version)).then(|| Package {
        ecosystem: ecosystem.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

/// deb-control(5): paragraphs of `Field: value`, those that are installed.
fn read_dpkg(text: &str) -> Vec<(&str, &str)> {
    let is_installed =
        |paragraph: &&str| field(paragraph, "Status: ").is_some_and(|status| status.ends_with(" installed"));
    text.split("\n\n")
        .filter(is_installed)
        .filter_map(|paragraph| field(paragraph, "Package: ").zip(field(paragraph, "Version: ")))
        .collect()
}

/// Alpine's database: paragraphs of one-letter fields, `P:` the name and `V:` the version.
fn read_apk(text: &str) -> Vec<(&str, &str)> {
    text.split("\n\n").filter_map(|paragraph| field(paragraph, "P:").zip(field(paragraph, "V:"))).collect()
}

/// The value of the first line that starts with `name`.
fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_and_left_its_configuration_is_not_installed() {
        let text = "Package: libc6\nStatus: install ok installed\nDescription: GNU C\n Version: no\nVersion: 2.36-9\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: half\n\n";
        assert_eq!(read_dpkg(text), [("libc6", "2.36-9")]);
    }

    #[test]
    fn alpines_list_is_read() {
        let text = "C:Q1abc=\nP:musl\nV:1.2.5-r0\nF:lib\n\nP:zlib\nV:1.3.1-r1\n\n";
        assert_eq!(read_apk(text), [("musl", "1.2.5-r0"), ("zlib", "1.3.1-r1")]);
    }

    #[test]
    fn absurd_names_are_not_kept_and_nonsense_is_an_empty_list() {
        assert_eq!(package("apk", (&"x".repeat(TEXT_LEN_MAX + 1), "1")), None);
        assert_eq!(package("apk", ("x", "")), None);
        assert!(read_dpkg("\0\n\n\n").is_empty() && read_apk("P:\u{fffd}").is_empty());
        assert!(only_file(&[7; 600]).is_err());
    }
}
