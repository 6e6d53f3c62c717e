use rpc_core::transport::{Transport, TransportError};
use rpc_transport_tcp::{
    CertificateAuthority, CertificateRequest, CertificateStore, Certificates, Tcp, TcpConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{cause, connected, echo, ends, listen, loopback, next};

#[tokio::test]
async fn nodes_of_one_authority_talk_over_several_streams() {
    let authority = CertificateAuthority::generate().unwrap();
    let server = loopback().mtls(authority.issue(&["node-1.example"]).unwrap());
    let client = Tcp::dial_only().mtls(authority.issue(&["node-2.example"]).unwrap());
    let mut listener = listen(server).await;
    let address = listener.authority();

    let (dialled, theirs) = tokio::join!(client.connect(&address), next(listener.as_mut()));
    let dialled = dialled.unwrap();
    let ours = dialled.open_stream().await.unwrap();
    assert!(ours.writer.is_write_vectored());
    let _first = echo(ours, theirs.unwrap().1).await;

    let (ours, theirs) = tokio::join!(dialled.open_stream(), next(listener.as_mut()));
    let (_, mut theirs) = echo(ours.unwrap(), theirs.unwrap().1).await;
    dialled.close();
    ends(&mut theirs).await;
}

#[tokio::test]
async fn a_dropped_writer_is_seen_by_the_peer() {
    let certificates = Certificates::generate(&[]).unwrap();
    let mut listener = listen(loopback().mtls(certificates.clone())).await;
    let client = Tcp::dial_only().mtls(certificates);
    let address = listener.authority();
    let (dialled, theirs) = tokio::join!(client.connect(&address), next(listener.as_mut()));
    let mut ours = dialled.unwrap().open_stream().await.unwrap();
    ours.writer.write_all(b"last").await.unwrap();
    ours.writer.flush().await.unwrap();
    drop(ours.writer);

    let (_connection, mut theirs) = theirs.unwrap();
    let mut heard = [0; 4];
    theirs.reader.read_exact(&mut heard).await.unwrap();
    ends(&mut theirs).await;
}

#[tokio::test]
async fn closing_ends_a_handshake_that_is_under_way() {
    let certificates = Certificates::generate(&[]).unwrap();
    let mut listener = listen(loopback().mtls(certificates)).await;
    let _silent = TcpStream::connect(listener.authority()).await.unwrap();
    let accepted = listener.accept().await.unwrap();
    let closing = async { accepted.close() };
    let (stream, ()) = tokio::join!(biased; accepted.accept_stream(), closing);
    assert!(matches!(stream.unwrap_err(), TransportError::Closed { .. }));
}

#[tokio::test]
async fn other_hosts_may_reach_a_transport_with_certificates() {
    let certificates = Certificates::generate(&[]).unwrap();
    let exposed = Tcp::bind("0.0.0.0:0").advertise("node-1.example:0");
    let listener = listen(exposed.mtls(certificates)).await;
    assert!(listener.authority().starts_with("node-1.example:"));
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let authority = CertificateAuthority::generate().unwrap();
    let mut request = CertificateRequest::default();
    request.names = vec!["node-2.example".to_owned()];
    request.roles = vec!["task-executor".to_owned(), "client".to_owned()];
    let (one, two) = (authority.issue(&[]), authority.issue_with(&request));
    let (one, two) = (one.unwrap(), two.unwrap());
    let mut listener = listen(loopback().mtls(one.clone())).await;
    let client = Tcp::dial_only().mtls(two.clone());
    let address = listener.authority();

    let (dialled, (accepted, _theirs)) = tokio::join!(client.connect(&address), async {
        let accepted = listener.accept().await.unwrap();
        assert_eq!(accepted.identity(), None);
        let stream = accepted.accept_stream().await.unwrap();
        (accepted, stream)
    });
    let dialled = dialled.unwrap();
    let peer = accepted.identity().unwrap();
    assert_eq!(peer.roles(), ["client", "task-executor"]);
    assert_eq!(peer.names(), ["localhost", "node-2.example"]);
    assert_eq!(*peer.fingerprint(), two.fingerprint().to_bytes());
    let peer = dialled.identity().unwrap();
    assert_eq!(peer.fingerprint_hex(), one.fingerprint().to_string());
    assert_eq!(peer.roles(), [""; 0]);
}

#[tokio::test]
async fn nobody_proves_anything_without_certificates() {
    let mut listener = listen(loopback()).await;
    let (dialled, accepted) = connected(listener.as_mut(), &Tcp::dial_only()).await;
    let _ours = dialled.open_stream().await.unwrap();
    let _theirs = accepted.accept_stream().await.unwrap();
    assert_eq!(dialled.identity(), None);
    assert_eq!(accepted.identity(), None);
}

// Flink, untested: A24
#[tokio::test]
async fn certificates_are_replaced_under_a_transport_that_runs() {
    let (old, new) = (Certificates::generate(&[]), Certificates::generate(&[]));
    let (old, new) = (old.unwrap(), new.unwrap());
    let server_store = CertificateStore::new(old.clone());
    let client_store = CertificateStore::new(old);
    let mut listener = listen(loopback().mtls(server_store.clone())).await;
    let client = Tcp::dial_only().mtls(client_store.clone());
    let address = listener.authority();

    let (before, theirs) = tokio::join!(client.connect(&address), next(listener.as_mut()));
    let before = before.unwrap();
    let ours = before.open_stream().await.unwrap();
    let (ours, theirs) = echo(ours, theirs.unwrap().1).await;

    // The same client, who has been let in before, is judged anew.
    server_store.replace(new.clone());
    let (refused, accepted) = tokio::join!(client.connect(&address), next(listener.as_mut()));
    let words = cause(&refused.unwrap_err());
    assert!(
        words.contains("no authority that is trusted here"),
        "{words}"
    );
    accepted.unwrap_err();

    // What was connected before lives on, and dials its next stream with the new certificate.
    client_store.replace(new);
    echo(ours, theirs).await;
    let (ours, theirs) = tokio::join!(before.open_stream(), next(listener.as_mut()));
    echo(ours.unwrap(), theirs.unwrap().1).await;
}

#[tokio::test]
async fn silent_peers_hold_no_more_sockets_than_may_shake_hands() {
    let mut config = TcpConfig::default();
    config.handshakes_max = 2;
    let certificates = Certificates::generate(&[]).unwrap();
    let mut listener = listen(loopback().mtls(certificates.clone()).config(config)).await;
    let address = listener.authority();
    let client = Tcp::dial_only().mtls(certificates);

    let mut held = Vec::new();
    for _ in 0..2 {
        let silent = TcpStream::connect(&address).await.unwrap();
        held.push((silent, listener.accept().await.unwrap()));
    }
    // The newest is dropped, and the listener waits for the next.
    let mut third = TcpStream::connect(&address).await.unwrap();
    let mut nothing = [0];
    tokio::select! {
        biased;
        read = third.read(&mut nothing) => assert!(matches!(read, Ok(0) | Err(_)), "{read:?}"),
        _ = listener.accept() => panic!("a third handshake has begun"),
    }
    // One ends, and another may begin; one that has succeeded is not under way any more.
    held.pop();
    for _ in 0..3 {
        // Whoever is turned away ends the test, and not only their own half of it.
        let met = tokio::try_join!(client.connect(&address), next(listener.as_mut()));
        let (dialled, theirs) = met.unwrap();
        echo(dialled.open_stream().await.unwrap(), theirs.1).await;
    }
}
