use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use rpc_core::testing::sockets::{self, kind};
use rpc_core::transport::{Transport, TransportError};
use rpc_transport_quic::{Certificates, Quic, QuicConfig};

use crate::{cause, connected, echo, is_config, listen, loopback};

#[tokio::test]
async fn a_port_in_use_is_named_with_its_cause() {
    let server = loopback();
    let listener = listen(&server).await;
    let authority = listener.authority();
    let refusal = Quic::bind(&authority).insecure().listen().await;
    let refusal = refusal.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("cannot listen on quic://{authority}")
    );
    assert_eq!(kind(&refusal), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_transport_that_listens_dials_from_the_same_port() {
    let (one, two) = (loopback(), loopback());
    let mut listener = listen(&one).await;
    let dialler = listen(&two).await;
    let (_ours, theirs) = connected(listener.as_mut(), &two).await;
    assert_eq!(theirs.0.peer(), dialler.authority());
}

#[tokio::test]
async fn a_transport_that_only_dials_keeps_one_port() {
    let server = loopback();
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    assert!(client.listen().await.unwrap().is_none());
    let (_first, one) = connected(listener.as_mut(), &client).await;
    let (_second, two) = connected(listener.as_mut(), &client).await;
    assert_eq!(one.0.peer(), two.0.peer());
}

#[tokio::test]
async fn connections_outlive_their_listener() {
    let server = loopback();
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;
    drop((listener, server));
    echo(&mut ours.1, &mut theirs.1).await;
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let authority = silent.local_addr().unwrap().to_string();
    let mut config = QuicConfig::default();
    config.connect_timeout = Duration::from_millis(10);
    let client = Quic::dial_only().insecure().config(config);

    let refusal = client.connect(&authority).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("cannot connect to quic://{authority}")
    );
    assert!(cause(&refusal).contains("in time"), "{refusal:?}");
}

#[tokio::test]
async fn a_connection_may_take_for_ever() {
    let mut config = QuicConfig::default();
    (config.connect_timeout, config.handshake_timeout) = (Duration::MAX, Duration::MAX);
    let server = loopback().config(config.clone());
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure().config(config);
    connected(listener.as_mut(), &client).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up() {
    let mut config = QuicConfig::default();
    config.handshake_timeout = Duration::ZERO;
    let server = loopback().config(config);
    let mut listener = listen(&server).await;
    let address = listener.authority();
    let client = Quic::dial_only().insecure();
    // The dialler may have finished its half.
    let (_dialled, accepted) = tokio::join!(client.connect(&address), async {
        listener.accept().await.unwrap().accept_stream().await
    });
    assert!(cause(&accepted.unwrap_err()).contains("too long"));
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    for text in ["nowhere", "nowhere:port", ":1", "::1:1"] {
        let dialled = Quic::dial_only().insecure().connect(text).await;
        assert!(matches!(
            dialled.unwrap_err(),
            TransportError::Address { .. }
        ));
        let bound = Quic::bind(text).insecure().listen().await;
        assert!(matches!(bound.unwrap_err(), TransportError::Address { .. }));
    }
}

// Flink, untested: A15
#[tokio::test]
async fn another_address_may_be_advertised() {
    let server = loopback().advertise("localhost:0");
    let mut listener = listen(&server).await;
    assert!(listener.authority().starts_with("localhost:"));
    let mut config = QuicConfig::default();
    // The name has the IPv6 address as well on many hosts, where nobody answers.
    config.connect_timeout = Duration::from_secs(1);
    let client = Quic::dial_only().insecure().config(config);
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;
    echo(&mut ours.1, &mut theirs.1).await;
}

#[tokio::test]
async fn nothing_but_loopback_is_insecure() {
    let bound = Quic::bind("0.0.0.0:0").insecure().listen().await;
    assert!(is_config(&bound.unwrap_err()));
    // An address of documentation, by RFC 5737.
    let dialled = Quic::dial_only().insecure().connect("192.0.2.1:1").await;
    let refusal = dialled.unwrap_err();
    assert!(is_config(&refusal));
    assert!(refusal.to_string().contains("mtls"), "{refusal}");
}

// Flink: ActorSystemBootstrapToolsTest#testConcurrentActorSystemCreation
#[tokio::test]
async fn services_that_listen_at_once_on_any_port_do_not_collide() {
    sockets::services_that_listen_at_once_on_any_port_do_not_collide(loopback).await;
}

// Flink: ActorSystemBootstrapToolsTest#testActorSystemInstantiationFailureWhenPortOccupied
#[tokio::test]
async fn a_service_is_not_made_when_its_only_port_is_in_use() {
    sockets::a_service_is_not_made_when_its_only_port_is_in_use(|it| Quic::bind(it).insecure())
        .await;
}

// Flink, untested: A14
#[tokio::test]
async fn the_ports_of_a_range_are_tried_in_order_until_one_is_free() {
    sockets::the_ports_of_a_range_are_tried_in_order_until_one_is_free(|it| {
        Quic::bind(it).insecure()
    })
    .await;
}

/// That nobody may bind a port is no reason to try the next one.
#[tokio::test]
async fn only_a_port_in_use_has_the_next_one_tried() {
    // An address of documentation, by RFC 5737, which is none of this host.
    let elsewhere =
        Quic::bind("192.0.2.1:0,50100-50200").mtls(Certificates::generate(&[]).unwrap());
    let refusal = elsewhere.listen().await.unwrap_err();
    assert_eq!(kind(&refusal), io::ErrorKind::AddrNotAvailable);
}

// Flink, untested: A14
#[tokio::test]
async fn what_is_no_range_of_ports_is_refused() {
    sockets::what_is_no_range_of_ports_is_refused(|it| Quic::bind(it).insecure()).await;
}

// Flink: RpcConnectionTest#testConnectFailure
#[tokio::test]
async fn a_name_that_is_none_fails_to_connect_and_does_not_time_out() {
    sockets::a_name_that_is_none_fails_to_connect_and_does_not_time_out(
        Quic::dial_only().insecure(),
    )
    .await;
}
