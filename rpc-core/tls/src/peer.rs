use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::Fingerprint;

/// What a verified certificate says of whoever has shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCertificate {
    /// Which certificate it is.
    pub fingerprint: Fingerprint,
    /// The DNS names it is valid for.
    pub names: Vec<String>,
    /// The roles that the authority has given its holder.
    pub roles: Vec<String>,
}

impl PeerCertificate {
    /// Reads the certificate of a chain that its holder has shown, and rustls has verified.
    ///
    /// `None` if there is none, or one that is no certificate.
    #[must_use]
    pub fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let shown = chain.first()?;
        let parsed = EndEntityCert::try_from(shown).ok()?;
        let roles = parsed
            .valid_uri_names()
            .filter_map(|uri| uri.strip_prefix(ROLE_PREFIX))
            .map(str::to_owned);
        Some(Self {
            fingerprint: Fingerprint::of(shown),
            names: parsed.valid_dns_names().map(str::to_owned).collect(),
            roles: roles.collect(),
        })
    }
}

/// A role is a subject alternative name of this form: `urn:rpc-role:task-executor`.
pub(crate) const ROLE_PREFIX: &str = "urn:rpc-role:";
