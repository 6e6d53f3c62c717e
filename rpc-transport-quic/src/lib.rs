//! The QUIC transport: one connection to a peer, and many streams on it that do not wait for each
//! other.
//!
//! A service is given it when it is built, and is then reached at addresses like
//! `quic://127.0.0.1:6123/endpoint`:
//!
//! ```
//! use rpc_core::RpcService;
//! use rpc_transport_quic::{Certificates, Quic};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quic = Quic::bind("127.0.0.1:0").mtls(Certificates::generate(&[])?);
//! let service = RpcService::builder().transport(quic).build().await?;
//! assert!(service.address_of("endpoint").starts_with("quic://127.0.0.1:"));
//! # service.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! By itself it opens and accepts streams of bytes:
//!
//! ```
//! use rpc_core::transport::{Transport, TransportError};
//! use rpc_transport_quic::{Certificates, Quic};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let certificates = Certificates::generate(&[])?;
//! let server = Quic::bind("127.0.0.1:0").mtls(certificates.clone());
//! let client = Quic::dial_only().mtls(certificates);
//! let mut listener = server.listen().await?.expect("it is bound");
//! let address = listener.authority();
//!
//! let dialling = async {
//!     let connection = client.connect(&address).await?;
//!     let mut stream = connection.open_stream().await?;
//!     stream.writer.write_all(b"hello").await?;
//!     Ok::<_, Box<dyn std::error::Error>>((connection, stream))
//! };
//! let accepting = async {
//!     let connection = listener.accept().await?;
//!     let stream = connection.accept_stream().await?;
//!     Ok::<_, TransportError>((connection, stream))
//! };
//! let (_ours, theirs) = tokio::join!(dialling, accepting);
//! let (_connection, mut stream) = theirs?;
//! let mut heard = [0; 5];
//! stream.reader.read_exact(&mut heard).await?;
//! assert_eq!(&heard, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Sockets
//!
//! A transport that listens dials from the same UDP socket, so that a firewall needs to know one
//! port. Where that socket cannot reach the peer, as an IPv4 socket cannot reach an IPv6 address,
//! and for a transport that only dials, a socket on any free port is made with the first dialling
//! and kept. Dropping the listener frees the port as soon as its connections have ended. The system is
//! asked for [`QuicConfig::socket_buffer_bytes`]: what comes in faster than it is read is lost beyond that.
//!
//! # Tasks
//!
//! Each connection has a task that moves its packets. It can be
//! [lent](rpc_core::transport::Connection::lend_driver) to the task that reads the connection's streams,
//! as a service does: what arrives is then read without a hop from one task to another.
//!
//! # Streams
//!
//! The peer learns of a stream with the first bytes on it. Dropping the writer is the end of the
//! stream for the peer, after all that was written; dropping the reader makes the peer's writes
//! fail. Closing the connection loses what the peer has not acknowledged yet.
//!
//! # Security
//!
//! There is no QUIC without TLS. With certificates ([`Quic::mtls`]) both sides prove who they are.
//! Without them a transport has to say [`Quic::insecure`], and then neither binds nor dials
//! anything but loopback addresses.
//!
//! * **Who a peer is** says [`Connection::identity`](rpc_core::transport::Connection::identity),
//!   with the roles that its certificate gives it.
//! * **Refusals are prompt.** Either side says in words what is wrong with the other's certificate;
//!   nothing but silence waits for a time-out. A client is connected before the server has judged
//!   its certificate: it learns of a refusal when it opens or reads a stream.
//! * **Certificates are renewed** by a [`CertificateStore`], for new connections. No session is
//!   resumed, so that each handshake judges the peer anew, and there is no early data.
//! * **A flood of peers** that do not finish their handshakes is met by three limits: from
//!   [`QuicConfig::handshakes_unproven_max`] on a peer has to prove its address, so that nobody can
//!   forge it; over [`QuicConfig::handshakes_max`] it is refused; and one that says nothing is
//!   forgotten after [`QuicConfig::handshake_timeout`].
//! * **What a peer can fill** is bounded: the windows of a connection and of a stream, the number of
//!   streams, and the buffers before it has proved who it is ([`QuicConfig`]).
//! * **A peer whose host vanished** is noticed after [`QuicConfig::idle_timeout`].
//!
//! # Non-goals
//!
//! No datagrams, no one-way streams, no early data (0-RTT), which could be replayed.

mod address;
mod config;
mod connection;
mod driver;
mod listener;
mod refusal;
mod security;
mod sockets;
mod stream;
mod transport;

pub use config::QuicConfig;
pub use rpc_tls::{
    CertificateAuthority, CertificateError, CertificateRequest, CertificateStore, Certificates,
    Fingerprint,
};
pub use transport::Quic;
