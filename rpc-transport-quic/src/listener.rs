use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quinn::{Endpoint, Incoming, ServerConfig};
use rpc_core::transport::{Connection, Listener, TransportError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::QuicConfig;
use crate::connection::{Arriving, QuicConnection};
use crate::security::Security;

/// A bound UDP socket.
#[derive(Debug)]
pub(crate) struct QuicListener {
    endpoint: Arc<Endpoint>,
    authority: String,
    handshake_timeout: Duration,
    handshakes: Handshakes,
    security: Security,
    server: ServerConfig,
}

impl QuicListener {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        authority: String,
        config: &QuicConfig,
        security: Security,
        server: ServerConfig,
    ) -> Self {
        Self {
            endpoint,
            authority,
            handshake_timeout: config.handshake_timeout,
            handshakes: Handshakes::new(config),
            security,
            server,
        }
    }
}

#[async_trait]
impl Listener for QuicListener {
    fn authority(&self) -> String {
        self.authority.clone()
    }

    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        while let Some(incoming) = self.endpoint.accept().await {
            let Some((incoming, turn)) = self.handshakes.begin(incoming) else {
                continue;
            };
            let arriving = Arriving {
                incoming,
                config: self.security.renewed(&self.server),
                turn,
            };
            return Ok(Arc::new(QuicConnection::accepted(
                arriving,
                self.handshake_timeout,
                self.security.is_mutual(),
            )));
        }
        // The socket is broken, or its runtime is shutting down.
        Err(TransportError::Closed {
            peer: self.authority.clone(),
        })
    }
}

/// The handshakes that are under way.
#[derive(Debug)]
struct Handshakes {
    turns: Arc<Semaphore>,
    /// How many turns are left when peers begin to have to prove their addresses.
    proof_below: usize,
    full: bool,
}

impl Handshakes {
    fn new(config: &QuicConfig) -> Self {
        let turns = config.handshakes_max.min(Semaphore::MAX_PERMITS);
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            proof_below: turns.saturating_sub(config.handshakes_unproven_max),
            full: false,
        }
    }

    /// Begins another, unless there are too many, or the peer has to prove its address first.
    ///
    /// A flood of peers is said once, when it begins.
    fn begin(&mut self, incoming: Incoming) -> Option<(Incoming, OwnedSemaphorePermit)> {
        let left = self.turns.available_permits();
        if left <= self.proof_below && left > 0 && !incoming.remote_address_validated() {
            // The peer dials again with a token; for a forged address nobody does.
            let _ = incoming.retry();
            return None;
        }
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok();
        if turn.is_none() && !self.full {
            tracing::warn!("too many QUIC handshakes are under way");
        }
        self.full = turn.is_none();
        match turn {
            Some(turn) => Some((incoming, turn)),
            None => {
                incoming.refuse();
                None
            }
        }
    }
}

impl Drop for QuicListener {
    fn drop(&mut self) {
        // The socket may live on for the connections it has, which nobody can join any more.
        self.endpoint.set_server_config(None);
    }
}
