//! A call that is under way, and the right to answer one.

mod pool;
mod reply;
mod time;

pub(crate) use self::pool::Waiting;
pub(crate) use self::reply::Check;
pub use self::reply::{AnyReply, Begun, ReplyTo};
pub use self::time::Time;
pub(crate) use self::time::{Clock, micros};

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::coop;

use crate::error::{Never, RpcError, RpcResult};
use crate::method::CallTimeout;
use crate::moment::Moment;
use crate::reply_slot::{Answered, Found};
use crate::turn;

/// A call that was made: a future of its result.
///
/// The request is sent when the call is made, not when it is first polled, so that calls through one
/// gateway reach the endpoint in program order. What an endpoint's own code sends is on its way at the
/// latest when that code awaits or returns. Who awaits a call within its service may
/// [run its handler](crate::RpcConfig::lend_threads) meanwhile.
///
/// Its time is that of the method or of the service, and begins when the call is first awaited or is
/// [detached](Self::detach), when [another](Self::timeout) is set, or when its handler begins in the
/// same service; within a handler it began with the call that is handled. A call that is neither
/// awaited nor detached is not given up by itself.
///
/// A call that is dropped before its result came is cancelled: a request that still waits in a queue
/// is not handled, and the future of an interleaving handler is dropped at its next await, unless the
/// method is marked `#[rpc(no_cancel)]`. [`detach`](Self::detach) lets the call run on.
///
/// Any executor may poll it. Its time is kept by the runtime in which its service was made, or else by that
/// in which a call of the service is first awaited.
///
/// # Panics
///
/// When it is awaited outside of any runtime, has a deadline, and its service was made outside of any too.
///
/// # Cancel safety
///
/// Polling may stop at any time; the result is kept until it is taken.
#[must_use = "dropping a call cancels it"]
pub struct Call<T, E = Never> {
    progress: Progress<T, E>,
}

/// Two words, since calls are moved about.
enum Progress<T, E> {
    Ready(Box<RpcResult<T, E>>),
    Waiting(Box<Waiting<T, E>>),
    Over,
}

impl<T, E> Call<T, E> {
    /// Makes a call that is answered already, as mocks do.
    pub fn ready(result: RpcResult<T, E>) -> Self {
        Self {
            progress: Progress::Ready(Box::new(result)),
        }
    }

    pub(crate) const fn waiting(waiting: Box<Waiting<T, E>>) -> Self {
        Self {
            progress: Progress::Waiting(waiting),
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
            waiting.set_time(time);
        }
        self
    }

    /// Lets the call run on though nobody waits for it. When its time is over it is given up, as if
    /// somebody had waited.
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
        match &mut self.progress {
            Progress::Waiting(waiting) => waiting.poll(cx),
            Progress::Ready(_) | Progress::Over => {
                match mem::replace(&mut self.progress, Progress::Over) {
                    Progress::Ready(result) => Poll::Ready(*result),
                    _ => panic!("a call is polled until it is ready"),
                }
            }
        }
    }
}

impl<T, E> Drop for Call<T, E> {
    fn drop(&mut self) {
        if let Progress::Waiting(waiting) = mem::replace(&mut self.progress, Progress::Over) {
            waiting.end();
        }
    }
}

impl<T, E> Waiting<T, E> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<RpcResult<T, E>> {
        assert!(!self.over, "a call is polled until it is ready");
        if self.lends {
            ready!(self.lend(cx));
        }
        let answer = match self.slot.find(cx, &mut self.told) {
            Found::Answer(answer) => answer,
            Found::Waits if !self.is_over() => {
                turn::waits(cx.waker());
                return Poll::Pending;
            }
            Found::Waits | Found::Nothing | Found::Expired => match self.give_up() {
                GivenUp::NeverSent(error) => Err(Box::new(error)),
                GivenUp::Sent => Err(Box::new(RpcError::Timeout {
                    method: self.method().to_owned(),
                    after: self.slot.time().after().unwrap_or_default(),
                })),
                // In the last moment.
                GivenUp::Answered(answer) => answer,
            },
        };
        self.over = true;
        Poll::Ready(match answer {
            Ok(value) => Ok(value),
            Err(error) => Err(self.failed(error)),
        })
    }

    /// Lets the endpoint have this thread, once, unless it is time for other tasks to have it.
    fn lend(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.lends_made.is_multiple_of(LENDS_PER_TURN) {
            ready!(coop::poll_proceed(cx)).made_progress();
        }
        self.lends = false;
        if !self.slot.is_settled() {
            self.lends_made = self.lends_made.wrapping_add(1);
            self.slot.set_at_hand(true);
            self.borrower.lend();
            self.slot.set_at_hand(false);
        }
        Poll::Ready(())
    }

    #[cold]
    fn failed(&self, error: Box<RpcError<E>>) -> RpcError<E> {
        if let Some(about) = self.slot.about() {
            about.failed(&error);
        }
        *error
    }

    /// Tells whether the call's time is over already; if not, it will be woken then.
    fn is_over(&mut self) -> bool {
        let time = self.slot.time();
        // A call that was made too late, within another whose time is over, need not wait.
        let deadline = time.deadline();
        time.is_none() || deadline != Moment::NEVER && self.shard.note(deadline, &mut self.noted)
    }

    fn method(&self) -> &'static str {
        self.slot.about().map_or("a method", |it| it.method.name)
    }

    fn set_time(&self, time: Time) {
        // One that is shorter needs no word: the callee hears of it when the time is over.
        if self.slot.set_time(time) {
            self.remote.extend(time.remaining_us());
        }
    }

    /// Tells the callee that nobody waits.
    fn give_up(&mut self) -> GivenUp<T, E> {
        if let Some(answer) = self.slot.abandon(&mut self.told) {
            return GivenUp::Answered(answer);
        }
        let never_sent = self.remote.give_up();
        never_sent.map_or(GivenUp::Sent, |it| GivenUp::NeverSent(it.widen()))
    }

    /// Nobody waits any more, unless the call is to run on by itself.
    pub(super) fn leave(&mut self) {
        if mem::take(&mut self.lends) {
            self.borrower.hurry();
        }
        if self.detached {
            self.slot.detach(&mut self.told);
        } else {
            let _unread = self.give_up();
        }
    }

    /// Tells whether a call was detached that would run on when its time is over.
    pub(super) fn runs_on(&self) -> bool {
        self.detached && self.slot.time().after().is_some()
    }
}

/// So many calls that never wait count as one piece of work of their task: they are brief.
const LENDS_PER_TURN: u8 = 8;

/// What is known of a call that is given up.
enum GivenUp<T, E> {
    /// It was answered before.
    Answered(Answered<T, E>),
    /// The callee never heard of it.
    NeverSent(RpcError<E>),
    Sent,
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
