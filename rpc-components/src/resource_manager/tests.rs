use std::sync::Arc;
use std::time::Duration;

use rpc_core::testing::sim::{SimNetwork, SimTransport};
use rpc_core::{FencingToken, RpcError, RpcResult, RpcServer, RpcService, RpcServiceBuilder};
use tokio::time::advance;

use super::{ResourceManager, ResourceManagerConfig};
use crate::gateway::{
    JobStatus, MockJobMasterGateway, MockTaskExecutorGateway, RegistrationResponse,
    RequirementsError, ResourceManagerGateway, ResourceRequirements, Shortage, SlotReport,
    SlotRequest, SlotRequestError, SlotStatus, TaskExecutorAccepted, TaskExecutorRegistration,
    UnknownRegistration,
};
use crate::id::{
    AllocationId, InstanceId, JobId, JobMasterId, RegistrationId, ResourceId, ResourceManagerId,
    SlotId,
};
use crate::testing::{Gate, Heard, StubJobMaster, StubTaskExecutor, until};

type Gateway = Arc<dyn ResourceManagerGateway>;

/// A ResourceManager, and what the others were told.
struct Fixture {
    rpc: RpcService,
    server: RpcServer<ResourceManager>,
    gateway: Gateway,
    gate: Gate,
    requests: Heard<SlotRequest>,
    /// What TaskExecutors were told of the end of their registrations.
    ended: Heard<InstanceId>,
    freed: Heard<JobId>,
    /// What JobMasters were told.
    lost: Heard<String>,
    shortages: Heard<Shortage>,
}

const ID: u64 = 7;
const UNKNOWN: RpcResult<(), UnknownRegistration> = Err(RpcError::App(UnknownRegistration));

impl Fixture {
    async fn new() -> Self {
        Self::with_config(ResourceManagerConfig::default()).await
    }

    async fn with_config(config: ResourceManagerConfig) -> Self {
        Self::start(RpcService::builder(), config).await
    }

    /// Starts it where others can reach it by this transport.
    async fn on(transport: SimTransport) -> Self {
        let service = RpcService::builder().transport(transport);
        Self::start(service, ResourceManagerConfig::default()).await
    }

    async fn start(service: RpcServiceBuilder, config: ResourceManagerConfig) -> Self {
        let gate = Gate::new();
        let rpc = service.transport(gate.clone()).build().await.unwrap();
        let id = ResourceManagerId::new(FencingToken::new(ID));
        let resource_manager = ResourceManager::new(ResourceId::new("jobmanager"), id, config);
        let server = rpc
            .start_server("resourcemanager", resource_manager)
            .unwrap();
        server.start();
        let gateway = server.gateway_fenced::<dyn ResourceManagerGateway>(id);
        Self {
            rpc,
            server,
            gateway,
            gate,
            requests: Heard::new(),
            ended: Heard::new(),
            freed: Heard::new(),
            lost: Heard::new(),
            shortages: Heard::new(),
        }
    }

    /// What a TaskExecutor does that gives its slots and answers heartbeats.
    fn mock_task_executor(&self, name: &'static str) -> MockTaskExecutorGateway {
        let (requests, ended, freed) = (
            self.requests.clone(),
            self.ended.clone(),
            self.freed.clone(),
        );
        let gateway = Arc::clone(&self.gateway);
        MockTaskExecutorGateway::default()
            .request_slot(move |request| {
                requests.put(request);
                Ok(())
            })
            .heartbeat_from_resource_manager(move |instance| {
                let report = free_slots(name, 0);
                gateway
                    .heartbeat_from_task_manager(ResourceId::new(name), instance, report)
                    .detach();
                Ok(())
            })
            .disconnect_resource_manager(move |instance, _| {
                ended.put(instance);
                Ok(())
            })
            .free_inactive_slots(move |job| freed.put(job))
    }

    fn start_task_executor(&self, name: &'static str) -> RpcServer<StubTaskExecutor> {
        StubTaskExecutor::new(self.mock_task_executor(name)).start(&self.rpc, name)
    }

    async fn register(&self, name: &str, slots: u32) -> TaskExecutorAccepted {
        self.register_from(name, name, slots).await
    }

    async fn register_from(&self, name: &str, address: &str, slots: u32) -> TaskExecutorAccepted {
        match self
            .gateway
            .register_task_executor(registration(name, address, slots))
            .await
        {
            Ok(RegistrationResponse::Success(accepted)) => accepted,
            answer => panic!("{answer:?}"),
        }
    }

    /// Registers a TaskExecutor that is started, and reports its slots as free.
    async fn bring(&self, name: &str, slots: u32) -> InstanceId {
        self.bring_from(name, name, slots).await
    }

    async fn bring_from(&self, name: &str, address: &str, slots: u32) -> InstanceId {
        let accepted = self.register_from(name, address, slots).await;
        let instance = accepted.instance;
        let report = free_slots(name, slots);
        let reported = self
            .gateway
            .send_slot_report(ResourceId::new(name), instance, report);
        reported.await.unwrap();
        instance
    }

    /// What a JobMaster does that answers heartbeats.
    fn mock_job_master(&self, job: JobId) -> MockJobMasterGateway {
        let (lost, shortages) = (self.lost.clone(), self.shortages.clone());
        let disconnected = lost.clone();
        let gateway = Arc::clone(&self.gateway);
        MockJobMasterGateway::default()
            .heartbeat_from_resource_manager(move |registration| {
                gateway
                    .heartbeat_from_job_manager(job, registration)
                    .detach();
                Ok(())
            })
            .notify_task_manager_lost(move |task_manager, session, _| {
                assert_eq!(session, self::session());
                lost.put(task_manager.to_string());
                Ok(())
            })
            .disconnect_resource_manager(move |registration, _| {
                disconnected.put(format!("rm {registration}"));
                Ok(())
            })
            .notify_not_enough_resources_available(move |shortage| shortages.put(shortage))
    }

    /// Starts a JobMaster at an address that is the job's.
    fn start_job_master(&self, job: JobId, id: JobMasterId) -> RpcServer<StubJobMaster> {
        let stub = StubJobMaster::new(self.mock_job_master(job), id);
        stub.start(&self.rpc, &job.to_string())
    }

    async fn register_job(&self, job: JobId, id: JobMasterId) -> RegistrationResponse<ResourceId> {
        self.register_job_as(job, id, RegistrationId::random())
            .await
    }

    async fn register_job_as(
        &self,
        job: JobId,
        id: JobMasterId,
        registration: RegistrationId,
    ) -> RegistrationResponse<ResourceId> {
        let (resource, address) = (job_master(job), job.to_string());
        let registered = self
            .gateway
            .register_job_master(id, resource, address, job, registration);
        registered.await.unwrap()
    }

    /// Ends a registration, as a JobMaster that leaves.
    fn leave_job(&self, job: JobId, registration: RegistrationId, status: JobStatus) {
        let cause = String::from("it leaves");
        self.gateway
            .disconnect_job_manager(job, registration, status, cause)
            .detach();
    }

    /// Starts and registers a JobMaster whose job needs slots.
    async fn bring_job(&self, slots: u32) -> (JobId, RpcServer<StubJobMaster>) {
        let job = JobId::random();
        let server = self.start_job_master(job, FIRST);
        assert_eq!(self.register_job(job, FIRST).await, success());
        self.declare(job, slots).await.unwrap();
        (job, server)
    }

    async fn declare(&self, job: JobId, slots: u32) -> Result<(), RpcError<RequirementsError>> {
        let requirements = ResourceRequirements {
            job,
            job_master_address: job.to_string(),
            slots,
        };
        self.gateway
            .declare_required_resources(FIRST, requirements)
            .await
    }

    async fn slots(&self) -> (u32, u32) {
        let overview = self.gateway.request_resource_overview().await.unwrap();
        (overview.slots, overview.slots_free)
    }

    async fn count(&self, count: impl FnOnce(&ResourceManager) -> usize + Send + 'static) -> usize {
        let main_thread = self.server.main_thread();
        let counted = main_thread.call_async_without_fencing(move |rm, _| count(rm));
        counted.await.unwrap()
    }

    /// Returns the registration of a JobMaster.
    async fn registration(&self, job: JobId) -> RegistrationId {
        let registration = self.server.main_thread().call_async(move |rm, _| {
            let known = rm.jobs.get(&job);
            known.map(|it| it.registration)
        });
        registration.await.unwrap().unwrap()
    }

    /// Returns the registration of the only TaskExecutor.
    async fn instance(&self) -> InstanceId {
        let instance = self.server.main_thread().call_async(|rm, _| {
            let mut known = rm.task_executors.values();
            known.next().map(|it| it.instance)
        });
        instance.await.unwrap().unwrap()
    }
}

const FIRST: JobMasterId = JobMasterId::new(FencingToken::new(1));
const SECOND: JobMasterId = JobMasterId::new(FencingToken::new(2));

fn job_master(job: JobId) -> ResourceId {
    ResourceId::new(format!("jobmaster-{job}"))
}

fn success() -> RegistrationResponse<ResourceId> {
    RegistrationResponse::Success(ResourceId::new("jobmanager"))
}

fn registration(name: &str, address: &str, slots: u32) -> TaskExecutorRegistration {
    TaskExecutorRegistration {
        resource: ResourceId::new(name),
        session: session(),
        address: address.to_owned(),
        data_address: String::from("data"),
        slots,
    }
}

/// Every TaskExecutor is started once.
fn session() -> InstanceId {
    "1".parse().unwrap()
}

fn slot(name: &str, index: u32) -> SlotId {
    SlotId {
        task_executor: ResourceId::new(name),
        index,
    }
}

fn free_slots(name: &str, slots: u32) -> SlotReport {
    let status = |index| SlotStatus {
        slot: slot(name, index),
        allocation: None,
    };
    SlotReport {
        slots: (0..slots).map(status).collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_registers_and_takes_its_own_place() {
    // Flink: ResourceManagerTaskExecutorTest#testRegisterTaskExecutor,
    //   ResourceManagerTest#testRequestTaskManagerInfo
    let fixture = Fixture::new().await;
    let _te = fixture.start_task_executor("te");
    let first = fixture.register("te", 2).await;
    assert_eq!(first.resource_manager, ResourceId::new("jobmanager"));
    // Before its report it has no slots.
    assert_eq!(fixture.slots().await, (0, 0));
    let second = fixture.bring("te", 2).await;
    assert_ne!(first.instance, second);
    assert_eq!(fixture.slots().await, (2, 2));
    let known = fixture.gateway.request_task_manager_info().await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].slots, known[0].address.as_str()), (2, "te"));
    // The one that was replaced is not told: its successor has its name.
    assert_eq!(fixture.ended.take(), []);
    let late = fixture.gateway.send_slot_report(
        ResourceId::new("te"),
        first.instance,
        free_slots("te", 2),
    );
    assert_eq!(late.await, UNKNOWN);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_another_has_is_refused_for_as_long_as_it_has_it() {
    let fixture = Fixture::new().await;
    let first = fixture.start_task_executor("te");
    let stub = StubTaskExecutor::new(fixture.mock_task_executor("te"));
    let _other = stub.start(&fixture.rpc, "other");
    fixture.bring("te", 2).await;
    let other = || {
        let other = registration("te", "other", 1);
        fixture.gateway.register_task_executor(other)
    };
    let reason = String::from("another task manager has the name te, at te");
    assert_eq!(other().await, Ok(RegistrationResponse::Rejection(reason)));
    assert_eq!(fixture.slots().await, (2, 2));
    first.close().await.unwrap();
    let accepted = other().await;
    assert!(
        matches!(accepted, Ok(RegistrationResponse::Success(_))),
        "{accepted:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_name_of_one_that_does_not_answer_is_free() {
    let network = SimNetwork::seeded(1);
    let fixture = Fixture::on(network.node("rm").transport()).await;
    let far = RpcService::builder().transport(network.node("te").transport());
    let far = far.build().await.unwrap();
    let _te = StubTaskExecutor::new(fixture.mock_task_executor("te")).start(&far, "te");
    fixture.bring_from("te", "sim://te/te", 1).await;
    let successor = StubTaskExecutor::new(fixture.mock_task_executor("te"));
    let _successor = successor.start(&fixture.rpc, "successor");
    network.partition("rm", "te");
    fixture.bring_from("te", "successor", 2).await;
    assert_eq!(fixture.slots().await, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_slow_registration_does_not_replace_a_newer_one() {
    // Flink: ResourceManagerTaskExecutorTest#testDelayedRegisterTaskExecutor
    let fixture = Fixture::new().await;
    let _te = fixture.start_task_executor("te");
    let slow = registration("te", "gate://te/te", 1);
    let slow = fixture.gateway.register_task_executor(slow);
    let instance = fixture.bring("te", 1).await;
    // Yet another attempt is under way when the first one ends: it is not taken for that.
    let next = fixture
        .gateway
        .register_task_executor(registration("te", "gate://te/te", 1));
    fixture.gate.open();
    let reason = String::from("a newer registration is under way");
    assert_eq!(slow.await, Ok(RegistrationResponse::Failure(reason)));
    fixture.gate.open();
    let Ok(RegistrationResponse::Failure(reason)) = next.await else {
        panic!("the gate is not passed");
    };
    assert_eq!(reason, "the connection to te is closed");
    // The registration in between holds.
    let reported =
        fixture
            .gateway
            .send_slot_report(ResourceId::new("te"), instance, free_slots("te", 1));
    assert_eq!(reported.await, Ok(()));
    assert_eq!(fixture.slots().await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_registration_whose_caller_has_gone_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let slow = registration("te", "gate://te/te", 1);
    let slow = fixture.gateway.register_task_executor(slow);
    assert_eq!(fixture.count(|rm| rm.registering.len()).await, 1);
    drop(slow);
    until(async || fixture.count(|rm| rm.registering.len()).await == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_cannot_be_reached_may_try_again() {
    // Flink: ResourceManagerTaskExecutorTest#testRegisterTaskExecutorFromInvalidAddress
    let fixture = Fixture::new().await;
    let answer = fixture
        .gateway
        .register_task_executor(registration("te", "nobody", 1))
        .await;
    let Ok(RegistrationResponse::Failure(reason)) = answer else {
        panic!("{answer:?}");
    };
    assert!(reason.contains("nobody"), "{reason}");
    assert_eq!(fixture.count(|rm| rm.registering.len()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn too_many_of_anything_are_turned_away() {
    let mut config = ResourceManagerConfig::default();
    config.slot_manager.task_executors_max = 1;
    config.slot_manager.slots_per_task_executor_max = 2;
    config.slot_manager.jobs_max = 1;
    let fixture = Fixture::with_config(config).await;
    let _servers = ["a", "b"].map(|name| fixture.start_task_executor(name));
    // It is told before it reports, so that it does not come again and again.
    let answer = fixture
        .gateway
        .register_task_executor(registration("a", "a", 3))
        .await;
    assert!(
        matches!(answer, Ok(RegistrationResponse::Rejection(_))),
        "{answer:?}"
    );
    fixture.register("a", 2).await;
    let answer = fixture
        .gateway
        .register_task_executor(registration("b", "b", 1))
        .await;
    assert!(
        matches!(answer, Ok(RegistrationResponse::Rejection(_))),
        "{answer:?}"
    );
    fixture.register("a", 1).await;
    // As many may be registering at once.
    let _slow = fixture
        .gateway
        .register_task_executor(registration("c", "gate://te/c", 1));
    let answer = fixture
        .gateway
        .register_task_executor(registration("d", "gate://te/d", 1))
        .await;
    assert!(matches!(answer, Err(RpcError::Failed(_))), "{answer:?}");

    fixture.bring_job(1).await;
    let job = JobId::random();
    let _job_master = fixture.start_job_master(job, FIRST);
    let answer = fixture.register_job(job, FIRST).await;
    assert!(
        matches!(answer, RegistrationResponse::Failure(_)),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_shown_is_refused() {
    let fixture = Fixture::new().await;
    for name in ["", "x\ny"] {
        let answer = fixture
            .gateway
            .register_task_executor(registration(name, "te", 1))
            .await;
        let Ok(RegistrationResponse::Rejection(reason)) = answer else {
            panic!("{answer:?}");
        };
        assert!(reason.starts_with("the task manager's name "), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_follows_another_leader_is_fenced_out() {
    // Flink: ResourceManagerTaskExecutorTest#testRegisterTaskExecutorWithUnmatchedLeaderSessionId,
    //   ResourceManagerJobMasterTest#testRegisterJobMasterWithUnmatchedLeaderSessionId1
    let fixture = Fixture::new().await;
    let stale = FencingToken::new(ID - 1);
    let gateway = fixture
        .server
        .gateway_fenced::<dyn ResourceManagerGateway>(stale);
    let answer = gateway
        .register_task_executor(registration("te", "te", 1))
        .await;
    assert!(matches!(answer, Err(RpcError::Fenced { .. })), "{answer:?}");
    let job = JobId::random();
    let (address, registration) = (job.to_string(), RegistrationId::random());
    let answer = gateway
        .register_job_master(FIRST, job_master(job), address, job, registration)
        .await;
    assert!(matches!(answer, Err(RpcError::Fenced { .. })), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_leaves_is_forgotten_and_the_jobs_are_told() {
    // Flink: ResourceManagerTaskExecutorTest#testDisconnectTaskExecutor,
    //   ResourceManagerTest#testDisconnectTaskManager,
    //   ResourceManagerJobMasterTest#testDisconnectTaskManagerInResourceManager
    let fixture = Fixture::new().await;
    let _te = fixture.start_task_executor("te");
    let first = fixture.register("te", 1).await.instance;
    let second = fixture.bring("te", 1).await;
    let (_job, _server) = fixture.bring_job(0).await;
    let leave = |instance| {
        let cause = String::from("it leaves");
        fixture
            .gateway
            .disconnect_task_manager(ResourceId::new("te"), instance, cause)
            .detach();
    };
    // A late word of the first registration does not end the second.
    leave(first);
    assert_eq!(fixture.slots().await, (1, 1));
    leave(second);
    assert_eq!(fixture.lost.next().await, "te");
    assert_eq!(fixture.slots().await, (0, 0));
    // Who leaves is not told that it has left: it would come back for it.
    assert_eq!(fixture.ended.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_silent_task_executor_is_lost() {
    // Flink: ResourceManagerTest#testHeartbeatTimeoutWithTaskExecutor
    let fixture = Fixture::new().await;
    let mock = fixture
        .mock_task_executor("te")
        .heartbeat_from_resource_manager(|_| Ok(()));
    let _te = StubTaskExecutor::new(mock).start(&fixture.rpc, "te");
    let instance = fixture.bring("te", 1).await;
    let (_job, _server) = fixture.bring_job(0).await;
    assert_eq!(fixture.ended.next().await, instance);
    assert_eq!(fixture.lost.next().await, "te");
    assert_eq!(fixture.slots().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_answers_is_kept() {
    // Flink: ResourceManagerTest#testHeartbeatTimeoutWithTaskExecutor, in the other case
    let fixture = Fixture::new().await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    for _ in 0..200 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(fixture.slots().await, (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_does_not_know_its_registration_registers_again() {
    let fixture = Fixture::new().await;
    let unknown = Heard::new();
    let is_unknown = unknown.clone();
    let mock = fixture
        .mock_task_executor("te")
        .heartbeat_from_resource_manager(move |instance| {
            is_unknown.put(instance);
            Err(UnknownRegistration)?
        });
    let _te = StubTaskExecutor::new(mock).start(&fixture.rpc, "te");
    let instance = fixture.bring("te", 1).await;
    let (_job, _server) = fixture.bring_job(0).await;
    assert_eq!(unknown.next().await, instance);
    assert_eq!(fixture.ended.next().await, instance);
    assert_eq!(fixture.slots().await, (0, 0));
    // The jobs are not told: what they have there may still run.
    assert_eq!(fixture.lost.take(), Vec::<String>::new());
    // A late answer does not end the next registration.
    let next = fixture.bring("te", 2).await;
    let late = fixture.gateway.heartbeat_from_task_manager(
        ResourceId::new("te"),
        instance,
        free_slots("te", 2),
    );
    assert_eq!(late.await, UNKNOWN);
    assert_eq!(
        (fixture.instance().await, fixture.slots().await),
        (next, (2, 2))
    );
    // Its name is not free as long as it answers.
    let stub = StubTaskExecutor::new(fixture.mock_task_executor("te"));
    let _other = stub.start(&fixture.rpc, "other");
    let other = registration("te", "other", 1);
    let answer = fixture.gateway.register_task_executor(other).await;
    assert!(
        matches!(answer, Ok(RegistrationResponse::Rejection(_))),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_that_has_ended_is_lost_at_once() {
    // Flink: ResourceManagerTest#testTaskExecutorBecomesUnreachableTriggersDisconnect
    let fixture = Fixture::new().await;
    let te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let (_job, _server) = fixture.bring_job(0).await;
    let started = tokio::time::Instant::now();
    te.close().await.unwrap();
    assert_eq!(fixture.lost.next().await, "te");
    // Without a heartbeat, and without a call that fails.
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(fixture.slots().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_former_task_executor_is_not_that_of_its_successor() {
    let fixture = Fixture::new().await;
    let former = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    former.close().await.unwrap();
    let _successor = fixture.start_task_executor("te");
    fixture.bring("te", 2).await;
    advance(Duration::from_secs(1)).await;
    assert_eq!(fixture.slots().await, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_task_executor_whose_connection_breaks_has_no_slots_until_it_registers_again() {
    let network = SimNetwork::seeded(1);
    let fixture = Fixture::on(network.node("rm").transport()).await;
    let (_job, _server) = fixture.bring_job(0).await;
    let far = RpcService::builder().transport(network.node("te").transport());
    let far = far.build().await.unwrap();
    let _te = StubTaskExecutor::new(fixture.mock_task_executor("te")).start(&far, "te");
    let instance = fixture.bring_from("te", "sim://te/te", 1).await;
    assert_eq!(fixture.slots().await, (1, 1));
    network.reset("rm", "te");
    // It lives, and is told, so that it registers again.
    assert_eq!(fixture.ended.next().await, instance);
    assert_eq!(fixture.slots().await, (0, 0));
    fixture.bring_from("te", "sim://te/te", 1).await;
    assert_eq!(fixture.slots().await, (1, 1));
    // The jobs are not: what they have there may still run.
    assert_eq!(fixture.lost.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_master_registers_once_and_its_successor_takes_its_place() {
    // Flink: ResourceManagerJobMasterTest#testRegisterJobMaster,
    //   #testRegisterJobMasterWithUnmatchedLeaderSessionId2
    let fixture = Fixture::new().await;
    let (job, first) = fixture.bring_job(0).await;
    assert_eq!(fixture.register_job(job, FIRST).await, success());
    assert_eq!(fixture.lost.take(), [""; 0]);
    // The next leader has the address of the first.
    first.close().await.unwrap();
    let _second = fixture.start_job_master(job, SECOND);
    assert_eq!(fixture.register_job(job, SECOND).await, success());
    let answer = fixture.register_job(job, FIRST).await;
    let reason = String::from("a newer job master is registered");
    assert_eq!(answer, RegistrationResponse::Failure(reason));
    let unknown = RequirementsError::UnknownJobMaster { job, id: FIRST };
    assert_eq!(fixture.declare(job, 1).await, Err(RpcError::App(unknown)));
}

#[tokio::test(start_paused = true)]
async fn a_late_word_of_a_job_master_does_not_end_its_next_registration() {
    let fixture = Fixture::new().await;
    let (job, _server) = fixture.bring_job(1).await;
    let first = fixture.registration(job).await;
    let second = RegistrationId::random();
    // The second call of a registration changes nothing.
    for _ in 0..2 {
        let answer = fixture.register_job_as(job, FIRST, second).await;
        assert_eq!(answer, success());
    }
    fixture.leave_job(job, first, JobStatus::Running);
    assert_eq!(fixture.registration(job).await, second);
    // What it needs is met still, without a word of it.
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    assert_eq!(fixture.requests.next().await.job, job);
    assert_eq!(fixture.lost.take(), [""; 0]);
    fixture.leave_job(job, second, JobStatus::Running);
    assert_eq!(fixture.count(|rm| rm.jobs.len()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_registers_twice_at_once_is_registered_once() {
    let fixture = Fixture::new().await;
    let job = JobId::random();
    let _server = fixture.start_job_master(job, FIRST);
    let registration = RegistrationId::random();
    let answers = tokio::join!(
        fixture.register_job_as(job, FIRST, registration),
        fixture.register_job_as(job, FIRST, registration)
    );
    assert_eq!(answers, (success(), success()));
    assert_eq!(fixture.lost.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_cannot_be_reached_may_try_again() {
    // Flink: ResourceManagerJobMasterTest#testRegisterJobMasterFromInvalidAddress
    let fixture = Fixture::new().await;
    let answer = fixture.register_job(JobId::random(), FIRST).await;
    assert!(
        matches!(answer, RegistrationResponse::Failure(_)),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_job_master_is_lost_and_its_needs_are_kept() {
    // Flink: ResourceManagerTest#testHeartbeatTimeoutWithJobMaster
    let fixture = Fixture::new().await;
    let job = JobId::random();
    let mock = fixture
        .mock_job_master(job)
        .heartbeat_from_resource_manager(|_| Ok(()));
    let _server = StubJobMaster::new(mock, FIRST).start(&fixture.rpc, &job.to_string());
    let registration = RegistrationId::random();
    fixture.register_job_as(job, FIRST, registration).await;
    fixture.declare(job, 1).await.unwrap();
    assert_eq!(fixture.lost.next().await, format!("rm {registration}"));
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    // Nobody would take the slot for it: it is the next job's.
    advance(Duration::from_secs(5)).await;
    assert_eq!(fixture.slots().await, (1, 1));
    let (other, _server) = fixture.bring_job(1).await;
    assert_eq!(fixture.requests.next().await.job, other);
    fixture.register_job(job, FIRST).await;
    fixture.declare(job, 1).await.unwrap();
    let _next = fixture.start_task_executor("next");
    fixture.bring("next", 1).await;
    assert_eq!(fixture.requests.next().await.job, job);
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_does_not_know_its_registration_is_lost_at_once() {
    let fixture = Fixture::new().await;
    let job = JobId::random();
    let mock = fixture
        .mock_job_master(job)
        .heartbeat_from_resource_manager(|_| Err(UnknownRegistration)?);
    let _server = StubJobMaster::new(mock, FIRST).start(&fixture.rpc, &job.to_string());
    let started = tokio::time::Instant::now();
    let registration = RegistrationId::random();
    fixture.register_job_as(job, FIRST, registration).await;
    assert_eq!(fixture.lost.next().await, format!("rm {registration}"));
    // The first request is made after one interval, and a new registration begins it anew.
    assert_eq!(started.elapsed().as_secs(), 10);
    fixture.register_job(job, FIRST).await;
    let late = fixture
        .gateway
        .heartbeat_from_job_manager(job, registration);
    assert_eq!(late.await, UNKNOWN);
    advance(Duration::from_secs(9)).await;
    let registration = RegistrationId::random();
    fixture.register_job_as(job, FIRST, registration).await;
    let started = tokio::time::Instant::now();
    assert_eq!(fixture.lost.next().await, format!("rm {registration}"));
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_job_master_that_cannot_be_reached_any_more_is_lost_sooner() {
    // Flink: ResourceManagerTest#testJobMasterBecomesUnreachableTriggersDisconnect
    let fixture = Fixture::new().await;
    let (_job, server) = fixture.bring_job(1).await;
    server.close().await.unwrap();
    let started = tokio::time::Instant::now();
    until(async || fixture.count(|rm| rm.jobs.len()).await == 0).await;
    assert!(started.elapsed() < Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_ended_needs_nothing_any_more() {
    // Flink: ResourceManagerTest#testDisconnectJobManagerClearsRequirements,
    //   #testDisconnectJobManagerWithTerminalStatusShouldRemoveJob
    let fixture = Fixture::new().await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let (job, _server) = fixture.bring_job(2).await;
    let request = fixture.requests.next().await;
    let leave = |registration| fixture.leave_job(job, registration, JobStatus::Finished);
    let registration = fixture.registration(job).await;
    // A former leader of the job has no say.
    leave(RegistrationId::random());
    assert_eq!(fixture.count(|rm| rm.jobs.len()).await, 1);
    leave(registration);
    assert_eq!(fixture.freed.next().await, job);
    let slot = slot("te", request.slot_index);
    let instance = fixture.instance().await;
    fixture
        .gateway
        .notify_slot_available(instance, slot, request.allocation);
    assert_eq!(fixture.slots().await, (1, 1));
    advance(Duration::from_secs(5)).await;
    assert_eq!(fixture.requests.take(), []);
    // Who leaves is not told that it has left.
    assert_eq!(fixture.lost.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_goes_on_is_remembered_for_a_while() {
    // Flink: ResourceManagerTest#testDisconnectJobManagerWithNonTerminalStatusShouldNotRemoveJob,
    //   DefaultJobLeaderIdServiceTest#testTimeoutAfterLostLeadership
    let config = ResourceManagerConfig {
        job_timeout: Duration::from_secs(30),
        ..ResourceManagerConfig::default()
    };
    let fixture = Fixture::with_config(config).await;
    let (job, _server) = fixture.bring_job(2).await;
    let leave = async || {
        let registration = fixture.registration(job).await;
        fixture.leave_job(job, registration, JobStatus::Suspended);
    };
    leave().await;
    assert_eq!(fixture.count(|rm| rm.abandoned.len()).await, 1);
    // It is back in time.
    advance(Duration::from_secs(29)).await;
    fixture.register_job(job, FIRST).await;
    advance(Duration::from_secs(29)).await;
    assert_eq!(fixture.count(|rm| rm.abandoned.len()).await, 0);
    fixture.declare(job, 2).await.unwrap();
    leave().await;
    until(async || fixture.count(|rm| rm.abandoned.len()).await == 0).await;
    // Its place in the queue is gone: another job that came later is served.
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let (other, _server) = fixture.bring_job(1).await;
    assert_eq!(fixture.requests.next().await.job, other);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_given_slots_and_told_if_there_are_not_enough() {
    // Flink: FineGrainedSlotManagerTest#testNotificationAboutNotEnoughResources
    let fixture = Fixture::new().await;
    let _te = fixture.start_task_executor("te");
    fixture.bring("te", 1).await;
    let (job, _server) = fixture.bring_job(3).await;
    let request = fixture.requests.next().await;
    let expected = SlotRequest {
        slot_index: 0,
        job,
        allocation: request.allocation,
        job_master_address: job.to_string(),
        job_master_id: FIRST,
        resource_manager_id: ResourceManagerId::new(FencingToken::new(ID)),
    };
    assert_eq!(request, expected);
    let shortage = Shortage {
        needed: 3,
        acquired: 1,
        slots: 1,
        slots_free: 0,
    };
    assert_eq!(fixture.shortages.next().await, shortage);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_refused_is_asked_for_again() {
    // Flink: DefaultSlotStatusSyncerTest#testAllocateSlotFailsWithException
    let fixture = Fixture::new().await;
    let (requests, refused) = (fixture.requests.clone(), Heard::<AllocationId>::new());
    let mock = fixture
        .mock_task_executor("te")
        .request_slot(move |request| {
            let first = refused.take().is_empty();
            refused.put(request.allocation);
            requests.put(request);
            match first {
                true => Err(SlotRequestError::Refused {
                    reason: String::from("not now"),
                })?,
                false => Ok(()),
            }
        });
    let _te = StubTaskExecutor::new(mock).start(&fixture.rpc, "te");
    fixture.bring("te", 1).await;
    let (_job, _server) = fixture.bring_job(1).await;
    let first = fixture.requests.next().await;
    let second = fixture.requests.next().await;
    assert_ne!(first.allocation, second.allocation);
    assert_eq!(fixture.slots().await, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_has_no_metrics_to_show() {
    let fixture = Fixture::new().await;
    let mock = fixture.mock_task_executor("a");
    let mock = mock.request_metric_query_service_address(|| Ok(Some(String::from("a/metrics"))));
    let _a = StubTaskExecutor::new(mock).start(&fixture.rpc, "a");
    let b = fixture.start_task_executor("b");
    fixture.bring("a", 1).await;
    fixture.bring("b", 1).await;
    b.close().await.unwrap();
    let addresses = fixture
        .gateway
        .request_task_manager_metric_query_service_addresses()
        .await;
    let expected = vec![(ResourceId::new("a"), String::from("a/metrics"))];
    assert_eq!(addresses, Ok(expected));
}

#[tokio::test(start_paused = true)]
async fn a_resource_manager_that_stops_takes_nobody_along() {
    let fixture = Fixture::new().await;
    let _te = fixture.start_task_executor("te");
    let instance = fixture.bring("te", 1).await;
    let (job, _server) = fixture.bring_job(0).await;
    let registration = fixture.registration(job).await;
    fixture.server.close().await.unwrap();
    assert_eq!(fixture.ended.next().await, instance);
    // The JobMaster looks for the next ResourceManager, and keeps its TaskExecutors.
    assert_eq!(fixture.lost.next().await, format!("rm {registration}"));
    tokio::task::yield_now().await;
    assert_eq!(fixture.lost.take(), [""; 0]);
}
