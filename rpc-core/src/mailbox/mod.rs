//! The bounded queue in front of a main thread, emptied a whole batch at a time.
//!
//! Messages that steer the endpoint (start, stop, timers) have a lane of their own: no flood of
//! calls keeps an endpoint from being stopped.
//!
//! Of a million endpoints most have nothing to do. A reader that has seen all may leave here what it
//! is made of, and be gone: the next message gives that back to whoever brings it, who begins another.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use crate::mutant::{self, Mutant};
use crate::sync::{Mutex, MutexGuard};
use crate::turn;

/// A queue of messages `M` with a control lane of `C`, whose reader may rest as an `R`.
pub(crate) struct Mailbox<M, C, R> {
    inbox: Mutex<Inbox<M, C, R>>,
    /// How many messages were ever queued; only written while the inbox is locked.
    put: AtomicU64,
    limit: Limit,
}

/// What a mailbox takes from peers at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

struct Inbox<M, C, R> {
    mail: VecDeque<M>,
    /// What of it came over connections, in bytes.
    bytes: usize,
    control: Vec<C>,
    waker: Option<Waker>,
    reader: Reader<R>,
    /// The thread whose executor has the reader woken when it gets to it.
    later: u32,
    closed: bool,
}

/// What the reader knows.
enum Reader<R> {
    /// It has seen all that there was, and is to be woken.
    Parked,
    /// The turn of this thread wakes it when it ends.
    Promised(u32),
    /// It is woken, or is about to look.
    Woken,
    /// It is gone, and this is what the next one is made of.
    Resting(R),
}

/// A message that was not taken, and not made.
pub(crate) enum Rejected<F> {
    Closed(F),
    /// With the limit that is reached.
    Full(F, usize),
}

/// What is left to do for whoever has put in a message that it is about to wait for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left<R> {
    Nothing,
    /// What rested is to begin.
    Begin(R),
    /// The reader is not woken yet: who waits is to run it, or to have it [woken](Mailbox::hurry).
    Later {
        /// This thread's executor is to be told, which is to have it woken all the same some time.
        is_first: bool,
    },
}

impl<M, C, R> Inbox<M, C, R> {
    fn put(&mut self, make: impl FnOnce() -> M) {
        if self.mail.capacity() == 0 {
            // Not four at once: of many endpoints most have one message at a time, if any.
            self.mail.reserve_exact(1);
        }
        self.mail.push_back(make());
    }

    /// Gives all mail if `mail` is empty. Returns whether that was all there was.
    fn take(&mut self, cx: &Context<'_>, mail: &mut VecDeque<M>) -> bool {
        if mail.is_empty() {
            // From its beginning on: a ring that goes round through all of its memory is cold.
            mail.clear();
            if mail.capacity() > KEPT_MAX && self.mail.len() <= KEPT_MAX {
                mail.shrink_to(KEPT_MAX);
            }
            mem::swap(mail, &mut self.mail);
            self.bytes = 0;
        } else if !self.mail.is_empty() {
            return false;
        }
        let waker = self.waker.as_ref();
        if !waker.is_some_and(|it| it.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        self.reader = Reader::Parked;
        true
    }
}

impl<M, C, R> Mailbox<M, C, R> {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            inbox: Mutex::new(Inbox {
                mail: VecDeque::new(),
                bytes: 0,
                control: Vec::new(),
                waker: None,
                reader: Reader::Woken,
                later: NOBODY,
                closed: false,
            }),
            put: AtomicU64::new(0),
            limit,
        }
    }

    /// Returns how many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.inbox.lock().mail.len()
    }

    /// Returns how many messages were ever queued.
    pub(crate) fn put(&self) -> u64 {
        self.put.load(Ordering::Relaxed)
    }

    fn count(&self) {
        let put = self.put.load(Ordering::Relaxed);
        self.put.store(put + 1, Ordering::Relaxed);
    }

    /// Queues a message that a peer may have sent, of so many bytes: the limits hold. The last may go
    /// beyond that of bytes.
    ///
    /// It is made when there is room for it, where it is to be: to move it is much of what it costs.
    ///
    /// Returns what rested, as all that put something in: its reader is to begin.
    pub(crate) fn push<F: FnOnce() -> M>(
        &self,
        make: F,
        bytes: usize,
    ) -> Result<Option<R>, Rejected<F>> {
        self.admit(make, bytes).map(wake)
    }

    /// The same for what comes from no connection, and whoever puts it in is about to wait for: it may
    /// run the reader itself, which is not woken at once if this is no turn.
    pub(crate) fn push_awaited<F: FnOnce() -> M>(&self, make: F) -> Result<Left<R>, Rejected<F>> {
        self.admit(make, 0).map(|mut inbox| {
            let is_to_wake = matches!(inbox.reader, Reader::Parked | Reader::Promised(_));
            if !is_to_wake || turn::is_taken() {
                return wake(inbox).map_or(Left::Nothing, Left::Begin);
            }
            let here = turn::thread();
            let before = mem::replace(&mut inbox.later, here);
            Left::Later {
                is_first: before != here || here == NOBODY,
            }
        })
    }

    fn admit<F: FnOnce() -> M>(
        &self,
        make: F,
        bytes: usize,
    ) -> Result<MutexGuard<'_, Inbox<M, C, R>>, Rejected<F>> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return Err(Rejected::Closed(make));
        }
        if inbox.mail.len() >= self.limit.messages && !mutant::is(Mutant::MailboxUnlimited) {
            return Err(Rejected::Full(make, self.limit.messages));
        }
        if bytes > 0 && inbox.bytes >= self.limit.bytes {
            return Err(Rejected::Full(make, self.limit.bytes));
        }
        inbox.bytes += bytes;
        inbox.put(make);
        self.count();
        Ok(inbox)
    }

    /// Queues a message of this process's own code, in order with the others but without the limit.
    pub(crate) fn push_own(&self, message: M) -> Result<Option<R>, M> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return Err(message);
        }
        inbox.put(|| message);
        self.count();
        Ok(wake(inbox))
    }

    /// Queues a control message; dropped once the mailbox is closed.
    #[must_use = "what rested is to begin"]
    pub(crate) fn push_control(&self, message: C) -> Option<R> {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return None;
        }
        inbox.control.push(message);
        wake_now(inbox)
    }

    /// Lets the reader rest until there is something to do, and no memory stay for messages. Given back
    /// if there is.
    pub(crate) fn rest(&self, reader: R) -> Result<(), R> {
        let mut inbox = self.inbox.lock();
        if inbox.closed || !inbox.mail.is_empty() || !inbox.control.is_empty() {
            return Err(reader);
        }
        let emptied = mem::take(&mut inbox.mail);
        let waker = inbox.waker.take();
        inbox.reader = Reader::Resting(reader);
        drop(inbox);
        drop((emptied, waker));
        Ok(())
    }

    /// Tells whether there is a reader: it does not rest, and has not closed the mailbox.
    pub(crate) fn has_reader(&self) -> bool {
        let inbox = self.inbox.lock();
        !inbox.closed && !matches!(inbox.reader, Reader::Resting(_))
    }

    /// Takes all control messages, and all mail if `mail` is empty. Returns whether that was all: then
    /// `cx` is woken when more comes, and a reader that has handled what it took need not look again.
    pub(crate) fn take(
        &self,
        cx: &Context<'_>,
        mail: &mut VecDeque<M>,
        control: &mut Vec<C>,
    ) -> bool {
        let mut inbox = self.inbox.lock();
        // They are rare, so that no memory stays for them.
        control.extend(mem::take(&mut inbox.control));
        inbox.take(cx, mail)
    }

    /// Takes all mail as [`take`](Self::take) does, on behalf of the reader. Nothing if there are control
    /// messages, which come first.
    pub(crate) fn take_mail(&self, cx: &Context<'_>, mail: &mut VecDeque<M>) -> bool {
        let mut inbox = self.inbox.lock();
        inbox.control.is_empty() && inbox.take(cx, mail)
    }

    /// Has the reader woken that was to be woken later, if messages wait.
    pub(crate) fn hurry(&self) {
        hurry(self.inbox.lock());
    }

    /// The same, as an executor does that was told to.
    pub(crate) fn hurry_at_last(&self) {
        let mut inbox = self.inbox.lock();
        inbox.later = NOBODY;
        hurry(inbox);
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

/// Wakes the reader, at the end of the turn if this is one. A promise of another thread's turn, which
/// may take long, is not relied on. Returns the reader if it rests.
fn wake<M, C, R>(mut inbox: MutexGuard<'_, Inbox<M, C, R>>) -> Option<R> {
    let Some(turn) = turn::current() else {
        return wake_now(inbox);
    };
    match inbox.reader {
        Reader::Woken => None,
        Reader::Promised(promised) if promised == turn => None,
        Reader::Resting(_) => wake_now(inbox),
        Reader::Parked | Reader::Promised(_) => {
            inbox.reader = Reader::Promised(turn);
            let waker = inbox.waker.as_ref().and_then(turn::wake_later);
            drop(inbox);
            waker.into_iter().for_each(Waker::wake);
            None
        }
    }
}

fn hurry<M, C, R>(inbox: MutexGuard<'_, Inbox<M, C, R>>) {
    if !inbox.mail.is_empty() && !matches!(inbox.reader, Reader::Resting(_)) {
        let _nobody_rests = wake_now(inbox);
    }
}

/// Wakes the reader at once, outside the lock, and once for each time that it has looked. Returns it if
/// it rests.
fn wake_now<M, C, R>(mut inbox: MutexGuard<'_, Inbox<M, C, R>>) -> Option<R> {
    match mem::replace(&mut inbox.reader, Reader::Woken) {
        Reader::Woken => None,
        Reader::Resting(reader) => Some(reader),
        Reader::Parked | Reader::Promised(_) => {
            let waker = inbox.waker.take();
            drop(inbox);
            waker.into_iter().for_each(Waker::wake);
            None
        }
    }
}

const NOBODY: u32 = 0;
/// A queue that once was longer does not keep its memory, when it is not that long any more.
const KEPT_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests;
