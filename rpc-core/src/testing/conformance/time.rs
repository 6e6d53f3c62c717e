//! Time-outs, and callers that give up.

use std::time::Duration;

use super::Fixture;
use crate::testing::Probe;
use crate::{RpcError, RpcService, RpcServiceBuilder};

pub async fn a_caller_that_gives_up_cancels_the_handler(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let call = fixture.probe.hang();
    fixture.signals.hanging.notified().await;
    drop(call);
    fixture.signals.dropped.notified().await;
    let error = fixture
        .probe
        .hang()
        .timeout(Duration::from_millis(20))
        .await;
    assert!(matches!(error, Err(RpcError::Timeout { .. })), "{error:?}");
    fixture.signals.dropped.notified().await;
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

/// An error that is returned is where the call was made: there is no call stack to carry along.
// Flink: TimeoutCallStackTest#testTimeoutExceptionWithTime, #testTimeoutExceptionWithDuration
pub async fn a_time_out_names_the_method_and_the_time(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    for probe in fixture.gateways().await {
        let after = Duration::from_millis(1);
        let method = String::from("ProbeGateway::wait");
        let error = probe.wait().timeout(after).await.unwrap_err();
        assert_eq!(error.to_string(), "ProbeGateway::wait timed out after 1ms");
        assert_eq!(error, RpcError::Timeout { method, after });
    }
    fixture.close().await;
}

// Flink, untested: A18
pub async fn a_late_answer_is_ignored(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let error = fixture
        .probe
        .wait()
        .timeout(Duration::from_millis(20))
        .await;
    assert!(matches!(error, Err(RpcError::Timeout { .. })), "{error:?}");
    let waits = fixture.probe.wait();
    fixture.probe.release(7);
    assert_eq!(waits.await, Ok(7));
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

pub async fn a_nested_call_inherits_the_deadline(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let (other, signals) = Probe::new();
    let other = fixture.caller.start_server("other", other).unwrap();
    other.start();
    // Nobody but the outer call's time-out ends the inner call, which has none of its own.
    let relayed = fixture
        .probe
        .relay_hang(other.address())
        .timeout(Duration::from_millis(50));
    // Which of the two is found first to have timed out is open.
    let error = relayed.await.unwrap_err();
    assert!(
        matches!(error, RpcError::Timeout { .. } | RpcError::Failed(_)),
        "{error}"
    );
    signals.dropped.notified().await;
    fixture.close().await;
}
