//! How a socket becomes a stream: two files with one signature, of which the feature `tls` chooses.

#[cfg(not(feature = "tls"))]
mod disabled;
#[cfg(feature = "tls")]
mod enabled;
#[cfg(feature = "tls")]
mod sealed;

use std::io;

use rpc_core::transport::{PeerIdentity, Stream};
use tokio::net::TcpStream;

use crate::socket::{Shared, Sockets};

#[cfg(not(feature = "tls"))]
pub(crate) use disabled::Security;
#[cfg(feature = "tls")]
pub(crate) use enabled::Security;

/// What comes of a handshake: the stream, and who the peer has proved to be.
pub(crate) type Shaken = (Stream, Option<PeerIdentity>);

fn plain(socket: TcpStream, sockets: &Sockets) -> io::Result<Shaken> {
    let (reader, writer) = socket.into_split();
    let stream = Stream::new(Shared::new(reader, sockets)?, Shared::new(writer, sockets)?);
    Ok((stream, None))
}
