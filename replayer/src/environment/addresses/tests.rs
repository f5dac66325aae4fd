//! Stories of recorded hosts and where they are inside.

use super::*;

fn place(name: &str, address: &str) -> Place {
    Place { name: name.to_owned(), address: address.parse().unwrap() }
}

fn recorded(listeners: &[(&str, &str)]) -> Recorded {
    let listeners = listeners.iter().map(|(name, address)| place(name, address)).collect();
    Recorded { listeners, ..Recorded::default() }
}

fn calling(recorded: Recorded, called: &[(&str, &str)]) -> Recorded {
    let called = called.iter().map(|(name, authority)| ((*name).to_owned(), (*authority).to_owned())).collect();
    Recorded { called, ..recorded }
}

fn words(places: &[Place]) -> Vec<String> {
    places.iter().map(|place| format!("{} {}", place.name, place.address)).collect()
}

fn inside(addresses: &Addresses) -> Vec<String> {
    words(&addresses.places)
}

#[test]
fn loopback_stays_and_every_address_becomes_loopback_and_localhost_may_be_of_either_family() {
    let recorded = recorded(&[("a", "127.0.0.1:1"), ("b", "[::1]:2"), ("c", "0.0.0.0:3"), ("d", "[::]:4")]);
    let addresses = Addresses::of(&recorded, []);
    assert_eq!(inside(&addresses), ["a 127.0.0.1:1", "b [::1]:2", "c 127.0.0.1:3", "d 127.0.0.1:4"]);
    assert_eq!(words(&addresses.companions), ["a [::1]:1", "b 127.0.0.1:2", "c [::1]:3", "d [::1]:4"]);
    assert_eq!(addresses.replace_in("http://127.0.0.1:1/v1"), ("http://127.0.0.1:1/v1".to_owned(), Vec::new()));
}

#[test]
fn two_dependencies_with_one_port_of_loopback_in_two_families_stay_two() {
    let addresses = Addresses::of(&recorded(&[("a", "127.0.0.1:1"), ("b", "[::1]:1")]), []);
    assert_eq!((inside(&addresses), addresses.companions), (vec!["a 127.0.0.1:1".into(), "b [::1]:1".into()], vec![]));
}

#[test]
fn an_address_that_cannot_exist_is_replaced_in_texts_and_another_that_begins_like_it_is_not() {
    let addresses = Addresses::of(&recorded(&[("llm", "172.17.0.1:9001")]), []);
    assert_eq!(inside(&addresses), ["llm 127.0.0.1:9001"]);
    for (text, expected) in [
        ("http://172.17.0.1:9001/v1", "http://127.0.0.1:9001/v1"),
        ("172.17.0.1:9001,172.17.0.1:9001", "127.0.0.1:9001,127.0.0.1:9001"),
        ("--url=172.17.0.1:9001", "--url=127.0.0.1:9001"),
        ("172.17.0.1", "127.0.0.1"),
        ("http://user:pw@172.17.0.1/x", "http://user:pw@127.0.0.1/x"),
        ("http://[::ffff:172.17.0.1]:9001/", "http://127.0.0.1:9001/"),
        ("172.17.0.10:9001", "172.17.0.10:9001"),
        ("172.17.0.1:90010", "172.17.0.1:90010"),
        ("172.17.0.1:5432", "172.17.0.1:5432"),
        ("1172.17.0.1:9001", "1172.17.0.1:9001"),
        ("[::ffff:172.17.0.1]:90010", "[::ffff:172.17.0.1]:90010"),
        ("v172.17.0.1.2", "v172.17.0.1.2"),
        ("ü172.17.0.1:9001ü", "ü172.17.0.1:9001ü"),
    ] {
        assert_eq!(addresses.replace_in(text).0, expected);
    }
    let (_, notes) = addresses.replace_in("http://172.17.0.1:9001/v1");
    assert_eq!(notes, ["172.17.0.1:9001 → 127.0.0.1:9001, because there is no such address in here"]);
}

#[test]
fn two_hosts_with_one_port_stay_two_and_one_host_stays_one() {
    let listeners = [
        ("a", "10.0.0.1:80"),
        ("b", "10.0.0.2:80"),
        ("c", "127.0.0.1:80"),
        ("d", "10.0.0.2:81"),
        ("e", "127.0.0.3:81"),
    ];
    let addresses = Addresses::of(&recorded(&listeners), []);
    let expected = ["c 127.0.0.1:80", "e 127.0.0.3:81", "a 127.0.0.2:80", "b 127.0.0.4:80", "d 127.0.0.4:81"];
    assert_eq!(inside(&addresses), expected);
    assert_eq!(addresses.replace_in("10.0.0.2:80 10.0.0.2:81 10.0.0.2").0, "127.0.0.4:80 127.0.0.4:81 127.0.0.4");
}

#[test]
fn a_name_that_the_service_called_is_in_the_hosts_file_and_its_port_is_served() {
    let called =
        [("llm", "LLM.internal:9001"), ("llm", "api.corp"), ("llm", "localhost:9001"), ("llm", "127.0.0.1:9001")];
    let recorded = Recorded {
        hostname: "svc".to_owned(),
        hosts: vec![
            ("host.docker.internal".to_owned(), "host-gateway".to_owned()),
            ("db".to_owned(), "10.9.9.9".to_owned()),
        ],
        ..calling(recorded(&[("llm", "127.0.0.1:9001")]), &called)
    };
    let addresses = Addresses::of(&recorded, ["http://other.name:9001/x", "svc:9001", "http://unrecorded:1/"]);
    assert_eq!(inside(&addresses), ["llm 127.0.0.1:9001", "llm 127.0.0.1:80"]);
    let names: Vec<&str> = addresses.hosts.keys().map(String::as_str).collect();
    assert_eq!(names, ["api.corp", "host.docker.internal", "llm.internal", "other.name"]);
}

#[test]
fn two_names_with_one_port_lead_to_their_own_dependencies() {
    let called = [("llm", "llm.internal"), ("search", "search.internal"), ("search", "172.18.0.1")];
    let recorded = calling(recorded(&[("llm", "127.0.0.1:9001"), ("search", "127.0.0.1:9002")]), &called);
    let addresses = Addresses::of(&recorded, []);
    let address_of = |name: &str| SocketAddr::new(addresses.hosts[name], 80);
    assert_eq!(addresses.at(address_of("llm.internal")).unwrap().name, "llm");
    assert_eq!(addresses.at(address_of("search.internal")).unwrap().name, "search");
    assert_eq!(addresses.replace_in("http://172.18.0.1/x").0, "http://127.0.0.1/x");
}

#[test]
fn a_listener_on_every_address_was_called_by_one_of_them() {
    let recorded = calling(recorded(&[("llm", "0.0.0.0:9001")]), &[("llm", "172.17.0.1:9001")]);
    let text = "http://192.168.1.5:9001";
    let addresses = Addresses::of(&recorded, [text, "0.0.0.0:9001"]);
    assert_eq!(addresses.replace_in("http://172.17.0.1:9001/v1").0, "http://127.0.0.1:9001/v1");
    assert_eq!(addresses.replace_in(text).0, "http://127.0.0.1:9001");
    assert_eq!(addresses.replace_in("0.0.0.0:9001").0, "0.0.0.0:9001");
    assert_eq!(inside(&addresses), ["llm 127.0.0.1:9001"]);
}

#[test]
fn a_dependency_whose_port_the_service_has_itself_moves_by_whatever_it_was_called() {
    let listeners = recorded(&[("llm", "172.17.0.1:8000"), ("all", "0.0.0.0:8000")]);
    let called = [("llm", "llm.internal:8000"), ("llm", "172.17.0.1:8000"), ("llm", "localhost:8000")];
    let recorded = Recorded { service_port: Some(8000), ..calling(listeners, &called) };
    let addresses = Addresses::of(&recorded, []);
    assert_eq!(inside(&addresses), ["llm 127.0.0.1:20001"]);
    assert_eq!(addresses.replace_in("http://172.17.0.1:8000").0, "http://127.0.0.1:20001");
    let (text, notes) = addresses.replace_in("http://LLM.internal:8000/v1");
    assert_eq!(text, "http://LLM.internal:20001/v1");
    assert_eq!(notes, ["LLM.internal:8000 → LLM.internal:20001, because the service has that port itself"]);
    assert!(addresses.listeners().iter().all(|place| place.address.port() != 8000));
}

#[test]
fn a_port_that_is_not_written_is_written_where_it_moves() {
    let recorded = recorded(&[("llm", "172.17.0.1:80")]);
    let recorded = Recorded { service_port: Some(80), ..calling(recorded, &[("llm", "llm")]) };
    let addresses = Addresses::of(&recorded, []);
    assert_eq!(addresses.replace_in("http://172.17.0.1/v1").0, "http://127.0.0.1:20001/v1");
    assert_eq!(addresses.replace_in("http://llm/llm").0, "http://llm:20001/llm");
}

#[test]
fn an_address_of_ipv6_is_replaced_with_its_brackets() {
    let addresses = Addresses::of(&recorded(&[("llm", "[fd00::1]:9001")]), []);
    assert_eq!(addresses.replace_in("http://[fd00::1]:9001/v1").0, "http://127.0.0.1:9001/v1");
    assert_eq!(addresses.replace_in("fd00::1").0, "127.0.0.1");
}

#[test]
fn names_of_a_stranger_are_bounded_and_cannot_write_a_line_of_their_own() {
    let called: Vec<String> = (0..1000).map(|number| format!("n{number}:9001")).collect();
    let mut called: Vec<(&str, &str)> = called.iter().map(|authority| ("llm", authority.as_str())).collect();
    called.extend([("llm", "a b:9001"), ("llm", "x\n127.0.0.1 bank:9001"), ("llm", "10.0.0.1.:9001"), ("llm", "")]);
    let addresses = Addresses::of(&calling(recorded(&[("llm", "127.0.0.1:9001")]), &called), []);
    assert_eq!((addresses.hosts.len(), addresses.places.len()), (NAMES_MAX, 1));
    assert!(addresses.hosts.keys().all(|name| name.starts_with('n')));
}

#[test]
fn what_runs_beside_has_its_own_port_and_is_led_to_from_every_other_that_means_it() {
    let beside = BTreeMap::from([("db".to_owned(), 5432)]);
    let listeners = recorded(&[("db", "127.0.0.1:15432"), ("llm", "127.0.0.1:9101")]);
    let recorded = Recorded { beside, hosts: vec![("db.lan".to_owned(), "10.0.0.5".to_owned())], ..listeners };
    let called = [("db", "db.lan:6432"), ("db", "172.17.0.3:5432"), ("db", "db:5432")];
    let addresses = Addresses::of(&calling(recorded, &called), ["postgres://127.0.0.1:15432/x"]);
    assert_eq!(words(&addresses.listeners()), ["llm 127.0.0.1:9101", "llm [::1]:9101"]);
    let detours: Vec<_> = addresses.detours().iter().map(|(from, to)| format!("{from} {to}")).collect();
    let server = "127.0.0.1:5432";
    let from = ["127.0.0.1:6432", "127.0.0.1:15432", "[::1]:6432", "[::1]:15432"];
    assert_eq!(detours, from.map(|from| format!("{from} {server}")));
    let hosts: Vec<_> = addresses.hosts.iter().map(|(name, ip)| format!("{name} {ip}")).collect();
    assert_eq!(hosts, ["db 127.0.0.1", "db.lan 127.0.0.1"]);
    assert_eq!(addresses.replace_in("postgres://172.17.0.3/x").0, "postgres://127.0.0.1/x");
    assert_eq!(
        addresses.moved_ports_in_words(),
        [
            "127.0.0.1:15432: led to `db`, which listens on port 5432",
            "127.0.0.1:6432: led to `db`, which listens on port 5432",
        ]
    );
}
