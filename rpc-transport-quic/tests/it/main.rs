//! What is QUIC's own: sockets that are shared, streams, and TLS that cannot be done without.
#![allow(
    clippy::unwrap_used,
    reason = "the exemption of tests does not reach their helpers"
)]

mod address;
mod driver;
mod flood;
mod refusals;
mod roles;
mod security;
mod stream;

use std::error::Error;
use std::sync::Arc;

use rpc_core::transport::{Connection, Listener, Stream, Transport, TransportError};
use rpc_transport_quic::Quic;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Listens on a free port of the loopback interface.
async fn listen(quic: &Quic) -> Box<dyn Listener> {
    quic.listen().await.unwrap().unwrap()
}

fn loopback() -> Quic {
    Quic::bind("127.0.0.1:0").insecure()
}

/// A connection, and a stream on it.
type Side = (Arc<dyn Connection>, Stream);

/// Makes a connection with a stream on it that the dialler has opened.
async fn connected(listener: &mut dyn Listener, dialler: &Quic) -> (Side, Side) {
    let address = listener.authority();
    let (ours, theirs) = tokio::join!(dial(dialler, &address), accept(listener));
    (ours.unwrap(), theirs.unwrap())
}

/// Dials, and makes the peer accept by writing to a stream.
async fn dial(dialler: &Quic, address: &str) -> Result<Side, TransportError> {
    let connection = dialler.connect(address).await?;
    let mut stream = connection.open_stream().await?;
    stream.writer.write_all(b"!").await.unwrap();
    Ok((connection, stream))
}

async fn accept(listener: &mut dyn Listener) -> Result<Side, TransportError> {
    let connection = listener.accept().await?;
    let mut stream = connection.accept_stream().await?;
    assert_eq!(stream.reader.read_u8().await.unwrap(), b'!');
    Ok((connection, stream))
}

/// Sends some bytes there and back.
async fn echo(ours: &mut Stream, theirs: &mut Stream) {
    ours.writer.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    theirs.reader.read_exact(&mut heard).await.unwrap();
    theirs.writer.write_all(&heard).await.unwrap();
    heard.fill(0);
    ours.reader.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
}

fn is_closed(error: &TransportError) -> bool {
    matches!(error, TransportError::Closed { .. })
}

fn is_config(error: &TransportError) -> bool {
    matches!(error, TransportError::Config { .. })
}

fn is_connect(error: &TransportError) -> bool {
    matches!(error, TransportError::Connect { .. })
}

fn cause(error: &TransportError) -> String {
    error.source().unwrap().to_string()
}
