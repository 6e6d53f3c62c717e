use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{Call, RpcError, RpcResult};
use tokio::time::Instant;

use super::{
    End, NotConnected, Outcome, RegisteredConnection, Registration, RegistrationConfig, State,
    Step, register,
};
use crate::gateway::RegistrationResponse;

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
    // In the order of OUTCOMES: connected, error, failure, rejection, success, timed out.
    let table = [
        (
            connecting,
            [first, error, connecting, rejected, connecting, connecting],
        ),
        (first, [first, error, refused, rejected, accepted, second]),
        (second, [second, error, refused, rejected, accepted, third]),
        (error, [error; 6]),
        (refused, [refused; 6]),
        (accepted, [accepted; 6]),
        (rejected, [rejected; 6]),
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
fn after_an_error_it_begins_with_the_delay() {
    let now = Instant::now();
    let mut registration = Registration::after_error(RegistrationConfig::default(), now);
    assert_eq!(registration.step(now), Step::Wait(now + millis(10_000)));
    assert_eq!(registration.step(now + millis(10_000)), Step::Connect);
}

#[test]
fn a_connection_is_established_once() {
    // Flink: RegisteredRpcConnectionTest#testSuccessfulRpcConnection
    let mut connection = RegisteredConnection::new();
    assert!(!connection.is_pending());
    let registration = connection.begin().unwrap();
    assert!(connection.is_pending());
    assert!(connection.established(registration));
    assert!(!connection.is_pending());
    assert!(!connection.established(registration));
}

#[test]
fn a_rejected_connection_is_not_established() {
    // Flink: RegisteredRpcConnectionTest#testRpcConnectionFailures,
    //   #testRpcConnectionRejectionCallsOnRegistrationRejection
    let mut connection = RegisteredConnection::new();
    let registration = connection.begin().unwrap();
    assert!(connection.rejected(registration));
    assert!(!connection.established(registration));
    assert!(!connection.is_pending());
    assert!(connection.begin().is_some());
}

#[test]
fn a_closed_connection_stays_closed() {
    // Flink: RegisteredRpcConnectionTest#testRpcConnectionClose
    let mut connection = RegisteredConnection::new();
    let registration = connection.begin().unwrap();
    connection.close();
    assert!(!connection.established(registration));
    assert!(!connection.rejected(registration));
    assert_eq!(connection.begin(), None);
    assert!(!connection.is_pending());
}

#[test]
fn only_the_newest_registration_counts() {
    // Flink: RegisteredRpcConnectionTest#testReconnect
    let mut connection = RegisteredConnection::new();
    let first = connection.begin().unwrap();
    let second = connection.begin().unwrap();
    assert!(!connection.established(first));
    assert!(!connection.rejected(first));
    assert!(connection.established(second));
    let third = connection.begin().unwrap();
    assert!(connection.is_pending());
    assert!(connection.established(third));
}

/// A component that is registered at: it gives the prepared answers, and then none.
struct Target {
    answers: Mutex<VecDeque<RpcResult<RegistrationResponse<u32>>>>,
    /// When it was connected to and called, in milliseconds since the test began.
    heard: Mutex<Vec<(&'static str, u128)>>,
    started: Instant,
}

impl Target {
    fn new(answers: impl IntoIterator<Item = RpcResult<RegistrationResponse<u32>>>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            heard: Mutex::default(),
            started: Instant::now(),
        })
    }

    fn hear(&self, what: &'static str) {
        let after = self.started.elapsed().as_millis();
        self.heard.lock().push((what, after));
    }

    /// Registers at it, with a first connect that fails.
    async fn register(self: &Arc<Self>) -> Result<u32, String> {
        let (connecting, connects) = (Arc::clone(self), AtomicU32::new(0));
        let registered = register(
            registration(),
            String::from("the target"),
            move || {
                connecting.hear("connect");
                let is_first = connects.fetch_add(1, Ordering::Relaxed) == 0;
                let target = Arc::clone(&connecting);
                async move {
                    match is_first {
                        true => Err(NotConnected::not_yet("nobody is there")),
                        false => Ok(target),
                    }
                }
            },
            |target: &Self| {
                target.hear("call");
                let answer = target.answers.lock().pop_front();
                Call::ready(answer.unwrap_or(Ok(RegistrationResponse::Success(0))))
            },
        );
        registered.await.map(|(_, success)| success)
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_does_what_the_registration_says() {
    // Flink: RetryingRegistrationTest#testRetryConnectOnFailure, #testRetriesOnTimeouts,
    //   #testFailure, #testRetryOnError
    let target = Target::new([
        Err(RpcError::Timeout {
            method: String::from("register"),
            after: millis(100),
        }),
        Ok(RegistrationResponse::Failure(String::from("not now"))),
        Err(RpcError::Panicked {
            endpoint: String::from("target"),
        }),
        Ok(RegistrationResponse::Success(7)),
    ]);
    assert_eq!(target.register().await, Ok(7));
    let heard = [
        ("connect", 0),
        ("connect", 10_000),
        // It timed out, and is called again at once.
        ("call", 10_000),
        ("call", 10_000),
        // It refused, and is left alone for a while.
        ("call", 40_000),
        // It failed, and is connected anew.
        ("connect", 50_000),
        ("call", 50_000),
    ];
    let said = target.heard.lock().clone();
    let said: Vec<_> = said
        .iter()
        .map(|(what, after)| (*what, after / 10 * 10))
        .collect();
    assert_eq!(said, heard);
}

#[tokio::test(start_paused = true)]
async fn the_driver_tells_why_it_was_rejected() {
    // Flink: RetryingRegistrationTest#testRegistrationRejection
    let rejection = RegistrationResponse::Rejection(String::from("never"));
    let target = Target::new([Ok(rejection)]);
    assert_eq!(target.register().await, Err(String::from("never")));
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_given_up_calls_nobody() {
    // Flink: RetryingRegistrationTest#testCancellation
    let target = Target::new([]);
    let given_up = tokio::time::timeout(millis(9_999), target.register()).await;
    assert!(given_up.is_err());
    tokio::time::advance(millis(100_000)).await;
    assert_eq!(*target.heard.lock(), [("connect", 0)]);
}
