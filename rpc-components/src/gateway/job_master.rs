//! What a JobMaster may be asked, and the states of jobs and tasks.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use rpc_core::{AppError, Call, rpc_gateway};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{JobInfo, RegistrationResponse, UnknownRegistration};
use crate::id::{AllocationId, AttemptId, InstanceId, JobId, RegistrationId, ResourceId};

/// What a JobMaster may be asked by TaskExecutors, the ResourceManager and the Dispatcher.
///
/// Answers to Flink's interface of the same name.
#[rpc_gateway(fenced)]
pub trait JobMasterGateway {
    /// Begins to cancel the job.
    fn cancel(&self) -> Call<()>;

    /// Takes a change of a task's state. An attempt that is unknown is to be failed by its
    /// TaskExecutor.
    fn update_task_execution_state(&self, state: TaskExecutionState) -> Call<(), UnknownAttempt>;

    /// Hands out the next parts of the files that the attempt's vertex reads, which has received so
    /// many before; none if there are no more. Who asks again for the same gets the same.
    #[rpc(idempotent)]
    fn request_next_input_splits(
        &self,
        attempt: AttemptId,
        received: u64,
    ) -> Call<Vec<FileSplit>, UnknownAttempt>;

    /// Registers a TaskExecutor, which offers slots afterwards. `session` is new with each start
    /// of the TaskExecutor.
    fn register_task_manager(
        &self,
        job: JobId,
        location: TaskManagerLocation,
        session: InstanceId,
        registration: RegistrationId,
    ) -> Call<RegistrationResponse<ResourceId>>;

    /// Offers slots to the job; returns those that it takes.
    fn offer_slots(
        &self,
        task_manager: ResourceId,
        offers: Vec<SlotOffer>,
    ) -> Call<Vec<SlotOffer>, UnknownTaskManager>;

    /// Says that a slot is lost.
    fn fail_slot(&self, task_manager: ResourceId, allocation: AllocationId, cause: String);

    /// Says that a TaskExecutor ends a registration: it leaves, or has lost this JobMaster.
    fn disconnect_task_manager(
        &self,
        task_manager: ResourceId,
        registration: RegistrationId,
        cause: String,
    ) -> Call<()>;

    /// Says that a TaskExecutor has left the ResourceManager, or that this has lost it. It names the
    /// start of the TaskExecutor: the ResourceManager does not know its registrations at JobMasters.
    fn notify_task_manager_lost(
        &self,
        task_manager: ResourceId,
        session: InstanceId,
        cause: String,
    ) -> Call<()>;

    /// Says that a registration at the ResourceManager has ended: it leaves, or has lost this
    /// JobMaster.
    fn disconnect_resource_manager(&self, registration: RegistrationId, cause: String) -> Call<()>;

    /// Says that the job will not get the slots that it needs, unless something changes.
    fn notify_not_enough_resources_available(&self, shortage: Shortage);

    /// Answers the JobMaster's request for a heartbeat.
    fn heartbeat_from_task_manager(
        &self,
        task_manager: ResourceId,
        registration: RegistrationId,
        report: TaskExecutorReport,
    ) -> Call<(), UnknownRegistration>;

    /// Asks for a heartbeat.
    fn heartbeat_from_resource_manager(
        &self,
        registration: RegistrationId,
    ) -> Call<(), UnknownRegistration>;

    /// Returns where the job stands.
    fn request_job_status(&self) -> Call<JobStatus>;

    /// Returns the job in full.
    fn request_job(&self) -> Call<JobInfo>;

    /// Takes a piece of what the job's sinks print, before which the attempt has printed `position`
    /// bytes, and answers when there is room for more. A piece that is sent again is printed once.
    #[rpc(idempotent, timeout = "none")]
    fn send_results(
        &self,
        attempt: AttemptId,
        position: u64,
        piece: Bytes,
    ) -> Call<(), UnknownAttempt>;

    /// Returns the next piece of what the job's sinks print; empty once the job has ended and all of
    /// it was fetched. What lies before `position` is forgotten.
    #[rpc(timeout = "none")]
    fn fetch_results(&self, position: u64) -> Call<Bytes, ResultsGone>;
}

/// The JobMaster knows no such attempt.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("task {attempt} is not known")]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct UnknownAttempt {
    /// The attempt.
    pub attempt: AttemptId,
}

impl AppError for UnknownAttempt {}

/// The JobMaster knows no such TaskExecutor: it has to register first.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("task manager {task_manager} is not registered")]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct UnknownTaskManager {
    /// The TaskExecutor.
    pub task_manager: ResourceId,
}

impl AppError for UnknownTaskManager {}

/// What was asked for was fetched before, and is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("the results before byte {position} were fetched already")]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct ResultsGone {
    /// The first byte that is still there.
    pub position: u64,
}

impl AppError for ResultsGone {}

/// How short of slots a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct Shortage {
    /// How many slots the job needs in all.
    pub needed: u32,
    /// How many of them it has.
    pub acquired: u32,
    /// How many slots the cluster has.
    pub slots: u32,
    /// How many of those are free.
    pub slots_free: u32,
}

/// Where a job stands. Flink's `JobStatus`.
///
/// ```text
/// Initializing ─▶ Created ─▶ Running ─▶ Finished        Running ◀─▶ Restarting
///      any of these four ─▶ Cancelling ─▶ Canceled
///      any of these four ─▶ Failing    ─▶ Failed        any that has not ended ─▶ Suspended
/// ```
///
/// These four are Initializing, Created, Running and Restarting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum JobStatus {
    /// Its JobMaster is being made.
    Initializing,
    /// It waits for slots.
    Created,
    /// Its tasks run.
    Running,
    /// A task failed, and all of them are run again when they have ended, some time has passed, and
    /// there are slots for them.
    Restarting,
    /// A task failed, and the others are being cancelled.
    Failing,
    /// It ended with a failure.
    Failed,
    /// A user cancelled it, and its tasks are being cancelled.
    Cancelling,
    /// It ended by being cancelled.
    Canceled,
    /// It ended well.
    Finished,
    /// Its JobMaster stopped before it ended.
    Suspended,
}

impl JobStatus {
    /// Tells whether the job has ended for good. Flink's `isGloballyTerminalState`.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Canceled | Self::Failed | Self::Finished)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Canceled => "CANCELED",
            Self::Cancelling => "CANCELLING",
            Self::Created => "CREATED",
            Self::Failed => "FAILED",
            Self::Failing => "FAILING",
            Self::Finished => "FINISHED",
            Self::Initializing => "INITIALIZING",
            Self::Restarting => "RESTARTING",
            Self::Running => "RUNNING",
            Self::Suspended => "SUSPENDED",
        })
    }
}

/// Where an attempt stands. Flink's `ExecutionState`.
///
/// ```text
/// Created ─▶ Scheduled ─▶ Deploying ─▶ Initializing ─▶ Running ─▶ Finished
///    └───────────┤             └──────────┴─────────────┴─▶ Canceling
///                └──────────────────────────▶ Canceled ◀────────┘
///                 any but Canceling that has not ended ─▶ Failed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExecutionState {
    /// Nothing was done for it yet.
    Created,
    /// It waits for a slot.
    Scheduled,
    /// Its descriptor is on the way to the TaskExecutor.
    Deploying,
    /// The TaskExecutor connects its inputs and opens its operators.
    Initializing,
    /// It handles records.
    Running,
    /// It is being cancelled.
    Canceling,
    /// It ended by being cancelled.
    Canceled,
    /// It ended with a failure.
    Failed,
    /// It ended well.
    Finished,
}

impl ExecutionState {
    /// Tells whether the attempt has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Canceled | Self::Failed | Self::Finished)
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Canceled => "CANCELED",
            Self::Canceling => "CANCELING",
            Self::Created => "CREATED",
            Self::Deploying => "DEPLOYING",
            Self::Failed => "FAILED",
            Self::Finished => "FINISHED",
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
        })
    }
}

/// Where a TaskExecutor that registers at a JobMaster is to be found. Flink's
/// `UnresolvedTaskManagerLocation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskManagerLocation {
    /// The TaskExecutor.
    pub resource: ResourceId,
    /// The address of its gateway.
    pub address: String,
    /// The address at which other TaskExecutors open its channels.
    pub data_address: String,
}

/// A slot that a TaskExecutor offers to a JobMaster. Flink's `SlotOffer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotOffer {
    /// The allocation that the ResourceManager asked for.
    pub allocation: AllocationId,
    /// Which of the TaskExecutor's slots.
    pub slot_index: u32,
}

/// A change of an attempt's state, told by the TaskExecutor. Flink's `TaskExecutionState`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskExecutionState {
    /// The attempt.
    pub attempt: AttemptId,
    /// Where it stands now.
    pub state: ExecutionState,
    /// Why it failed, the outermost cause first; empty unless it did.
    pub failure: Vec<String>,
    /// What the failure says of another attempt.
    pub kind: FailureKind,
    /// What it has read and written so far.
    pub io: TaskIo,
}

/// What the failure of an attempt says of another one. Flink's `ThrowableType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// Another attempt would fail in the same way, and there is none. Flink's `NonRecoverableError`.
    Fatal,
    /// It failed only because a task before or after it was gone.
    Neighbour,
    /// Another attempt may do better.
    #[default]
    Recoverable,
}

/// What a task has read and written. Flink's `IOMetrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskIo {
    /// Records read.
    pub records_in: u64,
    /// Records written.
    pub records_out: u64,
    /// Bytes read, from files or from other tasks.
    pub bytes_in: u64,
    /// Bytes written to other tasks or to files.
    pub bytes_out: u64,
}

/// What a TaskExecutor reports with each heartbeat to a JobMaster. Flink's
/// `TaskExecutorToJobManagerHeartbeatPayload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskExecutorReport {
    /// The attempts of the job that it has, each with what it has read and written.
    pub attempts: Vec<(AttemptId, TaskIo)>,
}

/// A part of a file that one task reads. Flink's `FileSourceSplit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSplit {
    /// The file.
    pub path: PathBuf,
    /// The first byte of the part.
    pub start: u64,
    /// How many bytes the part has, or [`TO_THE_END`](Self::TO_THE_END).
    pub length: u64,
}

impl FileSplit {
    /// The length of a part that ends where its file does, wherever that is.
    pub const TO_THE_END: u64 = u64::MAX;
}
