//! What a component answers when another registers at it.

use serde::{Deserialize, Serialize};

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
