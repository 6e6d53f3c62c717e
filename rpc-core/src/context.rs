//! What an endpoint's code may ask of its main thread, while it runs there.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::endpoint::RpcEndpoint;
use crate::endpoint_core::{Control, EndpointCore};
use crate::fencing::{FencingToken, StaleToken};
use crate::lifecycle::Command;
use crate::main_thread::MainThreadExecutor;
use crate::service::RpcService;
use crate::timers::{Due, TimerId, Timers};

/// An endpoint's own main thread, seen from its handlers: timers, continuations, the token.
pub struct Context<E: RpcEndpoint> {
    core: Arc<EndpointCore<E>>,
    /// Takes no memory until there is something: most endpoints have nothing.
    kept: Option<Box<Kept<E>>>,
    /// The endpoint stops: nothing more is scheduled or registered.
    closed: bool,
}

/// What an endpoint has for later.
struct Kept<E: RpcEndpoint> {
    timers: Timers<TimedRun<E>>,
    /// Continuations that the main loop has not taken over yet.
    piped: Vec<Piped<E>>,
    resources: BTreeMap<ResourceId, Box<dyn Any + Send>>,
    next_resource: u64,
}

impl<E: RpcEndpoint> Default for Kept<E> {
    fn default() -> Self {
        Self {
            timers: Timers::default(),
            piped: Vec::new(),
            resources: BTreeMap::new(),
            next_resource: 0,
        }
    }
}

/// Code that a timer runs.
pub(crate) struct TimedRun<E: RpcEndpoint> {
    run: Repeated<E>,
    cancelled: Arc<AtomicBool>,
}

type Repeated<E> = Box<dyn FnMut(&mut E, &mut Context<E>) + Send>;

/// A future whose result goes back to the main thread.
pub(crate) type Piped<E> = Pin<Box<dyn Future<Output = Continuation<E>> + Send>>;

/// What is run with such a result.
pub(crate) type Continuation<E> = Box<dyn FnOnce(&mut E, &mut Context<E>) + Send>;

impl<E: RpcEndpoint> Context<E> {
    pub(crate) const fn new(core: Arc<EndpointCore<E>>) -> Self {
        Self {
            core,
            kept: None,
            closed: false,
        }
    }

    fn kept(&mut self) -> &mut Kept<E> {
        self.kept.get_or_insert_default()
    }

    /// Returns the endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Returns the address by which others connect to the endpoint.
    #[must_use]
    pub fn address(&self) -> String {
        self.core.address()
    }

    /// Returns the service that the endpoint belongs to; `None` once that is gone.
    #[must_use]
    pub fn service(&self) -> Option<RpcService> {
        self.core.home.service().upgrade()
    }

    /// Returns a handle with which code anywhere runs code here.
    #[must_use]
    pub fn main_thread(&self) -> MainThreadExecutor<E> {
        MainThreadExecutor::new(Arc::clone(&self.core))
    }

    /// Returns the token that fenced calls have to carry.
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.core.token()
    }

    /// Sets the token that fenced calls have to carry; with `None` all of them are refused.
    ///
    /// Code that was posted to the main thread under another token is dropped, unless it was posted
    /// without fencing.
    ///
    /// # Errors
    ///
    /// The token is older than one that was set before: whoever hears late of its election does not
    /// depose its successor.
    pub fn set_fencing_token(&mut self, token: Option<FencingToken>) -> Result<(), StaleToken> {
        self.core.set_token(token)
    }

    /// Runs `run` on the main thread after `delay`. Flink's `scheduleRunAsync`.
    ///
    /// An endpoint that stops cancels its timers, and gives cancelled ones from then on.
    pub fn schedule(
        &mut self,
        delay: Duration,
        run: impl FnOnce(&mut E, &mut Self) + Send + 'static,
    ) -> TimerHandle {
        let mut run = Some(run);
        self.set_timer(delay, None, move |endpoint, cx| {
            if let Some(run) = run.take() {
                run(endpoint, cx);
            }
        })
    }

    /// Runs `run` on the main thread every `period`, of a millisecond at least, the first time after one
    /// period.
    pub fn schedule_every(
        &mut self,
        period: Duration,
        run: impl FnMut(&mut E, &mut Self) + Send + 'static,
    ) -> TimerHandle {
        self.set_timer(period, Some(period), run)
    }

    fn set_timer(
        &mut self,
        delay: Duration,
        period: Option<Duration>,
        run: impl FnMut(&mut E, &mut Self) + Send + 'static,
    ) -> TimerHandle {
        let cancelled = Arc::new(AtomicBool::new(self.closed));
        let mut handle = TimerHandle {
            cancelled: Arc::clone(&cancelled),
            owner: Arc::clone(&self.core) as _,
            id: None,
        };
        // A delay beyond the clock's range never elapses.
        if let Some(at) = Instant::now().checked_add(delay)
            && !self.closed
        {
            let run = Box::new(run);
            handle.id = Some(
                self.kept()
                    .timers
                    .set(at, period, TimedRun { run, cancelled }),
            );
            self.core.pulse.change();
        }
        handle
    }

    /// Waits for `future` beside the main thread, and runs `then` with its result on it. Flink's
    /// `thenAcceptAsync(.., mainThreadExecutor)`.
    ///
    /// The future is polled by the endpoint's own task, and dropped when the endpoint stops. It does
    /// not inherit the deadline of the call that is being handled.
    pub fn pipe<F>(
        &mut self,
        future: F,
        then: impl FnOnce(&mut E, &mut Self, F::Output) + Send + 'static,
    ) where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.kept().piped.push(Box::pin(async move {
            let output = future.await;
            let then: Continuation<E> = Box::new(move |endpoint, cx| then(endpoint, cx, output));
            then
        }));
        self.core.pulse.change();
    }

    /// Keeps `resource` until the endpoint stops, and drops it then, before `on_stop` runs. Flink's
    /// `registerResource`.
    ///
    /// Once the endpoint stops it is dropped at once.
    pub fn register(&mut self, resource: impl Send + 'static) -> ResourceId {
        let closed = self.closed;
        let kept = self.kept();
        let id = ResourceId(kept.next_resource);
        kept.next_resource += 1;
        if !closed {
            kept.resources.insert(id, Box::new(resource));
        }
        id
    }

    /// Drops what was registered. Returns whether it was still there.
    pub fn unregister(&mut self, id: ResourceId) -> bool {
        let kept = self.kept.as_mut();
        kept.and_then(|it| it.resources.remove(&id)).is_some()
    }

    /// Stops the endpoint, after the messages that are being handled. See
    /// [`RpcServer::close`](crate::RpcServer::close).
    pub fn stop(&mut self) {
        self.core.command(Command::Terminate);
    }

    pub(crate) const fn core(&self) -> &Arc<EndpointCore<E>> {
        &self.core
    }

    pub(crate) fn take_piped(&mut self, into: &mut impl Extend<Piped<E>>) {
        if let Some(kept) = &mut self.kept
            && !kept.piped.is_empty()
        {
            into.extend(kept.piped.drain(..));
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let timers = self.kept.as_ref().map(|it| &it.timers);
        self.core
            .pulse
            .publish_timers(timers.map_or(0, Timers::len));
        timers.and_then(Timers::next_due)
    }

    /// Removes a timer. Returns what is to be dropped.
    pub(crate) fn cancel_timer(&mut self, id: TimerId) -> impl Send + use<E> {
        self.core.pulse.change();
        self.kept.as_mut().and_then(|it| it.timers.cancel(id))
    }

    /// Runs the first timer that is due. Returns whether there was one.
    pub(crate) fn run_timer(&mut self, endpoint: &mut E, now: Instant) -> bool {
        let kept = self.kept.as_mut();
        let Some(mut due) = kept.and_then(|it| it.timers.take_due(now)) else {
            return false;
        };
        if !due.action.cancelled.load(Ordering::Acquire) {
            let run = catch_unwind(AssertUnwindSafe(|| (due.action.run)(endpoint, self)));
            // Also after a panic, with which the endpoint may go on.
            self.set_again(due);
            run.unwrap_or_else(|panic| resume_unwind(panic));
        }
        true
    }

    /// The timer may have been cancelled by its own code, or the endpoint stopped by it.
    fn set_again(&mut self, due: Due<TimedRun<E>>) {
        if !self.closed && !due.action.cancelled.load(Ordering::Acquire) {
            self.kept().timers.again(due, Instant::now());
        }
    }

    /// Cancels all timers, and those that are still to be set. Returns what is to be dropped: code
    /// that runs then may want the main thread.
    pub(crate) fn close(&mut self) -> impl Send + use<E> {
        self.closed = true;
        self.core.pulse.change();
        let kept = self.kept.as_mut();
        kept.map(|it| (it.timers.clear(), std::mem::take(&mut it.resources)))
    }
}

/// Identifies what an endpoint has [registered](Context::register).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceId(u64);

impl<E: RpcEndpoint> fmt::Debug for Context<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.core.name)
            .finish_non_exhaustive()
    }
}

/// A timer that was set. Dropping it leaves the timer set.
#[derive(Clone)]
pub struct TimerHandle {
    cancelled: Arc<AtomicBool>,
    owner: Arc<dyn TimerOwner>,
    /// `None` if nothing was set, since it would never run.
    id: Option<TimerId>,
}

trait TimerOwner: Send + Sync {
    fn cancel_timer(&self, id: TimerId);
}

impl<E: RpcEndpoint> TimerOwner for EndpointCore<E> {
    fn cancel_timer(&self, id: TimerId) {
        self.control(Control::CancelTimer(id));
    }
}

impl TimerHandle {
    /// Cancels the timer: it does not run any more, and what it holds is dropped soon.
    pub fn cancel(&self) {
        if !self.cancelled.swap(true, Ordering::AcqRel)
            && let Some(id) = self.id
        {
            self.owner.cancel_timer(id);
        }
    }

    /// Tells whether the timer was cancelled, or was never set because the endpoint stops.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHandle")
            .field("id", &self.id)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
