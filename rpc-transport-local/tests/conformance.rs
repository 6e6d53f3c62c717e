//! The semantics that every transport shows.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::LazyLock;

use rpc_core::{RpcService, RpcServiceBuilder};
use rpc_transport_local::LocalNetwork;

rpc_core::conformance!(local);

async fn local(builder: RpcServiceBuilder) -> RpcService {
    static NETWORK: LazyLock<LocalNetwork> = LazyLock::new(LocalNetwork::new);
    builder.transport(NETWORK.bind_any()).build().await.unwrap()
}
