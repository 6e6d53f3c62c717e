use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::{CertificateAuthority, CertificateError};

/// A certificate chain, its private key, and the CA certificates that peers are judged by.
///
/// Whatever can be wrong is found when it is made, so that it makes configurations without fail.
/// `Debug` does not show the key. A clone is cheap.
#[derive(Clone)]
pub struct Certificates {
    inner: Arc<Inner>,
}

struct Inner {
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
    authorities: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
    client_verifier: Arc<dyn ClientCertVerifier>,
}

impl Certificates {
    /// Generates a new CA, and one certificate of it that is valid for `names`.
    ///
    /// It is also valid for `localhost`, `127.0.0.1` and `::1`. This is for a cluster within one
    /// process: nobody else has a certificate of this CA. [`CertificateAuthority`] issues several.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Generate`] for a name that no certificate can carry.
    pub fn generate(names: &[&str]) -> Result<Self, CertificateError> {
        CertificateAuthority::generate()?.issue(names)
    }

    /// Reads the three PEM files of a node: its certificate chain, its key, and the CAs it trusts.
    ///
    /// # Errors
    ///
    /// The error names the file and what is wrong with it.
    pub fn from_pem_files(
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
        ca: impl AsRef<Path>,
    ) -> Result<Self, CertificateError> {
        Self::load(
            &Source::read(cert.as_ref())?,
            &Source::read(key.as_ref())?,
            &Source::read(ca.as_ref())?,
        )
    }

    /// Takes the PEM texts of a certificate chain, its key, and the CAs that peers are judged by.
    ///
    /// # Errors
    ///
    /// The error says which text is meant and what is wrong with it.
    pub fn from_pem(
        cert: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        ca: impl AsRef<[u8]>,
    ) -> Result<Self, CertificateError> {
        Self::load(
            &Source::given("the given certificate", cert.as_ref()),
            &Source::given("the given private key", key.as_ref()),
            &Source::given("the given CA certificate", ca.as_ref()),
        )
    }

    fn load(cert: &Source, key: &Source, ca: &Source) -> Result<Self, CertificateError> {
        let chain = cert.certificates("certificate")?;
        let private_key = key.private_key()?;
        let authorities = ca.certificates("CA certificate")?;

        let certified = CertifiedKey::from_der(chain, private_key.clone_key(), &provider())
            .map_err(|source| CertificateError::Key {
                certificate: cert.origin.clone(),
                key: key.origin.clone(),
                source: source.into(),
            })?;

        let unusable =
            |source: Box<dyn std::error::Error + Send + Sync>| CertificateError::Authority {
                origin: ca.origin.clone(),
                source,
            };
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots
                .add(authority.clone())
                .map_err(|source| unusable(source.into()))?;
        }
        let roots = Arc::new(roots);
        let client_verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
                .build()
                .map_err(|source| unusable(source.into()))?;

        Ok(Self {
            inner: Arc::new(Inner {
                certified: Arc::new(certified),
                key: private_key,
                authorities,
                roots,
                client_verifier,
            }),
        })
    }

    /// Returns what a server needs: it shows its certificate and demands one of its CAs.
    #[must_use]
    pub fn server_config(&self, alpn: &[u8]) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the ring provider has TLS 1.3")
            .with_client_cert_verifier(Arc::clone(&self.inner.client_verifier))
            .with_cert_resolver(self.shown());
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }

    /// Returns what a client needs: it shows its certificate, and demands one of its CAs that is
    /// valid for the host it dials.
    #[must_use]
    pub fn client_config(&self, alpn: &[u8]) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the ring provider has TLS 1.3")
            .with_root_certificates(Arc::clone(&self.inner.roots))
            .with_client_cert_resolver(self.shown());
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }

    /// Returns the certificate chain as PEM.
    #[must_use]
    pub fn cert_pem(&self) -> String {
        certificates_to_pem(&self.inner.certified.cert)
    }

    /// Returns the private key as PEM. Whoever reads it can pass for this node.
    #[must_use]
    pub fn key_pem(&self) -> String {
        let tag = match &self.inner.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem::encode(&pem::Pem::new(tag, self.inner.key.secret_der()))
    }

    /// Returns the CA certificates that peers are judged by as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        certificates_to_pem(&self.inner.authorities)
    }

    pub(crate) fn shown(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.inner.certified)))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("chain", &self.inner.certified.cert.len())
            .field("authorities", &self.inner.authorities.len())
            .finish_non_exhaustive()
    }
}

/// A PEM text, and how an error calls it.
struct Source {
    origin: String,
    text: Vec<u8>,
}

impl Source {
    fn read(path: &Path) -> Result<Self, CertificateError> {
        let text = fs::read(path).map_err(|source| CertificateError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            origin: path.display().to_string(),
            text,
        })
    }

    fn given(origin: &str, text: &[u8]) -> Self {
        Self {
            origin: origin.to_owned(),
            text: text.to_vec(),
        }
    }

    fn certificates(
        &self,
        item: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let found = CertificateDer::pem_slice_iter(&self.text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| self.unreadable(source, item))?;
        if found.is_empty() {
            return Err(self.unreadable(PemError::NoItemsFound, item));
        }
        Ok(found)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        PrivateKeyDer::from_pem_slice(&self.text)
            .map_err(|source| self.unreadable(source, "private key"))
    }

    fn unreadable(&self, source: PemError, item: &'static str) -> CertificateError {
        let origin = self.origin.clone();
        match source {
            PemError::NoItemsFound => CertificateError::Missing { origin, item },
            source => CertificateError::Pem {
                origin,
                source: source.into(),
            },
        }
    }
}

/// The crypto provider is named wherever one is needed: the process-wide default of rustls is for
/// the application to choose, and may be missing.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates_to_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates
        .iter()
        .map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.as_ref())))
        .collect()
}

/// The protocol that both sides of a connection must name in their handshake (ALPN).
pub const ALPN: &[u8] = b"arpc/1";
