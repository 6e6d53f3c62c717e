//! Fencing tokens: the number that tells a leader's calls from those of the leader before it.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

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

impl From<u64> for FencingToken {
    fn from(term: u64) -> Self {
        Self::new(term)
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
    status: AtomicU8,
    /// The newest that it ever had.
    newest: AtomicU64,
}

/// It never had a token.
const NEVER_SET: u8 = 0;
/// It has the newest.
const IS_SET: u8 = 1;
/// It had one.
const WAS_SET: u8 = 2;

impl Term {
    /// Returns the token of the endpoint, if it has one.
    pub(crate) fn current(&self) -> Option<FencingToken> {
        let is_set = self.status.load(Ordering::Acquire) == IS_SET;
        is_set.then(|| self.newest())
    }

    fn newest(&self) -> FencingToken {
        FencingToken(self.newest.load(Ordering::Acquire))
    }

    /// Sets the token, which never goes back. The main thread calls it.
    pub(crate) fn set(&self, token: Option<FencingToken>) -> Result<(), StaleToken> {
        let was_set = self.status.load(Ordering::Acquire) != NEVER_SET;
        let newest = was_set.then(|| self.newest());
        if let (Some(stale), Some(newest)) = (token, newest)
            && stale < newest
            && !mutant::is(Mutant::StaleTokenTaken)
        {
            return Err(StaleToken { stale, newest });
        }
        let status = match token {
            Some(FencingToken(token)) => {
                self.newest.store(token, Ordering::Release);
                IS_SET
            }
            None if was_set => WAS_SET,
            None => NEVER_SET,
        };
        self.status.store(status, Ordering::Release);
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

#[cfg(test)]
mod tests {
    use super::{FencingToken, StaleToken, Term};

    #[test]
    fn the_token_does_not_go_back_even_if_there_was_none_in_between() {
        let (term, token) = (Term::default(), FencingToken::new);
        assert_eq!(term.set(None), Ok(()));
        assert_eq!(term.current(), None);
        // Any may be the first.
        assert_eq!(term.set(Some(token(0))), Ok(()));
        assert_eq!(term.current(), Some(token(0)));
        assert_eq!(term.set(Some(token(7))), Ok(()));
        for between in [Some(token(7)), None] {
            assert_eq!(term.set(between), Ok(()));
            assert_eq!(term.current(), between);
            let stale = StaleToken {
                stale: token(6),
                newest: token(7),
            };
            assert_eq!(term.set(Some(token(6))), Err(stale));
            assert_eq!(term.current(), between, "as it was");
        }
        assert_eq!(term.set(Some(token(7))), Ok(()));
        assert_eq!(term.current(), Some(token(7)));
    }
}
