//! A client of a cluster: submits jobs, follows them, and asks about everything.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rpc_core::{BoxError, Call, RpcError, RpcResult, RpcService};
use thiserror::Error;

use crate::gateway::{
    CancelError, DispatcherGateway, FetchError, JobDetails, JobError, JobInfo, JobResult, Metric,
    MetricQueryServiceGateway, ResourceOverview, SubmitError, TaskManagerInfo,
};
use crate::id::{JobId, ResourceId};
use crate::job_graph::JobGraph;
use crate::leader::{LeaderRetrieval, RetrievalError};

/// A client of one JobManager. Answers to Flink's `RestClusterClient`.
///
/// What it asks is asked again when the connection is lost and another can be made within the time of a
/// call, but not what it submits or cancels.
#[derive(Clone, Debug)]
pub struct ClusterClient {
    rpc: RpcService,
    dispatcher: Arc<dyn DispatcherGateway>,
}

/// Why a client got no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The job cannot be cancelled.
    #[error(transparent)]
    Cancel(#[from] RpcError<CancelError>),
    /// There are no results.
    #[error(transparent)]
    Fetch(#[from] RpcError<FetchError>),
    /// The job cannot be asked about.
    #[error(transparent)]
    Job(#[from] RpcError<JobError>),
    /// The JobManager does not answer.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// The call failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The job is not taken.
    #[error(transparent)]
    Submit(#[from] RpcError<SubmitError>),
}

impl ClusterClient {
    /// Connects to the leading Dispatcher of the JobManager at an address like
    /// `tcp://127.0.0.1:6123`.
    ///
    /// # Errors
    ///
    /// The JobManager cannot be reached, or does not answer.
    pub async fn connect(rpc: RpcService, job_manager: &str) -> Result<Self, ClientError> {
        let retrieval = LeaderRetrieval::new(rpc.clone(), job_manager);
        let dispatcher = retrieval.dispatcher().await?;
        Ok(Self { rpc, dispatcher })
    }

    /// Submits a job; its JobMaster runs when this returns.
    ///
    /// # Errors
    ///
    /// The job is not taken.
    ///
    /// # Cancel safety
    ///
    /// The job may run although the future is dropped.
    pub async fn submit(&self, graph: JobGraph) -> Result<JobId, ClientError> {
        Ok(self.dispatcher.submit_job(Box::new(graph)).await?)
    }

    /// Hands what a job's sinks print to `take`, piece by piece and in order, until the job has ended
    /// and all of it was taken. The next piece is fetched when `take` is done with the one before.
    ///
    /// There is one copy of what a job prints: only one client can follow it, from the beginning,
    /// and a job that prints much waits for it, but [not for ever](crate::JobMasterConfig) once it is
    /// gone. While `take` takes its time the cluster hears that the client is there. From the first
    /// piece on the job is not restarted any more: it would print all of it again.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer, or what was printed was fetched by another or not in time.
    ///
    /// # Cancel safety
    ///
    /// The pieces that were taken are not there any more when the future is dropped.
    pub async fn follow_results<F>(
        &self,
        job: JobId,
        mut take: impl FnMut(Bytes) -> F,
    ) -> Result<(), ClientError>
    where
        F: Future<Output = ()>,
    {
        let mut position = 0;
        loop {
            let piece = self.ask(|it| it.fetch_job_results(job, position)).await?;
            if piece.is_empty() {
                return Ok(());
            }
            let piece_length = piece.len() as u64;
            let taken = take(piece);
            // The same again: it has no end, and what comes of it says nothing.
            let again = || self.dispatcher.fetch_job_results(job, position);
            meanwhile(taken, async || drop(again().await)).await;
            position += piece_length;
        }
    }

    /// Waits for the end of a job, however it ends. It may be asked for while the job's results are
    /// [followed](Self::follow_results): of the jobs that have ended only the last are remembered.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer, or does not know the job.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn job_result(&self, job: JobId) -> Result<JobResult, ClientError> {
        Ok(self.ask(|it| it.request_job_result(job)).await?)
    }

    /// Begins to cancel a job, which has ended when its [result](Self::job_result) is there.
    ///
    /// # Errors
    ///
    /// The job is not known, or has ended in another way.
    pub async fn cancel(&self, job: JobId) -> Result<(), ClientError> {
        Ok(self.dispatcher.cancel_job(job).await?)
    }

    /// Returns the jobs that run, and the last that have ended.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer.
    pub async fn list_jobs(&self) -> Result<Vec<JobDetails>, ClientError> {
        Ok(self.dispatcher.list_jobs().await?)
    }

    /// Returns a job in full.
    ///
    /// # Errors
    ///
    /// The job is not known.
    pub async fn job(&self, job: JobId) -> Result<JobInfo, ClientError> {
        Ok(self.dispatcher.request_job(job).await?)
    }

    /// Returns the cluster's slots in all.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer.
    pub async fn overview(&self) -> Result<ResourceOverview, ClientError> {
        Ok(self.dispatcher.request_cluster_overview().await?)
    }

    /// Returns what is known of each TaskManager.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer.
    pub async fn task_managers(&self) -> Result<Vec<TaskManagerInfo>, ClientError> {
        Ok(self.dispatcher.request_task_managers().await?)
    }

    /// Waits until this many TaskManagers are registered and have reported their slots, for ever if
    /// they do not come.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer.
    pub async fn wait_for_task_managers(&self, count: u32) -> Result<(), ClientError> {
        while self.overview().await?.task_managers < count {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Returns the metrics of every process; those that do not answer are left out.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer.
    pub async fn metrics(&self) -> Result<Vec<(ResourceId, Vec<Metric>)>, ClientError> {
        let addresses = self
            .dispatcher
            .request_metric_query_service_addresses()
            .await?;
        let asked = addresses.into_iter().map(|(resource, address)| async move {
            match self.metrics_at(&address).await {
                Ok(metrics) => Some((resource, metrics)),
                Err(error) => {
                    tracing::warn!(%resource, address, %error, "cannot be asked for its metrics");
                    None
                }
            }
        });
        Ok(join_all(asked).await.into_iter().flatten().collect())
    }

    /// Asks something that may take for ever, and again if the connection is lost and the JobManager is
    /// still there.
    async fn ask<T, E>(
        &self,
        ask: impl Fn(&dyn DispatcherGateway) -> Call<T, E>,
    ) -> RpcResult<T, E> {
        loop {
            match ask(&*self.dispatcher).await {
                Err(error @ RpcError::Disconnected { .. }) => {
                    tracing::info!("the connection to the job manager was lost");
                    // It waits for another connection, but not for ever.
                    if self.dispatcher.request_cluster_overview().await.is_err() {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }

    async fn metrics_at(&self, address: &str) -> Result<Vec<Metric>, BoxError> {
        let service = self.rpc.connect::<dyn MetricQueryServiceGateway>(address);
        Ok(service.await?.query_metrics().await?)
    }
}

/// Waits for something, and says meanwhile from time to time that somebody is there.
async fn meanwhile<T>(waiting: impl Future<Output = T>, say: impl AsyncFn()) -> T {
    let mut waiting = pin!(waiting);
    loop {
        let saying = async {
            tokio::time::sleep(SAY_INTERVAL).await;
            say().await;
        };
        tokio::select! {
            biased;
            it = &mut waiting => return it,
            () = saying => {}
        }
    }
}

/// How often a client that is slow to take results says that it is there: often enough for the time
/// that a JobMaster waits.
const SAY_INTERVAL: Duration = Duration::from_secs(15);

/// How often a client looks whether what it waits for has come.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::{Instant, sleep_until};

    use super::meanwhile;

    #[tokio::test(start_paused = true)]
    async fn who_takes_its_time_is_heard_of_meanwhile() {
        for (seconds, expected) in [(0, 0), (10, 0), (50, 3)] {
            let said = Cell::new(0);
            let taken = sleep_until(Instant::now() + Duration::from_secs(seconds));
            meanwhile(taken, async || said.set(said.get() + 1)).await;
            assert_eq!(said.get(), expected);
        }
    }
}
