//! A connection to another service: calls out of it, calls into it, and what both write.
//!
//! ```text
//!  caller ──▶ RemoteGateway ──▶ Outbox ══ stream ══▶ Incoming ──▶ mailbox
//!  caller ◀── CallTable ◀── Outgoing ◀══ stream ══ Outbox ◀── IncomingCall
//! ```
//!
//! There are two such streams as soon as there is anything large to send: see `wire.rs`.

mod calls;
mod credit;
mod handshake;
mod incoming;
mod liveness;
mod outbox;
mod outgoing;
mod remote;
mod reply;
mod together;
mod wire;

pub use self::incoming::IncomingCall;

pub(crate) use self::handshake::{
    HandshakeError, Hello, Link, Purpose, Refusal, Welcome, dial, greet,
};
pub(crate) use self::incoming::{Charge, IncomingConnection, Peer, Watchers};
pub(crate) use self::liveness::Progress;
pub(crate) use self::outgoing::OutgoingConnection;
pub(crate) use self::remote::{Ask, Redial, RemoteCall, RemoteGateway};
pub(crate) use self::together::together;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use self::liveness::Lost;
use self::outbox::Outbox;
use crate::error::AppError;
use crate::frame::{Frame, FrameCutter, FrameError};
use crate::gateway::Exposed;

/// Asks for a number for an endpoint's gateway.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) endpoint: String,
    pub(crate) gateway: String,
    /// The fingerprints of the methods, in the caller's order: a request names a method by its
    /// place here, whatever the callee's order is.
    pub(crate) methods: Vec<u64>,
}

/// The number, which start of the endpoint it is for, and which of the methods the callee has just so.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolved {
    pub(crate) gateway: u32,
    pub(crate) incarnation: u64,
    pub(crate) compatible: Vec<bool>,
}

/// Why an endpoint's gateway has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum ResolveRefusal {
    #[error("there is no such endpoint")]
    NoEndpoint,
    #[error("the endpoint does not serve this gateway")]
    NoGateway,
    #[error("the connection has resolved too many gateways")]
    TooMany,
}

impl AppError for ResolveRefusal {}

/// Where a connection finds the endpoints of its service.
pub(crate) trait Directory: Send {
    fn find(&self, endpoint: &str) -> Option<Listing>;
}

/// What is known of a running endpoint.
#[derive(Clone)]
pub(crate) struct Listing {
    pub(crate) exposed: Arc<[Exposed]>,
    /// Which start of an endpoint under its name it is.
    pub(crate) incarnation: u64,
    pub(crate) watchers: Arc<Watchers>,
}

/// What was heard on a connection, for whoever watches it.
#[derive(Debug, Default)]
struct Heard {
    bytes: AtomicU64,
    frames: AtomicU64,
    within_frame: AtomicBool,
}

impl Heard {
    /// Only the reader counts, so that nothing is lost between the two.
    fn add(counter: &AtomicU64, more: u64) {
        let before = counter.load(Ordering::Relaxed);
        counter.store(before + more, Ordering::Relaxed);
    }

    fn progress(&self, outbox: &Outbox) -> Progress {
        let (written, unwritten) = outbox.progress();
        Progress {
            read: self.bytes.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
            within_frame: self.within_frame.load(Ordering::Relaxed),
            written,
            unwritten,
        }
    }
}

/// Cuts a stream into frames, all of a read one after the other.
struct FrameReader<'a, R> {
    reader: R,
    input: BytesMut,
    /// How much of the input is cut already.
    cut: usize,
    /// The last frame, if it is large.
    large: Bytes,
    cutter: FrameCutter,
    /// How much is read at once, at most.
    at_once: usize,
    heard: &'a Heard,
}

impl<'a, R: AsyncRead + Unpin> FrameReader<'a, R> {
    fn new(reader: R, limit: usize, at_once: usize, heard: &'a Heard) -> Self {
        Self {
            reader,
            input: BytesMut::with_capacity(READ_BYTES),
            cut: 0,
            large: Bytes::new(),
            cutter: FrameCutter::new(limit),
            at_once,
            heard,
        }
    }

    /// Returns the next frame of what was read; `None` when [`read`](Self::read) has to read more.
    fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let there = self.input.len() - self.cut;
        let size = self.cutter.size(&self.input[self.cut..])?;
        let Some(size) = size.filter(|it| *it <= there) else {
            return Ok(None);
        };
        Heard::add(&self.heard.frames, 1);
        if size < LARGE_BYTES {
            let begin = self.cut;
            self.cut += size;
            return self.cutter.cut(&self.input[begin..self.cut]);
        }
        // Its payloads outlive it, and are not copied.
        self.input.advance(mem::take(&mut self.cut));
        self.large = self.input.split_to(size).freeze();
        let frame = self.cutter.cut(&self.large)?;
        Ok(frame.map(|frame| Frame {
            owner: Some(&self.large),
            ..frame
        }))
    }

    /// Reads more; `false` at the end of the stream.
    async fn read(&mut self) -> Result<bool, ReadError> {
        self.input.advance(mem::take(&mut self.cut));
        self.large = Bytes::new();
        let within_frame = !self.input.is_empty();
        self.heard
            .within_frame
            .store(within_frame, Ordering::Relaxed);
        let frame = self.cutter.size(&self.input)?.unwrap_or_default();
        let missing = frame.saturating_sub(self.input.len());
        if !within_frame && self.input.capacity() > KEPT_BYTES_MAX {
            // A connection that once carried much does not keep the memory.
            self.input = BytesMut::with_capacity(READ_BYTES);
        }
        // Memory follows what has come: a length by itself costs a peer nothing.
        let more = missing.min(self.input.len().max(TRUSTED_BYTES));
        self.input.reserve(more.max(READ_BYTES));
        let mut into = (&mut self.input).limit(self.at_once);
        let read = self.reader.read_buf(&mut into).await?;
        Heard::add(&self.heard.bytes, read as u64);
        match (read, within_frame) {
            (0, false) => Ok(false),
            (0, true) => Err(ReadError::Truncated),
            _ => Ok(true),
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
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("the peer sent a frame that it may not send: {0}")]
    Protocol(&'static str),
    #[error("the stream ended within a frame")]
    Truncated,
}

/// How much is read at once, at least.
const READ_BYTES: usize = 32 << 10;
/// So much memory is taken for a frame of which only the length has come.
const TRUSTED_BYTES: usize = 1 << 20;
/// A frame that is larger has its memory for itself.
const LARGE_BYTES: usize = 16 << 10;
/// A buffer that is larger is given back when it is empty.
const KEPT_BYTES_MAX: usize = 1 << 20;

#[cfg(all(test, feature = "testing"))]
mod tests;
