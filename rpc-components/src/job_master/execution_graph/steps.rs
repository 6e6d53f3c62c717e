//! The steps that events consist of, and who is where. Pure.

use std::mem;

use super::state::{JobEvent, TaskEvent, TaskStep, next_state, next_status};
use super::{Execution, ExecutionGraph, GraphAction};
use crate::gateway::{ExecutionState, FailureKind, TaskIo, TaskManagerLocation};
use crate::id::{AllocationId, AttemptId, ResourceId};

/// What follows from an event.
impl ExecutionGraph {
    /// Says of a failure whose it is.
    pub(super) fn failure_of(&self, attempt: AttemptId, failure: Vec<String>) -> Vec<String> {
        let name = self.task_name(attempt);
        let place = self
            .location(attempt)
            .map_or_else(String::new, |location| format!(" on {}", location.resource));
        let mut chain = vec![format!("task {name} failed{place}")];
        chain.extend(failure);
        chain
    }

    /// Fails attempts for a reason that comes from where they are: it counts also for those that are
    /// being cancelled, which had failed before they heard of it.
    pub(super) fn fail_attempts_by(
        &mut self,
        attempts: &[AttemptId],
        failure: &[String],
        kind: FailureKind,
        now_ms: u64,
        actions: &mut Vec<GraphAction>,
    ) {
        let mut failed = Vec::new();
        for attempt in attempts {
            failed.extend(self.apply(*attempt, TaskEvent::Failed).map(|_| *attempt));
        }
        if let Some(first) = failed.first() {
            self.handle_task_failure(*first, failure.to_vec(), kind, now_ms, actions);
        }
        self.end_if_done(now_ms, actions);
    }

    /// Fails attempts, all before what follows from it, so that none of them is cancelled too.
    pub(super) fn fail_attempts(
        &mut self,
        attempts: impl IntoIterator<Item = AttemptId>,
        failure: Vec<String>,
        now_ms: u64,
        actions: &mut Vec<GraphAction>,
    ) {
        let mut first = None;
        for attempt in attempts {
            if self.apply(attempt, TaskEvent::Failed) == Some(ExecutionState::Failed) {
                first = first.or(Some(attempt));
            }
        }
        if let Some(attempt) = first {
            let kind = FailureKind::Recoverable;
            self.handle_task_failure(attempt, failure, kind, now_ms, actions);
        }
        self.end_if_done(now_ms, actions);
    }

    /// Fails the job; later failures are not told.
    pub(super) fn fail_job(&mut self, failure: Vec<String>, actions: &mut Vec<GraphAction>) {
        if self.change(JobEvent::Failure, actions) {
            self.failure = self.config.shorten(failure);
            self.cancel_all(actions);
        }
    }

    pub(super) fn cancel_all(&mut self, actions: &mut Vec<GraphAction>) {
        for attempt in self.attempts(|execution| !execution.state.is_terminal()) {
            if self.apply(attempt, TaskEvent::Cancel) == Some(ExecutionState::Canceling) {
                self.push_cancel(attempt, actions);
            }
        }
    }

    pub(super) fn push_cancel(&self, attempt: AttemptId, actions: &mut Vec<GraphAction>) {
        if let Some(location) = self.location(attempt) {
            actions.push(GraphAction::CancelTask {
                attempt,
                task_manager: location.resource.clone(),
            });
        }
    }

    pub(super) fn end_if_done(&mut self, now_ms: u64, actions: &mut Vec<GraphAction>) {
        let ends = next_status(self.status, JobEvent::AllEnded).is_some();
        if ends && self.unended == 0 {
            self.ended_ms = Some(now_ms);
            actions.push(GraphAction::ReleaseSlots);
            self.change(JobEvent::AllEnded, actions);
        }
        self.restart_if_ready(now_ms, actions);
    }

    pub(super) fn change(&mut self, event: JobEvent, actions: &mut Vec<GraphAction>) -> bool {
        let Some(status) = next_status(self.status, event) else {
            return false;
        };
        self.status = status;
        actions.push(GraphAction::JobStatusChanged { status });
        true
    }

    /// Takes an attempt's step; returns its state if that is another now.
    pub(super) fn apply(&mut self, attempt: AttemptId, event: TaskEvent) -> Option<ExecutionState> {
        let execution = self.execution_mut(attempt)?;
        let TaskStep::To(state) = next_state(execution.state, event) else {
            return None;
        };
        execution.state = state;
        if state.is_terminal() {
            self.unended -= 1;
        }
        Some(state)
    }
}

/// What is where.
impl ExecutionGraph {
    pub(super) fn execution(&self, attempt: AttemptId) -> Option<&Execution> {
        let vertex = self.executions.get(attempt.vertex.0 as usize)?;
        let execution = vertex.get(attempt.subtask as usize)?;
        (execution.attempt == attempt).then_some(execution)
    }

    pub(super) fn execution_mut(&mut self, attempt: AttemptId) -> Option<&mut Execution> {
        let vertex = self.executions.get_mut(attempt.vertex.0 as usize)?;
        let execution = vertex.get_mut(attempt.subtask as usize)?;
        (execution.attempt == attempt).then_some(execution)
    }

    /// Returns the attempts that are such, producers before their consumers.
    pub(super) fn attempts(&self, mut is_such: impl FnMut(&Execution) -> bool) -> Vec<AttemptId> {
        let all = self.executions.iter().flatten();
        all.filter(|execution| is_such(execution))
            .map(|execution| execution.attempt)
            .collect()
    }

    pub(super) fn unended_at(&self, task_manager: &ResourceId) -> Vec<AttemptId> {
        self.unended_in(|(_, location)| location.resource == *task_manager)
    }

    /// Returns the first attempt that has not ended and reads from a TaskManager.
    pub(super) fn reader_of(&self, task_manager: &ResourceId) -> Option<AttemptId> {
        let reads = |reader| {
            let gates = self.inputs(reader).into_iter();
            let mut channels = gates.flat_map(|it| it.channels);
            channels.any(|it| it.task_manager == *task_manager)
        };
        let mut unended = self.attempts(|it| !it.state.is_terminal()).into_iter();
        unended.find(|reader| reads(*reader))
    }

    pub(super) fn unended_in(
        &self,
        is_such: impl Fn(&(AllocationId, TaskManagerLocation)) -> bool,
    ) -> Vec<AttemptId> {
        self.attempts(|execution| {
            !execution.state.is_terminal() && self.slot(execution.attempt).is_some_and(&is_such)
        })
    }

    pub(super) fn report_present(&mut self, attempt: AttemptId, io: TaskIo) {
        if let Some(execution) = self.execution_mut(attempt) {
            execution.io = io;
            execution.is_missed = false;
        }
    }

    /// Takes note that a report lacks an attempt; returns whether that is a failure.
    pub(super) fn report_absent(&mut self, attempt: AttemptId) -> bool {
        let Some(execution) = self
            .execution_mut(attempt)
            .filter(|known| known.is_deployed)
        else {
            return false;
        };
        mem::replace(&mut execution.is_missed, true)
    }

    pub(super) fn slot(&self, attempt: AttemptId) -> Option<&(AllocationId, TaskManagerLocation)> {
        self.slots.get(attempt.subtask as usize)
    }

    pub(super) fn location(&self, attempt: AttemptId) -> Option<&TaskManagerLocation> {
        self.slot(attempt).map(|(_, location)| location)
    }
}
