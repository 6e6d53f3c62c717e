//! Clusters whose processes may be killed.

use std::sync::Arc;

use rpc_components::client::ClusterClient;
use rpc_components::entrypoint::{ClusterConfig, JobManager, TaskManager};
use rpc_components::id::ResourceId;
use rpc_components::operator::OperatorRegistry;
use rpc_components::rpc_core::{RpcConfig, RpcService};
use rpc_components::transport::{Network, Security};

use crate::fixture::in_time;

/// A JobManager, and what others reach it by. To abort its service is to kill a process.
pub(crate) struct Processes {
    network: Network,
    pub(crate) job_manager: JobManager,
    rpc: RpcService,
}

impl Processes {
    pub(crate) async fn start(transport: &str) -> Self {
        Self::start_with(transport, OperatorRegistry::new()).await
    }

    /// Starts a JobManager that knows these operators.
    pub(crate) async fn start_with(transport: &str, operators: OperatorRegistry) -> Self {
        let network = Network::new(Security::Embedded).unwrap();
        let rpc = listen(&network, &anywhere(transport)).await;
        Self {
            job_manager: job_manager(&rpc, operators).await,
            network,
            rpc,
        }
    }

    /// Kills the JobManager and starts it again at the same address.
    pub(crate) async fn restart(self) -> Self {
        let (network, address) = (self.network, self.job_manager.address());
        self.rpc.abort();
        drop((self.rpc, self.job_manager));
        // What holds the address may still be on its way out.
        let listening = async {
            loop {
                let listening = network.listen(&address, None, RpcConfig::default());
                match listening.await {
                    Ok(rpc) => return rpc,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let rpc = in_time(listening).await;
        Self {
            job_manager: job_manager(&rpc, OperatorRegistry::new()).await,
            network,
            rpc,
        }
    }

    /// Starts a TaskManager with one slot.
    pub(crate) async fn task_manager(&self, name: &str) -> (TaskManager, RpcService) {
        self.task_manager_with(name, OperatorRegistry::new()).await
    }

    /// Starts a TaskManager with one slot, which has these operators.
    pub(crate) async fn task_manager_with(
        &self,
        name: &str,
        operators: OperatorRegistry,
    ) -> (TaskManager, RpcService) {
        let address = self.job_manager.address();
        let (transport, _) = address.split_once("://").unwrap();
        let rpc = listen(&self.network, &anywhere(transport)).await;
        let task_manager = TaskManager::start(
            rpc.clone(),
            &address,
            ResourceId::new(name),
            1,
            Arc::new(operators),
            ClusterConfig::default(),
        );
        (task_manager.await.unwrap(), rpc)
    }

    pub(crate) async fn client(&self) -> ClusterClient {
        let address = self.job_manager.address();
        let rpc = self.network.dial(&address, RpcConfig::default()).await;
        let client = ClusterClient::connect(rpc.unwrap(), &address).await;
        client.unwrap()
    }
}

async fn job_manager(rpc: &RpcService, operators: OperatorRegistry) -> JobManager {
    let operators = Arc::new(operators);
    let started = JobManager::start(rpc.clone(), operators, ClusterConfig::default()).await;
    started.unwrap()
}

async fn listen(network: &Network, address: &str) -> RpcService {
    let listening = network.listen(address, None, RpcConfig::default()).await;
    listening.unwrap()
}

fn anywhere(transport: &str) -> String {
    match transport {
        "local" => String::from("local://"),
        transport => format!("{transport}://127.0.0.1:0"),
    }
}
