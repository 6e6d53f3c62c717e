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

#[test]
fn what_goes_by_the_bulk_lane_may_be_however_small() {
    sim::run(1, async |net| {
        let mut config = RpcConfig::default();
        config.bulk_bytes_min = 0;
        let service = |name| {
            let node = net.node(name);
            let service = RpcService::builder().config(config.clone());
            service.transport(node.transport()).build()
        };
        let (callee, caller) = (service("b").await.unwrap(), service("a").await.unwrap());
        let server = callee.start_server("probe", Probe::default()).unwrap();
        server.start();
        let probe: Arc<dyn ProbeGateway> = caller.connect(&server.address()).await.unwrap();
        for number in 1..20 {
            probe.tell(number);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(probe.numbers().await.unwrap().into_iter().eq(1..20));
    });
}

#[tokio::test]
async fn what_leaves_no_room_for_a_call_is_refused() {
    type Field = fn(&mut RpcConfig) -> &mut usize;
    let fields: [(&str, Field); 6] = [
        ("calls_max", |it| &mut it.calls_max),
        ("frame_bytes_max", |it| &mut it.frame_bytes_max),
        ("mailbox_bytes_max", |it| &mut it.mailbox_bytes_max),
        ("mailbox_messages_max", |it| &mut it.mailbox_messages_max),
        ("outbox_bytes_max", |it| &mut it.outbox_bytes_max),
        ("window_bytes", |it| &mut it.window_bytes),
    ];
    for (name, field) in fields {
        let mut config = RpcConfig::default();
        *field(&mut config) = 0;
        let built = RpcService::builder().config(config).build().await;
        let refused = built.unwrap_err().to_string();
        assert!(refused.contains(name), "{refused}");
    }
}
