use std::fmt;
#[cfg(feature = "tls")]
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A socket, or a half of one, that can be shut while somebody else reads or writes it.
///
/// The lock is held only within a poll, which does not block, so that it is hardly ever waited for.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    socket: Arc<Mutex<S>>,
}

impl<S: Socket + 'static> Shared<S> {
    /// Shares a socket with the connection it belongs to, which may close it from then on.
    pub(crate) fn new(socket: S, sockets: &Sockets) -> io::Result<Self> {
        let socket = Arc::new(Mutex::new(socket));
        let weak = Arc::downgrade(&socket);
        sockets.add(weak)?;
        Ok(Self { socket })
    }

    #[cfg(feature = "tls")]
    pub(crate) fn shut(&self, how: Shutdown) {
        self.socket.lock().shut(how);
    }
}

#[cfg(feature = "tls")]
impl Shared<TcpStream> {
    /// Waits for the first bytes, of which it may see fewer than there will be, and leaves them.
    pub(crate) async fn peek<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        poll_fn(|cx| {
            let mut seen = ReadBuf::new(&mut bytes);
            self.socket.lock().poll_peek(cx, &mut seen)
        })
        .await?;
        Ok(bytes)
    }

    /// Lets go of a peer so that it hears what was last said to it, the alert of TLS.
    ///
    /// To close a socket with something unread resets it, and then the peer may not hear it.
    pub(crate) fn part(&self) {
        let socket = self.socket.lock();
        socket.shut(Shutdown::Write);
        let mut unread = [0; 4096];
        for _ in 0..UNREAD_MAX {
            match socket.try_read(&mut unread) {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self {
            socket: Arc::clone(&self.socket),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shared<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.lock()).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shared<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.socket.lock()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.socket.lock()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.lock()).poll_shutdown(cx)
    }
}

/// What can be shut.
pub(crate) trait Socket: Send {
    fn shut(&self, how: Shutdown);
}

impl Socket for TcpStream {
    fn shut(&self, how: Shutdown) {
        // It fails only for a socket that is not connected any more.
        let _ = SockRef::from(self).shutdown(how);
    }
}

impl Socket for OwnedReadHalf {
    fn shut(&self, how: Shutdown) {
        self.as_ref().shut(how);
    }
}

impl Socket for OwnedWriteHalf {
    fn shut(&self, how: Shutdown) {
        self.as_ref().shut(how);
    }
}

/// The sockets of a connection, which their streams own.
#[derive(Default)]
pub(crate) struct Sockets {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    live: Vec<Weak<Mutex<dyn Socket>>>,
    /// At which length the list is rid of the dead: when it has doubled, so that many streams one
    /// after the other neither pile up nor make each opening walk the list.
    sweep_at: usize,
}

impl Sockets {
    fn add(&self, socket: Weak<Mutex<dyn Socket>>) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if state.live.len() >= state.sweep_at {
            state.live.retain(|socket| socket.strong_count() > 0);
            state.sweep_at = (state.live.len() * 2).max(SWEEP_AT_MIN);
        }
        state.live.push(socket);
        Ok(())
    }

    pub(crate) fn are_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(crate) fn close(&self) {
        let live = {
            let mut state = self.state.lock();
            state.closed = true;
            mem::take(&mut state.live)
        };
        for socket in live.iter().filter_map(Weak::upgrade) {
            socket.lock().shut(Shutdown::Both);
        }
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Sockets")
            .field("closed", &state.closed)
            .field("live", &state.live.len())
            .finish()
    }
}

const SWEEP_AT_MIN: usize = 16;

/// How often 4 KiB are read of a peer that is left: it must not keep us by sending on.
#[cfg(feature = "tls")]
const UNREAD_MAX: usize = 16;
