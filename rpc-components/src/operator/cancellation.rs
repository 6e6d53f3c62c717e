//! How a task is told to end, and how its thread waits without missing it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use thiserror::Error;
use tokio::sync::watch;

/// Tells a task to end; clones tell the same task.
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    canceled: Arc<watch::Sender<bool>>,
}

/// Says that a task is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the task is canceled")]
#[non_exhaustive]
pub struct Canceled;

impl Cancellation {
    /// Makes one that nobody has cancelled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the task, and wakes its thread if it waits.
    pub fn cancel(&self) {
        self.canceled.send_replace(true);
    }

    /// Tells whether the task is cancelled.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        *self.canceled.borrow()
    }

    /// Waits until the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn canceled(&self) {
        let mut receiver = self.canceled.subscribe();
        // The sender lives as long as `self`, so the error for its end cannot come.
        let _ = receiver.wait_for(|canceled| *canceled).await;
    }

    /// Waits for `future` on the thread that calls, which must be the task's own.
    ///
    /// # Errors
    ///
    /// [`Canceled`] if the task is cancelled before the future is ready; the future is dropped.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Canceled> {
        if self.is_canceled() {
            return Err(Canceled);
        }
        let mut future = pin!(future);
        // Mostly there is room or a record at hand, and then there is no need for a waker.
        if let Poll::Ready(output) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return Ok(output);
        }
        let mut canceled = pin!(self.canceled());
        let mut either = pin!(poll_fn(|context| {
            if canceled.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Canceled));
            }
            future.as_mut().poll(context).map(Ok)
        }));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(result) = either.as_mut().poll(&mut context) {
                return result;
            }
            thread::park();
        }
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
