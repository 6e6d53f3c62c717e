//! The state machine under tokio's clock: who waits is woken, and what is due is done.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::config::SimConfig;
use super::node::SimNode;
use super::trace::SimTrace;
use super::world::{Interest, NodeId, World};

/// A network in memory, on which a test says what goes wrong and all else follows from the seed.
///
/// A clone is the same network. Names of nodes are told apart without regard to case, as those of
/// hosts are. What is done to a node or a link takes effect at once, also on what is under way.
///
/// # Panics
///
/// All that takes a node's name panics if there is no such node: a fault that hits nobody shows
/// nothing.
#[derive(Clone)]
pub struct SimNetwork {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Something is due earlier than the driver thinks.
    earlier: Arc<Notify>,
    /// A node was paused, resumed, crashed or restarted.
    standing_changed: Notify,
}

struct State {
    world: World,
    clock: Clock,
    wakers: BTreeMap<Interest, Vec<Waker>>,
    /// Until when the driver sleeps; `None` is for ever.
    driver_due: Option<Duration>,
    driver: Option<AbortHandle>,
    crash_hooks: BTreeMap<NodeId, Vec<CrashHook>>,
}

type CrashHook = Box<dyn FnOnce() + Send>;

/// The time since the network's first use under a runtime.
#[derive(Default)]
struct Clock {
    /// An instant, and the network's time then.
    base: Option<(Instant, Duration)>,
    latest: Duration,
}

impl SimNetwork {
    /// Makes a network without nodes. Its time begins with the first use of a transport.
    #[must_use]
    pub fn new(config: SimConfig) -> Self {
        let state = State {
            world: World::new(config),
            clock: Clock::default(),
            wakers: BTreeMap::new(),
            driver_due: None,
            driver: None,
            crash_hooks: BTreeMap::new(),
        };
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                earlier: Arc::new(Notify::new()),
                standing_changed: Notify::new(),
            }),
        }
    }

    /// Makes a network of the default configuration with this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::new(SimConfig::seeded(seed))
    }

    /// Returns the node of this name, which is made if there is none.
    #[must_use]
    pub fn node(&self, name: &str) -> SimNode {
        let name = name.to_ascii_lowercase();
        let (id, incarnation) = self.with(|world, _| {
            let found = world.find(&name);
            let id = found.unwrap_or_else(|| world.add_node(&name));
            (id, world.nodes[id].incarnation)
        });
        SimNode::new(self.clone(), name, id, incarnation)
    }

    /// Cuts all that goes from one node to another, but not what comes back.
    ///
    /// What is under way is held, as TCP sends it again and again, until the link heals or the sender
    /// [gives up](SimConfig::give_up_after). Who gets no acknowledgement gives up as well.
    pub fn cut(&self, from: &str, to: &str) {
        self.with(|world, now| world.cut(now, (id(world, from), id(world, to))));
    }

    /// Cuts two nodes from each other, both ways.
    pub fn partition(&self, one: &str, other: &str) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Cuts a node from all that there are now, both ways.
    pub fn isolate(&self, name: &str) {
        self.with(|world, now| {
            let node = id(world, name);
            world.isolate(now, node);
        });
    }

    /// Heals the links between two nodes, both ways.
    pub fn heal(&self, one: &str, other: &str) {
        self.with(|world, now| {
            let (one, other) = (id(world, one), id(world, other));
            world.heal(now, (one, other));
            world.heal(now, (other, one));
        });
    }

    /// Heals all links. Paused and crashed nodes stay so, and slow ones slow.
    pub fn heal_all(&self) {
        self.with(|world, now| world.heal_all(now));
    }

    /// Lets only so many bytes a second out of and into a node, both together; `None` is no limit.
    pub fn slow(&self, name: &str, bytes_per_second: impl Into<Option<u64>>) {
        let limit = bytes_per_second.into();
        self.with(|world, now| world.slow(now, id(world, name), limit));
    }

    /// Draws latencies from this range from now on, save between nodes that have their own.
    pub fn set_latency(&self, latency: RangeInclusive<Duration>) {
        self.with(|world, _| world.config.latency = latency);
    }

    /// Draws latencies between two nodes from this range from now on.
    pub fn set_latency_between(&self, one: &str, other: &str, latency: RangeInclusive<Duration>) {
        self.with(|world, _| {
            let (one, other) = (id(world, one), id(world, other));
            world.link_mut((one, other)).latency = Some(latency.clone());
            world.link_mut((other, one)).latency = Some(latency);
        });
    }

    /// Delivers what goes from one node to another twice, each chunk with this probability.
    ///
    /// A chunk is what was written at once. No transport does this; it shows what a protocol does
    /// about frames that come again.
    pub fn duplicate(&self, from: &str, to: &str, probability: f64) {
        self.with(|world, _| {
            let route = (id(world, from), id(world, to));
            world.link_mut(route).duplicate = probability;
        });
    }

    /// Resets all connections between two nodes, at once and at both.
    pub fn reset(&self, one: &str, other: &str) {
        self.with(|world, now| world.reset(now, [id(world, one), id(world, other)]));
    }

    /// Pauses a node's process as `SIGSTOP` does, as far as that can be: see the
    /// [module](super#what-a-pause-and-a-crash-are).
    pub fn pause(&self, name: &str) {
        self.with(|world, now| world.pause(now, id(world, name)));
        self.inner.standing_changed.notify_waiters();
    }

    /// Lets a paused process go on; it sees what has come meanwhile.
    pub fn resume(&self, name: &str) {
        self.with(|world, now| world.resume(now, id(world, name)));
        self.inner.standing_changed.notify_waiters();
    }

    /// Ends a node's process without a goodbye, and runs what was to run
    /// [on its crash](SimNode::on_crash).
    ///
    /// Peers that can be reached see their connections reset; others hear nothing. Dials to the node
    /// are refused.
    pub fn crash(&self, name: &str) {
        let node = self.with(|world, now| {
            let node = id(world, name);
            world.crash(now, node);
            node
        });
        self.crashed(node);
    }

    /// Starts a node's process anew, after a crash if it runs, and returns it.
    #[must_use]
    pub fn restart(&self, name: &str) -> SimNode {
        let node = self.with(|world, now| {
            let node = id(world, name);
            world.restart(now, node);
            node
        });
        self.crashed(node);
        self.node(name)
    }

    fn crashed(&self, node: NodeId) {
        self.inner.standing_changed.notify_waiters();
        let hooks = self.inner.state.lock().crash_hooks.remove(&node);
        hooks.into_iter().flatten().for_each(|hook| hook());
    }

    /// Returns what has happened until now.
    #[must_use]
    pub fn trace(&self) -> SimTrace {
        self.with(|world, _| world.recorder.trace())
    }

    /// Returns how much time has passed on this network.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.with(|_, now| now)
    }

    pub(super) fn on_crash(&self, node: NodeId, hook: CrashHook) {
        let mut state = self.inner.state.lock();
        state.crash_hooks.entry(node).or_default().push(hook);
    }

    pub(super) fn standing_changed(&self) -> &Notify {
        &self.inner.standing_changed
    }

    /// Forgets what keeps things alive that keep the network alive.
    pub(super) fn finish(&self) -> SimTrace {
        let hooks = std::mem::take(&mut self.inner.state.lock().crash_hooks);
        // Foreign code, which must not find the lock held.
        drop(hooks);
        self.with(|world, _| {
            world.recorder.stir(world.random.u64(..));
            world.recorder.stir(fastrand::u64(..));
            world.recorder.trace()
        })
    }

    /// Does something to the network, and wakes whom it concerns.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut World, Duration) -> T) -> T {
        let mut state = self.inner.state.lock();
        let (result, due) = state.act(act);
        self.wake(state, due);
        result
    }

    /// Polls something that the network is asked for.
    pub(super) fn poll<T>(
        &self,
        cx: &Context<'_>,
        interest: Interest,
        poll: impl FnOnce(&mut World, Duration) -> Poll<T>,
    ) -> Poll<T> {
        let mut state = self.inner.state.lock();
        let (result, due) = state.act(poll);
        if result.is_pending() {
            let wakers = state.wakers.entry(interest).or_default();
            if !wakers.iter().any(|it| it.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
        }
        self.wake(state, due);
        result
    }

    fn wake(&self, mut state: parking_lot::MutexGuard<'_, State>, due: Option<Duration>) {
        let mut wakers = Vec::new();
        for interest in std::mem::take(&mut state.world.woken) {
            wakers.extend(state.wakers.remove(&interest).into_iter().flatten());
        }
        let is_earlier = due.is_some_and(|due| state.driver_due.is_none_or(|it| due < it));
        // A waker runs foreign code, which must not find the lock held.
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if is_earlier {
            self.inner.earlier.notify_one();
        }
    }

    /// Starts the network's clock and the task that does what is due, in the current runtime.
    pub(super) fn start(&self) {
        let mut state = self.inner.state.lock();
        if state.driver.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        // A runtime before this one may have had another clock.
        let now = state.clock.latest;
        state.clock.base = Some((Instant::now(), now));
        state.driver_due = None;
        let network = Arc::downgrade(&self.inner);
        let driving = tokio::spawn(drive(network, Arc::clone(&self.inner.earlier)));
        state.driver = Some(driving.abort_handle());
    }
}

impl State {
    /// Does what is due before and after, and returns when something is due next.
    fn act<T>(&mut self, act: impl FnOnce(&mut World, Duration) -> T) -> (T, Option<Duration>) {
        let now = self.clock.now();
        self.world.advance(now);
        let result = act(&mut self.world, now);
        self.world.advance(now);
        (result, self.world.due())
    }
}

impl Clock {
    fn now(&mut self) -> Duration {
        if let Some((base, at)) = self.base {
            self.latest = self.latest.max(at + base.elapsed());
        }
        self.latest
    }

    fn instant(&self, due: Duration) -> Option<Instant> {
        let (base, at) = self.base?;
        base.checked_add(due.saturating_sub(at))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(driver) = &self.state.get_mut().driver {
            driver.abort();
        }
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNetwork").finish_non_exhaustive()
    }
}

/// Does what is due when it is due, for as long as the network lives.
async fn drive(inner: Weak<Inner>, earlier: Arc<Notify>) {
    loop {
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let network = SimNetwork { inner };
        network.with(|_, _| ());
        let due = {
            let mut state = network.inner.state.lock();
            state.driver_due = state.world.due();
            state.driver_due.and_then(|due| state.clock.instant(due))
        };
        drop(network);
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = earlier.notified() => {}
            () = sleep => {}
        }
    }
}

pub(super) fn id(world: &World, name: &str) -> NodeId {
    let found = world.find(&name.to_ascii_lowercase());
    found.unwrap_or_else(|| panic!("there is no node {name} in this network"))
}
