//! What the result of a heartbeat call says of its target.

use std::fmt;

use rpc_core::{RpcError, RpcResult};
use tokio::time::Instant;

use super::{HeartbeatConfig, HeartbeatMonitor, LossCause};

/// Whether a heartbeat call reached its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Delivered,
    Undeliverable,
    /// It may have, as when it timed out: that is not counted.
    Unknown,
}

impl Delivery {
    pub(crate) const fn of(result: &RpcResult<()>) -> Self {
        match result {
            Ok(()) => Self::Delivered,
            Err(RpcError::Unreachable { .. } | RpcError::Disconnected { .. }) => {
                Self::Undeliverable
            }
            Err(_) => Self::Unknown,
        }
    }

    pub(crate) fn tell<Id: Clone + Ord>(self, monitor: &mut HeartbeatMonitor<Id>, id: &Id) {
        match self {
            Self::Delivered => monitor.rpc_succeeded(id),
            Self::Undeliverable => {
                monitor.rpc_failed(id, Instant::now());
            }
            Self::Unknown => {}
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "sent no heartbeat in time",
            Self::Unreachable => "is unreachable",
        })
    }
}

impl HeartbeatConfig {
    /// How often an endpoint looks at its monitors: often enough for the times above.
    pub(crate) fn tick(&self) -> std::time::Duration {
        let tick = self.interval.min(self.timeout) / 4;
        tick.clamp(TICK_MIN, TICK_MAX)
    }
}

/// More often would keep an idle cluster busy.
const TICK_MIN: std::time::Duration = std::time::Duration::from_millis(5);
/// Less often would find slots that expire too late.
const TICK_MAX: std::time::Duration = std::time::Duration::from_millis(500);
