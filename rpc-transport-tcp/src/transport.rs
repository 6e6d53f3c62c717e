use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use rpc_core::transport::{
    Authority, BindAuthority, Connection, Listener, Transport, TransportError,
};
use tokio::net::TcpListener;

#[cfg(feature = "tls")]
use crate::CertificateStore;
use crate::address::resolve;
use crate::config::TcpConfig;
use crate::connection::Dialled;
use crate::dialler::Dialler;
use crate::listener::Accepting;

/// The transport of `tcp` addresses.
#[derive(Clone, Debug)]
#[must_use = "a transport does nothing before a service is built with it"]
pub struct Tcp {
    bind: Option<String>,
    advertise: Option<String>,
    insecure: bool,
    dialler: Dialler,
}

impl Tcp {
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
            insecure: false,
            dialler: Dialler::default(),
        }
    }

    /// Demands mutual TLS of every connection, dialled or accepted.
    ///
    /// The certificate of a peer that is dialled must be valid for the host of its address. With a
    /// [`CertificateStore`] they can be replaced while the transport runs.
    ///
    /// ```
    /// use rpc_transport_tcp::{Certificates, Tcp};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let certificates = Certificates::generate(&["node-1.example"])?;
    /// let tcp = Tcp::bind("0.0.0.0:6123")
    ///     .mtls(certificates)
    ///     .advertise("node-1.example:6123");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn mtls(mut self, certificates: impl Into<CertificateStore>) -> Self {
        self.dialler.security.demand(certificates.into());
        self
    }

    /// Lets a transport without certificates listen where other hosts reach it.
    ///
    /// Whoever reaches the port can then call every endpoint, and whoever is on the way can read
    /// and change all that is said. It changes nothing for a transport with certificates.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
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
    pub fn config(mut self, config: TcpConfig) -> Self {
        self.dialler.config = config;
        self
    }

    fn refuse_exposure(&self, addresses: &[SocketAddr]) -> Result<(), TransportError> {
        if self.insecure || self.dialler.security.is_mutual() {
            return Ok(());
        }
        match addresses.iter().find(|address| !address.ip().is_loopback()) {
            None => Ok(()),
            Some(exposed) => Err(TransportError::Config {
                scheme: SCHEME,
                reason: format!(
                    "{} can be reached from other hosts: give it certificates by `mtls`, or say \
                     `insecure`",
                    exposed.ip()
                ),
            }),
        }
    }
}

#[async_trait]
impl Transport for Tcp {
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
        self.refuse_exposure(&addresses)?;
        let listener = parsed.bind_first(&addresses, TcpListener::bind::<SocketAddr>);
        let listener = listener.await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let authority = Authority::reached_by(SCHEME, bound, self.advertise.as_deref())?;
        Ok(Some(Box::new(Accepting::new(
            listener,
            authority,
            self.dialler.clone(),
        ))))
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        let dialled = Dialled::dial(self.dialler.clone(), authority).await?;
        Ok(Arc::new(dialled))
    }
}

pub(crate) const SCHEME: &str = "tcp";
