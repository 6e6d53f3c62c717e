//! Services of several names, and names of several services.

use std::sync::Arc;

use rpc_core::testing::{Probe, ProbeGateway};
use rpc_core::transport::Transport;
use rpc_core::{BuildError, ConnectError, RpcError, RpcServer, RpcService};

use crate::pipes::Pipes;
use crate::{pipe, pipes};

fn started(service: &RpcService) -> RpcServer<Probe> {
    let server = service.start_server("probe", Probe::default()).unwrap();
    server.start();
    server
}

async fn connect(service: &RpcService, address: &str) -> Arc<dyn ProbeGateway> {
    service.connect(address).await.unwrap()
}

/// A receiver of Flink's drops what is addressed to another name than the one that it advertises.
// Flink, untested: A15
#[tokio::test]
async fn a_service_is_reached_by_what_it_advertises_and_by_other_names() {
    let bound = pipe();
    let (inner, outer) = (bound.name.clone(), format!("outer-{}", bound.name));
    let behind = Pipes {
        advertised: Some(outer.clone()),
        ..bound
    };
    let callee = RpcService::builder().transport(behind);
    let callee = callee.build().await.unwrap();
    let caller = pipes(RpcService::builder()).await;
    let server = started(&callee);
    let (inner, outer) = (
        format!("pipe://{inner}/probe"),
        format!("pipe://{outer}/probe"),
    );
    assert_eq!(server.address(), outer);
    assert_eq!(connect(&caller, &outer).await.add(1).await, Ok(1));
    assert_eq!(connect(&caller, &inner).await.add(2).await, Ok(3));
    // By whatever name it reaches itself, values are moved.
    for address in [&outer, &inner] {
        let bytes = vec![7; 1000];
        let place = bytes.as_ptr();
        let echo = connect(&callee, address).await.echo(bytes).await.unwrap();
        assert_eq!(echo.as_ptr(), place);
    }
    caller.close().await.unwrap();
    callee.close().await.unwrap();
}

/// Nothing is delivered to another incarnation than the one that a gateway was connected to.
// Flink, untested: A20
#[tokio::test]
async fn a_service_that_has_come_back_is_connected_anew() {
    let name = pipe().name;
    let callee = async || {
        let again = Pipes {
            name: name.clone(),
            ..pipe()
        };
        let builder = RpcService::builder().transport(again);
        builder.build().await.unwrap()
    };
    let caller = pipes(RpcService::builder()).await;
    let first = callee().await;
    let address = started(&first).address();
    let old = connect(&caller, &address).await;
    assert_eq!(old.add(1).await, Ok(1));
    first.close().await.unwrap();
    let gone = caller.connect::<dyn ProbeGateway>(&address).await;
    gone.unwrap_err();

    let second = callee().await;
    let server = started(&second);
    assert_eq!(server.address(), address);
    let new = connect(&caller, &address).await;
    assert_eq!(new.add(2).await, Ok(2));
    let error = old.add(4).await.unwrap_err();
    assert!(
        matches!(
            error,
            RpcError::Disconnected { .. } | RpcError::Unreachable { .. }
        ),
        "{error}"
    );
    assert_eq!(new.numbers().await, Ok(vec![2]));
    caller.close().await.unwrap();
    second.close().await.unwrap();
}

/// Of several implementations Flink loads the one that says it is to be preferred.
// Flink: RpcSystemTest#testRpcSystemPrioritization
#[tokio::test]
async fn the_scheme_of_an_address_chooses_the_transport() {
    let tube = || Pipes {
        scheme: "tube",
        ..pipe()
    };
    let (by_tube, by_pipe) = (tube(), pipe());
    let addresses = [
        format!("pipe://{}/probe", by_pipe.name),
        format!("tube://{}/probe", by_tube.name),
    ];
    let callee = RpcService::builder().transport(by_tube).transport(by_pipe);
    let callee = callee.build().await.unwrap();
    let server = started(&callee);
    // The first by its scheme, whichever was given first.
    assert_eq!(server.address(), addresses[0]);
    let with_pipe = pipes(RpcService::builder()).await;
    let with_tube = RpcService::builder().transport(tube());
    let with_tube = with_tube.build().await.unwrap();
    for (caller, reached, missing) in [
        (&with_pipe, &addresses[0], &addresses[1]),
        (&with_tube, &addresses[1], &addresses[0]),
    ] {
        connect(caller, reached).await.add(1).await.unwrap();
        let error = caller.connect::<dyn ProbeGateway>(missing).await;
        let none = matches!(error, Err(ConnectError::NoTransport { .. }));
        assert!(none, "{error:?}");
    }
    for service in [with_pipe, with_tube, callee] {
        service.close().await.unwrap();
    }
    let twice = RpcService::builder().transport(tube()).transport(tube());
    let error = twice.build().await.unwrap_err();
    assert!(
        matches!(error, BuildError::Twice { scheme: "tube" }),
        "{error}"
    );
}

// Flink: PekkoRpcSystemLoaderITCase#testServiceLoadingWithDefaultConfig
#[tokio::test]
async fn a_transport_may_be_chosen_while_the_program_runs() {
    let choices: [Arc<dyn Transport>; 2] = [
        Arc::new(pipe()),
        Arc::new(Pipes {
            scheme: "tube",
            ..pipe()
        }),
    ];
    for chosen in choices {
        let scheme = chosen.scheme();
        let builder = RpcService::builder().transport(chosen);
        let service = builder.build().await.unwrap();
        assert!(service.address_of("probe").starts_with(scheme));
        let server = started(&service);
        let probe = connect(&service, &server.address()).await;
        assert_eq!(probe.add(1).await, Ok(1));
        service.close().await.unwrap();
    }
}
