//! Certificates for the transports: from PEM files to rustls configurations.
//!
//! The services of a cluster trust each other mutually: each has a certificate, shows it both when
//! it dials and when it is dialled, and accepts a peer whose certificate comes from the cluster's
//! own authority and, when dialling, is valid for the host that was dialled. [`Certificates`] holds
//! what that needs, and makes the two rustls configurations of it. Only TLS 1.3 is spoken.
//!
//! ```
//! use rpc_tls::{ALPN, Certificates};
//!
//! # fn main() -> Result<(), rpc_tls::CertificateError> {
//! let certificates = Certificates::generate(&["node-1.example"])?;
//! let server = certificates.server_config(ALPN);
//! let client = certificates.client_config(ALPN);
//! assert_eq!(server.alpn_protocols, client.alpn_protocols);
//! # Ok(())
//! # }
//! ```
//!
//! In TLS 1.3 a client has finished its handshake before the server has judged the client's
//! certificate. That a server accepts a client is therefore known only once the server has said
//! something above TLS.
//!
//! # Non-goals
//!
//! No public authorities, no revocation lists, no passwords on keys.

mod authority;
mod certificates;
mod error;
mod insecure;

pub use authority::CertificateAuthority;
pub use certificates::{ALPN, Certificates};
pub use error::CertificateError;
pub use insecure::{insecure_client_config, insecure_server_config};

#[cfg(test)]
mod tests;
