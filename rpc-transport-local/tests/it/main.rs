//! What is the local transport's own: names, backlogs, and pipes that can be ended from outside.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

mod lanes;
mod name;
mod pipe;
mod stream;

use std::sync::Arc;

use rpc_core::transport::{Connection, Transport};
use rpc_transport_local::{LocalConfig, LocalNetwork};

/// Makes a connection, and returns the dialler's side and the side of the one who is dialled.
async fn connected(config: LocalConfig) -> (Arc<dyn Connection>, Arc<dyn Connection>) {
    let network = LocalNetwork::with_config(config);
    let mut listener = network.bind("a").listen().await.unwrap().unwrap();
    let dialled = network.bind("b").connect("a").await.unwrap();
    let accepted = listener.accept().await.unwrap();
    (dialled, accepted)
}
