use std::error::Error;
use std::io;
use std::path::PathBuf;

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
