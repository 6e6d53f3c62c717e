//! The main thread: where an endpoint's state may be touched, from inside and from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::{Call, ReplyTo, Time, Waiting};
use crate::connection::Ask;
use crate::context::{Context, TimerHandle};
use crate::endpoint::{GatewayList, Handling, RpcEndpoint};
use crate::endpoint_core::{EndpointCore, Fence, Mail, Run};
use crate::error::RpcError;
use crate::lifecycle::Command;
use crate::method::{CallTimeout, MethodInfo};
use crate::scope;
use crate::sync::{Mutex, MutexGuard};

/// An endpoint's state as its own task holds it.
pub(crate) struct EndpointCell<E: RpcEndpoint>(Mutex<(E, Context<E>)>);

impl<E: RpcEndpoint> EndpointCell<E> {
    pub(crate) fn new(endpoint: E, cx: Context<E>) -> Self {
        Self(Mutex::new((endpoint, cx)))
    }

    pub(crate) fn core(&mut self) -> Arc<EndpointCore<E>> {
        let (_, cx) = self.0.get_mut();
        Arc::clone(cx.core())
    }
}

/// The main thread, as an interleaving handler holds it: the way to the state between two awaits.
///
/// It cannot leave the endpoint's own task, and the state cannot be kept over an await:
///
/// ```compile_fail
/// # use rpc_core::{MainThread, RpcEndpoint};
/// async fn leak<E: RpcEndpoint>(main: MainThread<'_, E>) {
///     tokio::spawn(async move { main.run(|_, _| ()) });
/// }
/// ```
pub struct MainThread<'a, E: RpcEndpoint> {
    cell: &'a EndpointCell<E>,
}

impl<'a, E: RpcEndpoint> MainThread<'a, E> {
    pub(crate) const fn new(cell: &'a EndpointCell<E>) -> Self {
        Self { cell }
    }

    /// Runs `f` with the endpoint's state. Other handlers run between two calls of `run`, so what
    /// was read before an await may have changed after it.
    ///
    /// # Panics
    ///
    /// When it is called within another `run`.
    pub fn run<R>(&self, f: impl FnOnce(&mut E, &mut Context<E>) -> R) -> R {
        let (endpoint, cx) = &mut *self.lock();
        f(endpoint, cx)
    }

    fn lock(&self) -> MutexGuard<'a, (E, Context<E>)> {
        let cell = self.cell.0.try_lock();
        cell.expect("`MainThread::run` is not called within `MainThread::run`")
    }
}

impl<E: RpcEndpoint> Clone for MainThread<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: RpcEndpoint> Copy for MainThread<'_, E> {}

impl<E: RpcEndpoint> fmt::Debug for MainThread<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainThread").finish_non_exhaustive()
    }
}

/// The main thread while it handles one message after the other: the state is locked from the first quick
/// handler on, until something else needs it. So it is also while their answers are given.
///
/// For the loop, and for what `#[rpc_endpoint]` generates.
pub struct Batch<'a, E: RpcEndpoint> {
    main: MainThread<'a, E>,
    locked: Option<MutexGuard<'a, (E, Context<E>)>>,
    /// The interleaving handler that a message began.
    left: Option<Handling<'a>>,
}

impl<'a, E: RpcEndpoint> Batch<'a, E> {
    pub(crate) const fn new(main: MainThread<'a, E>) -> Self {
        Self {
            main,
            locked: None,
            left: None,
        }
    }

    /// Runs a quick handler.
    pub fn run<R>(&mut self, f: impl FnOnce(&mut E, &mut Context<E>) -> R) -> R {
        let (endpoint, cx) = &mut **self.locked.get_or_insert_with(|| self.main.lock());
        f(endpoint, cx)
    }

    /// Begins an interleaving handler, which is polled after this.
    pub fn leave(&mut self, handling: Handling<'a>) {
        self.locked = None;
        self.left = Some(handling);
    }

    pub(crate) fn take_left(&mut self) -> Option<Handling<'a>> {
        // Nearly always there is none, of which no more is to be read.
        self.left.is_some().then(|| self.left.take()).flatten()
    }

    /// Returns the main thread, whose state is not locked.
    pub fn interrupt(&mut self) -> MainThread<'a, E> {
        self.locked = None;
        self.main
    }
}

impl<E: RpcEndpoint> fmt::Debug for Batch<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

/// A main thread from outside: runs code there, in order with the calls that come in.
///
/// Code carries the token that the endpoint has when the code is posted. If that has changed when
/// its turn comes, a new term has begun and the code is dropped; the `_without_fencing` methods are
/// for the code that begins a term.
///
/// Answers to Flink's `MainThreadExecutor` and to the `runAsync` family of its `RpcEndpoint`.
pub struct MainThreadExecutor<E: RpcEndpoint> {
    core: Arc<EndpointCore<E>>,
}

impl<E: RpcEndpoint> MainThreadExecutor<E> {
    pub(crate) const fn new(core: Arc<EndpointCore<E>>) -> Self {
        Self { core }
    }

    /// Runs `f` on the main thread; dropped if the endpoint is not running by then.
    pub fn execute(&self, f: impl FnOnce() + Send + 'static) {
        self.run_async(|_, _| f());
    }

    /// Runs `f` on the main thread with the endpoint's state.
    pub fn run_async(&self, f: impl FnOnce(&mut E, &mut Context<E>) + Send + 'static) {
        self.post(self.fence(), f);
    }

    /// Like [`run_async`](Self::run_async), under whatever token the endpoint has then.
    pub fn run_async_without_fencing(
        &self,
        f: impl FnOnce(&mut E, &mut Context<E>) + Send + 'static,
    ) {
        self.post(Fence::Off, f);
    }

    /// Runs `f` on the main thread, and returns what it returns. It does not run if the call is dropped
    /// before its turn.
    pub fn call_async<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut E, &mut Context<E>) -> T + Send + 'static,
    ) -> Call<T> {
        self.ask(self.fence(), f)
    }

    /// Like [`call_async`](Self::call_async), under whatever token the endpoint has then.
    pub fn call_async_without_fencing<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut E, &mut Context<E>) -> T + Send + 'static,
    ) -> Call<T> {
        self.ask(Fence::Off, f)
    }

    /// Runs `f` on the main thread after `delay`, if the endpoint's token is the same by then; see
    /// [`Context::schedule`].
    pub fn schedule_run_async(
        &self,
        delay: Duration,
        f: impl FnOnce(&mut E, &mut Context<E>) + Send + 'static,
    ) -> Call<TimerHandle> {
        let token = self.core.token();
        self.call_async(move |_, cx| {
            cx.schedule(delay, move |endpoint, cx| {
                if cx.fencing_token() == token {
                    f(endpoint, cx);
                }
            })
        })
    }

    /// Tells whether the calling code runs on this main thread.
    #[must_use]
    pub fn is_running_in_main_thread(&self) -> bool {
        scope::is_main_thread(&self.core.name)
    }

    /// Checks that the calling code runs on this main thread. Flink's `validateRunsInMainThread`.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn assert_running_in_main_thread(&self) {
        assert!(
            self.is_running_in_main_thread(),
            "this code belongs on the main thread of endpoint {}",
            self.core.name,
        );
    }

    /// Stops the endpoint; see [`RpcServer::close`](crate::RpcServer::close).
    pub fn terminate(&self) {
        self.core.command(Command::Terminate);
    }

    fn fence(&self) -> Fence {
        Fence::On(self.core.token())
    }

    fn post(&self, fence: Fence, f: impl FnOnce(&mut E, &mut Context<E>) + Send + 'static) {
        let run: Run<E> = Box::new(move |access| {
            if let Ok((endpoint, cx)) = access {
                f(endpoint, cx);
            }
        });
        self.core.run(fence, run);
    }

    fn ask<T: Send + 'static>(
        &self,
        fence: Fence,
        f: impl FnOnce(&mut E, &mut Context<E>) -> T + Send + 'static,
    ) -> Call<T> {
        let time = Time::new(CallTimeout::Default, self.core.caller.call_timeout);
        let ask = Ask {
            method: 0,
            info: &CALL_ASYNC,
            token: None,
            trace: None,
        };
        let caller = &self.core.caller;
        let waiting = Waiting::begin(&caller.deadlines, self.core.callee(), &ask, &time);
        let reply = ReplyTo::caller(Arc::clone(waiting.slot()));
        let run: Run<E> = Box::new(move |access| match access {
            // Nobody waits for what it would return.
            Ok(_) if reply.is_cancelled() => {}
            Ok((endpoint, cx)) => reply.answer(Ok(f(endpoint, cx))),
            Err(error) => reply.deny(error),
        });
        self.core.run(fence, run);
        Call::waiting(waiting)
    }
}

impl<E: RpcEndpoint> Clone for MainThreadExecutor<E> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.core))
    }
}

impl<E: RpcEndpoint> fmt::Debug for MainThreadExecutor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainThreadExecutor")
            .field("endpoint", &self.core.name)
            .finish_non_exhaustive()
    }
}

impl<E: RpcEndpoint> Mail<E> {
    /// Answers a message that is not handled.
    pub(crate) fn deny(self, error: RpcError) {
        match self {
            Self::Call(_, request) => E::Gateways::deny(request, error),
            Self::Run(_, run) => run(Err(error)),
        }
    }
}

/// What a time-out of [`MainThreadExecutor::call_async`] is called.
static CALL_ASYNC: MethodInfo = MethodInfo::internal("call_async", CallTimeout::Default);
