//! The endpoints that have a task, and what becomes of those that do nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, sleep};

use super::observe::tell;
use super::registry::AnyEndpoint;
use crate::watchdog::{Seen, Watched, tick};

/// Watches the endpoints of a service that have a task: those that are idle give it up, and those that
/// are kept from their work are told of.
///
/// Of a million endpoints most have none, and cost nothing here.
#[derive(Default)]
pub(super) struct Awake {
    list: Mutex<List>,
    /// There is somebody to watch.
    filled: Notify,
}

#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    /// How many entries there may be until those are looked for that have no task any more.
    enough: usize,
}

struct Entry {
    endpoint: Arc<dyn AnyEndpoint>,
    watched: Watched,
}

impl Awake {
    /// Watches an endpoint that has a task from now on.
    pub(super) fn add<E: AnyEndpoint + 'static>(&self, endpoint: &Arc<E>) {
        let mut list = self.list.lock();
        if endpoint.watched().swap(true, Ordering::Relaxed) {
            return;
        }
        if list.entries.len() >= list.enough {
            list.forget();
        }
        let is_first = list.entries.is_empty();
        list.entries.push(Entry {
            endpoint: Arc::clone(endpoint) as _,
            watched: Watched::new(Instant::now()),
        });
        drop(list);
        if is_first {
            self.filled.notify_one();
        }
    }

    /// Watches for as long as the future is polled. A main thread that is blocked for longer than the
    /// limit is told of.
    pub(super) async fn watch(&self, limit: Option<Duration>) {
        loop {
            if self.list.lock().entries.is_empty() {
                self.filled.notified().await;
            }
            sleep(limit.map_or(TICK, |limit| tick(limit).min(TICK))).await;
            let mut from = 0;
            while let Some(next) = self.look(from, limit) {
                from = next;
                yield_now().await;
            }
        }
    }

    /// Looks at some, from this one on. Returns with which to go on.
    fn look(&self, from: usize, limit: Option<Duration>) -> Option<usize> {
        let now = Instant::now();
        let (mut idle, mut stalled) = (Vec::new(), Vec::new());
        let mut list = self.list.lock();
        let entries = &mut list.entries;
        let (mut place, mut looks) = (from, 0);
        while looks < LOOKS_MAX && place < entries.len() {
            looks += 1;
            let Entry { endpoint, watched } = &mut entries[place];
            if !endpoint.has_task() {
                endpoint.watched().store(false, Ordering::Relaxed);
                entries.swap_remove(place);
                continue;
            }
            place += 1;
            match watched.look(now, endpoint.progress(), limit) {
                Seen::Busy => {}
                Seen::Idle => idle.push(Arc::clone(endpoint)),
                Seen::Stalled(stall) => stalled.push((Arc::clone(endpoint), stall)),
            }
        }
        let is_all = place >= entries.len();
        if is_all {
            list.fit();
        }
        drop(list);
        idle.iter().for_each(|it| it.rest());
        stalled.iter().for_each(|(it, stall)| tell(&**it, *stall));
        (!is_all).then_some(place)
    }
}

impl List {
    /// Forgets those that have no task any more, so that there are not many more than have one.
    fn forget(&mut self) {
        self.entries.retain(|it| {
            let has_task = it.endpoint.has_task();
            it.endpoint.watched().store(has_task, Ordering::Relaxed);
            has_task
        });
        self.fit();
    }

    fn fit(&mut self) {
        self.enough = ENTRIES_MIN.max(2 * self.entries.len());
        self.entries.shrink_to(self.enough);
    }
}

/// How often to look, if it is not sooner that main threads that are blocked are to be told of.
const TICK: Duration = Duration::from_secs(1);
/// How many are looked at while the list is locked.
const LOOKS_MAX: usize = 256;
/// A list of so many is short.
const ENTRIES_MIN: usize = 256;
