//! Whether a job that fails is restarted, and after which time. Pure.
//!
//! Answers to Flink's `RestartBackoffTimeStrategy` with `ExecutionFailureHandler`. Where that is
//! asked three questions, here one event has one answer. Times are milliseconds since 1970 of a
//! clock that is not set back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::job_graph::RestartStrategy;

/// What is to be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartDecision {
    /// Nothing more: the restart that is under way is for this failure too.
    Merged,
    /// The job is to be restarted after this time.
    RestartAfter(Duration),
    /// The job is not to be restarted.
    Suppressed,
}

/// Follows the failures and restarts of a job.
///
/// Failures that come before the restart that another one led to has happened belong to that one,
/// whatever the strategy: several tasks fail when one machine dies, and that is one failure. As
/// `ExponentialDelayRestartBackoffTimeStrategy` merges them; for the other strategies Flink reaches
/// the same by counting what fails while it is cancelled as cancelled.
#[derive(Debug)]
pub(crate) struct RestartBackoff {
    strategy: RestartStrategy,
    random: fastrand::Rng,
    /// A restart is under way.
    is_restarting: bool,
    /// How many restarts there were, for an exponential delay since it was last the first.
    attempts: u32,
    /// When the last restart happened.
    restarted_ms: Option<u64>,
    /// When the last failures came, as many as are looked at and one more.
    failures_ms: VecDeque<u64>,
}

impl RestartBackoff {
    /// Begins for a job that has not failed yet; the seed is that of the jitter.
    pub(crate) fn new(strategy: RestartStrategy, seed: u64) -> Self {
        Self {
            strategy,
            random: fastrand::Rng::with_seed(seed),
            is_restarting: false,
            attempts: 0,
            restarted_ms: None,
            failures_ms: VecDeque::new(),
        }
    }

    pub(crate) const fn strategy(&self) -> &RestartStrategy {
        &self.strategy
    }

    /// Takes a failure.
    pub(crate) fn failed(&mut self, now_ms: u64) -> RestartDecision {
        if self.is_restarting {
            return RestartDecision::Merged;
        }
        let Some(delay) = self.delay(now_ms) else {
            return RestartDecision::Suppressed;
        };
        self.attempts = self.attempts.saturating_add(1);
        self.is_restarting = true;
        RestartDecision::RestartAfter(delay)
    }

    /// Takes the restart: what fails from now on is another failure.
    pub(crate) const fn restarted(&mut self, now_ms: u64) {
        self.is_restarting = false;
        self.restarted_ms = Some(now_ms);
    }

    fn delay(&mut self, now_ms: u64) -> Option<Duration> {
        match self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay } => {
                (self.attempts < attempts).then_some(delay)
            }
            RestartStrategy::FailureRate {
                failures_max,
                interval,
                delay,
            } => {
                let failures_max = failures_max as usize;
                if self.failures_ms.len() > failures_max {
                    self.failures_ms.pop_front();
                }
                self.failures_ms.push_back(now_ms);
                // As many as there may be, and this one.
                let oldest = self.failures_ms.front().copied().unwrap_or(now_ms);
                let is_full = self.failures_ms.len() > failures_max;
                let is_too_often = is_full && since(oldest, now_ms) <= interval;
                (!is_too_often).then_some(delay)
            }
            RestartStrategy::ExponentialDelay {
                initial,
                max,
                multiplier,
                reset_after,
                jitter,
                attempts,
            } => {
                let quiet = self.restarted_ms.map(|restarted| since(restarted, now_ms));
                if quiet.is_some_and(|quiet| quiet >= reset_after) {
                    self.attempts = 0;
                }
                if attempts.is_some_and(|attempts| self.attempts >= attempts) {
                    return None;
                }
                let grown = multiplier.powi(i32::try_from(self.attempts).unwrap_or(i32::MAX));
                let base = (initial.as_secs_f64() * grown).min(max.as_secs_f64());
                let offset = base * jitter * (2.0 * self.random.f64() - 1.0);
                let delay = Duration::try_from_secs_f64(base + offset).unwrap_or(max);
                Some(delay.min(max).max(initial))
            }
        }
    }
}

fn since(then_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(now_ms.saturating_sub(then_ms))
}

#[cfg(test)]
mod tests;
