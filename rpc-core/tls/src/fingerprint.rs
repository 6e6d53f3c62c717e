use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::CertificateError;

/// The SHA-256 digest of a certificate, by which it is told from all others.
///
/// It is written in hexadecimal digits, and read with or without colons, as `openssl x509
/// -fingerprint -sha256` and Flink's `security.ssl.internal.cert.fingerprint` have them.
///
/// ```
/// use rpc_tls::{Certificates, Fingerprint};
///
/// # fn main() -> Result<(), rpc_tls::CertificateError> {
/// let certificates = Certificates::generate(&[])?;
/// let fingerprint = Fingerprint::of_pem(certificates.cert_pem())?;
/// assert_eq!(fingerprint.to_string().parse::<Fingerprint>()?, fingerprint);
/// assert_eq!(fingerprint, certificates.fingerprint());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of the first certificate of a PEM text, which is the node's own.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Pem`] or [`CertificateError::Missing`] if there is none.
    pub fn of_pem(text: impl AsRef<[u8]>) -> Result<Self, CertificateError> {
        match CertificateDer::from_pem_slice(text.as_ref()) {
            Ok(der) => Ok(Self::of(&der)),
            Err(source) => Err(CertificateError::pem(
                "the given certificate".to_owned(),
                source,
                "certificate",
            )),
        }
    }

    pub(crate) fn of(der: &CertificateDer<'_>) -> Self {
        let digest = digest(&SHA256, der);
        let bytes = digest.as_ref().try_into();
        Self(bytes.expect("SHA-256 has 32 bytes"))
    }

    /// Returns the digest.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, CertificateError> {
        let refusal = || CertificateError::Fingerprint {
            text: text.to_owned(),
        };
        let mut digits = text.chars().filter(|it| *it != ':');
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            for _ in 0..2 {
                let digit = digits.next().and_then(|it| it.to_digit(16));
                let digit = digit.and_then(|it| u8::try_from(it).ok());
                *byte = *byte << 4 | digit.ok_or_else(refusal)?;
            }
        }
        match digits.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(refusal()),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
