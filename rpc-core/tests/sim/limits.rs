//! Gateways whose peer has no room for what they ask, or is no more.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::testing::sim;
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::{RpcConfig, RpcError, RpcService};

#[test]
fn who_looks_for_an_endpoint_where_there_is_no_room_for_calls_looks_now_and_then() {
    sim::run(1, async |net| {
        let mut config = RpcConfig::default();
        config.calls_max = 1;
        let callee = RpcService::builder().config(config);
        let callee = callee.transport(net.node("b").transport());
        let callee = callee.build().await.unwrap();
        let caller = RpcService::builder().transport(net.node("a").transport());
        let caller = caller.build().await.unwrap();
        let mut probes: Vec<Arc<dyn ProbeGateway>> = Vec::new();
        for name in ["one", "other"] {
            let server = callee.start_server(name, Probe::default()).unwrap();
            server.start();
            probes.push(caller.connect(&server.address()).await.unwrap());
        }
        net.reset("a", "b");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let hang = probes[0].hang();
        tokio::time::sleep(Duration::from_secs(1)).await;
        // If it looked again and again its task would never rest, and no time would pass.
        let late = probes[1].add(2).timeout(Duration::from_secs(1)).await;
        assert!(
            matches!(
                late,
                Err(RpcError::Disconnected {
                    possibly_executed: false,
                    ..
                })
            ),
            "{late:?}"
        );
        drop(hang);
        assert_eq!(probes[1].add(2).await, Ok(2));
    });
}

#[test]
fn an_endpoint_that_is_lost_is_not_looked_for_on_behalf_of_calls_that_nobody_waits_for() {
    sim::run(1, async |net| {
        let callee = RpcService::builder().transport(net.node("b").transport());
        let callee = callee.build().await.unwrap();
        let caller = RpcService::builder().transport(net.node("a").transport());
        let caller = caller.build().await.unwrap();
        let server = callee.start_server("probe", Probe::default()).unwrap();
        server.start();
        let probe: Arc<dyn ProbeGateway> = caller.connect(&server.address()).await.unwrap();
        net.crash("b");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let gateway = Arc::downgrade(&probe);
        probe.add(1).detach();
        drop(probe);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(gateway.upgrade().is_none(), "the caller has let go of it");
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        let during = tasks();
        // Its time, and the longest back-off.
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(tasks() < during, "a task still looks for it");
    });
}
