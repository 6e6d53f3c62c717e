//! What the result of a call says of its target, and how often an endpoint looks.

use std::fmt;
use std::time::Duration;

use rpc_core::{RpcError, RpcResult};
use tokio::time::Instant;

use super::{HeartbeatConfig, HeartbeatMonitor, LossCause};

impl<Id: Clone + Ord> HeartbeatMonitor<Id> {
    /// Takes note of what came of a call to a target, for a heartbeat or for anything else.
    ///
    /// As in `HeartbeatManagerImpl` a call that found no endpoint or no connection counts against
    /// the target, and one that merely timed out is not counted. Unlike there every call counts, so
    /// that a dead peer is noticed by whatever is next said to it.
    pub(crate) fn called<T, E>(&mut self, id: &Id, result: &RpcResult<T, E>, now: Instant) {
        match result {
            Err(RpcError::Disconnected { .. } | RpcError::Unreachable { .. }) => {
                self.rpc_failed(id, now);
            }
            // Whoever refuses is there.
            Ok(_) | Err(RpcError::App(_) | RpcError::Failed(_)) => self.rpc_succeeded(id),
            Err(_) => {}
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
    pub(crate) fn tick(&self) -> Duration {
        let tick = self.interval.min(self.timeout) / 4;
        tick.clamp(TICK_MIN, TICK_MAX)
    }
}

/// More often would keep an idle cluster busy.
const TICK_MIN: Duration = Duration::from_millis(5);
/// Less often would find slots that expire too late.
const TICK_MAX: Duration = Duration::from_millis(500);
