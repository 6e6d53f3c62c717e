//! The Dispatcher's state, its life cycle, and how a job begins and ends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use rpc_core::{
    BoxError, Context, EndpointError, Failure, MainThread, ReplyTo, RpcEndpoint, RpcServer,
    gateways,
};
use tokio::time::Instant;

use super::jobs::{Jobs, JobsConfig, Known, result_of};
use crate::gateway::{
    DispatcherGateway, FileSplits, JobDetails, JobError, JobInfo, JobMasterGateway, JobResult,
    JobStatus, ResourceManagerGateway,
};
use crate::id::{DispatcherId, JobId, JobMasterId, ResourceId, VertexId};
use crate::job_graph::JobPlan;
use crate::job_master::{JobEnd, JobMaster, JobMasterConfig, now_ms};
use crate::leader::{LeaderRetrieval, new_term};
use crate::operator::{OperatorRegistry, file_splits};

/// How a Dispatcher behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DispatcherConfig {
    /// How its JobMasters behave.
    pub job_master: JobMasterConfig,
    /// How many jobs are kept.
    pub jobs: JobsConfig,
    /// How many clients may wait for the end of one job; more are refused. Each costs a little
    /// memory until the job ends. The default is 1,000.
    pub waiting_max: usize,
}

impl Default for DispatcherConfig {
    fn default() -> Self {
        Self {
            job_master: JobMasterConfig::default(),
            jobs: JobsConfig::default(),
            waiting_max: 1000,
        }
    }
}

/// What a Dispatcher works with.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever starts one has to give them all"
)]
pub struct DispatcherServices {
    /// The operators that jobs may be made of.
    pub operators: Arc<OperatorRegistry>,
    /// Finds the leading ResourceManager.
    pub retrieval: LeaderRetrieval,
    /// The ResourceManager of the same process.
    pub resource_manager: Arc<dyn ResourceManagerGateway>,
    /// The process, and where its metrics are to be had.
    pub metrics: (ResourceId, String),
}

/// The endpoint that takes jobs. Flink's `StandaloneDispatcher`.
///
/// Its JobMasters are endpoints of the same service; it stops them when it stops.
pub struct Dispatcher {
    pub(super) config: DispatcherConfig,
    pub(super) id: DispatcherId,
    pub(super) services: DispatcherServices,
    pub(super) jobs: Jobs,
    /// The JobMasters that live, also those whose job has ended and whose results wait.
    pub(super) job_masters: BTreeMap<JobId, Runner>,
    /// Who waits for a job's end.
    pub(super) waiting: BTreeMap<JobId, Vec<ReplyTo<JobResult, JobError>>>,
    /// The Dispatcher stops, and starts no more JobMasters.
    pub(super) is_stopping: bool,
}

/// A JobMaster that lives.
#[derive(Clone)]
pub(super) struct Runner {
    /// Tells it from the JobMaster of an earlier submission of the same job.
    pub(super) id: JobMasterId,
    pub(super) server: RpcServer<JobMaster>,
    pub(super) gateway: Arc<dyn JobMasterGateway>,
    /// When somebody was last seen to fetch the results.
    pub(super) fetched: Option<Instant>,
}

impl Dispatcher {
    /// Makes a Dispatcher for a term of leadership.
    #[must_use]
    pub fn new(id: DispatcherId, services: DispatcherServices, config: DispatcherConfig) -> Self {
        Self {
            jobs: Jobs::new(config.jobs.clone()),
            config,
            id,
            services,
            job_masters: BTreeMap::new(),
            waiting: BTreeMap::new(),
            is_stopping: false,
        }
    }

    /// Makes the JobMaster of a job and starts it; the job runs when this returns.
    ///
    /// The files that the job reads are looked at first, off the main thread, so that a missing one
    /// fails the submission and names it.
    pub(super) async fn start_job(
        main: MainThread<'_, Self>,
        plan: JobPlan,
    ) -> Result<(), BoxError> {
        let job = plan.job;
        let (plan, splits) = tokio::task::spawn_blocking(move || {
            let splits = splits_of(&plan)?;
            Ok::<_, BoxError>((plan, splits))
        })
        .await??;
        // As `Dispatcher#waitForTerminatingJob`: the JobMaster of a job of the same id, which has
        // ended and is forgotten, may not be gone yet.
        Self::close_job_master(main, job).await;
        let runner = main.run(|dispatcher, cx| dispatcher.add_job_master(cx, plan, splits))?;
        JobMaster::start(&runner.server, runner.id).await?;
        main.run(|dispatcher, _| dispatcher.job_master_started(job, &runner))
    }

    /// Stops the JobMaster of a job, if there is one, and waits for its end.
    pub(super) async fn close_job_master(main: MainThread<'_, Self>, job: JobId) {
        let runner = main.run(|dispatcher, _| dispatcher.job_masters.remove(&job));
        if let Some(runner) = runner
            && let Err(error) = runner.server.close().await
        {
            tracing::warn!(%job, %error, "job master ended badly");
        }
    }

    fn add_job_master(
        &mut self,
        cx: &mut Context<Self>,
        plan: JobPlan,
        splits: BTreeMap<VertexId, FileSplits>,
    ) -> Result<Runner, BoxError> {
        if self.is_stopping {
            return Err("the dispatcher stops".into());
        }
        let rpc = cx.service().ok_or("the service is closed")?;
        let job = plan.job;
        let id = JobMasterId::new(new_term());
        let executor = cx.main_thread();
        let on_end: JobEnd = Box::new(move |info, results_bytes| {
            executor.run_async(move |dispatcher, _| {
                if dispatcher.is_current(job, id) {
                    dispatcher.job_ended(info, Some(results_bytes));
                }
            });
        });
        let name = format!("jobmaster_{job}");
        let retrieval = self.services.retrieval.clone();
        let config = self.config.job_master.clone();
        let job_master = JobMaster::new(plan, splits, retrieval, config, on_end)?;
        let server = rpc.start_server(&name, job_master)?;
        let gateway = server.gateway_fenced::<dyn JobMasterGateway>(id);
        let ended = server.clone();
        cx.pipe(
            async move { ended.terminated().await },
            move |_, cx, result| {
                // Behind the word of the job's end, which may still wait in the mailbox.
                cx.main_thread().run_async(move |dispatcher, _| {
                    dispatcher.job_master_ended(job, id, &result);
                });
            },
        );
        let runner = Runner {
            id,
            server,
            gateway,
            fetched: None,
        };
        self.job_masters.insert(job, runner.clone());
        Ok(runner)
    }

    /// The JobMaster is there: the job is initialized.
    fn job_master_started(&mut self, job: JobId, runner: &Runner) -> Result<(), BoxError> {
        if !self.jobs.is_registered(job) {
            // It has ended already, and how is remembered.
            return Ok(());
        }
        if !self.is_current(job, runner.id) {
            return Err("its job master has ended".into());
        }
        if self.jobs.initialized(job) {
            // It was cancelled meanwhile.
            runner.gateway.cancel().detach();
        }
        Ok(())
    }

    /// Tells whether this is the JobMaster of the job, and not that of an earlier submission.
    fn is_current(&self, job: JobId, id: JobMasterId) -> bool {
        self.job_masters.get(&job).is_some_and(|it| it.id == id)
    }

    fn job_ended(&mut self, info: JobInfo, results_bytes: Option<u64>) {
        let job = info.details.id;
        tracing::info!(%job, status = %info.details.status, "job ended");
        let result = result_of(&info);
        self.jobs.ended(info, results_bytes);
        // Who waits for the next piece is told of the end just now.
        if let Some(runner) = self.job_masters.get_mut(&job) {
            runner.fetched = runner.fetched.map(|_| Instant::now());
        }
        self.forget_jobs();
        self.answer_waiting(job, &Ok(result));
    }

    /// Forgets jobs, if too many are remembered.
    fn forget_jobs(&mut self) {
        let now = Instant::now();
        let linger = self.config.job_master.results_linger;
        let is_fetched = |job| {
            let runner: Option<&Runner> = self.job_masters.get(&job);
            let fetched = runner.and_then(|it| it.fetched);
            fetched.is_some_and(|it| now.saturating_duration_since(it) < linger)
        };
        for forgotten in self.jobs.forget(is_fetched) {
            // Nobody can ask for its results any more.
            if let Some(runner) = self.job_masters.get(&forgotten) {
                runner.server.main_thread().terminate();
            }
        }
    }

    /// Takes note that somebody fetches the results of a job; returns its JobMaster, if that lives.
    pub(super) fn fetched(&mut self, job: JobId) -> Option<Runner> {
        let runner = self.job_masters.get_mut(&job)?;
        runner.fetched = Some(Instant::now());
        Some(runner.clone())
    }

    pub(super) fn answer_waiting(&mut self, job: JobId, result: &Result<JobResult, JobError>) {
        for waiting in self.waiting.remove(&job).into_iter().flatten() {
            waiting.answer(result.clone().map_err(Into::into));
        }
    }

    /// A JobMaster that ends before its job does takes the job with it.
    pub(super) fn job_master_ended(
        &mut self,
        job: JobId,
        id: JobMasterId,
        result: &Result<(), EndpointError>,
    ) {
        if !self.is_current(job, id) {
            return;
        }
        self.job_masters.remove(&job);
        self.forget_jobs();
        // A job that is being initialized is the concern of its submission, which fails.
        let Ok(Known::Running) = self.jobs.find(job, now_ms()) else {
            return;
        };
        let (status, failure) = match result {
            Ok(()) if self.is_stopping => (JobStatus::Suspended, Vec::new()),
            Ok(()) => (
                JobStatus::Failed,
                vec![String::from("its job master was stopped")],
            ),
            Err(error) => (JobStatus::Failed, Failure::new(error).texts()),
        };
        self.end_without_job_master(job, status, failure);
    }

    fn suspend_jobs(&mut self) {
        for job in self.jobs.registered() {
            self.end_without_job_master(job, JobStatus::Suspended, Vec::new());
        }
    }

    fn end_without_job_master(&mut self, job: JobId, status: JobStatus, failure: Vec<String>) {
        let Some(details) = self.jobs.details(job, now_ms()) else {
            return;
        };
        let info = JobInfo {
            details: JobDetails { status, ..details },
            failure,
            restarts_max: None,
            restart_causes: Vec::new(),
            vertices: Vec::new(),
        };
        self.job_ended(info, None);
    }
}

/// What the sources of a plan read.
fn splits_of(plan: &JobPlan) -> Result<BTreeMap<VertexId, FileSplits>, BoxError> {
    let mut splits = BTreeMap::new();
    for (id, vertex) in (0..).map(VertexId).zip(&plan.vertices) {
        // A source stands at the front of its chain.
        if let Some(operator) = vertex.operators.first()
            && let Some(files) = file_splits(operator)?
        {
            splits.insert(id, files);
        }
    }
    Ok(splits)
}

impl RpcEndpoint for Dispatcher {
    type Gateways = gateways![DispatcherGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.config.job_master.heartbeat.validate()?;
        cx.set_fencing_token(Some(self.id.into()))?;
        Ok(())
    }

    /// As `Dispatcher#onStop`: the JobMasters are stopped, and with them their jobs suspended. A
    /// job that is being submitted is suspended too, and its JobMaster is not started any more.
    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let servers: Vec<_> = main.run(|dispatcher, _| {
            dispatcher.is_stopping = true;
            let runners = dispatcher.job_masters.values();
            runners.map(|it| it.server.clone()).collect()
        });
        let stopped = join_all(servers.iter().map(RpcServer::close)).await;
        // Behind the words of those that ended meanwhile.
        let suspended = main.run(|_, cx| {
            let main_thread = cx.main_thread();
            main_thread.call_async(|dispatcher, _| dispatcher.suspend_jobs())
        });
        suspended.await?;
        let failed = stopped.into_iter().find_map(Result::err);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
