use std::sync::Arc;

use async_trait::async_trait;
use rpc_core::transport::{Connection, Listener, TransportError};
use tokio::sync::mpsc;

use crate::connection::LocalConnection;
use crate::network::LocalNetwork;

/// A name on a network, and the connections that wait there to be accepted.
#[derive(Debug)]
pub(crate) struct LocalListener {
    network: LocalNetwork,
    name: String,
    accepted: mpsc::Receiver<LocalConnection>,
}

impl LocalListener {
    pub(crate) fn new(
        network: LocalNetwork,
        name: String,
        accepted: mpsc::Receiver<LocalConnection>,
    ) -> Self {
        Self {
            network,
            name,
            accepted,
        }
    }
}

#[async_trait]
impl Listener for LocalListener {
    fn authority(&self) -> String {
        self.name.clone()
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        match self.accepted.recv().await {
            Some(connection) => Ok(Arc::new(connection)),
            // The network keeps a sender for as long as this listener lives.
            None => Err(TransportError::Closed {
                peer: self.name.clone(),
            }),
        }
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        self.network.unlisten(&self.name);
    }
}
