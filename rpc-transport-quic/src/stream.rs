//! The two halves of a stream, whose errors say in words that the peer has refused us: it may do so
//! after the handshake. Nothing is added to what goes well.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use quinn::{ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use rpc_core::transport::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::refusal::{explain, is_refusal};

pub(crate) fn stream(reader: RecvStream, writer: SendStream) -> Stream {
    Stream::new(Reader(reader), Writer(writer))
}

struct Reader(RecvStream);

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = AsyncRead::poll_read(Pin::new(&mut self.0), cx, into);
        read.map_err(in_words)
    }
}

struct Writer(SendStream);

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = AsyncWrite::poll_write(Pin::new(&mut self.0), cx, bytes);
        written.map_err(in_words)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn in_words(error: io::Error) -> io::Error {
    match lost(&error) {
        Some(reason) if is_refusal(reason) => io::Error::new(error.kind(), explain(reason.clone())),
        _ => error,
    }
}

fn lost(error: &io::Error) -> Option<&ConnectionError> {
    let inner = error.get_ref()?;
    match (inner.downcast_ref(), inner.downcast_ref()) {
        (Some(ReadError::ConnectionLost(reason)), _)
        | (_, Some(WriteError::ConnectionLost(reason))) => Some(reason),
        _ => None,
    }
}
