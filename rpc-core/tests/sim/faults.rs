//! What goes wrong on the network, as services see it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rpc_core::testing::sim::{self, SimEventKind, SimNetwork, SimNode};
use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::transport::{Transport, TransportError};
use rpc_core::{ConnectError, GatewayClosed, Outcome, RpcConfig, RpcError, RpcService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

async fn service(node: &SimNode) -> RpcService {
    let mut config = RpcConfig::default();
    config.connect_timeout = Duration::from_secs(3);
    let builder = RpcService::builder().config(config);
    builder.transport(node.transport()).build().await.unwrap()
}

/// A service `b` with a probe, and a gateway from a service `a`.
async fn pair(net: &SimNetwork) -> (RpcService, RpcService, Arc<dyn ProbeGateway>) {
    let callee = service(&net.node("b")).await;
    let caller = service(&net.node("a")).await;
    let server = callee.start_server("probe", Probe::default()).unwrap();
    server.start();
    assert_eq!(server.address(), "sim://b/probe");
    let probe = caller.connect(&server.address()).await.unwrap();
    (callee, caller, probe)
}

#[test]
fn a_call_during_a_partition_ends_in_time_and_one_after_it_is_answered() {
    sim::run(1, async |net| {
        let (_callee, _caller, probe) = pair(&net).await;
        assert_eq!(probe.add(1).await, Ok(1));
        net.partition("a", "b");
        let start = Instant::now();
        let late = probe.add(2).timeout(Duration::from_secs(5)).await;
        assert!(matches!(late, Err(RpcError::Timeout { .. })), "{late:?}");
        assert_eq!(late.unwrap_err().outcome(), Outcome::Unknown);
        let took = start.elapsed().as_millis();
        assert!((5000..5010).contains(&took), "{took} ms");
        net.heal("a", "b");
        // The connection has outlived it. The lost call came after all, if before its cancellation.
        let sum = probe.add(4).await.unwrap();
        assert!([1 + 4, 1 + 2 + 4].contains(&sum), "{sum}");
        assert_eq!(net.trace().of(SimEventKind::Dial).count(), 1);
    });
}

#[test]
fn a_gateway_by_a_pattern_finds_its_endpoint_again_and_not_a_new_one() {
    sim::run(1, async |net| {
        let callee = service(&net.node("b")).await;
        let caller = service(&net.node("a")).await;
        let start = |name| {
            let server = callee.start_server(name, Probe::default()).unwrap();
            server.start();
            server
        };
        let _second = start("a_2");
        let found: Arc<dyn ProbeGateway> = caller.connect("sim://b/a_*").await.unwrap();
        assert_eq!(found.add(1).await, Ok(1));
        let _first = start("a_1");
        net.reset("a", "b");
        assert_eq!(found.closed().await, GatewayClosed::Disconnected);
        assert_eq!(found.add(2).await, Ok(1 + 2));
        let anew = caller.reconnect(&*found).await.unwrap();
        assert_eq!(anew.add(4).await, Ok(4), "the pattern has another first");
    });
}

#[test]
fn a_call_goes_unanswered_whichever_way_is_cut() {
    for (from, to, executed) in [("a", "b", false), ("b", "a", true)] {
        sim::run(1, async |net| {
            let (callee, _caller, probe) = pair(&net).await;
            net.cut(from, to);
            let late = probe.add(2).timeout(Duration::from_secs(5)).await;
            assert!(matches!(late, Err(RpcError::Timeout { .. })), "{late:?}");
            let own: Arc<dyn ProbeGateway> = callee.connect("sim://b/probe").await.unwrap();
            let expected = if executed { vec![2] } else { vec![] };
            assert_eq!(own.numbers().await, Ok(expected));
        });
    }
}

#[test]
fn a_long_partition_ends_the_connection() {
    sim::run(1, async |net| {
        let (_callee, _caller, probe) = pair(&net).await;
        net.partition("a", "b");
        let lost = probe.add(1).without_timeout().await;
        assert!(
            matches!(lost, Err(RpcError::Disconnected { .. })),
            "{lost:?}"
        );
        // It was asked after 5 s of silence, and had 10 s to answer.
        let took = net.elapsed().as_secs();
        assert!((15..20).contains(&took), "{took} s");
    });
}

#[test]
fn a_dial_over_a_partition_gets_no_answer() {
    sim::run(1, async |net| {
        let (_callee, caller) = (service(&net.node("b")).await, service(&net.node("a")).await);
        net.cut("b", "a");
        let start = Instant::now();
        let failed = caller.connect::<dyn ProbeGateway>("sim://b/probe").await;
        let failed = failed.err().unwrap();
        assert!(matches!(failed, ConnectError::Timeout { .. }), "{failed}");
        assert_eq!(start.elapsed().as_secs(), 3);
    });
}

#[test]
fn a_dial_to_nobody_is_refused_at_once() {
    sim::run(1, async |net| {
        let transport = net.node("a").transport();
        let _idle = net.node("idle");
        let _crashed = net.node("crashed");
        net.crash("crashed");
        for (name, expected) in [
            ("idle", io::ErrorKind::ConnectionRefused),
            ("crashed", io::ErrorKind::ConnectionRefused),
            ("nowhere", io::ErrorKind::HostUnreachable),
        ] {
            let start = Instant::now();
            let error = transport.connect(name).await.unwrap_err();
            assert_eq!(kind(&error), Some(expected), "{name}");
            assert!(start.elapsed() <= Duration::from_millis(41), "{name}");
        }
    });
}

#[test]
fn a_name_is_listened_on_once() {
    sim::run(1, async |net| {
        let transport = net.node("A").transport();
        let listener = transport.listen().await.unwrap().unwrap();
        assert_eq!(listener.authority(), "a");
        let error = transport.listen().await.unwrap_err();
        assert!(matches!(error, TransportError::Bind { .. }), "{error}");
        drop(listener);
        transport.listen().await.unwrap();
        for bad in ["", "a/b"] {
            let error = net.node(bad).transport().listen().await.unwrap_err();
            assert!(matches!(error, TransportError::Address { .. }), "{error}");
        }
    });
}

#[test]
fn a_crash_fails_the_calls_of_those_who_hear_of_it() {
    sim::run(1, async |net| {
        let (_callee, _caller, probe) = pair(&net).await;
        let waits = probe.wait().without_timeout();
        tokio::time::sleep(Duration::from_millis(100)).await;
        net.crash("b");
        let start = Instant::now();
        let lost = waits.await;
        assert!(
            matches!(lost, Err(RpcError::Disconnected { .. })),
            "{lost:?}"
        );
        assert!(start.elapsed() <= Duration::from_millis(21));
    });
}

#[test]
fn a_crash_behind_a_partition_is_noticed_by_the_silence() {
    sim::run(1, async |net| {
        let (_callee, _caller, probe) = pair(&net).await;
        let waits = probe.wait().without_timeout();
        tokio::time::sleep(Duration::from_millis(100)).await;
        net.isolate("b");
        net.crash("b");
        let lost = waits.await;
        assert!(
            matches!(lost, Err(RpcError::Disconnected { .. })),
            "{lost:?}"
        );
        let took = net.elapsed().as_secs();
        assert!((15..20).contains(&took), "{took} s");
        // Later calls wait for the peer to come back, and know that they were not sent.
        let late = probe.add(1).timeout(Duration::from_secs(5)).await;
        assert_eq!(late.unwrap_err().outcome(), Outcome::NotExecuted);
    });
}

#[test]
fn a_reset_fails_the_calls_under_way_and_the_next_dial_passes() {
    sim::run(1, async |net| {
        let (_callee, caller, probe) = pair(&net).await;
        let waits = probe.wait().without_timeout();
        tokio::time::sleep(Duration::from_millis(100)).await;
        net.reset("a", "b");
        let lost = waits.await;
        assert!(
            matches!(lost, Err(RpcError::Disconnected { .. })),
            "{lost:?}"
        );
        let probe: Arc<dyn ProbeGateway> = caller.connect("sim://b/probe").await.unwrap();
        assert_eq!(probe.add(1).await, Ok(1));
    });
}

#[test]
fn a_frame_that_comes_twice_is_not_a_second_call() {
    sim::run(1, async |net| {
        let (_callee, _caller, probe) = pair(&net).await;
        net.duplicate("a", "b", 1.0);
        // The callee ends the connection, whose frames are numbered, before or after it ran the call.
        let _ = probe.add(1).await;
        assert!(net.trace().of(SimEventKind::Duplicate).count() > 0);
        net.duplicate("a", "b", 0.0);
        let callee = service(&net.node("c")).await;
        let again: Arc<dyn ProbeGateway> = callee.connect("sim://b/probe").await.unwrap();
        assert!(again.numbers().await.unwrap().len() <= 1);
    });
}

#[test]
fn a_slow_link_takes_its_time() {
    sim::run(1, async |net| {
        let (_callee, _caller, probe) = pair(&net).await;
        net.slow("b", 10_000);
        let start = Instant::now();
        let bytes = vec![7; 20_000];
        let echo = probe.echo(bytes.clone()).without_timeout().await;
        assert_eq!(echo, Ok(bytes));
        let took = start.elapsed().as_millis();
        assert!((4000..4100).contains(&took), "{took} ms");
        net.slow("b", None);
        let start = Instant::now();
        probe.echo(vec![7; 20_000]).await.unwrap();
        assert!(start.elapsed() <= Duration::from_millis(42));
    });
}

#[test]
fn latencies_are_as_they_were_set() {
    sim::run(1, async |net| {
        let (_callee, _caller, probe) = pair(&net).await;
        let took = async || {
            let start = Instant::now();
            probe.add(1).await.unwrap();
            start.elapsed().as_millis()
        };
        let fixed = |millis| Duration::from_millis(millis)..=Duration::from_millis(millis);
        net.set_latency(fixed(100));
        assert_eq!(took().await, 200);
        net.set_latency_between("b", "a", fixed(30));
        assert_eq!(took().await, 60);
    });
}

#[test]
fn a_swizzle_isolates_and_heals_in_another_order() {
    let (mut several, mut reordered) = (0, 0);
    for seed in 0..20 {
        sim::run(seed, async |net| {
            let names = ["a", "b", "c", "d"];
            let _nodes = names.map(|name| net.node(name));
            net.cut("a", "b");
            net.swizzle(
                &names,
                Duration::from_millis(10)..=Duration::from_millis(50),
            )
            .await;
            let trace = net.trace();
            let times = |kind| {
                let mut times: Vec<_> = trace.of(kind).map(|it| it.at).collect();
                times.dedup();
                times
            };
            let route = |it: &sim::SimEvent| (it.from.to_string(), it.to.to_string());
            let mut routes = [SimEventKind::Cut, SimEventKind::Heal]
                .map(|kind| trace.of(kind).map(route).collect::<Vec<_>>());
            several += u32::from(times(SimEventKind::Heal).len() > 1);
            reordered += u32::from(routes[0] != routes[1]);
            routes.iter_mut().for_each(|it| it.sort());
            // All that the swizzle has cut is healed; the test's own cut only if it came by there.
            routes[0].retain(|it| *it != ("a".to_owned(), "b".to_owned()));
            routes[1].retain(|it| *it != ("a".to_owned(), "b".to_owned()));
            assert_eq!(routes[0], routes[1], "{trace}");
        });
    }
    assert!(
        several > 5 && reordered > 5,
        "{several} several, {reordered} reordered"
    );
}

#[test]
fn a_dial_that_is_dropped_is_not_accepted() {
    sim::run(1, async |net| {
        let mut listener = net.node("b").transport().listen().await.unwrap().unwrap();
        let transport = net.node("a").transport();
        let short = Duration::from_millis(1);
        let dropped = tokio::time::timeout(short, transport.connect("b")).await;
        assert!(dropped.is_err());
        let accepted = tokio::time::timeout(Duration::from_secs(60), listener.accept()).await;
        assert!(accepted.is_err());
    });
}

#[test]
fn both_sides_of_a_connection_open_streams() {
    sim::run(1, async |net| {
        let mut listener = net.node("b").transport().listen().await.unwrap().unwrap();
        let transport = net.node("a").transport();
        let (dialled, accepted) = tokio::join!(transport.connect("b"), listener.accept());
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!([dialled.peer(), accepted.peer()], ["b", "a"]);
        for (ours, theirs) in [(&dialled, &accepted), (&accepted, &dialled)] {
            let mut ours = ours.open_stream().await.unwrap();
            ours.writer.write_all(b"hello").await.unwrap();
            ours.writer.shutdown().await.unwrap();
            let mut theirs = theirs.accept_stream().await.unwrap();
            let mut heard = String::new();
            theirs.reader.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "hello");
        }
    });
}

#[test]
fn a_fault_at_nobody_panics() {
    let failed = std::panic::catch_unwind(|| {
        sim::run(1, async |net| {
            let _node = net.node("a");
            net.partition("a", "typo");
        })
    });
    let said = *failed.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(said, "there is no node typo in this network");
}

fn kind(error: &TransportError) -> Option<io::ErrorKind> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<io::Error>().map(io::Error::kind)
}

#[test]
fn calls_that_wait_for_a_connection_end_with_their_service() {
    sim::run(1, async |net| {
        let (_callee, caller, probe) = pair(&net).await;
        net.crash("b");
        let lost = probe.add(1).await;
        assert!(lost.is_err(), "{lost:?}");
        let mut waits = Box::pin(probe.add(2).without_timeout());
        assert!((&mut waits).now_or_never().is_none());
        tokio::task::yield_now().await;
        caller.close().await.unwrap();
        let ended = waits.now_or_never().expect("it waits for nobody");
        let error = ended.unwrap_err();
        assert!(
            matches!(
                error,
                RpcError::Disconnected {
                    possibly_executed: false,
                    ..
                }
            ),
            "{error:?}"
        );
    });
}
