//! Fencing tokens: the number that tells a leader's calls from those of the leader before it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::mutant::{self, Mutant};

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

/// Which leadership an endpoint follows. Each call looks at it, so that it takes no lock.
///
/// One thread sets it, the endpoint's main thread, which has the last word on each call. Others may find
/// the next token a moment early.
#[derive(Debug, Default)]
pub(crate) struct Term {
    is_set: AtomicBool,
    token: AtomicU64,
    /// The newest that it ever had.
    newest: Mutex<Option<FencingToken>>,
}

impl Term {
    /// Returns the token of the endpoint, if it has one.
    pub(crate) fn current(&self) -> Option<FencingToken> {
        let is_set = self.is_set.load(Ordering::Acquire);
        is_set.then(|| FencingToken(self.token.load(Ordering::Acquire)))
    }

    /// Sets the token, which never goes back.
    pub(crate) fn set(&self, token: Option<FencingToken>) -> Result<(), StaleToken> {
        let mut newest = self.newest.lock();
        if let (Some(stale), Some(newest)) = (token, *newest)
            && stale < newest
            && !mutant::is(Mutant::StaleTokenTaken)
        {
            return Err(StaleToken { stale, newest });
        }
        *newest = newest.max(token);
        if let Some(FencingToken(token)) = token {
            self.token.store(token, Ordering::Release);
        }
        self.is_set.store(token.is_some(), Ordering::Release);
        Ok(())
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
