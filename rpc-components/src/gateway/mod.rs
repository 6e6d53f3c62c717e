//! The whole wire contract: what each component may be asked, and the messages that travel.
//!
//! Where Flink only *tells* that a connection ends, here it is a call: whoever stops can wait until
//! it was heard. Unlike in Flink it names the registration that ends: it may come late, when the two
//! have registered with each other anew. A heartbeat names its registration too, and is refused by
//! whoever does not know it, where Flink ignores it until the sender's time is out.

mod dispatcher;
mod file_splits;
mod job_master;
mod leader;
mod metric_query;
mod registration;
mod resource_manager;
mod task_executor;

pub use self::dispatcher::{
    CancelError, DispatcherGateway, FetchError, JobDetails, JobError, JobInfo, JobResult,
    MockDispatcherGateway, RestartCause, SubmitError, SubtaskInfo, VertexInfo,
};
pub use self::file_splits::FileSplits;
pub use self::job_master::{
    ExecutionState, FailureKind, FileSplit, JobMasterGateway, JobStatus, MockJobMasterGateway,
    ResultsGone, Shortage, SlotOffer, TaskExecutionState, TaskExecutorReport, TaskIo,
    TaskManagerLocation, UnknownAttempt, UnknownTaskManager,
};
pub use self::leader::{
    Component, LEADER_ENDPOINT, LeaderGateway, LeaderInformation, MockLeaderGateway,
};
pub use self::metric_query::{
    Metric, MetricQueryServiceGateway, MetricValue, MockMetricQueryServiceGateway,
};
pub use self::registration::{RegistrationResponse, UnknownRegistration};
pub use self::resource_manager::{
    AllocatedSlot, MockResourceManagerGateway, RequirementsError, ResourceManagerGateway,
    ResourceOverview, ResourceRequirements, SlotReport, SlotStatus, TaskExecutorAccepted,
    TaskExecutorRegistration, TaskManagerInfo,
};
pub use self::task_executor::{
    InputChannel, InputGateDescriptor, MockTaskExecutorGateway, ResultPartition, SlotRequest,
    SlotRequestError, TaskDeploymentDescriptor, TaskExecutorGateway, TaskNotFound,
    TaskSubmissionError,
};
