//! What moves the bytes of a connection, and who runs it.
//!
//! Quinn has a task for each connection. A frame that arrives goes through that task to the one that
//! reads it, and an answer back through it: each hop may wake another thread. So the task can be lent
//! to the reader, which then runs what quinn would, in its own task.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use rpc_core::transport::Driver;

/// Tokio, save that a connection's task may be kept by whoever makes the connection.
#[derive(Debug)]
pub(crate) struct Tokio;

impl Runtime for Tokio {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Driver) {
        let left = KEPT.with_borrow_mut(|kept| match kept {
            Some(kept) if kept.is_none() => {
                *kept = Some(future);
                None
            }
            _ => Some(future),
        });
        if let Some(future) = left {
            TokioRuntime.spawn(future);
        }
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

thread_local! {
    /// What is spawned while a connection is made; the outer `None` where nothing is kept.
    static KEPT: RefCell<Option<Option<Driver>>> = const { RefCell::new(None) };
}

/// Makes a connection by `make`. Returns also its task, if the connection's runtime is [`Tokio`].
pub(crate) fn keep<T>(make: impl FnOnce() -> T) -> (T, Option<Arc<Home>>) {
    let keeping = Keeping::begin();
    let made = make();
    let driver = keeping.end();
    (made, driver.map(Home::run))
}

/// Nothing is kept any more once this is dropped, also if `make` panics: what is spawned on this thread
/// then would be run by nobody.
struct Keeping;

impl Keeping {
    fn begin() -> Self {
        KEPT.set(Some(None));
        Self
    }

    fn end(self) -> Option<Driver> {
        KEPT.take().flatten()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        // A driver may be any code when it is dropped, and spawn.
        let _kept = KEPT.take();
    }
}

/// Where a driver is run while it is not lent.
pub(crate) struct Home {
    driver: Mutex<State>,
    /// That of the task here.
    waker: Mutex<Waker>,
}

enum State {
    Here(Driver),
    /// Somebody else runs it.
    Lent,
    Ended,
}

impl Home {
    /// Runs a driver in a task of its own.
    fn run(driver: Driver) -> Arc<Self> {
        let home = Arc::new(Self {
            driver: Mutex::new(State::Here(driver)),
            waker: Mutex::new(Waker::noop().clone()),
        });
        tokio::spawn({
            let home = Arc::clone(&home);
            std::future::poll_fn(move |cx| home.poll(cx))
        });
        home
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // First, so that a driver that comes back meanwhile is seen or wakes.
        self.waker.lock().clone_from(cx.waker());
        let mut state = self.driver.lock();
        match &mut *state {
            State::Here(driver) => {
                let polled = driver.as_mut().poll(cx);
                if polled.is_ready() {
                    *state = State::Ended;
                }
                polled
            }
            State::Lent => Poll::Pending,
            State::Ended => Poll::Ready(()),
        }
    }

    /// Lets somebody else run the driver, unless somebody does already. It comes back when what is
    /// returned is dropped.
    pub(crate) fn lend(self: &Arc<Self>) -> Option<Driver> {
        let mut state = self.driver.lock();
        match std::mem::replace(&mut *state, State::Lent) {
            State::Here(driver) => Some(Box::pin(Lent {
                home: Arc::clone(self),
                driver: Some(driver),
            })),
            other => {
                *state = other;
                None
            }
        }
    }

    fn take_back(&self, state: State) {
        *self.driver.lock() = state;
        let waker = self.waker.lock().clone();
        waker.wake();
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}

struct Lent {
    home: Arc<Home>,
    driver: Option<Driver>,
}

impl Future for Lent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match &mut self.driver {
            Some(driver) => driver.as_mut().poll(cx),
            None => Poll::Ready(()),
        };
        if polled.is_ready() {
            self.driver = None;
        }
        polled
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let state = self.driver.take().map_or(State::Ended, State::Here);
        self.home.take_back(state);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::panic::catch_unwind;
    use std::sync::Arc;
    use std::task::Poll;

    use quinn::Runtime;
    use tokio::sync::mpsc;

    use super::{Tokio, keep};

    /// Something that says for ever who runs it: each poll sends the name of the polling task.
    fn driver(polled: mpsc::Sender<Option<tokio::task::Id>>) -> super::Driver {
        Box::pin(poll_fn(move |_| {
            match polled.try_send(tokio::task::try_id()) {
                Ok(()) => Poll::Pending,
                Err(_) => Poll::Ready(()),
            }
        }))
    }

    #[tokio::test]
    async fn a_driver_is_run_at_home_until_it_is_lent_and_again_once_it_is_given_back() {
        let (sender, mut polled) = mpsc::channel(9);
        let ((), home) = keep(|| Tokio.spawn(driver(sender)));
        let home = home.unwrap();
        let at_home = polled.recv().await.unwrap();

        let lent = home.lend().unwrap();
        assert!(home.lend().is_none(), "it is lent to one only");
        let guest = tokio::spawn(lent);
        let guest_id = guest.id();
        assert_eq!(polled.recv().await.unwrap(), Some(guest_id));

        guest.abort();
        assert_eq!(polled.recv().await.unwrap(), at_home);
        assert!(home.lend().is_some());
    }

    #[tokio::test]
    async fn a_driver_that_ends_with_whom_it_is_lent_to_leaves_no_task() {
        let ((), home) = keep(|| Tokio.spawn(Box::pin(async {})));
        let home = home.unwrap();
        let tasks = tokio::runtime::Handle::current().metrics();
        assert_eq!(tasks.num_alive_tasks(), 1);
        home.lend().unwrap().await;
        assert!(home.lend().is_none());
        while tasks.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_spawned_after_a_panic_is_run_by_tokio() {
        let panics = catch_unwind(|| keep(|| panic!("as a connection that cannot be made")));
        assert!(panics.is_err());
        let (sender, mut polled) = mpsc::channel(9);
        Tokio.spawn(driver(sender));
        assert!(polled.recv().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_spawned_at_other_times_is_run_by_tokio() {
        let ((), home) = keep(|| ());
        assert!(home.is_none());
        let (sender, mut polled) = mpsc::channel(9);
        Tokio.spawn(driver(sender));
        assert!(polled.recv().await.unwrap().is_some());
        let (done, two) = keep(|| {
            Tokio.spawn(Box::pin(pending()));
            Tokio.spawn(Box::pin(pending()));
            Arc::new(())
        });
        assert_eq!(Arc::strong_count(&done), 1);
        assert!(
            two.is_some(),
            "the first is kept, and the second is not lost"
        );
    }
}
