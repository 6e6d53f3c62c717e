//! Who leads in a JobManager process, and how others find out.
//!
//! This is the standalone form: the components of one process lead from its start to its end, in a
//! term whose token is the time of the start. A process that is started again has a greater token,
//! so that calls meant for its predecessor are fenced out.

mod endpoint;
mod retrieval;

pub use self::endpoint::Leaders;
pub use self::retrieval::{LeaderRetrieval, RetrievalError};

use std::time::{SystemTime, UNIX_EPOCH};

use rpc_core::FencingToken;

/// Begins a term that is later than all before it, as far as the machine's clock goes forward.
#[must_use]
pub fn new_term() -> FencingToken {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since_1970.map_or(1, |it| it.as_micros());
    FencingToken::new(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
