//! A call that is under way, and the right to answer one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::{IncomingCall, RemoteCall};
use crate::deadlines::Expiry;
use crate::error::{Failure, Never, RpcError, RpcResult};
use crate::method::{CallTimeout, MethodInfo};
use crate::reply_slot::ReplySlot;
use crate::scope::{self, CallScope};

/// A call that was made: a future of its result.
///
/// The request is sent when the call is made, not when it is first polled, so that calls through one
/// gateway reach the endpoint in program order.
///
/// A call that is dropped before its result came is cancelled: a request that still waits in a queue
/// is not handled, and the future of an interleaving handler is dropped at its next await, unless the
/// method is marked `#[rpc(no_cancel)]`. [`detach`](Self::detach) lets the call run on.
///
/// # Cancel safety
///
/// Polling may stop at any time; the result is kept until it is taken.
#[must_use = "dropping a call cancels it"]
pub struct Call<T, E = Never> {
    progress: Progress<T, E>,
}

enum Progress<T, E> {
    Ready(Option<RpcResult<T, E>>),
    Waiting(Waiting<T, E>),
}

/// A call whose answer is to come.
struct Waiting<T, E> {
    slot: Arc<ReplySlot<T, E>>,
    remote: Option<RemoteCall>,
    method: &'static MethodInfo,
    time: Time,
    /// Tells when the deadline has passed; `None` for a call that has no deadline and gets none.
    expiry: Option<Expiry>,
    detached: bool,
}

impl<T, E> Call<T, E> {
    /// Makes a call that is answered already, as mocks do.
    pub const fn ready(result: RpcResult<T, E>) -> Self {
        Self {
            progress: Progress::Ready(Some(result)),
        }
    }

    pub(crate) fn waiting(
        slot: Arc<ReplySlot<T, E>>,
        method: &'static MethodInfo,
        time: Time,
        expiry: Option<Expiry>,
        remote: Option<RemoteCall>,
    ) -> Self {
        Self {
            progress: Progress::Waiting(Waiting {
                slot,
                remote,
                method,
                time,
                expiry,
                detached: false,
            }),
        }
    }

    /// Allows the call this much time from now on, instead of the method's or the service's.
    ///
    /// A call that a handler makes never outlives the call that the handler answers.
    pub fn timeout(self, after: Duration) -> Self {
        self.with_time(Time::new(CallTimeout::After(after), Duration::MAX))
    }

    /// Lets the call take as long as it needs.
    pub fn without_timeout(self) -> Self {
        self.with_time(Time::new(CallTimeout::Never, Duration::MAX))
    }

    fn with_time(mut self, time: Time) -> Self {
        if let Progress::Waiting(waiting) = &mut self.progress {
            waiting.slot.set_deadline(time.deadline);
            // One that is shorter needs no word: the callee hears of it when the time is over.
            if let Some(remote) = waiting
                .remote
                .as_ref()
                .filter(|_| time.is_longer(waiting.time.deadline))
            {
                remote.extend(time.remaining_us());
            }
            waiting.time = time;
            waiting.expiry.iter_mut().for_each(Expiry::reset);
        }
        self
    }

    /// Lets the call run on though nobody waits for it.
    pub fn detach(mut self) {
        if let Progress::Waiting(waiting) = &mut self.progress {
            waiting.detached = true;
        }
    }
}

impl<T, E> Unpin for Call<T, E> {}

impl<T, E> Future for Call<T, E> {
    type Output = RpcResult<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.progress {
            Progress::Ready(result) => result.take().expect("a call is polled until it is ready"),
            Progress::Waiting(waiting) => match waiting.poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => return Poll::Pending,
            },
        };
        self.progress = Progress::Ready(None);
        Poll::Ready(result)
    }
}

impl<T, E> Waiting<T, E> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<RpcResult<T, E>> {
        let result = std::task::ready!(self.poll_result(cx));
        if let Err(error) = &result
            && let Some(about) = self.expiry.as_mut().and_then(Expiry::about)
        {
            about.failed(error);
        }
        Poll::Ready(result)
    }

    fn poll_result(&mut self, cx: &Context<'_>) -> Poll<RpcResult<T, E>> {
        if let Poll::Ready(result) = self.slot.poll(cx) {
            return Poll::Ready(result);
        }
        let Some(expiry) = &mut self.expiry else {
            return Poll::Pending;
        };
        // A call that was made too late, within another whose time is over, need not wait.
        if self.time.after != Some(Duration::ZERO) {
            std::task::ready!(expiry.poll(self.time, cx));
        }
        Poll::Ready(Err(match self.give_up() {
            Some(never_sent) => never_sent,
            None => RpcError::Timeout {
                method: self.method.name.to_owned(),
                after: self.time.after.unwrap_or_default(),
            },
        }))
    }

    /// Tells the callee that nobody waits. Returns the error of a call that it never heard of.
    fn give_up(&mut self) -> Option<RpcError<E>> {
        if !self.slot.abandon() {
            return None;
        }
        self.remote.take()?.give_up().map(RpcError::widen)
    }
}

impl<T, E> Drop for Waiting<T, E> {
    fn drop(&mut self) {
        if !self.detached {
            self.give_up();
        }
    }
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) after: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
}

impl Time {
    /// Starts the clock of a call, which the call that is being handled here may cut short.
    pub(crate) fn new(timeout: CallTimeout, default: Duration) -> Self {
        let after = match timeout {
            CallTimeout::After(after) => Some(after),
            CallTimeout::Default => Some(default),
            CallTimeout::Never => None,
        };
        let inherited = scope::inherited_deadline();
        if after.is_none() && inherited.is_none() {
            return Self {
                after: None,
                deadline: None,
            };
        }
        let now = Instant::now();
        let own = after.and_then(|after| now.checked_add(after));
        let deadline = match (own, inherited) {
            (Some(own), Some(inherited)) => Some(own.min(inherited)),
            (own, inherited) => own.or(inherited),
        };
        Self {
            after: deadline.map(|deadline| deadline.saturating_duration_since(now)),
            deadline,
        }
    }

    /// Tells whether it allows more than another deadline does.
    fn is_longer(&self, than: Option<Instant>) -> bool {
        than.is_some_and(|than| self.deadline.is_none_or(|deadline| deadline > than))
    }

    /// What is left, as it travels.
    pub(crate) fn remaining_us(&self) -> Option<u64> {
        self.after.map(micros)
    }
}

/// Counts a time as it travels.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

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
    /// A caller in this service, whose answer has to survive the codec.
    Strict(Arc<ReplySlot<T, E>>, Check<T, E>),
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
pub(crate) type Encode<T, E> = fn(&IncomingCall, RpcResult<T, E>);

impl<T, E> ReplyTo<T, E> {
    pub(crate) const fn caller(slot: Arc<ReplySlot<T, E>>) -> Self {
        Self {
            to: Some(To::Caller(slot)),
        }
    }

    pub(crate) fn strict(slot: Arc<ReplySlot<T, E>>, check: Check<T, E>) -> Self {
        Self {
            to: Some(To::Strict(slot, check)),
        }
    }

    pub(crate) fn peer(call: Arc<IncomingCall>, encode: Encode<T, E>) -> Self {
        Self {
            to: Some(To::Peer(call, encode)),
        }
    }

    /// Answers the call.
    pub fn answer(self, result: RpcResult<T, E>) {
        self.give(result.map_err(RpcError::into_answer));
    }

    /// Answers with a failure that the runtime found.
    pub(crate) fn deny(self, error: RpcError) {
        self.give(Err(error.widen()));
    }

    fn give(mut self, result: RpcResult<T, E>) {
        if let Some(to) = self.to.take() {
            to.give(result);
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

    pub(crate) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()>
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

impl<T, E> To<T, E> {
    fn give(self, result: RpcResult<T, E>) {
        match self {
            Self::Caller(slot) => slot.fill(result),
            Self::Strict(slot, check) => {
                slot.fill((check.check)(result, check.method, check.limit))
            }
            Self::Peer(call, encode) => encode(&call, result),
        }
    }
}

impl<T, E> Drop for ReplyTo<T, E> {
    fn drop(&mut self) {
        let Some(to) = self.to.take() else { return };
        let error = if std::thread::panicking() {
            RpcError::Panicked {
                endpoint: scope::endpoint_name(),
            }
        } else if scope::is_stopping() {
            RpcError::Disconnected {
                peer: scope::endpoint_name(),
                possibly_executed: true,
            }
        } else {
            RpcError::Failed(Failure::message("the handler dropped the call unanswered"))
        };
        to.give(Err(error));
    }
}

impl<T, E> fmt::Debug for ReplyTo<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").finish_non_exhaustive()
    }
}
