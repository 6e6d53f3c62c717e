//! A cluster in one process: what the others are, with nothing left out but the processes.

use std::sync::Arc;

use futures_util::future::select_all;
use rpc_core::{BoxError, RpcService};

use crate::client::ClusterClient;
use crate::entrypoint::{ClusterConfig, JobManager, TaskManager};
use crate::id::ResourceId;
use crate::operator::OperatorRegistry;
use crate::transport::{Network, Security};

/// A cluster in this process. It has to be [closed](Self::close).
///
/// Each JobManager and TaskManager has an RPC service of its own, so that they talk to each other
/// by the transport as they would between processes. Answers to Flink's `MiniCluster`. There is an
/// example on the [crate's page](crate).
#[derive(Debug)]
pub struct MiniCluster {
    network: Network,
    scheme: String,
    operators: Arc<OperatorRegistry>,
    config: MiniClusterConfig,
    job_manager: JobManager,
    task_managers: Vec<TaskManager>,
    /// How many TaskManagers were started so far; each has a name of its own.
    started: u32,
    client: RpcService,
}

/// How large a [`MiniCluster`] is, and how its components behave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MiniClusterConfig {
    /// How the components behave.
    pub cluster: ClusterConfig,
    /// How many slots each TaskManager has. The default is 1.
    pub slots: u32,
    /// How many TaskManagers there are. The default is 1.
    pub task_managers: u32,
    /// By which transport the components talk: `local`, `quic` or `tcp`. The default is `local`.
    pub transport: String,
}

impl Default for MiniClusterConfig {
    fn default() -> Self {
        Self {
            cluster: ClusterConfig::default(),
            slots: 1,
            task_managers: 1,
            transport: String::from("local"),
        }
    }
}

impl MiniCluster {
    /// Starts a cluster, and waits until its TaskManagers are registered.
    ///
    /// # Errors
    ///
    /// The transport is not there, or a component could not be started, or a TaskManager was
    /// rejected, as one with too many slots is.
    ///
    /// # Cancel safety
    ///
    /// What was started runs on when the future is dropped.
    pub async fn start(
        operators: Arc<OperatorRegistry>,
        config: MiniClusterConfig,
    ) -> Result<Self, BoxError> {
        let network = Network::new(Security::Embedded)?;
        let scheme = config.transport.clone();
        let rpc = listen(&network, &scheme, &config).await?;
        let job_manager =
            JobManager::start(rpc, Arc::clone(&operators), config.cluster.clone()).await?;
        let address = job_manager.address();
        let client = network.dial(&address, config.cluster.rpc.clone()).await?;
        let mut cluster = Self {
            network,
            scheme,
            operators,
            job_manager,
            task_managers: Vec::new(),
            started: 0,
            client,
            config,
        };
        if let Err(error) = cluster.start_task_managers().await {
            // Why it did not start says more than how it ended.
            let _ = cluster.close().await;
            return Err(error);
        }
        Ok(cluster)
    }

    async fn start_task_managers(&mut self) -> Result<(), BoxError> {
        let count = self.config.task_managers;
        for _ in 0..count {
            self.add_task_manager().await?;
        }
        if count == 0 {
            return Ok(());
        }
        let client = self.client().await?;
        let ended = self.task_managers.iter().map(TaskManager::terminated);
        tokio::select! {
            biased;
            registered = client.wait_for_task_managers(count) => registered?,
            (ended, ..) = select_all(ended.map(Box::pin)) => {
                ended?;
                return Err("a task manager has stopped".into());
            }
        }
        Ok(())
    }

    /// Starts one more TaskManager, which registers by itself.
    ///
    /// # Errors
    ///
    /// A component could not be started.
    pub async fn add_task_manager(&mut self) -> Result<(), BoxError> {
        let rpc = listen(&self.network, &self.scheme, &self.config).await?;
        self.started += 1;
        let task_manager = TaskManager::start(
            rpc,
            &self.job_manager.address(),
            ResourceId::new(format!("tm-{}", self.started)),
            self.config.slots,
            Arc::clone(&self.operators),
            self.config.cluster.clone(),
        )
        .await?;
        self.task_managers.push(task_manager);
        Ok(())
    }

    /// Stops a TaskManager, the last that was started.
    ///
    /// # Errors
    ///
    /// How its components ended, if not well.
    pub async fn remove_task_manager(&mut self) -> Result<(), BoxError> {
        match self.task_managers.pop() {
            Some(task_manager) => Ok(task_manager.close().await?),
            None => Ok(()),
        }
    }

    /// Returns the address of the JobManager.
    #[must_use]
    pub fn address(&self) -> String {
        self.job_manager.address()
    }

    /// Connects a client.
    ///
    /// # Errors
    ///
    /// The JobManager does not answer.
    pub async fn client(&self) -> Result<ClusterClient, BoxError> {
        Ok(ClusterClient::connect(self.client.clone(), &self.address()).await?)
    }

    /// Stops everything, the TaskManagers first.
    ///
    /// # Errors
    ///
    /// How the first component ended that did not end well.
    pub async fn close(self) -> Result<(), BoxError> {
        let mut result = Ok(());
        for task_manager in &self.task_managers {
            result = result.and(task_manager.close().await);
        }
        result = result.and(self.job_manager.close().await);
        result = result.and(self.client.close().await);
        Ok(result?)
    }
}

async fn listen(
    network: &Network,
    scheme: &str,
    config: &MiniClusterConfig,
) -> Result<RpcService, BoxError> {
    let address = match scheme {
        "local" => String::from("local://"),
        scheme => format!("{scheme}://127.0.0.1:0"),
    };
    let rpc = config.cluster.rpc.clone();
    Ok(network.listen(&address, None, rpc).await?)
}
