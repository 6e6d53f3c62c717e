//! Peers that are refused: at once, and with a reason on both sides.
//!
//! No time-out here ever ends: what does not come at once does not come.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::ClientConfig;
use quinn::{ConnectionError, Endpoint};
use rpc_core::testing::sockets;
use rpc_core::transport::Transport;
use rpc_tls::TlsError;
use rpc_tls::testing::{Client, refusals};
use rpc_transport_quic::{Certificates, Quic, QuicConfig};

use crate::{accept, cause, listen};

// Flink: RpcSSLAuthITCase#testConnectFailure, and as many more as there are reasons.
#[tokio::test]
async fn whoever_is_not_who_they_should_be_is_refused_in_words() {
    for case in refusals() {
        let server = patient(Quic::bind("127.0.0.1:0")).mtls(case.server);
        let mut listener = listen(&server).await;
        let address = listener.authority();
        let dialling = async {
            match case.client {
                Client::Ours(certificates) => {
                    ours(&patient(Quic::dial_only()).mtls(certificates), &address).await
                }
                Client::Other(config) => other(*config, &address).await,
            }
        };
        let (client_says, accepted) = tokio::join!(dialling, accept(listener.as_mut()));
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

// Flink: RpcSSLAuthITCase#testConnectFailure
#[tokio::test]
async fn a_service_with_an_untrusted_certificate_fails_to_connect_and_does_not_time_out() {
    let node = Certificates::generate(&[]).unwrap();
    let shown = Certificates::generate(&[]).unwrap();
    let stranger = Certificates::from_pem(shown.cert_pem(), shown.key_pem(), node.ca_pem());
    sockets::an_untrusted_certificate_fails_to_connect_and_does_not_time_out(
        patient(Quic::bind("127.0.0.1:0")).mtls(node),
        patient(Quic::dial_only()).mtls(stranger.unwrap()),
    )
    .await;
}

fn patient(quic: Quic) -> Quic {
    let mut config = QuicConfig::default();
    config.connect_timeout = Duration::from_secs(10_000_000);
    config.handshake_timeout = Duration::from_secs(10_000_000);
    quic.config(config)
}

/// Dials as the transport does, and returns why it fails, be it only when a stream is accepted.
async fn ours(quic: &Quic, address: &str) -> String {
    let refusal = match quic.connect(address).await {
        Ok(dialled) => dialled.accept_stream().await.unwrap_err(),
        Err(refusal) => refusal,
    };
    cause(&refusal)
}

/// Dials as another client of QUIC does.
async fn other(config: ClientConfig, address: &str) -> String {
    let crypto = QuicClientConfig::try_from(config).unwrap();
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let dialling = endpoint.connect_with(config, address.parse().unwrap(), "localhost");
    let refusal = match dialling.unwrap().await {
        Ok(connection) => connection.accept_bi().await.unwrap_err(),
        Err(refusal) => refusal,
    };
    let ConnectionError::ConnectionClosed(close) = &refusal else {
        panic!("{refusal:?}");
    };
    let alert = u8::try_from(u64::from(close.error_code) - 0x100).unwrap();
    TlsError::told(alert, refusal).to_string()
}
