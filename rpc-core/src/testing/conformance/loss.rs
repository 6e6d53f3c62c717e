//! What a gateway knows of an endpoint that is no more, and what it may ask of one that is slow.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Fixture, SOON};
use crate::testing::{ProbeGateway, Stubborn};
use crate::{GatewayClosed, Outcome, RpcConfig, RpcError, RpcService, RpcServiceBuilder};

pub async fn a_gateway_hears_of_the_end_of_its_endpoint(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let own = fixture.own().await;
    let watches = [fixture.probe.closed(), own.closed()];
    fixture.server.close().await.unwrap();
    for closed in watches {
        assert_eq!(timeout(SOON, closed).await, Ok(GatewayClosed::Stopped));
    }
    // Whoever asks later hears the same.
    let closed = fixture.probe.closed();
    assert_eq!(timeout(SOON, closed).await, Ok(GatewayClosed::Stopped));
    fixture.close().await;
}

/// Flink's gateways learn of it by their next call.
pub async fn a_peer_that_says_goodbye_is_gone(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let closed = fixture.probe.closed();
    fixture.callee.close().await.unwrap();
    assert_eq!(timeout(SOON, closed).await, Ok(GatewayClosed::Stopped));
    let call = fixture.probe.add(1).without_timeout();
    let error = timeout(SOON, call).await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            RpcError::Unreachable {
                restarted: false,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    fixture.caller.close().await.unwrap();
}

/// In Flink calls that are under way when a process dies time out.
// Flink, untested: A19
pub async fn a_peer_that_dies_fails_its_calls_and_later_ones_wait(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        keepalive_interval: Duration::from_millis(200),
        keepalive_timeout: Duration::from_millis(600),
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let closed = fixture.probe.closed();
    let waits = fixture.probe.wait().without_timeout();
    fixture.signals.hanging.notified().await;
    fixture.callee.abort();
    let error = timeout(SOON, waits).await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            RpcError::Disconnected {
                possibly_executed: true,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(timeout(SOON, closed).await, Ok(GatewayClosed::Disconnected));
    // The peer may come back: a call waits for it as long as it may, and is never sent.
    let call = fixture.probe.add(1).timeout(Duration::from_millis(300));
    let error = timeout(SOON, call).await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    fixture.caller.close().await.unwrap();
}

// Flink, untested: A23
pub async fn a_restarted_endpoint_is_another_one(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let own = fixture.own().await;
    fixture.restart().await;
    for probe in [&fixture.probe, &own] {
        let error = probe.add(1).await.unwrap_err();
        assert!(
            matches!(
                error,
                RpcError::Unreachable {
                    restarted: true,
                    ..
                }
            ),
            "{error}"
        );
    }
    let probe: Arc<dyn ProbeGateway> = fixture.caller.reconnect(&*fixture.probe).await.unwrap();
    assert_eq!(probe.add(2).await, Ok(2));
    fixture.close().await;
}

/// Flink's callee knows nothing of its caller's time.
pub async fn a_call_whose_time_is_over_ends_at_the_callee_too(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        call_timeout: Duration::from_millis(50),
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    // Nobody says that it is given up. Its time may be over before it is there.
    let mut unpolled = Vec::new();
    for _ in 0..8 {
        unpolled.push(fixture.probe.hang());
        let begun = timeout(SOON, fixture.signals.hanging.notified());
        if begun.await.is_ok() {
            break;
        }
    }
    let dropped = fixture.signals.dropped.notified();
    timeout(SOON, dropped).await.unwrap();
    fixture.close().await;
}

pub async fn a_call_gets_as_much_time_as_its_caller_allows(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        call_timeout: Duration::from_millis(50),
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let first = fixture.probe.wait();
    let second = fixture.probe.wait().timeout(SOON);
    let third = fixture.probe.wait().without_timeout();
    // When the first is over, the others have outlived what is usual.
    let error = first.await.unwrap_err();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
    fixture.probe.release(7);
    assert_eq!((second.await, third.await), (Ok(7), Ok(7)));
    fixture.close().await;
}

pub async fn so_many_calls_are_under_way_and_no_more(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        calls_max: 8,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let waiting: Vec<_> = (0..8).map(|_| fixture.probe.wait()).collect();
    let error = fixture.probe.wait().await.unwrap_err();
    assert!(
        matches!(error, RpcError::Overloaded { limit: 8, .. }),
        "{error}"
    );
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    fixture.probe.release(7);
    for call in waiting {
        assert_eq!(call.await, Ok(7));
    }
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

/// Flink's callee takes all that comes.
pub async fn a_flood_is_refused_before_it_is_sent(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        frame_bytes_max: 64 << 10,
        window_bytes: 64 << 10,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..4 {
        let calls: Vec<_> = (0..32)
            .map(|_| fixture.probe.echo(vec![1; 10_000]))
            .collect();
        for call in calls {
            match call.await {
                Ok(_) => answered += 1,
                Err(error) => {
                    assert!(matches!(error, RpcError::Overloaded { .. }), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(answered >= 4 * 6, "{answered} were answered");
    assert!(refused > 0, "nothing was refused");
    // What was handled has made room.
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

/// What handlers keep while they await is limited as well.
pub async fn what_calls_hold_is_limited(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let config = RpcConfig {
        calls_bytes_max: 64 << 10,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let holding: Vec<_> = (0..8)
        .map(|_| fixture.probe.hold(vec![1; 10_000]))
        .collect();
    let (mut held, mut refused) = (Vec::new(), 0);
    for call in holding {
        match call.timeout(Duration::from_millis(300)).await {
            Err(RpcError::Overloaded { .. }) => refused += 1,
            other => held.push(other),
        }
    }
    assert_eq!((held.len(), refused), (6, 2), "{held:?}");
    // What is given up is held no more.
    fixture.signals.dropped.notified().await;
    let again = fixture.probe.echo(vec![1; 10_000]).await;
    assert_eq!(again, Ok(vec![1; 10_000]));
    fixture.close().await;
}

// Flink, untested: A16
// Flink: MessageSerializationTest#testNonSerializableLocalMessageTransfer
pub async fn strict_local_calls_are_encoded(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let config = RpcConfig {
        frame_bytes_max: 32_000,
        strict_local: true,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let own = fixture.own().await;
    assert_eq!(own.echo(vec![1; 1000]).await, Ok(vec![1; 1000]));
    let error = own.echo_stubborn(Stubborn::new(false, true)).await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            RpcError::Codec {
                response: false,
                ..
            }
        ),
        "{error}"
    );
    let error = own.make_stubborn(true, false).await.unwrap_err();
    assert!(
        matches!(error, RpcError::Codec { response: true, .. }),
        "{error}"
    );
    let error = own.make_bytes(64_000).await.unwrap_err();
    assert!(
        matches!(error, RpcError::TooLarge { response: true, .. }),
        "{error}"
    );
    // A method that is marked as local takes and gives what cannot travel.
    let stubborn = own.echo_local(Stubborn::new(false, false)).await;
    assert_eq!(stubborn, Ok(Stubborn::new(false, false)));
    fixture.close().await;
}
