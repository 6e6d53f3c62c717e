//! A task: one attempt to run one subtask of a chain of operators, on a thread of its own.
//!
//! ```text
//!               channels and operators opened          inputs ended, operators finished
//!   Initializing ─────────────────────────▶ Running ─────────────────────────────▶ Finished
//!        └──────────────────────────────────────┴──▶ Canceled, or Failed with its causes
//! ```
//!
//! The thread does all the work, and waits where there is nothing to do or no room for what it has
//! done; whoever has the [`Task`] watches it, counts what it reads and writes, and cancels it. A
//! task that is cancelled stops waiting at once, and otherwise stops between two batches.

mod chain;
mod run;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::watch;

use self::run::Run;
use crate::gateway::{ExecutionState, FailureKind, TaskDeploymentDescriptor, TaskIo};
use crate::id::AttemptId;
use crate::operator::{
    Cancellation, IoCounters, OperatorContext, OperatorRegistry, ResultSink, SplitProvider,
};
use crate::shuffle::ShuffleEnvironment;

/// What the tasks of a TaskExecutor share; the last two may be of one job.
#[derive(Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever runs tasks must provide all of it"
)]
pub struct TaskEnvironment {
    /// The operators that there are.
    pub registry: Arc<OperatorRegistry>,
    /// The way to other tasks.
    pub shuffle: ShuffleEnvironment,
    /// Hands out what sources read.
    pub splits: Arc<dyn SplitProvider>,
    /// Takes what goes to the client that follows the job.
    pub results: Arc<dyn ResultSink>,
}

impl fmt::Debug for TaskEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEnvironment").finish_non_exhaustive()
    }
}

/// A task that runs or has run. Dropping it cancels it.
#[derive(Debug)]
#[must_use = "dropping a task cancels it"]
pub struct Task {
    attempt: AttemptId,
    cancellation: Cancellation,
    io: Arc<IoCounters>,
    stage: watch::Receiver<Stage>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskOutcome {
    /// It was cancelled.
    Canceled,
    /// It failed.
    Failed {
        /// What that says of another attempt.
        kind: FailureKind,
        /// Why, the outermost cause first.
        causes: Vec<String>,
    },
    /// It has read all its input and written all its output.
    Finished,
}

impl Task {
    /// Starts a task within the current tokio runtime.
    ///
    /// When this returns, the task's partitions are registered: consumers can be deployed.
    /// Whatever is wrong with the descriptor is a failure of the task. The partitions stay until
    /// they are released at the [`ShuffleEnvironment`], however the task ends.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn(descriptor: TaskDeploymentDescriptor, environment: &TaskEnvironment) -> Self {
        let context = OperatorContext::new(
            descriptor.attempt,
            descriptor.parallelism,
            Arc::clone(&environment.splits),
            Arc::clone(&environment.results),
        );
        let (sender, stage) = watch::channel(Stage::Initializing);
        let task = Self {
            attempt: descriptor.attempt,
            cancellation: context.cancellation.clone(),
            io: Arc::clone(&context.io),
            stage,
        };
        // The system cuts the name off after 15 bytes; it is for whoever looks at the threads. It
        // is the user's, and a zero in it would be a panic.
        let thread = thread::Builder::new().name(descriptor.name.replace('\0', " "));
        let prepared = Run::prepare(descriptor, environment, context);
        let runtime = Handle::current();
        let sender = Arc::new(sender);
        let own_sender = Arc::clone(&sender);
        let spawned = thread.spawn(move || {
            let _guard = runtime.enter();
            match prepared {
                Ok(run) => run.run(&own_sender),
                Err(error) => drop(own_sender.send_replace(Stage::Ended(run::failed(&error)))),
            }
        });
        if let Err(error) = spawned {
            let causes = vec!["cannot start a thread".into(), error.to_string()];
            sender.send_replace(Stage::Ended(TaskOutcome::recoverable(causes)));
        }
        task
    }

    /// Returns the attempt that the task is.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Tells the task to end. It ends within milliseconds, also while it waits; one that has ended
    /// has ended as it did.
    pub fn cancel(&self) {
        self.cancellation.cancel();
    }

    /// Returns what the task has read and written so far.
    #[must_use]
    pub fn io(&self) -> TaskIo {
        self.io.snapshot()
    }

    /// Returns where the task stands.
    #[must_use]
    pub fn state(&self) -> ExecutionState {
        self.stage.borrow().state()
    }

    /// Waits until the task runs; also ends, with `false`, when it has ended without.
    pub fn running(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut stage = self.stage.clone();
        async move {
            let stage = stage
                .wait_for(|stage| !matches!(stage, Stage::Initializing))
                .await;
            stage.is_ok_and(|stage| matches!(*stage, Stage::Running))
        }
    }

    /// Waits until the task has ended, and says how.
    pub fn ended(&self) -> impl Future<Output = TaskOutcome> + Send + use<> {
        let mut stage = self.stage.clone();
        async move {
            let stage = stage
                .wait_for(|stage| matches!(stage, Stage::Ended(_)))
                .await;
            match stage.as_deref() {
                Ok(Stage::Ended(outcome)) => outcome.clone(),
                _ => TaskOutcome::recoverable(vec!["the task's thread is gone".into()]),
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl TaskOutcome {
    const fn recoverable(causes: Vec<String>) -> Self {
        let kind = FailureKind::Recoverable;
        Self::Failed { kind, causes }
    }

    /// Returns the state that an attempt has after it.
    #[must_use]
    pub const fn state(&self) -> ExecutionState {
        match self {
            Self::Canceled => ExecutionState::Canceled,
            Self::Failed { .. } => ExecutionState::Failed,
            Self::Finished => ExecutionState::Finished,
        }
    }
}

/// Where a task stands.
#[derive(Clone, Debug)]
enum Stage {
    Initializing,
    Running,
    Ended(TaskOutcome),
}

impl Stage {
    const fn state(&self) -> ExecutionState {
        match self {
            Self::Initializing => ExecutionState::Initializing,
            Self::Running => ExecutionState::Running,
            Self::Ended(outcome) => outcome.state(),
        }
    }
}

#[cfg(test)]
mod tests;
