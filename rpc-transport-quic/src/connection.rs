use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use quinn::rustls::pki_types::CertificateDer;
use quinn::{ConnectionError, Incoming, ServerConfig, VarInt};
use rpc_core::transport::{Connection, Driver, PeerIdentity, Stream, TransportError};
use rpc_tls::PeerCertificate;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use crate::driver::{Home, keep};
use crate::refusal::{BoxError, explain, is_refusal};
use crate::stream::stream;
use crate::transport::SCHEME;

/// A connection, whose handshake may be yet to come on the side that was dialled.
#[derive(Debug)]
pub(crate) struct QuicConnection {
    peer: String,
    incoming: Mutex<Option<Arriving>>,
    handshake_timeout: Duration,
    established: OnceCell<Established>,
    /// Whether the peer's certificate says who it is.
    is_mutual: bool,
    identity: OnceLock<Option<PeerIdentity>>,
    closed: watch::Sender<bool>,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) connection: quinn::Connection,
    /// Where its driver is run; `None` if quinn runs it.
    pub(crate) home: Option<Arc<Home>>,
}

/// A peer that has dialled.
#[derive(Debug)]
pub(crate) struct Arriving {
    pub(crate) incoming: Incoming,
    /// By what it is judged.
    pub(crate) config: Arc<ServerConfig>,
    /// Held until the handshake has ended, so that not too many are under way.
    pub(crate) turn: OwnedSemaphorePermit,
}

impl QuicConnection {
    pub(crate) fn dialled(established: Established, authority: String, is_mutual: bool) -> Self {
        Self {
            peer: authority,
            incoming: Mutex::new(None),
            handshake_timeout: Duration::ZERO,
            established: OnceCell::new_with(Some(established)),
            is_mutual,
            identity: OnceLock::new(),
            closed: watch::Sender::default(),
        }
    }

    pub(crate) fn accepted(
        arriving: Arriving,
        handshake_timeout: Duration,
        is_mutual: bool,
    ) -> Self {
        Self {
            peer: arriving.incoming.remote_address().to_string(),
            incoming: Mutex::new(Some(arriving)),
            handshake_timeout,
            established: OnceCell::new(),
            is_mutual,
            identity: OnceLock::new(),
            closed: watch::Sender::default(),
        }
    }

    /// Waits for the handshake, whoever of several callers began it.
    async fn established(&self) -> Result<&quinn::Connection, TransportError> {
        let established = self
            .established
            .get_or_try_init(|| self.shake_hands())
            .await?;
        // A close just before the handshake ended has found no connection to close.
        if *self.closed.borrow() {
            self.close();
            return Err(self.is_closed());
        }
        Ok(&established.connection)
    }

    async fn shake_hands(&self) -> Result<Established, TransportError> {
        let arriving = self.incoming.lock().take();
        let arriving = arriving.ok_or_else(|| self.is_closed())?;
        let _turn = arriving.turn;
        let (connecting, home) = keep(|| arriving.incoming.accept_with(arriving.config));
        let connecting = connecting.map_err(|error| self.failed(explain(error)))?;
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(self.is_closed()),
            shaken = timeout(self.handshake_timeout, connecting) => match shaken {
                Ok(Ok(connection)) => Ok(Established { connection, home }),
                Ok(Err(error)) => Err(self.failed(explain(error))),
                Err(_elapsed) => Err(self.failed(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the handshake took too long",
                ))),
            },
        }
    }

    /// Says why there are no more streams: the peer's refusal of a certificate comes only now.
    fn ended(&self, error: ConnectionError) -> TransportError {
        match is_refusal(&error) {
            true => self.failed(explain(error)),
            false => self.is_closed(),
        }
    }

    fn failed(&self, source: impl Into<BoxError>) -> TransportError {
        TransportError::Connect {
            scheme: SCHEME,
            authority: self.peer.clone(),
            source: source.into(),
        }
    }

    fn is_closed(&self) -> TransportError {
        TransportError::Closed {
            peer: self.peer.clone(),
        }
    }
}

#[async_trait]
impl Connection for QuicConnection {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn open_stream(&self) -> Result<Stream, TransportError> {
        let connection = self.established().await?;
        match connection.open_bi().await {
            Ok((writer, reader)) => Ok(stream(reader, writer)),
            Err(error) => Err(self.ended(error)),
        }
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        let connection = self.established().await?;
        match connection.accept_bi().await {
            Ok((writer, reader)) => Ok(stream(reader, writer)),
            Err(error) => Err(self.ended(error)),
        }
    }

    fn close(&self) {
        self.closed.send_replace(true);
        if let Some(established) = self.established.get() {
            established.connection.close(VarInt::from_u32(0), b"");
        }
        if let Some(arriving) = self.incoming.lock().take() {
            arriving.incoming.refuse();
        }
    }

    fn lend_driver(&self) -> Option<Driver> {
        self.established.get()?.home.as_ref()?.lend()
    }

    fn identity(&self) -> Option<PeerIdentity> {
        let connection = &self.established.get()?.connection;
        let identity = self.identity.get_or_init(|| {
            let chain = connection.peer_identity().filter(|_| self.is_mutual)?;
            let chain = chain.downcast::<Vec<CertificateDer<'static>>>().ok()?;
            let shown = PeerCertificate::of(&chain)?;
            let fingerprint = shown.fingerprint.to_bytes();
            Some(PeerIdentity::new(fingerprint, shown.names, shown.roles))
        });
        identity.clone()
    }
}
