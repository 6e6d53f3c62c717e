//! How a socket becomes a stream: two files with one signature, of which the feature `tls` chooses.

#[cfg(not(feature = "tls"))]
mod disabled;
#[cfg(feature = "tls")]
mod enabled;

use std::io;

use rpc_core::transport::Stream;
use tokio::net::TcpStream;

use crate::socket::{Shared, Sockets};

#[cfg(not(feature = "tls"))]
pub(crate) use disabled::Security;
#[cfg(feature = "tls")]
pub(crate) use enabled::Security;

fn plain(socket: TcpStream, sockets: &Sockets) -> io::Result<Stream> {
    let (reader, writer) = socket.into_split();
    Ok(Stream::new(
        Shared::new(reader, sockets)?,
        Shared::new(writer, sockets)?,
    ))
}
