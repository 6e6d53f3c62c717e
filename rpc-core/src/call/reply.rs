//! The right to answer a call.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Time;
use crate::connection::{Charges, IncomingCall};
use crate::error::{Failure, Never, RpcError, RpcResult};
use crate::method::MethodInfo;
use crate::moment::Moment;
use crate::reply_slot::{Answered, ReplySlot};
use crate::scope::{self, CallScope};
use crate::unfinished::Unfinished;

/// The right to answer a call.
///
/// A handler that takes a `ReplyTo` as its last argument may keep it, and answer when it can; other
/// handlers answer by returning. Dropping it unanswered fails the call.
#[must_use = "dropping it fails the call"]
pub struct ReplyTo<T, E = Never> {
    to: Option<To<T, E>>,
}

enum To<T, E> {
    Caller(Arc<ReplySlot<T, E>>),
    /// A caller in this service, whose answer has to survive the codec. Behind a pointer, since it is
    /// the exception, and a mailbox holds many.
    Strict(Arc<ReplySlot<T, E>>, Box<Check<T, E>>),
    Peer(Arc<IncomingCall>, Encode<T, E>),
}

/// How a result is encoded and decoded as if it travelled; a plain function, as [`Encode`] is.
pub(crate) struct Check<T, E> {
    pub(crate) method: &'static MethodInfo,
    pub(crate) limit: usize,
    pub(crate) check: Checked<T, E>,
}

type Checked<T, E> = fn(RpcResult<T, E>, &MethodInfo, usize) -> RpcResult<T, E>;

/// How a result becomes a frame; a plain function, so that no bounds are needed where one answers.
pub(crate) type Encode<T, E> = fn(&IncomingCall, Answered<T, E>);

impl<T, E> ReplyTo<T, E> {
    pub(crate) const fn caller(slot: Arc<ReplySlot<T, E>>) -> Self {
        Self {
            to: Some(To::Caller(slot)),
        }
    }

    pub(crate) fn strict(slot: Arc<ReplySlot<T, E>>, check: Check<T, E>) -> Self {
        Self {
            to: Some(To::Strict(slot, Box::new(check))),
        }
    }

    pub(crate) fn peer(call: Arc<IncomingCall>, encode: Encode<T, E>) -> Self {
        Self {
            to: Some(To::Peer(call, encode)),
        }
    }

    /// Answers the call.
    // Where the result is made: most of its bytes are those of an error that is not there.
    #[inline]
    pub fn answer(self, result: RpcResult<T, E>) {
        self.give(match result {
            Ok(value) => Ok(value),
            Err(error) => Err(failure(error)),
        });
    }

    fn give(mut self, answer: Answered<T, E>) {
        // Where it is: to move it takes longer than to look at it.
        if let Some(to) = &self.to {
            to.give(answer);
        }
        self.to = None;
    }

    /// Answers with a failure that the runtime found.
    pub(crate) fn deny(mut self, error: RpcError) {
        if let Some(to) = self.to.take() {
            to.give(Err(Box::new(error.widen())));
        }
    }

    /// Tells whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool
    where
        T: Send,
        E: Send,
    {
        match &self.to {
            Some(To::Caller(slot) | To::Strict(slot, _)) => slot.is_abandoned(),
            Some(To::Peer(call, _)) => call.is_abandoned(),
            None => true,
        }
    }

    /// Completes when nobody waits for the answer any more.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn cancelled(&self)
    where
        T: Send,
        E: Send,
    {
        std::future::poll_fn(|cx| self.poll_cancelled(cx)).await;
    }

    pub(crate) fn poll_cancelled(&self, cx: &Context<'_>) -> Poll<()>
    where
        T: Send,
        E: Send,
    {
        match &self.to {
            Some(To::Caller(slot) | To::Strict(slot, _)) => slot.poll_abandoned(cx),
            Some(To::Peer(call, _)) => call.poll_abandoned(cx),
            None => Poll::Ready(()),
        }
    }
}

/// What the handlers have in common that begin one after the other.
#[derive(Default)]
pub struct Begun {
    /// When the clock was read since their messages were taken out of the mailbox.
    now: Option<Moment>,
    /// What their messages took of a connection's window.
    pub(crate) charges: Charges,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// A right to answer, whatever with.
pub trait AnyReply {
    /// Tells whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// The handler begins. Returns how long the caller waits, whose clock runs at the latest since the
    /// call was taken out of the mailbox.
    #[doc(hidden)]
    fn begin(&self, begun: &mut Begun) -> Time;

    /// Returns who made the call, if it came over a connection.
    fn peer(&self) -> Option<&str>;

    /// Returns the call, if there is still one.
    #[doc(hidden)]
    fn call(&self) -> Option<Arc<dyn CallScope>>;
}

impl<T: Send + 'static, E: Send + 'static> AnyReply for ReplyTo<T, E> {
    fn is_abandoned(&self) -> bool {
        self.is_cancelled()
    }

    fn begin(&self, begun: &mut Begun) -> Time {
        match &self.to {
            Some(To::Caller(slot) | To::Strict(slot, _)) => {
                slot.begin_at(|| *begun.now.get_or_insert_with(Moment::now))
            }
            Some(To::Peer(call, _)) => {
                call.discharge(&mut begun.charges);
                call.time()
            }
            None => Time::ENDLESS,
        }
    }

    fn peer(&self) -> Option<&str> {
        match &self.to {
            Some(To::Peer(call, _)) => Some(call.peer()),
            _ => None,
        }
    }

    fn call(&self) -> Option<Arc<dyn CallScope>> {
        match &self.to {
            Some(To::Caller(slot) | To::Strict(slot, _)) => Some(Arc::clone(slot) as _),
            Some(To::Peer(call, _)) => Some(Arc::clone(call) as _),
            None => None,
        }
    }
}

impl<T, E> To<T, E> {
    fn give(&self, answer: Answered<T, E>) {
        match self {
            Self::Caller(slot) => slot.put(answer),
            Self::Strict(slot, check) => {
                let unfinished = Unfinished::new(|| {
                    let endpoint = scope::endpoint_name();
                    slot.fill(Err(RpcError::Panicked { endpoint }));
                });
                let result = answer.map_err(|error| *error);
                let checked = (check.check)(result, check.method, check.limit);
                unfinished.done();
                slot.fill(checked);
            }
            Self::Peer(call, encode) => encode(call, answer),
        }
    }
}

impl<T, E> Drop for ReplyTo<T, E> {
    fn drop(&mut self) {
        let Some(to) = self.to.take() else { return };
        let error = if scope::is_stopping() {
            RpcError::Disconnected {
                peer: scope::endpoint_name(),
                possibly_executed: true,
            }
        } else if std::thread::panicking() {
            RpcError::Panicked {
                endpoint: scope::endpoint_name(),
            }
        } else {
            RpcError::Failed(Failure::message("the handler dropped the call unanswered"))
        };
        to.give(Err(Box::new(error)));
    }
}

/// Makes an answer of what a handler failed with.
#[cold]
fn failure<E>(error: RpcError<E>) -> Box<RpcError<E>> {
    Box::new(error.into_answer())
}

impl<T, E> fmt::Debug for ReplyTo<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").finish_non_exhaustive()
    }
}
