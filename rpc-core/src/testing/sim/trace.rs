//! What has happened, to be compared and to be read.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::fnv::Fnv;

/// What has happened on a network: a hash of all events, and the latest of them.
///
/// It prints as one line for each event that it has kept, and a last line with the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimTrace {
    /// The hash of all events. Two runs with the same hash have, in all likelihood, been the same.
    pub hash: u64,
    /// How many events there were.
    pub count: u64,
    /// The latest events, the oldest first.
    pub events: Vec<SimEvent>,
}

impl SimTrace {
    /// Returns the events of one kind, as far as they were kept.
    pub fn of(&self, kind: SimEventKind) -> impl Iterator<Item = &SimEvent> {
        self.events.iter().filter(move |it| it.kind == kind)
    }
}

impl fmt::Display for SimTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        write!(f, "{} events, hash {:016x}", self.count, self.hash)
    }
}

/// Something that has happened on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimEvent {
    /// When, since the network's start.
    pub at: Duration,
    /// What.
    pub kind: SimEventKind,
    /// The node that it happened to, or that sent.
    pub from: Arc<str>,
    /// The node that was sent to, or else empty.
    pub to: Arc<str>,
    /// The number of the connection; 0 for an event that is none of a connection's.
    pub connection: u64,
    /// How many bytes were sent; 0 where none were.
    pub bytes: usize,
    /// The CRC32C of those bytes: runs that send other bytes have another trace.
    pub checksum: u32,
}

impl fmt::Display for SimEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, kind, from) = (self.at, self.kind.name(), &self.from);
        write!(f, "{:>5}.{:06}", at.as_secs(), at.subsec_micros())?;
        write!(f, " {kind:<9} {from}")?;
        if !self.to.is_empty() {
            write!(f, ">{}", self.to)?;
        }
        if self.connection > 0 {
            write!(f, " #{}", self.connection)?;
        }
        if self.bytes > 0 {
            write!(f, " {} bytes {:08x}", self.bytes, self.checksum)?;
        }
        Ok(())
    }
}

/// What can happen on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimEventKind {
    /// A connection has come to wait until it is accepted.
    Accept,
    /// A node has closed its side of a connection.
    Close,
    /// A node has crashed.
    Crash,
    /// A link, one way, lets nothing through from now on.
    Cut,
    /// Bytes have arrived.
    Deliver,
    /// A node dials another.
    Dial,
    /// What a dead side had under way is lost.
    Drop,
    /// Bytes have arrived a second time.
    Duplicate,
    /// A stream's writer has finished.
    Finish,
    /// A side got no acknowledgement for too long, and has given its connection up.
    GiveUp,
    /// A link lets everything through again.
    Heal,
    /// Something was to arrive, and waits until its link heals.
    Hold,
    /// A node has begun to listen.
    Listen,
    /// A node does not run.
    Pause,
    /// A dial was refused.
    Refuse,
    /// A side has learned that its connection is dead.
    Reset,
    /// A node was started anew.
    Restart,
    /// A node runs again.
    Resume,
    /// Bytes were sent.
    Send,
    /// A node's bandwidth was set, in `bytes` a second; 0 is without limit.
    Slow,
}

impl SimEventKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Close => "close",
            Self::Crash => "crash",
            Self::Cut => "cut",
            Self::Deliver => "deliver",
            Self::Dial => "dial",
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Finish => "finish",
            Self::GiveUp => "give-up",
            Self::Heal => "heal",
            Self::Hold => "hold",
            Self::Listen => "listen",
            Self::Pause => "pause",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Restart => "restart",
            Self::Resume => "resume",
            Self::Send => "send",
            Self::Slow => "slow",
        }
    }
}

/// Writes a trace.
#[derive(Debug)]
pub(super) struct Recorder {
    hash: Fnv,
    count: u64,
    kept: VecDeque<SimEvent>,
    kept_max: usize,
}

impl Recorder {
    pub(super) fn new(kept_max: usize) -> Self {
        Self {
            hash: Fnv::new(),
            count: 0,
            kept: VecDeque::new(),
            kept_max,
        }
    }

    pub(super) fn record(&mut self, event: SimEvent) {
        // A hash takes whatever is written to it.
        let _ = writeln!(self.hash, "{event}");
        self.count += 1;
        self.kept.push_back(event);
        while self.kept.len() > self.kept_max {
            self.kept.pop_front();
        }
    }

    /// Hashes a number that belongs to no event.
    pub(super) fn stir(&mut self, number: u64) {
        let _ = writeln!(self.hash, "{number}");
    }

    pub(super) fn trace(&self) -> SimTrace {
        SimTrace {
            hash: self.hash.hash(),
            count: self.count,
            events: self.kept.iter().cloned().collect(),
        }
    }
}
