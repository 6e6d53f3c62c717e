//! The metrics of connections.

use metrics::{Counter, Gauge, counter};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::config::RpcConfig;
use crate::connection::Progress;

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Direction {
    /// The peer.
    Incoming,
    /// This service.
    Outgoing,
}

impl Direction {
    /// Returns the direction's name, as it stands in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }
}

/// Meters one connection, from its opening until it is closed.
pub(crate) struct ConnectionMeter {
    connections: Gauge,
    received: Counter,
    sent: Counter,
    counted: Mutex<Counted>,
}

/// What was counted so far.
#[derive(Default)]
struct Counted {
    received: u64,
    sent: u64,
    closed: bool,
}

impl ConnectionMeter {
    /// Counts a connection, if somebody records.
    pub(crate) fn new(direction: Direction, config: &RpcConfig) -> Option<Self> {
        let recorded = config.metrics && super::is_recorded();
        recorded.then(|| {
            let connections = super::connections(direction);
            connections.increment(1.0);
            Self {
                connections,
                received: counter!("rpc_bytes_total", "direction" => "received"),
                sent: counter!("rpc_bytes_total", "direction" => "sent"),
                counted: Mutex::default(),
            }
        })
    }

    /// The connection has carried so many bytes in all. It is told of them from time to time, so
    /// that reading and writing cost nothing more.
    pub(crate) fn carried(&self, progress: Progress) {
        let Progress {
            read: received,
            written: sent,
            ..
        } = progress;
        let mut counted = self.counted.lock();
        self.received
            .increment(received.saturating_sub(counted.received));
        self.sent.increment(sent.saturating_sub(counted.sent));
        counted.received = counted.received.max(received);
        counted.sent = counted.sent.max(sent);
    }

    /// The connection is closed, though calls that came by it may keep it in memory.
    pub(crate) fn closed(&self) {
        if !std::mem::replace(&mut self.counted.lock().closed, true) {
            self.connections.decrement(1.0);
        }
    }
}

impl Drop for ConnectionMeter {
    fn drop(&mut self) {
        self.closed();
    }
}
