//! The TCP transport: one TCP connection per stream, plain or under mutual TLS.
//!
//! A service is given it when it is built, and is then reached at addresses like
//! `tcp://127.0.0.1:6123/endpoint`:
//!
//! ```
//! use rpc_core::RpcService;
//! use rpc_transport_tcp::Tcp;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = RpcService::builder().transport(Tcp::bind("127.0.0.1:0")).build().await?;
//! assert!(service.address_of("endpoint").starts_with("tcp://127.0.0.1:"));
//! # service.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! By itself it opens and accepts streams of bytes:
//!
//! ```
//! use rpc_core::transport::Transport;
//! use rpc_transport_tcp::Tcp;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut listener = Tcp::bind("127.0.0.1:0").listen().await?.expect("it is bound");
//! let dialled = Tcp::dial_only().connect(&listener.authority()).await?;
//! let accepted = listener.accept().await?;
//!
//! let mut ours = dialled.open_stream().await?;
//! let mut theirs = accepted.accept_stream().await?;
//! ours.writer.write_all(b"hello").await?;
//! let mut heard = [0; 5];
//! theirs.reader.read_exact(&mut heard).await?;
//! assert_eq!(&heard, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Connections and streams
//!
//! TCP knows one stream per connection, so here every stream has a socket of its own. Dialling
//! makes the first, which the first `open_stream` returns; each further `open_stream` dials the
//! same authority again. The other side sees a new connection each time, with one stream on it:
//! its first `accept_stream` does the TLS handshake and returns that stream, and the next returns
//! [`Closed`](rpc_core::transport::TransportError::Closed) at once, which says no more than that no
//! further stream will come. Only the side that dialled opens streams; on the other side
//! `open_stream` is a [`Config`](rpc_core::transport::TransportError::Config) error.
//!
//! # Security
//!
//! With certificates ([`Tcp::mtls`]) both sides prove who they are, by TLS 1.3. Without them only a
//! loopback address may be bound, unless the configuration says [`Tcp::insecure`].
//!
//! * **Who a peer is** says [`Connection::identity`](rpc_core::transport::Connection::identity),
//!   with the roles that its certificate gives it. The side that dialled has it of the first stream.
//! * **Refusals are prompt.** Either side says in words what is wrong with the other's certificate,
//!   or that it speaks no TLS; nothing but silence waits for a time-out
//!   ([`TcpConfig::handshake_timeout`]). A client under TLS 1.3 is connected before the server has
//!   judged its certificate: it learns of a refusal when it reads.
//! * **Certificates are renewed** by a `CertificateStore`, for new connections, and for new streams
//!   of those there are. No session is resumed, so that each handshake judges the peer anew.
//! * **A flood of peers** that do not finish their handshakes holds [`TcpConfig::handshakes_max`]
//!   sockets at most, and none for longer than the time-out. When the process has no file
//!   descriptors left, accepting pauses and goes on.
//! * **A peer whose host vanished** is noticed by [`TcpConfig::user_timeout`] when something is sent
//!   to it, and by [`TcpConfig::keepalive`] when nothing is.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tls` | yes | `Tcp::mtls`, and the types of certificates |
#![cfg_attr(
    not(feature = "tls"),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "what the feature adds is named also without it"
    )
)]

mod address;
mod config;
mod connection;
mod dialler;
mod listener;
mod socket;
mod tls;
mod transport;

pub use config::TcpConfig;
#[cfg(feature = "tls")]
pub use rpc_tls::{
    CertificateAuthority, CertificateError, CertificateRequest, CertificateStore, Certificates,
    Fingerprint,
};
pub use transport::Tcp;

/// The README's example, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
