//! Level 3 of determinism: the service runs traced, with time and chance of its own.
//!
//! A process between init and the service, because init waits for whatever child ends and would take the tracer's stops.
//! At each program that is run the vDSO's clocks are sent to a blob at the vDSO's end, and the kernel's random bytes are
//! replaced; a filter has the calls for both stop, and they are answered here. What cannot be answered fails or is killed:
//! nothing of the service ever gets the machine's own time or chance where a control is said to hold. What the clocks show is
//! in memory that each program maps (`clock`), and is changed there by the bridge, without a stop.
//!
//! Before the service starts, the self-check runs in its place. Only x86-64 has all of this.

mod blob;
mod calls;
mod check;
mod control;
mod deadlines;
mod entropy;
mod leftovers;
mod memory;
mod processes;
mod program;
mod reading;
mod tracer;
mod vdso;

use std::{ffi::OsString, path::Path};

use wire::bridge::{Held, Reached, Virtual};

pub(crate) use reading::run as self_check;

use control::Control;
use entropy::Purpose;
use program::{Controls, Programs};
use tracer::{Job, Tracer};

use crate::{
    Config, InitError,
    clock::Clock,
    preload, say,
    system::{self, launch, launch::Step},
};

/// Is the tracer: checks itself, runs the command traced and gives its status.
pub(crate) fn run(
    config: &Path,
    control: Option<i32>,
    clock: Option<i32>,
    command: &[OsString],
) -> Result<u8, InitError> {
    let settings = Config::read(config)?;
    let asked = settings.determinism.ok_or_else(|| InitError::Determinism("nothing is asked for".to_owned()))?;
    system::block_signals();
    let mut control = Control::open(control)
        .map_err(|source| InitError::System { what: "reach the bridge from the tracer", source })?;
    let clock = clock
        .map(Clock::of)
        .transpose()
        // The bridge has it by now.
        .and_then(|clock| clock.map(|clock| clock.seal().map(|()| clock)).transpose())
        .map_err(|source| InitError::System { what: "reach the service's clock from the tracer", source })?;
    let program = settings.program.map_or_else(|| command[0].clone(), OsString::from);
    let (controls, mut reached) =
        check::held(&asked, clock).unwrap_or_else(|reason| (Controls::default(), none(&asked, &reason)));
    reached.preload = preload::held(settings.preload.as_ref(), controls.entropy);
    if !controls.entropy {
        preload::take_back(settings.preload.as_ref());
    }
    let programs = Programs::new(controls, clock);
    // Before anybody hears that it can be set.
    programs.begin_clock(asked.wall_clock);
    control.tell(&reached);
    if let Some(reasons) = failed(&reached) {
        if !asked.fallback {
            return Err(InitError::Determinism(reasons));
        }
        say(&format!("less than what was asked for holds: {reasons}"));
    }
    if !controls.is_any() {
        // The way to the bridge closes itself, which says that nobody traces.
        let source = launch::become_program(&program, command);
        return Err(InitError::Start { program: program.to_string_lossy().into_owned(), source });
    }
    let job = Job {
        program: program.clone(),
        command: command.to_vec(),
        purpose: Purpose::Service,
        output: None,
        patience: None,
    };
    let ended = Tracer::new(&asked, programs, job, reached)
        .run(&mut control)
        .map_err(|error| InitError::Determinism(format!("a process cannot be traced: {error}")))?;
    match ended.failure {
        None => Ok(ended.status),
        Some((Step::Run, source)) => Err(InitError::Start { program: program.to_string_lossy().into_owned(), source }),
        Some((_, source)) => Err(InitError::System { what: "make the service ready to be traced", source }),
    }
}

/// What is told where nothing can be traced.
fn none(asked: &Virtual, reason: &str) -> Reached {
    let mut reached = Reached::default();
    let Controls { clock, entropy, aslr_off, tsc, monotonic } = Controls::asked(asked);
    for (asked, (_, held)) in [clock, entropy, aslr_off, tsc, monotonic].into_iter().zip(reached.controls()) {
        if asked {
            *held = Held::Failed { reason: reason.to_owned() };
        }
    }
    reached
}

/// Which controls failed, and why, if any.
fn failed(reached: &Reached) -> Option<String> {
    let mut reached = reached.clone();
    let failed = reached.controls().into_iter().filter_map(|(name, held)| match held {
        Held::Failed { reason } => Some(format!("{name}: {reason}")),
        Held::Off | Held::On => None,
    });
    let failed: Vec<_> = failed.collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}
