//! The states of a job and of an attempt, and every step between them. Pure.
//!
//! A job, as Flink's `DefaultExecutionGraph`; until it has a graph the Dispatcher says that it is
//! Initializing. Unlike there a cancel does not turn a failure into a
//! cancellation, so that the reason is not lost, and a failure does not end a cancellation; and a job
//! that restarts is shown as such until its tasks are deployed again.
//!
//! ```text
//!  Created ── Deployed ─▶ Running ── AllEnded ─▶ Finished
//!     │   Deployed ┌──────▶  │  │
//!     │        Restarting ◀──│──┘ Restart
//!     └────────────┴─────────┤
//!                            ├─ Cancel ──▶ Cancelling ── AllEnded ─▶ Canceled
//!                            └─ Failure ─▶ Failing ───── AllEnded ─▶ Failed
//!  any that has not ended ── Suspend ─▶ Suspended
//! ```
//!
//! An attempt, as Flink's `Execution`:
//!
//! ```text
//!  Created ─ Schedule ─▶ Scheduled ─ Deploy ─▶ Deploying ─▶ Initializing ─▶ Running ─▶ Finished
//!     └───────┬──────────────┘                     └──────┬───────┴────────────┤
//!             │                                           │ Cancel             ├─▶ Finished
//!             │ Cancel                                    ▼                    ├─▶ Canceled
//!             └────────────────────────▶ Canceled ◀── Canceling                └─▶ Failed
//!                                               any end
//! ```

use crate::gateway::{ExecutionState, JobStatus};

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobEvent {
    /// All its attempts have ended.
    AllEnded,
    /// A user cancels it.
    Cancel,
    /// Its slots are there, and its tasks are being deployed.
    Deployed,
    /// It cannot go on.
    Failure,
    /// It cannot go on, but may begin anew.
    Restart,
    /// Its JobMaster stops.
    Suspend,
}

/// Returns where the event leads; `None` where it is ignored.
pub(super) const fn next_status(status: JobStatus, event: JobEvent) -> Option<JobStatus> {
    use JobStatus::{
        Canceled, Cancelling, Created, Failed, Failing, Finished, Initializing, Restarting,
        Running, Suspended,
    };
    match (status, event) {
        (Canceled | Failed | Finished | Suspended, _) => None,
        (_, JobEvent::Suspend) => Some(Suspended),
        (Created | Restarting, JobEvent::Deployed) => Some(Running),
        (Initializing | Created | Running | Restarting, JobEvent::Cancel) => Some(Cancelling),
        (Initializing | Created | Running | Restarting, JobEvent::Failure) => Some(Failing),
        (Running, JobEvent::Restart) => Some(Restarting),
        (Running, JobEvent::AllEnded) => Some(Finished),
        (Cancelling, JobEvent::AllEnded) => Some(Canceled),
        (Failing, JobEvent::AllEnded) => Some(Failed),
        (Initializing | Created | Restarting, JobEvent::AllEnded)
        | (Initializing | Running | Cancelling | Failing, JobEvent::Deployed)
        | (Cancelling | Failing, JobEvent::Cancel | JobEvent::Failure)
        | (_, JobEvent::Restart) => None,
    }
}

/// What happens to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskEvent {
    /// It is to be cancelled.
    Cancel,
    /// The TaskExecutor says that it was cancelled.
    Canceled,
    /// Its descriptor is sent.
    Deploy,
    /// The TaskExecutor says that it failed, or it is lost.
    Failed,
    /// The TaskExecutor says that it has finished.
    Finished,
    /// The TaskExecutor says that it is being set up.
    Initializing,
    /// The TaskExecutor says that it runs.
    Running,
    /// It waits for a slot.
    Schedule,
}

impl TaskEvent {
    /// Returns the event that a reported state is; `None` if that state is never reported.
    pub(super) const fn reported(state: ExecutionState) -> Option<Self> {
        match state {
            ExecutionState::Canceled => Some(Self::Canceled),
            ExecutionState::Failed => Some(Self::Failed),
            ExecutionState::Finished => Some(Self::Finished),
            ExecutionState::Initializing => Some(Self::Initializing),
            ExecutionState::Running => Some(Self::Running),
            ExecutionState::Created
            | ExecutionState::Scheduled
            | ExecutionState::Deploying
            | ExecutionState::Canceling => None,
        }
    }
}

/// What an event does to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskStep {
    /// Nothing: it comes too late, or again.
    Ignored,
    /// The attempt is in this state now.
    To(ExecutionState),
    /// The two sides disagree on where the attempt stands, and it is to be failed.
    Unexpected,
}

/// Returns what the event does.
///
/// As `Execution#switchToRunning` an attempt does not run before it is initialized. What ends while
/// it is being cancelled, in whatever way, is cancelled.
pub(super) const fn next_state(state: ExecutionState, event: TaskEvent) -> TaskStep {
    use ExecutionState::{
        Canceled, Canceling, Created, Deploying, Failed, Finished, Initializing, Running, Scheduled,
    };
    match (state, event) {
        (Canceled | Failed | Finished, _) => TaskStep::Ignored,
        (Canceling, TaskEvent::Canceled | TaskEvent::Failed | TaskEvent::Finished) => {
            TaskStep::To(Canceled)
        }
        (_, TaskEvent::Failed) => TaskStep::To(Failed),

        (Created, TaskEvent::Schedule) => TaskStep::To(Scheduled),
        (Scheduled, TaskEvent::Deploy) => TaskStep::To(Deploying),
        (Deploying, TaskEvent::Initializing) => TaskStep::To(Initializing),
        // What was said before that may be lost.
        (Deploying | Initializing, TaskEvent::Running) => TaskStep::To(Running),

        (Created | Scheduled, TaskEvent::Cancel) => TaskStep::To(Canceled),
        (Deploying | Initializing | Running, TaskEvent::Cancel) => TaskStep::To(Canceling),
        (Deploying | Initializing | Running, TaskEvent::Canceled) => TaskStep::To(Canceled),
        (Deploying | Initializing | Running, TaskEvent::Finished) => TaskStep::To(Finished),

        (Canceling, TaskEvent::Cancel | TaskEvent::Initializing | TaskEvent::Running)
        | (Running, TaskEvent::Running)
        | (Initializing | Running, TaskEvent::Initializing) => TaskStep::Ignored,

        (_, TaskEvent::Schedule | TaskEvent::Deploy)
        | (
            Created | Scheduled,
            TaskEvent::Initializing
            | TaskEvent::Running
            | TaskEvent::Finished
            | TaskEvent::Canceled,
        ) => TaskStep::Unexpected,
    }
}

#[cfg(test)]
mod tests;
