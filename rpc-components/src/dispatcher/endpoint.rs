//! The Dispatcher's state, its life cycle, and how a job begins and ends.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use rpc_core::{
    BoxError, Context, EndpointError, Failure, MainThread, ReplyTo, RpcEndpoint, RpcServer,
    RpcService, gateways,
};

use super::jobs::{Jobs, JobsConfig};
use crate::gateway::{
    DispatcherGateway, FileSplit, JobError, JobInfo, JobMasterGateway, JobResult, JobStatus,
    ResourceManagerGateway,
};
use crate::id::{DispatcherId, JobId, JobMasterId, ResourceId, VertexId};
use crate::job_graph::JobPlan;
use crate::job_master::{JobEnd, JobMaster, JobMasterConfig, now_ms};
use crate::leader::{LeaderRetrieval, new_term};
use crate::operator::{OperatorRegistry, file_splits};

/// How a Dispatcher behaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DispatcherConfig {
    /// How its JobMasters behave.
    pub job_master: JobMasterConfig,
    /// How many jobs are kept.
    pub jobs: JobsConfig,
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

/// The endpoint that takes jobs.
pub struct Dispatcher {
    pub(super) config: DispatcherConfig,
    pub(super) id: DispatcherId,
    pub(super) services: DispatcherServices,
    pub(super) jobs: Jobs,
    /// The JobMasters that live, also those whose job has ended and whose results wait.
    pub(super) job_masters: BTreeMap<JobId, Runner>,
    /// Who waits for a job's end.
    pub(super) waiting: BTreeMap<JobId, Vec<ReplyTo<JobResult, JobError>>>,
}

/// A JobMaster that lives.
#[derive(Clone)]
pub(super) struct Runner {
    pub(super) server: RpcServer<JobMaster>,
    pub(super) gateway: Arc<dyn JobMasterGateway>,
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
        let (rpc, runner, id) = main.run(|dispatcher, cx| {
            let rpc = cx.service().ok_or("the service is closed")?;
            let executor = cx.main_thread();
            let on_end: JobEnd = Box::new(move |info| {
                executor.run_async(move |dispatcher, _| dispatcher.job_ended(info));
            });
            let id = JobMasterId::new(new_term());
            let runner = dispatcher.make_job_master(&rpc, plan, splits, id, on_end)?;
            dispatcher.job_masters.insert(job, runner.clone());
            let server = runner.server.clone();
            cx.pipe(
                async move { server.terminated().await },
                move |dispatcher, _, result| dispatcher.job_master_ended(job, result),
            );
            Ok::<_, BoxError>((rpc, runner, id))
        })?;
        drop(rpc);
        JobMaster::start(&runner.server, id).await?;
        let cancelled = main.run(|dispatcher, _| dispatcher.jobs.initialized(job));
        if cancelled {
            runner.gateway.cancel().await?;
        }
        Ok(())
    }

    fn make_job_master(
        &self,
        rpc: &RpcService,
        plan: JobPlan,
        splits: BTreeMap<VertexId, VecDeque<FileSplit>>,
        id: JobMasterId,
        on_end: JobEnd,
    ) -> Result<Runner, BoxError> {
        let name = format!("jobmaster_{}", plan.job);
        let retrieval = self.services.retrieval.clone();
        let config = self.config.job_master.clone();
        let job_master = JobMaster::new(plan, splits, retrieval, config, on_end)?;
        let server = rpc.start_server(&name, job_master)?;
        let gateway = server.gateway_fenced::<dyn JobMasterGateway>(id);
        Ok(Runner { server, gateway })
    }

    fn job_ended(&mut self, info: JobInfo) {
        let job = info.details.id;
        tracing::info!(%job, status = %info.details.status, "job ended");
        self.jobs.ended(info);
        let result = self.jobs.result(job);
        for waiting in self.waiting.remove(&job).into_iter().flatten() {
            let result = result.clone();
            waiting.answer(result.ok_or(JobError::NotFound { job }).map_err(Into::into));
        }
    }

    /// A JobMaster that ends before its job does takes the job with it.
    fn job_master_ended(&mut self, job: JobId, result: Result<(), EndpointError>) {
        self.job_masters.remove(&job);
        if !self.jobs.is_registered(job) {
            return;
        }
        let cause = match &result {
            Ok(()) => vec![String::from("its job master was stopped")],
            Err(error) => Failure::new(error).texts(),
        };
        if let Ok(super::jobs::Known::Initializing(info)) = self.jobs.find(job, now_ms()) {
            self.job_ended(failed(info, cause));
        } else if let Some(details) = self
            .jobs
            .list(now_ms())
            .into_iter()
            .find(|details| details.id == job)
        {
            let info = JobInfo {
                details,
                failure: Vec::new(),
                vertices: Vec::new(),
            };
            self.job_ended(failed(info, cause));
        }
    }
}

/// A job that failed without its JobMaster's saying so.
fn failed(mut info: JobInfo, failure: Vec<String>) -> JobInfo {
    info.details.status = JobStatus::Failed;
    info.failure = failure;
    info
}

/// What the sources of a plan read.
fn splits_of(plan: &JobPlan) -> Result<BTreeMap<VertexId, VecDeque<FileSplit>>, BoxError> {
    let mut splits = BTreeMap::new();
    for (id, vertex) in (0..).map(VertexId).zip(&plan.vertices) {
        // A source stands at the front of its chain.
        if let Some(operator) = vertex.operators.first()
            && let Some(files) = file_splits(operator)?
        {
            splits.insert(id, files.into());
        }
    }
    Ok(splits)
}

impl RpcEndpoint for Dispatcher {
    type Gateways = gateways![DispatcherGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.config.job_master.heartbeat.validate()?;
        cx.set_fencing_token(Some(self.id.into()));
        Ok(())
    }

    /// As `Dispatcher#onStop`: the JobMasters are stopped, and with them their jobs suspended.
    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let servers: Vec<_> = main.run(|dispatcher, _| {
            dispatcher
                .job_masters
                .values()
                .map(|it| it.server.clone())
                .collect()
        });
        let stopped = join_all(servers.iter().map(RpcServer::close)).await;
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
