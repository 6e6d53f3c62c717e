//! The calls that wait, and their deadlines, kept without a timer for each call.
//!
//! Nearly every call is answered long before its deadline, so what counts is what it costs to write
//! a deadline down and to strike it out: nothing. Where answers are put, a slot, is used for one call
//! after the other, and is listed once; that a call waits, and until when, is in the slot. A task,
//! the sweeper, sleeps until the earliest deadline that it was told of, looks at all slots, and wakes
//! the calls whose time is over. A call tells it only of a deadline that is earlier than all others:
//! it wakes in vain at most once for one that is answered.
//!
//! There are several shards, each with a sweeper of its own that is started when it is first needed,
//! so that the threads of a runtime do not meet at one lock.
//!
//! A call that has no deadline waits there too, for those who ask who waits for whom.

mod waiting;

pub(crate) use self::waiting::{About, Look, Waiter, Waits, Who};

use std::array;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use crate::moment::Moment;

/// The deadlines of the calls that a service's gateways make.
pub(crate) struct Deadlines {
    shards: [Arc<Shard>; SHARDS],
}

impl Deadlines {
    /// Returns the shard of the calls that this thread makes.
    pub(crate) fn shard(&self) -> &Arc<Shard> {
        &self.shards[SHARD.with(|it| *it)]
    }

    /// Returns the calls that wait, those first that have waited the longest.
    pub(crate) fn waiting(&self) -> Vec<Waits> {
        let waiters = self.shards.iter().flat_map(|it| it.waiters());
        let mut waiting: Vec<_> = waiters.filter_map(|it| it.waits()).collect();
        waiting.sort_by_key(|it| it.since);
        waiting
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            shards: array::from_fn(|_| Arc::new(Shard::new())),
        }
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.closed.store(true, Ordering::Release);
            shard.changed.notify_one();
            shard.waiters().into_iter().for_each(|it| it.rest());
        }
    }
}

/// Some of a service's calls, and who looks after them.
pub(crate) struct Shard {
    /// No call that waits has an earlier deadline than this moment.
    earliest: AtomicI64,
    /// The service is gone, so that the sweeper ends with the last call that waits.
    closed: AtomicBool,
    /// How often `earliest` has become later, which it only does when all slots are looked at.
    sweeps: AtomicU64,
    slots: Mutex<Slots>,
    /// Wakes the sweeper: there is an earlier deadline, or the service is gone.
    changed: Notify,
    /// Where the sweeper runs: in the service's runtime, since nobody knows how long another is driven.
    /// `None` if the service was made outside of any; then it is that of the call that needs it first.
    runtime: Option<Handle>,
}

/// A deadline that the sweeper was told of, and after how many sweeps. Until the next one it wakes no
/// later than that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted(Option<(Moment, u64)>);

impl Noted {
    fn covers(self, deadline: Moment, sweeps: u64) -> bool {
        self.0
            .is_some_and(|(noted, then)| then == sweeps && deadline >= noted)
    }
}

struct Slots {
    list: Vec<Weak<dyn Waiter>>,
    /// When the list is as long as this, those that are gone are taken out.
    full: usize,
    /// What `Shard::earliest` is, for the sweeper.
    earliest: Moment,
    /// There is a sweeper.
    swept: bool,
    /// There was one whose runtime was shut down: the service's will run no other.
    orphaned: bool,
}

impl Slots {
    /// Takes out what is gone.
    fn tidy(&mut self) {
        self.list.retain(|it| it.strong_count() > 0);
        self.full = (2 * self.list.len()).max(LISTED_MIN);
        self.list.shrink_to(self.full);
    }
}

impl Shard {
    fn new() -> Self {
        Self {
            earliest: AtomicI64::new(Moment::NEVER.nanos()),
            closed: AtomicBool::new(false),
            sweeps: AtomicU64::new(0),
            slots: Mutex::new(Slots {
                list: Vec::new(),
                full: 0,
                earliest: Moment::NEVER,
                swept: false,
                orphaned: false,
            }),
            changed: Notify::new(),
            runtime: Handle::try_current().ok(),
        }
    }

    /// Lists a slot, whose calls are looked after from then on.
    pub(crate) fn list(&self, slot: Weak<dyn Waiter>) {
        let mut slots = self.slots.lock();
        if slots.list.len() >= slots.full {
            slots.tidy();
        }
        slots.list.push(slot);
    }

    /// Tells whether the service is gone: it makes no more calls.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns the service's runtime, if it was made in one.
    pub(crate) const fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    fn waiters(&self) -> Vec<Arc<dyn Waiter>> {
        let slots = self.slots.lock();
        slots.list.iter().filter_map(Weak::upgrade).collect()
    }

    /// Sees to it that a call is woken at its deadline, which its slot has been told. Returns whether
    /// the deadline has passed. `noted` is what was noted of the slot's calls before.
    ///
    /// Whoever changes `earliest` looks at all slots afterwards: either it finds the call waiting, or it
    /// is found here that there was a sweep. The slot's lock orders the two, which both have had before.
    pub(crate) fn note(self: &Arc<Self>, deadline: Moment, noted: &mut Noted) -> bool {
        let sweeps = self.sweeps.load(Ordering::SeqCst);
        if noted.covers(deadline, sweeps) {
            return false;
        }
        let is_earlier = deadline.nanos() < self.earliest.load(Ordering::SeqCst);
        if is_earlier {
            self.note_earlier(deadline);
        }
        *noted = Noted(Some((deadline, sweeps)));
        // Only one that is earlier than all others can have passed before it was waited for, so that
        // only then the clock is asked.
        is_earlier && Moment::now() >= deadline
    }

    fn note_earlier(self: &Arc<Self>, deadline: Moment) {
        let mut slots = self.slots.lock();
        if slots.earliest <= deadline && slots.swept {
            return;
        }
        // Made here, so that it panics where the call is awaited, and before anybody relies on it, if
        // there is no runtime or one without a clock.
        let sweeper = (!slots.swept).then(|| {
            let own = || self.runtime.clone();
            let runtime = own().filter(|_| !slots.orphaned);
            let runtime = runtime.or_else(|| Handle::try_current().ok()).or_else(own);
            let runtime =
                runtime.expect("a call that has a deadline is awaited in a tokio runtime");
            let _entered = runtime.enter();
            (
                tokio::time::sleep_until(deadline.instant()),
                runtime.clone(),
            )
        });
        self.set_earliest(&mut slots, deadline);
        slots.swept = true;
        drop(slots);
        let Some((sleep, runtime)) = sweeper else {
            return self.changed.notify_one();
        };
        // Not among the service's tasks: calls outlive the service's end, and it ends with the last
        // of them.
        let sweeper = Sweeper {
            shard: Arc::clone(self),
            retired: false,
        };
        runtime.spawn(sweeper.run(sleep));
    }

    /// Wakes the calls whose time is over. Returns when to look again.
    fn sweep(&self, now: Moment) -> Moment {
        {
            let mut slots = self.slots.lock();
            self.forget_earliest(&mut slots);
            slots.tidy();
        }
        let waiters = self.waiters();
        let mut expired = Vec::new();
        let mut earliest = Moment::NEVER;
        for waiter in waiters {
            match waiter.look(now) {
                Look::Endless => {}
                Look::Waits(deadline) => earliest = earliest.min(deadline),
                Look::Expired(deadline, waker) => expired.extend(waker.map(|it| (deadline, it))),
            }
        }
        let mut slots = self.slots.lock();
        // A call may have told of its deadline meanwhile.
        let earliest = slots.earliest.min(earliest);
        self.set_earliest(&mut slots, earliest);
        drop(slots);
        expired.sort_by_key(|(deadline, _)| *deadline);
        for (_, waker) in expired {
            waker.wake();
        }
        earliest
    }

    /// Wakes all calls, since nobody will wake them any more: they start another sweeper.
    fn orphan(&self) {
        let mut slots = self.slots.lock();
        slots.swept = false;
        slots.orphaned = true;
        self.forget_earliest(&mut slots);
        drop(slots);
        let orphans = self.waiters();
        let wakers: Vec<_> = orphans.iter().filter_map(|it| it.waker()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends the sweeper's work if nobody will need it any more.
    fn retire(&self) -> bool {
        let mut slots = self.slots.lock();
        let over = self.is_closed() && slots.earliest == Moment::NEVER;
        if over {
            slots.swept = false;
        }
        over
    }

    /// From here on all slots are looked at.
    fn forget_earliest(&self, slots: &mut Slots) {
        self.set_earliest(slots, Moment::NEVER);
        self.sweeps.fetch_add(1, Ordering::SeqCst);
    }

    fn set_earliest(&self, slots: &mut Slots, earliest: Moment) {
        slots.earliest = earliest;
        self.earliest.store(earliest.nanos(), Ordering::SeqCst);
    }
}

/// The task that wakes a shard's calls; it ends when the service is gone and no call waits.
///
/// It runs on the service's runtime, or of the call that needed it first if that has none, and moves on
/// when that is shut down.
struct Sweeper {
    shard: Arc<Shard>,
    /// It has ended of itself.
    retired: bool,
}

impl Sweeper {
    async fn run(mut self, sleep: Sleep) {
        let shard = &self.shard;
        let mut sleep = std::pin::pin!(sleep);
        let mut sleeps = true;
        let mut not_before = None;
        loop {
            let is_due = tokio::select! {
                biased;
                () = shard.changed.notified() => false,
                () = sleep.as_mut(), if sleeps => true,
            };
            let earliest = shard.slots.lock().earliest;
            let earliest = if is_due || shard.is_closed() {
                let now = Instant::now();
                not_before = Some(now + TICK);
                shard.sweep(Moment::of(now))
            } else {
                earliest
            };
            sleeps = earliest != Moment::NEVER;
            if sleeps {
                let earliest = earliest.instant();
                sleep
                    .as_mut()
                    .reset(not_before.map_or(earliest, |it| it.max(earliest)));
            } else if shard.retire() {
                self.retired = true;
                return;
            }
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if !self.retired {
            self.shard.orphan();
        }
    }
}

thread_local! {
    /// The shard of the calls that this thread makes.
    static SHARD: usize = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

/// About as many threads as commonly make calls at once.
const SHARDS: usize = 8;

/// How long a sweeper rests at least after a sweep, which looks at every slot of its shard: a call
/// is told by this much too late at most. 200 sweeps a second of 10,000 calls that wait cost less
/// than a hundredth of a processor, and no time-out of a call is meant to the millisecond.
const TICK: Duration = Duration::from_millis(5);

/// A list as short as this is not looked through for slots that are gone.
const LISTED_MIN: usize = 64;

#[cfg(test)]
mod tests;
