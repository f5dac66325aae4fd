//! `retake serve`: the recorded dependency answers on loopback, for developing offline.

use std::sync::Arc;

use replayer::{Place, ServeSettings, Serving};
use wire::ca::CertificateAuthority;

use crate::{
    args::{ServeArgs, values::listen_address},
    authority::AuthorityFolder,
    clock::Clock,
    console::Console,
    exit::Exit,
    source::Source,
    trouble::Trouble,
};

use super::replay::{rules, stop_on_signals};

/// Serves until it is interrupted.
pub(crate) fn serve(args: &ServeArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let source = Source::open(Some(&args.source), &args.store.store, &args.keys)?;
    let exit = source.warn(console);
    let places = args.listen.iter().map(|text| place(text)).collect::<Result<Vec<_>, _>>()?;
    let clock = Clock::start();
    let authority = authority(&source.archive)?;
    let settings = ServeSettings {
        archive: Arc::new(source.archive),
        places,
        rules: rules(&args.ignore)?,
        authority,
        clock: clock.monotonic,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let stop = stop_on_signals();
        let serving = Serving::bind(settings).await?;
        console.write(exit, |out| out.write_all(announcement(&serving, as_json).as_bytes()))?;
        serving.run(stop).await;
        Ok(exit)
    })
}

/// This machine's authority where a forward proxy was recorded: what is developed here trusts it once and for all.
fn authority(archive: &bundle::Archive) -> Result<Option<Arc<CertificateAuthority>>, Trouble> {
    let mut listeners = archive.sessions().iter().flat_map(|session| &session.listeners);
    if listeners.all(|listener| listener.forward_proxy.is_none()) {
        return Ok(None);
    }
    let (authority, _) = AuthorityFolder::of(None)?.open(false)?;
    Ok(Some(Arc::new(authority)))
}

fn announcement(serving: &Serving, as_json: bool) -> String {
    let places = serving.places();
    if as_json {
        let listeners: Vec<_> = places
            .iter()
            .map(|place| serde_json::json!({ "name": place.name, "address": place.address.to_string() }))
            .collect();
        return report::json::document("serve", &serde_json::json!({ "listeners": listeners }));
    }
    let line = |place: &Place| format!("{} at {}://{}\n", place.name, serving.scheme_of(&place.name), place.address);
    places.iter().map(line).collect()
}

/// `NAME=ADDR`, an address being `HOST:PORT`, or a port alone on the loopback.
fn place(text: &str) -> Result<Place, Trouble> {
    let wrong =
        || Trouble::new(format!("`--listen {text}` is no NAME=ADDR")).help("for example `--listen llm=127.0.0.1:8000`");
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    let address = listen_address(address).map_err(|_| wrong())?;
    if name.is_empty() { Err(wrong()) } else { Ok(Place { name: name.to_owned(), address }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_name_and_an_address_or_a_port() {
        assert_eq!(place("llm=8000").unwrap().address, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(place("llm=[::1]:8000").unwrap().name, "llm");
        assert!(place("llm").is_err() && place("=8000").is_err() && place("llm=host:1").is_err());
    }
}
