use std::io;
use std::time::Duration;

use rpc_core::testing::sockets::{self, kind};
use rpc_core::transport::{Transport, TransportError};
use rpc_transport_tcp::{Tcp, TcpConfig};

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
async fn a_connection_may_take_for_ever() {
    let mut config = TcpConfig::default();
    (config.connect_timeout, config.handshake_timeout) = (Duration::MAX, Duration::MAX);
    let mut listener = listen(loopback().config(config.clone())).await;
    connected(&mut *listener, &Tcp::dial_only().config(config)).await;
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
    sockets::services_that_listen_at_once_on_any_port_do_not_collide(loopback).await;
}

// Flink: ActorSystemBootstrapToolsTest#testActorSystemInstantiationFailureWhenPortOccupied
#[tokio::test]
async fn a_service_is_not_made_when_its_only_port_is_in_use() {
    sockets::a_service_is_not_made_when_its_only_port_is_in_use(|it| Tcp::bind(it)).await;
}

// Flink, untested: A14
#[tokio::test]
async fn the_ports_of_a_range_are_tried_in_order_until_one_is_free() {
    sockets::the_ports_of_a_range_are_tried_in_order_until_one_is_free(|it| Tcp::bind(it)).await;
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
    sockets::what_is_no_range_of_ports_is_refused(|it| Tcp::bind(it)).await;
}

// Flink: RpcConnectionTest#testConnectFailure
#[tokio::test]
async fn a_name_that_is_none_fails_to_connect_and_does_not_time_out() {
    sockets::a_name_that_is_none_fails_to_connect_and_does_not_time_out(Tcp::dial_only()).await;
}
