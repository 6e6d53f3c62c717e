//! A connection to another service: calls out of it, calls into it, and what both write.
//!
//! ```text
//!  caller ──▶ RemoteGateway ──▶ Outbox ══ stream ══▶ Incoming ──▶ mailbox
//!  caller ◀── CallTable ◀── Outgoing ◀══ stream ══ Outbox ◀── IncomingCall
//! ```
//!
//! There are two such streams as soon as there is anything large to send: see `lanes.rs`.

mod bell;
mod beside;
mod calls;
mod credit;
mod handshake;
mod incoming;
mod lanes;
mod liveness;
mod outbox;
mod outgoing;
mod reader;
mod remote;
mod reply;
mod spares;
mod together;

pub use self::incoming::IncomingCall;

#[cfg(all(test, rpc_loom))]
pub(crate) use self::beside::beside;
pub(crate) use self::handshake::{
    HandshakeError, Hello, Link, Purpose, Refusal, Welcome, dial, greet,
};
pub(crate) use self::incoming::{Charge, Charges, IncomingConnection, Peer, Watchers};
pub(crate) use self::liveness::Progress;
pub(crate) use self::outgoing::{Claim, OutgoingConnection};
pub(crate) use self::remote::{Ask, Redial, RemoteCall, RemoteGateway};
pub(crate) use self::together::together;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use self::liveness::Lost;
use self::outbox::Outbox;
use self::reader::FrameReader;
use crate::error::AppError;
use crate::frame::FrameError;
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

/// The number, which start of the endpoint it is for, which of the methods the callee has just so, and
/// what the endpoint is called, which may have been asked for by a pattern.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolved {
    pub(crate) gateway: u32,
    pub(crate) incarnation: u64,
    pub(crate) compatible: Vec<bool>,
    pub(crate) endpoint: String,
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
pub(crate) struct Listing {
    pub(crate) name: Arc<str>,
    pub(crate) exposed: Vec<Exposed>,
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
    /// Nothing is read for now, until something has come another way.
    held_up: AtomicBool,
}

/// What holds its reader up until it is dropped.
struct HeldUp<'a>(&'a Heard);

impl Drop for HeldUp<'_> {
    fn drop(&mut self) {
        self.0.held_up.store(false, Ordering::Relaxed);
    }
}

impl Heard {
    /// Only the reader counts, so that nothing is lost between the two.
    fn add(counter: &AtomicU64, more: u64) {
        let before = counter.load(Ordering::Relaxed);
        counter.store(before + more, Ordering::Relaxed);
    }

    fn hold_up(&self) -> HeldUp<'_> {
        self.held_up.store(true, Ordering::Relaxed);
        HeldUp(self)
    }

    fn progress(&self, outbox: &Outbox) -> Progress {
        let (written, unwritten) = outbox.progress();
        Progress {
            read: self.bytes.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
            within_frame: self.within_frame.load(Ordering::Relaxed),
            held_up: self.held_up.load(Ordering::Relaxed),
            written,
            unwritten,
        }
    }
}

/// Heeds frames, each of which is taken before it is heeded: a value that panics while it is decoded
/// costs no other message. Whoever is to be told of it is told by what is dropped then.
fn heed_caught<R>(mut heed: impl FnMut() -> Result<R, ReadError>) -> Result<R, ReadError> {
    loop {
        // Once for all of them, since what is caught has to be in memory.
        if let Ok(heeded) = catch_unwind(AssertUnwindSafe(&mut heed)) {
            return heeded;
        }
        tracing::error!("a message panicked that came over a connection");
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

#[cfg(all(test, feature = "testing"))]
mod tests;
