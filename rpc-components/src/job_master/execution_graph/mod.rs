//! A job as it runs: every attempt, where it stands, and what is to be done next. Pure.
//!
//! A graph is made of a [`JobPlan`]. It waits for as many slots as its widest vertex has subtasks,
//! for subtask `i` of every vertex shares slot `i`; deploys all tasks once it has them; and follows
//! them to their ends. When one fails, all are ended and [restarted](restart), if the job's strategy
//! allows it. It does nothing itself: each event returns the [actions](GraphAction) that
//! the JobMaster is to take, in their order.
//!
//! Answers to Flink's `DefaultExecutionGraph`, `Execution` and `DefaultScheduler`, for jobs whose
//! tasks all run at once. Times are milliseconds since 1970, of a clock that is not set back, and are
//! passed in.

mod config;
mod deploy;
mod restart;
mod snapshot;
mod state;
mod steps;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

pub use self::config::ExecutionGraphConfig;
pub(crate) use self::config::PlanError;
use self::state::{JobEvent, TaskEvent, TaskStep, next_state};
use super::restart::RestartBackoff;
use crate::gateway::{
    ExecutionState, FailureKind, JobStatus, RestartCause, Shortage, TaskDeploymentDescriptor,
    TaskExecutionState, TaskExecutorReport, TaskIo, TaskManagerLocation, UnknownAttempt,
};
use crate::id::{AllocationId, AttemptId, ResourceId, VertexId};
use crate::job_graph::JobPlan;

/// What is to be done for a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GraphAction {
    /// Cancel the attempt at its TaskExecutor; tell if that [fails](ExecutionGraph::cancel_failed).
    CancelTask {
        attempt: AttemptId,
        task_manager: ResourceId,
    },
    /// Submit the task to the TaskExecutor; tell whether that [is done](ExecutionGraph::deployed)
    /// or [fails](ExecutionGraph::deploy_failed).
    Deploy(Box<Deploy>),
    /// Tell whom it concerns where the job stands now.
    JobStatusChanged { status: JobStatus },
    /// Return the job's slots. Comes once, before the job's last status.
    ReleaseSlots,
    /// Tell after that time [that it is over](ExecutionGraph::restart_due), and for which restart.
    RestartAfter { delay: Duration, restart: u32 },
    /// All tasks are to run anew: what their slots are is free, and the job waits for as many as
    /// before.
    WaitForSlots,
}

/// A task and where it is to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deploy {
    pub(crate) descriptor: TaskDeploymentDescriptor,
    pub(crate) task_manager: TaskManagerLocation,
}

/// A job as it runs.
#[derive(Debug)]
pub(crate) struct ExecutionGraph {
    config: ExecutionGraphConfig,
    plan: JobPlan,
    status: JobStatus,
    /// Why the job failed, the outermost cause first.
    failure: Vec<String>,
    /// Why it was not restarted instead, if that is worth telling.
    suppressed: Option<String>,
    /// Whether the job fails or restarts only for what a task told whose neighbour was gone.
    fails_by_neighbour: bool,
    backoff: RestartBackoff,
    /// How often the job was restarted, or began to be.
    restarts: u32,
    /// Why, as far as it is remembered.
    restart_causes: VecDeque<RestartCause>,
    /// The delay before the restart is over.
    is_restart_due: bool,
    /// What the sinks printed was given to a client: it cannot be printed again.
    has_given_results: bool,
    /// The current attempt of every subtask, by vertex and subtask.
    executions: Vec<Vec<Execution>>,
    /// How many of them have not ended.
    unended: usize,
    /// The shared slots: subtask `i` of every vertex runs in slot `i`. Empty before deployment.
    slots: Vec<(AllocationId, TaskManagerLocation)>,
    submitted_ms: u64,
    ended_ms: Option<u64>,
}

#[derive(Debug)]
struct Execution {
    attempt: AttemptId,
    state: ExecutionState,
    /// Whether the TaskExecutor has said that it has the task.
    is_deployed: bool,
    /// Whether the TaskExecutor's last report lacked the task since.
    is_missed: bool,
    io: TaskIo,
}

impl Execution {
    fn new(attempt: AttemptId) -> Self {
        Self {
            attempt,
            state: ExecutionState::Created,
            is_deployed: false,
            is_missed: false,
            io: TaskIo::default(),
        }
    }
}

impl ExecutionGraph {
    /// Makes the graph of a job that waits to be scheduled.
    pub(crate) fn new(
        plan: JobPlan,
        config: ExecutionGraphConfig,
        backoff: RestartBackoff,
        now_ms: u64,
    ) -> Result<Self, PlanError> {
        config.check(&plan)?;
        let execution = |vertex, subtask| {
            Execution::new(AttemptId {
                job: plan.job,
                vertex,
                subtask,
                attempt: 0,
            })
        };
        let executions: Vec<Vec<_>> = (0..)
            .map(VertexId)
            .zip(&plan.vertices)
            .map(|(id, vertex)| (0..vertex.parallelism).map(|i| execution(id, i)).collect())
            .collect();
        Ok(Self {
            config,
            status: JobStatus::Created,
            failure: Vec::new(),
            suppressed: None,
            fails_by_neighbour: false,
            backoff,
            restarts: 0,
            restart_causes: VecDeque::new(),
            is_restart_due: false,
            has_given_results: false,
            unended: executions.iter().map(Vec::len).sum(),
            executions,
            slots: Vec::new(),
            submitted_ms: now_ms,
            ended_ms: None,
            plan,
        })
    }

    /// Returns the plan that is run.
    pub(crate) const fn plan(&self) -> &JobPlan {
        &self.plan
    }

    /// Returns where the job stands.
    pub(crate) const fn status(&self) -> JobStatus {
        self.status
    }

    /// Tells whether the job has ended, for good or for this JobMaster.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended_ms.is_some()
    }

    /// Tells whether an attempt is one of the job's that has not ended.
    pub(crate) fn is_live(&self, attempt: AttemptId) -> bool {
        let execution = self.execution(attempt);
        execution.is_some_and(|execution| !execution.state.is_terminal())
    }

    /// Tells whether an attempt is one of the job's that is on its way to its TaskExecutor.
    pub(crate) fn is_deploying(&self, attempt: AttemptId) -> bool {
        let execution = self.execution(attempt);
        execution.is_some_and(|execution| execution.state == ExecutionState::Deploying)
    }

    /// Tells whether an attempt is one of the job's that its TaskExecutor may have.
    fn is_submitted(&self, attempt: AttemptId) -> bool {
        use ExecutionState::{Created, Scheduled};
        let execution = self.execution(attempt);
        let state = execution.map(|execution| execution.state);
        state.is_some_and(|state| !state.is_terminal() && !matches!(state, Created | Scheduled))
    }

    /// Tells whether the job waits for its slots, for the first time or to be restarted.
    pub(crate) fn is_waiting_for_slots(&self) -> bool {
        match self.status {
            JobStatus::Created => true,
            // The slots of the attempts that end are forgotten with them.
            JobStatus::Restarting => self.slots.is_empty(),
            _ => false,
        }
    }

    /// Tells whether the job is restarted, or was.
    pub(crate) const fn was_restarted(&self) -> bool {
        self.restarts > 0
    }

    /// Returns how many slots the job needs: the largest parallelism.
    ///
    /// All vertices share one group, as `SlotSharingGroup` by default.
    pub(crate) fn slots_needed(&self) -> u32 {
        self.plan
            .vertices
            .iter()
            .map(|vertex| vertex.parallelism)
            .max()
            .unwrap_or(0)
    }

    /// Begins to wait for slots; returns how many.
    pub(crate) fn start_scheduling(&mut self) -> u32 {
        for attempt in self.attempts(|_| true) {
            self.apply(attempt, TaskEvent::Schedule);
        }
        self.slots_needed()
    }

    /// Deploys all tasks, producers before their consumers, if the job waits for slots and these
    /// are enough; otherwise nothing is done, and the slots are free.
    pub(crate) fn slots_available(
        &mut self,
        slots: Vec<(AllocationId, TaskManagerLocation)>,
    ) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        let scheduled = self.attempts(|execution| execution.state == ExecutionState::Scheduled);
        let is_enough = slots.len() >= self.slots_needed() as usize;
        if scheduled.is_empty() || !is_enough || !self.change(JobEvent::Deployed, &mut actions) {
            return actions;
        }
        self.slots = slots;
        for attempt in scheduled {
            self.apply(attempt, TaskEvent::Deploy);
            if let Some(deploy) = self.deploy(attempt) {
                actions.push(GraphAction::Deploy(Box::new(deploy)));
            }
        }
        actions
    }

    /// Takes a TaskExecutor's word that it has a task.
    ///
    /// As in `DefaultExecutionDeploymentTracker` this changes no state, but from now on the task is
    /// missed if its TaskExecutor does not [report](Self::reconcile) it.
    pub(crate) fn deployed(&mut self, attempt: AttemptId) {
        if let Some(execution) = self.execution_mut(attempt) {
            execution.is_deployed = true;
        }
    }

    /// Takes the failure to submit a task, which fails it.
    ///
    /// The task is cancelled too, for a call that timed out may have arrived.
    pub(crate) fn deploy_failed(
        &mut self,
        attempt: AttemptId,
        failure: Vec<String>,
        now_ms: u64,
    ) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        if self.is_submitted(attempt) {
            self.push_cancel(attempt, &mut actions);
            self.fail_attempts(vec![attempt], failure, now_ms, &mut actions);
        }
        actions
    }

    /// Takes the failure to cancel a task at its TaskExecutor; it counts as cancelled then.
    ///
    /// As `ExecutionVertexCancelTest#testCancelCallFails`. If the task still runs, the TaskExecutor
    /// hears of it when it reports.
    pub(crate) fn cancel_failed(&mut self, attempt: AttemptId, now_ms: u64) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        let execution = self.execution(attempt);
        if execution.is_some_and(|execution| execution.state == ExecutionState::Canceling) {
            self.fail_attempts(vec![attempt], Vec::new(), now_ms, &mut actions);
        }
        actions
    }

    /// Takes a change of a task's state.
    ///
    /// As `DefaultExecutionGraph#updateState`: an attempt that is not current, was not submitted or
    /// has ended is unknown, and its TaskExecutor is to end it; a state that does not follow from the
    /// attempt's fails it. Unlike there a state that is told again, because the answer was lost, is ignored.
    pub(crate) fn update_state(
        &mut self,
        update: TaskExecutionState,
        now_ms: u64,
    ) -> Result<Vec<GraphAction>, UnknownAttempt> {
        let attempt = update.attempt;
        let known = self.execution(attempt).map(|execution| execution.state);
        let Some(state) = known.filter(|state| state.is_terminal() || self.is_submitted(attempt))
        else {
            return Err(UnknownAttempt { attempt });
        };
        if state.is_terminal() {
            return if update.state.is_terminal() {
                Ok(Vec::new())
            } else {
                Err(UnknownAttempt { attempt })
            };
        }
        if let Some(execution) = self.execution_mut(attempt) {
            execution.io = update.io;
        }
        let mut actions = Vec::new();
        if update.state == state {
            return Ok(actions);
        }
        match TaskEvent::reported(update.state) {
            Some(TaskEvent::Failed) => {
                let TaskExecutionState { failure, kind, .. } = update;
                let failed = [attempt];
                self.fail_attempts_by(&failed, &failure, kind, now_ms, &mut actions);
            }
            Some(event) if next_state(state, event) != TaskStep::Unexpected => {
                let next = self.apply(attempt, event);
                if next == Some(ExecutionState::Canceled) && state != ExecutionState::Canceling {
                    let failure = vec!["its TaskManager cancelled it".to_owned()];
                    let kind = FailureKind::Recoverable;
                    self.handle_task_failure(attempt, failure, kind, now_ms, &mut actions);
                }
                self.end_if_done(now_ms, &mut actions);
            }
            _ => {
                let failure = vec![format!(
                    "it is reported as {}, but is {state}",
                    update.state
                )];
                self.push_cancel(attempt, &mut actions);
                self.fail_attempts(vec![attempt], failure, now_ms, &mut actions);
            }
        }
        Ok(actions)
    }

    /// Compares what a TaskExecutor has with what it should have.
    ///
    /// As `DefaultExecutionDeploymentReconciler`: a task that was deployed and is missing has
    /// failed, one that does not belong there is cancelled, and one whose submission was not
    /// answered yet may be there or not. Unlike there a task is missing when two reports in a row
    /// lack it: a report that was made before the task came may be handled after the answer to its
    /// submission.
    pub(crate) fn reconcile(
        &mut self,
        task_manager: &ResourceId,
        report: &TaskExecutorReport,
        now_ms: u64,
    ) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        let mut absent: BTreeSet<_> = self.unended_at(task_manager).into_iter().collect();
        for (attempt, io) in &report.attempts {
            if absent.remove(attempt) {
                self.report_present(*attempt, *io);
            } else {
                actions.push(GraphAction::CancelTask {
                    attempt: *attempt,
                    task_manager: task_manager.clone(),
                });
            }
        }
        absent.retain(|attempt| self.report_absent(*attempt));
        let failure = vec![format!("{task_manager} does not have it any more")];
        self.fail_attempts(absent, failure, now_ms, &mut actions);
        actions
    }

    /// Fails the tasks at a TaskManager that is lost, or if all have ended there, those elsewhere that
    /// read what they have left there: over a network that is silent they would wait for ever.
    pub(crate) fn task_manager_lost(
        &mut self,
        task_manager: &ResourceId,
        failure: Vec<String>,
        now_ms: u64,
    ) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        let lost = self.unended_at(task_manager);
        let kind = FailureKind::Recoverable;
        if lost.is_empty()
            && self.status == JobStatus::Running
            && let Some(reader) = self.reader_of(task_manager)
        {
            let mut chain = vec![format!(
                "it may not have read all of what {task_manager} has"
            )];
            chain.extend(failure);
            self.handle_task_failure(reader, chain, kind, now_ms, &mut actions);
        } else {
            self.fail_attempts_by(&lost, &failure, kind, now_ms, &mut actions);
        }
        actions
    }

    /// Fails the tasks in a slot that is lost.
    pub(crate) fn slot_lost(
        &mut self,
        allocation: AllocationId,
        failure: Vec<String>,
        now_ms: u64,
    ) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        let lost = self.unended_in(|(known, _)| *known == allocation);
        self.fail_attempts(lost, failure, now_ms, &mut actions);
        actions
    }

    /// Fails the job if it still waits for slots.
    ///
    /// As `DeclarativeSlotPoolBridge#notifyNotEnoughResourcesAvailable`, which fails pending
    /// requests with a `NoResourceAvailableException`.
    pub(crate) fn not_enough_slots(&mut self, shortage: Shortage, now_ms: u64) -> Vec<GraphAction> {
        if !self.is_waiting_for_slots() {
            return Vec::new();
        }
        let Shortage {
            needed,
            acquired,
            slots,
            slots_free,
        } = shortage;
        let failure = format!(
            "not enough slots: the job needs {needed} and has {acquired}, \
             the cluster has {slots} and {slots_free} of them are free"
        );
        self.fail_for_slots(failure, now_ms)
    }

    /// Fails the job because the slots that it waits for do not come. Another restart would not
    /// bring them.
    pub(crate) fn fail_for_slots(&mut self, failure: String, now_ms: u64) -> Vec<GraphAction> {
        let mut failure = vec![failure];
        if self.was_restarted() {
            failure.push(String::from("it waits for them since it was restarted"));
            failure.extend_from_slice(self.restart_cause());
        }
        self.fail(failure, now_ms)
    }

    /// Fails the job for a reason that is no task's. Flink's `handleGlobalFailure`, but that the
    /// reasons which there are would be there after a restart too.
    pub(crate) fn fail(&mut self, failure: Vec<String>, now_ms: u64) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        self.fail_job(failure, &mut actions);
        self.end_if_done(now_ms, &mut actions);
        actions
    }

    /// Cancels the job; one that has not been deployed ends at once.
    pub(crate) fn cancel(&mut self, now_ms: u64) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        if self.change(JobEvent::Cancel, &mut actions) {
            self.cancel_all(&mut actions);
            self.end_if_done(now_ms, &mut actions);
        }
        actions
    }

    /// Ends the job for this JobMaster, which stops; another may take it up.
    ///
    /// As `ExecutionGraph#suspend`: the tasks are told to stop, and nobody waits for them.
    pub(crate) fn suspend(&mut self, now_ms: u64) -> Vec<GraphAction> {
        let mut actions = Vec::new();
        if self.has_ended() {
            return actions;
        }
        self.cancel_all(&mut actions);
        for attempt in self.attempts(|_| true) {
            self.apply(attempt, TaskEvent::Canceled);
        }
        self.ended_ms = Some(now_ms);
        actions.push(GraphAction::ReleaseSlots);
        self.change(JobEvent::Suspend, &mut actions);
        actions
    }
}

#[cfg(test)]
mod tests;
