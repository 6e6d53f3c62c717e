//! Fencing tokens: the number that tells a leader's calls from those of the leader before it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies one term of leadership; a later term has a greater token.
///
/// A fenced gateway carries the token of the leader that its owner believes in, and the endpoint
/// refuses every call whose token is not its own. Unlike Flink's random ids the tokens are ordered,
/// so that of two leaders one can tell which is the newer.
///
/// Answers to Flink's `FencedRpcEndpoint` and its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Makes the token of the term with this number.
    #[must_use]
    pub const fn new(term: u64) -> Self {
        Self(term)
    }

    /// Returns the term's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A token that is older than one that the endpoint has had: a newer leader was here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token {stale} is older than {newest}, which the endpoint has had")]
#[non_exhaustive]
pub struct StaleToken {
    /// The token that was to be set.
    pub stale: FencingToken,
    /// The newest token of the endpoint so far.
    pub newest: FencingToken,
}
