//! Connections that are old, and are replaced.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::testing::sim::{self, SimConfig, SimEventKind, SimNetwork};
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::{RpcConfig, RpcError, RpcService};
use tokio::time::{Instant, sleep};

const AGE: Duration = Duration::from_secs(60);

struct Pair {
    _callee: RpcService,
    _caller: RpcService,
    probe: Arc<dyn ProbeGateway>,
    net: SimNetwork,
}

impl Pair {
    async fn new(net: SimNetwork) -> Self {
        let service = async |name| {
            let mut config = RpcConfig::default();
            config.connection_age_max = Some(AGE);
            let service = RpcService::builder().config(config);
            let service = service.transport(net.node(name).transport()).build();
            service.await.unwrap()
        };
        let (callee, caller) = (service("b").await, service("a").await);
        let server = callee.start_server("probe", Probe::default()).unwrap();
        server.start();
        let probe = caller.connect(&server.address()).await.unwrap();
        Self {
            _callee: callee,
            _caller: caller,
            probe,
            net,
        }
    }

    fn dials(&self) -> usize {
        self.net.trace().of(SimEventKind::Dial).count()
    }
}

#[test]
fn calls_go_by_another_connection_and_those_under_way_are_answered() {
    sim::run(1, async |net| {
        let pair = Pair::new(net).await;
        let probe = &pair.probe;
        let waits = probe.wait().without_timeout();
        sleep(AGE * 3 / 2).await;
        assert_eq!(pair.dials(), 1, "nobody needs another");
        // The endpoint is still the same.
        assert_eq!(probe.add(1).await, Ok(1));
        assert_eq!(pair.dials(), 2);
        probe.release(7);
        assert_eq!(waits.await, Ok(7));
        assert_eq!(probe.add(2).await, Ok(1 + 2));
        assert_eq!(pair.dials(), 2);
        assert_eq!(pair._caller.diagnostics().connections.len(), 1);
        sleep(Duration::from_secs(10)).await;
        let accepted = pair._callee.diagnostics().connections.len();
        assert_eq!(accepted, 1, "the old one has ended");
    });
}

#[test]
fn a_connection_is_cut_at_twice_the_age() {
    sim::run(1, async |net| {
        let pair = Pair::new(net).await;
        let begin = Instant::now();
        let lost = pair.probe.wait().without_timeout().await.unwrap_err();
        assert!(
            matches!(
                lost,
                RpcError::Disconnected {
                    possibly_executed: true,
                    ..
                }
            ),
            "{lost}"
        );
        let took = begin.elapsed();
        let limits = AGE * 2 - Duration::from_secs(1)..AGE * 9 / 4;
        assert!(limits.contains(&took), "{took:?}");
        assert_eq!(pair.probe.add(3).await, Ok(3));
    });
}

#[test]
fn a_connection_that_is_never_idle_is_replaced_without_loss() {
    sim::run(1, async |net| {
        let pair = Pair::new(net).await;
        let mut hanging = Vec::new();
        for number in 0..60 {
            let probe = Arc::clone(&pair.probe);
            let hangs = async move { probe.hang().timeout(Duration::from_secs(15)).await };
            hanging.push(tokio::spawn(hangs));
            sleep(Duration::from_secs(10)).await;
            let added = pair.probe.add(number).await;
            assert_eq!(added, Ok((0..=number).sum()));
        }
        for hangs in hanging {
            let ended = hangs.await.unwrap();
            assert!(matches!(ended, Err(RpcError::Timeout { .. })), "{ended:?}");
        }
        let dials = pair.dials();
        assert!((8..=11).contains(&dials), "{dials}");
    });
}

#[test]
fn calls_stay_in_order_when_the_connection_is_replaced() {
    for seed in 0..2 {
        // What is large is long under way.
        let mut config = SimConfig::seeded(seed);
        config.window_bytes = 16 << 10;
        sim::run_with(config, async |net| {
            let pair = Pair::new(net).await;
            let probe = &pair.probe;
            let mut calls = Vec::new();
            // The connection is old when 400 are under way.
            for number in 0..430 {
                if number > 385 && number % 2 == 0 {
                    // What comes later goes behind it.
                    drop(probe.hold(vec![1; 300_000]));
                }
                let add = probe.add(number);
                calls.push(tokio::spawn(async { add.await.map(|_| ()) }));
                sleep(Duration::from_millis(150)).await;
            }
            for call in calls {
                assert_eq!(call.await.unwrap(), Ok(()));
            }
            let numbers = probe.numbers().await.unwrap();
            assert!(numbers.iter().copied().eq(0..430), "{numbers:?}");
            assert!(pair.dials() >= 4, "with a bulk lane at least");
        });
    }
}

#[test]
fn one_way_messages_go_by_another_connection_too() {
    sim::run(1, async |net| {
        let pair = Pair::new(net).await;
        let waits = pair.probe.wait().without_timeout();
        sleep(AGE * 3 / 2).await;
        for number in 0..9 {
            pair.probe.tell(number);
            sleep(Duration::from_secs(1)).await;
        }
        // The first had no connection.
        let numbers = pair.probe.numbers().await.unwrap();
        assert!(numbers.iter().copied().eq(1..9), "{numbers:?}");
        pair.probe.release(7);
        assert_eq!(waits.await, Ok(7));
    });
}
