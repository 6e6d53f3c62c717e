//! Peers that are refused: at once, and with a reason on both sides.
//!
//! No time-out here ever ends: what does not come at once does not come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::testing::sockets;
use rpc_core::transport::{Transport, TransportError};
use rpc_tls::testing::{Client, refusals};
use rpc_tls::{ALPN, explain};
use rpc_transport_tcp::{Certificates, Tcp, TcpConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::TLS12;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{cause, listen, loopback, next};

// Flink: RpcSSLAuthITCase#testConnectFailure, and as many more as there are reasons.
#[tokio::test]
async fn whoever_is_not_who_they_should_be_is_refused_in_words() {
    for case in refusals() {
        let mut listener = listen(patient(loopback()).mtls(case.server)).await;
        let address = listener.authority();
        let dialling = async {
            match case.client {
                Client::Ours(certificates) => {
                    ours(&patient(Tcp::dial_only()).mtls(certificates), &address).await
                }
                Client::Other(config) => other(*config, &address).await,
            }
        };
        let (client_says, accepted) = tokio::join!(dialling, next(listener.as_mut()));
        let (name, server_says) = (case.name, cause(&accepted.unwrap_err()));
        assert!(
            server_says.contains(&case.server_says),
            "{name}: {server_says}"
        );
        assert!(
            client_says.contains(&case.client_says),
            "{name}: {client_says}"
        );
    }
}

// Flink: CustomSSLEngineProviderTest#fallsBackToLowerListedProtocolWhenHigherOneHasNoUsableCipher
// Flink: CustomSSLEngineProviderIT#handshakeNegotiatesExactlyTheConfiguredProtocol
// Flink: CustomSSLEngineProviderIT#opensslTls12ClientIsRejectedWhenServerAllowsOnlyTls13
#[tokio::test]
async fn a_client_that_knows_no_tls_1_3_is_refused() {
    let node = Certificates::generate(&[]).unwrap();
    let mut listener = listen(patient(loopback()).mtls(node)).await;
    let mut old = ClientConfig::builder_with_protocol_versions(&[&TLS12])
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    old.alpn_protocols = vec![ALPN.to_vec()];
    let address = listener.authority();
    let (client_says, accepted) = tokio::join!(other(old, &address), next(listener.as_mut()));
    assert!(
        client_says.contains("does not speak TLS 1.3"),
        "{client_says}"
    );
    let server_says = cause(&accepted.unwrap_err());
    assert!(
        server_says.contains("does not speak TLS 1.3"),
        "{server_says}"
    );
}

// Flink: CustomSSLEngineProviderTest#negotiatesHighestCommonProtocolFromList
// Flink: CustomSSLEngineProviderIT#serverEngineHasConfiguredProtocolsEnabled
// Flink: CustomSSLEngineProviderIT#clientEngineHasConfiguredProtocolsEnabled
// Flink: CustomSSLEngineProviderIT#singleProtocolIsAppliedToEngine
// Flink: CustomSSLEngineProviderIT#handshakeNegotiatesHighestMutualProtocolWhenMultipleAreEnabled
#[tokio::test]
async fn both_sides_speak_tls_1_3_whatever_else_the_peer_knows() {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ProtocolVersion::TLSv1_3;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let node = Certificates::generate(&[]).unwrap();
    let certificate = |pem: String| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(node.key_pem().as_bytes()).unwrap();
    let chain = vec![certificate(node.cert_pem())];
    let mut roots = RootCertStore::empty();
    roots.add(certificate(node.ca_pem())).unwrap();

    let mut listener = listen(patient(loopback()).mtls(node.clone())).await;
    let mut both = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .unwrap();
    both.alpn_protocols = vec![ALPN.to_vec()];
    let socket = TcpStream::connect(listener.authority()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let dialling = TlsConnector::from(Arc::new(both)).connect(name, socket);
    let (dialled, accepted) = tokio::join!(dialling, next(listener.as_mut()));
    accepted.unwrap();
    assert_eq!(
        dialled.unwrap().get_ref().1.protocol_version(),
        Some(TLSv1_3)
    );

    let mut both = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    both.alpn_protocols = vec![ALPN.to_vec()];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = patient(Tcp::dial_only()).mtls(node);
    let (dialled, accepted) = tokio::join!(client.connect(&address), async {
        let (socket, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(both)).accept(socket).await
    });
    dialled.unwrap();
    assert_eq!(
        accepted.unwrap().get_ref().1.protocol_version(),
        Some(TLSv1_3)
    );
}

#[tokio::test]
async fn what_is_no_tls_is_refused_with_an_alert() {
    let node = Certificates::generate(&[]).unwrap();
    let mut listener = listen(patient(loopback()).mtls(node)).await;
    for (bytes, words) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "does not speak TLS"),
        (&[0; 64][..], "does not speak TLS"),
        // More than is read before it is refused: it must hear the alert nevertheless.
        (&[1; 32 << 10][..], "does not speak TLS"),
        (b"arpc\x01\x01", "speaks our protocol, but without TLS"),
    ] {
        let mut socket = TcpStream::connect(listener.authority()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let refusal = next(listener.as_mut()).await.unwrap_err();
        assert!(matches!(refusal, TransportError::Connect { .. }));
        assert!(cause(&refusal).contains(words), "{refusal:?}");
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).await.unwrap();
        // An alert of TLS, fatal, by which the peer knows whom it has met.
        assert_eq!(heard[..2], [0x15, 0x03]);
        assert_eq!(heard.len(), 7);
    }
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_not_waited_for() {
    let node = Certificates::generate(&[]).unwrap();
    let mut listener = listen(patient(loopback()).mtls(node)).await;
    drop(TcpStream::connect(listener.authority()).await.unwrap());
    let refusal = next(listener.as_mut()).await.unwrap_err();
    assert!(cause(&refusal).contains("hung up"), "{refusal:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let client = patient(Tcp::dial_only()).mtls(Certificates::generate(&[]).unwrap());
    let mut listener = listen(loopback()).await;
    let address = listener.authority();

    // It takes the handshake for a call it does not understand, and hangs up.
    let (dialled, _) = tokio::join!(client.connect(&address), async {
        let (_, mut stream) = next(listener.as_mut()).await.unwrap();
        let mut header = [0; 5];
        stream.reader.read_exact(&mut header).await.unwrap();
        assert_eq!(header[..2], [0x16, 0x03]);
        // All of it: to hang up with something unread would be a reset.
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        stream
            .reader
            .read_exact(&mut vec![0; length])
            .await
            .unwrap();
    });
    let refusal = dialled.unwrap_err();
    assert!(cause(&refusal).contains("may not speak TLS"), "{refusal:?}");

    // Or it answers something else.
    let (dialled, _stream) = tokio::join!(client.connect(&address), async {
        let (_, mut stream) = next(listener.as_mut()).await.unwrap();
        stream.writer.write_all(b"no handshake").await.unwrap();
        stream
    });
    let refusal = dialled.unwrap_err();
    assert!(
        cause(&refusal).contains("does not speak TLS"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    let mut config = TcpConfig::default();
    config.handshake_timeout = Duration::from_millis(10);
    let node = Certificates::generate(&[]).unwrap();
    let sealed = loopback().mtls(node).config(config);

    let mut listener = listen(sealed.clone()).await;
    let _silent = TcpStream::connect(listener.authority()).await.unwrap();
    let refusal = next(listener.as_mut()).await.unwrap_err();
    assert!(cause(&refusal).contains("too long"));

    let silent = listen(loopback()).await;
    let refusal = sealed.connect(&silent.authority()).await.unwrap_err();
    assert!(cause(&refusal).contains("too long"));
}

// Flink: RpcSSLAuthITCase#testConnectFailure
#[tokio::test]
async fn a_service_with_an_untrusted_certificate_fails_to_connect_and_does_not_time_out() {
    let node = Certificates::generate(&[]).unwrap();
    let shown = Certificates::generate(&[]).unwrap();
    let stranger = Certificates::from_pem(shown.cert_pem(), shown.key_pem(), node.ca_pem());
    sockets::an_untrusted_certificate_fails_to_connect_and_does_not_time_out(
        patient(loopback()).mtls(node),
        patient(Tcp::dial_only()).mtls(stranger.unwrap()),
    )
    .await;
}

fn patient(tcp: Tcp) -> Tcp {
    let mut config = TcpConfig::default();
    config.connect_timeout = Duration::from_secs(10_000_000);
    config.handshake_timeout = Duration::from_secs(10_000_000);
    tcp.config(config)
}

/// Dials as the transport does, and returns why it fails, be it only when it reads.
async fn ours(tcp: &Tcp, address: &str) -> String {
    let dialled = match tcp.connect(address).await {
        Ok(dialled) => dialled,
        Err(refusal) => return cause(&refusal),
    };
    let mut stream = dialled.open_stream().await.unwrap();
    let read = stream.reader.read(&mut [0]).await;
    read.unwrap_err().to_string()
}

/// Dials as another client of TLS does.
async fn other(config: ClientConfig, address: &str) -> String {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let read = async {
        let mut stream = connector.connect(name, socket).await?;
        stream.read_u8().await
    };
    let refusal: io::Error = read.await.unwrap_err();
    explain(refusal).to_string()
}
