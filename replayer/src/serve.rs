//! Serves recorded dependency answers on loopback: for developing without the dependency, and inside a replay.
//!
//! In: listeners and the answerer. Out: a task for each connection, until it is told to stop.

use std::{io, net::SocketAddr, sync::Arc};

use bundle::Archive;
use exchange::Id;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use wire::{ca::CertificateAuthority, client::Clock, server::Served};

use crate::{
    answer::{Answerer, AnswererParts},
    error::ReplayError,
    forward::{FORWARD_PROXY, Forward, serve_place},
    select::Selection,
};

/// One dependency and where its recorded answers are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The dependency's name.
    pub name: String,
    /// The address to listen on, or that is listened on.
    pub address: SocketAddr,
}

/// What `retake serve` is to serve.
pub struct ServeSettings {
    /// The recording.
    pub archive: Arc<Archive>,
    /// Where to listen instead of the recorded addresses.
    pub places: Vec<Place>,
    /// Rules by hand, of which those for calls (`dep:…`) matter here.
    pub rules: diff::Rules,
    /// Vouches for what was recorded behind a forward proxy; one is made where there is none.
    pub authority: Option<Arc<CertificateAuthority>>,
    /// Nanoseconds since the start.
    pub clock: Arc<Clock>,
}

/// Recorded dependencies that are being served.
pub struct Serving {
    listeners: Vec<(TcpListener, String)>,
    places: Vec<Place>,
    answerer: Arc<Answerer>,
    clock: Arc<Clock>,
}

impl Serving {
    /// Listens for every dependency of the recording.
    ///
    /// # Errors
    /// When an address cannot be listened on, a name is not in the recording, or the recording cannot be read.
    pub async fn bind(settings: ServeSettings) -> Result<Self, ReplayError> {
        let selection = Selection::of_calls(&settings.archive)?;
        let places = choose_places(&settings.archive, &selection, &settings.places)?;
        let forward = Forward::of(&settings.archive, settings.authority).map_err(ReplayError::Prepare)?;
        let parts = AnswererParts {
            archive: settings.archive,
            rules: settings.rules,
            noise: Arc::default(),
            reuse: true,
            secrets: Arc::default(),
            ledger: None,
            run: Id([0; 16]),
            target: String::new(),
            clock: Arc::clone(&settings.clock),
            forward,
            in_order: false,
            speed: None,
            copies: 1,
            misses: None,
        };
        let answerer = Arc::new(Answerer::new(&selection, parts)?);
        let mut serving = Self { listeners: Vec::new(), places: Vec::new(), answerer, clock: settings.clock };
        for place in places {
            let (listener, place) = listen(&place).await?;
            serving.listeners.push((listener, place.name.clone()));
            serving.places.push(place);
        }
        Ok(serving)
    }

    /// Where it listens.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The scheme of URLs that lead to a dependency: `tcp` for one that speaks no HTTP.
    pub fn scheme_of(&self, name: &str) -> &'static str {
        if self.answerer.connections().has(name) { "tcp" } else { "http" }
    }

    /// Serves until `stop` becomes true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        for (listener, name) in self.listeners {
            tasks.spawn(serve_listener(listener, name, Arc::clone(&self.answerer), Arc::clone(&self.clock)));
        }
        // The sender being gone means the same as being told to stop.
        drop(stop.wait_for(|stop| *stop).await);
        tasks.shutdown().await;
    }
}

/// Binds one address.
pub(crate) async fn listen(place: &Place) -> Result<(TcpListener, Place), ReplayError> {
    let refused = |source| ReplayError::Listen { name: place.name.clone(), address: place.address.to_string(), source };
    let listener = TcpListener::bind(place.address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, Place { name: place.name.clone(), address }))
}

/// Accepts and serves connections for ever; ended by dropping it.
pub(crate) async fn serve_listener(listener: TcpListener, name: String, answerer: Arc<Answerer>, clock: Arc<Clock>) {
    let name: Arc<str> = name.into();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(serve_tcp(stream, name.clone(), answerer.clone(), clock.clone())); }
                // Out of descriptors or the like: the next accept may do better, and a busy loop would not.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_tcp(stream: TcpStream, name: Arc<str>, answerer: Arc<Answerer>, clock: Arc<Clock>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if let Served::ToBeReset(stream) = serve_place(stream, &name, &answerer, &*clock).await? {
        stream.set_zero_linger()?;
    }
    Ok(())
}

/// The recorded address of each dependency, or the one given for it.
fn choose_places(archive: &Archive, selection: &Selection, given: &[Place]) -> Result<Vec<Place>, ReplayError> {
    let recorded = recorded_places(archive);
    let has_forward = recorded.iter().any(|place| place.name == FORWARD_PROXY);
    // What has no listener of its own was called through the forward proxy.
    let called = selection.calls.iter().filter_map(|call| call.role.dependency().map(str::to_owned));
    let mut names: Vec<String> = called.filter(|_| !has_forward).collect();
    names.extend(recorded.iter().map(|place| place.name.clone()));
    names.sort_unstable();
    names.dedup();
    if let Some(unknown) = given.iter().find(|place| !names.contains(&place.name)) {
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(ReplayError::UnknownDependency { name: unknown.name.clone(), known });
    }
    if names.is_empty() {
        return Err(ReplayError::NoDependencies);
    }
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let place_of = |name: String| {
        let found = given.iter().chain(&recorded).find(|place| place.name == name).map(|place| place.address);
        Place { name, address: found.unwrap_or(loopback) }
    };
    Ok(names.into_iter().map(place_of).collect())
}

/// The addresses that the capture sessions listened on for dependencies, the newest session's where they differ.
pub(crate) fn recorded_places(archive: &Archive) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let listeners = archive.sessions().iter().rev().flat_map(|session| &session.listeners);
    for listener in listeners {
        let name = match (&listener.dependency, &listener.forward_proxy) {
            (Some(name), _) => name.as_str(),
            (None, Some(_)) => FORWARD_PROXY,
            (None, None) => continue,
        };
        let Ok(address) = listener.listen.parse::<SocketAddr>() else { continue };
        if places.iter().all(|place| place.address != address) {
            places.push(Place { name: name.to_owned(), address });
        }
    }
    places
}
