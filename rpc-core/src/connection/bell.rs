//! Wakers for parts of a task, which tell it which of them has something to do.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::{AtomicU8, Mutex, Ordering};

/// Which parts of a task have something to do, and whether the task has to be woken for it.
pub(super) struct Bell {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl Bell {
    /// Makes a bell that is rung for these parts: they have not been polled yet.
    pub(super) fn new(parts: u8) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(parts),
            task: Mutex::new(Waker::noop().clone()),
        })
    }

    /// Returns what rings for a part.
    pub(super) fn waker(self: &Arc<Self>, part: u8) -> Waker {
        let bell = Arc::clone(self);
        Waker::from(Arc::new(Rope { bell, part }))
    }

    /// Says whom to wake.
    pub(super) fn hang(&self, task: &Waker) {
        self.task.lock().clone_from(task);
    }

    /// The task is polled, and does what is rung for meanwhile without being woken.
    pub(super) fn begin(&self, task: &Waker) {
        self.hang(task);
        self.state.fetch_or(POLLED, Ordering::AcqRel);
    }

    /// Tells whether it was rung for a part since.
    pub(super) fn take(&self, part: u8) -> bool {
        let is_set = |state: u8| state & part != 0;
        // Mostly it was not, and to look costs less.
        is_set(self.state.load(Ordering::Acquire))
            && is_set(self.state.fetch_and(!part, Ordering::AcqRel))
    }

    /// The poll ends, unless there is something to do.
    pub(super) fn rest(&self) -> bool {
        let rested = self
            .state
            .compare_exchange(POLLED, 0, Ordering::AcqRel, Ordering::Acquire);
        rested.is_ok()
    }

    /// The poll ends; who ends it sees to it that there is another.
    pub(super) fn rest_anyway(&self) {
        self.state.fetch_and(!POLLED, Ordering::AcqRel);
    }

    fn ring(&self, part: u8) {
        // Whoever rings first, while the task is not polled, wakes it.
        if self.state.fetch_or(part, Ordering::AcqRel) == 0 {
            let task = self.task.lock().clone();
            task.wake();
        }
    }
}

struct Rope {
    bell: Arc<Bell>,
    part: u8,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.ring(self.part);
    }
}

/// The task is being polled; what is below are its parts.
const POLLED: u8 = 1 << 7;

/// A task that counts how often it is woken.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Woken(std::sync::atomic::AtomicUsize);

#[cfg(test)]
impl Woken {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
