//! Messages that are large, and those that are too large.

use std::sync::Arc;

use super::Fixture;
use crate::testing::{Probe, ProbeGateway, Stubborn};
use crate::{RpcConfig, RpcError, RpcService, RpcServiceBuilder};

/// Flink's caller waits for its time-out.
// Flink: MessageSerializationTest#testMaximumFramesizeRemoteMessageTransfer
pub async fn a_call_that_is_too_large_fails_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::with_limit(make, 32_000).await;
    // Without a time-out: only a failure at once ends this.
    let call = fixture.probe.echo(vec![0; 64_000]).without_timeout();
    let error = call.await.unwrap_err();
    assert_too_large(&error);
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

// Flink: PekkoRpcActorOversizedResponseMessageTest#testOverSizedResponseMsgAsync,
// #testOverSizedResponseMsgSync
pub async fn a_response_that_is_too_large_fails_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::with_limit(make, 32_000).await;
    let call = fixture.probe.make_bytes(64_000).without_timeout();
    let error = call.await.unwrap_err();
    assert_too_large(&error);
    let named = "the response of ProbeGateway::make_bytes has ";
    assert!(error.to_string().starts_with(named), "{error}");
    assert!(error.to_string().ends_with(" limit 32000"), "{error}");
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

// Flink: PekkoRpcActorOversizedResponseMessageTest#testNormalSizedResponseMsgAsync
pub async fn a_response_that_fits_arrives(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::with_limit(make, 32_000).await;
    let hello = b"Hello".to_vec();
    assert_eq!(fixture.probe.echo(hello.clone()).await, Ok(hello));
    assert_eq!(
        fixture.probe.make_bytes(30_000).await.unwrap().len(),
        30_000
    );
    fixture.close().await;
}

// Flink, untested: A21
pub async fn the_limit_is_the_largest_size_that_passes(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::with_limit(make, 32_000).await;
    let probe = &fixture.probe;
    let size = |error| match error {
        RpcError::TooLarge { size, .. } => size,
        error => panic!("it is too large, and not this: {error}"),
    };
    let request = async |count| match probe.echo(vec![0; count]).await {
        Ok(bytes) => Ok(bytes.len()),
        Err(error) => Err(size(error)),
    };
    let response = async |count: usize| match probe.make_bytes(count as u64).await {
        Ok(bytes) => Ok(bytes.len()),
        Err(error) => Err(size(error)),
    };
    // What a message has beside the bytes in it.
    let around = request(40_000).await.unwrap_err() as usize - 40_000;
    assert_eq!(request(32_000 - around).await, Ok(32_000 - around));
    assert_eq!(request(32_001 - around).await, Err(32_001));
    let around = response(40_000).await.unwrap_err() as usize - 40_000;
    assert_eq!(response(32_000 - around).await, Ok(32_000 - around));
    assert_eq!(response(32_001 - around).await, Err(32_001));
    fixture.close().await;
}

// Flink, untested: A22
pub async fn a_refusal_that_is_too_large_fails_its_call_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::with_limit(make, 32_000).await;
    let call = fixture.probe.refuse_at_length(64_000).without_timeout();
    let error = call.await.unwrap_err();
    assert_too_large(&error);
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

// Flink: PekkoRpcActorOversizedResponseMessageTest#testConcurrentOverSizedResponseMsgAsync,
// #testConcurrentOverSizedResponseMsgAsyncStress
pub async fn every_response_that_is_too_large_fails_its_call(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::with_limit(make, 32_000).await;
    let mut probes = Vec::new();
    for number in 0..16 {
        let name = format!("probe-{number}");
        let server = fixture.callee.start_server(&name, Probe::default());
        let server = server.unwrap();
        server.start();
        let probe: Arc<dyn ProbeGateway> = fixture.caller.connect(&server.address()).await.unwrap();
        probes.push(probe);
    }
    for _ in 0..20 {
        let calls: Vec<_> = probes
            .iter()
            .map(|it| it.make_bytes(64_000).without_timeout())
            .collect();
        for call in calls {
            let error = call.await.unwrap_err();
            assert!(matches!(error, RpcError::TooLarge { .. }), "{error}");
        }
    }
    fixture.close().await;
}

/// What is large goes by a stream of its own, as soon as there is one.
pub async fn large_messages_and_small_ones_all_arrive(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        bulk_bytes_min: 5_000,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let address = fixture.server.address();
    let other: Arc<dyn ProbeGateway> = fixture.caller.connect(&address).await.unwrap();
    let (mut echoes, mut told) = (Vec::new(), Vec::new());
    for (round, size) in [10, 5_000, 200_000, 10, 1_000_000, 4_900]
        .into_iter()
        .enumerate()
    {
        let (round, probe) = (round as u64, &fixture.probe);
        probe.tell(2 * round);
        echoes.push((size, probe.echo(vec![round as u8; size])));
        probe.tell(2 * round + 1);
        told.extend([2 * round, 2 * round + 1]);
        // Answers are large though their requests are not.
        assert_eq!(other.make_bytes(size as u64).await.unwrap().len(), size);
    }
    for (round, (size, echo)) in echoes.into_iter().enumerate() {
        assert_eq!(echo.await.unwrap(), vec![round as u8; size]);
    }
    assert_eq!(fixture.probe.numbers().await.unwrap(), told);
    let has_bulk =
        |service: &RpcService| service.diagnostics().connections.iter().any(|it| it.bulk);
    for _ in 0..1_000 {
        if has_bulk(&fixture.caller) && has_bulk(&fixture.callee) {
            break;
        }
        // It is opened beside.
        fixture.probe.add(0).await.unwrap();
    }
    assert!(has_bulk(&fixture.caller) && has_bulk(&fixture.callee));
    fixture.close().await;
}

// Flink: PekkoRpcActorOversizedResponseMessageTest#testLocalOverSizedResponseMsgAsync,
// #testLocalOverSizedResponseMsgSync, MessageSerializationTest#testNonSerializableLocalMessageTransfer
pub async fn a_gateway_to_the_own_service_moves_values(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::with_limit(make, 32_000).await;
    let own = fixture.own().await;
    assert_eq!(own.make_bytes(64_000).await.unwrap().len(), 64_000);
    let bytes = vec![0; 64_000];
    let place = bytes.as_ptr();
    let echo = own.echo(bytes).await.unwrap();
    assert_eq!((echo.as_ptr(), echo.len()), (place, 64_000));
    let stubborn = Stubborn::new(false, false);
    assert_eq!(own.echo_stubborn(stubborn).await, Ok(stubborn));
    fixture.close().await;
}

/// That 64,000 bytes and what is around them are more than 32,000.
fn assert_too_large(error: &RpcError<impl std::fmt::Display>) {
    assert!(
        matches!(error, RpcError::TooLarge { size, limit: 32_000, .. } if *size > 64_000),
        "{error}"
    );
}
