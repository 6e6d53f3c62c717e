use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ServerConfig, rustls};
use rpc_core::transport::TransportError;
use rpc_tls::{ALPN, CertificateStore, insecure_client_config, insecure_server_config};

use crate::config::QuicConfig;
use crate::transport::SCHEME;

/// By what peers are judged; the certificates are those of the moment.
#[derive(Clone)]
pub(crate) enum Security {
    Insecure { client: Arc<QuicClientConfig> },
    Mutual { store: CertificateStore },
    Unsaid,
}

impl Security {
    pub(crate) fn insecure() -> Self {
        let client = QuicClientConfig::try_from(insecure_client_config(ALPN));
        Self::Insecure {
            client: Arc::new(client.expect(SUITABLE)),
        }
    }

    /// Refuses addresses that may not be bound or dialled as things are.
    pub(crate) fn permit(&self, addresses: &[SocketAddr]) -> Result<(), TransportError> {
        let exposed = addresses.iter().find(|address| !address.ip().is_loopback());
        match (self, exposed) {
            (Self::Mutual { .. }, _) | (Self::Insecure { .. }, None) => Ok(()),
            (Self::Insecure { .. }, Some(exposed)) => Err(refusal(format!(
                "{exposed} is not a loopback address, and `insecure` permits no other: give it \
                 certificates by `mtls`"
            ))),
            (Self::Unsaid, _) => Err(unsaid()),
        }
    }

    /// Tells whether a peer's certificate says who the peer is.
    pub(crate) const fn is_mutual(&self) -> bool {
        matches!(self, Self::Mutual { .. })
    }

    pub(crate) fn server(&self, config: &QuicConfig) -> Result<ServerConfig, TransportError> {
        let tls = match self {
            Self::Insecure { .. } => {
                let made = insecure_server_config(ALPN);
                Arc::new(made.map_err(|error| refusal(error.to_string()))?)
            }
            Self::Mutual { store } => store.current().server(),
            Self::Unsaid => return Err(unsaid()),
        };
        let mut server = ServerConfig::with_crypto(crypto(tls));
        server
            .incoming_buffer_size(config.incoming_buffer_bytes)
            .incoming_buffer_size_total(config.incoming_buffer_bytes_total)
            .max_incoming(config.incoming_max)
            .transport_config(config.to_quinn());
        Ok(server)
    }

    /// Returns the same configuration with the certificates of the moment.
    pub(crate) fn renewed(&self, server: &ServerConfig) -> Arc<ServerConfig> {
        let mut server = server.clone();
        if let Self::Mutual { store } = self {
            server.crypto = crypto(store.current().server());
        }
        Arc::new(server)
    }

    pub(crate) fn client(&self, config: &QuicConfig) -> Result<ClientConfig, TransportError> {
        let crypto = match self {
            Self::Insecure { client } => Arc::clone(client),
            Self::Mutual { store } => {
                let client = QuicClientConfig::try_from(store.current().client());
                Arc::new(client.expect(SUITABLE))
            }
            Self::Unsaid => return Err(unsaid()),
        };
        let mut client = ClientConfig::new(crypto);
        client.transport_config(config.to_quinn());
        Ok(client)
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insecure { .. } => "Insecure",
            Self::Mutual { .. } => "Mutual",
            Self::Unsaid => "Unsaid",
        })
    }
}

fn crypto(tls: Arc<rustls::ServerConfig>) -> Arc<QuicServerConfig> {
    Arc::new(QuicServerConfig::try_from(tls).expect(SUITABLE))
}

fn unsaid() -> TransportError {
    refusal(
        "there is no QUIC without TLS: give it certificates by `mtls`, or say `insecure` to use \
         loopback addresses without"
            .to_owned(),
    )
}

fn refusal(reason: String) -> TransportError {
    TransportError::Config {
        scheme: SCHEME,
        reason,
    }
}

const SUITABLE: &str = "the configurations of rpc-tls are of TLS 1.3, with all its cipher suites";
