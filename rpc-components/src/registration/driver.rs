//! Does what a [`Registration`] says: the only part of it that waits and calls.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{BoxError, Call, RpcError};
use tokio::time::Instant;

use super::{Outcome, Registration, RegistrationConfig, Step};
use crate::gateway::RegistrationResponse;

/// Registers until the other component accepts, which gives its gateway and what it said, or
/// rejects, which gives its reason.
///
/// # Cancel safety
///
/// Dropping the future cancels the registration.
pub(crate) async fn register<G, S, F>(
    config: RegistrationConfig,
    target: String,
    connect: impl Fn() -> F + Send,
    call: impl Fn(&G) -> Call<RegistrationResponse<S>> + Send,
) -> Result<(Arc<G>, S), String>
where
    G: ?Sized + Send + Sync,
    F: Future<Output = Result<Arc<G>, BoxError>> + Send,
{
    let mut registration = Registration::new(config);
    let mut connected = None;
    loop {
        let outcome = match registration.step(Instant::now()) {
            Step::Connect => match connect().await {
                Ok(gateway) => {
                    connected = Some(gateway);
                    Outcome::Connected
                }
                Err(error) => {
                    tracing::info!(target, %error, cause = error.source(), "cannot connect yet");
                    Outcome::Error
                }
            },
            Step::Register { timeout, .. } => {
                let Some(gateway) = &connected else {
                    registration.handle(Outcome::Error, Instant::now());
                    continue;
                };
                match attempt(&target, call(gateway), timeout).await {
                    Attempt::Accepted(success) => return Ok((Arc::clone(gateway), success)),
                    Attempt::Rejected(reason) => return Err(reason),
                    Attempt::Again(outcome) => outcome,
                }
            }
            Step::Wait(until) => {
                tokio::time::sleep_until(until).await;
                continue;
            }
            Step::Ended(_) => return Err(String::from("the registration was given up")),
        };
        registration.handle(outcome, Instant::now());
    }
}

enum Attempt<S> {
    Accepted(S),
    Again(Outcome),
    Rejected(String),
}

async fn attempt<S>(
    target: &str,
    call: Call<RegistrationResponse<S>>,
    timeout: Duration,
) -> Attempt<S> {
    match call.timeout(timeout).await {
        Ok(RegistrationResponse::Success(success)) => Attempt::Accepted(success),
        Ok(RegistrationResponse::Rejection(reason)) => Attempt::Rejected(reason),
        Ok(RegistrationResponse::Failure(reason)) => {
            tracing::info!(target, reason, "registration refused for now");
            Attempt::Again(Outcome::Failure)
        }
        Err(RpcError::Timeout { .. }) => Attempt::Again(Outcome::TimedOut),
        Err(error) => {
            tracing::info!(target, %error, "registration failed");
            Attempt::Again(Outcome::Error)
        }
    }
}
