//! What a person has to know so that the service's calls come here: which address it has to use, and how to listen there.
//!
//! In: how the service's container reaches this machine, and where it is listened. Out: notices. Pure; what asks the engine
//! and the upstream is `session`'s.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use host::{Networks, Reach};

use wire::Scheme;

use crate::{Bound, Notice};

/// What is to be said of each listener, given how the service's container reaches this machine where that is known.
pub(crate) fn of(container: Option<(&str, &Reach)>, bound: &[Bound]) -> Vec<Notice> {
    let gateways = match container {
        Some((_, Reach::Networks(networks))) => networks.gateways.as_slice(),
        _ => &[],
    };
    let mut notices: Vec<Notice> = bound.iter().filter_map(|bound| open_to_others(bound, gateways)).collect();
    let Some((container, reach)) = container else { return notices };
    let dependencies: Vec<(&str, &Bound)> =
        bound.iter().filter_map(|bound| Some((bound.dependency.as_deref()?, bound))).collect();
    match reach {
        Reach::Shared => {}
        _ if dependencies.is_empty() => {}
        Reach::Nothing => notices.push(Notice::NoNetwork { container: container.to_owned() }),
        Reach::Networks(networks) => {
            let advice = dependencies.iter().map(|(name, bound)| of_dependency(container, networks, name, bound));
            notices.extend(advice.flatten());
        }
    }
    notices
}

fn open_to_others(bound: &Bound, gateways: &[IpAddr]) -> Option<Notice> {
    let ip = bound.address.ip();
    let is_open = !ip.is_loopback() && !gateways.contains(&ip);
    let instead = match (&bound.dependency, gateways.first()) {
        (Some(_), Some(gateway)) => *gateway,
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    let instead = SocketAddr::new(instead, bound.address.port());
    is_open.then(|| Notice::OpenToOthers { dependency: bound.dependency.clone(), address: bound.address, instead })
}

/// Nothing where the container reaches the listener at the address that is printed for it.
fn of_dependency(container: &str, networks: &Networks, dependency: &str, bound: &Bound) -> Option<Notice> {
    let (ip, port) = (bound.address.ip(), bound.address.port());
    let (container, dependency) = (container.to_owned(), dependency.to_owned());
    let Some(gateway) = networks.gateways.first() else {
        let networks = networks.without_gateway.clone();
        return Some(Notice::NoWayHere { container, dependency, networks });
    };
    if networks.gateways.contains(&ip) {
        return None;
    }
    let address = SocketAddr::new(*gateway, port);
    let urls = urls(bound.upstream.scheme, address, &networks.names);
    match ip {
        _ if ip.is_loopback() => {
            let upstream = bound.upstream.to_string();
            Some(Notice::OutOfReach { container, dependency, listens: bound.address, upstream, address, urls })
        }
        _ if ip.is_unspecified() => Some(Notice::CalledAt { container, dependency, urls }),
        // An address of another of this machine's networks, which as a rule is routed.
        _ => None,
    }
}

fn urls(scheme: Scheme, address: SocketAddr, names: &[String]) -> Vec<String> {
    let scheme = scheme.in_the_clear().word();
    let by_name = names.iter().map(|name| format!("{scheme}://{name}:{}", address.port()));
    std::iter::once(format!("{scheme}://{address}")).chain(by_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(dependency: Option<&str>, address: &str) -> Bound {
        let upstream = "http://127.0.0.1:8000/v1".parse().unwrap();
        let (address, dependency) = (address.parse().unwrap(), dependency.map(str::to_owned));
        Bound { dependency, address, upstream, url: format!("http://{address}"), variables: Vec::new() }
    }

    fn bridge(names: &[&str]) -> Reach {
        let names = names.iter().map(ToString::to_string).collect();
        Reach::Networks(Networks { gateways: vec!["172.17.0.1".parse().unwrap()], names, ..Networks::default() })
    }

    #[test]
    fn a_container_with_a_network_of_its_own_is_told_the_gateway_for_what_is_on_loopback() {
        let listeners = [bound(None, "127.0.0.1:8080"), bound(Some("llm"), "127.0.0.1:9101")];
        let notices = of(Some(("triage", &bridge(&["host.docker.internal"]))), &listeners);
        let [Notice::OutOfReach { upstream, address, urls, .. }] = &notices[..] else { panic!("{notices:?}") };
        assert_eq!((upstream.as_str(), address.to_string().as_str()), ("http://127.0.0.1:8000/v1", "172.17.0.1:9101"));
        assert_eq!(urls, &["http://172.17.0.1:9101", "http://host.docker.internal:9101"]);
        assert_eq!(of(Some(("triage", &bridge(&[]))), &[bound(Some("llm"), "172.17.0.1:9101")]), []);
        assert_eq!(of(Some(("triage", &Reach::Shared)), &listeners), []);
        assert_eq!(of(None, &listeners), []);
    }

    #[test]
    fn a_listener_that_others_can_reach_is_named_and_what_the_service_calls_is_said() {
        let notices = of(Some(("triage", &bridge(&[]))), &[bound(Some("llm"), "0.0.0.0:9101")]);
        assert!(
            matches!(&notices[..], [Notice::OpenToOthers { .. }, Notice::CalledAt { urls, .. }] if urls == &["http://172.17.0.1:9101"])
        );
        let Notice::OpenToOthers { instead, .. } = &notices[0] else { panic!("{notices:?}") };
        assert_eq!(instead.to_string(), "172.17.0.1:9101");
        let notices = of(None, &[bound(None, "[::]:8080"), bound(Some("llm"), "172.17.0.1:9101")]);
        assert!(matches!(&notices[..], [Notice::OpenToOthers { dependency: None, .. }, Notice::OpenToOthers { .. }]));
    }

    #[test]
    fn a_container_without_a_way_here_cannot_call_anything() {
        let listeners = [bound(Some("llm"), "127.0.0.1:9101")];
        assert!(matches!(of(Some(("x", &Reach::Nothing)), &listeners)[..], [Notice::NoNetwork { .. }]));
        let lan = Networks { without_gateway: vec!["lan (macvlan)".to_owned()], ..Networks::default() };
        assert!(matches!(of(Some(("x", &Reach::Networks(lan))), &listeners)[..], [Notice::NoWayHere { .. }]));
        assert_eq!(of(Some(("x", &Reach::Nothing)), &[bound(None, "127.0.0.1:8080")]), []);
    }
}
