use std::time::Duration;

use tokio::time::Instant;

use super::connection::ConnectionState;
use super::{End, Outcome, RegisteredConnection, Registration, RegistrationConfig, State, Step};

const OUTCOMES: [Outcome; 6] = [
    Outcome::Connected,
    Outcome::Error,
    Outcome::Failure,
    Outcome::Rejection,
    Outcome::Success,
    Outcome::TimedOut,
];

fn registration() -> Registration {
    Registration::new(RegistrationConfig::default())
}

/// A registration that is connected and about to make its first call.
fn registering(now: Instant) -> Registration {
    let mut registration = registration();
    registration.handle(Outcome::Connected, now);
    registration
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn call(attempt: u32, timeout: u64) -> Step {
    Step::Register {
        attempt,
        timeout: millis(timeout),
    }
}

#[test]
fn every_state_takes_every_outcome() {
    let now = Instant::now();
    let connecting = State::Connecting;
    let first = State::Registering {
        attempt: 0,
        timeout: millis(100),
    };
    let second = State::Registering {
        attempt: 1,
        timeout: millis(200),
    };
    let third = State::Registering {
        attempt: 2,
        timeout: millis(400),
    };
    let error = State::WaitingToConnect {
        until: now + millis(10_000),
    };
    let refused = State::WaitingToRegister {
        until: now + millis(30_000),
    };
    let (accepted, rejected) = (State::Ended(End::Accepted), State::Ended(End::Rejected));
    let cancelled = State::Ended(End::Cancelled);
    // In the order of OUTCOMES: connected, error, failure, rejection, success, timed out.
    let table = [
        (
            connecting,
            [first, error, connecting, connecting, connecting, connecting],
        ),
        (first, [first, error, refused, rejected, accepted, second]),
        (second, [second, error, refused, rejected, accepted, third]),
        (error, [error; 6]),
        (refused, [refused; 6]),
        (accepted, [accepted; 6]),
        (rejected, [rejected; 6]),
        (cancelled, [cancelled; 6]),
    ];
    for (state, next) in table {
        for (outcome, next) in OUTCOMES.into_iter().zip(next) {
            let mut registration = registration();
            registration.state = state;
            registration.handle(outcome, now);
            assert_eq!(registration.state, next, "{state:?} {outcome:?}");
        }
    }
}

#[test]
fn the_first_answer_may_be_a_success() {
    // Flink: RetryingRegistrationTest#testSimpleSuccessfulRegistration
    let now = Instant::now();
    let mut registration = registration();
    assert_eq!(registration.step(now), Step::Connect);
    registration.handle(Outcome::Connected, now);
    assert_eq!(registration.step(now), call(0, 100));
    registration.handle(Outcome::Success, now);
    assert_eq!(registration.step(now), Step::Ended(End::Accepted));
}

#[test]
fn a_failed_connect_is_repeated_after_the_error_delay() {
    // Flink: RetryingRegistrationTest#testRetryConnectOnFailure
    let now = Instant::now();
    let mut registration = registration();
    registration.handle(Outcome::Error, now);
    assert_eq!(registration.step(now), Step::Wait(now + millis(10_000)));
    assert_eq!(
        registration.step(now + millis(9_999)),
        Step::Wait(now + millis(10_000))
    );
    assert_eq!(registration.step(now + millis(10_000)), Step::Connect);
}

#[test]
fn each_time_out_doubles_the_time_up_to_the_limit() {
    // Flink: RetryingRegistrationTest#testRetriesOnTimeouts
    let now = Instant::now();
    let mut registration = registering(now);
    let timeouts = [
        100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000,
    ];
    for (attempt, timeout) in (0..).zip(timeouts) {
        assert_eq!(registration.step(now), call(attempt, timeout));
        registration.handle(Outcome::TimedOut, now);
    }
    registration.handle(Outcome::Success, now);
    assert_eq!(registration.step(now), Step::Ended(End::Accepted));
}

#[test]
fn a_failure_is_repeated_after_the_refused_delay_from_the_first_time_out() {
    // Flink: RetryingRegistrationTest#testFailure
    let now = Instant::now();
    let mut registration = registering(now);
    registration.handle(Outcome::TimedOut, now);
    registration.handle(Outcome::Failure, now);
    assert_eq!(
        registration.step(now + millis(29_999)),
        Step::Wait(now + millis(30_000))
    );
    assert_eq!(registration.step(now + millis(30_000)), call(0, 100));
}

#[test]
fn a_rejection_ends_it() {
    // Flink: RetryingRegistrationTest#testRegistrationRejection
    let now = Instant::now();
    let mut registration = registering(now);
    registration.handle(Outcome::Rejection, now);
    assert_eq!(
        registration.step(now + millis(100_000)),
        Step::Ended(End::Rejected)
    );
}

#[test]
fn an_error_is_repeated_after_the_error_delay_with_a_new_gateway() {
    // Flink: RetryingRegistrationTest#testRetryOnError
    let now = Instant::now();
    let mut registration = registering(now);
    registration.handle(Outcome::TimedOut, now);
    registration.handle(Outcome::Error, now);
    assert_eq!(registration.step(now), Step::Wait(now + millis(10_000)));
    let later = now + millis(10_000);
    assert_eq!(registration.step(later), Step::Connect);
    registration.handle(Outcome::Connected, later);
    assert_eq!(registration.step(later), call(0, 100));
}

#[test]
fn a_cancelled_registration_does_nothing_more() {
    // Flink: RetryingRegistrationTest#testCancellation
    let now = Instant::now();
    for outcomes in [
        &[][..],
        &[Outcome::Error],
        &[Outcome::Connected, Outcome::Failure],
    ] {
        let mut registration = registration();
        for outcome in outcomes {
            registration.handle(*outcome, now);
        }
        registration.cancel();
        registration.handle(Outcome::Success, now);
        assert_eq!(
            registration.step(now + millis(100_000)),
            Step::Ended(End::Cancelled)
        );
    }
}

#[test]
fn an_end_is_not_cancelled() {
    let now = Instant::now();
    let mut registration = registering(now);
    registration.handle(Outcome::Success, now);
    registration.cancel();
    assert_eq!(registration.step(now), Step::Ended(End::Accepted));
}

#[test]
fn a_connection_is_started_once() {
    // Flink: RegisteredRpcConnectionTest#testSuccessfulRpcConnection
    let mut connection = RegisteredConnection::new();
    assert_eq!(connection.state(), ConnectionState::New);
    assert_eq!(connection.reconnect(), None);
    let registration = connection.start().unwrap();
    assert_eq!(connection.start(), None);
    assert_eq!(connection.state(), ConnectionState::Pending);
    assert!(connection.established(registration));
    assert_eq!(connection.state(), ConnectionState::Established);
    assert!(!connection.established(registration));
}

#[test]
fn a_failed_connection_is_not_established() {
    // Flink: RegisteredRpcConnectionTest#testRpcConnectionFailures,
    //   #testRpcConnectionRejectionCallsOnRegistrationRejection
    let mut connection = RegisteredConnection::new();
    let registration = connection.start().unwrap();
    assert!(connection.failed(registration));
    assert!(!connection.established(registration));
    assert_eq!(connection.state(), ConnectionState::Failed);
    assert!(connection.reconnect().is_some());
}

#[test]
fn a_closed_connection_stays_closed() {
    // Flink: RegisteredRpcConnectionTest#testRpcConnectionClose
    let mut connection = RegisteredConnection::new();
    let registration = connection.start().unwrap();
    connection.close();
    assert!(!connection.established(registration));
    assert!(!connection.failed(registration));
    assert_eq!((connection.start(), connection.reconnect()), (None, None));
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[test]
fn only_the_newest_registration_counts() {
    // Flink: RegisteredRpcConnectionTest#testReconnect
    let mut connection = RegisteredConnection::new();
    let first = connection.start().unwrap();
    let second = connection.reconnect().unwrap();
    assert!(!connection.established(first));
    assert!(!connection.failed(first));
    assert!(connection.established(second));
    let third = connection.reconnect().unwrap();
    assert_eq!(connection.state(), ConnectionState::Pending);
    assert!(connection.established(third));
}
