use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ServerConfig};
use rpc_core::transport::TransportError;
use rpc_tls::{ALPN, Certificates, insecure_client_config, insecure_server_config};

use crate::config::QuicConfig;
use crate::transport::SCHEME;

/// By what peers are judged. The client's half is kept, as it remembers sessions to resume.
#[derive(Clone)]
pub(crate) enum Security {
    Insecure {
        client: Arc<QuicClientConfig>,
    },
    Mutual {
        certificates: Certificates,
        client: Arc<QuicClientConfig>,
    },
    Unsaid,
}

impl Security {
    pub(crate) fn mutual(certificates: Certificates) -> Self {
        let client = QuicClientConfig::try_from(certificates.client_config(ALPN));
        Self::Mutual {
            certificates,
            client: Arc::new(client.expect(SUITABLE)),
        }
    }

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

    pub(crate) fn server(&self, config: &QuicConfig) -> Result<ServerConfig, TransportError> {
        let tls = match self {
            Self::Insecure { .. } => {
                insecure_server_config(ALPN).map_err(|error| refusal(error.to_string()))?
            }
            Self::Mutual { certificates, .. } => certificates.server_config(ALPN),
            Self::Unsaid => return Err(unsaid()),
        };
        let crypto = QuicServerConfig::try_from(tls).expect(SUITABLE);
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server
            .max_incoming(config.incoming_max)
            .transport_config(config.to_quinn());
        Ok(server)
    }

    pub(crate) fn client(&self, config: &QuicConfig) -> Result<ClientConfig, TransportError> {
        let crypto = match self {
            Self::Insecure { client } | Self::Mutual { client, .. } => Arc::clone(client),
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
