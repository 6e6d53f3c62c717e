//! The local transport: services of one process talk without a socket.
//!
//! Services that are built with transports of the same [`LocalNetwork`] reach each other by name, as
//! `local://jobmanager`. A stream is a pair of bounded in-memory pipes, so that a slow reader slows
//! its writer down as it would over TCP.
//!
//! ```
//! use rpc_core::transport::Transport;
//! use rpc_transport_local::LocalNetwork;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = LocalNetwork::new();
//! let mut listener = network.bind("jobmanager").listen().await?.expect("it is bound");
//! let dialled = network.dial_only().connect("jobmanager").await?;
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
//! # How things end
//!
//! Closing a connection ends its streams on both sides: what was written before can still be read,
//! then reads see the end of the stream, and writes fail with `BrokenPipe`. Dropping the connection
//! leaves its open streams alone; the peer can neither open nor accept further ones. Dropping a half
//! of a stream is seen by the half it is connected to.
//!
//! # Non-goals
//!
//! Loss, latency and partitions are not simulated here.

mod config;
mod connection;
mod listener;
mod network;
mod pipe;
mod transport;

pub use config::LocalConfig;
pub use network::LocalNetwork;
pub use transport::Local;
