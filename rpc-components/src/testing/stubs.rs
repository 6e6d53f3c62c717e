//! Stubs of the components that others connect to by address.
//!
//! A stub hands every call to a mock, so that a test says what the other component answers and
//! sees what it was told.

use bytes::Bytes;
use futures_util::FutureExt;
use rpc_core::{
    BoxError, Call, Context, FencingToken, ReplyTo, RpcEndpoint, RpcResult, RpcServer, RpcService,
    gateways, rpc_endpoint,
};

use super::Heard;
use crate::gateway::{
    AllocatedSlot, FileSplit, JobInfo, JobMasterGateway, JobStatus, MockJobMasterGateway,
    MockResourceManagerGateway, MockTaskExecutorGateway, RegistrationResponse, RequirementsError,
    ResourceManagerGateway, ResourceOverview, ResourceRequirements, ResultsGone, Shortage,
    SlotOffer, SlotReport, SlotRequest, SlotRequestError, TaskDeploymentDescriptor,
    TaskExecutionState, TaskExecutorAccepted, TaskExecutorGateway, TaskExecutorRegistration,
    TaskExecutorReport, TaskManagerInfo, TaskManagerLocation, TaskNotFound, TaskSubmissionError,
    UnknownAttempt, UnknownRegistration, UnknownTaskManager,
};
use crate::id::{
    AllocationId, AttemptId, InstanceId, JobId, JobMasterId, RegistrationId, ResourceId, SlotId,
};

/// Returns the answer of a mock, which is there at once.
fn at_once<T, E>(call: Call<T, E>) -> RpcResult<T, E> {
    call.now_or_never().expect("a mock answers at once")
}

/// Starts a stub under a name.
fn start<E: RpcEndpoint>(rpc: &RpcService, name: &str, stub: E) -> RpcServer<E> {
    let server = rpc.start_server(name, stub).unwrap();
    server.start();
    server
}

/// A TaskExecutor.
pub(crate) struct StubTaskExecutor {
    mock: Box<dyn TaskExecutorGateway>,
}

impl StubTaskExecutor {
    pub(crate) fn new(mock: MockTaskExecutorGateway) -> Self {
        Self {
            mock: Box::new(mock),
        }
    }

    pub(crate) fn start(self, rpc: &RpcService, name: &str) -> RpcServer<Self> {
        start(rpc, name, self)
    }
}

impl RpcEndpoint for StubTaskExecutor {
    type Gateways = gateways![TaskExecutorGateway];
}

#[rpc_endpoint(TaskExecutorGateway)]
impl StubTaskExecutor {
    fn request_slot(&self, request: SlotRequest) -> RpcResult<(), SlotRequestError> {
        at_once(self.mock.request_slot(request))
    }

    fn submit_task(
        &self,
        task: Box<TaskDeploymentDescriptor>,
        job_master: JobMasterId,
    ) -> RpcResult<(), TaskSubmissionError> {
        at_once(self.mock.submit_task(task, job_master))
    }

    fn cancel_task(&self, attempt: AttemptId) -> RpcResult<(), TaskNotFound> {
        at_once(self.mock.cancel_task(attempt))
    }

    fn free_slot(&self, allocation: AllocationId, cause: String) -> RpcResult<()> {
        at_once(self.mock.free_slot(allocation, cause))
    }

    fn heartbeat_from_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
        slots: Vec<AllocatedSlot>,
    ) -> RpcResult<(), UnknownRegistration> {
        at_once(
            self.mock
                .heartbeat_from_job_manager(job, registration, slots),
        )
    }

    fn heartbeat_from_resource_manager(
        &self,
        instance: InstanceId,
    ) -> RpcResult<(), UnknownRegistration> {
        at_once(self.mock.heartbeat_from_resource_manager(instance))
    }

    fn request_metric_query_service_address(&self) -> RpcResult<Option<String>> {
        at_once(self.mock.request_metric_query_service_address())
    }

    fn free_inactive_slots(&self, job: JobId) {
        self.mock.free_inactive_slots(job);
    }

    fn disconnect_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
        cause: String,
    ) -> RpcResult<()> {
        at_once(self.mock.disconnect_job_manager(job, registration, cause))
    }

    fn disconnect_resource_manager(&self, instance: InstanceId, cause: String) -> RpcResult<()> {
        at_once(self.mock.disconnect_resource_manager(instance, cause))
    }
}

/// An offer of slots that waits for its answer.
pub(crate) type OfferCall = (Vec<SlotOffer>, OfferReply);
type OfferReply = ReplyTo<Vec<SlotOffer>, UnknownTaskManager>;

/// A change of a task's state that waits for its answer.
pub(crate) type StateCall = (TaskExecutionState, StateReply);
type StateReply = ReplyTo<(), UnknownAttempt>;

/// A JobMaster.
pub(crate) struct StubJobMaster {
    mock: Box<dyn JobMasterGateway>,
    token: FencingToken,
    offers: Option<Heard<OfferCall>>,
    states: Option<Heard<StateCall>>,
}

impl StubJobMaster {
    /// Serves calls that carry this token only.
    pub(crate) fn new(mock: MockJobMasterGateway, token: impl Into<FencingToken>) -> Self {
        Self {
            mock: Box::new(mock),
            token: token.into(),
            offers: None,
            states: None,
        }
    }

    /// Leaves it to the test to answer the changes of tasks' states.
    pub(crate) fn states_to(mut self, states: &Heard<StateCall>) -> Self {
        self.states = Some(states.clone());
        self
    }

    /// Leaves it to the test to answer the offers of slots.
    pub(crate) fn offers_to(mut self, offers: &Heard<OfferCall>) -> Self {
        self.offers = Some(offers.clone());
        self
    }

    pub(crate) fn start(self, rpc: &RpcService, name: &str) -> RpcServer<Self> {
        start(rpc, name, self)
    }
}

impl RpcEndpoint for StubJobMaster {
    type Gateways = gateways![JobMasterGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.set_fencing_token(Some(self.token))?;
        Ok(())
    }
}

#[rpc_endpoint(JobMasterGateway)]
impl StubJobMaster {
    fn cancel(&self) -> RpcResult<()> {
        at_once(self.mock.cancel())
    }

    fn update_task_execution_state(&self, state: TaskExecutionState, reply: StateReply) {
        match &self.states {
            Some(calls) => calls.put((state, reply)),
            None => reply.answer(at_once(self.mock.update_task_execution_state(state))),
        }
    }

    fn request_next_input_splits(
        &self,
        attempt: AttemptId,
        received: u64,
    ) -> RpcResult<Vec<FileSplit>, UnknownAttempt> {
        at_once(self.mock.request_next_input_splits(attempt, received))
    }

    fn register_task_manager(
        &self,
        job: JobId,
        location: TaskManagerLocation,
        session: InstanceId,
        registration: RegistrationId,
    ) -> RpcResult<RegistrationResponse<ResourceId>> {
        at_once(
            self.mock
                .register_task_manager(job, location, session, registration),
        )
    }

    fn disconnect_task_manager(
        &self,
        task_manager: ResourceId,
        registration: RegistrationId,
        cause: String,
    ) -> RpcResult<()> {
        at_once(
            self.mock
                .disconnect_task_manager(task_manager, registration, cause),
        )
    }

    fn notify_task_manager_lost(
        &self,
        task_manager: ResourceId,
        session: InstanceId,
        cause: String,
    ) -> RpcResult<()> {
        at_once(
            self.mock
                .notify_task_manager_lost(task_manager, session, cause),
        )
    }

    fn heartbeat_from_task_manager(
        &self,
        task_manager: ResourceId,
        registration: RegistrationId,
        report: TaskExecutorReport,
    ) -> RpcResult<(), UnknownRegistration> {
        at_once(
            self.mock
                .heartbeat_from_task_manager(task_manager, registration, report),
        )
    }

    fn heartbeat_from_resource_manager(
        &self,
        registration: RegistrationId,
    ) -> RpcResult<(), UnknownRegistration> {
        at_once(self.mock.heartbeat_from_resource_manager(registration))
    }

    fn request_job_status(&self) -> RpcResult<JobStatus> {
        at_once(self.mock.request_job_status())
    }

    fn request_job(&self) -> RpcResult<JobInfo> {
        at_once(self.mock.request_job())
    }

    fn send_results(
        &self,
        attempt: AttemptId,
        position: u64,
        piece: Bytes,
    ) -> RpcResult<(), UnknownAttempt> {
        at_once(self.mock.send_results(attempt, position, piece))
    }

    fn fetch_results(&self, position: u64) -> RpcResult<Bytes, ResultsGone> {
        at_once(self.mock.fetch_results(position))
    }

    fn fail_slot(&self, task_manager: ResourceId, allocation: AllocationId, cause: String) {
        self.mock.fail_slot(task_manager, allocation, cause);
    }

    fn disconnect_resource_manager(
        &self,
        registration: RegistrationId,
        cause: String,
    ) -> RpcResult<()> {
        at_once(self.mock.disconnect_resource_manager(registration, cause))
    }

    fn notify_not_enough_resources_available(&self, shortage: Shortage) {
        self.mock.notify_not_enough_resources_available(shortage);
    }

    fn offer_slots(&self, task_manager: ResourceId, offers: Vec<SlotOffer>, reply: OfferReply) {
        match &self.offers {
            Some(calls) => calls.put((offers, reply)),
            None => reply.answer(at_once(self.mock.offer_slots(task_manager, offers))),
        }
    }
}

/// A ResourceManager.
pub(crate) struct StubResourceManager {
    mock: Box<dyn ResourceManagerGateway>,
    token: FencingToken,
}

impl StubResourceManager {
    /// Serves calls that carry this token only.
    pub(crate) fn new(mock: MockResourceManagerGateway, token: impl Into<FencingToken>) -> Self {
        Self {
            mock: Box::new(mock),
            token: token.into(),
        }
    }

    pub(crate) fn start(self, rpc: &RpcService, name: &str) -> RpcServer<Self> {
        start(rpc, name, self)
    }
}

impl RpcEndpoint for StubResourceManager {
    type Gateways = gateways![ResourceManagerGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.set_fencing_token(Some(self.token))?;
        Ok(())
    }
}

#[rpc_endpoint(ResourceManagerGateway)]
impl StubResourceManager {
    fn register_job_master(
        &self,
        id: JobMasterId,
        resource: ResourceId,
        address: String,
        job: JobId,
        registration: RegistrationId,
    ) -> RpcResult<RegistrationResponse<ResourceId>> {
        at_once(
            self.mock
                .register_job_master(id, resource, address, job, registration),
        )
    }

    fn declare_required_resources(
        &self,
        id: JobMasterId,
        requirements: ResourceRequirements,
    ) -> RpcResult<(), RequirementsError> {
        at_once(self.mock.declare_required_resources(id, requirements))
    }

    fn register_task_executor(
        &self,
        registration: TaskExecutorRegistration,
    ) -> RpcResult<RegistrationResponse<TaskExecutorAccepted>> {
        at_once(self.mock.register_task_executor(registration))
    }

    fn send_slot_report(
        &self,
        task_executor: ResourceId,
        instance: InstanceId,
        report: SlotReport,
    ) -> RpcResult<(), UnknownRegistration> {
        at_once(self.mock.send_slot_report(task_executor, instance, report))
    }

    fn heartbeat_from_task_manager(
        &self,
        task_manager: ResourceId,
        instance: InstanceId,
        report: SlotReport,
    ) -> RpcResult<(), UnknownRegistration> {
        at_once(
            self.mock
                .heartbeat_from_task_manager(task_manager, instance, report),
        )
    }

    fn heartbeat_from_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
    ) -> RpcResult<(), UnknownRegistration> {
        at_once(self.mock.heartbeat_from_job_manager(job, registration))
    }

    fn request_task_manager_info(&self) -> RpcResult<Vec<TaskManagerInfo>> {
        at_once(self.mock.request_task_manager_info())
    }

    fn request_resource_overview(&self) -> RpcResult<ResourceOverview> {
        at_once(self.mock.request_resource_overview())
    }

    fn request_task_manager_metric_query_service_addresses(
        &self,
    ) -> RpcResult<Vec<(ResourceId, String)>> {
        at_once(
            self.mock
                .request_task_manager_metric_query_service_addresses(),
        )
    }

    fn notify_slot_available(&self, instance: InstanceId, slot: SlotId, allocation: AllocationId) {
        self.mock.notify_slot_available(instance, slot, allocation);
    }

    fn disconnect_task_manager(
        &self,
        task_manager: ResourceId,
        instance: InstanceId,
        cause: String,
    ) -> RpcResult<()> {
        at_once(
            self.mock
                .disconnect_task_manager(task_manager, instance, cause),
        )
    }

    fn disconnect_job_manager(
        &self,
        job: JobId,
        registration: RegistrationId,
        status: JobStatus,
        cause: String,
    ) -> RpcResult<()> {
        at_once(
            self.mock
                .disconnect_job_manager(job, registration, status, cause),
        )
    }
}
