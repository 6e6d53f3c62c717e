//! Calls within one service that are encoded and decoded as if they travelled.
//!
//! Tests that run in one process do not see what cannot travel: a type that is encoded but not
//! decoded, state that is shared by accident, a message that is too large.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use crate::codec;
use crate::error::{RpcError, RpcResult};
use crate::frame::PutError;
use crate::gateway::{self, Message};
use crate::method::MethodInfo;

/// Makes of the arguments what the callee would get.
pub(crate) fn arguments<A: Message>(
    arguments: &A,
    method: &MethodInfo,
    limit: usize,
) -> Result<A, RpcError> {
    let body = encode(arguments, method, false, limit)?;
    decode(method, false, || gateway::decode_arguments(method, &body))
}

/// Makes of a result what the caller would get.
pub(crate) fn result<T: Message, E: Message>(
    result: RpcResult<T, E>,
    method: &MethodInfo,
    limit: usize,
) -> RpcResult<T, E> {
    let checked = match &result {
        Ok(value) => response(value, method, limit).map(Ok),
        Err(error) => response(error, method, limit).map(Err),
    };
    checked.unwrap_or_else(|error| Err(error.widen()))
}

fn response<M: Message>(message: &M, method: &MethodInfo, limit: usize) -> Result<M, RpcError> {
    let body = encode(message, method, true, limit)?;
    decode(method, true, || {
        let decoded = codec::decode(&body);
        decoded.map_err(|error| PutError::Codec(error).into_error(method.name, true))
    })
}

fn encode<M: Serialize>(
    message: &M,
    method: &MethodInfo,
    response: bool,
    limit: usize,
) -> Result<Vec<u8>, RpcError> {
    let refused = |error: PutError| error.into_error(method.name, response);
    let mut body = Vec::new();
    codec::encode(message, &mut body).map_err(|error| refused(PutError::Codec(error)))?;
    let size = body.len();
    if size > limit {
        return Err(refused(PutError::TooLarge { size, limit }));
    }
    Ok(body)
}

/// Decodes what came, as if the other side did.
fn decode<M>(
    method: &MethodInfo,
    response: bool,
    decode: impl FnOnce() -> Result<M, RpcError>,
) -> Result<M, RpcError> {
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    decoded.unwrap_or_else(|_| Err(RpcError::panicked_value(method.name, response)))
}
