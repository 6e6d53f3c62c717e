use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::{CertificateError, Certificates};

/// An authority that issues the certificates of one cluster.
///
/// Its key never leaves memory: once it is dropped, nobody can issue a further certificate that the
/// nodes of the cluster accept. What it issues does not expire.
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
    /// It is also valid for `localhost`, `127.0.0.1` and `::1`, and serves both for dialling and
    /// for being dialled.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Generate`] for a name that no certificate can carry.
    pub fn issue(&self, names: &[&str]) -> Result<Certificates, CertificateError> {
        let failed = |source: rcgen::Error| CertificateError::Generate {
            names: names.join(", "),
            source: source.into(),
        };
        let mut subjects: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        for name in LOOPBACK {
            if !names.contains(&name) {
                subjects.push(name.to_owned());
            }
        }
        let common_name = subjects[0].clone();

        let mut params = CertificateParams::new(subjects).map_err(failed)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);

        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
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

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
