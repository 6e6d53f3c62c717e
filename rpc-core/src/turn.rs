//! What a task does when its turn ends.
//!
//! An endpoint's task handles all messages that wait, one after the other, and a connection's task all
//! frames of one read. To write each answer at once would cost more than most handlers do; to leave it
//! to another task would cost that task's waking. So the task remembers which connections it has put
//! frames on, and writes them when it has handled what there was, or when that takes long.
//!
//! It wakes others then, too: whoever gets several answers would otherwise be at work on another
//! thread after the first, and meet this one at every lock.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use crate::moment::Moment;

/// Something on which frames wait until the turn ends.
pub(crate) trait Owed: Send + Sync {
    /// Writes them.
    fn pay(&self);
}

thread_local! {
    static OWED: Debts = const { Debts {
        taken: Cell::new(false),
        thread: Cell::new(0),
        polled_by: Cell::new(0),
        began: Cell::new(None),
        frames: RefCell::new(VecDeque::new()),
        wakers: RefCell::new(VecDeque::new()),
    } };
}

/// What this thread's turn owes.
struct Debts {
    /// There is a turn.
    taken: Cell<bool>,
    /// The thread's number; 0 until it has one.
    thread: Cell<u32>,
    /// What the handler's waker points to that is polled in the turn.
    polled_by: Cell<usize>,
    /// When it began, if it is known to be short.
    began: Cell<Option<Moment>>,
    frames: RefCell<VecDeque<Arc<dyn Owed>>>,
    wakers: RefCell<VecDeque<Waker>>,
}

impl Debts {
    fn thread(&self) -> u32 {
        static THREADS: AtomicU32 = AtomicU32::new(1);
        if self.thread.get() == 0 {
            self.thread.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        self.thread.get()
    }

    fn is_empty(&self) -> bool {
        self.frames.borrow().is_empty() && self.wakers.borrow().is_empty()
    }

    fn pay(&self) {
        let paid = each(&self.frames, |it| it.pay());
        let woken = each(&self.wakers, Waker::wake);
        if let Some(panic) = paid.or(woken)
            // The end of a turn that panics has its panic already.
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// Takes out of a list what is in it now; the list keeps its memory for the next turn. One that panics
/// costs the others nothing; the panic is returned.
fn each<T>(list: &RefCell<VecDeque<T>>, f: impl Fn(T)) -> Option<Box<dyn Any + Send>> {
    let mut left = list.borrow().len();
    if left == 0 {
        return None;
    }
    let mut panic = None;
    // One after the other, since any of them may put more into the list, or pay.
    while left > 0 {
        let Some(it) = list.borrow_mut().pop_front() else {
            break;
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| f(it))) {
            panic = Some(payload);
        }
        left -= 1;
    }
    let mut list = list.borrow_mut();
    if list.capacity() > KEPT_MAX {
        list.shrink_to(KEPT_MAX);
    }
    panic
}

/// Runs `f` as a turn, or as a part of the one that is under way here, and pays what it owes.
pub(crate) fn take<R>(f: impl FnOnce() -> R) -> R {
    let _end = End {
        outermost: OWED.with(|owed| !owed.taken.replace(true)),
    };
    f()
}

/// The same for what begins now and takes so little time that no more looks at the clock are needed.
pub(crate) fn take_short<R>(now: Moment, f: impl FnOnce() -> R) -> R {
    struct Leave(Option<Moment>);
    impl Drop for Leave {
        fn drop(&mut self) {
            OWED.with(|owed| owed.began.set(self.0));
        }
    }
    take(|| {
        let _leave = Leave(OWED.with(|owed| owed.began.replace(Some(now))));
        f()
    })
}

/// Returns when the short turn began that is under way here.
pub(crate) fn began() -> Option<Moment> {
    OWED.try_with(|owed| owed.began.get()).ok().flatten()
}

/// Pays at the end of a turn, also when it panics.
struct End {
    outermost: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        if self.outermost {
            OWED.with(|owed| {
                owed.taken.set(false);
                owed.pay();
            });
        }
    }
}

/// Tells whether this is a turn: what is put on connections may wait for its end.
pub(crate) fn is_taken() -> bool {
    OWED.try_with(|owed| owed.taken.get()).unwrap_or_default()
}

/// Returns which thread's turn this is, if it is one.
pub(crate) fn current() -> Option<u32> {
    let thread = |owed: &Debts| owed.taken.get().then(|| owed.thread());
    OWED.try_with(thread).ok().flatten()
}

/// Returns which thread this is; 0 if it ends.
pub(crate) fn thread() -> u32 {
    OWED.try_with(Debts::thread).unwrap_or_default()
}

/// A handler is polled with this waker.
pub(crate) fn polled_by(waker: &Waker) {
    OWED.with(|owed| owed.polled_by.set(waker.data().addr()));
}

/// Somebody waits here for what this turn may have put off. If it is not the handler itself, it may be
/// code that blocks the thread, and the turn does not end before it has what it waits for.
pub(crate) fn waits(waker: &Waker) {
    let foreign = |owed: &Debts| owed.polled_by.get() != waker.data().addr();
    if is_taken() && OWED.with(foreign) {
        pay();
    }
}

/// Tells whether anything waits.
pub(crate) fn owes() -> bool {
    OWED.with(|owed| !owed.is_empty())
}

/// Pays when the turn ends, or at once where there is none.
pub(crate) fn owe(to: Arc<dyn Owed>) {
    if is_taken() {
        OWED.with(|owed| owed.frames.borrow_mut().push_back(to));
    } else {
        to.pay();
    }
}

/// Wakes a task when the turn ends. Returns what wakes it where there is none, which the caller does
/// when it has let go of its locks.
pub(crate) fn wake_later(waker: &Waker) -> Option<Waker> {
    if !is_taken() {
        return Some(waker.clone());
    }
    let is_woken = |owed: &Debts| {
        let wakers = owed.wakers.borrow();
        wakers.back().is_some_and(|it| it.will_wake(waker))
    };
    OWED.with(|owed| {
        if !is_woken(owed) {
            // Not while the list is borrowed: a waker's code may be any.
            let waker = waker.clone();
            owed.wakers.borrow_mut().push_back(waker);
        }
    });
    None
}

/// Wakes a task when the executor of this thread has done what it has to do, or some of it: so long it
/// may be that nobody needs to. At once where there is no executor.
pub(crate) fn wake_at_leisure(waker: &Waker) {
    let yields = pin!(tokio::task::yield_now());
    let _pending = yields.poll(&mut Context::from_waker(waker));
}

/// Pays what is owed so far.
fn pay() {
    OWED.with(Debts::pay);
}

/// Pays within a turn too, if its messages take long: who was answered first is not to wait for all.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How many messages were handled since the clock was read.
    handled: u8,
    /// Since when something is owed, as far as that was seen.
    since: Option<Moment>,
    /// Messages take long, so that the clock is read after each.
    slow: bool,
}

impl Pace {
    /// A message was handled, and others wait; the clock is looked at if need be. Returns for how long
    /// what was owed had waited, if that was so long that it was paid.
    pub(crate) fn handled(&mut self, look: impl FnOnce() -> Moment) -> Option<Duration> {
        self.handled += 1;
        if !self.slow && self.since.is_some() && self.handled < MESSAGES_PER_LOOK {
            return None;
        }
        self.handled = 0;
        if !owes() {
            return None;
        }
        let now = look();
        let since = *self.since.get_or_insert(now);
        let waited = now.since(since);
        self.slow = waited >= OWED_MAX;
        self.slow.then(|| {
            pay();
            self.since = Some(now);
            waited
        })
    }

    /// Pays what is owed so far.
    pub(crate) fn pay(&mut self) {
        self.since = None;
        pay();
    }
}

/// The clock is read once for so many messages, since handling one may cost little more than that.
const MESSAGES_PER_LOOK: u8 = 4;
/// A list that once was longer does not keep its memory.
const KEPT_MAX: usize = 1 << 10;
/// For so long an answer may wait for others, and for those few messages that come before the clock is
/// read. It costs some times as much to write one alone.
const OWED_MAX: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::{Owed, is_taken, owe, owes, pay, take, wake_later};

    #[derive(Default)]
    struct Paid(AtomicUsize);

    impl Owed for Paid {
        fn pay(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wake for Paid {
        fn wake(self: Arc<Self>) {
            self.pay();
        }
    }

    #[test]
    fn what_is_owed_is_paid_at_the_end_of_the_turn() {
        let paid = Arc::new(Paid::default());
        let count = || paid.0.load(Ordering::Relaxed);
        take(|| {
            assert!(is_taken() && !owes());
            owe(Arc::clone(&paid) as _);
            take(|| owe(Arc::clone(&paid) as _));
            assert!(owes());
            assert_eq!(count(), 0, "the inner turn is a part of the outer");
            pay();
            assert_eq!(count(), 2);
            assert!(!owes());
            owe(Arc::clone(&paid) as _);
        });
        assert_eq!(count(), 3);
        assert!(!is_taken());
        owe(Arc::clone(&paid) as _);
        assert_eq!(count(), 4, "there is no turn whose end it could wait for");
    }

    #[test]
    fn a_task_is_woken_at_the_end_of_the_turn_and_once() {
        let paid = Arc::new(Paid::default());
        let count = || paid.0.load(Ordering::Relaxed);
        let (waker, other) = (
            Waker::from(Arc::clone(&paid)),
            Waker::from(Arc::<Paid>::default()),
        );
        take(|| {
            for waker in [&waker, &waker, &other, &waker] {
                assert!(wake_later(waker).is_none());
            }
            assert_eq!(count(), 0);
        });
        assert_eq!(
            count(),
            2,
            "only one after the other is seen to be the same"
        );
        wake_later(&waker).into_iter().for_each(Waker::wake);
        assert_eq!(count(), 3);
    }

    #[test]
    fn a_waker_that_panics_costs_the_others_nothing() {
        struct Bad;

        impl Wake for Bad {
            fn wake(self: Arc<Self>) {
                panic!("on purpose");
            }
        }

        let paid = Arc::new(Paid::default());
        let turn = |panics: bool| {
            let (bad, good) = (Waker::from(Arc::new(Bad)), Waker::from(Arc::clone(&paid)));
            catch_unwind(AssertUnwindSafe(|| {
                take(|| {
                    for waker in [&bad, &good] {
                        assert!(wake_later(waker).is_none());
                    }
                    assert!(!panics, "on purpose");
                });
            }))
        };
        for panics in [false, true] {
            assert!(turn(panics).is_err());
        }
        assert_eq!(paid.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_panics_when_it_is_paid_keeps_nobody_from_being_woken() {
        struct Bad;

        impl Owed for Bad {
            fn pay(&self) {
                panic!("on purpose");
            }
        }

        let paid = Arc::new(Paid::default());
        let waker = Waker::from(Arc::clone(&paid));
        let turn = || {
            take(|| {
                owe(Arc::new(Bad));
                assert!(wake_later(&waker).is_none());
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(turn)).is_err());
        assert_eq!(paid.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_turn_that_panics_pays_too() {
        let paid = Arc::new(Paid::default());
        let turn = || {
            take(|| {
                owe(Arc::clone(&paid) as _);
                panic!("on purpose");
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(turn)).is_err());
        assert_eq!(paid.0.load(Ordering::Relaxed), 1);
    }
}
