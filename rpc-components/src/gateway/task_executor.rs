//! What a TaskExecutor may be asked: to give slots, and to run tasks in them.

use rpc_core::{AppError, Call, rpc_gateway};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AllocatedSlot, UnknownRegistration};
use crate::id::{
    AllocationId, AttemptId, InstanceId, JobId, JobMasterId, PartitionId, RegistrationId,
    ResourceId, ResourceManagerId,
};
use crate::job_graph::{OperatorSpec, Ship};

/// What a TaskExecutor may be asked by the ResourceManager and by JobMasters.
///
/// It is not fenced: methods that need it carry the term of their caller. Answers to Flink's
/// interface of the same name.
#[rpc_gateway]
pub trait TaskExecutorGateway {
    /// Allocates a slot to a job, and offers it to the job's JobMaster.
    fn request_slot(&self, request: SlotRequest) -> Call<(), SlotRequestError>;

    /// Runs a task in a slot of its job.
    #[rpc(timeout = "30s")]
    fn submit_task(
        &self,
        task: Box<TaskDeploymentDescriptor>,
        job_master: JobMasterId,
    ) -> Call<(), TaskSubmissionError>;

    /// Begins to cancel a task.
    fn cancel_task(&self, attempt: AttemptId) -> Call<(), TaskNotFound>;

    /// Frees the slot of an allocation; its tasks are failed.
    fn free_slot(&self, allocation: AllocationId, cause: String) -> Call<()>;

    /// Frees the slots of a job that its JobMaster has not taken yet.
    fn free_inactive_slots(&self, job: JobId);

    /// Asks for a heartbeat, and tells which slots the JobMaster believes to have here.
    fn heartbeat_from_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
        slots: Vec<AllocatedSlot>,
    ) -> Call<(), UnknownRegistration>;

    /// Asks for a heartbeat.
    fn heartbeat_from_resource_manager(
        &self,
        instance: InstanceId,
    ) -> Call<(), UnknownRegistration>;

    /// Says that a registration at the job's JobMaster has ended: it leaves, or has lost this
    /// TaskExecutor.
    fn disconnect_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
        cause: String,
    ) -> Call<()>;

    /// Says that a registration at the ResourceManager has ended: it leaves, or has lost this
    /// TaskExecutor.
    fn disconnect_resource_manager(&self, instance: InstanceId, cause: String) -> Call<()>;

    /// Returns where the metrics of this process are to be had.
    fn request_metric_query_service_address(&self) -> Call<Option<String>>;
}

/// Why a slot is not given.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SlotRequestError {
    /// The slot has another allocation, is none of the TaskExecutor's, or that is shutting down.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The TaskExecutor is not connected to the ResourceManager that asks.
    #[error("the task manager is not connected to resource manager {id}")]
    WrongResourceManager {
        /// The term of the ResourceManager that asks.
        id: ResourceManagerId,
    },
}

impl AppError for SlotRequestError {}

/// Why a task is not run. Flink's `TaskSubmissionException`.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskSubmissionError {
    /// The TaskExecutor is not connected to the job's JobMaster.
    #[error("task {attempt}: there is no connection to its job master")]
    NoJobMaster {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The slot is not the job's, or full, or the attempt is there already.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The JobMaster that asks is not the one that leads the job.
    #[error("task {attempt}: its job master {got} is not the leader {expected}")]
    WrongJobMaster {
        /// The attempt.
        attempt: AttemptId,
        /// The term that the TaskExecutor knows.
        expected: JobMasterId,
        /// The term of the JobMaster that asks.
        got: JobMasterId,
    },
}

impl AppError for TaskSubmissionError {}

/// The TaskExecutor runs no such task.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("task {attempt} does not run here")]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct TaskNotFound {
    /// The attempt.
    pub attempt: AttemptId,
}

impl AppError for TaskNotFound {}

/// The ResourceManager's demand that a slot be given to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRequest {
    /// Which of the TaskExecutor's slots.
    pub slot_index: u32,
    /// The job that gets it.
    pub job: JobId,
    /// The allocation by which all call it from now on.
    pub allocation: AllocationId,
    /// Where the slot is to be offered.
    pub job_master_address: String,
    /// The term of the JobMaster there.
    pub job_master_id: JobMasterId,
    /// The term of the ResourceManager that asks.
    pub resource_manager_id: ResourceManagerId,
}

/// All that a TaskExecutor needs to run a task. Flink's `TaskDeploymentDescriptor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDeploymentDescriptor {
    /// The attempt to run.
    pub attempt: AttemptId,
    /// The slot to run it in.
    pub allocation: AllocationId,
    /// The name of the task, for people.
    pub name: String,
    /// The chain to run, the first operator at the front.
    pub operators: Vec<OperatorSpec>,
    /// How many subtasks the vertex has.
    pub parallelism: u32,
    /// What the task reads from other tasks, one gate for each incoming edge.
    pub inputs: Vec<InputGateDescriptor>,
    /// What other tasks read from it, one for each outgoing edge.
    pub outputs: Vec<ResultPartition>,
}

/// What a task reads by one edge. Flink's `InputGateDeploymentDescriptor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputGateDescriptor {
    /// One channel for each producer.
    pub channels: Vec<InputChannel>,
}

/// One producer's records for one consumer. Flink's `ShuffleDescriptor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputChannel {
    /// What the producer makes.
    pub partition: PartitionId,
    /// The consumer's share of it.
    pub subpartition: u32,
    /// The TaskExecutor that runs the producer.
    pub task_manager: ResourceId,
    /// Where channels to that TaskExecutor are opened.
    pub data_address: String,
}

/// What a task writes for one edge. Flink's `ResultPartitionDeploymentDescriptor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultPartition {
    /// Its name.
    pub id: PartitionId,
    /// Which share a record goes to.
    pub ship: Ship,
    /// How many shares there are, one for each consumer.
    pub subpartitions: u32,
}
