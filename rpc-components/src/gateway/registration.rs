//! What a component answers when another registers at it.

use rpc_core::AppError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An answer to a registration. Flink's `RegistrationResponse`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth answer")]
pub enum RegistrationResponse<S> {
    /// Not now: try again later.
    Failure(String),
    /// Never.
    Rejection(String),
    /// Registered.
    Success(S),
}

/// The component that is called does not know the registration, or not any more: it has to be made
/// anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("the registration is not known")]
#[expect(clippy::exhaustive_structs, reason = "a wire type")]
pub struct UnknownRegistration;

impl AppError for UnknownRegistration {}
