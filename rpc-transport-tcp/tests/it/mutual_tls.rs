use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::transport::{Connection, Listener, Stream, Transport, TransportError};
use rpc_tls::{ALPN, insecure_client_config};
use rpc_transport_tcp::{CertificateAuthority, Certificates, Tcp, TcpConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::{echo, ends, listen, loopback};

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
async fn a_server_of_another_authority_is_refused() {
    let ours = Certificates::generate(&[]).unwrap();
    let theirs = Certificates::generate(&[]).unwrap();
    let mut listener = listen(loopback().mtls(theirs)).await;
    let client = Tcp::dial_only().mtls(ours);
    let address = listener.authority();

    let (dialled, accepted) = tokio::join!(client.connect(&address), next(listener.as_mut()));
    assert!(cause(&dialled.unwrap_err()).contains("UnknownIssuer"));
    accepted.unwrap_err();
}

/// Only Linux has all of 127.0.0.0/8 on its loopback interface.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_of_another_name_is_refused() {
    let certificates = Certificates::generate(&["node-1.example"]).unwrap();
    let mut listener = listen(Tcp::bind("127.0.0.2:0").mtls(certificates.clone())).await;
    let client = Tcp::dial_only().mtls(certificates);
    let address = listener.authority();

    let (dialled, accepted) = tokio::join!(client.connect(&address), next(listener.as_mut()));
    let cause = cause(&dialled.unwrap_err());
    assert!(cause.contains("127.0.0.2"), "{cause}");
    accepted.unwrap_err();
}

/// Under TLS 1.3 the client learns of it only when it reads.
#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let certificates = Certificates::generate(&[]).unwrap();
    let mut listener = listen(loopback().mtls(certificates)).await;
    let connector = TlsConnector::from(Arc::new(insecure_client_config(ALPN)));
    let socket = TcpStream::connect(listener.authority()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();

    let dialling = connector.connect(name, socket);
    let (dialled, accepted) = tokio::join!(dialling, next(listener.as_mut()));
    assert!(cause(&accepted.unwrap_err()).contains("no certificates"));
    dialled.unwrap().read(&mut [0]).await.unwrap_err();
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let ours = Certificates::generate(&[]).unwrap();
    let stranger = Certificates::generate(&[]).unwrap();
    // It trusts the server, but the server does not trust it.
    let stranger =
        Certificates::from_pem(stranger.cert_pem(), stranger.key_pem(), ours.ca_pem()).unwrap();
    let mut listener = listen(loopback().mtls(ours)).await;
    let client = Tcp::dial_only().mtls(stranger);
    let address = listener.authority();

    let (dialled, accepted) = tokio::join!(client.connect(&address), next(listener.as_mut()));
    assert!(cause(&accepted.unwrap_err()).contains("UnknownIssuer"));
    let mut stream = dialled.unwrap().open_stream().await.unwrap();
    stream.reader.read(&mut [0]).await.unwrap_err();
}

#[tokio::test]
async fn a_plain_client_is_refused_by_a_tls_server() {
    let certificates = Certificates::generate(&[]).unwrap();
    let mut listener = listen(loopback().mtls(certificates)).await;
    let dialled = Tcp::dial_only().connect(&listener.authority()).await;
    let mut stream = dialled.unwrap().open_stream().await.unwrap();
    stream.writer.write_all(b"no handshake").await.unwrap();

    let refusal = next(listener.as_mut()).await.unwrap_err();
    assert!(matches!(refusal, TransportError::Connect { .. }));
    // It hears the alert at most, and then the end.
    let _ = stream.reader.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_tls_client_is_not_kept_waiting_by_a_plain_server() {
    let client = Tcp::dial_only().mtls(Certificates::generate(&[]).unwrap());
    let mut listener = listen(loopback()).await;
    let address = listener.authority();

    // The server takes the handshake for a call it does not understand, and hangs up.
    let (dialled, _) = tokio::join!(client.connect(&address), async {
        let (_, mut stream) = next(listener.as_mut()).await.unwrap();
        stream.reader.read_u8().await.unwrap();
    });
    assert!(matches!(
        dialled.unwrap_err(),
        TransportError::Connect { .. }
    ));

    // Or it answers something else.
    let (dialled, _stream) = tokio::join!(client.connect(&address), async {
        let (_, mut stream) = next(listener.as_mut()).await.unwrap();
        stream.writer.write_all(b"no handshake").await.unwrap();
        stream
    });
    assert!(matches!(
        dialled.unwrap_err(),
        TransportError::Connect { .. }
    ));
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    let mut config = TcpConfig::default();
    config.handshake_timeout = Duration::from_millis(10);
    let certificates = Certificates::generate(&[]).unwrap();
    let sealed = loopback().mtls(certificates).config(config);

    let mut listener = listen(sealed.clone()).await;
    let _silent = TcpStream::connect(listener.authority()).await.unwrap();
    let refusal = next(listener.as_mut()).await.unwrap_err();
    assert!(cause(&refusal).contains("too long"));

    let silent = listen(loopback()).await;
    let refusal = sealed.connect(&silent.authority()).await.unwrap_err();
    assert!(cause(&refusal).contains("too long"));
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

/// Accepts the next connection, and the stream on it.
async fn next(
    listener: &mut dyn Listener,
) -> Result<(Arc<dyn Connection>, Stream), TransportError> {
    let connection = listener.accept().await?;
    let stream = connection.accept_stream().await?;
    Ok((connection, stream))
}

fn cause(error: &TransportError) -> String {
    error.source().unwrap().to_string()
}
