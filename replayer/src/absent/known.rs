//! Ports and sockets by which a dependency is recognised. The ports are those of their own documentation, or IANA's.

/// What usually listens at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) port: u16,
    /// Its own name for itself.
    pub(super) title: &'static str,
    /// What to call it as a dependency.
    pub(super) name: &'static str,
    pub(super) speaks: Speaks,
}

/// How it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http,
    Https,
    /// A protocol of its own.
    Tcp,
    /// Spans, metrics and log lines: sent, and as a rule never answered with anything that matters.
    Telemetry,
}

const fn known(port: u16, title: &'static str, name: &'static str, speaks: Speaks) -> Known {
    Known { port, title, name, speaks }
}

const PORTS: [Known; 42] = [
    known(25, "a mail server", "mail", Speaks::Tcp),
    known(53, "a name server", "dns", Speaks::Tcp),
    known(80, "an HTTP service", "NAME", Speaks::Http),
    known(389, "LDAP", "ldap", Speaks::Tcp),
    known(443, "an HTTPS service", "NAME", Speaks::Https),
    known(514, "syslog", "syslog", Speaks::Telemetry),
    known(587, "a mail server", "mail", Speaks::Tcp),
    known(1433, "SQL Server", "mssql", Speaks::Tcp),
    known(1521, "Oracle", "oracle", Speaks::Tcp),
    known(2181, "ZooKeeper", "zookeeper", Speaks::Tcp),
    known(2379, "etcd", "etcd", Speaks::Tcp),
    known(3306, "MySQL", "mysql", Speaks::Tcp),
    known(4222, "NATS", "nats", Speaks::Tcp),
    known(4317, "OpenTelemetry over gRPC", "otlp", Speaks::Telemetry),
    known(4318, "OpenTelemetry over HTTP", "otlp", Speaks::Telemetry),
    known(5432, "PostgreSQL", "postgres", Speaks::Tcp),
    known(5672, "RabbitMQ", "amqp", Speaks::Tcp),
    known(6333, "Qdrant", "qdrant", Speaks::Http),
    known(6334, "Qdrant over gRPC", "qdrant", Speaks::Tcp),
    known(6379, "Redis", "redis", Speaks::Tcp),
    known(6650, "Pulsar", "pulsar", Speaks::Tcp),
    known(6831, "Jaeger", "jaeger", Speaks::Telemetry),
    known(7474, "Neo4j", "neo4j", Speaks::Http),
    known(7687, "Neo4j", "neo4j", Speaks::Tcp),
    known(8000, "an HTTP service such as Chroma", "chroma", Speaks::Http),
    known(8086, "InfluxDB", "influxdb", Speaks::Http),
    known(8123, "ClickHouse", "clickhouse", Speaks::Http),
    known(8125, "StatsD", "statsd", Speaks::Telemetry),
    known(8126, "the Datadog agent", "datadog", Speaks::Telemetry),
    known(8200, "Vault", "vault", Speaks::Http),
    known(8500, "Consul", "consul", Speaks::Http),
    known(9000, "MinIO or ClickHouse", "minio", Speaks::Http),
    known(9042, "Cassandra", "cassandra", Speaks::Tcp),
    known(9092, "Kafka", "kafka", Speaks::Tcp),
    known(9200, "Elasticsearch or OpenSearch", "elasticsearch", Speaks::Http),
    known(9411, "Zipkin", "zipkin", Speaks::Telemetry),
    known(11211, "Memcached", "memcached", Speaks::Tcp),
    known(11434, "Ollama", "ollama", Speaks::Http),
    known(14250, "Jaeger", "jaeger", Speaks::Telemetry),
    known(14268, "Jaeger", "jaeger", Speaks::Telemetry),
    known(19530, "Milvus", "milvus", Speaks::Tcp),
    known(27017, "MongoDB", "mongodb", Speaks::Tcp),
];

/// What usually listens at `port`.
pub(super) fn of_port(port: u16) -> Option<Known> {
    PORTS.iter().find(|known| known.port == port).copied()
}

/// The port that a dependency behind a unix socket has where it is reached over TCP.
pub(super) fn of_path(path: &str) -> Option<Known> {
    let file = path.rsplit('/').next().unwrap_or_default();
    let port = match file {
        _ if file.starts_with(".s.PGSQL.") => 5432,
        _ if file.starts_with("mysql") => 3306,
        _ if file.starts_with("redis") => 6379,
        _ if file.starts_with("mongodb-") => 27017,
        _ if file.starts_with("memcached") => 11211,
        _ => return None,
    };
    of_port(port)
}

/// True for a container engine's socket.
pub(super) fn is_engine(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"].contains(&file)
}

/// Beginnings of the sockets of a system's own daemons, which libraries try in passing: name services, the bus, logs.
const DAEMONS: [&str; 10] = [
    "/var/run/nscd/",
    "/run/nscd/",
    "/run/systemd/",
    "/var/run/systemd/",
    "/var/lib/sss/",
    "/run/dbus/",
    "/var/run/dbus/",
    "/dev/log",
    "/run/user/",
    "/run/avahi-daemon/",
];

/// True for a socket whose absence changes nothing as a rule.
pub(super) fn is_daemon(path: &str) -> bool {
    DAEMONS.iter().any(|start| path.starts_with(start)) || path.starts_with("@/org/freedesktop/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_there_once_and_in_order() {
        assert!(PORTS.is_sorted_by(|one, next| one.port < next.port));
    }

    #[test]
    fn sockets_are_known_by_the_names_that_their_programs_give_them() {
        assert_eq!(of_path("/var/run/postgresql/.s.PGSQL.5433").unwrap().title, "PostgreSQL");
        assert_eq!(of_path("/var/run/mysqld/mysqld.sock").unwrap().title, "MySQL");
        assert_eq!(of_path("/tmp/app.sock"), None);
        assert!(is_engine("/var/run/docker.sock") && !is_engine("/var/run/mydocker.sock"));
        assert!(is_daemon("/var/run/nscd/socket") && !is_daemon("/run/app.sock"));
    }
}
