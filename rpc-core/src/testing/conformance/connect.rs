//! From an address to a gateway.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::testing::{Probe, ProbeGateway};
use crate::{ConnectError, RpcConfig, RpcServer, RpcService, RpcServiceBuilder, StartError};

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

// Flink: PekkoRpcActorTest#testFailingAddressResolution
pub async fn an_address_that_leads_nowhere_fails_at_once(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let config = RpcConfig {
        // Not by this.
        connect_timeout: Duration::MAX,
        ..RpcConfig::default()
    };
    let fixture = Fixture::with_config(make, config).await;
    let connect = async |address| {
        let connected = fixture.caller.connect::<dyn ProbeGateway>(address).await;
        connected.unwrap_err()
    };
    let error = connect("foobar").await;
    assert_eq!(error.to_string(), "there is no endpoint foobar");
    let error = connect("foo bar").await;
    assert!(matches!(error, ConnectError::Address(_)), "{error}");
    let error = connect("carrier-pigeon://roof/probe").await;
    assert!(matches!(error, ConnectError::Address(_)), "{error}");
    let error = connect("pigeon://roof/probe").await;
    assert!(
        matches!(&error, ConnectError::NoTransport { scheme, .. } if scheme == "pigeon"),
        "{error}"
    );
    fixture.close().await;
}

// Flink: PekkoRpcActorTest#resolvesRunningRpcActor
// Flink, untested: A25
pub async fn a_wildcard_finds_the_first_endpoint_of_its_prefix(
    make: &impl AsyncFn(RpcServiceBuilder) -> RpcService,
) {
    let fixture = Fixture::new(make).await;
    let worker = |name, number| -> RpcServer<Probe> {
        let server = fixture.callee.start_server(name, Probe::default()).unwrap();
        server.start();
        server.gateway::<dyn ProbeGateway>().tell(number);
        server
    };
    let (second, first) = (worker("worker_1", 1), worker("worker_0", 0));
    let pattern = fixture.callee.address_of("worker_*");
    let found = async || {
        let mut numbers = Vec::new();
        for service in [&fixture.callee, &fixture.caller] {
            let found: Arc<dyn ProbeGateway> = service.connect(&pattern).await.unwrap();
            numbers.push(found.numbers().await.unwrap());
        }
        numbers
    };
    // Of several it is the first by name, whichever was made first.
    assert_eq!(found().await, [[0], [0]]);
    first.close().await.unwrap();
    assert_eq!(found().await, [[1], [1]]);
    second.close().await.unwrap();
    for service in [&fixture.callee, &fixture.caller] {
        let none = service.connect::<dyn ProbeGateway>(&pattern).await;
        assert!(
            matches!(&none, Err(ConnectError::NoEndpoint { address }) if *address == pattern),
            "{none:?}"
        );
    }
    // The whole name is a prefix of itself, and no name is a pattern.
    let whole = fixture.callee.address_of("probe*");
    let whole: Arc<dyn ProbeGateway> = fixture.caller.connect(&whole).await.unwrap();
    assert_eq!(whole.add(1).await, Ok(1));
    let named = fixture.callee.start_server("worker_*", Probe::default());
    assert!(matches!(named, Err(StartError::Name(_))), "{named:?}");
    fixture.close().await;
}
