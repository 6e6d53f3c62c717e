use std::time::Duration;

use super::RestartStrategy;

fn parse(text: &str) -> RestartStrategy {
    text.parse().unwrap()
}

#[test]
fn a_strategy_is_what_its_text_says() {
    let second = Duration::from_secs(1);
    assert_eq!(parse("none"), RestartStrategy::None);
    assert_eq!(parse("fixed-delay"), RestartStrategy::default());
    let delay = Duration::from_millis(500);
    let expected = RestartStrategy::FixedDelay { attempts: 7, delay };
    assert_eq!(parse("fixed-delay:7:0.5"), expected);
    let expected = RestartStrategy::FailureRate {
        failures_max: 4,
        interval: Duration::from_secs(60),
        delay: second,
    };
    assert_eq!(parse("failure-rate:4"), expected);
    let expected = RestartStrategy::ExponentialDelay {
        initial: second,
        max: Duration::from_secs(60),
        multiplier: 2.0,
        reset_after: Duration::from_secs(3600),
        jitter: 0.1,
        attempts: None,
    };
    assert_eq!(parse("exponential-delay:1:60:2"), expected);
}

#[test]
fn a_strategy_is_written_as_it_is_read() {
    for text in [
        "none",
        "fixed-delay:3:1",
        "failure-rate:2:60:0.25",
        "exponential-delay:1:60:1.5:3600:0.1",
        "exponential-delay:0.001:0.001:1:0:0:5",
    ] {
        assert_eq!(parse(text).to_string(), text);
        assert_eq!(parse(text).check(), Ok(()));
    }
}

#[test]
fn what_is_wrong_with_a_text_is_named() {
    let refused = [
        (
            "always",
            "there is no restart strategy `always`; there are exponential-delay, failure-rate, \
             fixed-delay, none",
        ),
        ("none:1", "the restart strategy `none` has 0 options, not 1"),
        (
            "fixed-delay:0",
            "`attempts` of the restart strategy is 0, not a whole number from 1",
        ),
        (
            "fixed-delay:3:-1",
            "`delay_seconds` of the restart strategy is -1, not a number of seconds up to 31536000",
        ),
        (
            "fixed-delay:3:1e300",
            "`delay_seconds` of the restart strategy is 1e300, not a number of seconds up to \
             31536000",
        ),
        (
            "failure-rate:1001",
            "`failures_max` of the restart strategy is 1001, not a whole number from 1 to 1000",
        ),
        (
            "failure-rate:1:0",
            "`interval_seconds` of the restart strategy is 0, not a number of seconds from 0.001 \
             to 31536000",
        ),
        (
            "exponential-delay:2:1",
            "`max_seconds` of the restart strategy is 1, not at least `initial_seconds`",
        ),
        (
            "exponential-delay:1:60:NaN",
            "`multiplier` of the restart strategy is NaN, not a number from 1 to 1000",
        ),
        (
            "exponential-delay:1:60:2:1:1.5",
            "`jitter` of the restart strategy is 1.5, not a number from 0 to 1",
        ),
    ];
    for (text, expected) in refused {
        let refusal = text.parse::<RestartStrategy>().unwrap_err();
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn what_a_client_sends_is_checked_too() {
    let second = Duration::from_secs(1);
    let hostile = [
        RestartStrategy::FixedDelay {
            attempts: 1,
            delay: Duration::MAX,
        },
        RestartStrategy::FailureRate {
            failures_max: u32::MAX,
            interval: second,
            delay: second,
        },
        RestartStrategy::ExponentialDelay {
            initial: second,
            max: second,
            multiplier: f64::INFINITY,
            reset_after: second,
            jitter: 0.0,
            attempts: None,
        },
    ];
    for strategy in hostile {
        strategy.check().unwrap_err();
    }
}
