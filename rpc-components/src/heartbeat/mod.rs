//! Who is still alive: the times of heartbeats, and what follows from their absence. Pure.
//!
//! ```text
//!  monitor ─▶ monitored ─ no heartbeat for `timeout` ───────▶ lost: TimedOut
//!             │  ▲   └─── `rpc_failures_max` calls in a row
//!             └──┘        could not be delivered ───────────▶ lost: Unreachable
//!           receive
//! ```
//!
//! One type answers to Flink's two: a monitor [that asks](HeartbeatMonitor::sender) is
//! `HeartbeatManagerSenderImpl`, one [that is asked](HeartbeatMonitor::receiver) is
//! `HeartbeatManagerImpl`. The payloads and the calls are the endpoint's. The targets are those
//! that the endpoint has registered, and it is there that their number is limited.

mod delivery;
mod goodbye;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

pub(crate) use self::goodbye::until_heard;
pub(crate) use self::watch::{Watch, reached};

/// How the components watch each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeartbeatConfig {
    /// How often a target is asked for a heartbeat. Too small, and the cluster is busy with
    /// heartbeats; too large, and unreachable targets are noticed late. The default is 10 s.
    pub interval: Duration,
    /// How long a component may try to reach another one again when the connection between them
    /// breaks, before that is lost. Too small, and a short break of the network fails jobs; too
    /// large, and the death of a process is noticed late. The default is 3 s.
    pub reconnect_timeout: Duration,
    /// How long a target may be silent before it is lost; not less than `interval`. Too small, and
    /// a busy target is taken for dead; too large, and jobs wait long for a dead one. The default
    /// is 50 s.
    pub timeout: Duration,
    /// How many calls in a row may fail to be delivered before the target is lost; if `None`, only
    /// silence loses it. Too small, and a short break of the network costs a target; too large, and
    /// its death is noticed no sooner than by `timeout`. The default is 2.
    pub rpc_failures_max: Option<u32>,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            reconnect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(50),
            rpc_failures_max: Some(2),
        }
    }
}

impl HeartbeatConfig {
    /// Checks that the times and the limit go together.
    ///
    /// # Errors
    ///
    /// As `HeartbeatServices` demands: the interval is not zero, the time-out is not shorter, and
    /// the limit, if there is one, is not zero.
    pub fn validate(&self) -> Result<(), HeartbeatConfigError> {
        if self.interval.is_zero() {
            return Err(HeartbeatConfigError::IntervalZero);
        }
        if self.timeout < self.interval {
            return Err(HeartbeatConfigError::TimeoutTooShort {
                timeout: self.timeout,
                interval: self.interval,
            });
        }
        if self.rpc_failures_max == Some(0) {
            return Err(HeartbeatConfigError::RpcFailuresZero);
        }
        Ok(())
    }
}

/// Why a [`HeartbeatConfig`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeartbeatConfigError {
    /// Heartbeats would be asked for without pause.
    #[error("the heartbeat interval is zero")]
    IntervalZero,
    /// Every target would be lost before its first call.
    #[error("the number of heartbeat calls that may fail is zero")]
    RpcFailuresZero,
    /// Every target would be lost before its next heartbeat.
    #[error("the heartbeat timeout {timeout:?} is shorter than the interval {interval:?}")]
    TimeoutTooShort {
        /// The time-out.
        timeout: Duration,
        /// The interval.
        interval: Duration,
    },
}

/// Why a target is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossCause {
    /// It was silent for too long.
    TimedOut,
    /// Too many calls in a row could not be delivered to it.
    Unreachable,
}

/// Knows when each target was last heard of.
///
/// A heartbeat that waited in a busy mailbox counts from when it is handled: a slow main thread
/// must not cost a healthy target.
#[derive(Debug)]
pub(crate) struct HeartbeatMonitor<Id> {
    config: HeartbeatConfig,
    asks: bool,
    targets: BTreeMap<Id, Target>,
}

#[derive(Debug)]
struct Target {
    last_heartbeat: Instant,
    lost_at: Instant,
    next_request: Instant,
    rpc_failures: u32,
    /// Failures before then belong to the last one that was counted.
    next_failure: Instant,
    unreachable: bool,
}

impl<Id: Clone + Ord> HeartbeatMonitor<Id> {
    /// Makes the monitor of the side that asks for heartbeats.
    pub(crate) const fn sender(config: HeartbeatConfig) -> Self {
        Self {
            config,
            asks: true,
            targets: BTreeMap::new(),
        }
    }

    /// Makes the monitor of the side that is asked; nothing is ever [due](Self::due).
    pub(crate) const fn receiver(config: HeartbeatConfig) -> Self {
        Self {
            config,
            asks: false,
            targets: BTreeMap::new(),
        }
    }

    /// Begins to watch a target; returns whether it is new.
    ///
    /// As `HeartbeatManagerImpl#monitorTarget`: a second call for one target changes nothing. The
    /// first request is due after one interval; until then the answer to the target's registration,
    /// without which it does not answer requests, has reached it.
    pub(crate) fn monitor(&mut self, id: Id, now: Instant) -> bool {
        if self.targets.contains_key(&id) {
            return false;
        }
        let target = Target {
            last_heartbeat: now,
            lost_at: now + self.config.timeout,
            next_request: now + self.config.interval,
            rpc_failures: 0,
            next_failure: now,
            unreachable: false,
        };
        self.targets.insert(id, target);
        true
    }

    /// Begins to watch a target, whatever was heard of it before.
    pub(crate) fn monitor_anew(&mut self, id: Id, now: Instant) {
        self.unmonitor(&id);
        self.monitor(id, now);
    }

    /// Ceases to watch a target; returns whether it was watched.
    pub(crate) fn unmonitor(&mut self, id: &Id) -> bool {
        self.targets.remove(id).is_some()
    }

    /// Takes a heartbeat, or a request for one; returns whether the target is watched.
    pub(crate) fn receive(&mut self, id: &Id, now: Instant) -> bool {
        let Some(target) = self.targets.get_mut(id) else {
            return false;
        };
        target.last_heartbeat = now;
        if !target.unreachable {
            target.lost_at = now + self.config.timeout;
        }
        true
    }

    /// Takes note that a call could not be delivered; returns whether the target is lost by it.
    ///
    /// Calls that fail together, because they were under way when the connection broke, count once.
    fn rpc_failed(&mut self, id: &Id, now: Instant) -> bool {
        let Some(target) = self.targets.get_mut(id) else {
            return false;
        };
        if target.next_failure <= now {
            target.next_failure = now + self.config.tick();
            target.rpc_failures = target.rpc_failures.saturating_add(1);
        }
        let max = self.config.rpc_failures_max;
        if max.is_some_and(|max| target.rpc_failures >= max) {
            target.unreachable = true;
            target.lost_at = target.lost_at.min(now);
        }
        target.unreachable
    }

    /// Takes note that a call was delivered.
    ///
    /// As `HeartbeatMonitorImpl`: only this ends a row of failures. A heartbeat does not, for that
    /// the target reaches us does not mean that we reach it.
    fn rpc_succeeded(&mut self, id: &Id) {
        if let Some(target) = self.targets.get_mut(id) {
            target.rpc_failures = 0;
            target.next_failure = target.last_heartbeat;
        }
    }

    /// Takes out the targets that are lost, in order of their ids.
    ///
    /// They are not watched any more, so that each is lost once.
    pub(crate) fn lost(&mut self, now: Instant) -> Vec<(Id, LossCause)> {
        let mut lost = Vec::new();
        self.targets.retain(|id, target| {
            if target.lost_at > now {
                return true;
            }
            let cause = if target.unreachable {
                LossCause::Unreachable
            } else {
                LossCause::TimedOut
            };
            lost.push((id.clone(), cause));
            false
        });
        lost
    }

    /// Returns the targets to ask for a heartbeat now, in order of their ids, and counts them as
    /// asked.
    ///
    /// Every target has its own rhythm, from when it was first watched, so that not all are asked
    /// at once as by `HeartbeatManagerSenderImpl#run`. Requests that a busy main thread missed are
    /// not made up for.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Id> {
        if !self.asks {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (id, target) in &mut self.targets {
            if target.next_request <= now {
                target.next_request = now + self.config.interval;
                due.push(id.clone());
            }
        }
        due
    }

    /// Returns when a target was last heard of; its registration counts as the first time.
    ///
    /// `None` for a target that is not watched, for which Flink says -1.
    pub(crate) fn last_heartbeat(&self, id: &Id) -> Option<Instant> {
        self.targets.get(id).map(|target| target.last_heartbeat)
    }
}

#[cfg(test)]
mod tests;
