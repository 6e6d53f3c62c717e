//! The cases of the suite, each a promise of the semantics. They panic when it is not kept.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a case that meets an error has failed, and its name says what it shows"
)]

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::probe::Signals;
use super::{FencedProbeGateway, Probe, ProbeError, ProbeGateway};
use crate::{
    ConnectError, EndpointError, FencingToken, Outcome, RpcConfig, RpcError, RpcServer, RpcService,
    RpcServiceBuilder, StartError,
};

/// Two services that reach each other, a probe in the first, and a gateway from the second.
struct Fixture {
    callee: RpcService,
    caller: RpcService,
    server: RpcServer<Probe>,
    signals: Signals,
    probe: Arc<dyn ProbeGateway>,
}

impl Fixture {
    async fn new(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) -> Self {
        Self::with_config(make, RpcConfig::default()).await
    }

    async fn with_config(
        make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
        config: RpcConfig,
    ) -> Self {
        let callee = make(RpcService::builder().config(config.clone())).await;
        let caller = make(RpcService::builder().config(config)).await;
        let (probe, signals) = Probe::new();
        let server = callee.start_server("probe", probe).unwrap();
        server.start();
        let probe = caller.connect(&server.address()).await.unwrap();
        Self {
            callee,
            caller,
            server,
            signals,
            probe,
        }
    }

    async fn close(self) {
        self.caller.close().await.unwrap();
        self.callee.close().await.unwrap();
    }
}

pub async fn a_call_is_answered(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    // Flink: PekkoRpcActorTest#testAddressResolution
    assert_eq!(fixture.probe.address(), fixture.server.address());
    assert_eq!(fixture.probe.add(20).await, Ok(20));
    assert_eq!(fixture.probe.add(22).await, Ok(42));
    let bytes = vec![1; 1 << 20];
    assert_eq!(fixture.probe.echo(bytes.clone()).await, Ok(bytes));
    fixture.close().await;
}

// Flink: PekkoRpcActorTest#testMessageDiscarding
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

// Flink: FencedRpcEndpointTest#testFencing, #testRemoteAndSelfGateways
pub async fn tokens_fence_out_old_leaders(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let Fixture {
        callee,
        caller,
        server,
        probe,
        ..
    } = Fixture::new(make).await;
    let (old, new) = (FencingToken::new(1), FencingToken::new(2));
    let address = server.address();
    let by_old: Arc<dyn FencedProbeGateway> = caller.connect_fenced(&address, old).await.unwrap();
    let by_new: Arc<dyn FencedProbeGateway> = caller.connect_fenced(&address, new).await.unwrap();
    assert_eq!(by_new.fencing_token(), new);
    let fenced = |expected, got| Err(RpcError::Fenced { expected, got });

    // Without a token everybody is fenced out.
    assert_eq!(by_old.fenced_add(1).await, fenced(None, Some(old)));
    let lead = |token| {
        server
            .main_thread()
            .call_async_without_fencing(move |_, cx| cx.set_fencing_token(token))
    };
    lead(Some(old)).await.unwrap().unwrap();
    assert_eq!(by_old.fenced_add(2).await, Ok(2));
    assert_eq!(by_new.fenced_add(3).await, fenced(Some(old), Some(new)));
    lead(Some(new)).await.unwrap().unwrap();
    by_old.fenced_tell(4);
    assert_eq!(by_old.fenced_add(5).await, fenced(Some(new), Some(old)));
    assert_eq!(by_new.fenced_add(6).await, Ok(8));
    // Whoever hears late of its election does not depose its successor.
    lead(Some(old)).await.unwrap().unwrap_err();
    assert_eq!(by_old.fenced_add(7).await, fenced(Some(new), Some(old)));
    assert_eq!(probe.numbers().await, Ok(vec![2, 6]));
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}

// Flink: PekkoRpcActorHandshakeTest#testWrongGatewayEndpointConnection
pub async fn a_missing_endpoint_or_gateway_is_named(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let missing = fixture.callee.address_of("missing");
    let error = fixture.caller.connect::<dyn ProbeGateway>(&missing).await;
    assert!(
        matches!(&error, Err(ConnectError::NoEndpoint { address }) if *address == missing),
        "{error:?}"
    );
    let server = fixture.callee.start_server("other", Other).unwrap();
    let error = fixture
        .caller
        .connect::<dyn ProbeGateway>(&server.address())
        .await;
    assert!(
        matches!(&error, Err(ConnectError::NoGateway { gateway, .. }) if *gateway == "ProbeGateway"),
        "{error:?}"
    );
    fixture.close().await;
}

/// An endpoint that serves something else.
struct Other;

impl crate::RpcEndpoint for Other {
    type Gateways = crate::gateways![OtherGateway];
}

#[crate::rpc_gateway]
#[expect(dead_code, reason = "nobody calls it")]
trait OtherGateway {
    fn nothing(&self);
}

#[crate::rpc_endpoint(OtherGateway)]
impl Other {
    fn nothing(&self) {}
}

// Flink: MessageSerializationTest#testMaximumFramesizeRemoteMessageTransfer
pub async fn a_call_that_is_too_large_fails_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        frame_bytes_max: 32_000,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    // Without a time-out: only a failure at once ends this.
    let call = fixture.probe.echo(vec![0; 64_000]).without_timeout();
    let error = call.await.unwrap_err();
    assert!(
        matches!(&error, RpcError::TooLarge { size, limit: 32_000, .. } if *size > 64_000),
        "{error}"
    );
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

// Flink: PekkoRpcActorOversizedResponseMessageTest#testOverSizedResponseMsgAsync
pub async fn a_response_that_is_too_large_fails_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        frame_bytes_max: 32_000,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let call = fixture.probe.make_bytes(64_000).without_timeout();
    let error = call.await.unwrap_err();
    assert!(
        matches!(&error, RpcError::TooLarge { limit: 32_000, .. }),
        "{error}"
    );
    assert_eq!(fixture.probe.add(1).await, Ok(1));
    fixture.close().await;
}

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

// Flink: RemotePekkoRpcActorTest#failsRpcResultImmediatelyIfEndpointIsStopped
pub async fn a_closed_endpoint_is_unreachable(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let hangs = fixture.probe.hang().without_timeout();
    fixture.signals.hanging.notified().await;
    fixture.server.close().await.unwrap();
    let error = hangs.await.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected { .. }), "{error}");
    let error = fixture.probe.add(1).without_timeout().await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    fixture.close().await;
}

// Flink: RemotePekkoRpcActorTest#failsRpcResultImmediatelyIfRemoteRpcServiceIsNotAvailable
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

// Flink: PekkoRpcServiceTest#testRpcServiceShutDownWithRpcEndpoints
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

// Flink: PekkoRpcActorTest#canReuseEndpointNameAfterTermination
pub async fn a_name_can_be_used_again(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let taken = fixture.callee.start_server("probe", Probe::default());
    assert!(matches!(taken, Err(StartError::Taken { .. })), "{taken:?}");
    fixture.server.close().await.unwrap();
    let again = fixture
        .callee
        .start_server("probe", Probe::default())
        .unwrap();
    again.start();
    assert_eq!(again.address(), fixture.server.address());
    // The old gateway does not reach the new endpoint.
    let error = fixture.probe.add(1).await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    let probe: Arc<dyn ProbeGateway> = fixture.caller.connect(&again.address()).await.unwrap();
    assert_eq!(probe.add(2).await, Ok(2));
    fixture.close().await;
}

pub async fn a_panic_fails_its_call_and_its_endpoint_only(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let other = fixture
        .callee
        .start_server("other", Probe::default())
        .unwrap();
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

pub async fn a_gateway_to_the_own_service_moves_values(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        frame_bytes_max: 32_000,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let own: Arc<dyn ProbeGateway> = fixture
        .callee
        .connect(&fixture.server.address())
        .await
        .unwrap();
    // Flink: PekkoRpcActorOversizedResponseMessageTest#testLocalOverSizedResponseMsgAsync
    let bytes = vec![0; 64_000];
    assert_eq!(own.echo(bytes.clone()).await, Ok(bytes));
    fixture.close().await;
}

pub async fn a_cluster_of_another_name_is_refused(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let stranger = make(RpcService::builder().cluster("another")).await;
    let address = fixture.server.address();
    let error = stranger.connect::<dyn ProbeGateway>(&address).await;
    assert!(
        matches!(error, Err(ConnectError::Handshake { .. })),
        "{error:?}"
    );
    fixture.close().await;
}

pub async fn channels_carry_bytes(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let mut channels = fixture.callee.accept_channels("bulk").unwrap();
    let address = fixture.callee.address_of("bulk");
    let mut ours = fixture.caller.open_channel(&address).await.unwrap();
    let mut theirs = channels.accept().await.unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|it| it as u8).collect();
    let echo = tokio::spawn(async move {
        tokio::io::copy(&mut theirs.reader, &mut theirs.writer)
            .await
            .unwrap();
        theirs.writer.shutdown().await.unwrap();
    });
    let mut writer = ours.writer;
    let bytes = sent.clone();
    let write = tokio::spawn(async move {
        writer.write_all(&bytes).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut received = Vec::new();
    ours.reader.read_to_end(&mut received).await.unwrap();
    assert!(received == sent, "{} bytes came back", received.len());
    write.await.unwrap();
    echo.await.unwrap();
    fixture.close().await;
}

pub async fn a_missing_channel_is_refused(make: &impl AsyncFn(RpcServiceBuilder) -> RpcService) {
    let fixture = Fixture::new(make).await;
    let address = fixture.callee.address_of("missing");
    let error = fixture.caller.open_channel(&address).await;
    assert!(
        matches!(error, Err(ConnectError::NoEndpoint { .. })),
        "{error:?}"
    );
    fixture.close().await;
}
