//! Services that talk over QUIC while packets are lost and hosts die, in simulated time.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod ledger;
mod net;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::transport::Transport;
use rpc_core::{GatewayClosed, RpcError, RpcResult, RpcService};
use rpc_transport_quic::{Quic, QuicConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, timeout};

use self::ledger::{Ledger, LedgerGateway};
use self::net::{Caller, SERVER, Setup, Trace, pass, quic, simulate, simulate_hosts};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_partition_that_is_short_only_delays_calls() {
    simulate(&Setup::patient(1), async |caller| {
        turmoil::partition("caller", "server");
        let write = |number| (number, caller.gateway.write(number).timeout(30 * SECOND));
        let calls: Vec<_> = (1..=20).map(write).collect();
        pass(5 * SECOND).await;
        assert!(caller.ledger.numbers().is_empty());
        turmoil::repair("caller", "server");
        for (number, call) in calls {
            assert_eq!(call.await, Ok(number));
        }
        assert_eq!(caller.ledger.numbers(), Vec::from_iter(1..=20));
    });
}

#[test]
fn a_partition_fails_what_was_under_way_and_the_gateway_recovers() {
    simulate(&Setup::hasty(2), async |caller| {
        let hanging = caller.gateway.hang();
        assert_eq!(caller.gateway.write(1).await, Ok(1));
        let closed = caller.gateway.closed();
        turmoil::partition("caller", "server");
        let sent = caller.gateway.write(2).await;
        assert!(is_lost(&sent), "{sent:?}");
        assert!(is_lost(&hanging.await));
        assert_eq!(closed.await, GatewayClosed::Disconnected);
        // It waits for a connection until its time is over.
        let kept = caller.gateway.write(3).timeout(SECOND).await;
        assert!(is_not_sent(&kept), "{kept:?}");
        let waiting = caller.gateway.write(4).timeout(10 * SECOND);
        pass(5 * SECOND).await;
        turmoil::repair("caller", "server");
        assert_eq!(waiting.await, Ok(2));
        assert_eq!(caller.ledger.numbers(), [1, 4]);
    });
}

#[test]
fn a_cut_of_either_direction_is_noticed() {
    for (from, to) in [("caller", "server"), ("server", "caller")] {
        simulate(&Setup::hasty(3), async move |caller| {
            let hanging = caller.gateway.hang();
            assert_eq!(caller.gateway.write(1).await, Ok(1));
            turmoil::partition_oneway(from, to);
            let sent = caller.gateway.write(2).await;
            assert!(is_lost(&sent), "{sent:?}");
            assert!(is_lost(&hanging.await));
            turmoil::repair_oneway(from, to);
            let third = caller.gateway.write(3).await;
            assert!(third.is_ok(), "{third:?}");
            let arrived = if from == "caller" {
                &[1, 3][..]
            } else {
                &[1, 2, 3]
            };
            assert_eq!(caller.ledger.numbers(), arrived);
        });
    }
}

#[test]
fn calls_get_through_though_a_tenth_of_the_packets_is_lost() {
    let setup = Setup {
        loss: 0.1,
        ..Setup::patient(4)
    };
    simulate(&setup, async |caller| {
        for round in 0..20 {
            let calls: Vec<_> = (1..=10)
                .map(|it| caller.gateway.write(10 * round + it))
                .collect();
            for call in calls {
                assert!(call.await.is_ok());
            }
        }
        assert_eq!(caller.ledger.numbers(), Vec::from_iter(1..=200));
    });
}

#[test]
fn a_host_that_crashed_and_is_back_is_another() {
    simulate(&Setup::hasty(5), async |caller| {
        let hanging = caller.gateway.hang();
        assert_eq!(caller.gateway.write(1).await, Ok(1));
        caller.restart_server().await;
        let sent = caller.gateway.write(2).await;
        assert!(is_lost(&sent), "{sent:?}");
        assert!(is_lost(&hanging.await));
        let again = caller.gateway.write(3).await;
        assert!(is_restarted(&again), "{again:?}");
        assert_eq!(caller.gateway.closed().await, GatewayClosed::Stopped);
        let again = caller.gateway.write(4).await;
        assert!(is_restarted(&again), "{again:?}");
        assert_eq!(caller.ledger.numbers(), [1]);
        let anew = caller.service.reconnect(&*caller.gateway).await.unwrap();
        assert_eq!(anew.write(5).await, Ok(2));
    });
}

/// Also when its host ends as soon as the service is closed, as a process does.
#[test]
fn a_service_that_is_closed_has_answered_and_said_goodbye() {
    let setup = Setup::patient(8);
    let end = Rc::new(Notify::new());
    let (ends, ledger) = (Rc::clone(&end), Ledger::default());
    let serve = move |quic: Quic| {
        let (ends, ledger) = (Rc::clone(&ends), ledger.clone());
        async move {
            let service = RpcService::builder().transport(quic).build().await.unwrap();
            service.start_server("ledger", ledger).unwrap().start();
            ends.notified().await;
            service.close().await.unwrap();
        }
    };
    let call = async move |quic: Quic, _: Trace| {
        let service = RpcService::builder().transport(quic).build().await.unwrap();
        let address = format!("quic://{SERVER}/ledger");
        let gateway = service
            .connect::<dyn LedgerGateway>(&address)
            .await
            .unwrap();
        let (hanging, begun) = (gateway.hang(), Instant::now());
        assert_eq!(gateway.write(1).await, Ok(1));
        end.notify_one();
        assert_eq!(gateway.closed().await, GatewayClosed::Stopped);
        assert!(is_lost(&hanging.await));
        let late = gateway.write(2).await;
        assert!(
            matches!(late, Err(RpcError::Unreachable { .. })),
            "{late:?}"
        );
        assert!(
            begun.elapsed() < SECOND,
            "it was told: {:?}",
            begun.elapsed()
        );
    };
    simulate_hosts(&setup, &Cell::default(), serve, call);
}

#[test]
fn a_peer_that_opens_streams_and_ends_none_is_held_to_the_windows() {
    let mut setup = Setup::patient(6);
    setup.quic.streams_max = 8;
    setup.quic.stream_window_bytes = 16 << 10;
    setup.quic.connection_window_bytes = 64 << 10;
    // It reads nothing.
    let serve = async |quic: Quic| {
        let mut listener = quic.listen().await.unwrap().unwrap();
        let connection = listener.accept().await.unwrap();
        let mut streams = Vec::new();
        while let Ok(stream) = connection.accept_stream().await {
            streams.push(stream);
        }
    };
    let call = async |quic: Quic, trace: Trace| {
        let greedy = QuicConfig::default();
        let connection = quic.config(greedy).connect(SERVER).await.unwrap();
        let begun = trace.sent().bytes;
        let mut streams = Vec::new();
        while let Ok(stream) = timeout(SECOND, connection.open_stream()).await {
            streams.push(stream.unwrap());
        }
        assert_eq!(streams.len(), 8, "no more may be open at once");
        for stream in &mut streams {
            let all = stream.writer.write_all(&[7; 1 << 20]);
            let _unread = timeout(SECOND, all).await;
        }
        let sent = trace.sent().bytes - begun;
        let window = 64 << 10;
        assert!(sent > window / 2, "{sent} bytes");
        assert!(sent < window * 2, "{sent} bytes");
    };
    simulate_hosts(&setup, &Cell::default(), serve, call);
}

#[test]
fn streams_that_never_say_hello_are_ended_and_keep_nobody_out() {
    let setup = Setup::patient(7);
    let trickle = setup.clone();
    simulate(&setup, async move |caller| {
        let quic = quic(Quic::dial_only(), &trickle, &Trace::default());
        let connection = quic.connect(SERVER).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..100 {
            let mut stream = connection.open_stream().await.unwrap();
            stream.writer.write_all(b"arpc").await.unwrap();
            streams.push(stream);
        }
        assert_eq!(caller.gateway.write(1).await, Ok(1));
        for stream in &mut streams {
            let mut heard = Vec::new();
            let ended = stream.reader.read_to_end(&mut heard);
            let _how = timeout(10 * SECOND, ended).await.unwrap();
            assert_eq!(heard, []);
        }
        assert_eq!(caller.gateway.write(2).await, Ok(2));
    });
}

#[test]
fn every_call_ends_by_its_deadline_whatever_happens() {
    for seed in 10..16 {
        simulate(&Setup::hasty(seed), chaos);
    }
}

#[test]
fn the_same_seed_sends_the_same_packets() {
    let run = |seed| simulate(&Setup::hasty(seed), chaos);
    let first = run(7);
    assert!(first.packets > 100, "{first:?}");
    assert_eq!(run(7), first);
    assert_ne!(run(8), first);
}

/// Calls while the network and the server fail in turn, as the seed has it.
async fn chaos(caller: Caller) {
    let mut gateway = Arc::clone(&caller.gateway);
    let (mut results, mut number) = (Vec::new(), 0);
    for _ in 0..12 {
        let mut calls = Vec::new();
        for _ in 0..10 {
            number += 1;
            calls.push(timed_write(&gateway, number, fastrand::u64(1..3000)));
        }
        match fastrand::u8(..6) {
            0 => turmoil::partition("caller", "server"),
            1 => turmoil::partition_oneway("caller", "server"),
            2 => turmoil::partition_oneway("server", "caller"),
            3 => turmoil::hold("caller", "server"),
            4 => caller.restart_server().await,
            _ => {}
        }
        pass(Duration::from_millis(fastrand::u64(..2500))).await;
        turmoil::release("caller", "server");
        turmoil::repair("caller", "server");
        for call in calls {
            results.push(call.await.unwrap());
        }
        number += 1;
        let (_, last) = timed_write(&gateway, number, 5000).await.unwrap();
        if is_restarted(&last) {
            gateway = caller.service.reconnect(&*gateway).await.unwrap();
        } else {
            assert!(last.is_ok(), "it has not recovered: {last:?}");
        }
        results.push((number, last));
    }
    caller.ledger.agrees(&results);
}

/// Makes a call, and checks when it ends.
fn timed_write(
    gateway: &Arc<dyn LedgerGateway>,
    number: u64,
    limit: u64,
) -> JoinHandle<(u64, RpcResult<u64>)> {
    let (begun, limit) = (Instant::now(), Duration::from_millis(limit));
    let call = gateway.write(number).timeout(limit);
    spawn_local(async move {
        let result = call.await;
        let took = begun.elapsed();
        assert!(took <= limit + SLACK, "{took:?} of {limit:?}: {result:?}");
        (number, result)
    })
}

/// As coarse as the simulation's clock, and a timer.
const SLACK: Duration = Duration::from_millis(20);

fn is_lost<T>(result: &RpcResult<T>) -> bool {
    matches!(
        result,
        Err(RpcError::Disconnected {
            possibly_executed: true,
            ..
        })
    )
}

fn is_not_sent<T>(result: &RpcResult<T>) -> bool {
    matches!(
        result,
        Err(RpcError::Disconnected {
            possibly_executed: false,
            ..
        })
    )
}

fn is_restarted<T>(result: &RpcResult<T>) -> bool {
    matches!(
        result,
        Err(RpcError::Unreachable {
            restarted: true,
            ..
        })
    )
}
