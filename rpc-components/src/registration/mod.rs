//! Registering at another component, again and again until it answers. Pure.
//!
//! ```text
//!                connected               success, rejection
//!  Connecting ─────────────▶ Registering ──────────────────▶ Ended
//!     │  ▲                    │       │ ▲
//!     │  │ error delay        │       │ │ refused delay
//!     ▼  │       error        │       ▼ │
//!  WaitingToConnect ◀─────────┘    WaitingToRegister
//! ```
//!
//! A component that is gone for good is as one that rejects. A call that times out is made again at
//! once and may take twice as long. Answers to Flink's
//! `RetryingRegistration`, which is followed but for one thing: after an error of the
//! registering call it connects anew, because a gateway to an endpoint that was restarted never
//! works again.

mod connection;
mod driver;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::connection::RegisteredConnection;
pub(crate) use self::driver::{NotConnected, register};

/// How a component registers at another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrationConfig {
    /// How long the first call may take. Too small, and a busy component is called more often than
    /// it needs; too large, and a lost first call costs that long. The default is 100 ms.
    pub initial_timeout: Duration,
    /// How long a call may take at most; each that times out may take twice as long as the one
    /// before it. Too small, and a slow component is never registered at; too large, and a lost
    /// call costs that long. The default is 30 s.
    pub max_timeout: Duration,
    /// How long to wait after an error before trying again. Too small, and a component that is
    /// being restarted is flooded; too large, and it is found again late. The default is 10 s.
    pub error_delay: Duration,
    /// How long to wait after the component said "not now". Too small, and it is asked in vain; too
    /// large, and a reason that passes quickly costs that long. The default is 30 s.
    pub refused_delay: Duration,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self {
            initial_timeout: Duration::from_millis(100),
            max_timeout: Duration::from_secs(30),
            error_delay: Duration::from_secs(10),
            refused_delay: Duration::from_secs(30),
        }
    }
}

/// What is to be done next for a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Connect to the address.
    Connect,
    /// Register at the gateway that is connected.
    Register {
        /// How often this gateway was called before, without an answer.
        attempt: u32,
        /// How long the call may take.
        timeout: Duration,
    },
    /// Nothing, until then.
    Wait(Instant),
    /// Nothing any more.
    Ended(End),
}

/// How a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The component accepted.
    Accepted,
    /// The component rejected for good, or is gone.
    Rejected,
}

/// What came of a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The gateway is connected.
    Connected,
    /// Connecting or registering failed with an error.
    Error,
    /// The component refuses for now. Flink's `RegistrationResponse.Failure`.
    Failure,
    /// The component refuses for good, or is gone for good. Flink's
    /// `RegistrationResponse.Rejection`.
    Rejection,
    /// The component accepts. Flink's `RegistrationResponse.Success`.
    Success,
    /// The registering call was not answered in time.
    TimedOut,
}

/// One registration, from the first connect to its end.
///
/// Its owner asks for the [`step`](Self::step), does it, and tells what came of it. An owner that
/// gives it up drops it.
#[derive(Debug)]
pub(crate) struct Registration {
    config: RegistrationConfig,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Registering { attempt: u32, timeout: Duration },
    WaitingToConnect { until: Instant },
    WaitingToRegister { until: Instant },
    Ended(End),
}

impl Registration {
    /// Begins a registration; its first step is to connect.
    pub(crate) const fn new(config: RegistrationConfig) -> Self {
        Self {
            config,
            state: State::Connecting,
        }
    }

    /// Begins a registration after an error, whose delay it keeps: whoever was accepted and failed
    /// right after it would otherwise be accepted and fail without a pause.
    pub(crate) fn after_error(config: RegistrationConfig, now: Instant) -> Self {
        let mut registration = Self::new(config);
        registration.handle(Outcome::Error, now);
        registration
    }

    /// Returns what to do now.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        match self.state {
            State::WaitingToConnect { until } if until <= now => self.state = State::Connecting,
            State::WaitingToRegister { until } if until <= now => self.state = self.first_attempt(),
            _ => {}
        }
        match self.state {
            State::Connecting => Step::Connect,
            State::Registering { attempt, timeout } => Step::Register { attempt, timeout },
            State::WaitingToConnect { until } | State::WaitingToRegister { until } => {
                Step::Wait(until)
            }
            State::Ended(end) => Step::Ended(end),
        }
    }

    /// Takes what came of the last step.
    ///
    /// An outcome that the last step cannot have is of an earlier one, and is ignored.
    pub(crate) fn handle(&mut self, outcome: Outcome, now: Instant) {
        self.state = match (self.state, outcome) {
            (State::Connecting, Outcome::Connected) => self.first_attempt(),
            (State::Connecting | State::Registering { .. }, Outcome::Error) => {
                let until = now + self.config.error_delay;
                State::WaitingToConnect { until }
            }
            (State::Registering { .. }, Outcome::Failure) => {
                let until = now + self.config.refused_delay;
                State::WaitingToRegister { until }
            }
            (State::Connecting | State::Registering { .. }, Outcome::Rejection) => {
                State::Ended(End::Rejected)
            }
            (State::Registering { .. }, Outcome::Success) => State::Ended(End::Accepted),
            (State::Registering { attempt, timeout }, Outcome::TimedOut) => State::Registering {
                attempt: attempt.saturating_add(1),
                timeout: timeout.saturating_mul(2).min(self.config.max_timeout),
            },
            (state, _) => state,
        };
    }

    fn first_attempt(&self) -> State {
        State::Registering {
            attempt: 0,
            timeout: self.config.initial_timeout.min(self.config.max_timeout),
        }
    }
}

#[cfg(test)]
mod tests;
