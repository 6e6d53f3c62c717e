//! The main loop between two polls, for whoever polls it next.
//!
//! That is its task, or somebody who is about to wait for a call, and would do nothing until the task has
//! had its turn: it lends its thread to the endpoint then. That saves both a way through the scheduler,
//! which takes longer than most handlers do.
//!
//! What an endpoint does on a thread that is lent is what its task would do there, but less of it: it
//! handles calls that are known to take next to no time, and leaves all else to the task.
//!
//! Most endpoints have no code that is known to be so. Their tasks have their main loops for themselves;
//! an endpoint that turns out to have some goes on in a [`MainTask`], as soon as nothing is under way.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use crate::endpoint::RpcEndpoint;
use crate::endpoint_core::EndpointCore;
use crate::scope;
use crate::sync::{AtomicBool, Mutex, Ordering, fence};

/// An endpoint to which a thread can be lent.
trait Borrows: Send + Sync {
    /// Has this thread until it has handled what is quickly done. What is left is left to its task.
    fn borrow(&self);

    /// Has its task handle all.
    fn hurry(&self);
}

/// The endpoint whose answer somebody is about to wait for.
#[derive(Default)]
pub(crate) struct Borrower(Option<Weak<dyn Borrows>>);

impl Borrower {
    pub(crate) fn be<E: RpcEndpoint>(&mut self, endpoint: &Arc<EndpointCore<E>>) {
        let place = Arc::as_ptr(endpoint).addr();
        let before = self.0.as_ref();
        if before.is_none_or(|it| it.as_ptr().addr() != place) {
            let endpoint: Weak<EndpointCore<E>> = Arc::downgrade(endpoint);
            self.0 = Some(endpoint);
        }
    }

    /// Lets it have this thread until it has handled what is quickly done. What is left is left to its
    /// task.
    pub(crate) fn lend(&self) {
        self.get().iter().for_each(|it| it.borrow());
    }

    /// Has its task handle all.
    pub(crate) fn hurry(&self) {
        self.get().iter().for_each(|it| it.hurry());
    }

    fn get(&self) -> Option<Arc<dyn Borrows>> {
        self.0.as_ref().and_then(Weak::upgrade)
    }
}

/// A main loop that nobody polls, or that somebody does.
pub(crate) struct Running {
    /// `None` if the endpoint rests, or has ended.
    polled: Mutex<Option<Boxed>>,
    /// The task had its turn while another polled, and is to poll before anybody else does.
    missed: AtomicBool,
    /// It is polled on a thread that is lent. Written by whoever has locked it.
    lent: AtomicBool,
}

pin_project! {
    // A main loop, in one piece of memory with what wakes its task.
    pub(crate) struct Polled<F: ?Sized> {
        // Wakes the task, once that has polled.
        waker: Option<Waker>,
        #[pin]
        main_loop: F,
    }
}

pub(crate) type Boxed = Pin<Box<Polled<dyn Future<Output = ()> + Send>>>;

impl<F: Future<Output = ()>> Polled<F> {
    pub(crate) fn new(main_loop: F) -> Pin<Box<Self>> {
        Box::pin(Self {
            waker: None,
            main_loop,
        })
    }
}

impl Running {
    pub(crate) fn new() -> Self {
        Self {
            polled: Mutex::new(None),
            missed: AtomicBool::new(false),
            lent: AtomicBool::new(false),
        }
    }

    /// Tells the main loop whether it is polled on a thread that is lent.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.load(Ordering::Relaxed)
    }

    /// Polls as the task does, for the first time a main loop that has `begun`.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, begun: &mut Option<Boxed>) -> Poll<()> {
        let Some(mut polled) = self.polled.try_lock().or_else(|| {
            self.missed.store(true, Ordering::Relaxed);
            // Either it is free by now, or who has it sees that the task is to be woken.
            fence(Ordering::SeqCst);
            self.polled.try_lock()
        }) else {
            if begun.is_some() {
                // The last task of the endpoint, which knows no waker of this one, is about to be over.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        };
        self.missed.store(false, Ordering::Relaxed);
        if begun.is_some() {
            *polled = begun.take();
        }
        let Some(own) = &mut *polled else {
            return Poll::Ready(());
        };
        let own = own.as_mut().project();
        let waker = own.waker.as_ref();
        if !waker.is_some_and(|it| it.will_wake(cx.waker())) {
            *own.waker = Some(cx.waker().clone());
        }
        let poll = own.main_loop.poll(cx);
        if poll.is_ready() {
            *polled = None;
        }
        poll
    }

    /// Polls for somebody who would wait for the task. Returns whether nobody else did.
    pub(crate) fn poll_lent(&self) -> bool {
        if self.missed.load(Ordering::Relaxed) {
            return false;
        }
        let Some(mut polled) = self.polled.try_lock() else {
            return false;
        };
        let Some(own) = &mut *polled else {
            return false;
        };
        let own = own.as_mut().project();
        let Some(waker) = own.waker else {
            return false;
        };
        self.lent.store(true, Ordering::Relaxed);
        let poll = own.main_loop.poll(&mut Context::from_waker(waker));
        self.lent.store(false, Ordering::Relaxed);
        let mut task = None;
        if poll.is_ready() {
            task = own.waker.take();
            *polled = None;
        }
        drop(polled);
        fence(Ordering::SeqCst);
        if self.missed.load(Ordering::Relaxed) {
            task = task.or_else(|| self.missed_waker());
        }
        task.into_iter().for_each(Waker::wake);
        true
    }

    /// Returns what wakes the task that has missed its turn, unless another polls: that is the task, or
    /// one that has begun before, and sees it too.
    #[cold]
    fn missed_waker(&self) -> Option<Waker> {
        let polled = self.polled.try_lock()?;
        polled.as_ref()?.waker.clone()
    }

    /// Drops the main loop, as the task is dropped.
    fn end(&self) {
        let polled = self.polled.lock().take();
        drop(polled);
    }
}

/// The task of an endpoint that does not rest.
pub(crate) struct MainTask<E: RpcEndpoint> {
    core: Arc<EndpointCore<E>>,
    /// The main loop before it is polled.
    begun: Option<Boxed>,
    is_over: bool,
}

impl<E: RpcEndpoint> MainTask<E> {
    pub(crate) fn new(
        core: &Arc<EndpointCore<E>>,
        main_loop: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            core: Arc::clone(core),
            begun: Some(Polled::new(main_loop)),
            is_over: false,
        }
    }
}

impl<E: RpcEndpoint> Future for MainTask<E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            core,
            begun,
            is_over,
        } = &mut *self;
        let running = core.running.get_or_init(|| Box::new(Running::new()));
        let poll = running.poll(cx, begun);
        *is_over = poll.is_ready();
        poll
    }
}

impl<E: RpcEndpoint> Drop for MainTask<E> {
    fn drop(&mut self) {
        let is_left = self.begun.is_none() && !self.is_over;
        let running = self.core.running.get().filter(|_| is_left);
        running.into_iter().for_each(|it| it.end());
    }
}

impl<E: RpcEndpoint> Borrows for EndpointCore<E> {
    fn borrow(&self) {
        let running = self.running.get().filter(|_| {
            // No main thread runs within another: it would keep the other from its work.
            !scope::is_any_main_thread() && self.home.is_here()
        });
        if !running.is_some_and(|it| it.poll_lent()) {
            self.hurry();
        }
    }

    fn hurry(&self) {
        self.mailbox.hurry();
    }
}
