//! When to dial a peer again. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::RpcConfig;

/// The delays between attempts to reach one peer: they grow, and are spread at random.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<Duration>,
    /// No attempt is made before.
    not_before: Option<Instant>,
}

impl Backoff {
    /// Returns until when to wait, if an attempt is to be made now.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|at| *at > now)
    }

    /// A peer could not be reached, or a connection to it was lost soon after.
    pub(super) fn failed(&mut self, config: &RpcConfig, now: Instant, random: f64) {
        let (min, max) = (config.redial_delay_min, config.redial_delay_max);
        let most = self
            .last
            .map_or(min, |last| last.saturating_mul(3).clamp(min, max));
        // Of many callers that lost the same peer, some come early and some late.
        let spread = most.saturating_sub(min).mul_f64(random);
        let delay = (min + spread).min(max);
        self.last = Some(most);
        self.not_before = now.checked_add(delay);
    }

    /// A connection was lost that had stood for so long.
    pub(super) fn lost(&mut self, config: &RpcConfig, stood: Duration, now: Instant, random: f64) {
        if stood >= config.redial_delay_max {
            *self = Self::default();
        }
        self.failed(config, now, random);
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Duration, Instant};
    use crate::config::RpcConfig;

    const MS: Duration = Duration::from_millis(1);

    fn config() -> RpcConfig {
        RpcConfig {
            redial_delay_min: 50 * MS,
            redial_delay_max: 5000 * MS,
            ..RpcConfig::default()
        }
    }

    fn delays(random: f64) -> Vec<u128> {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let delay = |_| {
            backoff.failed(&config(), now, random);
            let until = backoff.wait_until(now).expect("it has failed");
            until.saturating_duration_since(now).as_millis()
        };
        (0..7).map(delay).collect()
    }

    #[test]
    fn delays_grow_to_the_limit_and_are_spread() {
        assert_eq!(delays(1.0), [50, 150, 450, 1350, 4050, 5000, 5000]);
        assert_eq!(delays(0.0), [50; 7]);
        assert_eq!(delays(0.5), [50, 100, 250, 700, 2050, 2525, 2525]);
    }

    #[test]
    fn a_peer_that_comes_and_goes_is_not_dialled_ever_faster() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..6 {
            backoff.lost(&config(), 100 * MS, now, 1.0);
        }
        assert_eq!(backoff.wait_until(now), Some(now + 5000 * MS));
        backoff.lost(&config(), 5000 * MS, now, 1.0);
        assert_eq!(backoff.wait_until(now), Some(now + 50 * MS), "it stood");
        assert_eq!(backoff.wait_until(now + 50 * MS), None);
    }
}
