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
//! # Security
//!
//! * **Who is admitted.** Whoever shows a certificate of a trusted authority that is valid now, for
//!   its side of the connection, and, if it is dialled, for the host that was dialled. With
//!   [`Certificates::pin`] it must be one of the certificates that are listed, besides.
//! * **What a peer may do** is for others to say: [`PeerCertificate`] tells its roles, which the
//!   authority gave it ([`CertificateAuthority::issue_with`]) as subject alternative names of the
//!   form `urn:rpc-role:NAME`.
//! * **Renewal.** A [`CertificateStore`] changes certificates and authorities while services run.
//! * **Sessions are never resumed.** A resumed session is not judged again: it would let somebody
//!   back in whose certificate has expired, or whose authority or pin was taken away. It costs a
//!   whole handshake for each connection. There is no early data either, which could be replayed.
//! * **Refusals** say in words what was wrong, on both sides: [`TlsError`].
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `testing` | no | the peers that every transport has to refuse |
//!
//! # Non-goals
//!
//! No public authorities, no revocation lists (replace the authority, or pin), no passwords on keys.

mod authority;
mod certificates;
mod error;
mod fingerprint;
mod insecure;
mod judges;
mod peer;
mod pins;
mod refusal;
mod request;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use authority::CertificateAuthority;
pub use certificates::{ALPN, Certificates};
pub use error::CertificateError;
pub use fingerprint::Fingerprint;
pub use insecure::{insecure_client_config, insecure_server_config};
pub use peer::PeerCertificate;
pub use refusal::{TlsError, explain};
pub use request::{CertificateRequest, Usage};
pub use store::CertificateStore;

#[cfg(test)]
mod tests;
