//! Where an answer that came over a connection goes.

use serde::de::DeserializeOwned;

use crate::codec;
use crate::error::{Outcome, RpcError, RpcResult};
use crate::gateway::Message;
use crate::method::MethodInfo;
use crate::moment::Moment;
use crate::reply_slot::ReplySlot;
use crate::scope::CallScope;
use crate::unfinished::Unfinished;

/// Where an answer goes, whatever its type.
pub(super) trait ReplySink: Send + Sync {
    /// Takes an answer. `lost` is there for a call that was made again: that it was not executed now
    /// says nothing of the first time.
    fn complete(&self, method: &MethodInfo, error: bool, body: &[u8], lost: Option<RpcError>);
    fn fail(&self, error: RpcError);
    /// Tells whether nobody waits any more.
    fn is_abandoned(&self) -> bool;
    /// Starts the clock, unless it runs, and returns until when the caller waits.
    fn deadline(&self) -> Moment;
    /// Tells whether the call's time is over.
    fn is_over(&self, now: Moment) -> bool;
}

impl<T: Message, E: Message> ReplySink for ReplySlot<T, E> {
    fn complete(&self, method: &MethodInfo, error: bool, body: &[u8], lost: Option<RpcError>) {
        let unfinished = Unfinished::new(|| self.fail(RpcError::panicked_value(method.name, true)));
        let answer = read_answer(method, error, body, lost);
        unfinished.done();
        self.fill(answer);
    }

    fn fail(&self, error: RpcError) {
        self.fill(Err(error.widen()));
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned()
    }

    fn deadline(&self) -> Moment {
        self.begin().deadline()
    }

    fn is_over(&self, now: Moment) -> bool {
        self.time().deadline() <= now
    }
}

/// Decodes an answer.
pub(super) fn read_answer<T: DeserializeOwned, E: DeserializeOwned>(
    method: &MethodInfo,
    error: bool,
    body: &[u8],
    lost: Option<RpcError>,
) -> RpcResult<T, E> {
    let answer = match error {
        false => codec::decode(body).map(Ok),
        true => codec::decode(body).map(|error: RpcError<E>| match lost {
            Some(lost) if error.outcome() == Outcome::NotExecuted => Err(lost.widen()),
            _ => Err(error),
        }),
    };
    answer.unwrap_or_else(|error| Err(unreadable(method, &error.to_string())))
}

fn unreadable<E>(method: &MethodInfo, detail: &str) -> RpcError<E> {
    RpcError::Codec {
        method: method.name.to_owned(),
        response: true,
        detail: detail.to_owned(),
    }
}
