//! The bounded queue in front of a main thread, emptied a whole batch at a time.
//!
//! Messages that steer the endpoint (start, stop, timers) have a lane of their own: no flood of
//! calls keeps an endpoint from being stopped.

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// A queue of messages `M` with a control lane of `C`.
pub(crate) struct Mailbox<M, C> {
    inbox: Mutex<Inbox<M, C>>,
    limit: usize,
}

struct Inbox<M, C> {
    mail: VecDeque<M>,
    control: VecDeque<C>,
    waker: Option<Waker>,
    /// The reader has seen an empty queue and is to be woken.
    parked: bool,
    closed: bool,
}

/// A message that was not taken.
pub(crate) enum Rejected<M> {
    Closed(M),
    Full(M),
}

impl<M, C> Mailbox<M, C> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            inbox: Mutex::new(Inbox {
                mail: VecDeque::new(),
                control: VecDeque::new(),
                waker: None,
                parked: false,
                closed: false,
            }),
            limit,
        }
    }

    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    /// Queues a message that a peer may have sent: the limit holds.
    pub(crate) fn push(&self, message: M) -> Result<(), Rejected<M>> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return Err(Rejected::Closed(message));
        }
        if inbox.mail.len() >= self.limit {
            return Err(Rejected::Full(message));
        }
        inbox.mail.push_back(message);
        wake(inbox);
        Ok(())
    }

    /// Queues a message of this process's own code, in order with the others but without the limit.
    pub(crate) fn push_own(&self, message: M) -> Result<(), M> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return Err(message);
        }
        inbox.mail.push_back(message);
        wake(inbox);
        Ok(())
    }

    /// Queues a control message; dropped once the mailbox is closed.
    pub(crate) fn push_control(&self, message: C) {
        let mut inbox = self.inbox.lock();
        if !inbox.closed {
            inbox.control.push_back(message);
            wake(inbox);
        }
    }

    /// Takes all control messages, and all mail if `mail` is empty; pending if there is nothing.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        mail: &mut VecDeque<M>,
        control: &mut VecDeque<C>,
    ) -> Poll<()> {
        let mut inbox = self.inbox.lock();
        control.append(&mut inbox.control);
        if mail.is_empty() {
            mem::swap(mail, &mut inbox.mail);
        }
        if !mail.is_empty() || !control.is_empty() {
            return Poll::Ready(());
        }
        if !inbox.waker.as_ref().is_some_and(|it| it.will_wake(cx.waker())) {
            inbox.waker = Some(cx.waker().clone());
        }
        inbox.parked = true;
        Poll::Pending
    }

    /// Takes no more, and returns what is left.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        inbox.control.clear();
        inbox.waker = None;
        mem::take(&mut inbox.mail)
    }
}

/// Wakes the reader outside the lock, once for each time that it found nothing.
fn wake<M, C>(mut inbox: parking_lot::MutexGuard<'_, Inbox<M, C>>) {
    if mem::take(&mut inbox.parked) {
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
