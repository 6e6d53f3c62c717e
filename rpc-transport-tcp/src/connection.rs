use std::net::SocketAddr;
use std::sync::OnceLock;

use async_trait::async_trait;
use parking_lot::Mutex;
use rpc_core::transport::{Connection, PeerIdentity, Stream, TransportError};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::dialler::Dialler;
use crate::socket::Sockets;
use crate::transport::SCHEME;

/// The side that dialled: every stream it opens is a socket to the same authority.
#[derive(Debug)]
pub(crate) struct Dialled {
    authority: String,
    dialler: Dialler,
    first: Mutex<Option<Stream>>,
    identity: Option<PeerIdentity>,
    sockets: Sockets,
}

impl Dialled {
    pub(crate) async fn dial(dialler: Dialler, authority: &str) -> Result<Self, TransportError> {
        let sockets = Sockets::default();
        let (first, identity) = dialler.dial(authority, &sockets).await?;
        Ok(Self {
            authority: authority.to_owned(),
            dialler,
            first: Mutex::new(Some(first)),
            identity,
            sockets,
        })
    }

    fn closed(&self) -> TransportError {
        closed(&self.authority)
    }
}

#[async_trait]
impl Connection for Dialled {
    fn peer(&self) -> String {
        self.authority.clone()
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        if self.sockets.are_closed() {
            return Err(self.closed());
        }
        let first = self.first.lock().take();
        if let Some(first) = first {
            return Ok(first);
        }
        let dialled = self.dialler.dial(&self.authority, &self.sockets).await;
        // Of a close during the handshake the dialler sees only that its socket failed.
        if self.sockets.are_closed() {
            return Err(self.closed());
        }
        dialled.map(|(stream, _identity)| stream)
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        Err(self.closed())
    }

    fn close(&self) {
        self.sockets.close();
        self.first.lock().take();
    }

    fn identity(&self) -> Option<PeerIdentity> {
        self.identity.clone()
    }
}

/// The side that was dialled: one socket, one stream.
#[derive(Debug)]
pub(crate) struct Accepted {
    peer: String,
    dialler: Dialler,
    socket: Mutex<Option<(TcpStream, Turn)>>,
    identity: OnceLock<PeerIdentity>,
    sockets: Sockets,
}

/// What is held until the handshake has ended, so that not too many are under way.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

impl Accepted {
    pub(crate) fn new(socket: TcpStream, turn: Turn, peer: SocketAddr, dialler: Dialler) -> Self {
        Self {
            peer: peer.to_string(),
            dialler,
            socket: Mutex::new(Some((socket, turn))),
            identity: OnceLock::new(),
            sockets: Sockets::default(),
        }
    }
}

#[async_trait]
impl Connection for Accepted {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        if self.sockets.are_closed() {
            return Err(closed(&self.peer));
        }
        Err(TransportError::Config {
            scheme: SCHEME,
            reason: format!(
                "only the side that dialled opens streams, which is {}",
                self.peer
            ),
        })
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        let socket = self.socket.lock().take();
        let (socket, turn) = socket.ok_or_else(|| closed(&self.peer))?;
        let shaken = self
            .dialler
            .welcome(socket, &self.peer, &self.sockets)
            .await;
        drop(turn);
        if self.sockets.are_closed() {
            return Err(closed(&self.peer));
        }
        let (stream, identity) = shaken?;
        if let Some(identity) = identity {
            self.identity.get_or_init(|| identity);
        }
        Ok(stream)
    }

    fn close(&self) {
        self.sockets.close();
        self.socket.lock().take();
    }

    fn identity(&self) -> Option<PeerIdentity> {
        self.identity.get().cloned()
    }
}

fn closed(peer: &str) -> TransportError {
    TransportError::Closed {
        peer: peer.to_owned(),
    }
}
