//! By what the service looks for what runs beside it, as far as its variables, its arguments and its hosts file tell.
//!
//! In: what runs beside it, by name and port, and those texts. Out: hosts and ports that mean one of them. A database is named
//! in few ways: by the name that it was given here, in variables that begin with that name or with its kind's, and in URLs whose
//! scheme is its protocol's.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    plain_name,
    texts::{Authority, authorities_with_scheme, is_host_name},
};

/// What variables for a server's clients begin with, by its usual port.
const PREFIXES: [(u16, &[&str]); 4] = [
    (3306, &["MYSQL", "MARIADB"]),
    (5432, &["PG", "POSTGRES", "POSTGRESQL"]),
    (6379, &["REDIS", "VALKEY"]),
    (27017, &["MONGO", "MONGODB"]),
];

/// What they begin with where one server alone can be meant.
const PREFIXES_OF_ONE: [&str; 2] = ["DB", "DATABASE"];

/// Ports that belong to one protocol, so that whoever has such a port speaks it.
fn belongs_to_a_protocol(port: u16) -> bool {
    PREFIXES.iter().any(|(usual, _)| *usual == port)
}

/// The texts in which something may be looked for.
pub(crate) struct Told<'a> {
    /// By name.
    pub(crate) variables: &'a BTreeMap<String, String>,
    pub(crate) arguments: &'a [String],
    /// Names of its hosts file, with their addresses.
    pub(crate) hosts: &'a [(String, String)],
}

/// The names of `servers`, each with hosts and ports (`db.internal:5432`) by which the service looks for it.
pub(crate) fn looked_for(servers: &BTreeMap<String, u16>, told: &Told<'_>) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (name, port) in servers {
        let server = Server { name, port: *port, is_only: servers.len() == 1, servers };
        let authorities = server.authorities(told).into_iter();
        found.extend(authorities.map(|(host, port)| (name.clone(), authority(&host, port))));
    }
    found
}

/// One server, to be recognised.
struct Server<'a> {
    name: &'a str,
    port: u16,
    is_only: bool,
    servers: &'a BTreeMap<String, u16>,
}

impl Server<'_> {
    fn authorities(&self, told: &Told<'_>) -> Vec<(String, u16)> {
        let own = [(self.name.to_owned(), self.port)];
        let hosts =
            told.hosts.iter().filter(|(host, _)| self.is_named(host)).map(|(host, _)| (host.clone(), self.port));
        let arguments = told.arguments.iter().flat_map(|text| self.in_text(text, false));
        let variables = told.variables.iter().flat_map(|(variable, text)| self.in_variable(variable, text, told));
        own.into_iter().chain(hosts).chain(arguments).chain(variables).collect()
    }

    fn in_variable(&self, variable: &str, text: &str, told: &Told<'_>) -> Vec<(String, u16)> {
        let is_ours = self.is_variable(variable);
        let mut found = self.in_text(text, is_ours);
        let variable = variable.to_ascii_uppercase();
        let prefix = variable.strip_suffix("HOSTNAME").or_else(|| variable.strip_suffix("HOST"));
        if let Some(prefix) = prefix.filter(|_| is_ours || self.is_named(text)) {
            let port = told.variables.iter().find(|(name, _)| name.eq_ignore_ascii_case(&format!("{prefix}PORT")));
            let port = port.map_or(Some(self.port), |(_, port)| port.trim().parse().ok());
            let host = text.trim();
            found.extend(port.filter(|_| is_host(host)).map(|port| (host.to_owned(), port)));
        }
        found
    }

    /// Whom a text names that can be this server. All that it names, where it is known to be about it.
    fn in_text(&self, text: &str, is_ours: bool) -> Vec<(String, u16)> {
        let means_it = |authority: &Authority| {
            let of_protocol = self.is_only_at_its_port() && authority.usual == self.port;
            let at_its_port =
                belongs_to_a_protocol(self.port) && self.is_only_at_its_port() && authority.port == self.port;
            let is_other = self.servers.keys().any(|name| name != self.name && is_named(&authority.host, name));
            !is_other && (is_ours || self.is_named(&authority.host) || of_protocol || at_its_port)
        };
        let found = authorities_with_scheme(text).into_iter().filter(|it| is_host(&it.host)).filter(means_it);
        found.map(|authority| (authority.host, authority.port)).collect()
    }

    /// No other speaks its protocol, as far as the usual port tells.
    fn is_only_at_its_port(&self) -> bool {
        self.servers.values().filter(|port| **port == self.port).count() == 1
    }

    fn is_named(&self, host: &str) -> bool {
        is_named(host, self.name)
    }

    /// True for a variable that begins with its name, or with its kind's.
    fn is_variable(&self, variable: &str) -> bool {
        let own = self.name.replace(['-', '.'], "_");
        let of_kind = PREFIXES.iter().filter(|(port, _)| *port == self.port).flat_map(|(_, prefixes)| *prefixes);
        let of_one = PREFIXES_OF_ONE.iter().filter(|_| self.is_only);
        let mut prefixes = of_kind.chain(of_one).copied().chain([own.as_str()]);
        prefixes.any(|prefix| begins_with(variable, prefix))
    }
}

fn is_host(text: &str) -> bool {
    is_host_name(text) || text.parse::<std::net::IpAddr>().is_ok()
}

/// `db`, and `db.internal`.
fn is_named(host: &str, name: &str) -> bool {
    let (host, name) = (plain_name(host), plain_name(name));
    host.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `DB_HOST` begins with `db`, and `PGHOST` with `PG`, which has no other way to be written; `DBNAME` with neither.
fn begins_with(variable: &str, prefix: &str) -> bool {
    let (variable, prefix) = (variable.to_ascii_uppercase(), prefix.to_ascii_uppercase());
    let rest = variable.strip_prefix(&prefix);
    rest.is_some_and(|rest| rest.starts_with('_') || prefix == "PG" && matches!(rest, "HOST" | "HOSTADDR"))
}

/// As in a `Host` field: an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found for servers `NAME PORT`, in variables `NAME=VALUE`.
    fn found(servers: &[(&str, u16)], variables: &[(&str, &str)], arguments: &[&str]) -> Vec<String> {
        let servers = servers.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let hosts = [("db.in.hosts".to_owned(), "10.0.0.9".to_owned())];
        let told = Told { variables: &variables, arguments: &arguments, hosts: &hosts };
        let found = looked_for(&servers, &told).into_iter();
        found.map(|(name, authority)| format!("{name} {authority}")).filter(|it| it != "db db.in.hosts:5432").collect()
    }

    #[test]
    fn its_name_alone_and_as_the_first_part_of_another_mean_it_at_whatever_port() {
        let servers = [("db", 5432)];
        let variables = [("A", "tcp://db.internal:6432"), ("B", "db-2.internal:6432"), ("C", "x db:1 y")];
        assert_eq!(
            found(&servers, &variables, &["--pg=db.prod:7"]),
            ["db db.internal:6432", "db db.prod:7", "db db:1", "db db:5432"]
        );
    }

    #[test]
    fn a_url_of_its_protocol_means_it_and_so_does_its_protocols_port() {
        let variables = [
            ("URL", "postgresql+asyncpg://me:pw@pool.acme:6432/x"),
            ("OTHER", "10.1.2.3:5432"),
            ("LLM", "http://llm:80"),
        ];
        assert_eq!(found(&[("db", 5432)], &variables, &[]), ["db 10.1.2.3:5432", "db db:5432", "db pool.acme:6432"]);
        let web = [("OTHER", "http://other:8000/v1")];
        assert_eq!(found(&[("vectors", 8000)], &web, &[]), ["vectors vectors:8000"], "a port that anybody may have");
    }

    #[test]
    fn a_host_of_its_own_variables_means_it_with_the_port_beside_it_or_its_own() {
        let pairs =
            [("DB_HOST", "10.0.0.5"), ("DB_PORT", "6543"), ("DB_NAME", "x"), ("DBHOST", "no.one"), ("HOST", "0.0.0.0")];
        assert_eq!(found(&[("store", 5432)], &pairs, &[]), ["store 10.0.0.5:6543", "store store:5432"]);
        assert_eq!(
            found(&[("q", 6379)], &[("REDIS_HOST", "cache.prod"), ("PGHOST", "pg")], &[]),
            ["q cache.prod:6379", "q q:6379"]
        );
        assert_eq!(found(&[("q", 5432)], &[("PGHOST", "::1")], &[]), ["q [::1]:5432", "q q:5432"]);
    }

    #[test]
    fn two_servers_are_told_apart_by_name_and_by_protocol() {
        let servers = [("db", 5432), ("cache", 6379)];
        let variables = [("DB_URL", "redis://cache.x:1/0"), ("X", "redis://y"), ("DATABASE_HOST", "z")];
        assert_eq!(
            found(&servers, &variables, &[]),
            ["cache cache.x:1", "cache cache:6379", "cache y:6379", "db db:5432"]
        );
    }
}
