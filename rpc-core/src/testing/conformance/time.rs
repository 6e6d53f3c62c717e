//! Time-outs, and callers that give up.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use super::{Fixture, SOON};
use crate::testing::{Probe, Signals};
use crate::{Call, RpcError, RpcService, RpcServiceBuilder};

pub async fn a_caller_that_gives_up_cancels_the_handler(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let call = fixture.probe.hang();
    fixture.signals.hanging.notified().await;
    drop(call);
    fixture.signals.dropped.notified().await;
    let hang = |time| fixture.probe.hang().timeout(time);
    let error = times_out(&fixture.signals, hang).await;
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
    fixture.signals.dropped.notified().await;
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

pub async fn a_call_that_is_detached_ends_with_its_time(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    for probe in fixture.gateways().await {
        // Its time may be over before its handler hangs.
        for time in (0..8).map(|it| Duration::from_millis(50 << it)) {
            probe.hang().timeout(time).detach();
            let begun = timeout(time, fixture.signals.hanging.notified());
            if begun.await.is_ok() {
                break;
            }
        }
        let dropped = fixture.signals.dropped.notified();
        timeout(SOON, dropped).await.expect("its handler ends");
    }
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
    let relay = |time| fixture.probe.relay_hang(other.address()).timeout(time);
    let error = times_out(&signals, relay).await;
    // Which of the two is found first to have timed out is open.
    assert!(
        matches!(error, RpcError::Timeout { .. } | RpcError::Failed(_)),
        "{error}"
    );
    signals.dropped.notified().await;
    fixture.close().await;
}

/// Makes a call that times out soon, but not before its handler hangs: on a busy machine it may need
/// more time to get there.
async fn times_out(signals: &Signals, call: impl Fn(Duration) -> Call<()>) -> RpcError {
    for time in (0..8).map(|it| Duration::from_millis(50 << it)) {
        let error = call(time).await.unwrap_err();
        if signals.hanging.notified().now_or_never().is_some() {
            return error;
        }
    }
    panic!("the handler does not begin");
}
