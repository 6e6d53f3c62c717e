use std::error::Error;
use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem::Error as PemError;

/// Why certificates cannot be loaded or generated.
///
/// `origin` is the path of a file, or says which of the given texts is meant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A CA certificate cannot serve to judge peers.
    #[error("a CA certificate of {origin} is unusable")]
    Authority {
        /// Where the CA certificate is.
        origin: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A text is no fingerprint of a certificate.
    #[error("`{text}` is no SHA-256 fingerprint, which is 64 hexadecimal digits")]
    Fingerprint {
        /// The text.
        text: String,
    },
    /// A certificate cannot be generated, for instance for a name that no certificate may carry.
    #[error("cannot generate a certificate for {names}")]
    Generate {
        /// The names it was to be valid for.
        names: String,
        /// What is wrong with them.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The private key cannot be used, or belongs to another certificate.
    #[error("the private key of {key} cannot be used with the certificate of {certificate}")]
    Key {
        /// Where the certificate is.
        certificate: String,
        /// Where the key is.
        key: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file, or a text, holds no item of the kind it is for.
    #[error("{origin} holds no {item}")]
    Missing {
        /// Where the item was looked for.
        origin: String,
        /// What was looked for.
        item: &'static str,
    },
    /// Certificates that did not come from files cannot be read again.
    #[error("the certificates did not come from files that could be read again")]
    NoFiles,
    /// A file, or a text, is not PEM.
    #[error("{origin} is not PEM")]
    Pem {
        /// What is not PEM.
        origin: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl CertificateError {
    /// Says of a text that no item of a kind can be read of it.
    pub(crate) fn pem(origin: String, source: PemError, item: &'static str) -> Self {
        match source {
            PemError::NoItemsFound => Self::Missing { origin, item },
            source => Self::Pem {
                origin,
                source: source.into(),
            },
        }
    }
}
