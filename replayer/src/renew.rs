//! Starts the service anew in the container that it had, between two repeats.
//!
//! In: a service that was sent a repeat. Out: that repeat's judgement, and the service of the next one. The init ends all its
//! processes and starts the entrypoint with the same seeds; the container is kept only where nothing of the repeat is left in
//! it, else the next repeat gets a fresh one, and the receipt counts it with the reason.

use std::time::Duration;

use crate::{
    job::{Halt, Started},
    judge::Judgement,
    receipt::Void,
    repeat::{Fallen, Outcomes, Repeats, Service, is_no_pass, seems_dead},
};

/// How long what an ended service has said may take to come through the bridge. A choice: it is there already.
const QUIET_PATIENCE: Duration = Duration::from_secs(2);

impl Repeats<'_, '_> {
    /// True where the same container starts its service anew after a repeat, unless something turns out to be left in it.
    /// Counts what the next repeat gets otherwise.
    pub(crate) fn renews(&mut self, service: &Service, outcomes: Option<&Outcomes>) -> bool {
        let Some(outcomes) = outcomes.filter(|_| self.repeating.renews() && self.has_next()) else {
            return false;
        };
        if !self.job.runs_container() {
            self.tried.resets.processes += 1;
            return false;
        }
        let dead = seems_dead(outcomes).then(|| "the service had ended".to_owned());
        let why = dead.or_else(|| service.started.running.why_not_anew());
        why.map(|why| self.tried.resets.fresh(why)).is_none()
    }

    /// Stops the service, judges each copy, and has the next one ready.
    pub(crate) async fn renew(&mut self, mut service: Service, outcomes: &Outcomes) -> Vec<Judgement> {
        let stopped = service.started.running.stop_service().await;
        service.answerer.quiet(QUIET_PATIENCE).await;
        let judgements = self.job.judge_now(&service, outcomes);
        self.tried.preparation.get_or_insert_with(|| service.preparation.clone());
        let mut results = judgements.iter().flat_map(|judgement| &judgement.results);
        let is_last = self.repeating.until_failure && results.any(is_no_pass);
        match stopped {
            _ if is_last || !self.has_next() => self.leave(service).await,
            Ok(()) => {
                self.tried.resets.processes += 1;
                self.standing = Some(self.started_anew(service).await);
            }
            Err(left) => {
                self.tried.resets.fresh(left);
                self.leave(service).await;
            }
        }
        judgements
    }

    async fn started_anew(&self, mut service: Service) -> Result<Service, Halt> {
        service.answerer.forget_connections();
        let Err(reason) = service.started.running.start_anew().await else {
            return self.job.made_ready(service, self.watched).await;
        };
        let Service { started, preparation, .. } = service;
        let aftermath = self.job.let_go(started).await;
        let void = Void { reason: format!("the service was not started anew: {reason}"), ..Void::default() };
        Err(Halt::Fallen(Box::new(Fallen { void, preparation, aftermath })))
    }

    /// Ends a container whose repeats have been judged.
    async fn leave(&mut self, service: Service) {
        let Service { started, answerer, .. } = service;
        let Started { calls_observed, .. } = started;
        let aftermath = self.job.let_go(started).await;
        self.tried.ended(aftermath, self.job);
        self.tried.gated(answerer.gate_counts().filter(|_| calls_observed));
    }

    fn has_next(&self) -> bool {
        !self.left.is_empty() && !self.is_stopped()
    }
}
