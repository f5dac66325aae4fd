//! A replay from start to receipt.
//!
//! In: a recording that was verified, what to run it against, and the rules. Out: the receipt, one result for each exchange,
//! and the run as a file. Damage and usage trouble are errors; what makes the replay void is in the receipt.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use bundle::Archive;
use content::redact::{Extra, Found, Redactor};
use diff::ExchangeResult;
use exchange::{ClockPair, Digest, Fingerprint, HostEnvironment, Id, RUN_RESULTS, Run, Subject, VariableValue};
use host::{Docker, Machine};
use tokio::sync::watch;

use crate::{
    absent,
    answer::{Answerer, AnswererParts},
    container,
    determinism::{self, Control, GateCounts, Processors, State, say_reached},
    drive::told_to_stop,
    environment,
    error::ReplayError,
    fitted::{RunResults, receipt_record},
    forward::Forward,
    held::Held,
    job::{Halt, Job, Preparation, Running, Started},
    judge::Judgement,
    ledger::Ledger,
    noise,
    on_miss::Misses,
    process,
    ready::{ENDED, Ready},
    receipt::{Determinism, Pinned, Receipt, Void},
    repeat::{Count, Fallen},
    secrets::Secrets,
    select::Selection,
    service::{Aftermath, last_lines},
    target,
    weigh::{profile, weigh},
};

pub use crate::job::{Against, SecretsFile, Settings};

/// How long a service that cannot be reached any more has to show that it ended by itself, and how often it is looked at.
/// Choices: its parents inside have to end after it.
const DYING_PATIENCE: Duration = Duration::from_secs(2);
const DYING_RETRY: Duration = Duration::from_millis(10);

/// What is said of the order and timing of a replay that sent nothing.
const NOTHING_SENT: &str = "nothing was sent";

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// What it can prove about itself.
    pub receipt: Receipt,
    /// One entry for each chosen exchange.
    pub results: Vec<ExchangeResult>,
    /// The run's file.
    pub run_path: PathBuf,
}

impl Replayed {
    /// DESIGN's exit code: 3 when void, else the tally's; 3 instead of 0 where something was skipped, or fewer repeats were
    /// judged than were asked for.
    pub fn exit_code(&self) -> u8 {
        let repeats = self.receipt.repeats.as_ref();
        let is_short = repeats.is_some_and(|repeats| repeats.done < repeats.asked);
        let skipped_some = !self.receipt.skipped.is_empty() || is_short;
        match (&self.receipt.void, self.receipt.tally.exit_code()) {
            (Some(_), _) => 3,
            (None, 0) if skipped_some => 3,
            (None, code) => code,
        }
    }
}

/// Replays.
///
/// # Errors
/// Usage and environment trouble, and damage: what they touch was not judged.
pub async fn replay(settings: Settings, watched: Watched<'_>) -> Result<Replayed, ReplayError> {
    let real = settings.beside.iter().map(|given| given.name.as_str());
    let selection = Selection::of(&settings.archive, &settings.only)?.without(real);
    refuse_unknown(&settings, &selection)?;
    let recorded = recorded_fingerprint(&settings, &selection)?;
    let run = settings.resume.as_ref().map_or_else(new_id, |resumed| Ok(resumed.run))?;
    if let Some(resumed) = settings.resume.as_ref().filter(|it| it.began.source.digest != settings.source.digest) {
        return Err(ReplayError::OtherSource { path: settings.source.path.clone(), run: resumed.run });
    }
    if let Some(resumed) = &settings.resume {
        resumed.check(&selection, &settings.repeating)?;
    }
    let pseudonyms = pseudonyms_of(&selection, recorded.as_ref());
    let secrets = Arc::new(secrets_of(&settings, recorded.as_ref(), &pseudonyms)?);
    std::fs::create_dir_all(&settings.runs_folder).map_err(ReplayError::Prepare)?;
    let redactor = Redactor::new(new_key()?, &Extra::default())
        .knowing(pseudonyms.iter().map(|value| (value.clone(), value.clone())));
    let ledger = Arc::new(match &settings.resume {
        Some(resumed) => Ledger::take_up(resumed, (&selection, &settings.repeating), redactor)?,
        None => Ledger::create(&settings.runs_folder, run, redactor)?,
    });
    let misses = Misses::new(settings.on_miss, &settings.live);
    let misses = Arc::new(match &settings.resume {
        Some(resumed) => misses.after(&resumed.stands.misses),
        None => misses,
    });
    let found = match &settings.resume {
        Some(resumed) => resumed.noise.clone().unwrap_or_else(|| settings.noise.clone().not_of(run)),
        None => settings.noise.clone().of_version(recorded.as_ref()),
    };
    let noise = noise::choose(&found, recorded.as_ref(), settings.repeating.count.is_some());
    let job = Job {
        misses,
        secrets,
        settings: &settings,
        selection: &selection,
        recorded: recorded.as_ref(),
        run,
        ledger: Arc::clone(&ledger),
        noise,
        held: Held::to(settings.resume.as_ref().map(|resumed| resumed.held.clone()).unwrap_or_default()),
    };
    if settings.resume.is_none() {
        job.began(&found);
    }
    let refused = job.hold_files().and_then(|()| Ok(job.refuse_beside()?));
    let played = match refused {
        Ok(()) => job.play(&watched).await,
        Err(error) => Err(error),
    };
    let result = match played {
        Ok(played) => job.conclude(played),
        Err(error) => Err(error),
    };
    let Err(error) = result else { return result };
    if settings.resume.is_some() && !ledger.has_judged() {
        // Its file is what it was.
        return Err(error);
    }
    if ledger.has_judged() {
        ledger.keep_all();
        return Err(ReplayError::CutOff { run, source: Box::new(error) });
    }
    // Nothing was judged, so there is no run to keep.
    drop(std::fs::remove_file(settings.runs_folder.join(format!("{run}.{}", bundle::EXTENSION))));
    Err(error)
}

/// How a replay is watched and stopped.
pub struct Watched<'a> {
    /// Called as it goes on.
    pub progress: &'a (dyn Fn(Progressed) + Send + Sync),
    /// Becomes true when the user wants it to stop.
    pub stop: watch::Receiver<bool>,
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progressed {
    /// Exchanges done of this repeat.
    pub done: u64,
    /// Exchanges in all.
    pub total: u64,
    /// The number of this repeat, from 0.
    pub repeat: u32,
    /// Repeats that are to be.
    pub repeats: u32,
    /// Repeats before it in which an exchange failed.
    pub failed: u64,
}

/// What a replay came to before it is written down.
pub(crate) struct Played {
    pub(crate) preparation: Preparation,
    pub(crate) aftermath: Aftermath,
    pub(crate) judgement: Judgement,
    pub(crate) void: Option<Void>,
    pub(crate) interrupted: bool,
    pub(crate) repeats: Count,
    pub(crate) gates: Option<GateCounts>,
}

impl Played {
    pub(crate) fn void(fallen: Fallen) -> Self {
        let Fallen { void, preparation, aftermath } = fallen;
        Self {
            preparation,
            aftermath,
            judgement: Judgement::default(),
            void: Some(void),
            interrupted: false,
            gates: None,
            repeats: Count::default(),
        }
    }
}

impl Job<'_> {
    async fn play(&self, watched: &Watched<'_>) -> Result<Played, ReplayError> {
        let machine = self.machine().await;
        let environment =
            self.recorded.map(|it| environment::differences(&it.host, &machine.environment)).unwrap_or_default();
        let wanted = self.recorded.map(|recorded| identity_words(&recorded.subject)).unwrap_or_default();
        let pinned = Pinned { wanted, ..Pinned::default() };
        let processors = Processors::of(self.recorded, machine.environment.cpu_count);
        let mut preparation = Preparation { environment, pinned, processors, ..Preparation::default() };
        if self.secrets.len() > 0 {
            preparation.supplied.push(format!("{} of the recorded secrets, by `--secrets`", self.secrets.len()));
        }
        let starts_it = matches!(self.settings.against, Against::Recorded | Against::Image(_));
        let obstacle = self.recorded.and_then(|it| environment::obstacle(it, &machine)).filter(|_| starts_it);
        if let Some(void) = obstacle.or_else(|| self.forbidden_difference(&preparation)) {
            return Ok(Played::void(Fallen { void, preparation, aftermath: Aftermath::default() }));
        }
        self.play_repeats(preparation, &machine.environment, watched).await
    }

    /// The machine that the service runs on: the engine's for a container. An engine that does not answer is met when the
    /// container is to be started.
    async fn machine(&self) -> Machine {
        let told = match self.runs_container() {
            true => async { Docker::connect().await?.machine().await }.await.ok(),
            false => None,
        };
        told.unwrap_or_else(Machine::here)
    }

    pub(crate) fn runs_container(&self) -> bool {
        match self.settings.against {
            Against::Image(_) => true,
            Against::Recorded => self.recorded_container().is_some(),
            Against::Process(_) | Against::Url(_) => false,
        }
    }

    /// With `--strict-env`: what differs from the recorded environment, or stands for something recorded and is another. Names
    /// that lead to the recorded answers, and what was given and is what was recorded, differ from nothing.
    fn forbidden_difference(&self, preparation: &Preparation) -> Option<Void> {
        if !self.settings.strict_environment {
            return None;
        }
        let difference = preparation.environment.first();
        let words =
            difference.map(|first| format!("{} was {}, and is {} here", first.what, first.recorded, first.here));
        words.or_else(|| preparation.replacements.first().cloned()).map(|words| Void {
            reason: format!("`--strict-env`: {words}"),
            help: "replay without `--strict-env` to get a warning instead".to_owned(),
            ..Void::default()
        })
    }

    pub(crate) async fn start(&self, answerer: &Arc<Answerer>, preparation: &mut Preparation) -> Result<Started, Halt> {
        match &self.settings.against {
            Against::Image(reference) => container::start(self, Some(reference), answerer, preparation).await,
            Against::Process(command) => process::start(self, Some(command), answerer, preparation).await,
            Against::Url(url) => target::start(url, preparation),
            Against::Recorded => match self.recorded.map(|recorded| &recorded.subject) {
                Some(Subject::Container(_)) => container::start(self, None, answerer, preparation).await,
                Some(Subject::Process(_)) => process::start(self, None, answerer, preparation).await,
                Some(Subject::Unknown) | None => Err(ReplayError::NothingPinned.into()),
            },
        }
    }

    /// Why a started service is not sent anything, if so, and whether that is because something here is forbidden.
    pub(crate) async fn why_not_sent(
        &self,
        started: &mut Started,
        preparation: &mut Preparation,
        watched: &Watched<'_>,
    ) -> Option<(Void, bool)> {
        match self.forbidden_difference(preparation) {
            Some(void) => Some((void, true)),
            None => {
                let void = self.not_ready(started, preparation, watched).await;
                let reached = started.doorway.reached();
                say_reached(&mut preparation.controls, &self.settings.determinism, reached.as_ref());
                Some((void.or_else(|| self.falls_short(preparation, false))?, false))
            }
        }
    }

    /// Why nothing was judged, with what was seen of the service since.
    pub(crate) fn explained(&self, mut void: Void, is_forbidden: bool, aftermath: &Aftermath) -> Void {
        // A health check's command may hold a secret.
        self.secrets.conceal_text(&mut void.reason);
        let void = with_end(with_last_lines(void, aftermath), aftermath);
        if is_forbidden { void } else { absent::explain(void, &aftermath.egress, &self.listeners()) }
    }

    /// Waits until the service is ready; gives back why it is not sent anything, if so.
    async fn not_ready(
        &self,
        started: &mut Started,
        preparation: &mut Preparation,
        watched: &Watched<'_>,
    ) -> Option<Void> {
        let mut stop = watched.stop.clone();
        let wanted = Ready::of(self.settings.ready_path.as_deref(), started.health.as_ref());
        let ready = tokio::select! {
            biased;
            () = told_to_stop(&mut stop) => Err(Void {
                reason: "the replay was interrupted before the service was ready".to_owned(),
                ..Void::default()
            }),
            ready = self.begin(&wanted, started) => ready,
        };
        match ready {
            Ok((beside, how)) => {
                preparation.beside.iter_mut().zip(beside).for_each(|(one, how)| one.ready = Some(how));
                preparation.ready = Some(how);
                self.let_clocks_go(started, preparation).await;
                None
            }
            Err(void) => Some(void),
        }
    }

    /// Clocks that stood still until the service was ready go on.
    async fn let_clocks_go(&self, started: &Started, preparation: &mut Preparation) {
        if self.settings.determinism.why_off(Control::Monotonic).is_some() {
            return;
        }
        if let Err(reason) = started.doorway.say_ready().await {
            preparation.controls.say(Control::Monotonic, State::Failed, vec![reason]);
        }
    }

    /// What runs beside the service first, then the service itself: how each was known to be ready.
    async fn begin(&self, wanted: &Ready, started: &mut Started) -> Result<(Vec<String>, String), Void> {
        let patience = self.settings.ready_timeout;
        let beside = started.running.begin(patience).await?;
        Ok((beside, wanted.wait(started, patience, &self.settings.clock).await?))
    }

    /// Ends what ran; what seems dead is first left the time to show that it ended by itself. What it logged may hold
    /// secrets, as every text of the service.
    pub(crate) async fn finish(&self, mut running: Box<dyn Running>, seems_dead: bool) -> Aftermath {
        if seems_dead {
            let gone = async {
                while running.gone().is_none() {
                    tokio::time::sleep(DYING_RETRY).await;
                }
            };
            // One that only refuses connections lives on, and is ended below.
            drop(tokio::time::timeout(DYING_PATIENCE, gone).await);
        }
        let mut aftermath = running.finish().await;
        let beside = aftermath.beside.iter_mut().flat_map(|ended| &mut ended.logs);
        for line in aftermath.logs.iter_mut().chain(beside) {
            self.secrets.conceal_text(&mut line.text);
            line.text = self.ledger.redactor().text(&line.text).0;
        }
        aftermath
    }

    /// What the run's exchanges ran in: this machine, and the recorded image or program only where it was that one.
    pub(crate) fn fingerprint_here(&self, preparation: &Preparation, here: HostEnvironment) -> Fingerprint {
        match self.recorded.filter(|_| preparation.pinned.relation.is_same()) {
            Some(recorded) => Fingerprint { host: here, ..recorded.clone() },
            None => Fingerprint { subject: Subject::Unknown, host: here, packages: Vec::new() },
        }
    }

    pub(crate) fn answerer(&self) -> Result<Arc<Answerer>, ReplayError> {
        let parts = AnswererParts {
            archive: Arc::clone(&self.settings.archive),
            rules: self.settings.rules.clone(),
            noise: Arc::clone(&self.noise.noise),
            reuse: false,
            secrets: Arc::clone(&self.secrets),
            ledger: Some(Arc::clone(&self.ledger)),
            run: self.run,
            target: self.target_words(),
            clock: Arc::clone(&self.settings.clock),
            forward: Forward::of(&self.settings.archive, None).map_err(ReplayError::Prepare)?,
            misses: Some(Arc::clone(&self.misses)),
            speed: self.settings.pacing.timing.speed(),
            copies: self.settings.repeating.copies,
            in_order: self.settings.determinism.why_off(Control::Answers).is_none(),
        };
        Ok(Arc::new(Answerer::new(self.selection, parts)?))
    }

    /// Where the captures listened.
    fn listeners(&self) -> Vec<&exchange::Listener> {
        self.settings.archive.sessions().iter().flat_map(|session| &session.listeners).collect()
    }

    fn target_words(&self) -> String {
        match &self.settings.against {
            Against::Recorded => "as recorded".to_owned(),
            Against::Image(reference) => reference.clone(),
            Against::Process(command) => self.ledger.redactor().text(&command.join(" ")).0,
            Against::Url(url) => self.ledger.redactor().text(url).0,
        }
    }

    fn conclude(self, played: Played) -> Result<Replayed, ReplayError> {
        let Played { mut preparation, aftermath, judgement, void, interrupted, mut repeats, gates } = played;
        let took = self.selection.chosen.iter().map(|it| it.times.ended_ns.saturating_sub(it.times.started_ns));
        let punctuality = std::mem::take(&mut repeats.punctuality).conclude(self.settings.pacing, took.collect());
        // What a real dependency answers is no recorded one's: there is no level with it.
        preparation.is_pinned &= self.settings.live.is_empty();
        // Of a call that is gone a finding is to be told; a pass, or a finding in another order, proves nothing at this level.
        let has_finding = judgement.tally.exit_code() == 1;
        let lost_order = gates.is_some_and(|it| it.overtaken > 0 || it.opened > 0 && !has_finding);
        let void = void.or_else(|| self.falls_short(&preparation, lost_order));
        let resumed = repeats.resumed;
        let run_results = RunResults::of(&judgement.results);
        let is_void = void.is_some();
        let seeded = seed_words(self.settings.seed, repeats.seeded);
        let replayed = judgement.results.iter().filter(|result| result.replayed_id.is_some()).count() as u64;
        let determinism = self.determinism(&preparation, gates, replayed > 0);
        let proof_of_repeats = weigh(&self, repeats, &judgement, (&preparation, &determinism)).filter(|_| !is_void);
        let receipt = Receipt {
            run: self.run,
            void,
            sources: vec![self.settings.source.clone()],
            pinned: preparation.pinned,
            recorded_in: environments_of(self.selection),
            uncertain: self.selection.chosen.iter().filter(|exchange| exchange.context.doubt.is_some()).count() as u64,
            replayed,
            skipped: self.selection.skipped.clone(),
            answers: judgement.answers,
            absent: absent::absent(&aftermath.egress, &self.listeners()),
            misses: self.misses.counts(),
            egress: aftermath.egress,
            determinism,
            replacements: [preparation.supplied, preparation.replacements, seeded].concat(),
            ready: preparation.ready,
            injected: preparation.injected,
            beside: preparation.beside,
            punctuality: punctuality.map(Box::new),
            repeats: proof_of_repeats,
            environment: preparation.environment,
            noise: self.noise.proof(judgement.noise, &judgement.results),
            rules: judgement.rules,
            headers_not_compared: headers_not_compared(),
            tally: judgement.tally,
            outcome_digest: judgement.outcome_digest,
            service_ended: aftermath.service_ended,
            interrupted,
            resumed,
            skipped_more: 0,
            left_out: run_results.left_out,
        };
        if receipt.repeats.is_some() {
            let answers = profile(&self, &receipt.pinned, judgement.learned);
            let calls = profile(&self, &receipt.pinned, judgement.learned_of_calls);
            let calls = calls.filter(|profile| !profile.places.is_empty());
            answers.into_iter().chain(calls).for_each(|profile| self.ledger.append_noise(profile));
        }
        self.ledger.append_logs(aftermath.logs);
        aftermath.beside.into_iter().for_each(|ended| self.ledger.append_logs(ended.named_lines()));
        let record = Run {
            id: self.run,
            tool_version: self.settings.tool_version.clone(),
            started: ClockPair { monotonic_ns: 0, wall_unix_ns: self.settings.started_unix_ns },
            sources: self.settings.source.digest.into_iter().collect(),
            receipt: receipt_record(&receipt),
            comparison: serde_json::Value::Array(run_results.first),
            comparison_more: run_results.more.iter().map(Vec::len).sum::<usize>() as u64,
        };
        for more in run_results.more {
            self.ledger.append_event(RUN_RESULTS, (self.settings.clock)(), serde_json::Value::Array(more));
        }
        let run_path = self.ledger.path().to_owned();
        self.ledger.seal(record)?;
        Ok(Replayed { receipt, results: judgement.results, run_path })
    }
}

impl Job<'_> {
    /// The level that held, and what it took.
    fn determinism(&self, preparation: &Preparation, gates: Option<GateCounts>, has_sent: bool) -> Determinism {
        let asked = &self.settings.determinism;
        let order = self.settings.order;
        let is_pinned = preparation.is_pinned;
        let was_prepared = is_pinned || !preparation.controls.is_empty();
        let controls = if was_prepared { preparation.controls.all(asked) } else { Vec::new() };
        let (level, short) = determinism::level_of(&controls, asked.level);
        let exclusions = determinism::exclusions(level, order);
        // Where nothing was sent nothing was held, whatever was at hand.
        let holds = is_pinned && has_sent;
        let left_random = determinism::left_random(&controls, level);
        let not_gated = gates.and_then(|_| determinism::not_gated(self.selection.expected_calls()));
        let without_gates = gates.and_then(|_| determinism::without_gates(&self.selection.calls));
        Determinism {
            level: holds.then_some(level),
            asked: asked.level,
            short: short.filter(|_| holds),
            exclusions: if has_sent {
                let troubles = preparation.controls.troubles();
                // What is of this replay first: a page that has room for some of it shows that.
                let of_this = troubles.iter().cloned().chain(not_gated).chain(without_gates).chain(left_random);
                of_this.chain(exclusions).collect()
            } else {
                Vec::new()
            },
            controls,
            gates,
            order: if has_sent { order.word() } else { NOTHING_SENT }.to_owned(),
            timing: if has_sent { self.settings.pacing.words() } else { NOTHING_SENT.to_owned() },
        }
    }

    /// Why nothing is judged where the level that is required cannot be had, as far as that is known before the first request,
    /// or did not hold to the end; `lost_order` where answers did not keep the recorded one.
    fn falls_short(&self, preparation: &Preparation, lost_order: bool) -> Option<Void> {
        let required = self.settings.determinism.required?;
        let mut controls = preparation.controls.clone();
        if self.settings.determinism.why_off(Control::Answers).is_none() && !lost_order {
            controls.say(Control::Answers, State::On, Vec::new());
        }
        let (level, short) = determinism::level_of(&controls.all(&self.settings.determinism), required);
        if preparation.is_pinned && level >= required {
            return None;
        }
        let why = match (preparation.is_pinned, short) {
            (false, _) => "what runs is not what was recorded".to_owned(),
            (true, short) => short.unwrap_or_default(),
        };
        Some(Void {
            reason: format!("`--require-determinism {required}`: {why}"),
            help: "replay without it to be told the level that is reached".to_owned(),
            ..Void::default()
        })
    }
}

/// A dependency that was never recorded is never missed: its name is a mistake.
fn refuse_unknown(settings: &Settings, selection: &Selection) -> Result<(), ReplayError> {
    let known: BTreeSet<&str> = selection.calls.iter().filter_map(|call| call.role.dependency()).collect();
    let unknown = settings.live.iter().find(|given| !known.contains(given.name.as_str()));
    unknown.map_or(Ok(()), |given| {
        let known = known.into_iter().map(str::to_owned).collect();
        Err(ReplayError::NoSuchDependency { name: given.name.clone(), known })
    })
}

/// In how many of the requests that were sent `--seed` was set.
fn seed_words(seed: Option<u32>, (sent, seeded): (u64, u64)) -> Vec<String> {
    let words = |seed| match seeded {
        0 => format!("no seed: none of {sent} requests has a place for {seed}"),
        _ => format!("seed {seed} in {seeded} of {sent} requests, by `--seed`"),
    };
    seed.filter(|_| sent > 0).map(words).into_iter().collect()
}

/// Adds what the service wrote last, unless something else's last lines say why.
fn with_last_lines(void: Void, aftermath: &Aftermath) -> Void {
    let last_lines = if void.last_lines.is_empty() { last_lines(&aftermath.logs) } else { void.last_lines };
    Void { last_lines, ..void }
}

/// Adds how the service ended, where that is why.
fn with_end(void: Void, aftermath: &Aftermath) -> Void {
    if void.reason != ENDED {
        return void;
    }
    let how = aftermath.service_ended.as_deref().and_then(|how| how.strip_prefix("by itself"));
    let silent = if void.last_lines.is_empty() { "; it wrote nothing" } else { "" };
    Void { reason: format!("{ENDED}{}{silent}", how.unwrap_or_default()), ..void }
}

/// Fields that are not compared; trailers are none of the head's, and are not looked at either.
fn headers_not_compared() -> Vec<String> {
    let mut names = diff::headers_not_compared();
    names.push("(trailers)".to_owned());
    names
}

/// What identifies a recorded subject, in a few words; nothing where it is not known.
pub(crate) fn identity_words(subject: &Subject) -> String {
    match subject {
        Subject::Container(container) => container::name_of(&container.image),
        Subject::Process(process) => process::identity_words(process),
        _ => String::new(),
    }
}

/// The fingerprint that all chosen exchanges share, as far as what ran is concerned.
fn recorded_fingerprint(settings: &Settings, selection: &Selection) -> Result<Option<Fingerprint>, ReplayError> {
    let digests = environments_of(selection);
    let mut found: Vec<Fingerprint> = Vec::new();
    for digest in &digests {
        let Some(fingerprint) = settings.archive.fingerprint(digest)? else { continue };
        if found.iter().all(|other| !same_subject(&other.subject, &fingerprint.subject)) {
            found.push(fingerprint);
        }
    }
    match (found.len(), &settings.against) {
        (2.., Against::Recorded) => Err(ReplayError::SeveralTargets { count: found.len() }),
        _ => Ok(found.into_iter().next()),
    }
}

/// The fingerprints of the chosen exchanges, in the order of their first exchanges.
fn environments_of(selection: &Selection) -> Vec<Digest> {
    let mut digests = Vec::new();
    for digest in selection.chosen.iter().filter_map(|exchange| exchange.fingerprint) {
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    digests
}

/// The exchanges of a recording, or those among `only`, as they have to be replayed: those of one environment together, in
/// the order of their first exchanges. Environments that differ in names and addresses alone count as one.
///
/// # Errors
/// As [`replay`], where what is recorded cannot be read or nothing can be replayed.
pub fn by_environment(archive: &Archive, only: &[Id]) -> Result<Vec<Vec<Id>>, ReplayError> {
    let selection = Selection::of(archive, only)?;
    let mut kinds: Vec<(Fingerprint, BTreeSet<Digest>, Vec<Id>)> = Vec::new();
    // Those of which no environment is known, and those that cannot be replayed, go with the first.
    let mut others: Vec<Id> = selection.skipped.iter().map(|skipped| skipped.id).collect();
    for exchange in &selection.chosen {
        let Some(digest) = exchange.fingerprint else {
            others.push(exchange.id);
            continue;
        };
        if let Some((_, _, ids)) = kinds.iter_mut().find(|(_, digests, _)| digests.contains(&digest)) {
            ids.push(exchange.id);
            continue;
        }
        let Some(fingerprint) = archive.fingerprint(&digest)? else {
            others.push(exchange.id);
            continue;
        };
        match kinds.iter_mut().find(|(other, ..)| other.is_like(&fingerprint)) {
            Some((_, digests, ids)) => {
                digests.insert(digest);
                ids.push(exchange.id);
            }
            None => kinds.push((fingerprint, BTreeSet::from([digest]), vec![exchange.id])),
        }
    }
    // What is known to be replayable first: an environment that was not seen ends in an error.
    kinds.sort_by_key(|(fingerprint, ..)| matches!(fingerprint.subject, Subject::Unknown));
    let mut groups: Vec<Vec<Id>> = kinds.into_iter().map(|(_, _, ids)| ids).collect();
    match groups.first_mut() {
        Some(first) => first.extend(others),
        None => groups.push(others),
    }
    Ok(groups)
}

/// The pseudonyms of the recording, sorted: they stay as they are wherever the service passes them on.
fn pseudonyms_of(selection: &Selection, recorded: Option<&Fingerprint>) -> Vec<Vec<u8>> {
    let in_heads = selection.chosen.iter().chain(&selection.calls).flat_map(pseudonyms_in).map(|found| found.value);
    let in_commands = recorded.into_iter().flat_map(environment::pseudonyms_in_commands);
    let found: BTreeSet<Vec<u8>> = in_heads.chain(in_commands).collect();
    found.into_iter().collect()
}

/// What stands for secrets in the heads of an exchange.
pub(crate) fn pseudonyms_in(exchange: &exchange::Exchange) -> Vec<Found> {
    // Only places are looked up: the key does not matter.
    let finder = Redactor::new([0; 32], &Extra::default());
    let mut found = finder.found_in_request(&exchange.request.head);
    found.extend(exchange.response.iter().flat_map(|response| finder.found_in_response(&response.head)));
    found
}

/// The secrets that were given: in a file, and as variables that were recorded as secrets.
fn secrets_of(
    settings: &Settings,
    recorded: Option<&Fingerprint>,
    pseudonyms: &[Vec<u8>],
) -> Result<Secrets, ReplayError> {
    let mut secrets = match &settings.secrets {
        None => Secrets::default(),
        Some(file) => Secrets::read(&file.text, pseudonyms)
            .map_err(|source| ReplayError::Secrets { path: file.path.clone(), source })?,
    };
    for variable in recorded.iter().flat_map(|recorded| recorded.variables()) {
        let given = settings.given.iter().rev().find(|given| given.name == variable.name);
        if let (Some(given), VariableValue::Secret { stand_in, .. }) = (given, &variable.value) {
            secrets.hide(given.value.clone().into_bytes(), stand_in.clone().into_bytes());
        }
    }
    Ok(secrets)
}

fn same_subject(one: &Subject, other: &Subject) -> bool {
    match (one, other) {
        (Subject::Container(one), Subject::Container(other)) => host::same_image(&one.image, &other.image).is_some(),
        (Subject::Process(one), Subject::Process(other)) => {
            one.digest == other.digest && one.arguments == other.arguments
        }
        (one, other) => one == other,
    }
}

pub(crate) fn new_id() -> Result<Id, ReplayError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ReplayError::Prepare(std::io::Error::other(error)))?;
    Ok(Id(bytes))
}

fn new_key() -> Result<[u8; 32], ReplayError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| ReplayError::Prepare(std::io::Error::other(error)))?;
    Ok(key)
}
