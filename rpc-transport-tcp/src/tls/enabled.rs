use std::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rpc_core::transport::{Authority, Stream};
use rpc_tls::{ALPN, Certificates};
use tokio::io::{AsyncRead, AsyncWrite, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::plain;
use crate::socket::{Shared, Sockets};

/// Plain TCP, or TLS with certificates on both sides.
#[derive(Clone, Default)]
pub(crate) struct Security {
    mutual: Option<Mutual>,
}

#[derive(Clone)]
struct Mutual {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl Security {
    pub(crate) fn demand(&mut self, certificates: &Certificates) {
        self.mutual = Some(Mutual {
            acceptor: TlsAcceptor::from(Arc::new(certificates.server_config(ALPN))),
            connector: TlsConnector::from(Arc::new(certificates.client_config(ALPN))),
        });
    }

    pub(crate) fn is_mutual(&self) -> bool {
        self.mutual.is_some()
    }

    pub(crate) async fn dialled(
        &self,
        socket: TcpStream,
        authority: Authority<'_>,
        sockets: &Sockets,
    ) -> io::Result<Stream> {
        let Some(mutual) = &self.mutual else {
            return plain(socket, sockets);
        };
        let name = ServerName::try_from(authority.host().to_owned()).map_err(io::Error::other)?;
        let socket = Shared::new(socket, sockets)?;
        let end = socket.clone();
        let stream = mutual.connector.connect(name, socket).await?;
        Ok(sealed(stream, end))
    }

    pub(crate) async fn accepted(
        &self,
        socket: TcpStream,
        sockets: &Sockets,
    ) -> io::Result<Stream> {
        let Some(mutual) = &self.mutual else {
            return plain(socket, sockets);
        };
        let socket = Shared::new(socket, sockets)?;
        let end = socket.clone();
        let stream = mutual.acceptor.accept(socket).await?;
        Ok(sealed(stream, end))
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("mutual", &self.is_mutual())
            .finish()
    }
}

fn sealed<T>(stream: T, socket: Shared<TcpStream>) -> Stream
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, writer) = split(stream);
    Stream::new(reader, Writer { writer, socket })
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
