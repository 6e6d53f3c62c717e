//! The tasks that run in a TaskExecutor, and what it tells of them.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rpc_core::{Context, RpcError, RpcResult};
use tokio::time::Instant;

use super::endpoint::TaskExecutor;
use crate::gateway::{
    ExecutionState, FailureKind, FileSplit, JobMasterGateway, MetricValue,
    TaskDeploymentDescriptor, TaskExecutionState, TaskIo, UnknownAttempt,
};
use crate::id::{AttemptId, JobId};
use crate::metric_query::MetricRegistry;
use crate::operator::{BoxError, ResultSink, SplitProvider};
use crate::task::{Task, TaskEnvironment, TaskOutcome};

/// The tasks that run.
#[derive(Default)]
pub(super) struct Tasks {
    running: BTreeMap<AttemptId, Running>,
}

struct Running {
    task: Arc<Task>,
    /// What people call it.
    name: String,
    job_master: Arc<dyn JobMasterGateway>,
    /// Why the TaskExecutor has ended the task, if it has: it failed then, and was not cancelled.
    failure: Option<String>,
    /// Since when it is to end.
    ends_since: Option<Instant>,
    /// Whether its JobMaster was told that it has ended, although its thread has not.
    is_left_behind: bool,
}

impl Running {
    fn end(&mut self) {
        self.ends_since.get_or_insert_with(Instant::now);
        self.task.cancel();
    }

    fn is_overdue(&self, timeout: Duration, now: Instant) -> bool {
        let since = self.ends_since.filter(|_| !self.is_left_behind);
        since.is_some_and(|since| now.saturating_duration_since(since) >= timeout)
    }
}

impl Tasks {
    /// Begins to cancel a task, as its JobMaster wishes; returns whether it is there.
    pub(super) fn cancel(&mut self, attempt: AttemptId) -> bool {
        let running = self.running.get_mut(&attempt);
        running.map(Running::end).is_some()
    }

    /// Ends a task that cannot go on; the first reason counts.
    pub(super) fn fail(&mut self, attempt: AttemptId, cause: &str) {
        if let Some(running) = self.running.get_mut(&attempt) {
            running.failure.get_or_insert_with(|| cause.to_owned());
            running.end();
        }
    }

    /// Returns what waits for the end of each task, but of those that do not end.
    pub(super) fn ended(&self) -> Vec<impl Future<Output = TaskOutcome> + Send + use<>> {
        let awaited = self.awaited();
        awaited.map(|(_, running)| running.task.ended()).collect()
    }

    /// Returns the names of the tasks that have not ended.
    pub(super) fn names(&self) -> Vec<&str> {
        let running = self.running.values();
        let running = running.filter(|it| !it.task.state().is_terminal());
        running.map(|it| it.name.as_str()).collect()
    }

    /// Returns the tasks that were to end this long ago, and have not.
    pub(super) fn overdue(&self, timeout: Duration, now: Instant) -> Vec<AttemptId> {
        let running = self.running.iter();
        let overdue = running.filter(|(_, it)| it.is_overdue(timeout, now));
        overdue.map(|(attempt, _)| *attempt).collect()
    }

    /// Returns the tasks of a job, and what they have read and written.
    pub(super) fn report(&self, job: JobId) -> Vec<(AttemptId, TaskIo)> {
        let of_job = self.awaited().filter(|(attempt, _)| attempt.job == job);
        of_job
            .map(|(attempt, running)| (*attempt, running.task.io()))
            .collect()
    }

    /// Returns the tasks that somebody waits for.
    fn awaited(&self) -> impl Iterator<Item = (&AttemptId, &Running)> {
        self.running.iter().filter(|(_, it)| !it.is_left_behind)
    }
}

impl TaskExecutor {
    /// Runs a task, and tells its JobMaster how it goes.
    pub(super) fn spawn_task(
        &mut self,
        cx: &mut Context<Self>,
        descriptor: TaskDeploymentDescriptor,
        job_master: Arc<dyn JobMasterGateway>,
    ) {
        let attempt = descriptor.attempt;
        tracing::debug!(%attempt, name = descriptor.name, "task starts");
        if attempt.attempt > 0 {
            self.services.shuffle.release_attempts_before(attempt);
        }
        let environment = TaskEnvironment {
            registry: Arc::clone(&self.services.operators),
            shuffle: self.services.shuffle.clone(),
            splits: Arc::new(JobMasterSplits {
                job_master: Arc::clone(&job_master),
                handed_out: Arc::default(),
            }),
            results: Arc::new(JobMasterResults {
                job_master: Arc::clone(&job_master),
                printed: AtomicU64::new(0),
            }),
        };
        let name = descriptor.name.clone();
        let task = Arc::new(Task::spawn(descriptor, &environment));
        add_metrics(&self.services.metrics, &task);
        let (running, ended) = (task.running(), task.ended());
        let entry = Running {
            task,
            name,
            job_master,
            failure: None,
            ends_since: None,
            is_left_behind: false,
        };
        self.tasks.running.insert(attempt, entry);
        self.tell(cx, attempt, ExecutionState::Initializing);
        cx.pipe(running, move |te, cx, runs| {
            if runs {
                te.tell(cx, attempt, ExecutionState::Running);
            }
        });
        cx.pipe(ended, move |te, cx, outcome| {
            te.task_ended(cx, attempt, outcome)
        });
    }

    /// Tells the JobMaster what the tasks have read and written so far.
    pub(super) fn tell_progress(&self, cx: &mut Context<Self>) {
        let running = self.tasks.awaited();
        let running = running.filter(|(_, it)| it.task.state() == ExecutionState::Running);
        let attempts: Vec<_> = running.map(|(attempt, _)| *attempt).collect();
        for attempt in attempts {
            self.tell(cx, attempt, ExecutionState::Running);
        }
    }

    /// Tells the JobMaster that a task has come so far.
    fn tell(&self, cx: &mut Context<Self>, attempt: AttemptId, state: ExecutionState) {
        if let Some(update) = self.update(attempt, state) {
            self.send(cx, update);
        }
    }

    /// Tells the JobMaster of a task; a task that it does not know is ended.
    fn send(&self, cx: &mut Context<Self>, update: TaskExecutionState) {
        if let Some(running) = self.tasks.running.get(&update.attempt) {
            send_update(cx, Arc::clone(&running.job_master), update);
        }
    }

    fn update(&self, attempt: AttemptId, state: ExecutionState) -> Option<TaskExecutionState> {
        let running = self.tasks.running.get(&attempt);
        // Of a task that is left behind the JobMaster was told the end.
        let running = running.filter(|it| !it.is_left_behind)?;
        Some(TaskExecutionState {
            attempt,
            state,
            failure: Vec::new(),
            kind: FailureKind::Recoverable,
            io: running.task.io(),
        })
    }

    fn update_answered(
        &mut self,
        cx: &mut Context<Self>,
        job_master: Arc<dyn JobMasterGateway>,
        update: TaskExecutionState,
        result: &RpcResult<(), UnknownAttempt>,
    ) {
        let attempt = update.attempt;
        self.job_master_called(attempt.job, &job_master, result);
        match result {
            Err(RpcError::App(unknown)) => self.tasks.fail(attempt, &unknown.to_string()),
            // Nothing but a report that lacks the task would tell the JobMaster that it has ended,
            // and then that it has failed. The JobMaster ignores what it hears twice.
            Err(
                RpcError::Overloaded { .. }
                | RpcError::Timeout { .. }
                | RpcError::Disconnected { .. },
            ) if update.state.is_terminal() && self.is_connected(attempt.job, &job_master) => {
                cx.schedule(UPDATE_RETRY_DELAY, move |_, cx| {
                    send_update(cx, job_master, update);
                });
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Goes on without a task that does not end, as its JobMaster does. Nobody can end its thread, and
    /// its slot is given to no other job before that has ended.
    ///
    /// Flink's `TaskCancelerWatchDog` ends the whole process, which somebody has to start again.
    pub(super) fn leave_behind(&mut self, cx: &mut Context<Self>, attempt: AttemptId) {
        self.tell_end(cx, attempt, TaskOutcome::Canceled);
        if let Some(running) = self.tasks.running.get_mut(&attempt) {
            running.is_left_behind = true;
            let (name, timeout) = (&running.name, self.config.cancellation_timeout);
            tracing::warn!(
                %attempt,
                name,
                ?timeout,
                "the task does not end: it is left behind, and keeps its slot until it does"
            );
        }
    }

    /// As `TaskExecutor#unregisterTaskAndNotifyFinalState`.
    fn task_ended(&mut self, cx: &mut Context<Self>, attempt: AttemptId, outcome: TaskOutcome) {
        let known = self.tasks.running.get(&attempt);
        let is_finished = outcome == TaskOutcome::Finished;
        if known.is_some_and(|it| it.is_left_behind) {
            tracing::info!(%attempt, "the task that was left behind has ended");
        }
        self.tell_end(cx, attempt, outcome);
        self.tasks.running.remove(&attempt);
        self.services.metrics.remove(metric_prefix(attempt));
        if !is_finished {
            // What a finished task has produced is still to be read.
            self.services.shuffle.release_attempt(attempt);
        }
        if let Some(freed) = self.slots.remove_task(attempt) {
            self.slot_is_free(freed);
        }
    }

    /// Tells the JobMaster how a task has ended.
    fn tell_end(&mut self, cx: &mut Context<Self>, attempt: AttemptId, outcome: TaskOutcome) {
        let failure = self
            .tasks
            .running
            .get_mut(&attempt)
            .and_then(|it| it.failure.take());
        let (state, kind, failure) = match (outcome, failure) {
            (TaskOutcome::Failed { kind, causes }, _) => (ExecutionState::Failed, kind, causes),
            (TaskOutcome::Canceled, Some(cause)) => {
                let kind = FailureKind::Recoverable;
                (ExecutionState::Failed, kind, vec![cause])
            }
            (outcome, _) => (outcome.state(), FailureKind::Recoverable, Vec::new()),
        };
        if let Some(mut update) = self.update(attempt, state) {
            tracing::debug!(%attempt, %state, "task ended");
            update.failure = failure;
            update.kind = kind;
            self.send(cx, update);
        }
    }
}

fn send_update(
    cx: &mut Context<TaskExecutor>,
    job_master: Arc<dyn JobMasterGateway>,
    update: TaskExecutionState,
) {
    let told = job_master.update_task_execution_state(update.clone());
    cx.pipe(told, move |te, cx, result| {
        te.update_answered(cx, job_master, update, &result);
    });
}

fn metric_prefix(attempt: AttemptId) -> String {
    format!("task.{attempt}.")
}

fn add_metrics(metrics: &MetricRegistry, task: &Arc<Task>) {
    type Count = fn(TaskIo) -> u64;
    let counts: [(&str, Count); 4] = [
        ("bytes_in", |io| io.bytes_in),
        ("bytes_out", |io| io.bytes_out),
        ("records_in", |io| io.records_in),
        ("records_out", |io| io.records_out),
    ];
    for (name, count) in counts {
        // A metric does not keep the task: dropping the task is what ends it.
        let task_or_gone = Arc::downgrade(task);
        let name = format!("{}{name}", metric_prefix(task.attempt()));
        metrics.add(name, move || {
            let io = task_or_gone.upgrade().map(|task| task.io());
            MetricValue::Counter(count(io.unwrap_or_default()))
        });
    }
}

/// How long a JobMaster that has not taken the end of a task is left alone.
const UPDATE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Asks the JobMaster what to read next.
struct JobMasterSplits {
    job_master: Arc<dyn JobMasterGateway>,
    /// The task's thread and the future that asks for more share it.
    handed_out: Arc<Mutex<HandedOut>>,
}

/// What the JobMaster has handed out to a task.
#[derive(Default)]
struct HandedOut {
    /// What the task has not begun to read.
    splits: VecDeque<FileSplit>,
    /// How many splits it was in all.
    received: u64,
}

impl SplitProvider for JobMasterSplits {
    fn next_split(
        &self,
        reader: AttemptId,
    ) -> BoxFuture<'static, Result<Option<FileSplit>, BoxError>> {
        let received = {
            let mut handed_out = self.handed_out.lock();
            if let Some(split) = handed_out.splits.pop_front() {
                return std::future::ready(Ok(Some(split))).boxed();
            }
            handed_out.received
        };
        let asked = self.job_master.request_next_input_splits(reader, received);
        let handed_out = Arc::clone(&self.handed_out);
        async move {
            let splits = asked.await?;
            let mut handed_out = handed_out.lock();
            handed_out.received += splits.len() as u64;
            handed_out.splits.extend(splits);
            Ok(handed_out.splits.pop_front())
        }
        .boxed()
    }
}

/// Hands what a sink prints to the JobMaster, which answers when there is room for more.
struct JobMasterResults {
    job_master: Arc<dyn JobMasterGateway>,
    /// How many bytes were handed over, or were to be: after one that was not, none is taken.
    printed: AtomicU64,
}

impl ResultSink for JobMasterResults {
    fn send(&self, writer: AttemptId, lines: Bytes) -> BoxFuture<'static, Result<(), BoxError>> {
        let bytes = lines.len() as u64;
        let position = self.printed.fetch_add(bytes, Ordering::Relaxed);
        let sent = self.job_master.send_results(writer, position, lines);
        async move { Ok(sent.await?) }.boxed()
    }
}
