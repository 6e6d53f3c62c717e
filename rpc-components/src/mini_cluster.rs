//! A cluster in one process: what the others are, with nothing left out but the processes.

use std::sync::Arc;

use rpc_core::{BoxError, RpcService};

use crate::client::ClusterClient;
use crate::entrypoint::{ClusterConfig, JobManager, TaskManager};
use crate::id::ResourceId;
use crate::operator::OperatorRegistry;
use crate::transport::{Network, Security};

/// A cluster in this process. It has to be [closed](Self::close).
///
/// Each JobManager and TaskManager has an RPC service of its own, so that they talk to each other
/// by the transport as they would between processes. Answers to Flink's `MiniCluster`.
#[derive(Debug)]
pub struct MiniCluster {
    network: Network,
    scheme: String,
    operators: Arc<OperatorRegistry>,
    config: MiniClusterConfig,
    job_manager: JobManager,
    task_managers: Vec<TaskManager>,
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
    /// The transport is not there, or a component could not be started.
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
            client,
            config,
        };
        for _ in 0..cluster.config.task_managers {
            cluster.add_task_manager().await?;
        }
        let client = cluster.client().await?;
        client
            .wait_for_task_managers(cluster.config.task_managers)
            .await?;
        Ok(cluster)
    }

    /// Starts one more TaskManager, which registers by itself.
    ///
    /// # Errors
    ///
    /// A component could not be started.
    pub async fn add_task_manager(&mut self) -> Result<(), BoxError> {
        let rpc = listen(&self.network, &self.scheme, &self.config).await?;
        let resource = ResourceId::new(format!("tm-{}", self.task_managers.len() + 1));
        let task_manager = TaskManager::start(
            rpc,
            &self.job_manager.address(),
            resource,
            self.config.slots,
            Arc::clone(&self.operators),
            self.config.cluster.clone(),
        )?;
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
