use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use rpc_core::transport::Stream;
use rpc_tls::explain;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;

use crate::socket::Shared;

/// Makes a stream of one under TLS, and the socket below it.
pub(super) fn sealed<T>(stream: T, socket: Shared<TcpStream>) -> Stream
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, writer) = split(stream);
    Stream::new(Reader { reader }, Writer { writer, socket })
}

/// The reading half, which puts into words why a peer refuses: it may do so after the handshake.
struct Reader<T> {
    reader: ReadHalf<T>,
}

impl<T: AsyncRead> AsyncRead for Reader<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.reader).poll_read(cx, into);
        read.map_err(explain)
    }
}

/// The writing half of a TLS stream, whose drop the peer sees, as it does with plain TCP.
struct Writer<T> {
    writer: WriteHalf<T>,
    socket: Shared<TcpStream>,
}

impl<T: AsyncWrite> AsyncWrite for Writer<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.socket.shut(Shutdown::Write);
    }
}
