//! What to run beside the service, decided before anything runs.
//!
//! In: what was asked for, what the image says of itself, and the recording. Out: the port it listens on and where its dump
//! goes, or what is missing. Nothing is started here.

use std::{collections::BTreeMap, path::Path};

use host::ServerImage;

use super::{
    BesideError, GivenBeside,
    known::{Kind, Place, kind_of},
};

/// One server, as it will be started.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) given: GivenBeside,
    pub(crate) image: ServerImage,
    pub(super) kind: Option<&'static Kind>,
    /// Where it listens.
    pub(crate) port: u16,
    /// Where its dump goes, in its container.
    pub(crate) at: Option<String>,
}

/// Decides port and place. `recorded_port` is that of the recorded dependency of the same name.
pub(super) fn plan(given: &GivenBeside, image: ServerImage, recorded_port: Option<u16>) -> Result<Plan, BesideError> {
    let kind = kind_of(&given.image, &image.identity);
    let port = port_of(given, &image.ports, recorded_port)?;
    let at = given.dump.as_deref().map(|dump| place_of(given, kind, dump)).transpose()?;
    Ok(Plan { given: given.clone(), image, kind, port, at })
}

/// The port that was said, else the only one that the image exposes, else the recorded dependency's.
fn port_of(given: &GivenBeside, exposed: &[u16], recorded: Option<u16>) -> Result<u16, BesideError> {
    let only = match exposed {
        [only] => Some(*only),
        _ => None,
    };
    let says = match exposed {
        [] => "exposes none".to_owned(),
        ports => format!("exposes {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")),
    };
    let unknown = || BesideError::NoPort { name: given.name.clone(), image: given.image.clone(), says };
    given.port.or(only).or(recorded).ok_or_else(unknown)
}

/// Where it was said to be, else where the image is known to read it.
fn place_of(given: &GivenBeside, kind: Option<&Kind>, dump: &Path) -> Result<String, BesideError> {
    let metadata = std::fs::metadata(dump);
    let unreadable = |source| BesideError::NoDump { name: given.name.clone(), path: dump.to_owned(), source };
    let is_file = metadata.map_err(unreadable)?.is_file();
    let name = dump.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = dump.file_name().map(|name| name.to_string_lossy().into_owned()).or(name).unwrap_or_default();
    if let Some(at) = &given.at {
        // As `cp` has it.
        return Ok(if is_file && at.ends_with('/') { format!("{at}{name}") } else { at.clone() });
    }
    let no_place =
        || BesideError::NoPlace { name: given.name.clone(), image: given.image.clone(), path: dump.to_owned() };
    let kind = kind.ok_or_else(no_place)?;
    if is_file && !kind.endings.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending)) {
        return Err(BesideError::OtherForm {
            path: dump.to_owned(),
            title: kind.title,
            endings: kind.endings.join(", "),
            dump: kind.dump,
        });
    }
    match (kind.place, is_file) {
        (Place::Folder(folder), true) => Ok(format!("{folder}/{name}")),
        (Place::Folder(folder), false) => Ok(folder.to_owned()),
        (Place::File(file), true) => Ok(file.to_owned()),
        // A data folder as it was.
        (Place::File(file), false) => {
            Ok(file.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default().to_owned())
        }
    }
}

/// Refuses two that listen on one port: servers, the service, and recorded dependencies, by the ports where they are answered.
pub(super) fn refuse_same_ports(
    plans: &[Plan],
    service: u16,
    recorded: &BTreeMap<u16, String>,
) -> Result<(), BesideError> {
    let mut taken = BTreeMap::from([(service, "the service itself".to_owned())]);
    for Plan { given, port, .. } in plans {
        let (name, image, port) = (given.name.clone(), given.image.clone(), *port);
        if let Some(recorded) = recorded.get(&port).cloned() {
            return Err(BesideError::RecordedPort { name, image, port, recorded });
        }
        let words = format!("`{name}`");
        if let Some(other) = taken.insert(port, words) {
            return Err(BesideError::SamePort { name, port, other });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn given(image: &str) -> GivenBeside {
        GivenBeside { name: "db".to_owned(), image: image.to_owned(), ..GivenBeside::default() }
    }

    fn image(ports: &[u16]) -> ServerImage {
        ServerImage { ports: ports.to_vec(), ..ServerImage::default() }
    }

    #[test]
    fn a_port_is_the_one_said_else_the_only_exposed_one_else_the_recorded_one() {
        let port = |said, exposed: &[u16], recorded| {
            let given = GivenBeside { port: said, ..given("x") };
            plan(&given, image(exposed), recorded).map(|plan| plan.port).map_err(|error| error.to_string())
        };
        assert_eq!(port(Some(1), &[2], Some(3)), Ok(1));
        assert_eq!(port(None, &[2], Some(3)), Ok(2));
        assert_eq!(port(None, &[2, 4], Some(3)), Ok(3));
        let unknown = |says: &str| Err(format!("which port `db` listens on is not known: the image `x` {says}"));
        assert_eq!(port(None, &[], None), unknown("exposes none"));
        assert_eq!(port(None, &[2, 4], None), unknown("exposes 2, 4"));
    }

    #[test]
    fn a_dump_goes_where_the_image_reads_it_or_where_it_was_said_to() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["shop.sql", "shop.dump", "dump.RDB"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let place = |of: &str, dump: &str, at: Option<&str>| {
            let dump = folder.path().join(dump);
            let given = GivenBeside { dump: Some(dump), at: at.map(str::to_owned), port: Some(1), ..given(of) };
            let words = |error: BesideError| {
                let text = format!("{error}: {}", error.help());
                text.replace(folder.path().to_str().unwrap(), "HERE")
            };
            plan(&given, image(&[]), None).map(|plan| plan.at.unwrap()).unwrap_or_else(words)
        };
        assert_eq!(place("postgres:16", "shop.sql", None), "/docker-entrypoint-initdb.d/shop.sql");
        assert_eq!(place("postgres:16", ".", None), "/docker-entrypoint-initdb.d");
        assert_eq!(place("redis:7", "dump.RDB", None), "/data/dump.rdb");
        assert_eq!(place("redis:7", ".", None), "/data");
        assert_eq!(place("acme", "shop.sql", Some("/seed/")), "/seed/shop.sql");
        assert_eq!(place("acme", "shop.sql", Some("/seed.sql")), "/seed.sql");
        insta::assert_snapshot!(place("acme", "shop.sql", None), @"where the image `acme` reads a dump is not known, so `HERE/shop.sql` has no place in `db`: say where it is to be: `--beside db=acme,dump=HERE/shop.sql,at=/PATH/IN/IT`; known without are PostgreSQL, MariaDB, MySQL, MongoDB, Valkey, Redis");
        insta::assert_snapshot!(place("postgres:16", "shop.dump", None), @"`HERE/shop.dump` is nothing that the image of PostgreSQL reads at its start: that ends in .sql, .sql.gz, .sql.xz, .sql.zst, .sh: make one with `pg_dump --no-owner DATABASE > dump.sql`, or say with `at=` where it is to be all the same");
        insta::assert_snapshot!(place("postgres:16", "gone.sql", None), @"cannot read `HERE/gone.sql`, the dump for `db`: name a file or folder of this machine");
    }

    #[test]
    fn one_port_is_one_servers() {
        let at = |name: &str, port| {
            let given = GivenBeside { name: name.to_owned(), port: Some(port), ..given("x") };
            plan(&given, image(&[]), None).unwrap()
        };
        let recorded = BTreeMap::from([(15432, "postgres".to_owned())]);
        let refuse = |plans: &[Plan]| {
            let words = |error: BesideError| format!("{error}: {}", error.help());
            refuse_same_ports(plans, 8000, &recorded).map_err(words)
        };
        assert_eq!(refuse(&[at("a", 1), at("b", 2)]), Ok(()));
        insta::assert_snapshot!(refuse(&[at("a", 5432), at("b", 5432)]).unwrap_err(), @"`b` listens on port 5432, and so does `a`; a replay has one network for all: let it listen elsewhere, and say where (for PostgreSQL `--beside b=…,env=PGPORT=5433,port=5433`): the service is led there");
        insta::assert_snapshot!(refuse(&[at("a", 8000)]).unwrap_err(), @"`a` listens on port 8000, and so does the service itself; a replay has one network for all: let it listen elsewhere, and say where (for PostgreSQL `--beside a=…,env=PGPORT=8001,port=8001`): the service is led there");
        insta::assert_snapshot!(refuse(&[at("a", 15432)]).unwrap_err(), @"`a` listens on port 15432, where the recorded dependency `postgres` is to be answered: where the two are one, give it that name: `--beside postgres=x`; else let it listen elsewhere, and say where: `--beside a=x,port=N`");
    }
}
