//! What goes wrong, and how the caller hears of it.

use std::sync::Arc;

use super::Fixture;
use crate::testing::{Chain, Probe, ProbeError, ProbeGateway, Stubborn};
use crate::{EndpointError, Failure, RpcError, RpcService, RpcServiceBuilder};

// Flink: PekkoRpcActorTest#testExceptionPropagation
pub async fn a_typed_refusal_arrives_as_a_value(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let refusal = fixture.probe.refuse(String::from("no")).await;
    let why = String::from("no");
    assert_eq!(refusal, Err(RpcError::App(ProbeError::Refused { why })));
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

// Flink: PekkoRpcActorTest#testExceptionPropagationFuturePiping
pub async fn a_refusal_may_come_later_from_elsewhere(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let why = String::from("no");
    let refused = Err(RpcError::App(ProbeError::Refused { why: why.clone() }));
    for probe in fixture.gateways().await {
        assert_eq!(probe.refuse_later(why.clone()).await, refused);
    }
    fixture.close().await;
}

// Flink: PekkoRpcActorTest#testExceptionPropagation
pub async fn a_failure_keeps_its_causes(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let texts = ["what", "why"].map(String::from);
    let failure = RpcError::Failed(Failure::from_texts(texts.clone()));
    for probe in fixture.gateways().await {
        let [what, why] = texts.clone();
        assert_eq!(probe.fail(what, why).await, Err(failure.clone()));
    }
    fixture.close().await;
}

/// What is no message at all does not compile; this is found out only when it is encoded.
// Flink: MessageSerializationTest#testNonSerializableRemoteMessageTransfer
pub async fn an_argument_that_cannot_be_encoded_fails_its_call_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let call = fixture.probe.echo_stubborn(Stubborn::new(false, true));
    let error = call.without_timeout().await.unwrap_err();
    assert!(
        matches!(&error, RpcError::Codec { method, response: false, .. } if method == "ProbeGateway::echo_stubborn"),
        "{error:?}"
    );
    let why = "it does not want to be encoded";
    assert!(error.to_string().contains(why), "{error}");
    // Nothing of it was sent, and the connection bears the next call.
    assert_eq!(fixture.probe.numbers().await, Ok(vec![]));
    fixture.close().await;
}

pub async fn an_argument_that_cannot_be_decoded_fails_its_call(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let call = fixture.probe.echo_stubborn(Stubborn::new(true, false));
    let error = call.without_timeout().await.unwrap_err();
    assert!(
        matches!(&error, RpcError::Codec { method, response: false, .. } if method == "ProbeGateway::echo_stubborn"),
        "{error:?}"
    );
    assert_eq!(fixture.probe.numbers().await, Ok(vec![]));
    fixture.close().await;
}

/// Java's serialization overflows the stack.
pub async fn a_value_that_is_nested_too_deep_fails_its_call(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    const MANY: u64 = 1_000_000;
    let fixture = Fixture::new(make).await;
    let chain = fixture.probe.lengthen(Chain::default(), 60).await.unwrap();
    assert_eq!(chain.links(), 60);
    let long = fixture.probe.lengthen(chain.lengthened(MANY), 0);
    let grown = fixture.probe.lengthen(Chain::default(), MANY);
    for (call, is_answer) in [(long, false), (grown, true)] {
        let error = call.without_timeout().await.unwrap_err();
        assert!(
            matches!(&error, RpcError::Codec { response, .. } if *response == is_answer),
            "{error:?}"
        );
        let why = "it is nested deeper than 128 levels";
        assert!(error.to_string().ends_with(why), "{error}");
    }
    // Within a service it is moved.
    let own = fixture.own().await;
    let chain = own.lengthen(Chain::default(), MANY).await.unwrap();
    assert_eq!(chain.links(), MANY);
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

// Flink: PekkoRpcActorTest#testResultFutureFailsOnDeserializationError
pub async fn an_answer_that_cannot_be_decoded_fails_its_call(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let call = fixture.probe.make_stubborn(true, false);
    let error = call.without_timeout().await.unwrap_err();
    assert!(
        matches!(&error, RpcError::Codec { method, response: true, .. } if method == "ProbeGateway::make_stubborn"),
        "{error:?}"
    );
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

// Flink, untested: A22
pub async fn an_answer_that_cannot_be_encoded_fails_its_call(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let call = fixture.probe.make_stubborn(false, true);
    let error = call.without_timeout().await.unwrap_err();
    assert!(matches!(error, RpcError::Codec { .. }), "{error:?}");
    let call = fixture.probe.refuse_unsayably();
    let error = call.without_timeout().await.unwrap_err();
    assert!(matches!(error, RpcError::Codec { .. }), "{error:?}");
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

/// In Flink an exception that escapes an endpoint ends its siblings, and the whole actor system.
// Flink: SupervisorActorTest#completesTerminationFutureExceptionallyIfActorFails,
// #completesTerminationFutureOfSiblingsIfActorFails,
// PekkoActorSystemTest#shutsDownOnActorFailure
pub async fn a_panic_fails_its_call_and_its_endpoint_only(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let other = fixture.callee.start_server("other", Probe::default());
    let other = other.unwrap();
    other.start();
    let error = fixture.probe.panic().await.unwrap_err();
    assert!(matches!(error, RpcError::Panicked { .. }), "{error}");
    let ended = fixture.server.terminated().await;
    assert!(
        matches!(ended, Err(EndpointError::Panicked { .. })),
        "{ended:?}"
    );
    fixture.signals.stopped.notified().await;
    let probe: Arc<dyn ProbeGateway> = fixture.caller.connect(&other.address()).await.unwrap();
    assert_eq!(probe.add(2).await, Ok(2));
    fixture.close().await;
}
