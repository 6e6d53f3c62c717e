mod restart;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rpc_core::testing::sim::SimNetwork;
use rpc_core::{Call, FencingToken, RpcConfig, RpcError, RpcResult, RpcServer, RpcService};
use tokio::time::{Instant, advance, timeout};

use super::{JobMaster, JobMasterConfig};
use crate::gateway::{
    AllocatedSlot, ExecutionState, FailureKind, FileSplits, JobInfo, JobMasterGateway, JobStatus,
    MockResourceManagerGateway, MockTaskExecutorGateway, RegistrationResponse, RequirementsError,
    ResultsGone, Shortage, SlotOffer, TaskDeploymentDescriptor, TaskExecutionState,
    TaskExecutorGateway, TaskExecutorReport, TaskIo, TaskManagerLocation, TaskSubmissionError,
    UnknownAttempt, UnknownRegistration, UnknownTaskManager,
};
use crate::id::{
    AllocationId, AttemptId, InstanceId, JobId, JobMasterId, RegistrationId, ResourceId,
    ResourceManagerId, VertexId,
};
use crate::job_graph::{Edge, JobGraph, OperatorSpec, RestartStrategy, Ship, Vertex};
use crate::operator::OperatorRegistry;
use crate::testing::{Heard, StubResourceManager, StubTaskExecutor, retrieval_of};

/// A JobMaster, and what the others were told.
struct Fixture {
    rpc: RpcService,
    server: RpcServer<JobMaster>,
    gateway: Arc<dyn JobMasterGateway>,
    job: JobId,
    registered: Heard<JobMasterId>,
    /// The registrations at the ResourceManager.
    registrations: Heard<RegistrationId>,
    /// How many slots the job needs.
    declared: Heard<u32>,
    /// Where the job stood when the ResourceManager was left.
    left: Heard<JobStatus>,
    /// The registrations that the JobMaster has ended, at the ResourceManager or of TaskExecutors.
    gone: Heard<RegistrationId>,
    tasks: Heard<TaskDeploymentDescriptor>,
    cancelled: Heard<AttemptId>,
    freed: Heard<AllocationId>,
    /// Why TaskExecutors were left.
    parted: Heard<String>,
    beats: Heard<Vec<AllocatedSlot>>,
    /// How the job has ended, and how much it has printed.
    ended: Heard<(JobInfo, u64)>,
}

const UNKNOWN: RpcResult<(), UnknownRegistration> = Err(RpcError::App(UnknownRegistration));
const RM: ResourceManagerId = ResourceManagerId::new(FencingToken::new(7));
const ID: JobMasterId = JobMasterId::new(FencingToken::new(1));

/// A job of one vertex, whose subtasks print lines, and which is not restarted.
fn graph(parallelism: u32, slot_wait: Option<Duration>) -> JobGraph {
    let vertex = |name: &str| Vertex {
        name: name.to_owned(),
        operator: OperatorSpec::new(name),
        parallelism,
    };
    JobGraph {
        id: JobId::random(),
        name: String::from("job"),
        vertices: vec![vertex("generator-source"), vertex("stdout-sink")],
        edges: vec![Edge {
            from: VertexId(0),
            to: VertexId(1),
            ship: Ship::Forward,
        }],
        slot_wait,
        restart: Some(RestartStrategy::None),
    }
}

impl Fixture {
    /// Starts the JobMaster of a job, and no ResourceManager.
    async fn alone(graph: JobGraph, change: impl FnOnce(&mut JobMasterConfig)) -> Self {
        Self::within(RpcService::local(), graph, change).await
    }

    /// Starts the JobMaster of a job that needs one slot, and a service that is far from it.
    async fn far(network: &SimNetwork) -> (Self, RpcService) {
        Self::far_with(network, graph(1, None)).await
    }

    /// Starts the JobMaster of a job, and a service that is far from it.
    async fn far_with(network: &SimNetwork, graph: JobGraph) -> (Self, RpcService) {
        let rpc = RpcService::builder().transport(network.node("jm").transport());
        let far = RpcService::builder().transport(network.node("te").transport());
        let fixture = Self::within(rpc.build().await.unwrap(), graph, |_| {}).await;
        (fixture, far.build().await.unwrap())
    }

    async fn within(
        rpc: RpcService,
        graph: JobGraph,
        change: impl FnOnce(&mut JobMasterConfig),
    ) -> Self {
        let (job, ended) = (graph.id, Heard::new());
        let plan = graph.plan(&OperatorRegistry::new()).unwrap();
        let splits = FileSplits::new(vec![(PathBuf::from("file"), 40)], 1);
        let splits = BTreeMap::from([(VertexId(0), splits)]);
        let mut config = JobMasterConfig::default();
        config.registration.error_delay = Duration::from_secs(1);
        change(&mut config);
        let retrieval = retrieval_of(&rpc, "rm", RM).await;
        let end = ended.clone();
        let on_end = Box::new(move |info, bytes| end.put((info, bytes)));
        let job_master = JobMaster::new(plan, splits, retrieval, config, on_end).unwrap();
        let server = rpc.start_server("jm", job_master).unwrap();
        JobMaster::start(&server, ID).await.unwrap();
        Self {
            gateway: server.gateway_fenced::<dyn JobMasterGateway>(ID),
            rpc,
            server,
            job,
            registered: Heard::new(),
            registrations: Heard::new(),
            declared: Heard::new(),
            left: Heard::new(),
            gone: Heard::new(),
            tasks: Heard::new(),
            cancelled: Heard::new(),
            freed: Heard::new(),
            parted: Heard::new(),
            beats: Heard::new(),
            ended,
        }
    }

    /// Starts the JobMaster of a job that needs so many slots.
    async fn new(slots: u32) -> Self {
        Self::alone(graph(slots, None), |_| {}).await
    }

    fn mock_resource_manager(&self) -> MockResourceManagerGateway {
        let (registered, registrations, declared, left, gone) = (
            self.registered.clone(),
            self.registrations.clone(),
            self.declared.clone(),
            self.left.clone(),
            self.gone.clone(),
        );
        MockResourceManagerGateway::default()
            .register_job_master(move |id, _, address, _, registration| {
                assert_eq!(address, "jm");
                registered.put(id);
                registrations.put(registration);
                Ok(RegistrationResponse::Success(ResourceId::new("rm")))
            })
            .declare_required_resources(move |id, requirements| {
                assert_eq!((id, requirements.job_master_address.as_str()), (ID, "jm"));
                declared.put(requirements.slots);
                Ok(())
            })
            .disconnect_job_manager(move |_, registration, status, _| {
                gone.put(registration);
                left.put(status);
                Ok(())
            })
            .heartbeat_from_job_manager(|_, _| Ok(()))
    }

    fn start_resource_manager(&self) -> RpcServer<StubResourceManager> {
        StubResourceManager::new(self.mock_resource_manager(), RM).start(&self.rpc, "rm")
    }

    /// What a TaskExecutor does that takes all tasks and answers heartbeats.
    fn mock_task_executor(&self, name: &'static str) -> MockTaskExecutorGateway {
        let (tasks, cancelled, freed, parted, gone, beats) = (
            self.tasks.clone(),
            self.cancelled.clone(),
            self.freed.clone(),
            self.parted.clone(),
            self.gone.clone(),
            self.beats.clone(),
        );
        let gateway = Arc::clone(&self.gateway);
        MockTaskExecutorGateway::default()
            .submit_task(move |task, id| {
                assert_eq!(id, ID);
                tasks.put(*task);
                Ok(())
            })
            .cancel_task(move |attempt| {
                cancelled.put(attempt);
                Ok(())
            })
            .free_slot(move |allocation, _| {
                freed.put(allocation);
                Ok(())
            })
            .disconnect_job_manager(move |_, registration, cause| {
                gone.put(registration);
                parted.put(cause);
                Ok(())
            })
            .heartbeat_from_job_manager(move |_, registration, slots| {
                beats.put(slots);
                let report = TaskExecutorReport::default();
                gateway
                    .heartbeat_from_task_manager(ResourceId::new(name), registration, report)
                    .detach();
                Ok(())
            })
    }

    fn start_task_executor(&self, name: &'static str) -> RpcServer<StubTaskExecutor> {
        StubTaskExecutor::new(self.mock_task_executor(name)).start(&self.rpc, name)
    }

    /// Starts a TaskExecutor that sends no heartbeats.
    fn start_silent_task_executor(&self, name: &'static str) -> RpcServer<StubTaskExecutor> {
        self.start_silent_task_executor_in(&self.rpc, name)
    }

    fn start_silent_task_executor_in(
        &self,
        rpc: &RpcService,
        name: &'static str,
    ) -> RpcServer<StubTaskExecutor> {
        let beats = self.beats.clone();
        let mock = self.mock_task_executor(name);
        let mock = mock.heartbeat_from_job_manager(move |_, _, slots| {
            beats.put(slots);
            Ok(())
        });
        StubTaskExecutor::new(mock).start(rpc, name)
    }

    async fn register(&self, name: &str, session: InstanceId) -> RegistrationResponse<ResourceId> {
        self.register_for(self.job, name, name, session).await
    }

    async fn register_for(
        &self,
        job: JobId,
        name: &str,
        address: &str,
        session: InstanceId,
    ) -> RegistrationResponse<ResourceId> {
        let registration = RegistrationId::random();
        self.register_as(job, name, address, session, registration)
            .await
    }

    async fn register_as(
        &self,
        job: JobId,
        name: &str,
        address: &str,
        session: InstanceId,
        registration: RegistrationId,
    ) -> RegistrationResponse<ResourceId> {
        let location = TaskManagerLocation {
            resource: ResourceId::new(name),
            address: address.to_owned(),
            data_address: String::from("data"),
        };
        self.gateway
            .register_task_manager(job, location, session, registration)
            .await
            .unwrap()
    }

    /// Returns the registration of a TaskExecutor.
    async fn registration(&self, name: &str) -> RegistrationId {
        let resource = ResourceId::new(name);
        let main_thread = self.server.main_thread();
        let registration = main_thread.call_async_without_fencing(move |job_master, _| {
            let known = job_master.task_managers.get(&resource);
            known.map(|it| it.registration)
        });
        registration.await.unwrap().unwrap()
    }

    /// Takes leave of a TaskExecutor, as one that stops.
    async fn leave(&self, name: &str) {
        let registration = self.registration(name).await;
        self.end_registration(name, registration).await;
    }

    /// Ends a registration of a TaskExecutor, as that does.
    async fn end_registration(&self, name: &str, registration: RegistrationId) {
        let (resource, cause) = (ResourceId::new(name), String::from("it stops"));
        let left = self
            .gateway
            .disconnect_task_manager(resource, registration, cause);
        left.await.unwrap();
    }

    /// Registers a TaskExecutor that is started, and offers slots of it; returns those that are
    /// taken.
    async fn bring(&self, name: &str, slots: u32) -> Vec<AllocationId> {
        self.bring_from(name, name, slots).await
    }

    async fn bring_from(&self, name: &str, address: &str, slots: u32) -> Vec<AllocationId> {
        let session = InstanceId::random();
        let answer = self.register_for(self.job, name, address, session).await;
        assert!(
            matches!(answer, RegistrationResponse::Success(_)),
            "{answer:?}"
        );
        self.offer(name, slots).await.unwrap()
    }

    /// Starts a TaskExecutor in a far service, and has it offer a slot.
    async fn bring_far(&self, far: &RpcService, name: &'static str) -> RpcServer<StubTaskExecutor> {
        let server = StubTaskExecutor::new(self.mock_task_executor(name)).start(far, name);
        self.bring_from(name, &format!("sim://te/{name}"), 1).await;
        server
    }

    async fn offer(
        &self,
        name: &str,
        slots: u32,
    ) -> Result<Vec<AllocationId>, RpcError<UnknownTaskManager>> {
        let offer = |slot_index| SlotOffer {
            allocation: AllocationId::random(),
            slot_index,
        };
        let offers = (0..slots).map(offer).collect();
        let accepted = self
            .gateway
            .offer_slots(ResourceId::new(name), offers)
            .await?;
        Ok(accepted.into_iter().map(|it| it.allocation).collect())
    }

    async fn tell(
        &self,
        attempt: AttemptId,
        state: ExecutionState,
    ) -> Result<(), RpcError<UnknownAttempt>> {
        let update = TaskExecutionState {
            attempt,
            state,
            failure: Vec::new(),
            kind: FailureKind::Recoverable,
            io: TaskIo::default(),
        };
        self.gateway.update_task_execution_state(update).await
    }

    /// Tells that a task that was deployed runs.
    async fn run(&self) -> AttemptId {
        let attempt = self.tasks.next().await.attempt;
        for state in [ExecutionState::Initializing, ExecutionState::Running] {
            self.tell(attempt, state).await.unwrap();
        }
        attempt
    }

    /// Takes all that is left to read.
    async fn read(&self, attempt: AttemptId) -> Vec<u64> {
        let mut starts = Vec::new();
        loop {
            let received = starts.len() as u64;
            let splits = self.gateway.request_next_input_splits(attempt, received);
            let splits = splits.await.unwrap();
            if splits.is_empty() {
                return starts;
            }
            starts.extend(splits.into_iter().map(|it| it.start));
        }
    }

    /// Prints a text, as the sink of an attempt that has printed `position` bytes.
    fn print(
        &self,
        attempt: AttemptId,
        position: u64,
        text: &'static str,
    ) -> Call<(), UnknownAttempt> {
        let piece = Bytes::from(text);
        self.gateway.send_results(attempt, position, piece)
    }

    async fn status(&self) -> JobStatus {
        self.gateway.request_job_status().await.unwrap()
    }

    /// Waits for the end of the job: where it stands, and why.
    async fn end(&self) -> (JobStatus, Vec<String>) {
        let (info, _) = self.ended.next().await;
        (info.details.status, info.failure)
    }
}

#[tokio::test(start_paused = true)]
async fn it_registers_and_says_how_many_slots_the_job_needs() {
    // Flink: JobMasterTest#testResourceManagerConnectionAfterStart
    let fixture = Fixture::new(3).await;
    assert_eq!(fixture.status().await, JobStatus::Created);
    let _rm = fixture.start_resource_manager();
    assert_eq!(fixture.registered.next().await, ID);
    assert_eq!(fixture.declared.next().await, 3);
}

#[tokio::test(start_paused = true)]
async fn it_registers_again_when_the_resource_manager_disconnects() {
    // Flink: JobMasterTest#testReconnectionAfterDisconnect
    let fixture = Fixture::new(1).await;
    let _rm = fixture.start_resource_manager();
    fixture.declared.next().await;
    fixture.registered.next().await;
    let first = fixture.registrations.next().await;
    let disconnect = |registration| {
        let cause = String::from("it was lost");
        fixture
            .gateway
            .disconnect_resource_manager(registration, cause)
            .detach();
    };
    // A word of some other registration is not for this one.
    disconnect(RegistrationId::random());
    fixture.status().await;
    assert_eq!(fixture.registered.take(), []);
    disconnect(first);
    fixture.registered.next().await;
    assert_eq!(fixture.declared.next().await, 1);
    assert_ne!(fixture.registrations.next().await, first);
    // It may come again, late.
    disconnect(first);
    fixture.status().await;
    assert_eq!(fixture.registered.take(), []);
    // Whoever says it knows it.
    assert_eq!(fixture.left.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_silent_resource_manager_is_left_and_looked_for() {
    // Flink: JobMasterTest#testHeartbeatTimeoutWithResourceManager
    let fixture = Fixture::new(1).await;
    let _rm = fixture.start_resource_manager();
    let first = fixture.registrations.next().await;
    assert_eq!(fixture.left.next().await, JobStatus::Created);
    assert_eq!(fixture.gone.next().await, first);
    assert_ne!(fixture.registrations.next().await, first);
}

#[tokio::test(start_paused = true)]
async fn a_resource_manager_that_cannot_be_answered_is_left() {
    // Flink: JobMasterTest#testResourceManagerBecomesUnreachableTriggersDisconnect
    let fixture = Fixture::new(1).await;
    let rm = fixture.start_resource_manager();
    fixture.registered.next().await;
    let registration = fixture.registrations.next().await;
    fixture.declared.next().await;
    rm.close().await.unwrap();
    let _successor = fixture.start_resource_manager();
    for _ in 0..2 {
        let asked = fixture
            .gateway
            .heartbeat_from_resource_manager(registration);
        asked.await.unwrap();
        advance(Duration::from_secs(1)).await;
    }
    let started = Instant::now();
    fixture.registered.next().await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_resource_manager_that_does_not_know_the_registration_is_registered_at_again() {
    let fixture = Fixture::new(1).await;
    let unknown = || {
        fixture
            .gateway
            .heartbeat_from_resource_manager(RegistrationId::random())
    };
    // Of the registration that is under way the answer may be overtaken.
    let pending = fixture.server.main_thread();
    let pending = pending.call_async_without_fencing(|it, _| it.resource_manager.registration());
    let pending = pending.await.unwrap().unwrap();
    let asked = fixture.gateway.heartbeat_from_resource_manager(pending);
    assert_eq!((asked.await, unknown().await), (Ok(()), UNKNOWN));
    let mock = fixture.mock_resource_manager();
    let mock = mock.heartbeat_from_job_manager(|_, _| Err(UnknownRegistration)?);
    let _rm = StubResourceManager::new(mock, RM).start(&fixture.rpc, "rm");
    let first = fixture.registrations.next().await;
    assert_eq!(fixture.declared.next().await, 1);
    assert_eq!((first, unknown().await), (pending, UNKNOWN));
    fixture.status().await;
    assert_eq!(fixture.registrations.take(), []);
    let started = Instant::now();
    let asked = fixture.gateway.heartbeat_from_resource_manager(first);
    asked.await.unwrap();
    assert_ne!(fixture.registrations.next().await, first);
    assert_eq!(fixture.declared.next().await, 1);
    assert!(started.elapsed() < Duration::from_secs(1));
    // There is nothing to leave.
    assert_eq!(fixture.left.take(), []);
}

#[tokio::test(start_paused = true)]
async fn what_the_job_needs_is_declared_until_it_is_heard() {
    let fixture = Fixture::new(2).await;
    let (job, declared) = (fixture.job, fixture.declared.clone());
    let answers = Heard::new();
    answers.put(RequirementsError::TooManyJobs { job, max: 1 });
    answers.put(RequirementsError::UnknownJobMaster { job, id: ID });
    let mock = fixture.mock_resource_manager();
    let mock = mock.declare_required_resources(move |_, requirements| {
        declared.put(requirements.slots);
        let mut left = answers.take().into_iter();
        match left.next() {
            Some(refusal) => {
                left.for_each(|it| answers.put(it));
                Err(refusal)?
            }
            None => Ok(()),
        }
    });
    let _rm = StubResourceManager::new(mock, RM).start(&fixture.rpc, "rm");
    fixture.registered.next().await;
    let started = Instant::now();
    assert_eq!(fixture.declared.next().await, 2);
    assert_eq!(fixture.declared.next().await, 2);
    assert!(started.elapsed() >= Duration::from_secs(1));
    // Who is not known any more registers first.
    fixture.registered.next().await;
    assert_eq!(fixture.declared.next().await, 2);
    advance(Duration::from_secs(5)).await;
    fixture.status().await;
    assert_eq!(fixture.declared.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_the_resource_manager_rejects_fails() {
    let fixture = Fixture::new(1).await;
    let rejection = || RegistrationResponse::Rejection(String::from("no such jobs here"));
    let mock = fixture.mock_resource_manager();
    let mock = mock.register_job_master(move |_, _, _, _, _| Ok(rejection()));
    let _rm = StubResourceManager::new(mock, RM).start(&fixture.rpc, "rm");
    let reason = String::from("the resource manager rejects the job: no such jobs here");
    assert_eq!(fixture.end().await, (JobStatus::Failed, vec![reason]));
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_registers_for_this_job_only() {
    // Flink: JobMasterTest#testJobMasterRejectsTaskExecutorRegistrationIfJobIdsAreNotEqual
    let fixture = Fixture::new(1).await;
    let _te = fixture.start_task_executor("te");
    let answer = fixture
        .register_for(JobId::random(), "te", "te", InstanceId::random())
        .await;
    assert!(
        matches!(answer, RegistrationResponse::Rejection(_)),
        "{answer:?}"
    );
    let answer = fixture.register("x\u{1b}[31my", InstanceId::random());
    let reason = r#"the task manager's name has a control character: "x\u{1b}[31my""#;
    assert_eq!(
        answer.await,
        RegistrationResponse::Rejection(reason.to_owned())
    );
    let answer = fixture.register("nobody", InstanceId::random()).await;
    assert!(
        matches!(answer, RegistrationResponse::Failure(_)),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_was_started_anew_takes_its_own_place() {
    // Flink: JobMasterTest#testJobMasterAcknowledgesDuplicateTaskExecutorRegistrations,
    //   #testJobMasterDisconnectsOldTaskExecutorIfNewSessionIsSeen
    let fixture = Fixture::new(2).await;
    let _te = fixture.start_task_executor("te");
    let first = InstanceId::random();
    for _ in 0..2 {
        let answer = fixture.register("te", first).await;
        assert!(
            matches!(answer, RegistrationResponse::Success(_)),
            "{answer:?}"
        );
    }
    assert_eq!(fixture.parted.take(), [""; 0]);
    assert_eq!(fixture.offer("te", 1).await.unwrap().len(), 1);
    let answer = fixture.register("te", InstanceId::random()).await;
    assert!(
        matches!(answer, RegistrationResponse::Success(_)),
        "{answer:?}"
    );
    assert_eq!(
        fixture.parted.next().await,
        "the task manager was started anew"
    );
    // The slot of the first session is lost, and both are needed again.
    assert_eq!(fixture.offer("te", 3).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_word_of_a_task_executor_does_not_end_its_next_registration() {
    let fixture = Fixture::new(2).await;
    let _te = fixture.start_task_executor("te");
    let (session, job) = (InstanceId::random(), fixture.job);
    fixture.register("te", session).await;
    let first = fixture.registration("te").await;
    assert_eq!(fixture.offer("te", 1).await.unwrap().len(), 1);
    let second = RegistrationId::random();
    // The second call of a registration changes nothing.
    for _ in 0..2 {
        let answer = fixture.register_as(job, "te", "te", session, second).await;
        assert!(
            matches!(answer, RegistrationResponse::Success(_)),
            "{answer:?}"
        );
    }
    fixture.end_registration("te", first).await;
    // The ResourceManager may have lost it when it was last started.
    let lost = |session| {
        let (resource, cause) = (ResourceId::new("te"), String::from("it is lost"));
        fixture
            .gateway
            .notify_task_manager_lost(resource, session, cause)
    };
    lost(InstanceId::random()).await.unwrap();
    assert_eq!(fixture.registration("te").await, second);
    assert_eq!(fixture.parted.take(), [""; 0]);
    // The job has kept the slot of the first registration, and needs one more.
    assert_eq!(fixture.offer("te", 2).await.unwrap().len(), 1);
    lost(session).await.unwrap();
    assert_eq!(fixture.parted.next().await, "it is lost");
    assert!(fixture.offer("te", 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_registered_task_executor_is_asked_for_heartbeats() {
    // Flink: JobMasterTest#testTaskManagerRegistrationTriggersHeartbeating,
    //   #testAllocatedSlotReportDoesNotContainStaleInformation
    let fixture = Fixture::new(3).await;
    let _te = fixture.start_task_executor("te");
    let allocations = fixture.bring("te", 1).await;
    let claimed =
        |it: Vec<AllocatedSlot>| it.into_iter().map(|it| it.allocation).collect::<Vec<_>>();
    assert_eq!(claimed(fixture.beats.next().await), allocations);
    let second = fixture.offer("te", 1).await.unwrap();
    fixture
        .gateway
        .fail_slot(ResourceId::new("te"), allocations[0], String::from("lost"));
    assert_eq!(claimed(fixture.beats.next().await), second);
    // As long as it answers it is kept.
    for _ in 0..100 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(fixture.status().await, JobStatus::Created);
    }
    assert_eq!(fixture.parted.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_task_executor_takes_its_tasks_along() {
    // Flink: JobMasterTest#testHeartbeatTimeoutWithTaskManager,
    //   #testJobFailureWhenTaskExecutorHeartbeatTimeout
    let fixture = Fixture::new(1).await;
    let _te = fixture.start_silent_task_executor("te");
    fixture.bring("te", 1).await;
    let registration = fixture.registration("te").await;
    fixture.run().await;
    let cause = String::from("task manager te sent no heartbeat in time");
    assert_eq!(fixture.parted.next().await, cause);
    assert_eq!(fixture.gone.next().await, registration);
    let task = String::from("task generator-source -> stdout-sink (1/1) failed on te");
    assert_eq!(fixture.end().await, (JobStatus::Failed, vec![task, cause]));
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_does_not_know_its_registration_is_lost_at_once() {
    let fixture = Fixture::new(1).await;
    let mock = fixture.mock_task_executor("te");
    let mock = mock.heartbeat_from_job_manager(|_, _, _| Err(UnknownRegistration)?);
    let _te = StubTaskExecutor::new(mock).start(&fixture.rpc, "te");
    let session = InstanceId::random();
    fixture.register("te", session).await;
    // A new registration is asked after one interval.
    advance(Duration::from_secs(9)).await;
    fixture.register("te", session).await;
    let started = Instant::now();
    fixture.offer("te", 1).await.unwrap();
    fixture.run().await;
    let (status, failure) = fixture.end().await;
    let cause = "task manager te does not know the job any more";
    assert_eq!((status, failure[1].as_str()), (JobStatus::Failed, cause));
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_former_registration_does_not_end_the_next() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far(&network).await;
    let (beats, mock) = (fixture.beats.clone(), fixture.mock_task_executor("te"));
    let mock = mock.heartbeat_from_job_manager(move |_, _, slots| {
        beats.put(slots);
        Err(UnknownRegistration)?
    });
    let _te = StubTaskExecutor::new(mock).start(&far, "te");
    let session = InstanceId::random();
    fixture
        .register_for(fixture.job, "te", "sim://te/te", session)
        .await;
    let latency = Duration::from_secs(1);
    network.set_latency(latency..=latency);
    fixture.beats.next().await;
    // The answer is under way when it registers by another way.
    let _near = fixture.start_task_executor("te");
    fixture.register("te", session).await;
    let quiet = timeout(3 * latency, fixture.parted.next());
    assert!(quiet.await.is_err());
    assert_eq!(fixture.offer("te", 1).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_has_lost_its_registration_with_the_connection_is_lost() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far(&network).await;
    let mock = fixture.mock_task_executor("te");
    let mock = mock.heartbeat_from_job_manager(|_, _, _| Err(UnknownRegistration)?);
    let _te = StubTaskExecutor::new(mock).start(&far, "te");
    fixture.bring_from("te", "sim://te/te", 1).await;
    fixture.run().await;
    let quiet = timeout(Duration::from_secs(1), fixture.cancelled.next());
    assert!(quiet.await.is_err());
    let started = Instant::now();
    network.reset("jm", "te");
    assert_eq!(fixture.end().await.0, JobStatus::Failed);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_counts_for_its_registration_only() {
    let fixture = Fixture::new(1).await;
    let _te = fixture.start_silent_task_executor("te");
    fixture.bring("te", 1).await;
    let attempt = fixture.run().await;
    let registration = fixture.registration("te").await;
    let beat = |registration| {
        let report = TaskExecutorReport {
            attempts: vec![(attempt, TaskIo::default())],
        };
        let te = ResourceId::new("te");
        fixture
            .gateway
            .heartbeat_from_task_manager(te, registration, report)
    };
    let started = Instant::now();
    advance(Duration::from_secs(40)).await;
    assert_eq!(beat(registration).await, Ok(()));
    advance(Duration::from_secs(40)).await;
    assert_eq!(beat(RegistrationId::random()).await, UNKNOWN);
    assert_eq!(
        fixture.parted.next().await,
        "task manager te sent no heartbeat in time"
    );
    assert_eq!(started.elapsed().as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_has_ended_is_lost_at_once() {
    // Flink: JobMasterTest#testTaskManagerBecomesUnreachableTriggersDisconnect
    let fixture = Fixture::new(1).await;
    let te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    fixture.run().await;
    let started = Instant::now();
    te.close().await.unwrap();
    let (status, failure) = fixture.end().await;
    assert_eq!(
        (status, failure[1].as_str()),
        (JobStatus::Failed, "task manager te has ended")
    );
    // Without a heartbeat, and without a call that fails.
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_whose_connection_breaks_is_reached_again() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far(&network).await;
    let _te = fixture.start_silent_task_executor_in(&far, "te");
    fixture.bring_from("te", "sim://te/te", 1).await;
    fixture.run().await;
    for _ in 0..2 {
        // What is under way has arrived: a call that is lost would fail the job.
        let quiet = timeout(Duration::from_secs(1), fixture.beats.next());
        assert!(quiet.await.is_err());
        network.reset("jm", "te");
        fixture.beats.next().await;
    }
    assert_eq!(fixture.status().await, JobStatus::Running);
    assert_eq!(fixture.parted.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_cannot_be_reached_again_is_lost() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far(&network).await;
    let te = StubTaskExecutor::new(fixture.mock_task_executor("te"));
    let _te = te.start(&far, "te");
    fixture.bring_from("te", "sim://te/te", 1).await;
    fixture.run().await;
    let started = Instant::now();
    far.abort();
    network.crash("te");
    let (status, failure) = fixture.end().await;
    assert_eq!(
        (status, failure[1].as_str()),
        (JobStatus::Failed, "task manager te is lost")
    );
    let after = started.elapsed().as_secs();
    assert!((2..6).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_leaves_takes_its_tasks_along() {
    // Flink: JobMasterTest#testJobFailureWhenGracefulTaskExecutorTermination
    let fixture = Fixture::new(2).await;
    let _servers = ["a", "b"].map(|name| fixture.start_task_executor(name));
    fixture.bring("a", 1).await;
    fixture.bring("b", 1).await;
    let lost = fixture.run().await;
    let other = fixture.run().await;
    let cause = String::from("it stops");
    fixture.leave("a").await;
    assert_eq!(fixture.parted.next().await, cause);
    assert_eq!(fixture.cancelled.next().await, other);
    let unknown = Err(RpcError::App(UnknownAttempt { attempt: lost }));
    assert_eq!(fixture.tell(lost, ExecutionState::Running).await, unknown);
    fixture.tell(other, ExecutionState::Canceled).await.unwrap();
    let (status, failure) = fixture.end().await;
    assert_eq!((status, &failure[1]), (JobStatus::Failed, &cause));
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_whose_last_slot_is_lost_is_left() {
    // Flink: JobMasterTest#testReleasingTaskExecutorIfNoMoreSlotsRegistered
    let fixture = Fixture::new(3).await;
    let _servers = ["a", "b"].map(|name| fixture.start_task_executor(name));
    let at_a = fixture.bring("a", 1).await;
    let at_b = fixture.bring("b", 1).await;
    let fail = |name: &str, allocation| {
        let cause = String::from("it is lost");
        fixture
            .gateway
            .fail_slot(ResourceId::new(name), allocation, cause);
    };
    // Of a slot of another it has no say.
    fail("b", at_a[0]);
    fail("a", at_a[0]);
    assert_eq!(fixture.freed.next().await, at_a[0]);
    assert_eq!(
        fixture.parted.next().await,
        "the job has no more slots there"
    );
    assert_eq!(fixture.status().await, JobStatus::Created);
    let unknown = UnknownTaskManager {
        task_manager: ResourceId::new("a"),
    };
    assert_eq!(fixture.offer("a", 1).await, Err(RpcError::App(unknown)));
    assert_eq!(fixture.offer("b", 3).await.unwrap().len(), 2);
    assert!(!fixture.freed.take().contains(&at_b[0]));
}

#[tokio::test(start_paused = true)]
async fn what_finished_tasks_have_left_is_read_while_their_task_executor_lives() {
    let mut hashed = graph(2, None);
    hashed.edges[0].ship = Ship::Hash;
    let fixture = Fixture::alone(hashed, |_| {}).await;
    let _servers = ["a", "b"].map(|name| fixture.start_silent_task_executor(name));
    let at_a = fixture.bring("a", 1).await;
    fixture.bring("b", 1).await;
    let mut attempts = Vec::new();
    for _ in 0..4 {
        attempts.push(fixture.run().await);
    }
    attempts.sort_unstable();
    let last = attempts.pop().unwrap();
    for attempt in attempts {
        let ended = fixture.tell(attempt, ExecutionState::Finished).await;
        ended.unwrap();
    }
    // A slot is lost in which nothing runs any more.
    fixture
        .gateway
        .fail_slot(ResourceId::new("a"), at_a[0], String::from("it is lost"));
    assert_eq!(
        fixture.parted.next().await,
        "the job has no more slots there"
    );
    assert_eq!(fixture.status().await, JobStatus::Running);
    fixture.register("a", InstanceId::random()).await;
    // A TaskExecutor is lost in which nothing runs any more.
    fixture.leave("a").await;
    assert_eq!(fixture.cancelled.next().await, last);
    fixture.tell(last, ExecutionState::Canceled).await.unwrap();
    let (status, failure) = fixture.end().await;
    assert_eq!(status, JobStatus::Failed);
    assert_eq!(failure[1], "it may not have read all of what a has");
}

#[tokio::test(start_paused = true)]
async fn a_job_is_deployed_when_it_has_all_its_slots_and_ends_with_its_tasks() {
    let fixture = Fixture::new(2).await;
    let _rm = fixture.start_resource_manager();
    assert_eq!(fixture.declared.next().await, 2);
    let _servers = ["a", "b"].map(|name| fixture.start_task_executor(name));
    let at_a = fixture.bring("a", 1).await;
    fixture.status().await;
    assert!(fixture.tasks.take().is_empty());
    let at_b = fixture.bring("b", 2).await;
    assert_eq!(at_b.len(), 1);
    let [first, second] = [fixture.run().await, fixture.run().await];
    assert_eq!(fixture.status().await, JobStatus::Running);
    for attempt in [first, second] {
        fixture
            .tell(attempt, ExecutionState::Finished)
            .await
            .unwrap();
    }
    assert_eq!(fixture.end().await, (JobStatus::Finished, vec![]));
    // The slots and the TaskExecutors are the cluster's again.
    let freed = [fixture.freed.next().await, fixture.freed.next().await];
    assert_eq!(freed, [at_a[0].min(at_b[0]), at_a[0].max(at_b[0])]);
    assert_eq!(fixture.declared.next().await, 0);
    assert_eq!(fixture.left.next().await, JobStatus::Finished);
    for _ in 0..2 {
        assert_eq!(fixture.parted.next().await, "the job has ended");
    }
    // There is nothing to fetch: it is of no use any more.
    fixture.server.terminated().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_waited_for_too_long_says_what_it_lacks() {
    // Flink: MiniClusterITCase#testHandlingNotEnoughSlotsThroughTimeout
    let wait = Duration::from_secs(30);
    let fixture = Fixture::alone(graph(3, Some(wait)), |_| {}).await;
    let _rm = fixture.start_resource_manager();
    fixture.declared.next().await;
    let _te = fixture.start_task_executor("te");
    let shortage = Shortage {
        needed: 3,
        acquired: 0,
        slots: 2,
        slots_free: 0,
    };
    fixture
        .gateway
        .notify_not_enough_resources_available(shortage);
    fixture.bring("te", 1).await;
    assert_eq!(fixture.status().await, JobStatus::Created);
    let text = "not enough slots: the job needs 3 and has 1, \
                the cluster has 2 and 0 of them are free";
    assert_eq!(
        fixture.end().await,
        (JobStatus::Failed, vec![text.to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_wait_fails_by_the_first_word_of_a_shortage() {
    // Flink: MiniClusterITCase#testHandlingNotEnoughSlotsThroughEarlyAbortRequest,
    //   DeclarativeSlotPoolBridgeTest#testNotEnoughResourcesAvailableFailsPendingRequests
    let fixture = Fixture::alone(graph(3, Some(Duration::ZERO)), |_| {}).await;
    let _rm = fixture.start_resource_manager();
    fixture.declared.next().await;
    assert_eq!(fixture.status().await, JobStatus::Created);
    let shortage = Shortage {
        needed: 3,
        acquired: 1,
        slots: 1,
        slots_free: 0,
    };
    fixture
        .gateway
        .notify_not_enough_resources_available(shortage);
    assert_eq!(fixture.end().await.0, JobStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_told_nothing_says_so() {
    let wait = Some(Duration::from_secs(30));
    let fixture = Fixture::alone(graph(2, wait), |_| {}).await;
    let text = "not enough slots: the job needs 2 and has 0 after 30s, \
                no resource manager has answered";
    assert_eq!(
        fixture.end().await,
        (JobStatus::Failed, vec![text.to_owned()])
    );

    let fixture = Fixture::alone(graph(2, wait), |_| {}).await;
    let _rm = fixture.start_resource_manager();
    fixture.declared.next().await;
    let text = "not enough slots: the job needs 2 and has 0 after 30s, \
                the others were promised and have not come";
    assert_eq!(
        fixture.end().await,
        (JobStatus::Failed, vec![text.to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_submitted_fails_the_job() {
    // Flink: DefaultSchedulerTest#testRestartAfterDeploymentFails, without a restart
    let fixture = Fixture::new(1).await;
    let mock = fixture.mock_task_executor("te");
    let mock = mock.submit_task(|task, _| {
        let reason = format!("{} is too much", task.name);
        Err(TaskSubmissionError::Refused { reason })?
    });
    let _te = StubTaskExecutor::new(mock).start(&fixture.rpc, "te");
    fixture.bring("te", 1).await;
    let (status, failure) = fixture.end().await;
    assert_eq!(status, JobStatus::Failed);
    assert!(
        failure.last().unwrap().ends_with("is too much"),
        "{failure:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_has_too_much_to_do_is_told_again() {
    let network = SimNetwork::seeded(1);
    let rpc = RpcService::builder().transport(network.node("jm").transport());
    let fixture = Fixture::within(rpc.build().await.unwrap(), graph(1, None), |_| {}).await;
    let mut config = RpcConfig::default();
    config.calls_max = 1;
    let far = RpcService::builder()
        .config(config)
        .transport(network.node("te").transport());
    let far = far.build().await.unwrap();
    let _te = fixture.start_silent_task_executor_in(&far, "te");
    let te = fixture
        .rpc
        .connect::<dyn TaskExecutorGateway>("sim://te/te");
    let te = te.await.unwrap();
    // As long as it has not answered this, it takes no other call.
    let latency = Duration::from_millis(400);
    let keep_busy = || te.heartbeat_from_job_manager(fixture.job, RegistrationId::random(), vec![]);
    let session = InstanceId::random();
    let registered = fixture.register_for(fixture.job, "te", "sim://te/te", session);
    registered.await;
    network.set_latency(latency..=latency);

    let busy = keep_busy();
    fixture.offer("te", 1).await.unwrap();
    let attempt = fixture.run().await;
    busy.await.unwrap();
    let quiet = timeout(Duration::from_secs(1), fixture.cancelled.next());
    assert!(quiet.await.is_err());
    let busy = keep_busy();
    fixture.gateway.cancel().await.unwrap();
    assert_eq!(fixture.cancelled.next().await, attempt);
    busy.await.unwrap();
    fixture
        .tell(attempt, ExecutionState::Canceled)
        .await
        .unwrap();
    assert_eq!(fixture.end().await, (JobStatus::Canceled, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_is_cancelled_at_once() {
    let fixture = Fixture::new(1).await;
    fixture.gateway.cancel().await.unwrap();
    assert_eq!(fixture.end().await, (JobStatus::Canceled, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_stops_suspends_its_job() {
    // Flink: JobMasterTest#testJobMasterOnlyTerminatesAfterTheSchedulerHasClosed, in part
    let fixture = Fixture::new(1).await;
    let _rm = fixture.start_resource_manager();
    fixture.declared.next().await;
    let _te = fixture.start_task_executor("te");
    let allocations = fixture.bring("te", 1).await;
    fixture.run().await;
    fixture.server.close().await.unwrap();
    assert_eq!(fixture.left.next().await, JobStatus::Suspended);
    assert_eq!(fixture.parted.next().await, "the job master stops");
    assert_eq!(fixture.freed.next().await, allocations[0]);
    // The job has not ended: another JobMaster may take it up.
    assert!(fixture.ended.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_tasks_that_live_are_handed_files() {
    // Flink: JobMasterTest#testRequestNextInputSplitWithLocalFailover, in part
    let fixture = Fixture::new(2).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 2).await;
    let attempt = fixture.run().await;
    assert_eq!(fixture.read(attempt).await, (0..40).collect::<Vec<_>>());
    for received in [39, 41] {
        let refused = fixture.gateway.request_next_input_splits(attempt, received);
        let refused = refused.await.unwrap_err().to_string();
        assert!(refused.contains("was handed 40 parts"), "{refused}");
    }
    let stranger = AttemptId {
        attempt: attempt.attempt + 1,
        ..attempt
    };
    fixture
        .tell(attempt, ExecutionState::Finished)
        .await
        .unwrap();
    for attempt in [attempt, stranger] {
        let refused = fixture.gateway.request_next_input_splits(attempt, 40).await;
        assert_eq!(refused, Err(RpcError::App(UnknownAttempt { attempt })));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_task_asks_for_while_its_connection_breaks_is_done_once() {
    let network = SimNetwork::seeded(1);
    let (fixture, far) = Fixture::far(&network).await;
    let _te = fixture.start_silent_task_executor_in(&far, "te");
    fixture.bring_from("te", "sim://te/te", 1).await;
    let attempt = fixture.run().await;
    let job_master = far.connect_fenced::<dyn JobMasterGateway>("sim://jm/jm", ID);
    let job_master = job_master.await.unwrap();

    // The request arrives, and the answer does not.
    let latency = Duration::from_millis(100);
    network.set_latency(latency..=latency);
    for expected in [[0, 1], [2, 3]] {
        // Nothing else is under way: a call that is lost may fail the job.
        let quiet = timeout(Duration::from_secs(1), fixture.cancelled.next());
        assert!(quiet.await.is_err());
        let mut asked = job_master.request_next_input_splits(attempt, expected[0]);
        let answered = timeout(latency + latency / 2, &mut asked).await;
        assert!(answered.is_err());
        network.reset("jm", "te");
        let splits = asked.await.unwrap();
        let starts: Vec<_> = splits.into_iter().map(|it| it.start).collect();
        assert_eq!(starts, expected);
    }

    // A sink waits for room.
    let much = JobMasterConfig::default().results_bytes_max;
    fixture
        .gateway
        .send_results(attempt, 0, vec![b'a'; much].into())
        .await
        .unwrap();
    let mut sent = job_master.send_results(attempt, much as u64, Bytes::from("b"));
    for _ in 0..2 {
        let answered = timeout(Duration::from_secs(1), &mut sent).await;
        assert!(answered.is_err());
        network.reset("jm", "te");
    }
    let mut position = 0;
    while position < much as u64 {
        let fetched = fixture.gateway.fetch_results(position).await.unwrap();
        position += fetched.len() as u64;
    }
    sent.await.unwrap();
    let last = fixture.gateway.fetch_results(much as u64).await;
    assert_eq!(last, Ok(Bytes::from("b")));
    fixture
        .tell(attempt, ExecutionState::Finished)
        .await
        .unwrap();
    let (info, bytes) = fixture.ended.next().await;
    assert_eq!((info.details.restarts, bytes), (0, much as u64 + 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_printed_waits_for_the_client() {
    let change = |it: &mut JobMasterConfig| it.results_bytes_max = 4;
    let fixture = Fixture::alone(graph(1, None), change).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let attempt = fixture.run().await;
    let send = |position, text| fixture.print(attempt, position, text);
    send(0, "abcd").await.unwrap();
    // There is no room: the sink waits, and has one piece to wait with.
    let waiting = send(4, "efgh");
    assert!(matches!(send(8, "ijkl").await, Err(RpcError::Failed(_))));
    assert_eq!(
        fixture.gateway.fetch_results(0).await,
        Ok(Bytes::from("abcd"))
    );
    assert_eq!(
        fixture.gateway.fetch_results(4).await,
        Ok(Bytes::from("efgh"))
    );
    waiting.await.unwrap();
    fixture
        .tell(attempt, ExecutionState::Finished)
        .await
        .unwrap();
    let (_, bytes) = fixture.ended.next().await;
    assert_eq!(bytes, 8);
    // A client that takes its time is waited for as long as it comes back.
    for _ in 0..5 {
        advance(Duration::from_secs(50)).await;
        assert_eq!(
            fixture.gateway.fetch_results(6).await,
            Ok(Bytes::from("gh"))
        );
    }
    let gone = ResultsGone { position: 6 };
    assert_eq!(
        fixture.gateway.fetch_results(0).await,
        Err(RpcError::App(gone))
    );
    assert_eq!(fixture.gateway.fetch_results(8).await, Ok(Bytes::new()));
    fixture.server.terminated().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_nobody_fetches_is_not_kept_for_ever() {
    let fixture = Fixture::new(1).await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let attempt = fixture.run().await;
    fixture.print(attempt, 0, "abc").await.unwrap();
    let first = fixture.gateway.fetch_results(3);
    let second = fixture.gateway.fetch_results(3);
    // There is one place for a client.
    assert!(matches!(first.await, Err(RpcError::Failed(_))));
    fixture.print(attempt, 3, "def").await.unwrap();
    assert_eq!(second.await, Ok(Bytes::from("def")));
    let started = Instant::now();
    fixture
        .tell(attempt, ExecutionState::Finished)
        .await
        .unwrap();
    let answer = fixture.register("te", InstanceId::random()).await;
    let reason = String::from("the job has ended");
    assert_eq!(answer, RegistrationResponse::Rejection(reason));
    let unknown = Err(RpcError::App(UnknownAttempt { attempt }));
    assert_eq!(fixture.print(attempt, 6, "ghi").await, unknown);
    fixture.server.terminated().await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_results_nobody_fetches_fails() {
    let fixture = Fixture::new(1).await;
    let _te = fixture.start_silent_task_executor("te");
    fixture.bring("te", 1).await;
    let attempt = fixture.run().await;
    let alive = async || {
        let report = TaskExecutorReport {
            attempts: vec![(attempt, TaskIo::default())],
        };
        let registration = fixture.registration("te").await;
        let beat = fixture.gateway.heartbeat_from_task_manager(
            ResourceId::new("te"),
            registration,
            report,
        );
        beat.await.unwrap();
    };
    let send = |position, text| fixture.print(attempt, position, text);
    // For as long as somebody fetches, or there is nothing to fetch, it goes on.
    send(0, "abc").await.unwrap();
    for _ in 0..4 {
        advance(Duration::from_secs(40)).await;
        alive().await;
        fixture.gateway.fetch_results(0).await.unwrap();
    }
    let fetching = fixture.gateway.fetch_results(3);
    for _ in 0..4 {
        advance(Duration::from_secs(40)).await;
        alive().await;
    }
    drop(fetching);
    assert_eq!(fixture.status().await, JobStatus::Running);
    send(3, "def").await.unwrap();
    let started = Instant::now();
    // It is looked once, and then not before the time is over.
    advance(Duration::from_secs(1)).await;
    fixture.status().await;
    advance(Duration::from_secs(40)).await;
    alive().await;
    assert_eq!(fixture.cancelled.next().await, attempt);
    let after = started.elapsed().as_secs();
    assert!((60..62).contains(&after), "{after}");
    fixture
        .tell(attempt, ExecutionState::Canceled)
        .await
        .unwrap();
    let (status, failure) = fixture.end().await;
    assert_eq!(
        (status, failure),
        (
            JobStatus::Failed,
            vec![String::from(
                "nobody has fetched the results of the job for 60s"
            )]
        )
    );
}
