//! What a transport is: something that dials and accepts connections of ordered byte streams.
//!
//! A transport knows nothing of gateways, calls or frames. It carries bytes; the runtime cuts them
//! into frames, so that every transport has the same limits and the same semantics.
//!
//! ```text
//!   Transport ── connect("host:port") ──▶ Connection ── open_stream ───▶ Stream
//!       │                                                                  ║
//!       └────── listen ─▶ Listener ─ accept ▶ Connection ─ accept_stream ▶ Stream
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

pub use crate::authority::{Authority, BindAuthority};

/// A way to reach other services, such as TCP or QUIC.
///
/// A transport is a value that says how to bind and how to dial; a service is built with one or
/// several of them, and the scheme of an address chooses among them.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Returns the scheme of the addresses that this transport reaches, such as `tcp`.
    fn scheme(&self) -> &'static str;

    /// Binds, and returns what accepts; `None` for a transport that only dials.
    ///
    /// # Errors
    ///
    /// [`TransportError::Bind`] names the address that cannot be bound.
    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError>;

    /// Dials `authority`, the part of an address between `://` and the next `/`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the attempt and leaves nothing behind.
    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError>;
}

/// A transport behind a pointer, so that one can be chosen while the program runs.
#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn scheme(&self) -> &'static str {
        T::scheme(self)
    }

    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, TransportError> {
        T::listen(self).await
    }

    async fn connect(&self, authority: &str) -> Result<Arc<dyn Connection>, TransportError> {
        T::connect(self, authority).await
    }
}

/// A bound transport.
#[async_trait]
pub trait Listener: fmt::Debug + Send + 'static {
    /// Returns the authority by which others reach this listener, with the port that was bound.
    fn authority(&self) -> String;

    /// Waits for the next connection.
    ///
    /// It does not wait for any handshake of the connection: that is part of the first
    /// [`Connection::accept_stream`], so that a slow peer keeps nobody else waiting. An error is
    /// final: the listener accepts no more.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost when the future is dropped.
    async fn accept(&mut self) -> Result<Arc<dyn Connection>, TransportError>;
}

/// A connection to one peer, on which both sides may open streams.
#[async_trait]
pub trait Connection: fmt::Debug + Send + Sync + 'static {
    /// Returns the peer's address, for messages.
    fn peer(&self) -> String;

    /// Opens a stream. The peer learns of it with the first bytes that are written.
    async fn open_stream(&self) -> Result<Stream, TransportError>;

    /// Waits for a stream that the peer opens; the first also waits for the handshake.
    ///
    /// # Errors
    ///
    /// [`TransportError::Closed`] once the connection is closed, or when it can bear no more streams.
    ///
    /// # Cancel safety
    ///
    /// No stream is lost when the future is dropped, save the one whose handshake was under way.
    async fn accept_stream(&self) -> Result<Stream, TransportError>;

    /// Closes the connection and every stream on it, without waiting for the peer.
    fn close(&self);

    /// Lends what moves the connection's bytes to whoever would rather run it than be woken by it:
    /// bytes that arrive then need no hop to another task before they are read. `None` if there is no
    /// such thing, or before the handshake, or while it is lent.
    ///
    /// Until it is lent, and again once it is dropped, the transport runs it.
    fn lend_driver(&self) -> Option<Driver> {
        None
    }

    /// Returns who the peer has proved to be; `None` where peers prove nothing, as without TLS.
    ///
    /// It is known once the first [`open_stream`](Self::open_stream) or
    /// [`accept_stream`](Self::accept_stream) has returned, and stays what it was then.
    fn identity(&self) -> Option<PeerIdentity> {
        None
    }
}

/// What moves the bytes of a connection while it is polled.
pub type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who a peer is, by a certificate that was verified.
///
/// ```
/// use rpc_core::transport::PeerIdentity;
///
/// let names = vec!["node-1.example".to_owned()];
/// let roles = vec!["task-executor".to_owned(), "dispatcher".to_owned()];
/// let identity = PeerIdentity::new([0xab; 32], names, roles);
/// assert_eq!(identity.roles(), ["dispatcher", "task-executor"]);
/// assert!(identity.has_role("dispatcher") && !identity.has_role("admin"));
/// assert!(identity.fingerprint_hex().starts_with("abab"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    fingerprint: [u8; 32],
    names: Vec<String>,
    roles: Vec<String>,
}

impl PeerIdentity {
    /// Makes an identity of the SHA-256 digest of a certificate, and the names and roles in it.
    #[must_use]
    pub fn new(fingerprint: [u8; 32], mut names: Vec<String>, mut roles: Vec<String>) -> Self {
        for list in [&mut names, &mut roles] {
            list.sort_unstable();
            list.dedup();
        }
        Self {
            fingerprint,
            names,
            roles,
        }
    }

    /// Returns the SHA-256 digest of the certificate.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Returns the digest as 64 hexadecimal digits.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        let digits = self.fingerprint.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    /// Returns the DNS names that the certificate is valid for, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the roles that the authority has given the peer, in order.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Tells whether the authority has given the peer a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        let found = self.roles.binary_search_by(|it| it.as_str().cmp(role));
        found.is_ok()
    }
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerIdentity")
            .field("fingerprint", &self.fingerprint_hex())
            .field("names", &self.names)
            .field("roles", &self.roles)
            .finish()
    }
}

/// An ordered, reliable stream of bytes in both directions.
///
/// Dropping the writer without `poll_shutdown` may lose bytes that were written but not yet sent.
pub struct Stream {
    /// The half to read from.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// The half to write to.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Stream {
    /// Makes a stream of its two halves.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// Why a transport could not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The authority of an address is not one of this transport's.
    #[error("`{authority}` is not an address of the {scheme} transport: {reason}")]
    Address {
        /// The transport's scheme.
        scheme: &'static str,
        /// What was given.
        authority: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An address cannot be bound.
    #[error("cannot listen on {scheme}://{authority}")]
    Bind {
        /// The transport's scheme.
        scheme: &'static str,
        /// The address that was to be bound.
        authority: String,
        /// What the operating system says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection is closed.
    #[error("the connection to {peer} is closed")]
    Closed {
        /// The other side.
        peer: String,
    },
    /// The peer cannot be reached, or the handshake with it failed.
    #[error("cannot connect to {scheme}://{authority}")]
    Connect {
        /// The transport's scheme.
        scheme: &'static str,
        /// The address that was dialled.
        authority: String,
        /// What the operating system or the handshake says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The transport is configured in a way that cannot work.
    #[error("the {scheme} transport: {reason}")]
    Config {
        /// The transport's scheme.
        scheme: &'static str,
        /// What is wrong.
        reason: String,
    },
}
