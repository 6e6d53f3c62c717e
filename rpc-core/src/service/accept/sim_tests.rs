//! What peers may make a service hold, over a simulated network.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::RpcService;
use crate::config::RpcConfig;
use crate::connection::{HandshakeError, Hello, Link, Purpose, Refusal, dial, greet};
use crate::testing::sim::{SimNetwork, SimNode};
use crate::testing::{Probe, ProbeGateway};
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
async fn a_host_that_opens_no_stream_does_not_keep_others_out() {
    let network = SimNetwork::seeded(7);
    let config = RpcConfig {
        handshakes_max: 4,
        handshakes_per_host_max: 2,
        ..RpcConfig::default()
    };
    let transport = network.node("service").transport();
    let service = RpcService::builder().config(config).transport(transport);
    let _service = service.build().await.unwrap();
    let mute = network.node("mute").transport();
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(mute.connect("service").await.unwrap());
    }
    let third = mute.connect("service").await.unwrap();
    assert!(third.accept_stream().await.is_err(), "it is turned away");
    let other = network.node("other").transport();
    let other = other.connect("service").await.unwrap();
    let mut stream = other.open_stream().await.unwrap();
    let hello = Hello::new(Purpose::Calls, &RpcConfig::default(), 7, 0);
    let link = Link {
        address: 1,
        number: 1,
    };
    assert!(dial(&mut stream, &hello.by(link)).await.is_ok());
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_it_is_the_dialling_service_is_not_believed() {
    let network = SimNetwork::seeded(7);
    let transport = network.node("impostor").transport();
    let mut listener = transport.listen().await.unwrap().unwrap();
    let own = network.node("own").transport();
    let own = RpcService::builder().transport(own).build().await.unwrap();
    let server = own.start_server("vault", Probe::default()).unwrap();
    server.start();
    let id = own.inner.id;
    let listening = tokio::spawn(async move {
        let connection = listener.accept().await.unwrap();
        let mut stream = connection.accept_stream().await.unwrap();
        let echo = Hello::new(Purpose::Calls, &RpcConfig::default(), id, 0);
        let said = greet(&mut stream, &echo, |_| Ok(())).await;
        said.unwrap();
        std::future::pending::<()>().await;
    });
    let vault = own.connect::<dyn ProbeGateway>("sim://impostor/vault");
    let error = vault.await.map(drop).unwrap_err();
    let reason = error.source().unwrap().to_string();
    assert!(reason.contains("this very service"), "{reason}");
    listening.abort();
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
