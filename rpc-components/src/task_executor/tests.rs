use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rpc_core::testing::sim::SimNetwork;
use rpc_core::transport::Stream;
use rpc_core::{
    BoxError, EndpointError, Failure, FencingToken, RpcConfig, RpcError, RpcResult, RpcServer,
    RpcService,
};
use tokio::time::{Instant, advance};

use super::{TaskExecutor, TaskExecutorConfig, TaskExecutorServices};
use crate::gateway::{
    AllocatedSlot, ExecutionState, MockJobMasterGateway, MockResourceManagerGateway,
    RegistrationResponse, ResultPartition, SlotOffer, SlotReport, SlotRequest, SlotRequestError,
    TaskDeploymentDescriptor, TaskExecutionState, TaskExecutorAccepted, TaskExecutorGateway,
    TaskExecutorReport, TaskNotFound, TaskSubmissionError, UnknownAttempt, UnknownRegistration,
};
use crate::id::{
    AllocationId, AttemptId, InstanceId, JobId, JobMasterId, PartitionId, RegistrationId,
    ResourceId, ResourceManagerId, VertexId,
};
use crate::job_graph::{OperatorSpec, Ship};
use crate::metric_query::{MetricQueryService, MetricRegistry};
use crate::operator::testing::{JobMasterStub, context};
use crate::operator::{
    Collector, Operator, OperatorContext, OperatorError, OperatorRegistry, Record,
};
use crate::shuffle::{Dialer, ShuffleConfig, ShuffleEnvironment};
use crate::testing::{Heard, OfferCall, StubJobMaster, StubResourceManager, retrieval_of, until};

/// A TaskExecutor, and what the others were told.
struct Fixture {
    rpc: RpcService,
    server: RpcServer<TaskExecutor>,
    gateway: Arc<dyn TaskExecutorGateway>,
    /// The registrations that the ResourceManager has accepted.
    registered: Heard<InstanceId>,
    reports: Heard<SlotReport>,
    /// The registrations that the TaskExecutor has ended.
    left: Heard<InstanceId>,
    available: Heard<AllocationId>,
    beats: Heard<SlotReport>,
    /// The jobs whose JobMasters it has registered at.
    joined: Heard<JobId>,
    offers: Heard<OfferCall>,
    /// Why it has left JobMasters.
    parted: Heard<String>,
    /// The registrations at JobMasters that it has ended.
    gone: Heard<RegistrationId>,
    failed: Heard<AllocationId>,
    states: Heard<TaskExecutionState>,
    job_beats: Heard<TaskExecutorReport>,
}

const RM: ResourceManagerId = ResourceManagerId::new(FencingToken::new(7));
const UNKNOWN: RpcResult<(), UnknownRegistration> = Err(RpcError::App(UnknownRegistration));
const FIRST: JobMasterId = JobMasterId::new(FencingToken::new(1));
const SECOND: JobMasterId = JobMasterId::new(FencingToken::new(2));

/// A job whose JobMaster is far from the TaskExecutor, of which it has a slot.
struct FarJob {
    fixture: Fixture,
    _resource_manager: RpcServer<StubResourceManager>,
    /// Where the JobMaster is.
    service: RpcService,
    job_master: RpcServer<StubJobMaster>,
    job: JobId,
    allocation: AllocationId,
}

impl FarJob {
    async fn new(network: &SimNetwork) -> Self {
        Self::with(network, |stub| stub).await
    }

    async fn with(
        network: &SimNetwork,
        change: impl FnOnce(StubJobMaster) -> StubJobMaster,
    ) -> Self {
        let rpc = RpcService::builder().transport(network.node("te").transport());
        let service = RpcService::builder().transport(network.node("jm").transport());
        let (rpc, service) = (rpc.build().await.unwrap(), service.build().await.unwrap());
        let fixture = Fixture::within(rpc, |_| {}).await;
        let resource_manager = fixture.start_resource_manager();
        fixture.reports.next().await;
        let job_master = change(StubJobMaster::new(fixture.mock_job_master(), FIRST));
        let job_master = job_master.start(&service, "jm");
        let (job, allocation) = (JobId::random(), AllocationId::random());
        let address = job_master.address();
        let requested = fixture.request_for(job, address, 0, allocation).await;
        requested.unwrap();
        fixture.until_active(allocation).await;
        Self {
            fixture,
            _resource_manager: resource_manager,
            service,
            job_master,
            job,
            allocation,
        }
    }
}

impl Fixture {
    /// Starts a TaskExecutor with two slots, and no ResourceManager.
    async fn alone(change: impl FnOnce(&mut TaskExecutorConfig)) -> Self {
        Self::within(RpcService::local(), change).await
    }

    async fn within(rpc: RpcService, change: impl FnOnce(&mut TaskExecutorConfig)) -> Self {
        Self::with(OperatorRegistry::new(), rpc, change).await
    }

    async fn with(
        operators: OperatorRegistry,
        rpc: RpcService,
        change: impl FnOnce(&mut TaskExecutorConfig),
    ) -> Self {
        let metrics = rpc
            .start_server("metrics", MetricQueryService::default())
            .unwrap();
        metrics.start();
        let resource = ResourceId::new("te");
        let dialer = Arc::new(NoDialer);
        let services = TaskExecutorServices {
            retrieval: retrieval_of(&rpc, "rm", RM).await,
            operators: Arc::new(operators),
            shuffle: ShuffleEnvironment::new(ShuffleConfig::default(), resource.clone(), dialer),
            data_address: String::from("data"),
            metrics: MetricRegistry::new(metrics.main_thread()),
            metrics_address: Some(metrics.address()),
        };
        let mut config = TaskExecutorConfig::default();
        config.slots.slots = 2;
        config.registration.error_delay = Duration::from_secs(1);
        change(&mut config);
        let server = TaskExecutor::new(resource, services, config);
        let server = rpc.start_server("te", server).unwrap();
        server.start();
        Self {
            gateway: server.gateway::<dyn TaskExecutorGateway>(),
            rpc,
            server,
            registered: Heard::new(),
            reports: Heard::new(),
            left: Heard::new(),
            available: Heard::new(),
            beats: Heard::new(),
            joined: Heard::new(),
            offers: Heard::new(),
            parted: Heard::new(),
            gone: Heard::new(),
            failed: Heard::new(),
            states: Heard::new(),
            job_beats: Heard::new(),
        }
    }

    /// Starts a TaskExecutor that is registered.
    async fn new() -> (Self, RpcServer<StubResourceManager>) {
        let fixture = Self::alone(|_| {}).await;
        let resource_manager = fixture.start_resource_manager();
        fixture.registered.next().await;
        fixture.reports.next().await;
        (fixture, resource_manager)
    }

    fn mock_resource_manager(&self) -> MockResourceManagerGateway {
        let (registered, reports, left, available, beats) = (
            self.registered.clone(),
            self.reports.clone(),
            self.left.clone(),
            self.available.clone(),
            self.beats.clone(),
        );
        MockResourceManagerGateway::default()
            .register_task_executor(move |registration| {
                assert!(registration.address.ends_with("te"));
                assert_eq!(registration.slots, 2);
                let instance = InstanceId::random();
                registered.put(instance);
                Ok(RegistrationResponse::Success(TaskExecutorAccepted {
                    instance,
                    resource_manager: ResourceId::new("rm"),
                }))
            })
            .send_slot_report(move |_, _, report| {
                reports.put(report);
                Ok(())
            })
            .disconnect_task_manager(move |_, instance, _| {
                left.put(instance);
                Ok(())
            })
            .notify_slot_available(move |_, _, allocation| available.put(allocation))
            .heartbeat_from_task_manager(move |_, _, report| {
                beats.put(report);
                Ok(())
            })
    }

    fn start_resource_manager(&self) -> RpcServer<StubResourceManager> {
        StubResourceManager::new(self.mock_resource_manager(), RM).start(&self.rpc, "rm")
    }

    /// What a JobMaster does that takes all slots and all states.
    fn mock_job_master(&self) -> MockJobMasterGateway {
        let (joined, parted, gone, failed, states, beats) = (
            self.joined.clone(),
            self.parted.clone(),
            self.gone.clone(),
            self.failed.clone(),
            self.states.clone(),
            self.job_beats.clone(),
        );
        MockJobMasterGateway::default()
            .register_task_manager(move |job, location, _, _| {
                assert!(location.address.ends_with("te"));
                joined.put(job);
                Ok(RegistrationResponse::Success(ResourceId::new("jm")))
            })
            .offer_slots(|_, offers| Ok(offers))
            .disconnect_task_manager(move |_, registration, cause| {
                gone.put(registration);
                parted.put(cause);
                Ok(())
            })
            .fail_slot(move |_, allocation, _| failed.put(allocation))
            .update_task_execution_state(move |state| {
                states.put(state);
                Ok(())
            })
            .heartbeat_from_task_manager(move |_, _, report| {
                beats.put(report);
                Ok(())
            })
    }

    /// Starts the JobMaster of a job, which takes all slots.
    fn start_job_master(&self, job: JobId) -> RpcServer<StubJobMaster> {
        StubJobMaster::new(self.mock_job_master(), FIRST).start(&self.rpc, &job.to_string())
    }

    /// Starts the JobMaster of a job, for which the test answers the offers.
    fn start_slow_job_master(&self, job: JobId) -> RpcServer<StubJobMaster> {
        let stub = StubJobMaster::new(self.mock_job_master(), FIRST).offers_to(&self.offers);
        stub.start(&self.rpc, &job.to_string())
    }

    async fn request(
        &self,
        job: JobId,
        slot_index: u32,
        allocation: AllocationId,
    ) -> Result<(), RpcError<SlotRequestError>> {
        let address = job.to_string();
        self.request_for(job, address, slot_index, allocation).await
    }

    /// Requests a slot for a job whose JobMaster is at this address.
    async fn request_for(
        &self,
        job: JobId,
        job_master_address: String,
        slot_index: u32,
        allocation: AllocationId,
    ) -> Result<(), RpcError<SlotRequestError>> {
        let request = SlotRequest {
            slot_index,
            job,
            allocation,
            job_master_address,
            job_master_id: FIRST,
            resource_manager_id: RM,
        };
        self.gateway.request_slot(request).await
    }

    /// Gives a slot to a job.
    async fn allocate(&self, job: JobId, slot_index: u32) -> AllocationId {
        let allocation = AllocationId::random();
        self.request(job, slot_index, allocation).await.unwrap();
        allocation
    }

    /// Gives a slot to a job whose JobMaster takes it.
    async fn activate(&self, job: JobId, slot_index: u32) -> AllocationId {
        let allocation = self.allocate(job, slot_index).await;
        self.until_active(allocation).await;
        allocation
    }

    /// Waits until the JobMaster of a job is not connected any more.
    async fn until_left(&self, job: JobId) {
        until(async || {
            let connected = self.server.main_thread().call_async(move |te, _| {
                let link = te.jobs.get(&job);
                link.is_some_and(|it| it.gateway.is_some())
            });
            !connected.await.unwrap()
        })
        .await;
    }

    /// Returns the registration at the JobMaster of a job.
    async fn registration(&self, job: JobId) -> RegistrationId {
        let registration = self.server.main_thread().call_async(move |te, _| {
            let link = te.jobs.get(&job);
            link.and_then(|it| it.registration())
        });
        registration.await.unwrap().unwrap()
    }

    async fn until_active(&self, allocation: AllocationId) {
        until(async || {
            let active = self.server.main_thread().call_async(move |te, _| {
                let offer = |it: SlotOffer| it.allocation;
                let active = super::slot_table::SlotState::Active;
                let mut jobs = te.jobs.keys();
                jobs.any(|job| {
                    let slots = te.slots.slots_of(*job, active).into_iter();
                    slots.map(offer).any(|it| it == allocation)
                })
            });
            active.await.unwrap()
        })
        .await;
    }

    /// Returns the registration at the ResourceManager.
    async fn instance(&self) -> Option<InstanceId> {
        let instance = self
            .server
            .main_thread()
            .call_async(|te, _| te.resource_manager.instance());
        instance.await.unwrap()
    }

    /// Returns the slots that are not free, as they are now.
    async fn taken(&self) -> Vec<u32> {
        until(async || self.instance().await.is_some()).await;
        let instance = self.instance().await.unwrap();
        self.gateway
            .heartbeat_from_resource_manager(instance)
            .await
            .unwrap();
        taken(&self.beats.next().await)
    }

    async fn jobs(&self) -> usize {
        let jobs = self.server.main_thread().call_async(|te, _| te.jobs.len());
        jobs.await.unwrap()
    }

    /// Waits until the JobMaster is told that a task is in a state.
    async fn told(&self, attempt: AttemptId, state: ExecutionState) -> TaskExecutionState {
        loop {
            let update = self.states.next().await;
            if (update.attempt, update.state) == (attempt, state) {
                return update;
            }
        }
    }

    async fn submit(
        &self,
        task: TaskDeploymentDescriptor,
    ) -> Result<(), RpcError<TaskSubmissionError>> {
        self.gateway.submit_task(Box::new(task), FIRST).await
    }
}

/// Nobody is there.
#[derive(Debug)]
struct NoDialer;

impl Dialer for NoDialer {
    fn open(&self, _: String) -> BoxFuture<'static, Result<Stream, BoxError>> {
        async { Err("nobody is there".into()) }.boxed()
    }
}

fn taken(report: &SlotReport) -> Vec<u32> {
    let taken = report.slots.iter().filter(|it| it.allocation.is_some());
    taken.map(|it| it.slot.index).collect()
}

fn attempt(job: JobId, subtask: u32) -> AttemptId {
    AttemptId {
        job,
        vertex: VertexId(0),
        subtask,
        attempt: 0,
    }
}

/// A task that makes lines until it is cancelled.
fn endless(attempt: AttemptId, allocation: AllocationId) -> TaskDeploymentDescriptor {
    TaskDeploymentDescriptor {
        attempt,
        allocation,
        name: String::from("endless"),
        operators: vec![
            OperatorSpec::new("generator-source").with("rate", 10.0),
            OperatorSpec::new("discard-sink"),
        ],
        parallelism: 1,
        inputs: Vec::new(),
        outputs: Vec::new(),
    }
}

/// Does not return until it is met, whoever wants it to.
#[derive(Clone)]
struct Hangs {
    entered: Heard<()>,
    met: Arc<Barrier>,
}

impl Operator for Hangs {
    fn open(&mut self, _: &OperatorContext) -> Result<(), OperatorError> {
        self.entered.put(());
        self.met.wait();
        Ok(())
    }

    fn process(&mut self, _: Record<'_>, _: &mut dyn Collector) -> Result<(), OperatorError> {
        Ok(())
    }
}

/// A task that makes a few lines.
fn short(attempt: AttemptId, allocation: AllocationId) -> TaskDeploymentDescriptor {
    let mut task = endless(attempt, allocation);
    task.operators[0] = OperatorSpec::new("generator-source").with("count", 3);
    task
}

#[tokio::test(start_paused = true)]
async fn it_registers_and_reports_its_slots() {
    // Flink: TaskExecutorTest#testImmediatelyRegistersIfLeaderIsKnown, #testInitialSlotReport
    let fixture = Fixture::alone(|_| {}).await;
    let _rm = fixture.start_resource_manager();
    fixture.registered.next().await;
    let report = fixture.reports.next().await;
    assert_eq!((report.slots.len(), taken(&report)), (2, vec![]));
    let metrics = fixture.gateway.request_metric_query_service_address().await;
    assert_eq!(metrics, Ok(Some(String::from("metrics"))));
}

#[tokio::test(start_paused = true)]
async fn a_report_that_fails_is_made_again_after_a_while() {
    // Flink: TaskExecutorTest#testInitialSlotReportFailure
    let fixture = Fixture::alone(|_| {}).await;
    let reports = fixture.reports.clone();
    let mock = fixture
        .mock_resource_manager()
        .send_slot_report(move |_, _, report| {
            reports.put(report);
            Err(UnknownRegistration)?
        });
    let _rm = StubResourceManager::new(mock, RM).start(&fixture.rpc, "rm");
    let first = fixture.registered.next().await;
    let started = Instant::now();
    assert_eq!(fixture.left.next().await, first);
    assert_ne!(fixture.registered.next().await, first);
    // Not at once, or the two would keep each other busy.
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_resource_manager_is_left_and_looked_for() {
    // Flink: TaskExecutorTest#testHeartbeatTimeoutWithResourceManager
    let fixture = Fixture::alone(|_| {}).await;
    let _rm = fixture.start_resource_manager();
    let first = fixture.registered.next().await;
    assert_eq!(fixture.left.next().await, first);
    assert_ne!(fixture.registered.next().await, first);
}

#[tokio::test(start_paused = true)]
async fn a_resource_manager_that_has_ended_is_left_at_once() {
    // Flink: TaskExecutorTest#testResourceManagerBecomesUnreachableTriggersDisconnect
    let fixture = Fixture::alone(|_| {}).await;
    let rm = fixture.start_resource_manager();
    fixture.registered.next().await;
    fixture.reports.next().await;
    let started = Instant::now();
    rm.close().await.unwrap();
    let _successor = fixture.start_resource_manager();
    fixture.registered.next().await;
    // Without a heartbeat, and without a call that fails.
    assert!(started.elapsed() < Duration::from_secs(5));
    // Its slots go to its successor with the next registration, which nobody is to end.
    assert_eq!(fixture.left.take(), []);
}

#[tokio::test(start_paused = true)]
async fn it_registers_again_when_the_resource_manager_disconnects() {
    // Flink: TaskExecutorTest#testReconnectionAttemptIfExplicitlyDisconnected
    let fixture = Fixture::alone(|_| {}).await;
    let _rm = fixture.start_resource_manager();
    let first = fixture.registered.next().await;
    fixture.reports.next().await;
    let disconnect = |instance| {
        let cause = String::from("it is lost");
        fixture
            .gateway
            .disconnect_resource_manager(instance, cause)
            .detach();
    };
    // A word of some other registration is not for this one.
    disconnect(InstanceId::random());
    disconnect(first);
    fixture.registered.next().await;
    fixture.reports.next().await;
    disconnect(first);
    fixture.taken().await;
    assert_eq!(fixture.registered.take(), []);
    // Whoever says it knows it.
    assert_eq!(fixture.left.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_resource_manager_that_does_not_know_the_registration_is_registered_at_again() {
    let fixture = Fixture::alone(|_| {}).await;
    let mock = fixture.mock_resource_manager();
    let mock = mock.heartbeat_from_task_manager(|_, _, _| Err(UnknownRegistration)?);
    let _rm = StubResourceManager::new(mock, RM).start(&fixture.rpc, "rm");
    let first = fixture.registered.next().await;
    fixture.reports.next().await;
    let started = Instant::now();
    let asked = fixture.gateway.heartbeat_from_resource_manager(first);
    asked.await.unwrap();
    assert_ne!(fixture.registered.next().await, first);
    assert!(started.elapsed() < Duration::from_secs(1));
    // There is nothing to leave.
    assert_eq!(fixture.left.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_heartbeat_may_overtake_the_answer_to_the_registration() {
    let fixture = Fixture::alone(|_| {}).await;
    let asked = fixture
        .gateway
        .heartbeat_from_resource_manager(InstanceId::random());
    // Which registration it is the TaskExecutor does not know yet.
    assert_eq!(asked.await, Ok(()));
    let _rm = fixture.start_resource_manager();
    fixture.reports.next().await;
    let job = JobId::random();
    let mock = fixture.mock_job_master();
    let not_yet = || RegistrationResponse::Failure(String::from("not yet"));
    let mock = mock.register_task_manager(move |_, _, _, _| Ok(not_yet()));
    let _jm = StubJobMaster::new(mock, FIRST).start(&fixture.rpc, &job.to_string());
    fixture.allocate(job, 0).await;
    let registration = fixture.registration(job).await;
    let answers = [RegistrationId::random(), registration].map(|registration| {
        fixture
            .gateway
            .heartbeat_from_job_manager(job, registration, vec![])
    });
    let [other, this] = answers;
    assert_eq!((other.await, this.await), (UNKNOWN, Ok(())));
    assert!(fixture.job_beats.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_finds_no_resource_manager_for_too_long() {
    // Flink: TaskExecutorTest#testMaximumRegistrationDuration
    let change = |it: &mut TaskExecutorConfig| {
        it.registration_timeout = Some(Duration::from_secs(20));
    };
    let fixture = Fixture::alone(change).await;
    let Err(EndpointError::Stop { source, .. }) = fixture.server.terminated().await else {
        panic!("it says why it stops");
    };
    assert_eq!(
        source.to_string(),
        "no resource manager has accepted the task manager in 20s"
    );
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_has_lost_the_resource_manager_for_too_long() {
    // Flink: TaskExecutorTest#testMaximumRegistrationDurationAfterConnectionLoss
    let change = |it: &mut TaskExecutorConfig| {
        it.registration_timeout = Some(Duration::from_secs(20));
    };
    let fixture = Fixture::alone(change).await;
    let rm = fixture.start_resource_manager();
    let instance = fixture.registered.next().await;
    fixture.reports.next().await;
    // Being registered is not being without.
    advance(Duration::from_secs(30)).await;
    fixture.taken().await;
    rm.close().await.unwrap();
    let started = Instant::now();
    fixture
        .gateway
        .disconnect_resource_manager(instance, String::from("it stops"))
        .detach();
    assert!(fixture.server.terminated().await.is_err());
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_is_rejected() {
    // Flink: TaskExecutorTest#testTerminationOnFatalError
    let fixture = Fixture::alone(|_| {}).await;
    let mock = fixture.mock_resource_manager();
    let rejection = || RegistrationResponse::Rejection(String::from("too many"));
    let mock = mock.register_task_executor(move |_| Ok(rejection()));
    let _rm = StubResourceManager::new(mock, RM).start(&fixture.rpc, "rm");
    let Err(EndpointError::Stop { source, .. }) = fixture.server.terminated().await else {
        panic!("it says why it stops");
    };
    let text = "the resource manager rejects the task manager: too many";
    assert_eq!(source.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn the_report_is_of_now() {
    // Flink: TaskExecutorTest#testHeartbeatReporting, #testSlotReportDoesNotContainStaleInformation
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    assert_eq!(fixture.taken().await, []);
    let allocation = fixture.activate(job, 1).await;
    assert_eq!(fixture.taken().await, [1]);
    let freed = fixture.gateway.free_slot(allocation, String::from("done"));
    freed.await.unwrap();
    assert_eq!(fixture.taken().await, []);
    // Nobody else is answered.
    let stranger = fixture
        .gateway
        .heartbeat_from_resource_manager(InstanceId::random());
    assert_eq!(stranger.await, UNKNOWN);
    fixture.taken().await;
    assert!(fixture.beats.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_the_resource_manager_that_is_connected_gives_slots() {
    // Flink: TaskExecutorTest#testIgnoringSlotRequestsIfNotRegistered
    let fixture = Fixture::alone(|_| {}).await;
    let (job, allocation) = (JobId::random(), AllocationId::random());
    let refused = Err(RpcError::App(SlotRequestError::WrongResourceManager {
        id: RM,
    }));
    assert_eq!(fixture.request(job, 0, allocation).await, refused);
    assert_eq!(fixture.jobs().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_taken_is_active_and_one_that_is_not_is_free() {
    // Flink: TaskExecutorTest#testSlotAcceptance, #testJobLeaderDetection
    let (fixture, _rm) = Fixture::new().await;
    let (job, joined) = (JobId::random(), fixture.joined.clone());
    // The JobMaster is not ready for both yet when it is first asked.
    let mock = fixture.mock_job_master();
    let mock = mock.register_task_manager(move |job, _, _, _| {
        joined.put(job);
        match joined.len() {
            1 => Err(Failure::message("not yet"))?,
            _ => Ok(RegistrationResponse::Success(ResourceId::new("jm"))),
        }
    });
    let stub = StubJobMaster::new(mock, FIRST).offers_to(&fixture.offers);
    let _jm = stub.start(&fixture.rpc, &job.to_string());
    let [taken, left] = [
        fixture.allocate(job, 0).await,
        fixture.allocate(job, 1).await,
    ];
    let (offers, reply) = fixture.offers.next().await;
    let both = [taken, left];
    assert_eq!(
        offers.iter().map(|it| it.allocation).collect::<Vec<_>>(),
        both
    );
    reply.answer(Ok(offers[..1].to_vec()));
    assert_eq!(fixture.available.next().await, left);
    fixture.until_active(taken).await;
    // An active slot does not expire.
    advance(Duration::from_secs(30)).await;
    assert_eq!(fixture.taken().await, [0]);
}

#[tokio::test(start_paused = true)]
async fn only_the_answer_to_the_last_offer_counts() {
    // Flink: TaskExecutorTest#testRejectedSlotNotFreedIfAnotherOfferIsPending,
    //   #testAcceptedSlotNotActivatedIfAnotherOfferIsPending
    for accepts_first in [true, false] {
        let (fixture, _rm) = Fixture::new().await;
        let job = JobId::random();
        let _jm = fixture.start_slow_job_master(job);
        let first = fixture.allocate(job, 0).await;
        let (offers, reply) = fixture.offers.next().await;
        let second = fixture.allocate(job, 1).await;
        let (both, last_reply) = fixture.offers.next().await;
        assert_eq!(both.len(), 2);
        reply.answer(Ok(if accepts_first { offers } else { vec![] }));
        // The first answer said nothing.
        assert_eq!(fixture.taken().await, [0, 1]);
        if accepts_first {
            last_reply.answer(Ok(vec![]));
            let freed = [
                fixture.available.next().await,
                fixture.available.next().await,
            ];
            assert_eq!(freed, [first, second]);
        } else {
            last_reply.answer(Ok(both));
            fixture.until_active(first).await;
            fixture.until_active(second).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_offers_of_two_jobs_do_not_meet() {
    // Flink: TaskExecutorTest#testSlotOfferCounterIsSeparatedByJob
    let (fixture, _rm) = Fixture::new().await;
    let jobs = [JobId::random(), JobId::random()];
    let _servers = jobs.map(|job| fixture.start_slow_job_master(job));
    let first = fixture.allocate(jobs[0], 0).await;
    let (offers, reply) = fixture.offers.next().await;
    let second = fixture.allocate(jobs[1], 1).await;
    let (other_offers, other_reply) = fixture.offers.next().await;
    other_reply.answer(Ok(other_offers));
    reply.answer(Ok(offers));
    fixture.until_active(first).await;
    fixture.until_active(second).await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_job_master_that_is_gone_activates_nothing() {
    let (fixture, _rm) = Fixture::new().await;
    let (job, joined) = (JobId::random(), fixture.joined.clone());
    let mock = fixture.mock_job_master();
    // It does not come back.
    let mock = mock.register_task_manager(move |job, _, _, _| {
        joined.put(job);
        Ok(match joined.len() {
            1 => RegistrationResponse::Success(ResourceId::new("jm")),
            _ => RegistrationResponse::Failure(String::from("not now")),
        })
    });
    let stub = StubJobMaster::new(mock, FIRST).offers_to(&fixture.offers);
    let _jm = stub.start(&fixture.rpc, &job.to_string());
    let allocation = fixture.allocate(job, 0).await;
    let (offers, reply) = fixture.offers.next().await;
    let (registration, cause) = (fixture.registration(job).await, String::from("it leaves"));
    let left = fixture
        .gateway
        .disconnect_job_manager(job, registration, cause);
    left.await.unwrap();
    reply.answer(Ok(offers));
    // Were it active, nobody would ever free it.
    assert_eq!(fixture.available.next().await, allocation);
    assert_eq!(fixture.taken().await, []);
    assert_eq!(fixture.parted.take(), ["it leaves"]);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_is_not_answered_is_made_again() {
    // Flink: TaskExecutorTest#testOfferSlotToJobMasterAfterTimeout
    let change = |it: &mut TaskExecutorConfig| {
        it.slots.activation_timeout = Duration::from_secs(60);
    };
    let fixture = Fixture::alone(change).await;
    let _rm = fixture.start_resource_manager();
    fixture.reports.next().await;
    let job = JobId::random();
    let _jm = fixture.start_slow_job_master(job);
    let allocation = fixture.allocate(job, 0).await;
    let _unanswered = fixture.offers.next().await;
    let (offers, reply) = fixture.offers.next().await;
    reply.answer(Ok(offers));
    fixture.until_active(allocation).await;
}

#[tokio::test(start_paused = true)]
async fn an_offer_whose_answer_is_lost_is_made_again() {
    let (network, offers) = (SimNetwork::seeded(1), Heard::new());
    let far = FarJob::with(&network, |stub| stub.offers_to(&offers));
    let taken = async {
        let _unanswered = offers.next().await;
        network.reset("te", "jm");
        let (offered, reply) = offers.next().await;
        reply.answer(Ok(offered));
    };
    // It becomes active.
    let (_far, ()) = tokio::join!(far, taken);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_nobody_takes_is_free_again() {
    // Flink: TaskSlotTableImplTest#testAllocatedSlotTimeout,
    //   TaskExecutorTest#testRemoveJobFromJobLeaderService
    let (fixture, _rm) = Fixture::new().await;
    let (job, joined) = (JobId::random(), fixture.joined.clone());
    let mock = fixture.mock_job_master();
    let mock = mock.register_task_manager(move |job, _, _, _| {
        joined.put(job);
        Ok(RegistrationResponse::Failure(String::from("not now")))
    });
    let _jm = StubJobMaster::new(mock, FIRST).start(&fixture.rpc, &job.to_string());
    let started = Instant::now();
    let allocation = fixture.allocate(job, 0).await;
    assert_eq!(fixture.joined.next().await, job);
    assert_eq!(fixture.jobs().await, 1);
    assert_eq!(fixture.available.next().await, allocation);
    assert!(started.elapsed() >= Duration::from_secs(10));
    assert_eq!((fixture.taken().await, fixture.jobs().await), (vec![], 0));
    // Nobody registers at it any more.
    advance(Duration::from_secs(60)).await;
    fixture.taken().await;
    assert_eq!(fixture.joined.take(), []);
}

#[tokio::test(start_paused = true)]
async fn the_slots_of_a_job_that_is_gone_are_free_at_once() {
    let network = SimNetwork::seeded(1);
    let far = FarJob::new(&network).await;
    let fixture = &far.fixture;
    let started = Instant::now();
    far.job_master.close().await.unwrap();
    assert_eq!(fixture.available.next().await, far.allocation);
    // And those of one that was never there.
    let allocation = fixture.allocate(far.job, 1).await;
    assert_eq!(fixture.available.next().await, allocation);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((fixture.taken().await, fixture.jobs().await), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_slot_may_be_freed_before_it_is_taken() {
    // Flink: TaskExecutorTest#testFreeingInactiveSlotDoesNotFail, #testReleaseInactiveSlots
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_slow_job_master(job);
    let allocation = fixture.allocate(job, 0).await;
    let (offers, reply) = fixture.offers.next().await;
    let freed = fixture
        .gateway
        .free_slot(allocation, String::from("not needed"));
    freed.await.unwrap();
    assert_eq!(fixture.available.next().await, allocation);
    reply.answer(Ok(offers));
    assert_eq!(fixture.taken().await, []);

    let allocation = fixture.allocate(job, 0).await;
    let _offered = fixture.offers.next().await;
    fixture.gateway.free_inactive_slots(job);
    assert_eq!(fixture.available.next().await, allocation);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_freed_meanwhile_is_failed_at_the_job_master() {
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_slow_job_master(job);
    let [kept, freed] = [
        fixture.allocate(job, 0).await,
        fixture.allocate(job, 1).await,
    ];
    // The first offer may be of one slot or of both.
    let (mut offers, mut reply) = fixture.offers.next().await;
    if offers.len() < 2 {
        (offers, reply) = fixture.offers.next().await;
    }
    let cause = String::from("not needed");
    fixture.gateway.free_slot(freed, cause).await.unwrap();
    reply.answer(Ok(offers));
    assert_eq!(fixture.failed.next().await, freed);
    fixture.until_active(kept).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_job_master_is_left_and_looked_for() {
    // Flink: TaskExecutorTest#testHeartbeatTimeoutWithJobManager
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    fixture.activate(job, 0).await;
    fixture.joined.next().await;
    let cause = "the job master sent no heartbeat in time";
    assert_eq!(fixture.parted.next().await, cause);
    assert_eq!(fixture.joined.next().await, job);
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_has_ended_is_left_at_once() {
    // Flink: TaskExecutorTest#testJobManagerBecomesUnreachableTriggersDisconnect
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let jm = fixture.start_job_master(job);
    fixture.activate(job, 0).await;
    let started = Instant::now();
    jm.close().await.unwrap();
    fixture.until_left(job).await;
    // Without a heartbeat, and without a call that fails.
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_does_not_know_the_registration_is_registered_at_again() {
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let mock = fixture.mock_job_master();
    let mock = mock.heartbeat_from_task_manager(|_, _, _| Err(UnknownRegistration)?);
    let _jm = StubJobMaster::new(mock, FIRST).start(&fixture.rpc, &job.to_string());
    let allocation = fixture.activate(job, 0).await;
    fixture.joined.next().await;
    let first = fixture.registration(job).await;
    let started = Instant::now();
    let asked = fixture
        .gateway
        .heartbeat_from_job_manager(job, first, vec![]);
    asked.await.unwrap();
    assert_eq!(fixture.joined.next().await, job);
    fixture.until_active(allocation).await;
    assert_ne!(fixture.registration(job).await, first);
    assert!(started.elapsed() < Duration::from_secs(1));
    let cause = "the job master does not know the task manager any more";
    assert_eq!(fixture.parted.take(), [cause]);
}

#[tokio::test(start_paused = true)]
async fn a_job_master_whose_connection_breaks_is_reached_again() {
    let network = SimNetwork::seeded(1);
    let far = FarJob::new(&network).await;
    let fixture = &far.fixture;
    fixture.joined.next().await;
    for _ in 0..2 {
        network.reset("te", "jm");
        fixture.job_beats.next().await;
    }
    fixture.until_active(far.allocation).await;
    assert_eq!(fixture.joined.take(), []);
    assert_eq!(fixture.parted.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_cannot_be_reached_again_is_left() {
    let network = SimNetwork::seeded(1);
    let far = FarJob::new(&network).await;
    let started = Instant::now();
    far.service.abort();
    network.crash("jm");
    far.fixture.until_left(far.job).await;
    let after = started.elapsed().as_secs();
    assert!((2..6).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_disconnects_is_found_again() {
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    fixture.joined.next().await;
    let disconnect = |registration| {
        let cause = String::from("it leaves");
        fixture
            .gateway
            .disconnect_job_manager(job, registration, cause)
            .detach();
    };
    // A word of some other registration is not for this one.
    disconnect(RegistrationId::random());
    let first = fixture.registration(job).await;
    disconnect(first);
    assert_eq!(fixture.joined.next().await, job);
    fixture.until_active(allocation).await;
    assert_ne!(fixture.registration(job).await, first);
    assert_eq!(fixture.parted.take(), ["it leaves"]);
    assert_eq!(fixture.gone.take(), [first]);
    // It may come again, late.
    disconnect(first);
    assert_eq!(fixture.taken().await, [0]);
    assert_eq!(fixture.joined.take(), []);
    assert_eq!(fixture.parted.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_of_a_job_is_registered_at_and_the_former_is_left() {
    // Flink: TaskExecutorTest#testDisconnectFromJobMasterWhenNewLeader
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    fixture.activate(job, 0).await;
    fixture.joined.next().await;
    let stub = StubJobMaster::new(fixture.mock_job_master(), SECOND);
    let _successor = stub.start(&fixture.rpc, "successor");
    let request = SlotRequest {
        slot_index: 1,
        job,
        allocation: AllocationId::random(),
        job_master_address: String::from("successor"),
        job_master_id: SECOND,
        resource_manager_id: RM,
    };
    fixture.gateway.request_slot(request).await.unwrap();
    assert_eq!(
        fixture.parted.next().await,
        "another job master leads the job"
    );
    assert_eq!(fixture.joined.next().await, job);
    assert_eq!(fixture.jobs().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_job_master_rejects_it_has_nothing_here_any_more() {
    // Flink: TaskExecutorTest#testReleaseOfJobResourcesIfJobMasterIsNotCorrect
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let rejection = || RegistrationResponse::Rejection(String::from("another job"));
    let mock = fixture
        .mock_job_master()
        .register_task_manager(move |_, _, _, _| Ok(rejection()));
    let _jm = StubJobMaster::new(mock, FIRST).start(&fixture.rpc, &job.to_string());
    let started = Instant::now();
    let both = [
        fixture.allocate(job, 0).await,
        fixture.allocate(job, 1).await,
    ];
    for allocation in both {
        assert_eq!(fixture.available.next().await, allocation);
    }
    // It was not the time-out that freed them.
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((fixture.taken().await, fixture.jobs().await), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn the_two_sides_agree_on_the_slots() {
    // Flink: TaskExecutorTest#testSyncSlotsWithJobMasterByHeartbeat
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let claimed = fixture.activate(job, 0).await;
    let unclaimed = fixture.activate(job, 1).await;
    let gone = AllocationId::random();
    let claim = |slot_index, allocation| AllocatedSlot {
        slot_index,
        allocation,
    };
    let claims = vec![claim(0, claimed), claim(7, gone)];
    let registration = fixture.registration(job).await;
    for _ in 0..2 {
        fixture
            .gateway
            .heartbeat_from_job_manager(job, registration, claims.clone())
            .await
            .unwrap();
        assert_eq!(fixture.failed.next().await, gone);
        assert_eq!(
            fixture.job_beats.next().await,
            TaskExecutorReport::default()
        );
    }
    assert_eq!(fixture.available.next().await, unclaimed);
    assert_eq!(fixture.taken().await, [0]);
    // Who is not connected is not answered, nor is what comes of another registration.
    let others = [
        (JobId::random(), registration),
        (job, RegistrationId::random()),
    ];
    for (job, registration) in others {
        let stranger = fixture
            .gateway
            .heartbeat_from_job_manager(job, registration, vec![]);
        assert_eq!(stranger.await, UNKNOWN);
    }
    fixture.taken().await;
    assert!(fixture.job_beats.take().is_empty());
}

#[tokio::test]
async fn a_task_runs_to_its_end() {
    // Flink: TaskExecutorSubmissionTest#testTaskSubmission, TaskExecutorTest#testReleasingJobResources
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    let attempt = attempt(job, 0);
    fixture.submit(short(attempt, allocation)).await.unwrap();
    let mut states = Vec::new();
    while !states.contains(&ExecutionState::Finished) {
        let update = fixture.states.next().await;
        assert_eq!((update.attempt, update.failure.len()), (attempt, 0));
        states.push(update.state);
    }
    states.dedup();
    let in_order = [
        ExecutionState::Initializing,
        ExecutionState::Running,
        ExecutionState::Finished,
    ];
    // A task may end before anyone has seen it run.
    assert!(
        states == in_order || states == [in_order[0], in_order[2]],
        "{states:?}"
    );
    // The slot is the job's until its JobMaster frees it.
    assert_eq!(fixture.taken().await, [0]);
    fixture
        .gateway
        .free_slot(allocation, String::from("done"))
        .await
        .unwrap();
    assert_eq!((fixture.taken().await, fixture.jobs().await), (vec![], 0));
}

#[tokio::test]
async fn what_the_attempts_before_a_restart_have_produced_is_forgotten() {
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    let run = async |number| {
        let attempt = AttemptId {
            attempt: number,
            ..attempt(job, 0)
        };
        let output = ResultPartition {
            id: PartitionId {
                producer: attempt,
                output: 0,
            },
            ship: Ship::Forward,
            subpartitions: 1,
        };
        let mut task = short(attempt, allocation);
        task.operators.truncate(1);
        task.outputs = vec![output.clone()];
        fixture.submit(task).await.unwrap();
        while fixture
            .told(attempt, ExecutionState::Finished)
            .await
            .attempt
            != attempt
        {}
        output
    };
    let outputs = [run(0).await, run(1).await];
    let shuffle = fixture
        .server
        .main_thread()
        .call_async(|te, _| te.services.shuffle.clone());
    let shuffle = shuffle.await.unwrap();
    let context = context(0, 1, &JobMasterStub::new(vec![]));
    // Nobody has read them, and those of the last attempt are there to be read.
    let is_there = outputs.map(|output| shuffle.register_partition(&output, &context).is_err());
    assert_eq!(is_there, [false, true]);
}

#[tokio::test]
async fn one_of_two_tasks_is_cancelled() {
    // Flink: TaskExecutorSubmissionTest#testTaskSubmissionAndCancelling
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    let [cancelled, kept] = [attempt(job, 0), attempt(job, 1)];
    for attempt in [cancelled, kept] {
        fixture.submit(endless(attempt, allocation)).await.unwrap();
    }
    fixture.gateway.cancel_task(cancelled).await.unwrap();
    let canceled = fixture.told(cancelled, ExecutionState::Canceled).await;
    assert!(canceled.failure.is_empty());
    let not_found = Err(RpcError::App(TaskNotFound { attempt: cancelled }));
    until(async || fixture.gateway.cancel_task(cancelled).await == not_found).await;
    let registration = fixture.registration(job).await;
    fixture
        .gateway
        .heartbeat_from_job_manager(job, registration, vec![])
        .await
        .unwrap();
    let report = fixture.job_beats.next().await;
    assert_eq!(
        report.attempts.iter().map(|it| it.0).collect::<Vec<_>>(),
        [kept]
    );
}

#[tokio::test]
async fn a_task_that_does_not_end_is_left_behind_and_keeps_its_slot() {
    let hangs = Hangs {
        entered: Heard::new(),
        met: Arc::new(Barrier::new(2)),
    };
    let (mut operators, made) = (OperatorRegistry::new(), hangs.clone());
    let registered = operators.register_sink("hangs", move |_| Ok(made.clone()));
    registered.unwrap();
    let short_timeout = |config: &mut TaskExecutorConfig| {
        config.cancellation_timeout = Duration::from_millis(100);
    };
    let fixture = Fixture::with(operators, RpcService::local(), short_timeout).await;
    let _rm = fixture.start_resource_manager();
    fixture.reports.next().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    let attempt = attempt(job, 0);
    let mut task = endless(attempt, allocation);
    task.operators[1] = OperatorSpec::new("hangs");
    fixture.submit(task).await.unwrap();
    hangs.entered.next().await;
    fixture.gateway.cancel_task(attempt).await.unwrap();
    fixture.told(attempt, ExecutionState::Canceled).await;
    // The job goes on without it, its slot does not.
    let cause = String::from("the job has ended");
    fixture.gateway.free_slot(allocation, cause).await.unwrap();
    assert_eq!(fixture.taken().await, [0]);
    // Nor is its JobMaster looked for when it has left.
    let registration = fixture.registration(job).await;
    let cause = String::from("it leaves");
    let left = fixture
        .gateway
        .disconnect_job_manager(job, registration, cause);
    left.await.unwrap();
    let asked = fixture
        .gateway
        .heartbeat_from_job_manager(job, registration, vec![]);
    assert_eq!((asked.await, fixture.jobs().await), (UNKNOWN, 1));
    hangs.met.wait();
    assert_eq!(fixture.available.next().await, allocation);
    assert_eq!(fixture.states.len(), 0);
}

#[tokio::test]
async fn a_task_is_refused_for_a_reason() {
    // Flink: TaskExecutorSubmissionTest#testSubmitTaskFailure
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let attempt = attempt(job, 0);
    let _jm = fixture.start_job_master(job);
    let task = || endless(attempt, AllocationId::random());
    let no_job_master = TaskSubmissionError::NoJobMaster { attempt };
    assert_eq!(
        fixture.submit(task()).await,
        Err(RpcError::App(no_job_master))
    );
    let allocation = fixture.activate(job, 0).await;
    let wrong = fixture.gateway.submit_task(Box::new(task()), SECOND).await;
    let expected = TaskSubmissionError::WrongJobMaster {
        attempt,
        expected: FIRST,
        got: SECOND,
    };
    assert_eq!(wrong, Err(RpcError::App(expected)));
    let refused = fixture.submit(task()).await;
    assert!(matches!(
        refused,
        Err(RpcError::App(TaskSubmissionError::Refused { .. }))
    ));
    fixture.submit(endless(attempt, allocation)).await.unwrap();
    let twice = fixture.submit(endless(attempt, allocation)).await;
    assert!(matches!(
        twice,
        Err(RpcError::App(TaskSubmissionError::Refused { .. }))
    ));
    // What is wrong with the operators fails the task, not its submission.
    let mut bad = endless(self::attempt(job, 1), allocation);
    bad.operators[0] = OperatorSpec::new("no-such-source");
    fixture.submit(bad).await.unwrap();
    let failed = fixture
        .told(self::attempt(job, 1), ExecutionState::Failed)
        .await;
    assert!(failed.failure[0].contains("no-such-source"), "{failed:?}");
}

#[tokio::test]
async fn a_task_may_come_before_the_answer_to_the_offer_of_its_slot() {
    // Flink: TaskExecutorTest#testSubmitTaskBeforeAcceptSlot
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_slow_job_master(job);
    let used = fixture.allocate(job, 0).await;
    let (first, first_reply) = fixture.offers.next().await;
    fixture
        .submit(endless(attempt(job, 0), used))
        .await
        .unwrap();
    fixture.until_active(used).await;
    first_reply.answer(Ok(first));
    let unused = fixture.allocate(job, 1).await;
    let (second, second_reply) = fixture.offers.next().await;
    assert_eq!(second.len(), 1);
    second_reply.answer(Ok(vec![]));
    assert_eq!(fixture.available.next().await, unused);
    assert_eq!(fixture.taken().await, [0]);
}

#[tokio::test]
async fn a_slot_with_a_task_is_free_when_that_has_ended() {
    // Flink: TaskSlotTableImplTest#testFreeSlotInterruptsSubmittedTask,
    //   #testRemoveTaskCallsFreeSlotAction
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    let attempt = attempt(job, 0);
    fixture.submit(endless(attempt, allocation)).await.unwrap();
    let cause = String::from("the slot is needed");
    fixture
        .gateway
        .free_slot(allocation, cause.clone())
        .await
        .unwrap();
    let failed = fixture.told(attempt, ExecutionState::Failed).await;
    assert_eq!(failed.failure, [cause]);
    assert_eq!(fixture.available.next().await, allocation);
    assert_eq!(fixture.jobs().await, 0);
}

#[tokio::test]
async fn the_tasks_of_a_job_master_that_leaves_fail_and_their_slot_waits() {
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    let attempt = attempt(job, 0);
    fixture.submit(endless(attempt, allocation)).await.unwrap();
    let (registration, cause) = (fixture.registration(job).await, String::from("it leaves"));
    fixture
        .gateway
        .disconnect_job_manager(job, registration, cause)
        .detach();
    let failed = fixture.told(attempt, ExecutionState::Failed).await;
    assert_eq!(failed.failure, ["it leaves"]);
    // The next one, here the same, has it.
    fixture.until_active(allocation).await;
}

#[tokio::test]
async fn a_task_that_its_job_master_does_not_know_fails() {
    // Flink: TaskExecutorSubmissionTest#testCancellingDependentAndStateUpdateFails
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let states = fixture.states.clone();
    let mock = fixture
        .mock_job_master()
        .update_task_execution_state(move |update| {
            let attempt = update.attempt;
            states.put(update);
            Err(UnknownAttempt { attempt })?
        });
    let _jm = StubJobMaster::new(mock, FIRST).start(&fixture.rpc, &job.to_string());
    let allocation = fixture.activate(job, 0).await;
    let attempt = attempt(job, 0);
    fixture.submit(endless(attempt, allocation)).await.unwrap();
    let failed = fixture.told(attempt, ExecutionState::Failed).await;
    assert_eq!(failed.failure, [UnknownAttempt { attempt }.to_string()]);
}

#[tokio::test]
async fn the_end_of_a_task_is_told_until_it_is_heard() {
    let mut config = RpcConfig::default();
    config.call_timeout = Duration::from_millis(200);
    let rpc = RpcService::builder().config(config).build().await.unwrap();
    let fixture = Fixture::within(rpc, |_| {}).await;
    let _rm = fixture.start_resource_manager();
    fixture.reports.next().await;
    let (job, states) = (JobId::random(), Heard::new());
    let stub = StubJobMaster::new(fixture.mock_job_master(), FIRST).states_to(&states);
    let _jm = stub.start(&fixture.rpc, &job.to_string());
    let allocation = fixture.activate(job, 0).await;
    fixture
        .submit(short(attempt(job, 0), allocation))
        .await
        .unwrap();
    let mut unanswered = Vec::new();
    while unanswered.len() < 2 {
        let (update, reply) = states.next().await;
        match update.state {
            ExecutionState::Finished => unanswered.push(reply),
            _ => reply.answer(Ok(())),
        }
    }
}

#[tokio::test]
async fn the_end_of_a_task_is_told_again_after_a_break_of_the_network() {
    let (network, states) = (SimNetwork::seeded(1), Heard::new());
    let far = FarJob::with(&network, |stub| stub.states_to(&states)).await;
    let task = short(attempt(far.job, 0), far.allocation);
    far.fixture.submit(task).await.unwrap();
    let mut unanswered = Vec::new();
    while unanswered.len() < 2 {
        let (update, reply) = states.next().await;
        match update.state {
            ExecutionState::Finished => {
                unanswered.push(reply);
                network.reset("te", "jm");
            }
            _ => reply.answer(Ok(())),
        }
    }
}

#[tokio::test]
async fn the_tasks_of_a_job_that_is_gone_end_and_their_slot_is_free() {
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    fixture.joined.next().await;
    fixture
        .submit(endless(attempt(job, 0), allocation))
        .await
        .unwrap();
    fixture.states.next().await;
    jm.close().await.unwrap();
    let started = Instant::now();
    assert_eq!(fixture.available.next().await, allocation);
    assert!(started.elapsed() < Duration::from_secs(9));
}

#[tokio::test]
async fn it_stops_when_its_tasks_have_ended_and_tells_everybody() {
    // Flink: TaskExecutorTest#testTaskSlotTableTerminationOnShutdown,
    //   #testShouldShutDownTaskManagerServicesInPostStop
    let (fixture, _rm) = Fixture::new().await;
    let job = JobId::random();
    let _jm = fixture.start_job_master(job);
    let allocation = fixture.activate(job, 0).await;
    let attempt = attempt(job, 0);
    fixture.submit(endless(attempt, allocation)).await.unwrap();
    fixture.told(attempt, ExecutionState::Running).await;
    fixture.server.close().await.unwrap();
    assert_eq!(fixture.parted.take(), ["the task manager stops"]);
    assert_eq!(fixture.left.take().len(), 1);
}
