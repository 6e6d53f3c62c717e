//! By what a peer's certificate is judged, and the configurations of rustls that say so.

use std::error::Error;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::ALPN;
use crate::certificates::provider;
use crate::pins::{Pinned, Pins};

#[derive(Clone)]
pub(crate) struct Judges {
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<dyn ServerCertVerifier>,
    pub(crate) pins: Option<Pins>,
    pub(crate) clock: Arc<dyn TimeProvider>,
}

#[derive(Clone)]
pub(crate) struct Configs {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Judges {
    pub(crate) fn new(
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider());
        Ok(Self {
            clients: clients.build()?,
            servers: servers.build()?,
            pins: None,
            clock: Arc::new(DefaultTimeProvider),
        })
    }

    pub(crate) fn configure(&self, shown: &Arc<CertifiedKey>) -> Configs {
        let shown = Arc::new(SingleCertAndKey::from(Arc::clone(shown)));
        let clock = || Arc::clone(&self.clock);
        let mut server = ServerConfig::builder_with_details(provider(), clock())
            .with_protocol_versions(&[&TLS13])
            .expect("the ring provider has TLS 1.3")
            .with_client_cert_verifier(self.clients())
            .with_cert_resolver(shown.clone());
        let mut client = ClientConfig::builder_with_details(provider(), clock())
            .with_protocol_versions(&[&TLS13])
            .expect("the ring provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(self.servers())
            .with_client_cert_resolver(shown);
        harden_server(&mut server, ALPN);
        harden_client(&mut client, ALPN);
        Configs {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }

    fn clients(&self) -> Arc<dyn ClientCertVerifier> {
        let verifier = Arc::clone(&self.clients);
        match self.pins.clone() {
            Some(pins) => Arc::new(Pinned { pins, verifier }),
            None => verifier,
        }
    }

    fn servers(&self) -> Arc<dyn ServerCertVerifier> {
        let verifier = Arc::clone(&self.servers);
        match self.pins.clone() {
            Some(pins) => Arc::new(Pinned { pins, verifier }),
            None => verifier,
        }
    }
}

/// Takes away what lets a peer in without being judged: resumed sessions and early data.
pub(crate) fn harden_server(config: &mut ServerConfig, alpn: &[u8]) {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
}

/// The same, for the side that dials.
pub(crate) fn harden_client(config: &mut ClientConfig, alpn: &[u8]) {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
}

/// A clock that shows one time.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) UnixTime);

impl TimeProvider for Stopped {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}
