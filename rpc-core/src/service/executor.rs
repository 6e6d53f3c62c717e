//! Work beside the endpoints: now, later, and again and again.

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, Span};

use super::{RpcService, WeakService};

/// Runs code on the service's runtime, and on no endpoint's main thread.
///
/// What it runs is quick and does not block. It runs within the tracing span of whoever handed it
/// in, and ends with the service: what has not run by then never does.
///
/// Its methods panic as [`RpcService::spawn`] does, where there is no runtime.
///
/// Answers to what Flink's `RpcService.getScheduledExecutor` returns.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rpc_core::TaskError> {
/// let service = rpc_core::RpcService::local();
/// let executor = service.executor();
/// assert_eq!(executor.execute(|| 6 * 7).await?, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ScheduledExecutor {
    service: WeakService,
}

impl RpcService {
    /// Returns what runs code beside the endpoints. It does not keep the service alive.
    #[must_use]
    pub fn executor(&self) -> ScheduledExecutor {
        ScheduledExecutor {
            service: self.downgrade(),
        }
    }
}

impl ScheduledExecutor {
    /// Runs `f` as soon as may be.
    pub fn execute<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> ScheduledTask<T> {
        self.spawn(async move { f() })
    }

    /// Runs `f` after `delay`.
    pub fn schedule<T: Send + 'static>(
        &self,
        delay: Duration,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> ScheduledTask<T> {
        let due = Due::after(delay);
        self.spawn(async move {
            due.reached().await;
            f()
        })
    }

    /// Runs `f` after `first`, and again every `period` from then on, until it is cancelled or
    /// panics. Runs that are late are made up for.
    ///
    /// A period below a millisecond is taken for one.
    pub fn schedule_at_fixed_rate(
        &self,
        first: Duration,
        period: Duration,
        f: impl FnMut() + Send + 'static,
    ) -> ScheduledTask<()> {
        let period = period.max(PERIOD_MIN);
        self.recur(first, f, move |last| last.and(period))
    }

    /// Runs `f` after `first`, and again `delay` after each of its runs, until it is cancelled or
    /// panics.
    ///
    /// A delay below a millisecond is taken for one.
    pub fn schedule_with_fixed_delay(
        &self,
        first: Duration,
        delay: Duration,
        f: impl FnMut() + Send + 'static,
    ) -> ScheduledTask<()> {
        let delay = delay.max(PERIOD_MIN);
        self.recur(first, f, move |_| Due::after(delay))
    }

    /// Runs `f` again and again; `next` says when, after a run that was due then.
    fn recur(
        &self,
        first: Duration,
        mut f: impl FnMut() + Send + 'static,
        next: impl Fn(Due) -> Due + Send + 'static,
    ) -> ScheduledTask<()> {
        let mut due = Due::after(first);
        self.spawn(async move {
            loop {
                due.reached().await;
                f();
                due = next(due);
            }
        })
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> ScheduledTask<T> {
        let task = Arc::new(Task {
            progress: Mutex::new(Progress::Pending(None)),
            cancelled: Notify::new(),
        });
        // Dropped with the future: also if the service is closed before it has run.
        let ending = Ending(Arc::clone(&task));
        let work = async move {
            let mut work = std::pin::pin!(work);
            let guarded = poll_fn(|cx| {
                let poll = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
                poll.map_or(Poll::Ready(Err(TaskError::Panicked)), |it| it.map(Ok))
            });
            let result = tokio::select! {
                biased;
                () = ending.0.cancelled.notified() => Err(TaskError::Cancelled),
                result = guarded => result,
            };
            ending.0.finish(result);
        };
        if let Some(service) = self.service.upgrade() {
            service.spawn(work.instrument(Span::current()));
        }
        ScheduledTask { task }
    }
}

impl fmt::Debug for ScheduledExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduledExecutor").finish_non_exhaustive()
    }
}

/// Work that was handed to a [`ScheduledExecutor`]: a future of its result. That of recurring work
/// only comes when it is over. Dropping it lets the work go on.
///
/// Answers to Java's `ScheduledFuture`.
///
/// # Cancel safety
///
/// Polling may stop at any time; the result is kept until it is taken.
pub struct ScheduledTask<T> {
    task: Arc<Task<T>>,
}

struct Task<T> {
    progress: Mutex<Progress<T>>,
    cancelled: Notify,
}

enum Progress<T> {
    /// With whom to wake when it is over.
    Pending(Option<Waker>),
    Over(Result<T, TaskError>),
    Taken,
}

/// Why scheduled work has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It was cancelled, or the service was closed.
    #[error("the task was cancelled")]
    Cancelled,
    /// It panicked.
    #[error("the task panicked")]
    Panicked,
}

impl<T> ScheduledTask<T> {
    /// Cancels the work: no run begins any more. A run that is under way comes to its end.
    pub fn cancel(&self) {
        self.task.finish(Err(TaskError::Cancelled));
        self.task.cancelled.notify_one();
    }

    /// Tells whether the work is over, for whatever reason.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !matches!(*self.task.progress.lock(), Progress::Pending(_))
    }
}

impl<T> Future for ScheduledTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut progress = self.task.progress.lock();
        if let Progress::Pending(waker) = &mut *progress {
            let before = waker.replace(cx.waker().clone());
            drop(progress);
            drop(before);
            return Poll::Pending;
        }
        match std::mem::replace(&mut *progress, Progress::Taken) {
            Progress::Over(result) => Poll::Ready(result),
            Progress::Pending(_) | Progress::Taken => panic!("a task is polled until it is over"),
        }
    }
}

impl<T> Task<T> {
    /// Says how it ended; the first word counts.
    fn finish(&self, result: Result<T, TaskError>) {
        let mut progress = self.progress.lock();
        if let Progress::Pending(waker) = &mut *progress {
            let waker = waker.take();
            *progress = Progress::Over(result);
            drop(progress);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// When work is to run; `None` if that is beyond the clock's range.
#[derive(Clone, Copy)]
struct Due(Option<Instant>);

impl Due {
    /// Counts from now on, which is when the work is handed in, and not when it is first looked at.
    fn after(delay: Duration) -> Self {
        Self(Some(Instant::now())).and(delay)
    }

    fn and(self, delay: Duration) -> Self {
        Self(self.0.and_then(|at| at.checked_add(delay)))
    }

    async fn reached(self) {
        match self.0 {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}

/// Ends a task whose future is dropped.
struct Ending<T>(Arc<Task<T>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.0.finish(Err(TaskError::Cancelled));
    }
}

impl<T> fmt::Debug for ScheduledTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduledTask")
            .field("done", &self.is_done())
            .finish_non_exhaustive()
    }
}

/// The shortest time between two runs: none at all would keep a worker of the runtime busy.
const PERIOD_MIN: Duration = Duration::from_millis(1);
