//! Calls, their arguments and their answers.

use std::sync::Arc;

use super::Fixture;
use crate::frame::{FrameBuffer, Header, Kind};
use crate::testing::{Probe, ProbeGateway};
use crate::{Address, Never, RpcError, RpcService, RpcServiceBuilder, codec};

// Flink: PekkoRpcActorHandshakeTest#testVersionMatchBetweenRpcComponents,
// MessageSerializationTest#testSerializableRemoteMessageTransfer
pub async fn a_call_is_answered(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    assert_eq!(fixture.probe.add(20).await, Ok(20));
    assert_eq!(fixture.probe.add(22).await, Ok(42));
    let bytes = vec![1; 1 << 20];
    assert_eq!(fixture.probe.echo(bytes.clone()).await, Ok(bytes));
    fixture.close().await;
}

// Flink: PekkoRpcActorTest#testAddressResolution, PekkoRpcServiceTest#testGetAddress, #testGetPort
pub async fn a_gateway_has_the_address_of_its_endpoint(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let callee = make(RpcService::builder()).await;
    let caller = make(RpcService::builder()).await;
    // It is not started, and is found all the same.
    let server = callee.start_server("probe", Probe::default()).unwrap();
    assert_eq!(server.address(), callee.address_of("probe"));
    let probe: Arc<dyn ProbeGateway> = caller.connect(&server.address()).await.unwrap();
    assert_eq!(probe.address(), server.address());
    let address: Address = server.address().parse().unwrap();
    assert_eq!(address.endpoint(), "probe");
    assert_eq!(probe.hostname(), address.hostname());
    // Bound to any port, it tells which.
    assert!(!address.authority().ends_with(":0"), "{address}");
    assert_ne!(callee.address_of("probe"), caller.address_of("probe"));
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}

// Flink: SyncCallsTest#testSimpleLocalSyncCall, #testSimpleRemoteSyncCall,
// PekkoRpcActorOversizedResponseMessageTest#testNormalSizedResponseMsgSync,
// PekkoRpcActorTest#canRespondWithSynchronousNullValueLocally,
// RemotePekkoRpcActorTest#canRespondWithSynchronousNullValueRemotely
pub async fn a_blocking_thread_may_wait_for_a_call(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    for probe in fixture.gateways().await {
        let runtime = tokio::runtime::Handle::current();
        let blocking = tokio::task::spawn_blocking(move || {
            let hello = runtime.block_on(probe.echo(b"Hello".to_vec()));
            (hello, runtime.block_on(probe.maybe(None)))
        });
        let answers = blocking.await.unwrap();
        assert_eq!(answers, (Ok(b"Hello".to_vec()), Ok(None)));
    }
    fixture.close().await;
}

// Flink: PekkoRpcActorTest#canRespondWithNullValueLocally,
// RemotePekkoRpcActorTest#canRespondWithNullValueRemotely
pub async fn nothing_is_an_answer_too(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    for probe in fixture.gateways().await {
        assert_eq!(probe.maybe(None).await, Ok(None));
        let empty = Some(String::new());
        assert_eq!(probe.maybe(empty.clone()).await, Ok(empty));
    }
    fixture.close().await;
}

/// Bytes that mean something to the runtime mean nothing to it as a value.
// Flink: PekkoRpcActorTest#canRespondWithSerializedValueLocally,
// RemotePekkoRpcActorTest#canRespondWithSerializedValueRemotely
pub async fn bytes_that_are_encoded_already_pass_unchanged(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let header = Header::new(Kind::Response, 1);
    let mut frame = FrameBuffer::default();
    frame.put(&header, &Some("value"), 1 << 10).unwrap();
    let frame = frame.take().to_vec();
    let mut error = Vec::new();
    let panicked = RpcError::<Never>::Panicked {
        endpoint: String::from("probe"),
    };
    codec::encode(&panicked, &mut error).unwrap();
    for probe in fixture.gateways().await {
        for bytes in [&frame[..], &error[..], &[]] {
            assert_eq!(probe.echo(bytes.to_vec()).await, Ok(bytes.to_vec()));
        }
    }
    fixture.close().await;
}

// Flink, untested: A17
pub async fn calls_are_handled_in_order(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let calls: Vec<_> = (0..1000).map(|number| fixture.probe.add(number)).collect();
    for call in calls {
        call.await.unwrap();
    }
    let numbers = fixture.probe.numbers().await.unwrap();
    assert_eq!(numbers, Vec::from_iter(0..1000));
    fixture.close().await;
}

pub async fn one_way_calls_arrive_in_order(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    for number in 0..1000 {
        fixture.probe.tell(number);
    }
    let numbers = fixture.probe.numbers().await.unwrap();
    assert_eq!(numbers, Vec::from_iter(0..1000));
    fixture.close().await;
}

pub async fn many_calls_are_under_way_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let probe = Arc::clone(&fixture.probe);
            tokio::spawn(async move {
                for _ in 0..50 {
                    probe.add(1).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(fixture.probe.add(0).await, Ok(64 * 50));
    fixture.close().await;
}

pub async fn a_deferred_answer_arrives(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let waits: Vec<_> = (0..10).map(|_| fixture.probe.wait()).collect();
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.probe.release(42);
    for waits in waits {
        assert_eq!(waits.await, Ok(42));
    }
    fixture.close().await;
}

pub async fn a_handler_may_call_back_its_caller(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let relay = fixture
        .caller
        .start_server("relay", Probe::default())
        .unwrap();
    relay.start();
    let gateway: Arc<dyn ProbeGateway> = relay.gateway();
    // The relay asks the probe, which asks the relay, which is waiting for the probe.
    let relayed = gateway.relay(fixture.server.address(), 1).await;
    assert_eq!(relayed, Ok(1));
    let both_ways = fixture.probe.relay(relay.address(), 5);
    assert_eq!(both_ways.await, Ok(5));
    fixture.close().await;
}
