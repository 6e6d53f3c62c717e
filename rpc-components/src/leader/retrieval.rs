//! From the address of a JobManager process to the leading component in it.

use std::sync::Arc;

use rpc_core::{ConnectError, FencingToken, RpcError, RpcService};
use thiserror::Error;

use crate::gateway::{
    Component, DispatcherGateway, LEADER_ENDPOINT, LeaderGateway, LeaderInformation,
    ResourceManagerGateway,
};

/// Finds the leaders of a JobManager process. The standalone form of Flink's
/// `LeaderRetrievalService`.
#[derive(Clone, Debug)]
pub struct LeaderRetrieval {
    service: RpcService,
    /// The address of the process's `leader` endpoint.
    address: String,
}

/// Why a leader was not found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RetrievalError {
    /// The process does not answer.
    #[error("the job manager at {address} does not answer")]
    Ask {
        /// The process's address.
        address: String,
        /// Why.
        source: RpcError,
    },
    /// The process or the leader cannot be reached.
    #[error("no job manager at {address}")]
    Connect {
        /// The process's address.
        address: String,
        /// Why.
        source: ConnectError,
    },
    /// There is no leader just now.
    #[error("the job manager at {address} has no leader yet")]
    NoLeader {
        /// The process's address.
        address: String,
    },
}

impl LeaderRetrieval {
    /// Finds leaders in the process at `job_manager`, an address like `tcp://host:6123`.
    #[must_use]
    pub fn new(service: RpcService, job_manager: &str) -> Self {
        let address = match job_manager.contains("://") {
            true => format!("{}/{LEADER_ENDPOINT}", job_manager.trim_end_matches('/')),
            false => LEADER_ENDPOINT.to_owned(),
        };
        Self { service, address }
    }

    /// Asks who leads.
    ///
    /// # Errors
    ///
    /// The process cannot be asked, or has no such leader.
    pub async fn leader(&self, of: Component) -> Result<LeaderInformation, RetrievalError> {
        let leaders = self.service.connect::<dyn LeaderGateway>(&self.address);
        let leaders = leaders.await.map_err(|source| self.not_connected(source))?;
        let leader = leaders.leader(of).await;
        let leader = leader.map_err(|source| RetrievalError::Ask {
            address: self.address.clone(),
            source,
        })?;
        leader.ok_or_else(|| RetrievalError::NoLeader {
            address: self.address.clone(),
        })
    }

    /// Connects to the leading ResourceManager.
    ///
    /// # Errors
    ///
    /// As for [`leader`](Self::leader).
    pub async fn resource_manager(
        &self,
    ) -> Result<Arc<dyn ResourceManagerGateway>, RetrievalError> {
        let LeaderInformation { address, token } = self.leader(Component::ResourceManager).await?;
        self.connect(&address, token).await
    }

    /// Connects to the leading Dispatcher.
    ///
    /// # Errors
    ///
    /// As for [`leader`](Self::leader).
    pub async fn dispatcher(&self) -> Result<Arc<dyn DispatcherGateway>, RetrievalError> {
        let LeaderInformation { address, token } = self.leader(Component::Dispatcher).await?;
        self.connect(&address, token).await
    }

    async fn connect<G: rpc_core::Fenced + ?Sized>(
        &self,
        address: &str,
        token: FencingToken,
    ) -> Result<Arc<G>, RetrievalError> {
        let gateway = self.service.connect_fenced(address, token).await;
        gateway.map_err(|source| self.not_connected(source))
    }

    fn not_connected(&self, source: ConnectError) -> RetrievalError {
        RetrievalError::Connect {
            address: self.address.clone(),
            source,
        }
    }
}
