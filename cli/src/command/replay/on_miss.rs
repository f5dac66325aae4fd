//! What answers a call that was not recorded, as the replayer has it.

use replayer::{GivenLive, OnMiss};
use wire::{Scheme, Upstream};

use crate::{
    args::{MissAnswer, ReplayArgs},
    trouble::Trouble,
};

/// What is asked for, where it can be had.
pub(super) fn asked(args: &ReplayArgs) -> Result<OnMiss, Trouble> {
    if args.instead.target.is_some() && (args.on_miss != MissAnswer::Fail || !args.live.is_empty()) {
        return Err(Trouble::new(
            "with `--target` the service's calls go to its own dependencies, and none is missed here",
        )
        .help("leave `--on-miss` and `--live` out, or replay the recorded image"));
    }
    match args.on_miss {
        MissAnswer::Fail => Ok(OnMiss::Fail),
        MissAnswer::Nearest => Ok(OnMiss::Nearest),
        MissAnswer::Live if args.live.is_empty() => {
            Err(Trouble::new("`--on-miss live` calls a real dependency, and none is given")
                .help("say which and where, as `--live llm=https://api.example.com`"))
        }
        MissAnswer::Live => Ok(OnMiss::Fail),
    }
}

/// The dependencies that are really called.
pub(super) fn live(args: &ReplayArgs) -> Result<Vec<GivenLive>, Trouble> {
    args.live.iter().map(|text| given(text)).collect()
}

/// `NAME=URL`.
fn given(text: &str) -> Result<GivenLive, Trouble> {
    let wrong = |why: &str| {
        Trouble::new(format!("`--live {text}`: {why}")).help("write it as `--live llm=https://api.example.com`")
    };
    let (name, url) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| wrong("it is not a dependency's name, `=` and a URL"))?;
    let upstream: Upstream = url.parse().map_err(|error: wire::UpstreamError| wrong(&error.to_string()))?;
    if upstream.scheme == Scheme::Tcp {
        return Err(wrong("a dependency that speaks no HTTP cannot be passed on"));
    }
    Ok(GivenLive { name: name.to_owned(), url: url.to_owned(), upstream })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_dependency_is_a_name_and_a_url() {
        let found = given("llm=https://api.test").unwrap();
        assert_eq!((found.name.as_str(), found.upstream.authority().as_str()), ("llm", "api.test"));
        for wrong in ["llm", "=http://x", "llm=", "llm=tcp://x:1", "llm=ftp://x"] {
            assert!(given(wrong).is_err(), "{wrong}");
        }
    }
}
