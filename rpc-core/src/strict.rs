//! Calls within one service that are encoded and decoded as if they travelled.
//!
//! Tests that run in one process do not see what cannot travel: a type that is encoded but not
//! decoded, state that is shared by accident, a message that is too large.

use crate::codec;
use crate::error::{RpcError, RpcResult};
use crate::frame::PutError;
use crate::gateway::Message;
use crate::method::MethodInfo;

/// Makes of the arguments what the callee would get.
pub(crate) fn arguments<A: Message>(
    arguments: &A,
    method: &MethodInfo,
    limit: usize,
) -> Result<A, RpcError> {
    round_trip(arguments, method, false, limit)
}

/// Makes of a result what the caller would get.
pub(crate) fn result<T: Message, E: Message>(
    result: RpcResult<T, E>,
    method: &MethodInfo,
    limit: usize,
) -> RpcResult<T, E> {
    let checked = match &result {
        Ok(value) => round_trip(value, method, true, limit).map(Ok),
        Err(error) => round_trip(error, method, true, limit).map(Err),
    };
    checked.unwrap_or_else(|error| Err(error.widen()))
}

fn round_trip<M: Message>(
    message: &M,
    method: &MethodInfo,
    response: bool,
    limit: usize,
) -> Result<M, RpcError> {
    let refused = |error: PutError| error.into_error(method.name, response);
    let bad = |error| refused(PutError::Codec(error));
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes).map_err(bad)?;
    let size = bytes.len();
    if size > limit {
        return Err(refused(PutError::TooLarge { size, limit }));
    }
    codec::decode(&bytes).map_err(bad)
}
