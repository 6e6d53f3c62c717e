//! What the Dispatcher may be asked: to take, show and cancel jobs.

use bytes::Bytes;
use rpc_core::{AppError, Call, Failure, rpc_gateway};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ExecutionState, JobStatus, ResourceOverview, TaskManagerInfo};
use crate::id::{AttemptId, JobId, ResourceId, VertexId};
use crate::job_graph::{JobGraph, JobGraphError};

/// What the Dispatcher may be asked by clients.
///
/// Answers to Flink's interface of the same name, with what its `RestfulGateway` serves.
#[rpc_gateway(fenced)]
pub trait DispatcherGateway {
    /// Takes a job and starts it.
    #[rpc(timeout = "60s", no_cancel)]
    fn submit_job(&self, graph: Box<JobGraph>) -> Call<JobId, SubmitError>;

    /// Returns the jobs that run, and the last that have ended.
    #[rpc(idempotent)]
    fn list_jobs(&self) -> Call<Vec<JobDetails>>;

    /// Returns a job in full.
    #[rpc(idempotent)]
    fn request_job(&self, job: JobId) -> Call<JobInfo, JobError>;

    /// Returns where a job stands.
    #[rpc(idempotent)]
    fn request_job_status(&self, job: JobId) -> Call<JobStatus, JobError>;

    /// Returns how a job ended, once it has. It may be asked again, and is by
    /// [`ClusterClient`](crate::client::ClusterClient): without a time-out nothing else would end the
    /// call when the JobManager is gone.
    #[rpc(timeout = "none")]
    fn request_job_result(&self, job: JobId) -> Call<JobResult, JobError>;

    /// Begins to cancel a job.
    fn cancel_job(&self, job: JobId) -> Call<(), CancelError>;

    /// Returns the next piece of what a job's sinks print; empty once the job has ended and all of
    /// it was fetched. What lies before `position` is forgotten; from there on it may be asked again.
    #[rpc(timeout = "none")]
    fn fetch_job_results(&self, job: JobId, position: u64) -> Call<Bytes, FetchError>;

    /// Returns the cluster's slots in all.
    #[rpc(idempotent)]
    fn request_cluster_overview(&self) -> Call<ResourceOverview>;

    /// Returns what is known of each TaskManager.
    #[rpc(idempotent)]
    fn request_task_managers(&self) -> Call<Vec<TaskManagerInfo>>;

    /// Returns where the metrics of each process are to be had; the JobManager's comes first.
    #[rpc(idempotent)]
    fn request_metric_query_service_addresses(&self) -> Call<Vec<(ResourceId, String)>>;
}

/// Why there are no results to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FetchError {
    /// They were fetched before, or nobody has fetched them in time.
    #[error("the results of job {job} before byte {position} are gone")]
    Gone {
        /// The job.
        job: JobId,
        /// The first byte that is still there.
        position: u64,
    },
    /// No such job is known, or it was forgotten.
    #[error("job {job} is not known")]
    NotFound {
        /// The job.
        job: JobId,
    },
    /// The job has no JobMaster yet. Flink's `UnavailableDispatcherOperationException`.
    #[error("job {job} is being initialized")]
    NotInitialized {
        /// The job.
        job: JobId,
    },
}

impl AppError for FetchError {}

/// Why a job is not taken. Flink's `JobSubmissionException`.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SubmitError {
    /// A job with this id is known. Flink's `DuplicateJobSubmissionException`.
    #[error(
        "job {job} was submitted before and {}",
        if *.has_ended { "has ended" } else { "has not ended" }
    )]
    Duplicate {
        /// The job.
        job: JobId,
        /// Whether it has ended for good.
        has_ended: bool,
    },
    /// The job could not be started.
    #[error("job {job} could not be started")]
    Failed {
        /// The job.
        job: JobId,
        /// Why.
        source: Failure,
    },
    /// The job's graph makes no sense.
    #[error("job {job} cannot be run")]
    Invalid {
        /// The job.
        job: JobId,
        /// What is wrong with it.
        source: Box<JobGraphError>,
    },
    /// The cluster runs as many jobs as it may.
    #[error("job {job} is one too many: {max} jobs run")]
    TooManyJobs {
        /// The job.
        job: JobId,
        /// How many may run.
        max: u64,
    },
}

impl AppError for SubmitError {}

/// Why a job cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum JobError {
    /// No such job is known, or it was forgotten. Flink's `FlinkJobNotFoundException`.
    #[error("job {job} is not known")]
    NotFound {
        /// The job.
        job: JobId,
    },
}

impl AppError for JobError {}

/// Why a job cannot be cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CancelError {
    /// The job has ended in another way. Flink's `FlinkJobTerminatedWithoutCancellationException`.
    #[error("job {job} has ended without being cancelled: it is {status}")]
    HasEnded {
        /// The job.
        job: JobId,
        /// How it ended.
        status: JobStatus,
    },
    /// No such job is known, or it was forgotten. Flink's `FlinkJobNotFoundException`.
    #[error("job {job} is not known")]
    NotFound {
        /// The job.
        job: JobId,
    },
}

impl AppError for CancelError {}

/// A job in one line. Flink's `JobDetails`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDetails {
    /// The job.
    pub id: JobId,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub status: JobStatus,
    /// How many tasks it has.
    pub tasks: u32,
    /// How many of them have finished.
    pub tasks_finished: u32,
    /// How often it was restarted, or began to be.
    pub restarts: u32,
    /// When it was submitted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// How long it has run, in milliseconds.
    pub duration_ms: u64,
}

/// A job in full. Flink's `ExecutionGraphInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInfo {
    /// The one line.
    pub details: JobDetails,
    /// Why it failed, the outermost cause first; empty if it did not.
    pub failure: Vec<String>,
    /// How often it may be restarted in all, if its strategy has a limit.
    pub restarts_max: Option<u32>,
    /// Why it was restarted, the last time at the end; only the last few times are remembered.
    pub restart_causes: Vec<RestartCause>,
    /// Its tasks, by vertex.
    pub vertices: Vec<VertexInfo>,
}

/// Why a job was restarted. Flink's `RootExceptionHistoryEntry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartCause {
    /// When the failure came, in milliseconds since 1970.
    pub at_ms: u64,
    /// The failure, the outermost cause first.
    pub failure: Vec<String>,
}

/// A vertex of a running or ended job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexInfo {
    /// The vertex.
    pub id: VertexId,
    /// The names of the operators chained in it.
    pub name: String,
    /// Its subtasks.
    pub subtasks: Vec<SubtaskInfo>,
}

/// A subtask of a running or ended job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskInfo {
    /// Its current attempt.
    pub attempt: AttemptId,
    /// Where the attempt stands.
    pub state: ExecutionState,
    /// The TaskManager it was deployed to, if it was.
    pub task_manager: Option<ResourceId>,
    /// How many records it has read.
    pub records_in: u64,
    /// How many records it has written.
    pub records_out: u64,
    /// How many bytes it has read, from files or from other tasks.
    pub bytes_in: u64,
}

/// How a job ended. Flink's `JobResult`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// The job.
    pub job: JobId,
    /// Finished, failed, cancelled or suspended.
    pub status: JobStatus,
    /// Why it failed, the outermost cause first.
    pub failure: Vec<String>,
    /// How often it was restarted.
    pub restarts: u32,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
}
