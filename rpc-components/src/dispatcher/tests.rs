use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rpc_core::{FencingToken, RpcError, RpcServer, RpcService};
use tokio::time::advance;

use super::{Dispatcher, DispatcherConfig, DispatcherServices};
use crate::gateway::{
    CancelError, DispatcherGateway, ExecutionState, FailureKind, FetchError, JobError,
    JobMasterGateway, JobResult, JobStatus, MockResourceManagerGateway, MockTaskExecutorGateway,
    RegistrationResponse, ResourceOverview, SlotOffer, SubmitError, TaskDeploymentDescriptor,
    TaskExecutionState, TaskIo, TaskManagerLocation,
};
use crate::id::{
    AllocationId, AttemptId, DispatcherId, InstanceId, JobId, RegistrationId, ResourceId,
    ResourceManagerId, VertexId,
};
use crate::job_graph::{Edge, JobGraph, JobGraphError, OperatorSpec, Ship, Vertex};
use crate::operator::OperatorRegistry;
use crate::testing::{Heard, StubTaskExecutor, retrieval_of, until};

/// A Dispatcher without a ResourceManager: its jobs wait for slots until a test brings some.
struct Fixture {
    rpc: RpcService,
    server: RpcServer<Dispatcher>,
    gateway: Arc<dyn DispatcherGateway>,
    tasks: Heard<TaskDeploymentDescriptor>,
}

const ID: DispatcherId = DispatcherId::new(FencingToken::new(3));
const RM: ResourceManagerId = ResourceManagerId::new(FencingToken::new(7));

impl Fixture {
    async fn new() -> Self {
        Self::with_config(|_| {}).await
    }

    async fn with_config(change: impl FnOnce(&mut DispatcherConfig)) -> Self {
        let rpc = RpcService::local();
        let overview = ResourceOverview {
            task_managers: 1,
            slots: 2,
            slots_free: 2,
        };
        let metrics = || vec![(ResourceId::new("te"), String::from("te/metrics"))];
        let resource_manager = MockResourceManagerGateway::default()
            .request_resource_overview(move || Ok(overview))
            .request_task_manager_metric_query_service_addresses(move || Ok(metrics()));
        let services = DispatcherServices {
            operators: Arc::new(OperatorRegistry::new()),
            retrieval: retrieval_of(&rpc, "rm", RM).await,
            resource_manager: Arc::new(resource_manager),
            metrics: (ResourceId::new("jm"), String::from("metrics")),
        };
        let mut config = DispatcherConfig::default();
        change(&mut config);
        let dispatcher = Dispatcher::new(ID, services, config);
        let server = rpc.start_server("dispatcher", dispatcher).unwrap();
        server.start();
        Self {
            gateway: server.gateway_fenced::<dyn DispatcherGateway>(ID),
            rpc,
            server,
            tasks: Heard::new(),
        }
    }

    async fn submit(&self, graph: &JobGraph) -> Result<JobId, RpcError<SubmitError>> {
        self.gateway.submit_job(Box::new(graph.clone())).await
    }

    /// Submits a job that waits for slots.
    async fn waiting_job(&self) -> JobId {
        self.submit(&graph()).await.unwrap()
    }

    async fn cancel(&self, job: JobId) -> Result<(), RpcError<CancelError>> {
        self.gateway.cancel_job(job).await
    }

    async fn result(&self, job: JobId) -> Result<JobResult, RpcError<JobError>> {
        self.gateway.request_job_result(job).await
    }

    async fn fetch(&self, job: JobId, position: u64) -> Result<Bytes, RpcError<FetchError>> {
        self.gateway.fetch_job_results(job, position).await
    }

    /// Submits a job and ends it.
    async fn cancelled_job(&self) -> JobId {
        let job = self.waiting_job().await;
        self.cancel(job).await.unwrap();
        self.result(job).await.unwrap();
        job
    }

    /// Submits a job whose one task has printed `text` and has ended.
    async fn finished_job(&self, text: &'static str) -> JobId {
        let job = self.waiting_job().await;
        let job_master = self.job_master(job).await;
        let tasks = self.tasks.clone();
        let mock = MockTaskExecutorGateway::default()
            .submit_task(move |task, _| {
                tasks.put(*task);
                Ok(())
            })
            .free_slot(|_, _| Ok(()))
            .disconnect_job_manager(|_, _, _| Ok(()));
        let te = StubTaskExecutor::new(mock).start(&self.rpc, "te");
        let location = TaskManagerLocation {
            resource: ResourceId::new("te"),
            address: String::from("te"),
            data_address: String::from("data"),
        };
        let (session, registration) = (InstanceId::random(), RegistrationId::random());
        let registered = job_master.register_task_manager(job, location, session, registration);
        assert!(matches!(
            registered.await,
            Ok(RegistrationResponse::Success(_))
        ));
        let offer = SlotOffer {
            allocation: AllocationId::random(),
            slot_index: 0,
        };
        job_master
            .offer_slots(ResourceId::new("te"), vec![offer])
            .await
            .unwrap();
        let attempt = self.tasks.next().await.attempt;
        self.tell(&*job_master, attempt, ExecutionState::Initializing)
            .await;
        self.tell(&*job_master, attempt, ExecutionState::Running)
            .await;
        job_master
            .send_results(attempt, 0, Bytes::from(text))
            .await
            .unwrap();
        self.tell(&*job_master, attempt, ExecutionState::Finished)
            .await;
        te.close().await.unwrap();
        assert_eq!(self.result(job).await.unwrap().status, JobStatus::Finished);
        job
    }

    async fn tell(
        &self,
        job_master: &dyn JobMasterGateway,
        attempt: AttemptId,
        state: ExecutionState,
    ) {
        let update = TaskExecutionState {
            attempt,
            state,
            failure: Vec::new(),
            kind: FailureKind::Recoverable,
            io: TaskIo::default(),
        };
        job_master
            .update_task_execution_state(update)
            .await
            .unwrap();
    }

    async fn job_master(&self, job: JobId) -> Arc<dyn JobMasterGateway> {
        let gateway = self
            .server
            .main_thread()
            .call_async(move |dispatcher, _| Arc::clone(&dispatcher.job_masters[&job].gateway));
        gateway.await.unwrap()
    }

    async fn job_masters(&self) -> usize {
        let living = self
            .server
            .main_thread()
            .call_async(|it, _| it.job_masters.len());
        living.await.unwrap()
    }

    async fn status(&self, job: JobId) -> JobStatus {
        self.gateway.request_job_status(job).await.unwrap()
    }
}

fn vertex(name: &str, operator: OperatorSpec) -> Vertex {
    Vertex {
        name: name.to_owned(),
        operator,
        parallelism: 1,
    }
}

fn graph() -> JobGraph {
    graph_of(OperatorSpec::new("generator-source"))
}

fn graph_of(source: OperatorSpec) -> JobGraph {
    JobGraph {
        id: JobId::random(),
        name: String::from("job"),
        vertices: vec![
            vertex("source", source),
            vertex("sink", OperatorSpec::new("stdout-sink")),
        ],
        edges: vec![Edge {
            from: VertexId(0),
            to: VertexId(1),
            ship: Ship::Forward,
        }],
        slot_wait: None,
        restart: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_submitted_job_is_shown() {
    // Flink: DispatcherTest#testJobSubmission
    let fixture = Fixture::new().await;
    let job = fixture.waiting_job().await;
    assert_eq!(fixture.status(job).await, JobStatus::Created);
    let listed = fixture.gateway.list_jobs().await.unwrap();
    assert_eq!(listed.len(), 1);
    let shown = (
        listed[0].id,
        listed[0].name.as_str(),
        listed[0].status,
        listed[0].tasks,
    );
    assert_eq!(shown, (job, "job", JobStatus::Created, 1));
    let info = fixture.gateway.request_job(job).await.unwrap();
    assert_eq!(info.vertices[0].name, "source -> sink");
}

#[tokio::test(start_paused = true)]
async fn of_many_submissions_of_one_job_one_succeeds() {
    // Flink: DispatcherTest#testDuplicateJobSubmissionIsDetectedOnSimultaneousSubmission
    let fixture = Fixture::new().await;
    let graph = graph();
    let answers = join_all((0..5).map(|_| fixture.submit(&graph))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (1, 4));
    let duplicate = SubmitError::Duplicate {
        job: graph.id,
        has_ended: false,
    };
    assert!(
        refused
            .iter()
            .all(|it| *it == Err(RpcError::App(duplicate.clone())))
    );
    assert_eq!(fixture.job_masters().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_ended_is_not_run_again() {
    // Flink: DispatcherTest#testDuplicateJobSubmissionWithGloballyTerminatedAndCleanedJob
    let fixture = Fixture::new().await;
    let graph = graph();
    fixture.submit(&graph).await.unwrap();
    fixture.cancel(graph.id).await.unwrap();
    fixture.result(graph.id).await.unwrap();
    let duplicate = SubmitError::Duplicate {
        job: graph.id,
        has_ended: true,
    };
    assert_eq!(fixture.submit(&graph).await, Err(RpcError::App(duplicate)));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_makes_no_sense_is_refused() {
    let fixture = Fixture::new().await;
    let mut graph = graph();
    graph.edges.clear();
    let Err(RpcError::App(SubmitError::Invalid { job, source })) = fixture.submit(&graph).await
    else {
        panic!("it is refused");
    };
    let missing = JobGraphError::OutputMissing {
        vertex: String::from("source"),
        operator: String::from("generator-source"),
    };
    assert_eq!((job, *source), (graph.id, missing));
    assert_eq!(fixture.gateway.list_jobs().await, Ok(vec![]));
}

#[tokio::test]
async fn a_job_that_cannot_be_started_leaves_nothing_behind() {
    // Flink: DispatcherResourceCleanupTest#testGlobalCleanupWhenJobSubmissionFails
    let fixture = Fixture::new().await;
    let source = OperatorSpec::new("file-source").with("path", "/no/such/file");
    let graph = graph_of(source);
    for _ in 0..2 {
        let answer = fixture.submit(&graph).await;
        let Err(RpcError::App(SubmitError::Failed { job, source })) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(job, graph.id);
        assert_eq!(source.texts()[0], "cannot read /no/such/file");
    }
    assert_eq!(fixture.gateway.list_jobs().await, Ok(vec![]));
    assert_eq!(fixture.job_masters().await, 0);
}

#[tokio::test]
async fn whoever_waits_for_a_job_that_cannot_be_started_is_told() {
    let fixture = Fixture::new().await;
    let graph = graph_of(OperatorSpec::new("file-source").with("path", "/no/such/file"));
    let job = graph.id;
    let submitted = fixture.gateway.submit_job(Box::new(graph));
    // They come while it is being submitted.
    let waiting = fixture.gateway.request_job_result(job);
    let fetched = fixture.gateway.fetch_job_results(job, 0);
    assert!(submitted.await.is_err());
    let not_found = JobError::NotFound { job };
    assert_eq!(waiting.await, Err(RpcError::App(not_found)));
    let not_initialized = FetchError::NotInitialized { job };
    assert_eq!(fetched.await, Err(RpcError::App(not_initialized)));
}

#[tokio::test(start_paused = true)]
async fn so_many_jobs_run_and_no_more() {
    let fixture = Fixture::with_config(|it| it.jobs.running_max = 1).await;
    let first = fixture.waiting_job().await;
    let second = graph();
    let too_many = SubmitError::TooManyJobs {
        job: second.id,
        max: 1,
    };
    assert_eq!(fixture.submit(&second).await, Err(RpcError::App(too_many)));
    fixture.cancel(first).await.unwrap();
    fixture.result(first).await.unwrap();
    assert_eq!(fixture.submit(&second).await, Ok(second.id));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_cancelled_as_far_as_it_is() {
    // Flink: DispatcherTest#testCancellationOfCanceledTerminalDoesNotThrowException,
    //   #testCancellationOfNonCanceledTerminalJobFailsWithAppropriateException,
    //   #testCacheJobExecutionResult
    let fixture = Fixture::new().await;
    let job = fixture.cancelled_job().await;
    assert_eq!(fixture.cancel(job).await, Ok(()));
    let result = fixture.result(job).await.unwrap();
    assert_eq!(
        (result.status, result.failure.len()),
        (JobStatus::Canceled, 0)
    );
    let info = fixture.gateway.request_job(job).await.unwrap();
    assert_eq!(
        (info.details.status, info.vertices.len()),
        (JobStatus::Canceled, 1)
    );

    let finished = fixture.finished_job("").await;
    let ended = CancelError::HasEnded {
        job: finished,
        status: JobStatus::Finished,
    };
    assert_eq!(fixture.cancel(finished).await, Err(RpcError::App(ended)));
    let unknown = JobId::random();
    let not_found = CancelError::NotFound { job: unknown };
    assert_eq!(fixture.cancel(unknown).await, Err(RpcError::App(not_found)));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_job_is_not_found() {
    // Flink: DispatcherTest#testThrowExceptionIfJobExecutionResultNotFound
    let fixture = Fixture::new().await;
    let job = JobId::random();
    let not_found = RpcError::App(JobError::NotFound { job });
    let asked = fixture.gateway.request_job(job).await;
    assert_eq!(asked, Err(not_found.clone()));
    assert_eq!(fixture.result(job).await, Err(not_found));
    let fetched = fixture.fetch(job, 0).await;
    assert_eq!(fetched, Err(RpcError::App(FetchError::NotFound { job })));
}

#[tokio::test(start_paused = true)]
async fn what_a_job_printed_is_there_after_its_end() {
    let fixture = Fixture::new().await;
    let job = fixture.finished_job("hello").await;
    assert_eq!(fixture.fetch(job, 0).await, Ok(Bytes::from("hello")));
    assert_eq!(fixture.fetch(job, 2).await, Ok(Bytes::from("llo")));
    let gone = FetchError::Gone { job, position: 2 };
    assert_eq!(fixture.fetch(job, 0).await, Err(RpcError::App(gone)));
    assert_eq!(fixture.fetch(job, 5).await, Ok(Bytes::new()));
    until(async || fixture.job_masters().await == 0).await;
    // The end stays the end, and what was fetched is gone.
    assert_eq!(fixture.fetch(job, 5).await, Ok(Bytes::new()));
    let gone = FetchError::Gone { job, position: 5 };
    assert_eq!(fixture.fetch(job, 0).await, Err(RpcError::App(gone)));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_fetched_in_time_is_no_empty_result() {
    let linger = Duration::from_secs(5);
    let fixture = Fixture::with_config(|it| it.job_master.results_linger = linger).await;
    let job = fixture.finished_job("hello").await;
    until(async || fixture.job_masters().await == 0).await;
    let gone = FetchError::Gone { job, position: 5 };
    assert_eq!(fixture.fetch(job, 0).await, Err(RpcError::App(gone)));
    assert_eq!(
        fixture.result(job).await.unwrap().status,
        JobStatus::Finished
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_forgotten_keeps_no_job_master() {
    let fixture = Fixture::with_config(|it| it.jobs.completed_max = 1).await;
    let first = fixture.finished_job("hello").await;
    assert_eq!(fixture.job_masters().await, 1);
    let second = fixture.finished_job("hello").await;
    until(async || fixture.job_masters().await == 1).await;
    let not_found = FetchError::NotFound { job: first };
    assert_eq!(fixture.fetch(first, 0).await, Err(RpcError::App(not_found)));
    assert_eq!(fixture.fetch(second, 0).await, Ok(Bytes::from("hello")));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_not_forgotten_while_its_results_are_fetched() {
    let fixture = Fixture::with_config(|it| it.jobs.completed_max = 1).await;
    let first = fixture.finished_job("hello").await;
    assert_eq!(fixture.fetch(first, 0).await, Ok(Bytes::from("hello")));
    for _ in 0..2 {
        fixture.finished_job("others").await;
    }
    // Somebody takes a while to write what it has.
    for _ in 0..3 {
        advance(Duration::from_secs(50)).await;
        fixture.finished_job("others").await;
        assert_eq!(fixture.fetch(first, 2).await, Ok(Bytes::from("llo")));
    }
    assert_eq!(
        fixture.result(first).await.unwrap().status,
        JobStatus::Finished
    );
    // With the last of them it is one like others.
    assert_eq!(fixture.fetch(first, 5).await, Ok(Bytes::new()));
    until(async || fixture.job_masters().await == 1).await;
    let not_found = JobError::NotFound { job: first };
    assert_eq!(fixture.result(first).await, Err(RpcError::App(not_found)));
}

#[tokio::test(start_paused = true)]
async fn a_job_of_the_same_id_waits_for_the_one_that_is_forgotten() {
    // Flink: DispatcherResourceCleanupTest#testJobSubmissionUnderSameJobId
    let fixture = Fixture::with_config(|it| it.jobs.completed_max = 0).await;
    let graph = graph();
    for _ in 0..3 {
        assert_eq!(fixture.submit(&graph).await, Ok(graph.id));
        let waiting = fixture.gateway.request_job_result(graph.id);
        fixture.cancel(graph.id).await.unwrap();
        assert_eq!(waiting.await.unwrap().status, JobStatus::Canceled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_job_master_panics_fails_and_the_others_go_on() {
    // Flink: DispatcherTest#testFatalErrorIfSomeOtherErrorCausedTheJobMasterToFail, where it takes
    //   the process along
    let fixture = Fixture::new().await;
    let [job, other] = [fixture.waiting_job().await, fixture.waiting_job().await];
    let waiting = fixture.gateway.request_job_result(job);
    let fetching = fixture.gateway.fetch_job_results(job, 0);
    let server = fixture
        .server
        .main_thread()
        .call_async(move |dispatcher, _| dispatcher.job_masters[&job].server.clone());
    let server = server.await.unwrap();
    server.main_thread().run_async(|_, _| panic!("a bug"));
    let result = waiting.await.unwrap();
    assert_eq!(result.status, JobStatus::Failed);
    let text = format!("endpoint jobmaster_{job} was stopped because its code panicked");
    assert_eq!(result.failure, [text]);
    // A client that follows it sees the end, and then why.
    assert_eq!(fetching.await, Ok(Bytes::new()));
    assert_eq!(fixture.status(job).await, JobStatus::Failed);
    let ended = CancelError::HasEnded {
        job,
        status: JobStatus::Failed,
    };
    assert_eq!(fixture.cancel(job).await, Err(RpcError::App(ended)));
    assert_eq!(fixture.status(other).await, JobStatus::Created);
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_stops_suspends_its_jobs() {
    // Flink: DispatcherTest#testJobSuspensionWhenDispatcherIsTerminated,
    //   DispatcherResourceCleanupTest#testDispatcherTerminationWaitsForJobMasterTerminations
    let fixture = Fixture::new().await;
    let job = fixture.waiting_job().await;
    let ended = fixture.finished_job("unfetched").await;
    let waiting = fixture.gateway.request_job_result(job);
    fixture.status(job).await;
    fixture.server.close().await.unwrap();
    assert_eq!(waiting.await.unwrap().status, JobStatus::Suspended);
    for job in [job, ended] {
        let name = format!("jobmaster_{job}");
        let connected = fixture
            .rpc
            .connect_fenced::<dyn JobMasterGateway>(&name, ID)
            .await;
        assert!(connected.is_err());
    }
}

#[tokio::test]
async fn a_dispatcher_that_stops_starts_no_job_master() {
    let fixture = Fixture::new().await;
    let graph = graph();
    let job = graph.id;
    // It looks for files, of which there are none, on another thread.
    let submitted = fixture.gateway.submit_job(Box::new(graph));
    let waiting = fixture.gateway.request_job_result(job);
    fixture.server.close().await.unwrap();
    // It was taken just in time, or not; it was known, or not yet.
    let taken = submitted.await.is_ok();
    let waited = waiting.await.map(|result| result.status);
    assert!(
        matches!(waited, Ok(JobStatus::Suspended) | Err(_)),
        "{waited:?}"
    );
    assert!(!taken || waited.is_ok(), "{waited:?}");
    let name = format!("jobmaster_{job}");
    let connected = fixture
        .rpc
        .connect_fenced::<dyn JobMasterGateway>(&name, ID)
        .await;
    assert!(connected.is_err());
}

#[tokio::test(start_paused = true)]
async fn so_many_clients_wait_for_a_job_and_no_more() {
    let fixture = Fixture::with_config(|it| it.waiting_max = 2).await;
    let job = fixture.waiting_job().await;
    let first = fixture.gateway.request_job_result(job);
    let second = fixture.gateway.request_job_result(job);
    let refused = fixture.result(job).await;
    assert!(matches!(refused, Err(RpcError::Failed(_))), "{refused:?}");
    // Who has gone makes room.
    drop(first);
    let third = fixture.gateway.request_job_result(job);
    fixture.cancel(job).await.unwrap();
    for waiting in [second, third] {
        assert_eq!(waiting.await.unwrap().status, JobStatus::Canceled);
    }
}

#[tokio::test(start_paused = true)]
async fn the_cluster_is_asked_on_behalf_of_clients() {
    let fixture = Fixture::new().await;
    let overview = fixture.gateway.request_cluster_overview().await.unwrap();
    assert_eq!((overview.task_managers, overview.slots), (1, 2));
    let metrics = fixture
        .gateway
        .request_metric_query_service_addresses()
        .await
        .unwrap();
    let expected = [("jm", "metrics"), ("te", "te/metrics")];
    let expected = expected.map(|(it, address)| (ResourceId::new(it), address.to_owned()));
    assert_eq!(metrics, expected);
}

#[tokio::test(start_paused = true)]
async fn who_follows_another_leader_is_fenced_out() {
    let fixture = Fixture::new().await;
    let stale = DispatcherId::new(FencingToken::new(2));
    let gateway = fixture
        .server
        .gateway_fenced::<dyn DispatcherGateway>(stale);
    let refused = gateway.list_jobs().await;
    assert!(
        matches!(refused, Err(RpcError::Fenced { .. })),
        "{refused:?}"
    );
}
