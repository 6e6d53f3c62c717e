//! The TaskManager process: a TaskExecutor, and the channels between its tasks and others'.

use std::sync::Arc;

use rpc_core::{BoxError, EndpointError, RpcServer, RpcService};

use super::data_channels::{self, DATA_CHANNEL};
use super::{ClusterConfig, close_unless_started};
use crate::id::ResourceId;
use crate::leader::LeaderRetrieval;
use crate::metric_query::{MetricQueryService, MetricRegistry};
use crate::operator::OperatorRegistry;
use crate::task_executor::{TaskExecutor, TaskExecutorServices};

/// A TaskManager that runs in this process. It has to be [closed](Self::close).
///
/// Answers to Flink's `TaskManagerRunner`.
#[derive(Debug)]
pub struct TaskManager {
    rpc: RpcService,
    task_executor: RpcServer<TaskExecutor>,
}

impl TaskManager {
    /// Starts the components of a TaskManager on a service that listens; they register at the
    /// JobManager by themselves, and again when it is restarted.
    ///
    /// # Errors
    ///
    /// A component could not be started; the service is closed then.
    pub async fn start(
        rpc: RpcService,
        job_manager: &str,
        resource: ResourceId,
        slots: u32,
        operators: Arc<OperatorRegistry>,
        config: ClusterConfig,
    ) -> Result<Self, BoxError> {
        let start = || {
            let mut config = config.shared();
            config.task_executor.slots.slots = slots;
            let metrics = rpc.start_server("metrics", MetricQueryService::default())?;
            metrics.start();
            let services = TaskExecutorServices {
                retrieval: LeaderRetrieval::new(rpc.clone(), job_manager),
                operators,
                shuffle: data_channels::serve(&rpc, resource.clone(), config.shuffle)?,
                data_address: rpc.address_of(DATA_CHANNEL),
                metrics: MetricRegistry::new(metrics.main_thread()),
                metrics_address: Some(metrics.address()),
            };
            let task_executor = TaskExecutor::new(resource, services, config.task_executor);
            let task_executor = rpc.start_server("taskexecutor", task_executor)?;
            task_executor.start();
            let rpc = rpc.clone();
            Ok(Self { rpc, task_executor })
        };
        close_unless_started(&rpc, start()).await
    }

    /// Waits until the TaskExecutor ends, which it does by itself when it fails, is rejected, or finds
    /// no ResourceManager for too long.
    ///
    /// # Errors
    ///
    /// How it ended.
    pub async fn terminated(&self) -> Result<(), EndpointError> {
        self.task_executor.terminated().await
    }

    /// Stops the process's components: tasks fail, and everybody is told.
    ///
    /// # Errors
    ///
    /// How the first component ended that did not end well.
    pub async fn close(&self) -> Result<(), EndpointError> {
        // The TaskExecutor first: it takes leave of the others, for which it needs the service.
        let task_executor = self.task_executor.close().await;
        let rest = self.rpc.close().await;
        task_executor.and(rest)
    }
}
