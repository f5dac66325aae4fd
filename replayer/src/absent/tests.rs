use super::*;
use crate::receipt::Found;

fn tried(transport: Transport, address: &str, found: Found, count: u64) -> Attempt {
    Attempt { transport, address: address.to_owned(), found, count }
}

fn tcp(address: &str, found: Found) -> Attempt {
    tried(Transport::Tcp, address, found, 3)
}

fn told(attempts: Vec<Attempt>, names: &[&str]) -> String {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let egress = Egress { prevented: true, names: Some(names), attempts: Some(attempts), ..Egress::default() };
    absent(&egress, &[]).iter().map(|absent| format!("{}:\n  {}\n", absent.what, absent.help)).collect()
}

#[test]
fn each_kind_of_thing_is_named_with_what_can_be_done() {
    let attempts = vec![
        tcp("127.0.0.1:6379", Found::Nothing),
        tcp("127.0.0.1:4317", Found::Nothing),
        tcp("127.0.0.1:7001", Found::Nothing),
        tcp("10.0.0.7:9200", Found::NoNetwork),
        tcp("192.0.2.1:443", Found::NoNetwork),
        tried(Transport::Udp, "127.0.0.1:8125", Found::Nothing, 1),
        tried(Transport::Unix, "/var/run/docker.sock", Found::Nothing, 1),
        tried(Transport::Unix, "/tmp/.s.PGSQL.5432", Found::Nothing, 2),
        tried(Transport::Unix, "@own", Found::Nothing, 1),
    ];
    insta::assert_snapshot!(told(attempts, &["db.internal"]), @r"
    `127.0.0.1:6379` was connected to 3 times and nothing is there (6379 is usually Redis):
      record it with `retake capture --dependency redis=tcp://127.0.0.1:6379`, or run a real one beside a container: `retake replay --beside redis=IMAGE`
    `127.0.0.1:7001` was connected to 3 times and nothing is there:
      record it with `retake capture --dependency NAME=http://127.0.0.1:7001`, or with `NAME=tcp://127.0.0.1:7001` where it speaks no HTTP
    `10.0.0.7:9200` was connected to 3 times and there is no network in a replay (9200 is usually Elasticsearch or OpenSearch):
      record it with `retake capture --dependency elasticsearch=http://10.0.0.7:9200`
    `192.0.2.1:443` was connected to 3 times and there is no network in a replay (443 is usually an HTTPS service):
      record it with `retake capture --dependency NAME=https://192.0.2.1:443`
    `db.internal` was looked up and is not recorded:
      record it with `retake capture --dependency NAME=https://db.internal`, or `http://`, or `tcp://db.internal:PORT` where it speaks no HTTP
    the socket `/var/run/docker.sock` was connected to once and is not there (usually a container engine):
      a container engine is not recorded: let the service do without, or replay against one that runs with `--target URL`
    the socket `/tmp/.s.PGSQL.5432` was connected to twice and is not there (usually PostgreSQL):
      unix sockets are not recorded; over TCP, record it with `retake capture --dependency postgres=tcp://127.0.0.1:5432`, or run a real one beside a container: `retake replay --beside postgres=IMAGE`
    the socket `@own` was connected to once and is not there:
      unix sockets are not recorded: let the service use TCP, and record that with `retake capture --dependency`
    `127.0.0.1:4317` was connected to 3 times and nothing is there (4317 is usually OpenTelemetry over gRPC):
      nothing, as a rule: telemetry changes no answer
    `127.0.0.1:8125` was tried over UDP once and nothing is there (8125 is usually StatsD):
      nothing, as a rule: what is sent to StatsD comes back in no answer
    ");
}

#[test]
fn what_was_reached_in_the_end_or_is_tried_in_passing_is_not_named() {
    let attempts = vec![
        tcp("127.0.0.1:9001", Found::Recorded),
        tcp("[::1]:9001", Found::Nothing),
        tcp("127.0.0.1:8200", Found::Nothing),
        tcp("127.0.0.1:8200", Found::Inside),
        tried(Transport::Udp, "8.8.8.8:80", Found::NoNetwork, 1),
        tried(Transport::Udp, "127.0.0.1:6379", Found::Nothing, 1),
        tried(Transport::Unix, "/var/run/nscd/socket", Found::Nothing, 2),
        tried(Transport::Unix, "/run/app.sock", Found::Nothing, 2),
        tried(Transport::Unix, "/run/app.sock", Found::Inside, 1),
    ];
    assert_eq!(told(attempts, &["1.0.0.127.in-addr.arpa", ""]), "");
}

#[test]
fn localhost_in_both_families_is_one_thing() {
    let attempts = vec![tcp("[::1]:6379", Found::Nothing), tcp("127.0.0.1:6379", Found::Nothing)];
    let text = told(attempts, &[]);
    assert!(text.starts_with("`127.0.0.1:6379` was connected to 3 times"), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn a_void_gets_the_first_of_them_as_its_likeliest_cause() {
    let void = Void {
        reason: "the service ended before it was ready".to_owned(),
        help: "see its log".to_owned(),
        ..Void::default()
    };
    let only_telemetry = Egress { attempts: Some(vec![tcp("127.0.0.1:4317", Found::Nothing)]), ..Egress::default() };
    assert_eq!(explain(void.clone(), &only_telemetry, &[]), void);
    let names = vec!["db.internal".to_owned(), "cache.internal".to_owned()];
    let explained = explain(void, &Egress { names: Some(names), ..only_telemetry }, &[]);
    insta::assert_snapshot!(format!("{}\n{}", explained.reason, explained.help), @r"
    the service ended before it was ready; `db.internal` was looked up and is not recorded (and one thing more)
    record it with `retake capture --dependency NAME=https://db.internal`, or `http://`, or `tcp://db.internal:PORT` where it speaks no HTTP; else see its log
    ");
}

#[test]
fn nothing_is_named_where_nothing_was_observed() {
    assert_eq!(absent(&Egress::default(), &[]), []);
}

#[test]
fn what_was_listened_for_and_called_past_the_listener_is_told_so() {
    let listener = |name: &str, upstream: &str| Listener {
        dependency: Some(name.to_owned()),
        listen: "127.0.0.1:9101".to_owned(),
        upstream: upstream.to_owned(),
        ..Listener::default()
    };
    let listeners = [listener("model", "http://localhost:7412/v1"), listener("llm", "https://api.example.com")];
    let listeners: Vec<_> = listeners.iter().collect();
    let attempts = ["127.0.0.1:7412", "127.0.0.1:7413", "192.0.2.1:7412"].map(|address| tcp(address, Found::Nothing));
    let names = vec!["API.example.com".to_owned()];
    let egress = Egress { attempts: Some(attempts.into()), names: Some(names), ..Egress::default() };
    let helps: Vec<_> = absent(&egress, &listeners).into_iter().map(|absent| absent.help).collect();
    insta::assert_snapshot!(helps.join("\n"), @r"
    the service called it past the recording, which listened for `model` at `127.0.0.1:9101`: record again with a service that calls `http://127.0.0.1:9101` instead
    record it with `retake capture --dependency NAME=http://127.0.0.1:7413`, or with `NAME=tcp://127.0.0.1:7413` where it speaks no HTTP
    record it with `retake capture --dependency NAME=http://192.0.2.1:7412`, or with `NAME=tcp://192.0.2.1:7412` where it speaks no HTTP
    the service called it past the recording, which listened for `llm` at `127.0.0.1:9101`: record again with a service that calls `http://127.0.0.1:9101` instead
    ");
}
