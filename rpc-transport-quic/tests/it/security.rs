use rpc_core::transport::{Transport, TransportError};
use rpc_transport_quic::{CertificateAuthority, Certificates, Quic};

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
async fn a_server_of_another_authority_is_refused() {
    let server = bound(Certificates::generate(&[]).unwrap());
    let client = Quic::dial_only().mtls(Certificates::generate(&[]).unwrap());
    let (dialled, accepted) = meet(&server, &client).await;
    assert!(cause(&dialled).contains("UnknownIssuer"), "{dialled:?}");
    assert!(is_connect(&accepted));
}

/// Only Linux has all of 127.0.0.0/8 on its loopback interface.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_of_another_name_is_refused() {
    let certificates = Certificates::generate(&["node-1.example"]).unwrap();
    let server = Quic::bind("127.0.0.2:0").mtls(certificates.clone());
    let client = Quic::dial_only().mtls(certificates);
    let (dialled, accepted) = meet(&server, &client).await;
    assert!(cause(&dialled).contains("127.0.0.2"), "{dialled:?}");
    assert!(is_connect(&accepted));
}

/// Under TLS 1.3 the client learns of it only once it uses the connection.
#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let server = bound(Certificates::generate(&[]).unwrap());
    let client = Quic::dial_only().insecure();
    let (dialled, accepted) = meet(&server, &client).await;
    assert!(cause(&accepted).contains("no certificates"), "{accepted:?}");
    assert!(is_connect(&dialled));
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let ours = Certificates::generate(&[]).unwrap();
    let stranger = Certificates::generate(&[]).unwrap();
    // It trusts the server, but the server does not trust it.
    let stranger =
        Certificates::from_pem(stranger.cert_pem(), stranger.key_pem(), ours.ca_pem()).unwrap();
    let (server, client) = (bound(ours), Quic::dial_only().mtls(stranger));
    let (dialled, accepted) = meet(&server, &client).await;
    assert!(cause(&accepted).contains("UnknownIssuer"), "{accepted:?}");
    assert!(is_connect(&dialled));
}

#[tokio::test]
async fn a_client_with_certificates_refuses_an_insecure_server() {
    let client = Quic::dial_only().mtls(Certificates::generate(&[]).unwrap());
    let (dialled, accepted) = meet(&loopback(), &client).await;
    assert!(cause(&dialled).contains("UnknownIssuer"), "{dialled:?}");
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
