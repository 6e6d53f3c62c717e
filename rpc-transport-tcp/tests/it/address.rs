use std::error::Error;
use std::io;
use std::time::Duration;

use rpc_core::transport::{Listener, Transport, TransportError};
use rpc_core::{BuildError, ConnectError, RpcConfig, RpcService};
use rpc_transport_tcp::Tcp;
use tokio::task::JoinSet;

use crate::{connected, echo, listen, loopback};

#[tokio::test]
async fn a_port_in_use_is_named_with_its_cause() {
    let listener = listen(loopback()).await;
    let authority = listener.authority();
    let refusal = Tcp::bind(&authority).listen().await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("cannot listen on tcp://{authority}")
    );
    assert_eq!(kind(&refusal), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let authority = listen(loopback()).await.authority();
    let refusal = Tcp::dial_only().connect(&authority).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("cannot connect to tcp://{authority}")
    );
    assert_eq!(kind(&refusal), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    for text in ["nowhere", "nowhere:port", ":1", "::1:1"] {
        let dialled = Tcp::dial_only().connect(text).await.unwrap_err();
        assert!(matches!(dialled, TransportError::Address { .. }));
        let bound = Tcp::bind(text).listen().await.unwrap_err();
        assert!(matches!(bound, TransportError::Address { .. }));
    }
    // Never a name, by RFC 6761.
    let unknown = Tcp::dial_only().connect("nowhere.invalid:1").await;
    assert!(matches!(
        unknown.unwrap_err(),
        TransportError::Connect { .. }
    ));
}

// Flink, untested: A15
#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // The name has the IPv6 address as well on most hosts, where nobody listens.
    let mut listener = listen(loopback().advertise("localhost:0")).await;
    assert!(listener.authority().starts_with("localhost:"));
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    let ours = dialled.open_stream().await.unwrap();
    echo(ours, accepted.accept_stream().await.unwrap()).await;
}

#[tokio::test]
async fn only_loopback_is_bound_without_certificates() {
    let exposed = Tcp::bind("0.0.0.0:0").advertise("127.0.0.1:0");
    let refusal = exposed.listen().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Config { .. }));
    assert!(refusal.to_string().contains("insecure"), "{refusal}");

    let mut listener = listen(exposed.insecure()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    let ours = dialled.open_stream().await.unwrap();
    echo(ours, accepted.accept_stream().await.unwrap()).await;
}

#[tokio::test]
async fn every_interface_is_no_address_to_be_reached_by() {
    let refusal = Tcp::bind("0.0.0.0:0").insecure().listen().await;
    let refusal = refusal.unwrap_err();
    assert!(matches!(refusal, TransportError::Config { .. }));
    assert!(refusal.to_string().contains("advertise"), "{refusal}");
}

#[tokio::test]
async fn a_transport_that_only_dials_does_not_listen() {
    assert!(Tcp::dial_only().listen().await.unwrap().is_none());
}

// Flink: ActorSystemBootstrapToolsTest#testConcurrentActorSystemCreation
#[tokio::test]
async fn services_that_listen_at_once_on_any_port_do_not_collide() {
    let mut listening = JoinSet::new();
    for _ in 0..10 {
        listening.spawn(async { RpcService::builder().transport(loopback()).build().await });
    }
    let services = listening.join_all().await;
    assert!(services.iter().all(Result::is_ok), "{services:?}");
}

// Flink: ActorSystemBootstrapToolsTest#testActorSystemInstantiationFailureWhenPortOccupied
#[tokio::test]
async fn a_service_is_not_made_when_its_only_port_is_in_use() {
    let listener = listen(loopback()).await;
    let tcp = Tcp::bind(listener.authority());
    let refusal = RpcService::builder().transport(tcp).build().await;
    let Err(BuildError::Transport(refusal)) = refusal else {
        panic!("the port is bound twice");
    };
    assert_eq!(kind(&refusal), io::ErrorKind::AddrInUse);
}

// Flink, untested: A14
#[tokio::test]
async fn the_ports_of_a_range_are_tried_in_order_until_one_is_free() {
    let (first, second) = (listen(loopback()).await, listen(loopback()).await);
    let port = |it: &dyn Listener| it.authority().rsplit(':').next().unwrap().to_owned();
    let (one, two) = (port(&*first), port(&*second));

    let taken = format!("127.0.0.1:{one}-{one},{two}");
    let refusal = Tcp::bind(&taken).listen().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Bind { .. }));
    assert!(refusal.to_string().contains(&taken), "{refusal}");
    assert_eq!(kind(&refusal), io::ErrorKind::AddrInUse);

    let last_is_free = listen(Tcp::bind(format!("{taken},0"))).await;
    assert!(![one, two].contains(&port(&*last_is_free)));
}

/// That nobody may bind a port is no reason to try the next one.
#[tokio::test]
async fn only_a_port_in_use_has_the_next_one_tried() {
    // An address of documentation, by RFC 5737, which is none of this host.
    let elsewhere = Tcp::bind("192.0.2.1:0,50100-50200").insecure();
    let refusal = elsewhere.listen().await.unwrap_err();
    assert_eq!(kind(&refusal), io::ErrorKind::AddrNotAvailable);
}

// Flink, untested: A14
#[tokio::test]
async fn what_is_no_range_of_ports_is_refused() {
    for text in ["127.0.0.1:2-1", "127.0.0.1:1-x", "127.0.0.1:1,"] {
        let refusal = Tcp::bind(text).listen().await.unwrap_err();
        assert!(matches!(refusal, TransportError::Address { .. }));
        assert!(refusal.to_string().contains(text), "{refusal}");
    }
}

// Flink: RpcConnectionTest#testConnectFailure
#[tokio::test]
async fn a_name_that_is_none_fails_to_connect_and_does_not_time_out() {
    let mut config = RpcConfig::default();
    config.connect_timeout = Duration::from_secs(10_000_000);
    let service = RpcService::builder()
        .transport(Tcp::dial_only())
        .config(config);
    let service = service.build().await.unwrap();
    let address = "tcp://foo.bar.com.test.invalid:6123/endpoint";
    let refusal = service.open_channel(address).await.unwrap_err();
    assert!(matches!(refusal, ConnectError::Transport(_)), "{refusal:?}");
    assert!(
        refusal
            .to_string()
            .contains("foo.bar.com.test.invalid:6123"),
        "{refusal}"
    );
}

fn kind(error: &TransportError) -> io::ErrorKind {
    let source = error.source().unwrap();
    source.downcast_ref::<io::Error>().unwrap().kind()
}
