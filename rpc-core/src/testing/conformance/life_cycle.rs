//! Endpoints and services that begin and end.

use std::sync::Arc;

use super::Fixture;
use crate::testing::{Probe, ProbeGateway};
use crate::{ConnectError, Outcome, RpcError, RpcService, RpcServiceBuilder, StartError};

// Flink: PekkoRpcActorTest#testMessageDiscarding, RpcEndpointTest#testRunningState
// Flink, untested: A1
pub async fn an_endpoint_that_is_not_started_refuses(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let callee = make(RpcService::builder()).await;
    let caller = make(RpcService::builder()).await;
    let server = callee.start_server("probe", Probe::default()).unwrap();
    let probe: Arc<dyn ProbeGateway> = caller.connect(&server.address()).await.unwrap();
    let refused = probe.add(1).await.unwrap_err();
    assert!(matches!(refused, RpcError::NotStarted { .. }), "{refused}");
    assert_eq!(refused.outcome(), Outcome::NotExecuted);
    server.start();
    assert_eq!(probe.add(2).await, Ok(2));
    server.stop();
    let refused = probe.add(3).await.unwrap_err();
    assert!(matches!(refused, RpcError::NotStarted { .. }), "{refused}");
    server.start();
    assert_eq!(probe.numbers().await, Ok(vec![2]));
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}

// Flink: PekkoRpcServiceTest#failsRpcResultImmediatelyIfEndpointIsStopped,
// RemotePekkoRpcActorTest#failsRpcResultImmediatelyIfEndpointIsStopped,
// PekkoActorSystemTest#askTerminatedActorFailsWithRecipientTerminatedException
pub async fn a_closed_endpoint_is_unreachable(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let gateways = fixture.gateways().await;
    let mut hanging = Vec::new();
    for probe in &gateways {
        hanging.push(probe.hang().without_timeout());
        fixture.signals.hanging.notified().await;
    }
    fixture.server.close().await.unwrap();
    for hangs in hanging {
        let error = hangs.await.unwrap_err();
        assert!(matches!(error, RpcError::Disconnected { .. }), "{error}");
    }
    for probe in &gateways {
        let error = probe.add(1).without_timeout().await.unwrap_err();
        assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
        assert_eq!(error.outcome(), Outcome::NotExecuted);
    }
    fixture.close().await;
}

/// In Flink the call that was under way waits for its time-out.
// Flink: RemotePekkoRpcActorTest#failsRpcResultImmediatelyIfRemoteRpcServiceIsNotAvailable
// Flink, untested: A19
pub async fn a_lost_peer_fails_its_calls_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let waits = fixture.probe.wait().without_timeout();
    fixture.signals.hanging.notified().await;
    fixture.callee.close().await.unwrap();
    let error = waits.await.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected { .. }), "{error}");
    let error = fixture.probe.add(1).without_timeout().await.unwrap_err();
    let gone = matches!(
        error,
        RpcError::Disconnected { .. } | RpcError::Unreachable { .. }
    );
    assert!(gone, "{error}");
    fixture.caller.close().await.unwrap();
}

// Flink: PekkoRpcActorTest#testActorTerminationWhenServiceShutdown
// Flink, untested: A8
pub async fn a_service_closes_its_endpoints(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    fixture.callee.close().await.unwrap();
    fixture.signals.stopped.notified().await;
    fixture.server.terminated().await.unwrap();
    let error = fixture.callee.start_server("late", Probe::default());
    assert!(matches!(error, Err(StartError::Closed)), "{error:?}");
    let error = fixture.callee.connect::<dyn ProbeGateway>("probe").await;
    assert!(matches!(error, Err(ConnectError::Closed)), "{error:?}");
    fixture.caller.close().await.unwrap();
}

/// What stops an endpoint is its own handle: it cannot be given to another service, as Flink's can,
/// which then ignores it.
// Flink, untested: A9
pub async fn a_service_closes_its_own_endpoints_only(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let namesake = fixture.caller.start_server("probe", Probe::default());
    let namesake = namesake.unwrap();
    namesake.start();
    namesake.close().await.unwrap();
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.caller.close().await.unwrap();
    assert_eq!(fixture.own().await.add(1).await, Ok(2));
    fixture.callee.close().await.unwrap();
}

// Flink: PekkoRpcActorTest#canReuseEndpointNameAfterTermination
// Flink, untested: A7, A23
pub async fn a_name_can_be_used_again(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let taken = fixture.callee.start_server("probe", Probe::default());
    assert!(matches!(taken, Err(StartError::Taken { .. })), "{taken:?}");
    let again = fixture.restart().await;
    assert_eq!(again.address(), fixture.server.address());
    // The old gateway does not reach the new endpoint.
    let error = fixture.probe.add(1).await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    let probe: Arc<dyn ProbeGateway> = fixture.caller.connect(&again.address()).await.unwrap();
    assert_eq!(probe.add(2).await, Ok(2));
    fixture.close().await;
}
