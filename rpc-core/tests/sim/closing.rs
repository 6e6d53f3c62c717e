//! How a service ends that has peers.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::testing::sim;
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::{RpcConfig, RpcService};
use tokio::time::Instant;

#[test]
fn whoever_closes_a_service_waits_only_for_its_peers() {
    sim::run(1, async |net| {
        let mut config = RpcConfig::default();
        config.close_timeout = Duration::from_secs(3600);
        let callee = RpcService::builder().config(config);
        let callee = callee.transport(net.node("b").transport()).build();
        let callee = callee.await.unwrap();
        let caller = RpcService::builder().transport(net.node("a").transport());
        let caller = caller.build().await.unwrap();
        let server = callee.start_server("probe", Probe::default()).unwrap();
        server.start();
        let probe: Arc<dyn ProbeGateway> = caller.connect(&server.address()).await.unwrap();
        assert_eq!(probe.add(1).await, Ok(1));

        let begin = Instant::now();
        let (one, other) = tokio::join!(callee.close(), callee.close());
        one.and(other).unwrap();
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}
