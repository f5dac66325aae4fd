//! Images by what they are known to be: where each reads a dump when it starts, and what it asks for.

use exchange::{ImageIdentity, VariableValue};

/// A kind of server whose image keeps to its official one's ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its own name for itself.
    pub(super) title: &'static str,
    /// Where its image reads what it begins with.
    pub(super) place: Place,
    /// What a file has to end in for the image to read it.
    pub(super) endings: &'static [&'static str],
    /// How a dump of that form is made.
    pub(super) dump: &'static str,
    /// What it has to be told before it starts at all; empty where nothing.
    pub(super) needs: &'static str,
    /// What its entrypoint logs once it has filled a server that it started for that alone and at the same port: until then
    /// whoever connects would meet that one. Empty where nothing can be met.
    pub(super) filled: &'static str,
    /// A word in the last part of an image's name.
    names: &'static [&'static str],
    /// Variables that its official image sets.
    variables: &'static [&'static str],
}

/// Where a dump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This folder, under the dump's own name.
    Folder(&'static str),
    /// This very file.
    File(&'static str),
}

/// The entrypoints of all these run what they find here, in the order of names, where their data folder is empty.
const INIT: Place = Place::Folder("/docker-entrypoint-initdb.d");

const SQL: &[&str] = &[".sql", ".sql.gz", ".sql.xz", ".sql.zst", ".sh"];

const KINDS: [Kind; 6] = [
    Kind {
        title: "PostgreSQL",
        place: INIT,
        endings: SQL,
        dump: "`pg_dump --no-owner DATABASE > dump.sql`",
        needs: "env=POSTGRES_PASSWORD=…",
        filled: "",
        names: &["postgres", "postgis", "pgvector", "timescaledb"],
        variables: &["PG_MAJOR", "PGDATA"],
    },
    Kind {
        title: "MariaDB",
        place: INIT,
        endings: SQL,
        dump: "`mariadb-dump --databases DATABASE > dump.sql`",
        needs: "env=MARIADB_ROOT_PASSWORD=…",
        filled: "",
        names: &["mariadb"],
        variables: &["MARIADB_VERSION"],
    },
    Kind {
        title: "MySQL",
        place: INIT,
        endings: &[".sql", ".sql.bz2", ".sql.gz", ".sql.xz", ".sql.zst", ".sh"],
        dump: "`mysqldump --databases DATABASE > dump.sql`",
        needs: "env=MYSQL_ROOT_PASSWORD=…",
        filled: "",
        names: &["mysql", "percona"],
        variables: &["MYSQL_MAJOR", "MYSQL_VERSION"],
    },
    Kind {
        title: "MongoDB",
        place: INIT,
        endings: &[".js", ".sh"],
        dump: "a script that calls `mongorestore`, beside its archive in a folder",
        needs: "",
        filled: "MongoDB init process complete",
        names: &["mongo", "mongodb"],
        variables: &["MONGO_VERSION", "MONGO_MAJOR"],
    },
    Kind {
        title: "Valkey",
        place: Place::File("/data/dump.rdb"),
        endings: &[".rdb"],
        dump: "`valkey-cli --rdb dump.rdb`",
        needs: "",
        filled: "",
        names: &["valkey"],
        variables: &["VALKEY_VERSION"],
    },
    Kind {
        title: "Redis",
        place: Place::File("/data/dump.rdb"),
        endings: &[".rdb"],
        dump: "`redis-cli --rdb dump.rdb`",
        needs: "",
        filled: "",
        names: &["redis", "redis-stack", "redis-stack-server"],
        variables: &["REDIS_VERSION"],
    },
];

/// The names of all kinds, for a person.
pub(super) fn titles() -> String {
    KINDS.map(|kind| kind.title).join(", ")
}

/// What an image is: by the variables that official images set, else by its name.
pub(super) fn kind_of(reference: &str, identity: &ImageIdentity) -> Option<&'static Kind> {
    let is_set = |name: &str| {
        let variables = &identity.runtime.variables;
        variables.iter().any(|variable| variable.name == name && matches!(variable.value, VariableValue::Plain(_)))
    };
    let by_variable = KINDS.iter().find(|kind| kind.variables.iter().any(|name| is_set(name)));
    by_variable.or_else(|| KINDS.iter().find(|kind| kind.names.contains(&short_name(reference))))
}

/// `registry:5000/library/postgres:16@sha256:…` is `postgres`.
fn short_name(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// True for the name of a program that is an entrypoint's shell and no server.
pub(super) fn is_shell(program: &str) -> bool {
    matches!(program, "sh" | "bash" | "dash" | "ash") || program.starts_with("docker-entry")
}

#[cfg(test)]
mod tests {
    use exchange::{RuntimeConfig, Variable};

    use super::*;

    fn title(reference: &str, variables: &[&str]) -> &'static str {
        let variable = |name: &&str| Variable { name: (*name).to_owned(), value: VariableValue::Plain("1".to_owned()) };
        let runtime = RuntimeConfig { variables: variables.iter().map(variable).collect(), ..RuntimeConfig::default() };
        let identity = ImageIdentity { runtime, ..ImageIdentity::default() };
        kind_of(reference, &identity).map_or("unknown", |kind| kind.title)
    }

    #[test]
    fn an_entrypoint_is_told_from_its_server() {
        // The kernel cuts names to 15 bytes.
        assert!(["bash", "sh", "docker-entrypoi"].into_iter().all(is_shell));
        assert!(!["mongod", "postgres", "python3", "shd"].into_iter().any(is_shell));
    }

    #[test]
    fn an_image_is_known_by_its_name_and_better_by_what_it_sets() {
        for (reference, expected) in [
            ("postgres:16", "PostgreSQL"),
            ("registry:5000/library/postgres", "PostgreSQL"),
            ("pgvector/pgvector:pg16", "PostgreSQL"),
            ("redis@sha256:00", "Redis"),
            ("valkey/valkey:8", "Valkey"),
            ("mongo", "MongoDB"),
            ("postgres-exporter", "unknown"),
            ("acme/orders:7", "unknown"),
        ] {
            assert_eq!(title(reference, &[]), expected, "{reference}");
        }
        assert_eq!(title("acme/orders-db:7", &["PATH", "PG_MAJOR"]), "PostgreSQL");
        assert_eq!(title("sha256:00", &["MARIADB_VERSION"]), "MariaDB");
    }
}
