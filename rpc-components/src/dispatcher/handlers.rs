//! What the Dispatcher does when it is asked.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rpc_core::{Failure, MainThread, ReplyTo, RpcError, RpcResult, rpc_endpoint};

use super::endpoint::{Dispatcher, Runner};
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
    /// As `Dispatcher#submitJob`: a job that cannot be started leaves nothing behind. It is not
    /// cancelled when its caller goes away, who may have sent it and not waited.
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
            // The job is known until its JobMaster is gone, so that nobody submits it before.
            Self::close_job_master(main, job).await;
            main.run(|dispatcher, _| {
                dispatcher.jobs.submission_failed(job);
                dispatcher.answer_waiting(job, &Err(JobError::NotFound { job }));
            });
            let source = Failure::new(&*error);
            Err(SubmitError::Failed { job, source })?;
        }
        Ok(job)
    }

    /// As `Dispatcher#requestMultipleJobDetails`: of a JobMaster that does not answer, what was last
    /// heard is shown.
    async fn list_jobs(main: MainThread<'_, Self>) -> RpcResult<Vec<JobDetails>> {
        let asked: Vec<_> = main.run(|dispatcher, _| {
            let registered = dispatcher.jobs.registered().into_iter();
            let masters = &dispatcher.job_masters;
            let ask = registered.filter_map(|job| {
                let asked = masters.get(&job)?.gateway.request_job();
                Some(asked.timeout(LIST_TIMEOUT))
            });
            ask.collect()
        });
        let answers = join_all(asked).await;
        main.run(|dispatcher, _| {
            for info in answers.into_iter().flatten() {
                dispatcher.jobs.update(info.details);
            }
            Ok(dispatcher.jobs.list(now_ms()))
        })
    }

    async fn request_job(main: MainThread<'_, Self>, job: JobId) -> RpcResult<JobInfo, JobError> {
        let runner = match main.run(|dispatcher, _| dispatcher.look_up(job))? {
            LookedUp::Known(info) => return Ok(info),
            LookedUp::Runs(runner) => runner,
        };
        match runner.gateway.request_job().await {
            Err(error) if is_gone(&error) => {
                Self::job_master_gone(main, job, &runner).await;
                match main.run(|dispatcher, _| dispatcher.look_up(job))? {
                    LookedUp::Known(info) => Ok(info),
                    LookedUp::Runs(_) => Err(error.into()),
                }
            }
            answer => Ok(answer?),
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
        let max = self.config.waiting_max;
        if waiting.len() >= max {
            let refusal = format!("{max} clients wait for the end of job {job} already");
            return reply.answer(Err(Failure::message(refusal).into()));
        }
        waiting.push(reply);
    }

    /// As `Dispatcher#cancelJob`, but that the cancel of a job which is being initialized is
    /// answered at once.
    async fn cancel_job(main: MainThread<'_, Self>, job: JobId) -> RpcResult<(), CancelError> {
        let Some(runner) = main.run(|dispatcher, _| dispatcher.cancel(job))? else {
            return Ok(());
        };
        match runner.gateway.cancel().await {
            Err(error) if is_gone(&error) => {
                Self::job_master_gone(main, job, &runner).await;
                match main.run(|dispatcher, _| dispatcher.cancel(job))? {
                    Some(_) => Err(error.into()),
                    None => Ok(()),
                }
            }
            answer => Ok(answer?),
        }
    }

    async fn fetch_job_results(
        main: MainThread<'_, Self>,
        job: JobId,
        position: u64,
    ) -> RpcResult<Bytes, FetchError> {
        let runner = main.run(|dispatcher, _| match dispatcher.jobs.find(job, now_ms()) {
            Ok(Known::Initializing(_)) => Err(FetchError::NotInitialized { job }),
            Ok(_) | Err(_) => Ok(dispatcher.fetched(job)),
        })?;
        if let Some(runner) = runner {
            match runner.gateway.fetch_results(position).await {
                Ok(piece) => return Ok(piece),
                Err(RpcError::App(ResultsGone { position })) => {
                    return Err(FetchError::Gone { job, position })?;
                }
                Err(error) if is_gone(&error) => Self::job_master_gone(main, job, &runner).await,
                Err(error) => return Err(error.nested().into()),
            }
        }
        // The JobMaster goes when everything was fetched, or nobody has fetched it in time.
        main.run(|dispatcher, _| dispatcher.jobs.check_fetched(job, position))?;
        Ok(Bytes::new())
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

/// Where what there is to say of a job is to be had.
enum LookedUp {
    Known(JobInfo),
    Runs(Runner),
}

impl Dispatcher {
    fn look_up(&self, job: JobId) -> Result<LookedUp, JobError> {
        match self.jobs.find(job, now_ms())? {
            Known::Completed(info) => Ok(LookedUp::Known(info.clone())),
            Known::Initializing(info) => Ok(LookedUp::Known(info)),
            Known::Running => {
                let runner = self.job_masters.get(&job).cloned();
                runner.map(LookedUp::Runs).ok_or(JobError::NotFound { job })
            }
        }
    }

    /// Takes note that a job is to be cancelled; returns the JobMaster that is to be told, if one
    /// is.
    fn cancel(&mut self, job: JobId) -> Result<Option<Runner>, CancelError> {
        match self.jobs.cancel(job)? {
            Cancel::Done | Cancel::Later => Ok(None),
            Cancel::Forward => match self.job_masters.get(&job) {
                Some(runner) => Ok(Some(runner.clone())),
                None => Err(CancelError::NotFound { job }),
            },
        }
    }

    /// Waits for the end of a JobMaster that did not answer because it ends, and takes note of it.
    async fn job_master_gone(main: MainThread<'_, Self>, job: JobId, runner: &Runner) {
        let (id, ended) = (runner.id, runner.server.terminated().await);
        let noted = main.run(|_, cx| {
            // Behind the word of the job's end, which may still wait in the mailbox.
            let main_thread = cx.main_thread();
            main_thread.call_async(move |dispatcher, _| {
                dispatcher.job_master_ended(job, id, &ended);
            })
        });
        // It fails only with the Dispatcher itself.
        let _ = noted.await;
    }
}

/// Tells whether a call to a JobMaster, which is in the same process, failed because it ends.
const fn is_gone<E>(error: &RpcError<E>) -> bool {
    matches!(
        error,
        RpcError::Disconnected { .. } | RpcError::Unreachable { .. }
    )
}

/// A list does not wait longer than this for the JobMasters.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);
