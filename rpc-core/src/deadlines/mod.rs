//! The calls that wait, and their deadlines, kept without a timer for each call.
//!
//! Nearly every call is answered long before its deadline, so what counts is what it costs to write
//! a deadline down and to strike it out: a place in a slab each. A task, the sweeper, sleeps until
//! the earliest deadline that was written down, and wakes the calls whose time is over. A deadline
//! that is struck out does not disturb the sweeper: it wakes in vain at most once for it.
//!
//! There are several shards, each with a sweeper of its own that is started when it is first needed,
//! so that the threads of a runtime do not meet at one lock.
//!
//! A call that has no deadline is written down too, for those who ask who waits for whom.

mod waiting;

pub(crate) use self::waiting::{About, Waits};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{array, mem};

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use crate::call::Time;

/// The deadlines of the calls that a service's gateways make.
pub(crate) struct Deadlines {
    shards: [Arc<Shard>; SHARDS],
}

impl Deadlines {
    /// Makes the deadline of a call; it is written down when the call is first found waiting.
    pub(crate) fn expiry(&self, about: About) -> Expiry {
        Expiry {
            shard: Arc::clone(&self.shards[SHARD.with(|it| *it)]),
            key: None,
            about: Some(about),
        }
    }

    /// Returns the calls that wait, those first that have waited the longest.
    pub(crate) fn waiting(&self) -> Vec<Waits> {
        let mut waiting = Vec::new();
        for shard in &self.shards {
            let entries = shard.entries.lock();
            waiting.extend(entries.calls.iter().map(|(_, entry)| entry.waits.clone()));
        }
        waiting.sort_by_key(|it| it.since);
        waiting
    }

    /// How many calls wait.
    #[cfg(test)]
    fn len(&self) -> usize {
        let len = |shard: &Arc<Shard>| shard.entries.lock().calls.len();
        self.shards.iter().map(len).sum()
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            shards: array::from_fn(|_| Arc::default()),
        }
    }
}

/// A call's deadline; it is struck out when this is dropped.
///
/// It keeps its shard, and so the sweeper, alive: calls end by their deadline even if the service
/// and its gateways are gone.
pub(crate) struct Expiry {
    shard: Arc<Shard>,
    key: Option<usize>,
    /// Is with the entry while there is one.
    about: Option<About>,
}

impl Expiry {
    /// Is ready once the call's time is over; it may be [`reset`](Self::reset) to another.
    pub(crate) fn poll(&mut self, time: Time, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker();
        if let Some(key) = self.key {
            // Without a deadline there is nothing to wake for.
            return match time.deadline {
                Some(deadline) => self.shard.check(key, deadline, waker),
                None => Poll::Pending,
            };
        }
        let Some(about) = self.about.take() else {
            return Poll::Pending;
        };
        let waits = Waits::new(about, time);
        let (key, earliest) = self.shard.insert(waits, time.deadline, waker);
        self.key = Some(key);
        // Only one that is earlier than all others can have passed before it was waited for, so that
        // only then the clock is asked.
        let is_over = |deadline| Instant::now() >= deadline;
        match earliest && time.deadline.is_some_and(is_over) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Returns what is known of the call.
    pub(crate) fn about(&mut self) -> Option<&About> {
        self.reset();
        self.about.as_ref()
    }

    /// Strikes the deadline out; the next poll sets one.
    pub(crate) fn reset(&mut self) {
        if let Some(key) = self.key.take() {
            // Wakers are dropped outside the lock: with one may go a task, and other calls with it.
            let entry = self.shard.entries.lock().calls.remove(key);
            self.about = Some(entry.waits.about);
            drop(entry.state);
        }
    }
}

impl Drop for Expiry {
    fn drop(&mut self) {
        self.reset();
    }
}

#[derive(Default)]
struct Shard {
    entries: Mutex<Entries>,
    /// Wakes the sweeper: there is an earlier deadline, or the shard is gone.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Entries {
    calls: Slab<Entry>,
    /// No call that waits has an earlier deadline than this.
    earliest: Option<Instant>,
    /// There is a sweeper.
    swept: bool,
}

/// A call that waits. It stays in the slab until the call removes it, so that the call's key is
/// never another call's.
struct Entry {
    waits: Waits,
    state: State,
}

enum State {
    /// The call has no deadline.
    Endless,
    /// The sweeper will wake the call.
    Waiting(Waker),
    /// The sweeper has woken the call, whose time is over.
    Expired,
    /// The sweeper ended with its runtime, and has woken the call.
    Orphaned,
}

/// What a new deadline means for the sweeper.
enum Alarm {
    Start,
    Wake,
    None,
}

impl Shard {
    /// Returns the key, and whether no call that waits has an earlier deadline.
    fn insert(
        self: &Arc<Self>,
        waits: Waits,
        deadline: Option<Instant>,
        waker: &Waker,
    ) -> (usize, bool) {
        let state = match deadline {
            Some(_) => State::Waiting(waker.clone()),
            None => State::Endless,
        };
        let mut entries = self.entries.lock();
        let key = entries.calls.insert(Entry { waits, state });
        let Some(deadline) = deadline else {
            return (key, false);
        };
        let alarm = entries.note(deadline);
        drop(entries);
        let earliest = !matches!(alarm, Alarm::None);
        self.raise(alarm, deadline);
        (key, earliest)
    }

    /// Is ready if the call's time is over; if not, has `waker` woken then.
    fn check(self: &Arc<Self>, key: usize, deadline: Instant, waker: &Waker) -> Poll<()> {
        let mut entries = self.entries.lock();
        let entry = &mut entries.calls[key];
        match &entry.state {
            State::Waiting(it) if it.will_wake(waker) => return Poll::Pending,
            State::Endless | State::Waiting(_) | State::Orphaned => {}
            State::Expired => return Poll::Ready(()),
        }
        let before = mem::replace(&mut entry.state, State::Waiting(waker.clone()));
        // The first of those that were orphaned starts another sweeper.
        let alarm = entries.note(deadline);
        drop(entries);
        drop(before);
        self.raise(alarm, deadline);
        Poll::Pending
    }

    fn raise(self: &Arc<Self>, alarm: Alarm, deadline: Instant) {
        match alarm {
            Alarm::None => {}
            Alarm::Wake => self.changed.notify_one(),
            Alarm::Start => {
                let sweeper = Sweeper {
                    shard: Arc::downgrade(self),
                    changed: Arc::clone(&self.changed),
                };
                // Made here, so that a runtime without a clock panics where the call is awaited.
                let sleep = tokio::time::sleep_until(deadline);
                // Not among the service's tasks: calls outlive the service's end, and it ends with
                // the last of them.
                tokio::spawn(sweeper.run(sleep));
            }
        }
    }

    /// Wakes the calls whose time is over.
    fn sweep(&self, now: Instant) {
        let mut entries = self.entries.lock();
        let mut expired = Vec::new();
        let mut earliest = None::<Instant>;
        for (_, entry) in &mut entries.calls {
            let Some(deadline) = entry.waits.deadline else {
                continue;
            };
            if deadline <= now {
                let waker = entry.wake(State::Expired);
                expired.extend(waker.map(|it| (deadline, it)));
            } else if matches!(entry.state, State::Waiting(_)) {
                earliest = Some(earliest.map_or(deadline, |it| it.min(deadline)));
            }
        }
        entries.earliest = earliest;
        drop(entries);
        expired.sort_by_key(|(deadline, _)| *deadline);
        for (_, waker) in expired {
            waker.wake();
        }
    }

    /// Wakes all calls, since nobody will wake them any more: they start another sweeper.
    fn orphan(&self) {
        let mut entries = self.entries.lock();
        entries.swept = false;
        entries.earliest = None;
        let calls = entries.calls.iter_mut();
        let wake = |(_, call): (usize, &mut Entry)| call.wake(State::Orphaned);
        let orphans: Vec<Waker> = calls.filter_map(wake).collect();
        drop(entries);
        orphans.into_iter().for_each(Waker::wake);
    }
}

impl Entries {
    fn note(&mut self, deadline: Instant) -> Alarm {
        let earlier = self.earliest.is_none_or(|it| deadline < it);
        if earlier {
            self.earliest = Some(deadline);
        }
        match (mem::replace(&mut self.swept, true), earlier) {
            (false, _) => Alarm::Start,
            (true, true) => Alarm::Wake,
            (true, false) => Alarm::None,
        }
    }
}

impl Entry {
    /// Returns the waker of a call that waits, whose state is this from now on.
    fn wake(&mut self, state: State) -> Option<Waker> {
        match mem::replace(&mut self.state, state) {
            State::Waiting(waker) => Some(waker),
            before @ (State::Endless | State::Expired | State::Orphaned) => {
                self.state = before;
                None
            }
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// The task that wakes a shard's calls; it ends when the shard is gone.
///
/// It runs on the runtime of the call that needed it first, and moves on when that is shut down.
struct Sweeper {
    shard: Weak<Shard>,
    changed: Arc<Notify>,
}

impl Sweeper {
    async fn run(self, sleep: Sleep) {
        let mut sleep = std::pin::pin!(sleep);
        let mut sleeps = true;
        let mut not_before = None;
        loop {
            let is_due = tokio::select! {
                biased;
                () = self.changed.notified() => false,
                () = sleep.as_mut(), if sleeps => true,
            };
            let Some(shard) = self.shard.upgrade() else {
                return;
            };
            if is_due {
                let now = Instant::now();
                shard.sweep(now);
                not_before = Some(now + TICK);
            }
            let earliest = shard.entries.lock().earliest;
            sleeps = earliest.is_some();
            if let Some(earliest) = earliest {
                sleep
                    .as_mut()
                    .reset(not_before.map_or(earliest, |it| it.max(earliest)));
            }
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(shard) = self.shard.upgrade() {
            shard.orphan();
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

/// How long a sweeper rests at least after a sweep, which looks at every call of its shard: a call
/// is told by this much too late at most. 200 sweeps a second of 10,000 calls that wait cost less
/// than a hundredth of a processor, and no time-out of a call is meant to the millisecond.
const TICK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
