use std::fmt;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::{CertificateError, CertificateRequest, Certificates};

/// An authority that issues the certificates of one cluster.
///
/// Its key never leaves memory: once it is dropped, nobody can issue a further certificate that the
/// nodes of the cluster accept.
///
/// ```
/// # fn main() -> Result<(), rpc_tls::CertificateError> {
/// let authority = rpc_tls::CertificateAuthority::generate()?;
/// let one = authority.issue(&["node-1.example"])?;
/// let two = authority.issue(&["node-2.example", "10.0.0.2"])?;
/// assert_eq!(one.ca_pem(), two.ca_pem());
/// # Ok(())
/// # }
/// ```
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl CertificateAuthority {
    /// Generates a new authority with a key of its own.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Generate`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, CertificateError> {
        let failed = |source: rcgen::Error| CertificateError::Generate {
            names: NAME.to_owned(),
            source: source.into(),
        };
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().map_err(failed)?;
        // Were all authorities of one name, a stranger's certificate would be called badly signed
        // rather than of an unknown issuer.
        let mark: String = params.key_identifier(&key)[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{NAME} {mark}"));

        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// Issues a certificate for a node that is reached by `names`: DNS names and IP addresses.
    ///
    /// It is also valid for `localhost`, `127.0.0.1` and `::1`, serves both for dialling and for
    /// being dialled, gives no role, and does not expire.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Generate`] for a name that no certificate can carry.
    pub fn issue(&self, names: &[&str]) -> Result<Certificates, CertificateError> {
        self.issue_with(&CertificateRequest {
            names: names.iter().copied().map(str::to_owned).collect(),
            ..CertificateRequest::default()
        })
    }

    /// Issues a certificate that says what is asked for.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Generate`] for a name, a role or a time that no certificate can carry.
    pub fn issue_with(
        &self,
        request: &CertificateRequest,
    ) -> Result<Certificates, CertificateError> {
        let failed = |source| CertificateError::Generate {
            names: request.subject(),
            source,
        };
        let params = request.to_params().map_err(failed)?;
        let key = KeyPair::generate().map_err(|error| failed(error.into()))?;
        let certificate = params.signed_by(&key, &self.issuer);
        let certificate = certificate.map_err(|error| failed(error.into()))?;
        Certificates::from_pem(certificate.pem(), key.serialize_pem(), &self.pem)
    }

    /// Returns the authority's own certificate as PEM, by which peers judge what it issued.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .finish_non_exhaustive()
    }
}

const NAME: &str = "rpc cluster authority";
