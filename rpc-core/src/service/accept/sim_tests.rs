//! What peers may make a service hold, over a simulated network.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

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

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed() {
    let stranger = Stranger::new().await;
    let timeout = stranger.service.config().silence_max();
    let begin = Instant::now();
    let silent = stranger.connect().await;
    let closed = tokio::time::timeout(10 * timeout, silent.accept_stream()).await;
    assert!(closed.is_ok_and(|it| it.is_err()));
    let waited = begin.elapsed();
    assert!(
        waited >= timeout && waited < timeout + Duration::from_secs(1),
        "{waited:?}"
    );

    let begin = Instant::now();
    let quiet = stranger.connect().await;
    let stream = stranger.call(&quiet, 1).await.unwrap();
    drop(stream);
    let lasts = tokio::time::timeout(10 * timeout, quiet.accept_stream()).await;
    assert!(lasts.is_err(), "closed after {:?}", begin.elapsed());
    stranger.service.close().await.unwrap();
}
