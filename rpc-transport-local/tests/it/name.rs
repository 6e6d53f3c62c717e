use std::error::Error;
use std::io;

use rpc_core::transport::{Transport, TransportError};
use rpc_transport_local::{LocalConfig, LocalNetwork};

use crate::connected;

#[tokio::test]
async fn a_name_is_taken_once_and_free_again_after_its_listener() {
    let network = LocalNetwork::new();
    let listener = network.bind("a").listen().await.unwrap().unwrap();
    assert_eq!(listener.authority(), "a");

    let refusal = network.bind("a").listen().await.unwrap_err();
    assert!(matches!(refusal, TransportError::Bind { .. }));
    assert_eq!(refusal.to_string(), "cannot listen on local://a");
    assert_eq!(kind(&refusal), io::ErrorKind::AddrInUse);

    drop(listener);
    network.bind("a").listen().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_name_is_the_same_in_capitals() {
    let network = LocalNetwork::new();
    let listener = network.bind("JobManager").listen().await.unwrap().unwrap();
    assert_eq!(listener.authority(), "jobmanager");
    assert!(network.bind("jobmanager").listen().await.is_err());
    for name in ["jobmanager", "JOBMANAGER"] {
        network.dial_only().connect(name).await.unwrap();
    }
    drop(listener);
    network.bind("jobmanager").listen().await.unwrap();
}

#[tokio::test]
async fn names_that_are_given_differ() {
    let network = LocalNetwork::new();
    let one = network.bind_any().listen().await.unwrap().unwrap();
    let two = network.bind_any().listen().await.unwrap().unwrap();
    assert_ne!(one.authority(), two.authority());
}

#[tokio::test]
async fn an_unknown_name_is_refused() {
    let network = LocalNetwork::new();
    let elsewhere = LocalNetwork::new();
    let _listener = elsewhere.bind("a").listen().await.unwrap();

    let refusal = network.dial_only().connect("a").await.unwrap_err();
    assert!(matches!(refusal, TransportError::Connect { .. }));
    assert_eq!(refusal.to_string(), "cannot connect to local://a");
    assert_eq!(kind(&refusal), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_name_that_no_address_can_hold_is_refused() {
    let network = LocalNetwork::new();
    for name in ["", "a/b", "a@b"] {
        let refusal = network.bind(name).listen().await.unwrap_err();
        assert!(matches!(refusal, TransportError::Address { .. }));
    }
}

#[tokio::test]
async fn a_transport_that_only_dials_does_not_listen() {
    let network = LocalNetwork::new();
    assert!(network.dial_only().listen().await.unwrap().is_none());
}

#[tokio::test]
async fn each_side_knows_the_other_by_name() {
    let (dialled, accepted) = connected(LocalConfig::default()).await;
    assert_eq!((dialled.peer(), accepted.peer()), ("a".into(), "b".into()));
}

#[tokio::test]
async fn dialling_waits_for_room_and_fails_once_the_listener_is_gone() {
    let mut config = LocalConfig::default();
    config.accept_backlog = 1;
    let network = LocalNetwork::with_config(config);
    let mut listener = network.bind("a").listen().await.unwrap().unwrap();
    let dialler = network.dial_only();

    let _first = dialler.connect("a").await.unwrap();
    {
        let mut second = Box::pin(dialler.connect("a"));
        assert!(poll_once(&mut second).await.is_none());
        listener.accept().await.unwrap();
        second.await.unwrap();
    }
    let mut third = Box::pin(dialler.connect("a"));
    assert!(poll_once(&mut third).await.is_none());
    drop(listener);
    assert!(matches!(
        third.await.unwrap_err(),
        TransportError::Connect { .. }
    ));
}

/// Polls a future once.
async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    tokio::select! {
        biased;
        ready = future => Some(ready),
        () = std::future::ready(()) => None,
    }
}

fn kind(error: &TransportError) -> io::ErrorKind {
    let source = error.source().unwrap();
    source.downcast_ref::<io::Error>().unwrap().kind()
}
