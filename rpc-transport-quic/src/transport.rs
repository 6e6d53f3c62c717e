use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quinn::{ClientConfig, ConnectError, Endpoint, ServerConfig};
use rpc_core::transport::{
    Authority, BindAuthority, Connection, Listener, Transport, TransportError,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::CertificateStore;
use crate::address::resolve;
use crate::config::QuicConfig;
use crate::connection::{Established, QuicConnection};
use crate::driver::keep;
use crate::listener::QuicListener;
use crate::refusal::{BoxError, explain};
use crate::security::Security;
use crate::sockets::Sockets;

/// The transport of `quic` addresses.
///
/// It runs in the tokio runtime in which it first listens or dials.
///
/// ```
/// use rpc_transport_quic::{Certificates, Quic};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let certificates = Certificates::generate(&["node-1.example"])?;
/// let quic = Quic::bind("0.0.0.0:6123")
///     .mtls(certificates)
///     .advertise("node-1.example:6123");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a transport does nothing before a service is built with it"]
pub struct Quic {
    bind: Option<String>,
    advertise: Option<String>,
    config: QuicConfig,
    security: Security,
    sockets: Sockets,
}

impl Quic {
    /// Returns a transport that listens at `authority`, written `host:port`, and dials.
    ///
    /// It binds when it listens; port 0 stands for any free port. The port may be a range, or a list
    /// of ports and ranges, as in `127.0.0.1:50100-50110,50200`: they are tried in their order,
    /// until one is not in use.
    pub fn bind(authority: impl Into<String>) -> Self {
        Self {
            bind: Some(authority.into()),
            ..Self::dial_only()
        }
    }

    /// Returns a transport that dials, and cannot be dialled.
    pub fn dial_only() -> Self {
        Self {
            bind: None,
            advertise: None,
            config: QuicConfig::default(),
            security: Security::Unsaid,
            sockets: Sockets::default(),
        }
    }

    /// Demands certificates of both sides of every connection, dialled or accepted.
    ///
    /// The certificate of a peer that is dialled must be valid for the host of its address. With a
    /// [`CertificateStore`] they can be replaced while the transport runs.
    pub fn mtls(mut self, certificates: impl Into<CertificateStore>) -> Self {
        self.security = Security::Mutual {
            store: certificates.into(),
        };
        self
    }

    /// Goes without certificates, on loopback addresses only.
    ///
    /// What is sent is encrypted, but nobody proves who they are: every process of this host can
    /// call every endpoint. It changes nothing for a transport with certificates.
    pub fn insecure(mut self) -> Self {
        if let Security::Unsaid = self.security {
            self.security = Security::insecure();
        }
        self
    }

    /// Says by which authority others reach this transport, when not by the one it binds.
    ///
    /// Port 0 stands for the port that was bound.
    pub fn advertise(mut self, authority: impl Into<String>) -> Self {
        self.advertise = Some(authority.into());
        self
    }

    /// Replaces the default limits.
    pub fn config(mut self, config: QuicConfig) -> Self {
        self.config = config;
        self
    }

    /// Replaces the system's UDP and clock: the hook of simulations.
    ///
    /// `make` binds a socket to an address, where port 0 stands for any free port, and makes what
    /// speaks QUIC over it: it accepts connections if it is given a `ServerConfig`. Over what it
    /// runs, and by which clock and which random numbers, is its own affair. The transport may
    /// only be used in the runtime, or in the host, that `make` serves.
    pub fn with_endpoints(
        mut self,
        make: impl Fn(SocketAddr, Option<ServerConfig>) -> io::Result<Endpoint> + Send + Sync + 'static,
    ) -> Self {
        self.sockets = Sockets::new(Box::new(make));
        self
    }

    /// Shakes hands with the first address of a host that answers.
    async fn reach(
        &self,
        host: &str,
        addresses: Vec<SocketAddr>,
        client: &ClientConfig,
        deadline: Instant,
    ) -> Result<Established, BoxError> {
        let mut failure: BoxError = "the host has no address".into();
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for (address, left) in addresses.into_iter().zip((1..=count).rev()) {
            // A share of the time for each, or an address that swallows packets would use it up.
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout(share, self.reach_one(host, address, client)).await {
                Ok(Ok(established)) => return Ok(established),
                Ok(Err(error)) => failure = error,
                Err(_elapsed) => failure = too_slow("the host did not answer in time").into(),
            }
        }
        Err(failure)
    }

    async fn reach_one(
        &self,
        host: &str,
        address: SocketAddr,
        client: &ClientConfig,
    ) -> Result<Established, BoxError> {
        let buffer_bytes = self.config.socket_buffer_bytes;
        let dial = || {
            let endpoint = self.sockets.dialling(address, buffer_bytes)?;
            let dialling = keep(|| endpoint.connect_with(client.clone(), address, host));
            io::Result::Ok(dialling)
        };
        let (mut dialling, mut home) = dial()?;
        if matches!(dialling, Err(ConnectError::EndpointStopping)) {
            // Its socket has failed, some time since it was last used.
            self.sockets.forget_dialling(address);
            (dialling, home) = dial()?;
        }
        let connection = dialling?.await.map_err(explain)?;
        Ok(Established { connection, home })
    }
}

#[async_trait]
impl Transport for Quic {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        let Some(bind) = &self.bind else {
            return Ok(None);
        };
        let failed = |source: io::Error| TransportError::Bind {
            scheme: SCHEME,
            authority: bind.clone(),
            source: source.into(),
        };
        let parsed = BindAuthority::parse(SCHEME, bind)?;
        let addresses = resolve(parsed.host(), 0).await.map_err(failed)?;
        self.security.permit(&addresses)?;
        let server = self.security.server(&self.config)?;
        let endpoint = self
            .sockets
            .listen(
                &parsed,
                &addresses,
                server.clone(),
                self.config.socket_buffer_bytes,
            )
            .await
            .map_err(failed)?;
        let bound = endpoint.local_addr().map_err(failed)?;
        let authority = Authority::reached_by(SCHEME, bound, self.advertise.as_deref())?;
        Ok(Some(Box::new(QuicListener::new(
            endpoint,
            authority,
            &self.config,
            self.security.clone(),
            server,
        ))))
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        let failed = |source: BoxError| TransportError::Connect {
            scheme: SCHEME,
            authority: authority.to_owned(),
            source,
        };
        let parsed = Authority::parse(SCHEME, authority)?;
        let client = self.security.client(&self.config)?;
        let deadline = Instant::now() + self.config.connect_timeout.min(CONNECT_TIMEOUT_MAX);
        let addresses = timeout_at(deadline, resolve(parsed.host(), parsed.port()))
            .await
            .map_err(|_elapsed| failed(too_slow("the name was not resolved in time").into()))?
            .map_err(|error| failed(error.into()))?;
        self.security.permit(&addresses)?;
        let connection = self
            .reach(parsed.host(), addresses, &client, deadline)
            .await
            .map_err(failed)?;
        Ok(Arc::new(QuicConnection::dialled(
            connection,
            authority.to_owned(),
            self.security.is_mutual(),
        )))
    }
}

fn too_slow(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// Longer than anybody waits, and within the clock's range.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) const SCHEME: &str = "quic";

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
    use std::sync::Arc;
    use std::time::Duration;

    use quinn::{Endpoint, EndpointConfig};
    use rpc_core::transport::Transport;
    use tokio::time::Instant;

    use super::Quic;
    use crate::driver::Tokio;

    #[tokio::test]
    async fn an_address_without_a_socket_is_passed_over() {
        let server = Quic::bind("127.0.0.1:0").insecure();
        let mut listener = server.listen().await.unwrap().unwrap();
        let reached: SocketAddr = listener.authority().parse().unwrap();
        let client = Quic::dial_only().insecure();
        let client = client.with_endpoints(|address, server| {
            if address.is_ipv6() {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let socket = UdpSocket::bind(address)?;
            Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(Tokio))
        });
        let config = client.security.client(&client.config).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let missing: SocketAddr = "[::1]:1".parse().unwrap();
        let reach = |addresses| client.reach("localhost", addresses, &config, deadline);

        // The handshake is the listener's part too.
        tokio::spawn(async move { listener.accept().await?.accept_stream().await });
        reach(vec![missing, reached]).await.unwrap();
        let refusal = reach(vec![missing]).await.unwrap_err();
        let refusal = refusal.downcast::<io::Error>().unwrap();
        assert_eq!(refusal.kind(), io::ErrorKind::Unsupported);
    }

    #[tokio::test]
    async fn a_socket_that_has_failed_is_replaced_when_it_is_needed() {
        let server = Quic::bind("127.0.0.1:0").insecure();
        let mut listener = server.listen().await.unwrap().unwrap();
        let authority = listener.authority();
        let quic = Quic::dial_only().insecure();
        let dialling = || {
            let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
            quic.sockets.dialling(peer, 1 << 20).unwrap()
        };
        let socket = dialling();
        socket.close(0_u32.into(), b"");
        // The handshake is the listener's part too.
        tokio::spawn(async move { listener.accept().await?.accept_stream().await });
        quic.connect(&authority).await.unwrap();
        let ports = [&socket, &dialling()].map(|it| it.local_addr().unwrap().port());
        assert_ne!(ports[0], ports[1]);
    }
}
