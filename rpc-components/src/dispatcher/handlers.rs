//! What the Dispatcher does when it is asked.

use std::time::Duration;

use bytes::Bytes;
use rpc_core::{Failure, MainThread, ReplyTo, RpcError, RpcResult, rpc_endpoint};

use super::endpoint::Dispatcher;
use super::jobs::{Cancel, Known};
use crate::gateway::{
    CancelError, DispatcherGateway, FetchError, JobDetails, JobError, JobInfo, JobResult,
    JobStatus, ResourceOverview, ResultsGone, SubmitError, TaskManagerInfo,
};
use crate::id::{JobId, ResourceId};
use crate::job_graph::JobGraph;
use crate::job_master::now_ms;

#[rpc_endpoint(DispatcherGateway)]
impl Dispatcher {
    /// As `Dispatcher#submitJob`: a job that cannot be started leaves nothing behind.
    async fn submit_job(
        main: MainThread<'_, Self>,
        graph: Box<JobGraph>,
    ) -> RpcResult<JobId, SubmitError> {
        let job = graph.id;
        let plan = main.run(|dispatcher, _| {
            let plan = graph.plan(&*dispatcher.services.operators);
            let plan = plan.map_err(|source| SubmitError::Invalid {
                job,
                source: Box::new(source),
            })?;
            dispatcher
                .jobs
                .submit(job, plan.name.clone(), plan.tasks(), now_ms())?;
            Ok::<_, SubmitError>(plan)
        })?;
        if let Err(error) = Self::start_job(main, plan).await {
            main.run(|dispatcher, _| {
                dispatcher.jobs.submission_failed(job);
                if let Some(runner) = dispatcher.job_masters.remove(&job) {
                    runner.server.main_thread().terminate();
                }
            });
            let causes = Failure::new(&*error).texts();
            Err(SubmitError::Failed { job, causes })?;
        }
        Ok(job)
    }

    /// As `Dispatcher#requestMultipleJobDetails`: of a JobMaster that does not answer, what was last
    /// heard is shown.
    async fn list_jobs(main: MainThread<'_, Self>) -> RpcResult<Vec<JobDetails>> {
        let asked: Vec<_> = main.run(|dispatcher, _| {
            let registered = dispatcher.jobs.registered().into_iter();
            let masters = &dispatcher.job_masters;
            let ask = registered.filter_map(|job| Some(masters.get(&job)?.gateway.request_job()));
            ask.collect()
        });
        for asked in asked {
            if let Ok(info) = asked.timeout(LIST_TIMEOUT).await {
                main.run(|dispatcher, _| dispatcher.jobs.update(info.details));
            }
        }
        main.run(|dispatcher, _| Ok(dispatcher.jobs.list(now_ms())))
    }

    async fn request_job(main: MainThread<'_, Self>, job: JobId) -> RpcResult<JobInfo, JobError> {
        let asked = main.run(|dispatcher, _| match dispatcher.jobs.find(job, now_ms())? {
            Known::Completed(info) => Ok(Err(info.clone())),
            Known::Initializing(info) => Ok(Err(info)),
            Known::Running => match dispatcher.job_masters.get(&job) {
                Some(runner) => Ok(Ok(runner.gateway.request_job())),
                None => Err(JobError::NotFound { job }),
            },
        })?;
        match asked {
            Ok(asked) => Ok(asked.await?),
            Err(info) => Ok(info),
        }
    }

    async fn request_job_status(
        main: MainThread<'_, Self>,
        job: JobId,
    ) -> RpcResult<JobStatus, JobError> {
        Ok(Self::request_job(main, job).await?.details.status)
    }

    fn request_job_result(&mut self, job: JobId, reply: ReplyTo<JobResult, JobError>) {
        if let Some(result) = self.jobs.result(job) {
            return reply.answer(Ok(result));
        }
        if !self.jobs.is_registered(job) {
            return reply.answer(Err(JobError::NotFound { job }.into()));
        }
        let waiting = self.waiting.entry(job).or_default();
        // Those who have gone make room for those who come.
        waiting.retain(|reply| !reply.is_cancelled());
        waiting.push(reply);
    }

    async fn cancel_job(main: MainThread<'_, Self>, job: JobId) -> RpcResult<(), CancelError> {
        let cancelled = main.run(|dispatcher, _| match dispatcher.jobs.cancel(job)? {
            Cancel::Done | Cancel::Later => Ok(None),
            Cancel::Forward => match dispatcher.job_masters.get(&job) {
                Some(runner) => Ok(Some(runner.gateway.cancel())),
                None => Err(CancelError::NotFound { job }),
            },
        })?;
        match cancelled {
            Some(cancelled) => Ok(cancelled.await?),
            None => Ok(()),
        }
    }

    async fn fetch_job_results(
        main: MainThread<'_, Self>,
        job: JobId,
        position: u64,
    ) -> RpcResult<Bytes, FetchError> {
        let fetched = main.run(|dispatcher, _| match dispatcher.job_masters.get(&job) {
            Some(runner) => Ok(Some(runner.gateway.fetch_results(position))),
            // The JobMaster goes when everything was fetched.
            None if dispatcher.jobs.result(job).is_some() => Ok(None),
            None => Err(FetchError::NotFound { job }),
        })?;
        let Some(fetched) = fetched else {
            return Ok(Bytes::new());
        };
        fetched.await.map_err(|error| match error {
            RpcError::App(ResultsGone { position }) => FetchError::Gone { job, position }.into(),
            error => error.nested(),
        })
    }

    async fn request_cluster_overview(main: MainThread<'_, Self>) -> RpcResult<ResourceOverview> {
        let asked = main.run(|it, _| it.services.resource_manager.request_resource_overview());
        asked.await
    }

    async fn request_task_managers(main: MainThread<'_, Self>) -> RpcResult<Vec<TaskManagerInfo>> {
        let asked = main.run(|it, _| it.services.resource_manager.request_task_manager_info());
        asked.await
    }

    async fn request_metric_query_service_addresses(
        main: MainThread<'_, Self>,
    ) -> RpcResult<Vec<(ResourceId, String)>> {
        let (own, asked) = main.run(|dispatcher, _| {
            let resource_manager = &dispatcher.services.resource_manager;
            let asked = resource_manager.request_task_manager_metric_query_service_addresses();
            (dispatcher.services.metrics.clone(), asked)
        });
        let mut addresses = vec![own];
        addresses.extend(asked.await?);
        Ok(addresses)
    }
}

/// A list does not wait longer than this for one job.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);
