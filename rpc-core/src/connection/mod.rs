//! A connection to another service: calls out of it, calls into it, and what both write.
//!
//! ```text
//!  caller ──▶ RemoteGateway ──▶ Outbox ══ stream ══▶ Incoming ──▶ mailbox
//!  caller ◀── CallTable ◀── Outgoing ◀══ stream ══ Outbox ◀── IncomingCall
//! ```

mod handshake;
mod incoming;
mod outbox;
mod outgoing;

pub use self::incoming::IncomingCall;

pub(crate) use self::handshake::{HandshakeError, Hello, Purpose, Refusal, Welcome, dial, greet};
pub(crate) use self::incoming::serve;
pub(crate) use self::outgoing::{OutgoingConnection, RemoteCall, RemoteGateway, ResolveRefusal};

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::frame::{self, Frame, FrameError};

/// Asks for a number for an endpoint's gateway.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) endpoint: String,
    pub(crate) gateway: String,
    /// The fingerprints of the methods, in the caller's order: a request names a method by its
    /// place here, whatever the callee's order is.
    pub(crate) methods: Vec<u64>,
}

/// The number, and which of the methods the callee has just so.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolved {
    pub(crate) gateway: u32,
    pub(crate) compatible: Vec<bool>,
}

/// Cuts a stream into frames.
struct FrameReader<R> {
    reader: R,
    input: BytesMut,
    limit: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            input: BytesMut::with_capacity(READ_BYTES),
            limit,
        }
    }

    /// Returns the next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = frame::take(&mut self.input, self.limit)? {
                return Ok(Some(frame));
            }
            self.input.reserve(READ_BYTES);
            if self.reader.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the peer sent a frame that it may not send: {0}")]
    Protocol(&'static str),
}

/// How much is read at once.
const READ_BYTES: usize = 32 << 10;
