//! What the failure of a task means for the job, and how all of it begins anew. Pure.
//!
//! ```text
//!  a task fails ─▶ all are cancelled ─┬─▶ all have ended ─────┬─▶ new attempts wait for slots
//!                                     └─▶ the delay is over ──┘
//! ```
//!
//! As Flink's `DefaultScheduler` with its `ExecutionFailureHandler`, for jobs that are one pipelined
//! region: every restart is one of all tasks, from the beginning of what they read.

use std::time::Duration;

use super::state::JobEvent;
use super::{Execution, ExecutionGraph, GraphAction};
use crate::gateway::{FailureKind, JobStatus, RestartCause};
use crate::id::AttemptId;
use crate::job_graph::RestartStrategy;
use crate::job_master::restart::RestartDecision;

impl ExecutionGraph {
    /// Takes note that a client was given what the sinks print: a restart would print it twice, and
    /// there is none any more.
    pub(crate) const fn results_given(&mut self) {
        self.has_given_results = true;
    }

    /// Returns why the job was restarted last.
    pub(crate) fn restart_cause(&self) -> &[String] {
        let cause = self.restart_causes.back();
        cause.map_or(&[], |cause| &cause.failure)
    }

    /// Takes the end of the delay before a restart; that before an earlier one says nothing.
    pub(crate) fn restart_due(&mut self, restart: u32, now_ms: u64) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        if self.restarts == restart {
            self.is_restart_due = true;
            self.restart_if_ready(now_ms, &mut actions);
        }
        actions
    }

    /// Decides what the failure of a task means for the job.
    pub(super) fn handle_task_failure(
        &mut self,
        attempt: AttemptId,
        failure: Vec<String>,
        kind: FailureKind,
        now_ms: u64,
        actions: &mut Vec<GraphAction>,
    ) {
        let failure = self.failure_of(attempt, failure);
        match self.status {
            JobStatus::Running | JobStatus::Restarting if kind == FailureKind::Fatal => {
                self.forget_restart_by_neighbour();
                self.fail_job(failure, actions);
            }
            JobStatus::Running | JobStatus::Restarting => match self.decide(now_ms) {
                RestartDecision::Merged => self.found_root(failure, kind),
                RestartDecision::RestartAfter(delay) => {
                    self.fails_by_neighbour = kind == FailureKind::Neighbour;
                    self.begin_restart(failure, delay, now_ms, actions);
                }
                RestartDecision::Suppressed => {
                    self.fails_by_neighbour = kind == FailureKind::Neighbour;
                    self.fail_job(failure, actions);
                }
            },
            JobStatus::Failing => self.found_root(failure, kind),
            _ => {}
        }
    }

    /// Asks the strategy, and says why if it allows no restart.
    fn decide(&mut self, now_ms: u64) -> RestartDecision {
        if self.has_given_results && self.status == JobStatus::Running {
            self.suppressed = Some(String::from(RESULTS_GIVEN));
            return RestartDecision::Suppressed;
        }
        let decision = self.backoff.failed(now_ms);
        let strategy = self.backoff.strategy();
        if decision == RestartDecision::Suppressed && *strategy != RestartStrategy::None {
            let times = match self.restarts {
                1 => String::from("once"),
                restarts => format!("{restarts} times"),
            };
            self.suppressed = Some(format!(
                "the job was restarted {times}, and its restart strategy {strategy} allows no more"
            ));
        }
        decision
    }

    fn begin_restart(
        &mut self,
        failure: Vec<String>,
        delay: Duration,
        now_ms: u64,
        actions: &mut Vec<GraphAction>,
    ) {
        self.restarts = self.restarts.saturating_add(1);
        self.is_restart_due = false;
        let failure = self.config.shorten_more(failure);
        let at_ms = now_ms;
        self.restart_causes
            .push_back(RestartCause { at_ms, failure });
        while self.restart_causes.len() > self.config.restart_causes_max {
            self.restart_causes.pop_front();
        }
        self.change(JobEvent::Restart, actions);
        self.cancel_all(actions);
        let restart = self.restarts;
        actions.push(GraphAction::RestartAfter { delay, restart });
    }

    /// What the neighbours of a task have heard of its failure has begun a restart that is none.
    fn forget_restart_by_neighbour(&mut self) {
        if self.status == JobStatus::Restarting && self.fails_by_neighbour {
            self.restarts = self.restarts.saturating_sub(1);
            self.restart_causes.pop_back();
        }
    }

    /// Lets the job fail or restart for this reason, if so far it does for one that follows from
    /// another: a task often hears that its neighbour is gone before the JobMaster hears why.
    fn found_root(&mut self, failure: Vec<String>, kind: FailureKind) {
        if !self.fails_by_neighbour || kind == FailureKind::Neighbour {
            return;
        }
        self.fails_by_neighbour = false;
        if self.status == JobStatus::Failing {
            self.failure = self.config.shorten(failure);
        } else if let Some(cause) = self.restart_causes.back_mut() {
            cause.failure = self.config.shorten_more(failure);
        }
    }

    /// Makes new attempts once nothing is left of the old ones and the delay is over.
    ///
    /// As `DefaultScheduler#restartTasks`, which waits for both.
    pub(super) fn restart_if_ready(&mut self, now_ms: u64, actions: &mut Vec<GraphAction>) {
        let is_ready = self.is_restart_due && self.unended == 0;
        if self.status != JobStatus::Restarting || !is_ready {
            return;
        }
        self.backoff.restarted(now_ms);
        self.fails_by_neighbour = false;
        self.slots.clear();
        for execution in self.executions.iter_mut().flatten() {
            let before = execution.attempt;
            *execution = Execution::new(AttemptId {
                attempt: before.attempt.saturating_add(1),
                ..before
            });
            self.unended += 1;
        }
        self.start_scheduling();
        actions.push(GraphAction::WaitForSlots);
    }
}

const RESULTS_GIVEN: &str = "the job cannot be restarted: some of what it printed was given to the \
                             client, and would be printed twice";
