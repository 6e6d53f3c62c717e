//! A service that is back under its address, as those see it who have gateways to the one before.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::testing::sim::{self, SimEventKind, SimNetwork, SimNode};
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::{RpcConfig, RpcError, RpcService};
use tokio::time::{Instant, sleep};

/// Long enough for a peer to be dialled again.
const LATER: Duration = Duration::from_secs(6);

async fn service(node: &SimNode) -> RpcService {
    let service = RpcService::builder().transport(node.transport());
    service.build().await.unwrap()
}

fn start_probe(service: &RpcService) {
    let server = service.start_server("probe", Probe::default()).unwrap();
    server.start();
}

/// Two services, and a gateway from one to the other.
async fn pair(net: &SimNetwork) -> (RpcService, RpcService, Arc<dyn ProbeGateway>) {
    let callee = service(&net.node("b")).await;
    let caller = service(&net.node("a")).await;
    start_probe(&callee);
    let probe: Arc<dyn ProbeGateway> = caller.connect("sim://b/probe").await.unwrap();
    assert_eq!(probe.add(1).await, Ok(1));
    (callee, caller, probe)
}

/// Returns whether the endpoint was restarted.
async fn restarted(probe: &Arc<dyn ProbeGateway>) -> bool {
    match probe.add(2).without_timeout().await {
        Err(RpcError::Unreachable { restarted, .. }) => restarted,
        other => panic!("{other:?}"),
    }
}

/// The old gateway fails from now on, and another one is served.
async fn is_replaced(caller: &RpcService, probe: &Arc<dyn ProbeGateway>) {
    let begin = Instant::now();
    for _ in 0..9 {
        assert!(restarted(probe).await);
    }
    assert_eq!(begin.elapsed(), Duration::ZERO, "that stays so");
    let again = caller.reconnect(&**probe).await.unwrap();
    assert_eq!(again.add(4).await, Ok(4));
}

#[test]
fn whether_a_service_is_back_is_asked_after_its_goodbye() {
    sim::run(1, async |net| {
        let (callee, caller, probe) = pair(&net).await;
        callee.close().await.unwrap();
        assert!(!restarted(&probe).await);
        sleep(LATER).await;
        assert!(!restarted(&probe).await, "it is not");
        let callee = service(&net.node("b")).await;
        sleep(LATER).await;
        assert!(!restarted(&probe).await, "its endpoint is not");
        start_probe(&callee);
        assert!(restarted(&probe).await);
        is_replaced(&caller, &probe).await;
    });
}

#[test]
fn after_a_goodbye_calls_fail_at_once_and_the_peer_is_rarely_dialled() {
    sim::run(1, async |net| {
        let (callee, caller, probe) = pair(&net).await;
        callee.close().await.unwrap();
        let dials = || net.trace().of(SimEventKind::Dial).count();
        let (before, begin) = (dials(), Instant::now());
        let calls: Vec<_> = (0..1_000).map(|_| probe.add(1)).collect();
        for call in calls {
            let failed = call.await;
            assert!(
                matches!(failed, Err(RpcError::Unreachable { .. })),
                "{failed:?}"
            );
        }
        assert!(begin.elapsed() < Duration::from_millis(100), "of a dial");
        let delays = RpcConfig::default();
        let end = begin + 10 * delays.redial_delay_max;
        let mut longest = Duration::ZERO;
        while Instant::now() < end {
            let begin = Instant::now();
            assert!(!restarted(&probe).await);
            longest = longest.max(begin.elapsed());
            sleep(Duration::from_millis(10)).await;
        }
        let dialled = dials() - before;
        assert!((9..60).contains(&dialled), "{dialled}");
        assert!(longest < Duration::from_millis(100), "{longest:?}");
        drop(caller);
    });
}

#[test]
fn a_service_that_was_killed_and_is_back_is_another() {
    sim::run(1, async |net| {
        let (_callee, caller, probe) = pair(&net).await;
        net.crash("b");
        sleep(Duration::from_secs(1)).await;
        let waits = Arc::clone(&probe);
        let waits = tokio::spawn(async move { restarted(&waits).await });
        sleep(LATER).await;
        assert!(!waits.is_finished(), "it may be back at any time");
        let callee = service(&net.restart("b")).await;
        assert!(!waits.await.unwrap());
        assert!(!restarted(&probe).await, "its endpoint is not back");
        start_probe(&callee);
        assert!(restarted(&probe).await);
        is_replaced(&caller, &probe).await;
    });
}
