use std::error::Error;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use quinn::{ConnectionError, Incoming, VarInt};
use rpc_core::transport::{Connection, Stream, TransportError};
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;

use crate::transport::SCHEME;

/// A connection, whose handshake may be yet to come on the side that was dialled.
#[derive(Debug)]
pub(crate) struct QuicConnection {
    peer: String,
    incoming: Mutex<Option<Incoming>>,
    handshake_timeout: Duration,
    established: OnceCell<quinn::Connection>,
    closed: watch::Sender<bool>,
}

impl QuicConnection {
    pub(crate) fn dialled(connection: quinn::Connection, authority: String) -> Self {
        Self {
            peer: authority,
            incoming: Mutex::new(None),
            handshake_timeout: Duration::ZERO,
            established: OnceCell::new_with(Some(connection)),
            closed: watch::Sender::default(),
        }
    }

    pub(crate) fn accepted(incoming: Incoming, handshake_timeout: Duration) -> Self {
        Self {
            peer: incoming.remote_address().to_string(),
            incoming: Mutex::new(Some(incoming)),
            handshake_timeout,
            established: OnceCell::new(),
            closed: watch::Sender::default(),
        }
    }

    /// Waits for the handshake, whoever of several callers began it.
    async fn established(&self) -> Result<&quinn::Connection, TransportError> {
        let connection = self
            .established
            .get_or_try_init(|| self.shake_hands())
            .await?;
        // A close just before the handshake ended has found no connection to close.
        if *self.closed.borrow() {
            self.close();
            return Err(self.is_closed());
        }
        Ok(connection)
    }

    async fn shake_hands(&self) -> Result<quinn::Connection, TransportError> {
        let incoming = self.incoming.lock().take();
        let incoming = incoming.ok_or_else(|| self.is_closed())?;
        let connecting = incoming.accept().map_err(|error| self.failed(error))?;
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(self.is_closed()),
            shaken = timeout(self.handshake_timeout, connecting) => match shaken {
                Ok(connection) => connection.map_err(|error| self.failed(error)),
                Err(_elapsed) => Err(self.failed(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the handshake took too long",
                ))),
            },
        }
    }

    /// Says why there are no more streams: the peer's refusal of a certificate comes only now.
    fn ended(&self, error: ConnectionError) -> TransportError {
        let code = match &error {
            ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
            ConnectionError::TransportError(broken) => u64::from(broken.code),
            _ => return self.is_closed(),
        };
        if TLS_ALERTS.contains(&code) {
            return self.failed(error);
        }
        self.is_closed()
    }

    fn failed(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> TransportError {
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
            Ok((writer, reader)) => Ok(Stream::new(reader, writer)),
            Err(error) => Err(self.ended(error)),
        }
    }

    async fn accept_stream(&self) -> Result<Stream, TransportError> {
        let connection = self.established().await?;
        match connection.accept_bi().await {
            Ok((writer, reader)) => Ok(Stream::new(reader, writer)),
            Err(error) => Err(self.ended(error)),
        }
    }

    fn close(&self) {
        self.closed.send_replace(true);
        if let Some(connection) = self.established.get() {
            connection.close(VarInt::from_u32(0), b"");
        }
        if let Some(incoming) = self.incoming.lock().take() {
            incoming.refuse();
        }
    }
}

/// The error codes of QUIC that are alerts of TLS (RFC 9001, section 4.8).
const TLS_ALERTS: std::ops::Range<u64> = 0x100..0x200;
