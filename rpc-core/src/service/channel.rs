//! Streams of bytes that peers open by name, beside the calls.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, mpsc};

use super::quota::Share;
use super::{RpcService, StartError};
use crate::address::AddressError;
use crate::transport::Stream;

/// Who accepts the channels of which name.
pub(super) struct Channels {
    listeners: Mutex<BTreeMap<String, mpsc::Sender<Stream>>>,
    backlog: usize,
}

impl Channels {
    pub(super) const fn new(backlog: usize) -> Self {
        Self {
            listeners: Mutex::new(BTreeMap::new()),
            backlog,
        }
    }

    pub(super) fn accepts(&self, name: &str) -> bool {
        let listeners = self.listeners.lock();
        listeners.get(name).is_some_and(|it| !it.is_closed())
    }

    /// Hands a stream to its listener; one for which there is no place in time is dropped, which closes
    /// it. The share is held as long as the stream.
    pub(super) fn offer(
        &self,
        name: String,
        stream: Stream,
        share: &Arc<Share>,
        patience: Duration,
    ) -> impl Future<Output = ()> + use<> {
        let Stream { reader, writer } = stream;
        let stream = Stream::new(Counted::new(reader, share), Counted::new(writer, share));
        let listener = self.listeners.lock().get(&name).cloned();
        async move {
            let taken = match listener {
                Some(listener) => listener.send_timeout(stream, patience).await.is_ok(),
                None => false,
            };
            if !taken {
                tracing::warn!(
                    name,
                    "a channel was turned away: its listener is gone or too slow"
                );
            }
        }
    }

    pub(super) fn close(&self) {
        // Outside the lock: it wakes those who accept.
        let listeners = std::mem::take(&mut *self.listeners.lock());
        drop(listeners);
    }
}

/// A half of a stream that counts as a connection as long as somebody has it.
struct Counted<T> {
    half: T,
    _share: Arc<Share>,
}

impl<T> Counted<T> {
    fn new(half: T, share: &Arc<Share>) -> Self {
        Self {
            half,
            _share: Arc::clone(share),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_read(cx, into)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counted<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.half).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.half).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.half.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}

impl RpcService {
    /// Accepts the channels that peers open under a name; see [`open_channel`](Self::open_channel).
    ///
    /// # Errors
    ///
    /// Someone accepts them already, the name is none, or the service is closed.
    pub fn accept_channels(&self, name: &str) -> Result<ChannelListener, StartError> {
        AddressError::check_name(name).map_err(StartError::Name)?;
        let mut listeners = self.inner.channels.listeners.lock();
        // Under the lock: whoever closes the service takes the listeners out afterwards.
        if self.is_closed() {
            return Err(StartError::Closed);
        }
        listeners.retain(|_, it| !it.is_closed());
        if listeners.contains_key(name) {
            return Err(StartError::Taken {
                name: name.to_owned(),
            });
        }
        let (sender, streams) =
            mpsc::channel(self.inner.channels.backlog.min(Semaphore::MAX_PERMITS));
        listeners.insert(name.to_owned(), sender);
        Ok(ChannelListener { streams })
    }
}

/// Accepts channels that peers open.
pub struct ChannelListener {
    streams: mpsc::Receiver<Stream>,
}

impl ChannelListener {
    /// Waits for the next channel; `None` once the service is closed.
    ///
    /// # Cancel safety
    ///
    /// No channel is lost when the future is dropped.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.streams.recv().await
    }
}

impl fmt::Debug for ChannelListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelListener").finish_non_exhaustive()
    }
}
