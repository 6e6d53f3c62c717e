//! What peers may make a service hold, over a simulated network.

use std::sync::Arc;

use crate::RpcService;
use crate::config::RpcConfig;
use crate::connection::{HandshakeError, Hello, Link, Purpose, Refusal, dial};
use crate::testing::sim::{SimNetwork, SimNode};
use crate::transport::{Connection, Stream, Transport};

/// A peer that speaks by hand to a service, which has room for two connections.
struct Stranger {
    node: SimNode,
    service: RpcService,
}

impl Stranger {
    async fn new() -> Self {
        let network = SimNetwork::seeded(7);
        let config = RpcConfig {
            connections_max: 2,
            ..RpcConfig::default()
        };
        let transport = network.node("service").transport();
        let service = RpcService::builder().config(config).transport(transport);
        Self {
            node: network.node("stranger"),
            service: service.build().await.unwrap(),
        }
    }

    async fn connect(&self) -> Arc<dyn Connection> {
        let transport = self.node.transport();
        transport.connect("service").await.unwrap()
    }

    /// Opens a stream for calls by a link of its own.
    async fn call(
        &self,
        connection: &Arc<dyn Connection>,
        address: u64,
    ) -> Result<Stream, HandshakeError> {
        let mut stream = connection.open_stream().await.unwrap();
        let link = Link { address, number: 1 };
        let hello = Hello::new(Purpose::Calls, self.service.config(), 7, 0).by(link);
        dial(&mut stream, &hello).await.map(|_| stream)
    }
}

#[tokio::test(start_paused = true)]
async fn each_stream_of_a_connection_counts() {
    let stranger = Stranger::new().await;
    let connection = stranger.connect().await;
    let first = stranger.call(&connection, 1).await.unwrap();
    let second = stranger.call(&connection, 2).await.unwrap();
    let third = stranger.call(&connection, 3).await;
    assert!(
        matches!(third, Err(HandshakeError::Refused(Refusal::TooMany))),
        "{third:?}"
    );
    let other = stranger.connect().await;
    assert!(other.accept_stream().await.is_err(), "it is turned away");

    drop(second);
    let fourth = loop {
        // The service hears of the end a little later.
        match stranger.call(&connection, 4).await {
            Ok(stream) => break stream,
            Err(error) => tracing::trace!(%error, "not yet"),
        }
    };
    drop((first, fourth));
    stranger.service.close().await.unwrap();
}
