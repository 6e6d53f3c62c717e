use rpc_core::transport::{Transport, TransportError};
use rpc_transport_quic::{
    CertificateAuthority, CertificateRequest, CertificateStore, Certificates, Quic,
};

use crate::{accept, cause, connected, dial, echo, is_config, is_connect, listen, loopback};

#[tokio::test]
async fn nodes_of_one_authority_talk() {
    let authority = CertificateAuthority::generate().unwrap();
    let server = bound(authority.issue(&["node-1.example"]).unwrap());
    let client = Quic::dial_only().mtls(authority.issue(&["node-2.example"]).unwrap());
    let mut listener = listen(&server).await;
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;
    echo(&mut ours.1, &mut theirs.1).await;
}

#[tokio::test]
async fn a_client_with_certificates_refuses_an_insecure_server() {
    let client = Quic::dial_only().mtls(Certificates::generate(&[]).unwrap());
    let (dialled, accepted) = meet(&loopback(), &client).await;
    let words = cause(&dialled);
    assert!(
        words.contains("no authority that is trusted here"),
        "{words}"
    );
    assert!(is_connect(&accepted));
}

#[tokio::test]
async fn a_word_on_security_is_demanded() {
    let bound = Quic::bind("127.0.0.1:0").listen().await.unwrap_err();
    let dialled = Quic::dial_only().connect("127.0.0.1:1").await;
    for refusal in [bound, dialled.unwrap_err()] {
        assert!(is_config(&refusal));
        let message = refusal.to_string();
        assert!(
            message.contains("mtls") && message.contains("insecure"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn certificates_are_kept_whatever_is_said_after_them() {
    let server = bound(Certificates::generate(&[]).unwrap()).insecure();
    let client = Quic::dial_only().insecure();
    let (dialled, accepted) = meet(&server, &client).await;
    assert!(is_connect(&dialled) && is_connect(&accepted));
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let authority = CertificateAuthority::generate().unwrap();
    let mut request = CertificateRequest::default();
    request.names = vec!["node-2.example".to_owned()];
    request.roles = vec!["task-executor".to_owned(), "client".to_owned()];
    let (one, two) = (authority.issue(&[]), authority.issue_with(&request));
    let (one, two) = (one.unwrap(), two.unwrap());
    let server = bound(one.clone());
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().mtls(two.clone());
    let (ours, theirs) = connected(listener.as_mut(), &client).await;

    let peer = theirs.0.identity().unwrap();
    assert_eq!(peer.roles(), ["client", "task-executor"]);
    assert_eq!(peer.names(), ["localhost", "node-2.example"]);
    assert_eq!(*peer.fingerprint(), two.fingerprint().to_bytes());
    let peer = ours.0.identity().unwrap();
    assert_eq!(peer.fingerprint_hex(), one.fingerprint().to_string());
    assert_eq!(peer.roles(), [""; 0]);
}

/// The server shows a certificate here as well, which nobody has judged.
#[tokio::test]
async fn nobody_proves_anything_without_certificates() {
    let server = loopback();
    let mut listener = listen(&server).await;
    let client = Quic::dial_only().insecure();
    let (ours, theirs) = connected(listener.as_mut(), &client).await;
    assert_eq!(ours.0.identity(), None);
    assert_eq!(theirs.0.identity(), None);
}

// Flink, untested: A24
#[tokio::test]
async fn certificates_are_replaced_under_a_transport_that_runs() {
    let (old, new) = (Certificates::generate(&[]), Certificates::generate(&[]));
    let (old, new) = (old.unwrap(), new.unwrap());
    let server_store = CertificateStore::new(old.clone());
    let client_store = CertificateStore::new(old);
    let server = Quic::bind("127.0.0.1:0").mtls(server_store.clone());
    let client = Quic::dial_only().mtls(client_store.clone());
    let mut listener = listen(&server).await;
    let (mut ours, mut theirs) = connected(listener.as_mut(), &client).await;

    // The same client, who has been let in before, is judged anew.
    server_store.replace(new.clone());
    let address = listener.authority();
    let (dialled, accepted) = tokio::join!(dial(&client, &address), accept(listener.as_mut()));
    let words = cause(&dialled.unwrap_err());
    assert!(
        words.contains("no authority that is trusted here"),
        "{words}"
    );
    accepted.unwrap_err();

    // What was connected before lives on, and new connections take the new certificates.
    echo(&mut ours.1, &mut theirs.1).await;
    client_store.replace(new.clone());
    let (ours, _theirs) = connected(listener.as_mut(), &client).await;
    let shown = ours.0.identity().unwrap();
    assert_eq!(*shown.fingerprint(), new.fingerprint().to_bytes());
}

fn bound(certificates: Certificates) -> Quic {
    Quic::bind("127.0.0.1:0").mtls(certificates)
}

/// Lets two transports meet that refuse each other, and returns why each says it does.
async fn meet(server: &Quic, client: &Quic) -> (TransportError, TransportError) {
    let mut listener = listen(server).await;
    let address = listener.authority();
    let dialling = async {
        let (connection, _stream) = dial(client, &address).await?;
        connection.accept_stream().await
    };
    let (dialled, accepted) = tokio::join!(dialling, accept(listener.as_mut()));
    (dialled.unwrap_err(), accepted.unwrap_err())
}
