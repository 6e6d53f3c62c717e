//! What is TCP's own: sockets as streams, addresses, and mutual TLS.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

mod address;
mod channels;
#[cfg(feature = "tls")]
mod mutual_tls;
#[cfg(feature = "tls")]
mod refusals;
#[cfg(feature = "tls")]
mod roles;
mod runtimes;
mod stream;

#[cfg(feature = "tls")]
use std::error::Error;
use std::sync::Arc;

#[cfg(feature = "tls")]
use rpc_core::transport::TransportError;
use rpc_core::transport::{Connection, Listener, Stream, Transport};
use rpc_transport_tcp::Tcp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Listens on a free port of the loopback interface.
async fn listen(tcp: Tcp) -> Box<dyn Listener> {
    tcp.listen().await.unwrap().unwrap()
}

fn loopback() -> Tcp {
    Tcp::bind("127.0.0.1:0")
}

/// Makes a connection, and returns the dialler's side and the side of the one who is dialled.
async fn connected(
    listener: &mut dyn Listener,
    dialler: &Tcp,
) -> (Arc<dyn Connection>, Arc<dyn Connection>) {
    let authority = listener.authority();
    let (dialled, accepted) = tokio::join!(dialler.connect(&authority), listener.accept());
    (dialled.unwrap(), accepted.unwrap())
}

/// Sends some bytes there and back.
async fn echo(mut ours: Stream, mut theirs: Stream) -> (Stream, Stream) {
    ours.writer.write_all(b"ping").await.unwrap();
    ours.writer.flush().await.unwrap();
    let mut heard = [0; 4];
    theirs.reader.read_exact(&mut heard).await.unwrap();
    theirs.writer.write_all(&heard).await.unwrap();
    theirs.writer.flush().await.unwrap();
    heard.fill(0);
    ours.reader.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
    (ours, theirs)
}

/// Reads until the stream ends, in whichever way.
async fn ends(stream: &mut Stream) {
    let mut rest = Vec::new();
    let _ = stream.reader.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

/// Accepts the next connection, and the stream on it.
#[cfg(feature = "tls")]
async fn next(
    listener: &mut dyn Listener,
) -> Result<(Arc<dyn Connection>, Stream), TransportError> {
    let connection = listener.accept().await?;
    let stream = connection.accept_stream().await?;
    Ok((connection, stream))
}

#[cfg(feature = "tls")]
fn cause(error: &TransportError) -> String {
    error.source().unwrap().to_string()
}
