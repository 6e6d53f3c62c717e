use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quinn::Endpoint;
use rpc_core::transport::{Connection, Listener, TransportError};

use crate::connection::QuicConnection;

/// A bound UDP socket.
#[derive(Debug)]
pub(crate) struct QuicListener {
    endpoint: Arc<Endpoint>,
    authority: String,
    handshake_timeout: Duration,
}

impl QuicListener {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        authority: String,
        handshake_timeout: Duration,
    ) -> Self {
        Self {
            endpoint,
            authority,
            handshake_timeout,
        }
    }
}

#[async_trait]
impl Listener for QuicListener {
    fn authority(&self) -> String {
        self.authority.clone()
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        match self.endpoint.accept().await {
            Some(incoming) => Ok(Arc::new(QuicConnection::accepted(
                incoming,
                self.handshake_timeout,
            ))),
            // The socket is broken, or its runtime is shutting down.
            None => Err(TransportError::Closed {
                peer: self.authority.clone(),
            }),
        }
    }
}

impl Drop for QuicListener {
    fn drop(&mut self) {
        // The socket may live on for the connections it has, which nobody can join any more.
        self.endpoint.set_server_config(None);
    }
}
