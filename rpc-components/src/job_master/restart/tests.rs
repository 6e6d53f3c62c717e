use std::time::Duration;

use super::{RestartBackoff, RestartDecision};
use crate::job_graph::RestartStrategy;

const SUPPRESSED: RestartDecision = RestartDecision::Suppressed;

fn backoff(strategy: &str) -> RestartBackoff {
    RestartBackoff::new(strategy.parse().unwrap(), 1)
}

const fn after(ms: u64) -> RestartDecision {
    RestartDecision::RestartAfter(Duration::from_millis(ms))
}

impl RestartBackoff {
    /// A failure, and at once the restart that it leads to.
    fn fail(&mut self, now_ms: u64) -> RestartDecision {
        let decision = self.failed(now_ms);
        self.restarted(now_ms);
        decision
    }

    /// How long the delay is, in milliseconds; the restart happens after it.
    fn wait(&mut self, now_ms: &mut u64) -> u64 {
        let RestartDecision::RestartAfter(delay) = self.failed(*now_ms) else {
            panic!("it restarts");
        };
        let delay = u64::try_from(delay.as_millis()).unwrap();
        *now_ms += delay;
        self.restarted(*now_ms);
        delay
    }
}

#[test]
fn without_a_strategy_nothing_restarts() {
    assert_eq!(backoff("none").failed(0), SUPPRESSED);
}

#[test]
fn a_fixed_delay_restarts_so_many_times() {
    // Flink: FixedDelayRestartBackoffTimeStrategyTest#testNumberOfRestarts, #testBackoffTime
    let mut backoff = backoff("fixed-delay:2:0.5");
    assert_eq!(backoff.fail(0), after(500));
    // However long it has run.
    assert_eq!(backoff.fail(1_000_000_000), after(500));
    assert_eq!(backoff.fail(1_000_000_000), SUPPRESSED);
    assert_eq!(backoff.fail(2_000_000_000), SUPPRESSED);
}

#[test]
fn a_failure_rate_allows_so_many_failures_within_a_time() {
    // Flink: FailureRateRestartBackoffTimeStrategyTest#testManyFailuresWithinRate,
    //   #testFailuresExceedingRate, #testBackoffTime
    let mut slow = backoff("failure-rate:3:0.003:0.25");
    for failure in 0..100 {
        assert_eq!(slow.fail(2 * failure), after(250), "{failure}");
    }
    let mut fast = backoff("failure-rate:3:60");
    for failure in 0..3 {
        assert_eq!(fast.fail(failure), after(1000));
    }
    assert_eq!(fast.fail(3), SUPPRESSED);
    // The time slides: of the last four the first is just too long ago.
    let mut sliding = backoff("failure-rate:3:60");
    for now_ms in [0, 30_000, 60_000, 60_001, 90_001, 120_001, 120_002] {
        assert_eq!(sliding.fail(now_ms), after(1000), "{now_ms}");
    }
    assert_eq!(sliding.fail(120_003), SUPPRESSED);
}

#[test]
fn the_times_of_failures_are_not_kept_for_ever() {
    let mut backoff = backoff("failure-rate:3:0.001");
    for failure in 0..1000 {
        backoff.fail(failure);
    }
    assert_eq!(backoff.failures_ms.len(), 4);
}

#[test]
fn an_exponential_delay_grows_up_to_its_maximum() {
    // Flink: ExponentialDelayRestartBackoffTimeStrategyTest#testMaxBackoff,
    //   #testInitialBackoff, #testBackoffMultiplier
    let mut backoff = backoff("exponential-delay:1:10:2:1000:0");
    let mut now_ms = 0;
    let delays = [(); 6].map(|()| backoff.wait(&mut now_ms));
    assert_eq!(delays, [1000, 2000, 4000, 8000, 10_000, 10_000]);
    for _ in 0..100_000 {
        assert_eq!(backoff.wait(&mut now_ms), 10_000);
    }
}

#[test]
fn an_exponential_delay_is_the_first_again_after_a_quiet_time() {
    // Flink: ExponentialDelayRestartBackoffTimeStrategyTest#testResetBackoff
    let mut backoff = backoff("exponential-delay:1:10:2:5:0");
    let mut now_ms = 0;
    assert_eq!(backoff.wait(&mut now_ms), 1000);
    now_ms += 4999;
    assert_eq!(backoff.wait(&mut now_ms), 2000);
    // It is the time since the restart that counts, not since the failure.
    now_ms += 4999;
    assert_eq!(backoff.wait(&mut now_ms), 4000);
    now_ms += 5000;
    assert_eq!(backoff.wait(&mut now_ms), 1000);
}

#[test]
fn an_exponential_delay_may_have_an_end() {
    // Flink: ExponentialDelayRestartBackoffTimeStrategyTest#testMaxAttempts
    let mut backoff = backoff("exponential-delay:1:10:2:5:0:3");
    let mut now_ms = 0;
    for _ in 0..3 {
        backoff.wait(&mut now_ms);
    }
    assert_eq!(backoff.failed(now_ms), SUPPRESSED);
    // A quiet time begins anew.
    now_ms += 5000;
    for _ in 0..3 {
        backoff.wait(&mut now_ms);
    }
    assert_eq!(backoff.failed(now_ms), SUPPRESSED);
}

#[test]
fn jitter_makes_a_delay_longer_or_shorter_but_not_too_much() {
    // Flink: ExponentialDelayRestartBackoffTimeStrategyTest#testJitter,
    //   #testJitterNoHigherThanMax
    let (mut seen, mut first) = (Vec::new(), Vec::new());
    for seed in 0..100 {
        let strategy = "exponential-delay:1:9:3:1000:0.25".parse::<RestartStrategy>();
        let mut backoff = RestartBackoff::new(strategy.unwrap(), seed);
        let mut now_ms = 0;
        first.push(backoff.wait(&mut now_ms));
        seen.push(backoff.wait(&mut now_ms));
        let longest = backoff.wait(&mut now_ms);
        assert!((6750..=9000).contains(&longest), "{longest}");
    }
    assert!(seen.iter().all(|delay| (2250..=3750).contains(delay)));
    assert!(seen.iter().any(|delay| *delay < 2500), "{seen:?}");
    assert!(seen.iter().any(|delay| *delay > 3500), "{seen:?}");
    // Never shorter than the first.
    assert!(first.iter().all(|delay| (1000..=1250).contains(delay)));
}

#[test]
fn what_fails_before_the_restart_belongs_to_it() {
    // Flink: ExponentialDelayRestartBackoffTimeStrategyTest#testMergeMultipleExceptionsIntoOneAttempt
    for strategy in [
        "fixed-delay:2:1",
        "failure-rate:2:60:1",
        "exponential-delay:1:60:1:3600:0:2",
    ] {
        let mut backoff = backoff(strategy);
        for now_ms in [0, 10_000] {
            assert_eq!(backoff.failed(now_ms), after(1000), "{strategy}");
            // Also when it takes longer than the delay.
            for later in [0, 500, 5000] {
                let merged = backoff.failed(now_ms + later);
                assert_eq!(merged, RestartDecision::Merged, "{strategy}");
            }
            backoff.restarted(now_ms + 5000);
        }
        assert_eq!(backoff.failed(20_000), SUPPRESSED, "{strategy}");
    }
}
