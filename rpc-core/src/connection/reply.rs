//! Where an answer that came over a connection goes.

use crate::codec::{self, PANICKED};
use crate::error::{Outcome, RpcError};
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
    /// Starts the clock, unless it runs, and returns until when the caller waits.
    fn deadline(&self) -> Moment;
}

impl<T: Message, E: Message> ReplySink for ReplySlot<T, E> {
    fn complete(&self, method: &MethodInfo, error: bool, body: &[u8], lost: Option<RpcError>) {
        let unreadable = |detail: String| RpcError::Codec {
            method: method.name.to_owned(),
            response: true,
            detail,
        };
        let unfinished = Unfinished::new(|| self.fill(Err(unreadable(String::from(PANICKED)))));
        let result = match error {
            false => codec::decode(body).map(Ok),
            true => codec::decode(body).map(|error: RpcError<E>| match lost {
                Some(lost) if error.outcome() == Outcome::NotExecuted => Err(lost.widen()),
                _ => Err(error),
            }),
        };
        unfinished.done();
        self.fill(result.unwrap_or_else(|error| Err(unreadable(error.to_string()))));
    }

    fn fail(&self, error: RpcError) {
        self.fill(Err(error.widen()));
    }

    fn deadline(&self) -> Moment {
        self.begin().deadline()
    }
}
