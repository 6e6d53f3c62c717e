//! Does what a [`Registration`] says: the only part of it that waits and calls.

use std::sync::Arc;

use rpc_core::{BoxError, Call, Failure, RpcError, RpcResult};
use tokio::time::Instant;

use super::{End, Outcome, Registration, Step};
use crate::gateway::RegistrationResponse;

/// Why the other component is not connected.
#[derive(Debug)]
pub(crate) enum NotConnected {
    /// It is not there, and does not come back.
    Gone(BoxError),
    /// It may be there later.
    NotYet(BoxError),
}

impl NotConnected {
    pub(crate) fn not_yet(error: impl Into<BoxError>) -> Self {
        Self::NotYet(error.into())
    }
}

/// Registers until the other component accepts, which gives its gateway and what it said, or
/// rejects or is gone, which gives the reason.
///
/// # Cancel safety
///
/// Dropping the future gives the registration up. A call that is under way is cancelled, but may
/// have been executed.
pub(crate) async fn register<G, S, F>(
    mut registration: Registration,
    target: String,
    connect: impl Fn() -> F + Send,
    call: impl Fn(&G) -> Call<RegistrationResponse<S>> + Send,
) -> Result<(Arc<G>, S), String>
where
    G: ?Sized + Send + Sync,
    F: Future<Output = Result<Arc<G>, NotConnected>> + Send,
{
    let mut known = Known {
        gateway: None,
        success: None,
        reason: String::new(),
        said: String::new(),
    };
    loop {
        let outcome = match registration.step(Instant::now()) {
            Step::Connect => known.connected(&target, connect().await),
            Step::Register { timeout, .. } => match &known.gateway {
                Some(gateway) => {
                    let answer = call(gateway).timeout(timeout).await;
                    known.answered(&target, answer)
                }
                None => Outcome::Error,
            },
            Step::Wait(until) => {
                tokio::time::sleep_until(until).await;
                continue;
            }
            Step::Ended(end) => {
                return match (end, known.gateway, known.success) {
                    (End::Accepted, Some(gateway), Some(success)) => Ok((gateway, success)),
                    _ => Err(known.reason),
                };
            }
        };
        registration.handle(outcome, Instant::now());
    }
}

/// What the other component has said so far.
struct Known<G: ?Sized, S> {
    gateway: Option<Arc<G>>,
    success: Option<S>,
    /// Why it last refused, or how it is known to be gone.
    reason: String,
    /// What was last said of an attempt that came to nothing.
    said: String,
}

impl<G: ?Sized, S> Known<G, S> {
    fn connected(&mut self, target: &str, result: Result<Arc<G>, NotConnected>) -> Outcome {
        match result {
            Ok(gateway) => {
                self.gateway = Some(gateway);
                Outcome::Connected
            }
            Err(NotConnected::Gone(error)) => {
                self.reason = error.to_string();
                Outcome::Rejection
            }
            Err(NotConnected::NotYet(error)) => {
                self.say(target, "cannot connect yet", &Failure::new(&*error));
                Outcome::Error
            }
        }
    }

    fn answered(&mut self, target: &str, answer: RpcResult<RegistrationResponse<S>>) -> Outcome {
        match answer {
            Ok(RegistrationResponse::Success(success)) => {
                self.success = Some(success);
                Outcome::Success
            }
            Ok(RegistrationResponse::Rejection(reason)) => {
                self.reason = reason;
                Outcome::Rejection
            }
            Ok(RegistrationResponse::Failure(reason)) => {
                self.say(
                    target,
                    "registration refused for now",
                    &Failure::message(reason),
                );
                Outcome::Failure
            }
            Err(RpcError::Timeout { .. }) => Outcome::TimedOut,
            Err(error) => {
                self.say(target, "registration failed", &Failure::new(&error));
                Outcome::Error
            }
        }
    }

    /// Says why an attempt came to nothing: loud the first time, as it may go on for ever, and not so
    /// loud as long as nothing changes.
    fn say(&mut self, target: &str, what: &str, why: &Failure) {
        let why = why.texts().join(": ");
        let said = format!("{what}: {why}");
        if self.said == said {
            tracing::info!(target, why, "{what}");
        } else {
            tracing::warn!(target, why, "{what}");
            self.said = said;
        }
    }
}
