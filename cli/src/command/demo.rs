//! `retake demo`: the whole main job on the shipped recording, in a temporary folder, narrated.
//!
//! Every step that a user would type is typed here too: the commands run as processes of this very program, and what they
//! print is what a user would see. Only the service and the tickets are started and sent by the demo itself.

mod service;
mod stage;
mod tickets;

use std::sync::Arc;

use bundle::Archive;

use super::replay::stop_on_signals;
use crate::{args::DemoArgs, clock::Clock, console::Console, exit::Exit, trouble::Trouble};

use self::{
    service::Service,
    stage::{Stage, free_port},
};

/// The shipped recording: 200 tickets, answered by a real model, with the service's image.
const RECORDING: &[u8] = include_bytes!("../../../fixtures/bundles/v1/triage.retake");

/// How many tickets are sent live.
const LIVE_TICKETS: usize = 10;

/// What differs in each answer because the service makes it anew: an id and a time.
const IGNORED: [&str; 4] = ["/id", "/created", "sse:/id", "sse:/created"];

/// Runs the demo. Whatever happens on the way, what it started in Docker is taken away.
pub(crate) fn demo(args: &DemoArgs, console: &Console) -> Result<Exit, Trouble> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut stop = stop_on_signals();
        let mut stage = Stage::set(args.keep, console)?;
        std::fs::write(stage.path("triage.retake"), RECORDING)?;
        let archive = Arc::new(Archive::open(&stage.path("triage.retake"))?);
        let mut service = Service::prepare(&archive, &stage).await?;
        let performed = tokio::select! {
            performed = perform(&mut stage, &archive, &mut service) => performed,
            _ = stop.wait_for(|is_stopped| *is_stopped) => Err(Trouble::new("the demo was stopped")),
        };
        stage.strike().await;
        let cleaned = service.clean_up().await;
        performed.and(cleaned).map(|()| Exit::Passed)
    })
}

async fn perform(stage: &mut Stage<'_>, archive: &Archive, service: &mut Service) -> Result<(), Trouble> {
    stage.say(
        "A support team's service `triage` asks a language model to classify tickets. It was recorded: 200 tickets,",
    );
    stage.say("16 at a time, answered by a real model. The recording carries the service's container image.");
    stage.run(&["verify", "triage.retake"], &[0]).await?;

    stage.heading(1, "Record: ten tickets through the proxy, the model played from the recording");
    record_live(stage, archive, service).await?;
    stage.run(&["ls", "live"], &[0]).await?;

    stage.heading(2, "Replay what was just recorded: no model, no network");
    stage.run(&replay_arguments("live", &service.replay_as_recorded()), &[0]).await?;

    stage.heading(3, "Replay the shipped recording: 200 tickets, same overlap");
    stage.run(&replay_arguments("triage.retake", &service.replay_shipped()), &[0]).await?;

    stage.heading(4, "The same against a planted defect: one variable changed");
    let defect = service.plant_defect().await?;
    stage.run(&replay_arguments("triage.retake", &defect), &[1]).await?;

    stage.say("Exit code 1: CI would have stopped this change.");
    stage.say("");
    stage.say("`retake demo --keep` leaves the folder, in which the commands above can be tried.");
    stage.say("Your own service: `retake capture --help`.");
    Ok(())
}

/// Serve, capture, the service, ten tickets; then all of it ended in turn.
async fn record_live(stage: &mut Stage<'_>, archive: &Archive, service: &mut Service) -> Result<(), Trouble> {
    let [model, store, model_tap, store_tap, inner, outer] = free_ports()?;
    let mut recorded = stage
        .start(&[
            "serve",
            "triage.retake",
            "--listen",
            &format!("model={model}"),
            "--listen",
            &format!("store={store}"),
        ])
        .await?;
    let whose = service.start(inner, model_tap, store_tap).await?;
    let mut capture = vec![
        "capture".to_owned(),
        "--upstream".to_owned(),
        format!("http://127.0.0.1:{inner}"),
        "--listen".to_owned(),
        format!("127.0.0.1:{outer}"),
        "--store".to_owned(),
        "live".to_owned(),
        "--dependency".to_owned(),
        format!("model=http://127.0.0.1:{model},listen=127.0.0.1:{model_tap}"),
        "--dependency".to_owned(),
        format!("store=http://127.0.0.1:{store},listen=127.0.0.1:{store_tap}"),
    ];
    capture.extend(whose);
    let mut proxy = stage.start(&capture.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let clock = Clock::start();
    let sent = tickets::send(archive, outer, LIVE_TICKETS, &*clock.monotonic).await;
    proxy.end().await?;
    service.end().await?;
    recorded.end().await?;
    let answered = sent?;
    stage.say(&format!("{answered} of {LIVE_TICKETS} tickets answered with 200."));
    if answered == LIVE_TICKETS { Ok(()) } else { Err(Trouble::new("not every ticket was answered")) }
}

fn free_ports<const N: usize>() -> Result<[u16; N], Trouble> {
    let mut ports = [0; N];
    // All are held until all are known, so that they differ.
    let mut held = Vec::new();
    for port in &mut ports {
        let (listener, number) = free_port()?;
        held.push(listener);
        *port = number;
    }
    Ok(ports)
}

/// `replay SOURCE [against…] --ignore …`.
fn replay_arguments<'a>(source: &'a str, against: &'a [String]) -> Vec<&'a str> {
    let mut arguments = vec!["replay", source];
    arguments.extend(against.iter().map(String::as_str));
    arguments.extend(IGNORED.iter().flat_map(|pointer| ["--ignore", pointer]));
    arguments
}
