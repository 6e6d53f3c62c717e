//! What the ResourceManager may be asked: who needs slots, who has them.

use rpc_core::{AppError, Call, rpc_gateway};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{JobStatus, RegistrationResponse, UnknownRegistration};
use crate::id::{AllocationId, InstanceId, JobId, JobMasterId, RegistrationId, ResourceId, SlotId};

/// What the ResourceManager may be asked by TaskExecutors, JobMasters and the Dispatcher.
///
/// Answers to Flink's interface of the same name.
#[rpc_gateway(fenced)]
pub trait ResourceManagerGateway {
    /// Registers a JobMaster, which declares what it needs afterwards. It is never rejected for good.
    fn register_job_master(
        &self,
        id: JobMasterId,
        resource: ResourceId,
        address: String,
        job: JobId,
        registration: RegistrationId,
    ) -> Call<RegistrationResponse<ResourceId>>;

    /// Says how many slots a job needs in all.
    fn declare_required_resources(
        &self,
        id: JobMasterId,
        requirements: ResourceRequirements,
    ) -> Call<(), RequirementsError>;

    /// Registers a TaskExecutor, which reports its slots afterwards.
    fn register_task_executor(
        &self,
        registration: TaskExecutorRegistration,
    ) -> Call<RegistrationResponse<TaskExecutorAccepted>>;

    /// Takes the first report of a TaskExecutor's slots, which makes them available.
    fn send_slot_report(
        &self,
        task_executor: ResourceId,
        instance: InstanceId,
        report: SlotReport,
    ) -> Call<(), UnknownRegistration>;

    /// Says that a slot is free again.
    fn notify_slot_available(&self, instance: InstanceId, slot: SlotId, allocation: AllocationId);

    /// Answers the ResourceManager's request for a heartbeat.
    fn heartbeat_from_task_manager(
        &self,
        task_manager: ResourceId,
        instance: InstanceId,
        report: SlotReport,
    ) -> Call<(), UnknownRegistration>;

    /// Answers the ResourceManager's request for a heartbeat.
    fn heartbeat_from_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
    ) -> Call<(), UnknownRegistration>;

    /// Says that a TaskExecutor ends a registration: it leaves, or has lost this ResourceManager.
    fn disconnect_task_manager(
        &self,
        task_manager: ResourceId,
        instance: InstanceId,
        cause: String,
    ) -> Call<()>;

    /// Says that a JobMaster ends a registration: it leaves, or has lost this ResourceManager. What
    /// its job needs is forgotten if the job has ended.
    fn disconnect_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
        status: JobStatus,
        cause: String,
    ) -> Call<()>;

    /// Returns what is known of each TaskExecutor.
    fn request_task_manager_info(&self) -> Call<Vec<TaskManagerInfo>>;

    /// Returns the cluster's slots in all.
    fn request_resource_overview(&self) -> Call<ResourceOverview>;

    /// Asks every TaskExecutor where its metrics are to be had; those that do not answer are left
    /// out.
    fn request_task_manager_metric_query_service_addresses(
        &self,
    ) -> Call<Vec<(ResourceId, String)>>;
}

/// The ResourceManager has taken in a TaskExecutor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct TaskExecutorAccepted {
    /// This registration.
    pub instance: InstanceId,
    /// The ResourceManager.
    pub resource_manager: ResourceId,
}

/// Why a job's requirements are not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RequirementsError {
    /// The ResourceManager serves too many jobs.
    #[error("job {job} is one too many: {max} jobs need slots")]
    TooManyJobs {
        /// The job.
        job: JobId,
        /// How many are served.
        max: u64,
    },
    /// The JobMaster is not registered, or another of the job's is.
    #[error("the job master {id} of job {job} is not registered")]
    UnknownJobMaster {
        /// The job.
        job: JobId,
        /// The JobMaster's term.
        id: JobMasterId,
    },
}

impl AppError for RequirementsError {}

/// What a TaskExecutor says of itself when it registers. Flink's `TaskExecutorRegistration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskExecutorRegistration {
    /// The TaskExecutor.
    pub resource: ResourceId,
    /// New with each start of the TaskExecutor.
    pub session: InstanceId,
    /// The address of its gateway.
    pub address: String,
    /// The address at which other TaskExecutors open its channels.
    pub data_address: String,
    /// How many slots it has.
    pub slots: u32,
}

/// How a TaskExecutor's slots stand. Flink's `SlotReport`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReport {
    /// One entry for each slot.
    pub slots: Vec<SlotStatus>,
}

/// How one slot stands. Flink's `SlotStatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotStatus {
    /// The slot.
    pub slot: SlotId,
    /// The allocation that has it and the allocation's job; `None` if it is free.
    pub allocation: Option<(AllocationId, JobId)>,
}

/// A slot that a JobMaster believes to have at a TaskExecutor. Flink's `AllocatedSlotInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocatedSlot {
    /// Which of the TaskExecutor's slots.
    pub slot_index: u32,
    /// The allocation.
    pub allocation: AllocationId,
}

/// How many slots a job needs in all. Flink's `ResourceRequirements`.
///
/// A declaration is absolute: it replaces the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRequirements {
    /// The job.
    pub job: JobId,
    /// The address at which the slots are to be offered.
    pub job_master_address: String,
    /// The number of slots; 0 when the job needs none any more.
    pub slots: u32,
}

/// The cluster's slots in all. Flink's `ResourceOverview`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceOverview {
    /// The TaskExecutors that are registered.
    pub task_managers: u32,
    /// Their slots.
    pub slots: u32,
    /// How many of the slots are free.
    pub slots_free: u32,
}

/// A TaskExecutor as the ResourceManager knows it. Flink's `TaskManagerInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskManagerInfo {
    /// The TaskExecutor.
    pub resource: ResourceId,
    /// The address of its gateway.
    pub address: String,
    /// How many slots it has.
    pub slots: u32,
    /// How many of the slots are free.
    pub slots_free: u32,
    /// How long ago its last heartbeat came, in milliseconds.
    pub last_heartbeat_ms: u64,
}
