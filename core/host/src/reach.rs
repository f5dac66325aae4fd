//! How a container can reach the machine that it runs on: what a service in it has to call.
//!
//! In: the engine's account of a container and its networks. Out: the addresses and names that lead from there to here,
//! without judgement; what that means for a recording is the capture's to say.

use std::net::IpAddr;

use bollard::{
    models::{ContainerInspectResponse, NetworkInspect},
    query_parameters::InspectNetworkOptions,
};

use crate::{docker::Docker, error::DockerError, inspect, survey::gateway_of};

/// Containers that share another one's network are followed this far. A choice: engines allow one step.
const SHARING_MAX: usize = 4;

/// How a container can reach the machine that it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It has the machine's own network: all that the machine has, its loopback too.
    Shared,
    /// It has no network.
    Nothing,
    /// It has networks of its own.
    Networks(Networks),
}

/// The networks of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// The machine's addresses in them, in the order of the networks' names.
    pub gateways: Vec<IpAddr>,
    /// Names in its hosts file that lead to one of these, such as `host.docker.internal`.
    pub names: Vec<String>,
    /// Networks in which the machine has no address, with their driver: `lan (macvlan)`.
    pub without_gateway: Vec<String>,
}

impl Docker {
    /// How a container can reach this machine.
    ///
    /// # Errors
    /// `NoContainer` when there is none of that name.
    pub async fn reach(&self, name: &str) -> Result<Reach, DockerError> {
        let mut container = self.inspect_container(name).await?;
        for _ in 0..SHARING_MAX {
            let Some(other) = mode_of(&container).strip_prefix("container:").map(str::to_owned) else { break };
            container = self.inspect_container(&other).await?;
        }
        match mode_of(&container) {
            "host" => Ok(Reach::Shared),
            "none" => Ok(Reach::Nothing),
            _ => Ok(Reach::Networks(self.networks_of(&container).await?)),
        }
    }

    async fn networks_of(&self, container: &ContainerInspectResponse) -> Result<Networks, DockerError> {
        let endpoints = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let mut names: Vec<&String> = endpoints.into_iter().flat_map(|endpoints| endpoints.keys()).collect();
        names.sort_unstable();
        let mut networks = Networks::default();
        for name in names {
            let network = self.engine.inspect_network(name, None::<InspectNetworkOptions>).await;
            networks.take(name, &network.map_err(DockerError::refused("describe a network"))?);
        }
        networks.take_names(container);
        Ok(networks)
    }
}

impl Networks {
    /// Only on a bridge has the machine an address that its containers can call.
    fn take(&mut self, name: &str, network: &NetworkInspect) {
        let driver = network.driver.as_deref().unwrap_or_default();
        let gateway = gateway_of(network).and_then(|gateway| gateway.parse().ok()).filter(|_| driver == "bridge");
        match gateway {
            Some(gateway) => self.gateways.push(gateway),
            None => self.without_gateway.push(format!("{name} ({driver})")),
        }
    }

    fn take_names(&mut self, container: &ContainerInspectResponse) {
        let hosts = container.host_config.as_ref().and_then(|host| host.extra_hosts.as_ref());
        for (name, address) in hosts.into_iter().flatten().filter_map(|line| inspect::extra_host(line)) {
            let is_gateway = address.parse().is_ok_and(|address: IpAddr| self.gateways.contains(&address));
            if address == "host-gateway" || is_gateway {
                self.names.push(name);
            }
        }
    }
}

fn mode_of(container: &ContainerInspectResponse) -> &str {
    container.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> NetworkInspect {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_bridge_has_a_gateway_and_what_stands_for_it_in_the_hosts_file_is_a_name_of_this_machine() {
        let mut networks = Networks::default();
        networks.take("app", &network(r#"{"Driver": "bridge", "IPAM": {"Config": [{"Gateway": "172.20.0.1"}]}}"#));
        networks.take("bridge", &network(r#"{"Driver": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}}"#));
        networks.take("lan", &network(r#"{"Driver": "macvlan", "IPAM": {"Config": [{"Gateway": "192.168.1.1"}]}}"#));
        let hosts = r#"{"HostConfig": {"ExtraHosts": ["a:host-gateway", "b:172.20.0.1", "c:10.0.0.9"]}}"#;
        networks.take_names(&serde_json::from_str(hosts).unwrap());
        let gateways: Vec<String> = networks.gateways.iter().map(ToString::to_string).collect();
        assert_eq!(gateways, ["172.20.0.1", "172.17.0.1"]);
        assert_eq!(
            (networks.names, networks.without_gateway),
            (vec!["a".into(), "b".into()], vec!["lan (macvlan)".into()])
        );
    }
}
