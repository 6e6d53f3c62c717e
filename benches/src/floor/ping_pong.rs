use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use rpc_tls::ALPN;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Join};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{quic, tcp};
use crate::certificates::certificates;
use crate::harness::{Client, Subject};

/// Numbers behind a length of four bytes, on one TCP connection, to a task that sends each back as a
/// sum. One at a time: no call costs less.
#[derive(Debug)]
pub struct TcpPingPong;

/// The same with certificates on both sides.
#[derive(Debug)]
pub struct TlsPingPong;

/// The same on one long stream of a QUIC connection.
#[derive(Debug)]
pub struct QuicPingPong;

/// The asking side of a stream.
pub struct PingPong<S>(Arc<Mutex<(S, BytesMut)>>);

impl<S> PingPong<S> {
    fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new((stream, BytesMut::new()))))
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Client for PingPong<S> {
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send + Unpin {
        Box::pin(async move {
            let (stream, buffer) = &mut *self.0.lock().await;
            put(buffer, number);
            let written = write(stream, buffer).await;
            written.expect("the other task reads");
            loop {
                let read = read(stream, buffer).await;
                assert_ne!(read.expect("the other task answers"), 0);
                if let Some(sum) = take(buffer) {
                    return sum;
                }
            }
        })
    }
}

impl Subject for TcpPingPong {
    type Client = PingPong<TcpStream>;

    async fn serve() -> String {
        tcp::listen(answer).await
    }

    async fn connect(address: String) -> Self::Client {
        PingPong::new(tcp::dial(&address).await)
    }
}

impl Subject for TlsPingPong {
    type Client = PingPong<TlsStream<TcpStream>>;

    async fn serve() -> String {
        let acceptor = TlsAcceptor::from(Arc::new(certificates().server_config(ALPN)));
        tcp::listen(move |stream| {
            let accepting = acceptor.accept(stream);
            async move { answer(accepting.await.expect("the client is trusted")).await }
        })
        .await
    }

    async fn connect(address: String) -> Self::Client {
        let connector = TlsConnector::from(Arc::new(certificates().client_config(ALPN)));
        let name = ServerName::try_from("localhost").expect("it is a name");
        let stream = connector.connect(name, tcp::dial(&address).await).await;
        PingPong::new(stream.expect("the server is trusted"))
    }
}

impl Subject for QuicPingPong {
    type Client = PingPong<Join<quinn::RecvStream, quinn::SendStream>>;

    async fn serve() -> String {
        quic::listen(|reader, writer| answer(tokio::io::join(reader, writer)))
    }

    async fn connect(address: String) -> Self::Client {
        let (writer, reader) = quic::dial(&address).await;
        PingPong::new(tokio::io::join(reader, writer))
    }
}

impl<S> Clone for PingPong<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for PingPong<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PingPong").finish_non_exhaustive()
    }
}

/// Answers all questions on a stream, until the asking side is gone.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut sum = 0u64;
    while read(&mut stream, &mut input).await? > 0 {
        while let Some(number) = take(&mut input) {
            sum = sum.wrapping_add(number);
            put(&mut output, sum);
        }
        write(&mut stream, &mut output).await?;
    }
    Ok(())
}

fn put(buffer: &mut BytesMut, number: u64) {
    buffer.put_u32_le(8);
    buffer.put_u64_le(number);
}

fn take(buffer: &mut BytesMut) -> Option<u64> {
    let length = u32::from_le_bytes(*buffer.first_chunk()?) as usize;
    (buffer.len() >= 4 + length).then(|| {
        buffer.advance(4);
        buffer.get_u64_le()
    })
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<usize> {
    buffer.reserve(READ_BYTES);
    stream.read_buf(buffer).await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), buffer: &mut BytesMut) -> io::Result<()> {
    stream.write_all_buf(buffer).await?;
    stream.flush().await
}

const READ_BYTES: usize = 4 << 10;
