//! The JobManager process: Dispatcher, ResourceManager, and who tells where they are.

use std::sync::Arc;

use rpc_core::{BoxError, EndpointError, RpcServer, RpcService};

use super::{ClusterConfig, close_unless_started};
use crate::dispatcher::{Dispatcher, DispatcherServices};
use crate::gateway::{
    Component, LEADER_ENDPOINT, LeaderInformation, MetricValue, ResourceManagerGateway,
};
use crate::id::{DispatcherId, ResourceId, ResourceManagerId};
use crate::leader::{LeaderRetrieval, Leaders, new_term};
use crate::metric_query::{MetricQueryService, MetricRegistry};
use crate::operator::OperatorRegistry;
use crate::resource_manager::ResourceManager;

/// A JobManager that runs in this process. It has to be [closed](Self::close).
///
/// Answers to Flink's `StandaloneSessionClusterEntrypoint`.
#[derive(Debug)]
pub struct JobManager {
    rpc: RpcService,
    dispatcher: RpcServer<Dispatcher>,
    resource_manager: RpcServer<ResourceManager>,
}

impl JobManager {
    /// Starts the components of a JobManager on a service that listens.
    ///
    /// # Errors
    ///
    /// A component could not be started; the service is closed then.
    pub async fn start(
        rpc: RpcService,
        operators: Arc<OperatorRegistry>,
        config: ClusterConfig,
    ) -> Result<Self, BoxError> {
        let started = Self::start_components(rpc.clone(), operators, config).await;
        close_unless_started(&rpc, started).await
    }

    async fn start_components(
        rpc: RpcService,
        operators: Arc<OperatorRegistry>,
        config: ClusterConfig,
    ) -> Result<Self, BoxError> {
        let config = config.shared();
        let term = new_term();
        let process = ResourceId::new("jobmanager");
        let metrics = rpc.start_server("metrics", MetricQueryService::default())?;
        metrics.start();

        let id = ResourceManagerId::new(term);
        let resource_manager =
            ResourceManager::new(process.clone(), id, config.resource_manager.clone());
        let resource_manager = rpc.start_server("resourcemanager", resource_manager)?;
        resource_manager.start();

        let leaders = rpc.start_server(LEADER_ENDPOINT, Leaders::default())?;
        let services = DispatcherServices {
            operators,
            retrieval: LeaderRetrieval::new(rpc.clone(), LEADER_ENDPOINT),
            resource_manager: resource_manager.gateway_fenced::<dyn ResourceManagerGateway>(id),
            metrics: (process, metrics.address()),
        };
        let dispatcher_id = DispatcherId::new(term);
        let dispatcher = Dispatcher::new(dispatcher_id, services, config.dispatcher);
        let dispatcher = rpc.start_server("dispatcher", dispatcher)?;
        dispatcher.start();

        let registry = MetricRegistry::new(metrics.main_thread());
        count_dropped(&registry, &dispatcher, &resource_manager);
        let addresses = [
            (Component::Dispatcher, dispatcher.address()),
            (Component::ResourceManager, resource_manager.address()),
        ];
        leaders.start();
        let confirmed = leaders.main_thread().call_async(move |leaders, _| {
            for (component, address) in addresses {
                let token = term;
                leaders.confirm(component, LeaderInformation { address, token });
            }
        });
        confirmed.await?;
        Ok(Self {
            rpc,
            dispatcher,
            resource_manager,
        })
    }

    /// Returns the address of the process, such as `tcp://127.0.0.1:6123`.
    #[must_use]
    pub fn address(&self) -> String {
        let leader = self.rpc.address_of(LEADER_ENDPOINT);
        let suffix = format!("/{LEADER_ENDPOINT}");
        leader.strip_suffix(&suffix).unwrap_or(&leader).to_owned()
    }

    /// Waits until a component ends, which none does by itself but when it fails.
    ///
    /// # Errors
    ///
    /// How it ended.
    pub async fn terminated(&self) -> Result<(), EndpointError> {
        tokio::select! {
            biased;
            ended = self.dispatcher.terminated() => ended,
            ended = self.resource_manager.terminated() => ended,
        }
    }

    /// Stops the process's components: jobs are suspended, and everybody is told.
    ///
    /// # Errors
    ///
    /// How the first component ended that did not end well.
    pub async fn close(&self) -> Result<(), EndpointError> {
        // The Dispatcher first: its JobMasters take leave of the ResourceManager.
        let dispatcher = self.dispatcher.close().await;
        let rest = self.rpc.close().await;
        dispatcher.and(rest)
    }
}

fn count_dropped(
    registry: &MetricRegistry,
    dispatcher: &RpcServer<Dispatcher>,
    resource_manager: &RpcServer<ResourceManager>,
) {
    let dispatcher = dispatcher.clone();
    registry.add("jobmanager.dispatcher.messages_dropped", move || {
        MetricValue::Counter(dispatcher.messages_dropped())
    });
    let resource_manager = resource_manager.clone();
    registry.add("jobmanager.resourcemanager.messages_dropped", move || {
        MetricValue::Counter(resource_manager.messages_dropped())
    });
}
