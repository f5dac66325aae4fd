//! A traced service in a real container, as root and as another user, with no capabilities and a root that is read-only.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    process::Command,
    time::SystemTime,
};

use exchange::ContainerConfig;
use host::Delivery;
use wire::bridge::{Held, WallClock};

use crate::{
    docker::{Contained, Image, engine, is_service},
    traced::settings,
};

#[test]
#[ignore = "the service inside the container"]
#[expect(clippy::disallowed_methods, reason = "the clock is what this is about")]
fn service_that_says_what_it_sees() {
    if !is_service() {
        return;
    }
    let time = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let random = || RandomState::new().build_hasher().finish();
    println!("\nsaw {} {}", time(), random());
    let child = std::thread::spawn(move || (time(), random())).join().unwrap();
    println!("\nsaw {} {}", child.0, child.1);
    if std::env::var_os("RETAKE_TEST_PART").is_some_and(|part| part != "again") {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(std::env::args().skip(1)).env("RETAKE_TEST_PART", "again");
        assert!(again.status().unwrap().success());
    }
}

#[tokio::test]
async fn a_contained_service_sees_the_same_each_time_as_root_and_as_another_user() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("traced");
    let ordinary = ContainerConfig { user: "1000:1000".to_owned(), read_only: true, ..ContainerConfig::default() };
    for config in [ordinary, ContainerConfig::default()] {
        let mut all_seen = Vec::new();
        for way in [Delivery::Mounted, Delivery::Mounted, Delivery::Copied] {
            let part = "traced_docker::service_that_says_what_it_sees";
            let text = settings("", r#", "fallback": true"#);
            let more = text.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
            let contained = Contained::start_with(way, &docker, &image, part, config.clone(), more).await;
            let (status, observed, log) = contained.ended().await;
            let seen: Vec<_> = log.into_iter().map(|line| line.text).filter(|line| line.starts_with("saw ")).collect();
            assert_eq!((status, seen.len()), (Some(0), 4), "{seen:?}");
            assert!(seen.iter().all(|line| line.starts_with("saw 1700000000123456789 ")), "{seen:?}");
            assert!(observed.complete && observed.attempts_observed);
            let reached = observed.reached.unwrap();
            assert_eq!((&reached.clock, &reached.entropy, reached.redirected_count), (&Held::On, &Held::On, 2));
            // The engine's own profile refuses it as a rule.
            let is_refused = |reason: &str| reason.contains("personality");
            assert!(match &reached.aslr_off {
                Held::On => true,
                Held::Failed { reason } => is_refused(reason),
                Held::Off => false,
            });
            all_seen.push(seen);
        }
        assert!(all_seen.windows(2).all(|pair| pair[0] == pair[1]), "{all_seen:?}");
    }
}

#[tokio::test]
async fn the_clock_of_a_contained_service_is_set_and_it_is_started_anew() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("traced-anew");
    let text = settings("", r#", "fallback": true"#);
    let more = text.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let part = "docker::service_that_waits";
    let config = ContainerConfig::default();
    let contained = Contained::start_with(Delivery::Mounted, &docker, &image, part, config, more).await;
    for at_ns in 1..=3 {
        contained.host.say_ready().await.unwrap();
        contained.host.set_clock(WallClock::Frozen { at_ns }).unwrap();
        contained.host.restart().await.unwrap();
    }
    contained.container.stop(std::time::Duration::from_secs(20)).await.unwrap();
    let (status, observed, _) = contained.ended().await;
    assert_eq!((status, observed.reached.unwrap().restart_count), (Some(128 + 15), 3));
}
