use std::time::Duration;

use rpc_core::{RpcError, RpcResult};
use tokio::time::Instant;

use super::{HeartbeatConfig, HeartbeatConfigError, HeartbeatMonitor, LossCause};

const SECOND: Duration = Duration::from_secs(1);

fn config(rpc_failures_max: Option<u32>) -> HeartbeatConfig {
    HeartbeatConfig {
        rpc_failures_max,
        ..HeartbeatConfig::default()
    }
}

fn sender() -> HeartbeatMonitor<&'static str> {
    HeartbeatMonitor::sender(HeartbeatConfig::default())
}

#[test]
fn the_config_is_validated() {
    assert_eq!(HeartbeatConfig::default().validate(), Ok(()));
    let equal = HeartbeatConfig {
        timeout: 10 * SECOND,
        rpc_failures_max: None,
        ..HeartbeatConfig::default()
    };
    assert_eq!(equal.validate(), Ok(()));
    let short = HeartbeatConfig {
        timeout: 9 * SECOND,
        ..HeartbeatConfig::default()
    };
    assert_eq!(
        short.validate(),
        Err(HeartbeatConfigError::TimeoutTooShort {
            timeout: 9 * SECOND,
            interval: 10 * SECOND
        })
    );
    let endless = HeartbeatConfig {
        interval: Duration::ZERO,
        ..HeartbeatConfig::default()
    };
    assert_eq!(endless.validate(), Err(HeartbeatConfigError::IntervalZero));
    assert_eq!(
        config(Some(0)).validate(),
        Err(HeartbeatConfigError::RpcFailuresZero)
    );
}

#[test]
fn only_watched_targets_are_heard() {
    // Flink: HeartbeatManagerTest#testRegularHeartbeat
    let now = Instant::now();
    let mut monitor = sender();
    assert!(!monitor.receive(&"a", now));
    assert!(monitor.monitor("a", now));
    assert!(monitor.receive(&"a", now));
}

#[test]
fn a_second_monitor_call_changes_nothing() {
    let start = Instant::now();
    let mut monitor = sender();
    monitor.monitor("a", start);
    assert!(!monitor.monitor("a", start + 40 * SECOND));
    assert_eq!(
        monitor.lost(start + 50 * SECOND),
        [("a", LossCause::TimedOut)]
    );
}

#[test]
fn a_heartbeat_moves_the_deadline() {
    // Flink: HeartbeatManagerTest#testHeartbeatMonitorUpdate
    let start = Instant::now();
    let mut monitor = HeartbeatMonitor::receiver(HeartbeatConfig::default());
    monitor.monitor("a", start);
    monitor.receive(&"a", start + 30 * SECOND);
    assert_eq!(monitor.lost(start + 50 * SECOND), []);
    let lost = monitor.lost(start + 80 * SECOND);
    assert_eq!(lost, [("a", LossCause::TimedOut)]);
}

#[test]
fn a_silent_target_is_lost_once() {
    // Flink: HeartbeatManagerTest#testHeartbeatTimeout
    let start = Instant::now();
    let mut monitor = sender();
    monitor.monitor("a", start);
    for second in (0..200).step_by(10) {
        let now = start + second * SECOND;
        monitor.receive(&"a", now);
        assert_eq!(monitor.lost(now), []);
    }
    let last = start + 190 * SECOND;
    assert_eq!(
        monitor.lost(last + 50 * SECOND - Duration::from_nanos(1)),
        []
    );
    assert_eq!(
        monitor.lost(last + 50 * SECOND),
        [("a", LossCause::TimedOut)]
    );
    assert_eq!(monitor.lost(last + 100 * SECOND), []);
}

#[test]
fn lost_targets_come_in_order_of_their_ids() {
    let now = Instant::now();
    let mut monitor = sender();
    for id in ["c", "a", "b"] {
        monitor.monitor(id, now);
    }
    monitor.rpc_failed(&"b", now);
    monitor.rpc_failed(&"b", now + SECOND);
    assert_eq!(
        monitor.lost(now + 50 * SECOND),
        [
            ("a", LossCause::TimedOut),
            ("b", LossCause::Unreachable),
            ("c", LossCause::TimedOut)
        ]
    );
}

#[test]
fn a_sender_and_a_receiver_keep_each_other() {
    // Flink: HeartbeatManagerTest#testHeartbeatCluster
    let start = Instant::now();
    let mut asking = HeartbeatMonitor::sender(HeartbeatConfig::default());
    let mut asked = HeartbeatMonitor::receiver(HeartbeatConfig::default());
    asking.monitor("tm", start);
    asked.monitor("rm", start);
    let mut answers = 0;
    for second in 0..=300 {
        let now = start + second * SECOND;
        for id in asking.due(now) {
            assert!(asked.receive(&"rm", now));
            assert!(asking.receive(&id, now));
            answers += 1;
        }
        assert_eq!((asking.lost(now), asked.lost(now)), (vec![], vec![]));
        assert_eq!(asked.due(now), [""; 0]);
    }
    assert_eq!(answers, 30);
    let stopped = start + 351 * SECOND;
    assert_eq!(asking.lost(stopped), [("tm", LossCause::TimedOut)]);
    assert_eq!(asked.lost(stopped), [("rm", LossCause::TimedOut)]);
}

#[test]
fn requests_that_were_missed_are_not_made_up_for() {
    let start = Instant::now();
    let mut monitor = sender();
    monitor.monitor("a", start);
    monitor.monitor("b", start + 5 * SECOND);
    assert_eq!(monitor.due(start + 9 * SECOND), [""; 0]);
    assert_eq!(monitor.due(start + 10 * SECOND), ["a"]);
    assert_eq!(monitor.due(start + 45 * SECOND), ["a", "b"]);
    assert_eq!(monitor.due(start + 46 * SECOND), [""; 0]);
}

#[test]
fn an_unmonitored_target_is_not_lost() {
    // Flink: HeartbeatManagerTest#testTargetUnmonitoring
    let now = Instant::now();
    let mut monitor = sender();
    monitor.monitor("a", now);
    assert!(monitor.unmonitor(&"a"));
    assert!(!monitor.unmonitor(&"a"));
    assert_eq!(monitor.lost(now + 100 * SECOND), []);
    assert_eq!(monitor.due(now + 100 * SECOND), [""; 0]);
}

#[test]
fn the_last_heartbeat_is_known() {
    // Flink: HeartbeatManagerTest#testLastHeartbeatFromUnregisteredTarget, #testLastHeartbeatFrom
    let now = Instant::now();
    let mut monitor = sender();
    assert_eq!(monitor.last_heartbeat(&"a"), None);
    monitor.monitor("a", now);
    assert_eq!(monitor.last_heartbeat(&"a"), Some(now));
    monitor.receive(&"a", now + SECOND);
    assert_eq!(monitor.last_heartbeat(&"a"), Some(now + SECOND));
}

#[test]
fn a_target_is_unreachable_after_the_threshold_of_failures() {
    // Flink: HeartbeatManagerTest
    //   #testHeartbeatManagerMarksTargetUnreachableOnRecipientUnreachableException
    let start = Instant::now();
    for threshold in 1..5 {
        let mut monitor = HeartbeatMonitor::sender(config(Some(threshold)));
        monitor.monitor("a", start);
        for failure in 1..threshold {
            let now = start + failure * SECOND;
            assert!(!monitor.rpc_failed(&"a", now));
            assert_eq!(monitor.lost(now), []);
        }
        let now = start + threshold * SECOND;
        assert!(monitor.rpc_failed(&"a", now));
        assert_eq!(monitor.lost(now), [("a", LossCause::Unreachable)]);
    }
}

#[test]
fn calls_that_fail_together_count_once() {
    let now = Instant::now();
    let mut monitor = sender();
    monitor.monitor("a", now);
    for _ in 0..100 {
        assert!(!monitor.rpc_failed(&"a", now));
    }
    assert!(monitor.rpc_failed(&"a", now + Duration::from_millis(500)));
}

#[test]
fn what_came_of_a_call_says_whether_its_target_is_there() {
    // Flink: HeartbeatManagerTest
    //   #testHeartbeatManagerSenderMarksTargetUnreachableOnRecipientUnreachableException
    let now = Instant::now();
    let disconnected = RpcError::Disconnected {
        peer: String::from("a"),
        possibly_executed: true,
    };
    let unreachable = RpcError::Unreachable {
        address: String::from("a"),
        restarted: false,
    };
    let timeout = RpcError::Timeout {
        method: String::from("beat"),
        after: SECOND,
    };
    let lost_by = |results: [RpcResult<()>; 3]| {
        let mut monitor = sender();
        monitor.monitor("a", now);
        for (second, result) in (0..).zip(results) {
            monitor.called(&"a", &result, now + second * SECOND);
        }
        monitor.lost(now + 3 * SECOND).len()
    };
    let (lost, silent) = (|| Err(disconnected.clone()), || Err(timeout.clone()));
    assert_eq!(lost_by([lost(), Err(unreachable), Ok(())]), 1);
    assert_eq!(lost_by([lost(), silent(), lost()]), 1);
    assert_eq!(lost_by([silent(), silent(), silent()]), 0);
    assert_eq!(lost_by([lost(), Ok(()), lost()]), 0);
    let refused = Err(RpcError::failed(&rpc_core::Failure::message("no")));
    assert_eq!(lost_by([lost(), refused, lost()]), 0);
}

#[test]
fn an_unreachable_target_is_not_saved_by_a_late_heartbeat() {
    let now = Instant::now();
    let mut monitor = HeartbeatMonitor::sender(config(Some(1)));
    monitor.monitor("a", now);
    monitor.rpc_failed(&"a", now);
    monitor.receive(&"a", now);
    monitor.rpc_succeeded(&"a");
    assert_eq!(monitor.lost(now), [("a", LossCause::Unreachable)]);
}

#[test]
fn without_a_threshold_failures_lose_nobody() {
    // Flink: HeartbeatManagerTest
    //   #testHeartbeatManagerIgnoresRecipientUnreachableExceptionIfDisabled
    let now = Instant::now();
    let mut monitor = HeartbeatMonitor::sender(config(None));
    monitor.monitor("a", now);
    for second in 0..100 {
        assert!(!monitor.rpc_failed(&"a", now + second * SECOND / 2));
    }
    assert_eq!(monitor.lost(now), []);
}

#[test]
fn a_success_ends_a_row_of_failures_and_a_heartbeat_does_not() {
    // Flink: HeartbeatManagerTest#testHeartbeatManagerResetsFailedRpcCountOnSuccessfulRpc
    let now = Instant::now();
    let mut monitor = sender();
    monitor.monitor("a", now);
    for _ in 0..10 {
        assert!(!monitor.rpc_failed(&"a", now));
        monitor.rpc_succeeded(&"a");
    }
    monitor.rpc_failed(&"a", now);
    monitor.receive(&"a", now);
    assert!(monitor.rpc_failed(&"a", now + SECOND));
}

#[test]
fn an_unknown_target_cannot_fail() {
    let now = Instant::now();
    let mut monitor = sender();
    monitor.rpc_succeeded(&"a");
    assert!(!monitor.rpc_failed(&"a", now));
    assert_eq!(monitor.lost(now), []);
}
