use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig};

use crate::judges::{Configs, Judges, Stopped};
use crate::{CertificateAuthority, CertificateError, Fingerprint};

/// A certificate chain, its private key, and the CA certificates that peers are judged by.
///
/// Whatever can be wrong is found when it is made, so that it makes configurations without fail.
/// `Debug` does not show the key. A clone is cheap.
#[derive(Clone)]
pub struct Certificates {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    certified: Arc<CertifiedKey>,
    key: Arc<PrivateKeyDer<'static>>,
    authorities: Vec<CertificateDer<'static>>,
    files: Option<Files>,
    judges: Judges,
    /// Made of the above, once and not with every handshake.
    configs: Configs,
}

/// Where the three texts of a node are.
#[derive(Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
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
        let files = Files {
            cert: cert.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
            ca: ca.as_ref().to_owned(),
        };
        Ok(Self::of(files.read()?))
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
        let read = Inner::load(
            &Source::given("the given certificate", cert.as_ref()),
            &Source::given("the given private key", key.as_ref()),
            &Source::given("the given CA certificate", ca.as_ref()),
        );
        Ok(Self::of(read?))
    }

    /// Admits only peers that show one of these certificates, of those that are admitted without.
    ///
    /// It replaces what was pinned before; an empty list admits nobody. Flink's
    /// `security.ssl.internal.cert.fingerprint`.
    #[must_use]
    pub fn pin(self, fingerprints: impl IntoIterator<Item = Fingerprint>) -> Self {
        let pins = fingerprints.into_iter().collect();
        self.judged(|judges| judges.pins = Some(Arc::new(pins)))
    }

    /// Judges the validity of peers' certificates as of this time, whatever the clock says.
    ///
    /// It is for tests. A time before 1970 is taken for 1970.
    #[must_use]
    pub fn judging_at(self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let stopped = Stopped(UnixTime::since_unix_epoch(since));
        self.judged(|judges| judges.clock = Arc::new(stopped))
    }

    /// Returns the certificates that are in the files now from which these came.
    pub(crate) fn reread(&self) -> Result<Self, CertificateError> {
        let files = self.inner.files.as_ref();
        let files = files.ok_or(CertificateError::NoFiles)?;
        let old = self.inner.judges.clone();
        Ok(Self::of(files.read()?).judged(|judges| {
            judges.pins = old.pins;
            judges.clock = old.clock;
        }))
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    fn judged(self, change: impl FnOnce(&mut Judges)) -> Self {
        let mut inner = Inner::clone(&self.inner);
        change(&mut inner.judges);
        inner.configs = inner.judges.configure(&inner.certified);
        Self::of(inner)
    }

    /// Returns what a server needs: it shows its certificate and demands one of its CAs.
    #[must_use]
    pub fn server_config(&self, alpn: &[u8]) -> ServerConfig {
        let mut config = ServerConfig::clone(&self.inner.configs.server);
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }

    /// Returns what a client needs: it shows its certificate, and demands one of its CAs that is
    /// valid for the host it dials.
    #[must_use]
    pub fn client_config(&self, alpn: &[u8]) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.inner.configs.client);
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }

    /// Returns what a server of the protocol [`ALPN`] needs.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.inner.configs.server)
    }

    /// Returns what a client of the protocol [`ALPN`] needs.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.inner.configs.client)
    }

    /// Returns the fingerprint of the certificate, by which others may pin it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let shown = self.inner.certified.end_entity_cert();
        Fingerprint::of(shown.expect("a chain without a certificate has been refused"))
    }

    /// Returns the certificate chain as PEM.
    #[must_use]
    pub fn cert_pem(&self) -> String {
        certificates_to_pem(&self.inner.certified.cert)
    }

    /// Returns the private key as PEM. Whoever reads it can pass for this node.
    #[must_use]
    pub fn key_pem(&self) -> String {
        let tag = match &*self.inner.key {
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

impl Inner {
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
        let certified = Arc::new(certified);

        let judges = Judges::new(&authorities).map_err(|source| CertificateError::Authority {
            origin: ca.origin.clone(),
            source,
        })?;
        Ok(Self {
            configs: judges.configure(&certified),
            certified,
            key: Arc::new(private_key),
            authorities,
            files: None,
            judges,
        })
    }
}

impl Files {
    fn read(&self) -> Result<Inner, CertificateError> {
        let mut inner = Inner::load(
            &Source::read(&self.cert)?,
            &Source::read(&self.key)?,
            &Source::read(&self.ca)?,
        )?;
        inner.files = Some(self.clone());
        Ok(inner)
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
            .map_err(|source| CertificateError::pem(self.origin.clone(), source, item))?;
        match found.is_empty() {
            true => Err(CertificateError::Missing {
                origin: self.origin.clone(),
                item,
            }),
            false => Ok(found),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        PrivateKeyDer::from_pem_slice(&self.text)
            .map_err(|source| CertificateError::pem(self.origin.clone(), source, "private key"))
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
