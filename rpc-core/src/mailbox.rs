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
    closed: bool,
}

/// What the reader knows.
enum Reader<R> {
    /// It has seen all that there was, and is to be woken.
    Parked,
    /// The turn of this thread wakes it when it ends.
    Promised(u64),
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

impl<M, C, R> Inbox<M, C, R> {
    fn put(&mut self, make: impl FnOnce() -> M) {
        if self.mail.capacity() == 0 {
            // Not four at once: of many endpoints most have one message at a time, if any.
            self.mail.reserve_exact(1);
        }
        self.mail.push_back(make());
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
        Ok(wake(inbox))
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
        if mail.is_empty() {
            // From its beginning on: a ring that goes round through all of its memory is cold.
            mail.clear();
            if mail.capacity() > KEPT_MAX && inbox.mail.len() <= KEPT_MAX {
                mail.shrink_to(KEPT_MAX);
            }
            mem::swap(mail, &mut inbox.mail);
            inbox.bytes = 0;
        } else if !inbox.mail.is_empty() {
            return false;
        }
        if !inbox
            .waker
            .as_ref()
            .is_some_and(|it| it.will_wake(cx.waker()))
        {
            inbox.waker = Some(cx.waker().clone());
        }
        inbox.reader = Reader::Parked;
        true
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

/// A queue that once was longer does not keep its memory, when it is not that long any more.
const KEPT_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::{KEPT_MAX, Limit, Mailbox, Rejected};

    #[test]
    fn mail_is_taken_in_order_and_all_at_once() {
        let mailbox = Mailbox::<_, (), ()>::new(messages(3));
        for message in 0..3 {
            assert!(mailbox.push(|| message, 0).is_ok());
        }
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        assert!(take(&mailbox, &mut mail, &mut control));
        assert_eq!(mail, [0, 1, 2]);
        mail.clear();
        assert!(!take(&mailbox, &mut mail, &mut control));
    }

    #[test]
    fn what_was_taken_is_handled_before_more_is_taken() {
        let mailbox = Mailbox::<_, (), ()>::new(messages(3));
        let (mut mail, mut control) = (VecDeque::from([0]), Vec::new());
        assert!(mailbox.push(|| 1, 0).is_ok());
        assert!(take(&mailbox, &mut mail, &mut control));
        assert_eq!(mail, [0]);
        mail.clear();
        assert!(take(&mailbox, &mut mail, &mut control));
        assert_eq!(mail, [1]);
    }

    #[test]
    fn what_was_long_once_does_not_keep_its_memory() {
        let mailbox = Mailbox::<_, (), ()>::new(messages(usize::MAX));
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        let mut take = |count: usize| {
            for message in 0..count {
                assert!(mailbox.push(|| message, 0).is_ok());
            }
            assert!(take(&mailbox, &mut mail, &mut control));
            assert_eq!(mail.len(), count);
            mail.clear();
            let waiting = mailbox.inbox.lock().mail.capacity();
            (waiting.min(mail.capacity()), waiting.max(mail.capacity()))
        };
        take(10 * KEPT_MAX);
        let (least, _) = take(10 * KEPT_MAX);
        assert!(least >= 10 * KEPT_MAX, "it is needed");
        take(1);
        let (_, most) = take(1);
        assert!(most <= KEPT_MAX, "{most}");
    }

    #[test]
    fn control_messages_do_not_wait_behind_mail() {
        let mailbox = Mailbox::<_, _, ()>::new(messages(3));
        assert!(mailbox.push(|| 1, 0).is_ok());
        assert_eq!(mailbox.push_control("first"), None);
        assert_eq!(mailbox.push_control("second"), None);
        let (mut mail, mut control) = (VecDeque::from([0]), vec!["earlier"]);
        assert!(take(&mailbox, &mut mail, &mut control));
        assert_eq!(mail, [0]);
        assert_eq!(control, ["earlier", "first", "second"]);
    }

    #[test]
    fn the_limit_holds_for_what_a_peer_sends() {
        let mailbox = Mailbox::<_, (), ()>::new(messages(2));
        assert!(mailbox.push(|| 0, 0).is_ok());
        assert!(mailbox.push(|| 1, 0).is_ok());
        assert!(matches!(mailbox.push(|| 2, 0), Err(Rejected::Full(_, 2))));
        assert_eq!(mailbox.push_own(3), Ok(None));
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        assert!(take(&mailbox, &mut mail, &mut control));
        assert_eq!(mail, [0, 1, 3]);
        // What is being handled does not count any more.
        assert!(mailbox.push(|| 4, 0).is_ok());
    }

    #[test]
    fn the_limit_of_bytes_holds_for_what_came_over_connections() {
        let limit = Limit {
            messages: 9,
            bytes: 10,
        };
        let mailbox = Mailbox::<_, (), ()>::new(limit);
        assert!(mailbox.push(|| 0, 9).is_ok());
        assert!(mailbox.push(|| 1, 9).is_ok(), "the last may go beyond");
        assert!(matches!(mailbox.push(|| 2, 1), Err(Rejected::Full(_, 10))));
        assert!(mailbox.push(|| 3, 0).is_ok(), "values have no size");
        assert_eq!(mailbox.len(), 3);
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        assert!(take(&mailbox, &mut mail, &mut control));
        assert!(mailbox.push(|| 4, 9).is_ok());
    }

    #[test]
    fn a_closed_mailbox_gives_back_what_it_held_and_takes_no_more() {
        let mailbox = Mailbox::<_, _, ()>::new(messages(2));
        assert!(mailbox.push(|| 0, 0).is_ok());
        assert_eq!(mailbox.push_control(()), None);
        assert_eq!(mailbox.close(), [0]);
        assert!(matches!(mailbox.push(|| 1, 0), Err(Rejected::Closed(_))));
        assert_eq!(mailbox.push_own(2), Err(2));
        assert_eq!(mailbox.push_control(()), None);
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        assert!(!take(&mailbox, &mut mail, &mut control));
        assert!(mailbox.close().is_empty());
    }

    #[test]
    fn the_reader_is_woken_once_for_each_time_that_it_has_seen_all() {
        let mailbox = Mailbox::<_, (), ()>::new(messages(9));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let (mut mail, mut control) = (VecDeque::new(), Vec::new());
        let mut take = |mail: &mut VecDeque<u32>| {
            mailbox.take(&Context::from_waker(&waker), mail, &mut control)
        };
        assert!(mailbox.push(|| 0, 0).is_ok());
        assert_eq!(wakes.count(), 0, "nobody has looked yet");
        for round in 1..3 {
            assert!(take(&mut mail));
            mail.clear();
            assert!(mailbox.push(|| 1, 0).is_ok());
            assert!(mailbox.push(|| 2, 0).is_ok());
            assert_eq!(wakes.count(), round);
        }
        assert!(take(&mut mail));
        assert_eq!(mail, [1, 2]);
        assert_eq!(mailbox.push_control(()), None);
        assert_eq!(wakes.count(), 3);
    }

    #[test]
    fn a_reader_that_has_not_seen_all_is_told_so() {
        let mailbox = Mailbox::<_, (), ()>::new(messages(9));
        let cx = Context::from_waker(Waker::noop());
        let (mut mail, mut control) = (VecDeque::from([0]), Vec::new());
        assert!(mailbox.take(&cx, &mut mail, &mut control), "none is left");
        assert!(mailbox.push(|| 1, 0).is_ok());
        assert!(!mailbox.take(&cx, &mut mail, &mut control));
        mail.clear();
        assert!(mailbox.take(&cx, &mut mail, &mut control));
        assert_eq!(mail, [1]);
    }

    #[test]
    fn a_reader_that_rests_is_given_back_to_whoever_brings_something() {
        for lane in ["mail", "own", "control"] {
            let mailbox = Mailbox::<_, _, &str>::new(messages(9));
            let push = || match lane {
                "mail" => mailbox.push(|| 1, 0).ok().flatten(),
                "own" => mailbox.push_own(1).unwrap(),
                _ => mailbox.push_control(1),
            };
            assert!(mailbox.has_reader());
            assert_eq!(push(), None);
            assert_eq!(mailbox.rest("reader"), Err("reader"), "it is to do that");
            let (mut mail, mut control) = (VecDeque::new(), Vec::new());
            assert!(take(&mailbox, &mut mail, &mut control));
            assert_eq!(mailbox.rest("reader"), Ok(()));
            assert!(!mailbox.has_reader());
            assert_eq!(push(), Some("reader"), "{lane}");
            assert!(mailbox.has_reader());
            assert_eq!(push(), None, "it has begun");
            mailbox.close();
            assert!(!mailbox.has_reader());
            assert_eq!(mailbox.rest("reader"), Err("reader"));
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn messages(messages: usize) -> Limit {
        Limit {
            messages,
            bytes: usize::MAX,
        }
    }

    fn take<M, C, R>(
        mailbox: &Mailbox<M, C, R>,
        mail: &mut VecDeque<M>,
        control: &mut Vec<C>,
    ) -> bool {
        mailbox.take(&Context::from_waker(Waker::noop()), mail, control);
        !mail.is_empty() || !control.is_empty()
    }
}
