//! What can go wrong with a call, and what the caller then knows.

mod failure;

pub use self::failure::Failure;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fencing::FencingToken;

/// The result of a call: what the method returns, or why not.
pub type RpcResult<T, E = Never> = Result<T, RpcError<E>>;

/// An error of any type, as life-cycle methods return it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A method's own error: how the callee refuses, as part of the contract.
///
/// It travels as a value, and a handler may use `?` on it:
///
/// ```
/// #[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
/// enum SubmitError {
///     #[error("job {0} is known already")]
///     Duplicate(u64),
/// }
/// impl rpc_core::AppError for SubmitError {}
/// ```
pub trait AppError: Error + Serialize + DeserializeOwned + Send + Sync + 'static {}

/// The error of a method that has none of its own: there is no such value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "its emptiness is its meaning")]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Error for Never {}

/// Why a call gave no result.
///
/// [`App`](Self::App) is the callee's refusal, by the method's own error. All other kinds say that
/// the *call* failed, and [`outcome`](Self::outcome) says whether the callee may have run it.
///
/// Answers to Flink's `RpcException` and its subclasses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RpcError<E = Never> {
    /// The callee ran the call and refused, as the method's contract allows.
    App(E),
    /// A message could not be encoded or decoded.
    Codec {
        /// The gateway's method.
        method: String,
        /// Whether it is the method's response, and the callee has run the call.
        response: bool,
        /// What is wrong with which bytes.
        detail: String,
    },
    /// The connection was lost while the call was under way.
    Disconnected {
        /// The other side.
        peer: String,
        /// Whether the request may have reached the callee.
        possibly_executed: bool,
    },
    /// The handler failed with an error outside the method's contract.
    Failed(Failure),
    /// The endpoint follows another leader than the gateway. Flink's `FencingTokenException`.
    Fenced {
        /// The endpoint's token; `None` while it has none and refuses everything.
        expected: Option<FencingToken>,
        /// The gateway's token.
        got: Option<FencingToken>,
    },
    /// The peer's certificate does not allow the call.
    Forbidden {
        /// The gateway's method.
        method: String,
        /// The roles that the certificate gives.
        roles: Vec<String>,
    },
    /// The callee's gateway has no such method, or another version of it.
    Incompatible {
        /// The gateway's method.
        method: String,
    },
    /// The endpoint is not started yet. Flink's `EndpointNotStartedException`.
    NotStarted {
        /// The endpoint's name.
        endpoint: String,
    },
    /// A queue is full: of the endpoint, or of the connection to it.
    Overloaded {
        /// Which queue.
        queue: String,
        /// Its limit.
        limit: u64,
    },
    /// The handler panicked.
    Panicked {
        /// The endpoint's name.
        endpoint: String,
    },
    /// No answer came in time. Flink's `TimeoutException`.
    Timeout {
        /// The gateway's method.
        method: String,
        /// How long the call was allowed to take.
        after: Duration,
    },
    /// A message is larger than a frame may be; nothing of it was sent.
    TooLarge {
        /// The gateway's method.
        method: String,
        /// Whether it is the method's response, and the callee has run the call.
        response: bool,
        /// The message's size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The endpoint has stopped or cannot be reached. Flink's `RecipientUnreachableException`.
    Unreachable {
        /// The endpoint's address.
        address: String,
        /// Whether another endpoint has taken its name meanwhile.
        restarted: bool,
    },
}

/// What the caller of a failed call knows of the callee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth answer")]
pub enum Outcome {
    /// The callee ran the handler.
    Executed,
    /// The handler has provably not run, and never will for this call.
    NotExecuted,
    /// The request was sent, and nothing is known.
    Unknown,
}

impl<E> RpcError<E> {
    /// Tells whether the callee has run the call.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::App(_)
            | Self::Failed(_)
            | Self::Panicked { .. }
            | Self::Codec { response: true, .. }
            | Self::TooLarge { response: true, .. } => Outcome::Executed,
            Self::Codec { .. }
            | Self::Disconnected {
                possibly_executed: false,
                ..
            }
            | Self::Fenced { .. }
            | Self::Forbidden { .. }
            | Self::Incompatible { .. }
            | Self::NotStarted { .. }
            | Self::Overloaded { .. }
            | Self::TooLarge { .. }
            | Self::Unreachable { .. } => Outcome::NotExecuted,
            Self::Disconnected { .. } | Self::Timeout { .. } => Outcome::Unknown,
        }
    }

    /// Wraps an error that the method's contract does not name, with its whole source chain.
    pub fn failed(error: &(dyn Error + 'static)) -> Self {
        Self::Failed(Failure::new(error))
    }

    /// Turns the failure of a nested call into one of the handler that made it.
    ///
    /// Without this the caller of the outer call would take the inner call's time-out for its own.
    #[must_use]
    pub fn nested(self) -> RpcError
    where
        E: Error + 'static,
    {
        match self {
            Self::Failed(failure) => RpcError::Failed(failure),
            other => RpcError::Failed(Failure::new(&other)),
        }
    }

    /// Replaces the method's own error; the other kinds stay as they are.
    pub fn map_app<F>(self, f: impl FnOnce(E) -> F) -> RpcError<F> {
        match self.try_map_app(|error| Ok::<_, Never>(f(error))) {
            Ok(error) => error,
            Err(never) => match never {},
        }
    }

    /// What a handler returned, as its caller sees it: kinds that only the runtime gives a call are
    /// those of a nested call.
    pub(crate) fn into_answer(self) -> Self {
        let kept = matches!(self, Self::App(_) | Self::Failed(_));
        match self.try_map_app(Err::<Never, E>) {
            Ok(error) if kept => error.widen(),
            Ok(error) => error.nested().widen(),
            Err(error) => Self::App(error),
        }
    }

    fn try_map_app<F, X>(self, f: impl FnOnce(E) -> Result<F, X>) -> Result<RpcError<F>, X> {
        Ok(match self {
            Self::App(error) => RpcError::App(f(error)?),
            Self::Codec {
                method,
                response,
                detail,
            } => RpcError::Codec {
                method,
                response,
                detail,
            },
            Self::Disconnected {
                peer,
                possibly_executed,
            } => RpcError::Disconnected {
                peer,
                possibly_executed,
            },
            Self::Failed(failure) => RpcError::Failed(failure),
            Self::Fenced { expected, got } => RpcError::Fenced { expected, got },
            Self::Forbidden { method, roles } => RpcError::Forbidden { method, roles },
            Self::Incompatible { method } => RpcError::Incompatible { method },
            Self::NotStarted { endpoint } => RpcError::NotStarted { endpoint },
            Self::Overloaded { queue, limit } => RpcError::Overloaded { queue, limit },
            Self::Panicked { endpoint } => RpcError::Panicked { endpoint },
            Self::Timeout { method, after } => RpcError::Timeout { method, after },
            Self::TooLarge {
                method,
                response,
                size,
                limit,
            } => RpcError::TooLarge {
                method,
                response,
                size,
                limit,
            },
            Self::Unreachable { address, restarted } => {
                RpcError::Unreachable { address, restarted }
            }
        })
    }
}

impl RpcError {
    /// Makes the error of a value whose own code panicked while it was decoded.
    pub(crate) fn panicked_value(method: &str, response: bool) -> Self {
        Self::Codec {
            method: method.to_owned(),
            response,
            detail: String::from("the value panicked"),
        }
    }

    /// Gives a failed call the type of a method that also has its own error.
    #[must_use]
    pub fn widen<E>(self) -> RpcError<E> {
        self.map_app(|never| match never {})
    }
}

impl<E: AppError> From<E> for RpcError<E> {
    fn from(error: E) -> Self {
        Self::App(error)
    }
}

/// A nested call that fails makes the handler fail; see [`RpcError::nested`].
impl<E: AppError> From<RpcError> for RpcError<E> {
    fn from(error: RpcError) -> Self {
        error.nested().widen()
    }
}

impl<E> From<Failure> for RpcError<E> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E: fmt::Display> fmt::Display for RpcError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => error.fmt(f),
            Self::Codec {
                method,
                response,
                detail,
            } => write!(f, "the {} of {method} is bad: {detail}", message(*response)),
            Self::Disconnected {
                peer,
                possibly_executed,
            } => {
                let sent = if *possibly_executed { "may" } else { "can not" };
                write!(
                    f,
                    "the connection to {peer} was lost; the call {sent} have been executed"
                )
            }
            Self::Failed(failure) => failure.fmt(f),
            Self::Fenced { expected, got } => {
                write!(f, "fenced out: the endpoint's token is ")?;
                write_token(f, *expected)?;
                f.write_str(", the gateway's is ")?;
                write_token(f, *got)
            }
            Self::Forbidden { method, roles } if roles.is_empty() => {
                write!(f, "{method} is forbidden to a peer without a role")
            }
            Self::Forbidden { method, roles } => {
                write!(
                    f,
                    "{method} is forbidden to a peer with the role {}",
                    roles.join(", ")
                )
            }
            Self::Incompatible { method } => {
                write!(f, "the callee has no {method}, or another version of it")
            }
            Self::NotStarted { endpoint } => write!(f, "endpoint {endpoint} is not started"),
            Self::Overloaded { queue, limit } => write!(f, "{queue} is full (limit {limit})"),
            Self::Panicked { endpoint } => write!(f, "a handler of endpoint {endpoint} panicked"),
            Self::Timeout { method, after } => write!(f, "{method} timed out after {after:?}"),
            Self::TooLarge {
                method,
                response,
                size,
                limit,
            } => {
                let message = message(*response);
                write!(
                    f,
                    "the {message} of {method} has {size} bytes, more than the limit {limit}"
                )
            }
            Self::Unreachable { address, restarted } => {
                write!(f, "endpoint {address} is unreachable")?;
                if *restarted {
                    f.write_str(": another has taken its name")?;
                }
                Ok(())
            }
        }
    }
}

const fn message(response: bool) -> &'static str {
    if response { "response" } else { "request" }
}

fn write_token(f: &mut fmt::Formatter<'_>, token: Option<FencingToken>) -> fmt::Result {
    match token {
        Some(token) => fmt::Display::fmt(&token, f),
        None => f.write_str("none"),
    }
}

impl<E: Error + 'static> Error for RpcError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::App(error) => error.source(),
            Self::Failed(failure) => failure.source(),
            _ => None,
        }
    }
}

/// How an endpoint ended, if not well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Its service was aborted, or the runtime that it ran on was shut down.
    #[error("endpoint {endpoint} was aborted")]
    Aborted {
        /// The endpoint's name.
        endpoint: String,
    },
    /// Its code panicked, and the endpoint was stopped for it.
    #[error("endpoint {endpoint} was stopped because its code panicked")]
    Panicked {
        /// The endpoint's name.
        endpoint: String,
    },
    /// `on_start` failed, and the endpoint never served.
    #[error("could not start endpoint {endpoint}")]
    Start {
        /// The endpoint's name.
        endpoint: String,
        /// What `on_start` returned.
        source: Failure,
    },
    /// `on_stop` failed.
    #[error("failure while stopping endpoint {endpoint}")]
    Stop {
        /// The endpoint's name.
        endpoint: String,
        /// What `on_stop` returned.
        source: Failure,
    },
}

#[cfg(test)]
mod tests;
