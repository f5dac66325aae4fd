//! Opens the listeners: one for clients, one for each dependency.
//!
//! In: settings. Out: sockets with their routes, and what the rest of the world should know of them.

use std::net::SocketAddr;

use exchange::Listener;
use tokio::net::TcpListener;
use wire::{Scheme, Upstream, proxy::Route};

use crate::{CaptureError, Dependency, Service, Settings};

/// A listener that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The dependency's name; `None` for the one that clients call.
    pub dependency: Option<String>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its traffic goes, without what a caller's own base path holds.
    pub upstream: Upstream,
    /// The URL that the service is to call: the listener's with the upstream's base path, where the service is told so.
    pub url: String,
    /// Variables of a started service that are set to that URL.
    pub variables: Vec<&'static str>,
}

impl Bound {
    /// As the session's record has it.
    pub(crate) fn to_record(&self) -> Listener {
        let (listen, upstream) = (self.address.to_string(), self.upstream.to_string());
        Listener { dependency: self.dependency.clone(), listen, upstream, forward_proxy: None }
    }

    /// The variables of a started service with their value.
    pub(crate) fn assignments(&self) -> Vec<(String, String)> {
        self.variables.iter().map(|variable| ((*variable).to_owned(), self.url.clone())).collect()
    }

    /// As the proxy wants it.
    pub(crate) fn route(&self, listener: usize) -> Route {
        Route { listener, upstream: self.upstream.clone(), rewrites_host: self.dependency.is_some() }
    }
}

/// Opens all listeners.
///
/// # Errors
/// `NothingToRecord`, `RawUpstream`, `SameName`, and `Listen` for the first address that cannot be had.
pub(crate) async fn bind(settings: &Settings) -> Result<Vec<(TcpListener, Bound)>, CaptureError> {
    if settings.upstream.is_none() && settings.dependencies.is_empty() && settings.forward.is_none() {
        return Err(CaptureError::NothingToRecord);
    }
    let mut bound = Vec::new();
    if let Some(upstream) = &settings.upstream {
        if upstream.scheme == Scheme::Tcp {
            return Err(CaptureError::RawUpstream { upstream: upstream.to_string() });
        }
        let listener = listen(settings.listen, "clients").await?;
        let address = address_of(&listener, settings.listen);
        let url = format!("http://{address}");
        let made = Bound { dependency: None, address, upstream: upstream.clone(), url, variables: Vec::new() };
        bound.push((listener, made));
    }
    let tells_service = matches!(settings.service, Service::Command(_));
    for (position, dependency) in settings.dependencies.iter().enumerate() {
        let has_name = |other: &Dependency| other.name == dependency.name;
        if settings.dependencies[..position].iter().any(has_name) {
            return Err(CaptureError::SameName { name: dependency.name.clone() });
        }
        bound.push(bind_dependency(dependency, tells_service).await?);
    }
    Ok(bound)
}

async fn bind_dependency(dependency: &Dependency, tells_service: bool) -> Result<(TcpListener, Bound), CaptureError> {
    let wanted = dependency.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = listen(wanted, &format!("the dependency `{}`", dependency.name)).await?;
    let address = address_of(&listener, wanted);
    let mut upstream = dependency.upstream.clone();
    let mut url = format!("{}://{address}", upstream.scheme.in_the_clear().word());
    if tells_service && !dependency.variables.is_empty() {
        // The service is told a base URL with the path that SDKs expect in it, so that the path is not put before it again.
        url.push_str(&std::mem::take(&mut upstream.base_path));
    }
    let variables = if tells_service { dependency.variables.clone() } else { Vec::new() };
    Ok((listener, Bound { dependency: Some(dependency.name.clone()), address, upstream, url, variables }))
}

pub(crate) async fn listen(address: SocketAddr, whom: &str) -> Result<TcpListener, CaptureError> {
    let failed = |source| CaptureError::Listen { address, whom: whom.to_owned(), source };
    TcpListener::bind(address).await.map_err(failed)
}

pub(crate) fn address_of(listener: &TcpListener, wanted: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dependencies: &[&str], service: Service) -> Settings {
        let dependencies = dependencies.iter().map(|text| text.parse().unwrap()).collect();
        Settings { dependencies, service, ..Settings::default() }
    }

    #[tokio::test]
    async fn a_started_service_is_told_the_path_and_any_other_caller_gets_it_added() {
        let text = ["openai=http://127.0.0.1:1/v1"];
        let told = bind(&settings(&text, Service::Command(vec!["x".into()]))).await.unwrap().remove(0).1;
        assert!(told.url.ends_with("/v1") && told.upstream.base_path.is_empty());
        assert_eq!(told.variables, ["OPENAI_BASE_URL", "OPENAI_API_BASE"]);
        let untold = bind(&settings(&text, Service::Unknown)).await.unwrap().remove(0).1;
        assert_eq!((untold.url.ends_with("/v1"), untold.upstream.base_path.as_str()), (false, "/v1"));
    }

    #[tokio::test]
    async fn nothing_two_of_a_name_and_a_taken_address_are_refused() {
        assert!(matches!(bind(&settings(&[], Service::Unknown)).await, Err(CaptureError::NothingToRecord)));
        let twice = settings(&["a=http://127.0.0.1:1", "a=http://127.0.0.1:2"], Service::Unknown);
        assert!(matches!(bind(&twice).await, Err(CaptureError::SameName { .. })));
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!("a=http://127.0.0.1:1,listen={}", taken.local_addr().unwrap());
        assert!(matches!(bind(&settings(&[&text], Service::Unknown)).await, Err(CaptureError::Listen { .. })));
    }
}
