//! What a test does to the network and its nodes.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::end::{End, Phase};
use super::trace::{SimEvent, SimEventKind};
use super::world::{Connection, EndId, Interest, NodeId, Route, World};

/// One way between two nodes.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) is_cut: bool,
    /// How often it was cut.
    pub(super) cuts: u64,
    pub(super) latency: Option<RangeInclusive<Duration>>,
    /// How likely a chunk arrives twice.
    pub(super) duplicate: f64,
}

/// How a node's process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Running,
    Paused,
    Crashed,
}

/// Why a node cannot listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenError {
    Taken,
    Crashed,
}

impl World {
    pub(super) fn is_cut(&self, route: Route) -> bool {
        self.links.get(&route).is_some_and(|it| it.is_cut)
    }

    pub(super) fn link_mut(&mut self, route: Route) -> &mut Link {
        self.links.entry(route).or_default()
    }

    /// Draws how long a segment is under way; a node is near to itself.
    pub(super) fn draw_latency(&mut self, route: Route) -> Duration {
        if route.0 == route.1 {
            return Duration::ZERO;
        }
        let own = self.links.get(&route).and_then(|it| it.latency.as_ref());
        let range = own.unwrap_or(&self.config.latency).clone();
        self.draw_duration(&range)
    }

    /// Draws a time of this range, in whole microseconds.
    pub(super) fn draw_duration(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let micros = |it: &Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
        let (from, to) = (micros(range.start()), micros(range.end()));
        Duration::from_micros(self.random.u64(from..=to.max(from)))
    }

    pub(super) fn draw_duplicate(&mut self, from: EndId) -> bool {
        let link = self.route(from).and_then(|it| self.links.get(&it));
        let likely = link.map_or(0.0, |it| it.duplicate);
        likely > 0.0 && self.random.f64() < likely
    }

    /// Cuts a link one way.
    pub(super) fn cut(&mut self, now: Duration, route: Route) {
        let link = self.link_mut(route);
        if route.0 != route.1 && !link.is_cut {
            link.is_cut = true;
            link.cuts += 1;
            self.record_link(now, SimEventKind::Cut, route);
        }
    }

    /// Cuts a node from all others, both ways.
    pub(super) fn isolate(&mut self, now: Duration, node: NodeId) {
        for other in 0..self.nodes.len() {
            self.cut(now, (node, other));
            self.cut(now, (other, node));
        }
    }

    /// Heals a link one way: what was held is sent again.
    pub(super) fn heal(&mut self, now: Duration, route: Route) {
        if !std::mem::replace(&mut self.link_mut(route).is_cut, false) {
            return;
        }
        self.record_link(now, SimEventKind::Heal, route);
        for from in self.ends() {
            if self.route(from) == Some(route) {
                self.send_again(now, from, route);
            }
        }
    }

    pub(super) fn heal_all(&mut self, now: Duration) {
        let routes: Vec<Route> = self.links.keys().copied().collect();
        for route in routes {
            self.heal(now, route);
        }
    }

    /// Makes what is overdue arrive as if it were sent now; the rest comes after it.
    fn send_again(&mut self, now: Duration, from: EndId, route: Route) {
        let is_overdue = |connection: &Connection| {
            let front = connection.flows[from.side].queue.front();
            front.is_some_and(|(due, _)| *due <= now)
        };
        if !self
            .connections
            .get(&from.connection)
            .is_some_and(is_overdue)
        {
            return;
        }
        let arrives = now + self.draw_latency(route);
        if let Some(connection) = self.connections.get_mut(&from.connection) {
            let flow = &mut connection.flows[from.side];
            flow.held = false;
            flow.queue.front_mut().expect("it is overdue").0 = arrives;
            self.schedule_delivery(arrives, from);
        }
    }

    /// Ends all connections between two nodes at both sides, at once.
    pub(super) fn reset(&mut self, now: Duration, nodes: [NodeId; 2]) {
        for end in self.ends() {
            let Some((from, to)) = self.route(end) else {
                continue;
            };
            if [from, to] == nodes || [to, from] == nodes {
                self.reset_end(now, end);
            }
        }
    }

    fn reset_end(&mut self, now: Duration, id: EndId) {
        let alive = |it: &mut End| matches!(it.phase, Phase::Dialling | Phase::Live);
        if self.end_mut(id).is_some_and(alive) {
            self.record(now, SimEventKind::Reset, id);
            self.kill(id, io::ErrorKind::ConnectionReset);
        }
        if let Some(connection) = self.connections.get_mut(&id.connection) {
            connection.flows[id.side].queue.clear();
        }
        self.sweep(id.connection);
    }

    pub(super) fn slow(&mut self, now: Duration, node: NodeId, bytes_per_second: Option<u64>) {
        self.nodes[node].bytes_per_second = bytes_per_second;
        self.nodes[node].busy_until = now;
        let bytes = bytes_per_second.and_then(|it| usize::try_from(it).ok());
        let mut event = self.event(now, SimEventKind::Slow, node);
        event.bytes = bytes.unwrap_or_default();
        self.recorder.record(event);
    }

    pub(super) fn pause(&mut self, now: Duration, node: NodeId) {
        if self.nodes[node].standing == Standing::Running {
            self.nodes[node].standing = Standing::Paused;
            self.record_node(now, SimEventKind::Pause, node);
        }
    }

    pub(super) fn resume(&mut self, now: Duration, node: NodeId) {
        if self.nodes[node].standing != Standing::Paused {
            return;
        }
        self.nodes[node].standing = Standing::Running;
        self.record_node(now, SimEventKind::Resume, node);
        self.woken.push(Interest::Accept(node));
        for id in self.ends_of(node) {
            self.wake_end(id);
            let connection = self.connections.get_mut(&id.connection);
            let parked = connection.map(|it| std::mem::take(&mut it.flows[id.side].parked));
            for segment in parked.into_iter().flatten() {
                self.transmit(now, id, segment);
            }
        }
    }

    /// Ends a node's process: its kernel resets the peers that it can reach, once.
    pub(super) fn crash(&mut self, now: Duration, node: NodeId) {
        if self.nodes[node].standing == Standing::Crashed {
            return;
        }
        self.record_node(now, SimEventKind::Crash, node);
        self.nodes[node].standing = Standing::Crashed;
        self.unlisten(now, node);
        for id in self.ends_of(node) {
            let Some(end) = self.end_mut(id) else {
                continue;
            };
            end.forget_received();
            if matches!(end.phase, Phase::Dialling | Phase::Live) {
                self.abort(now, id);
            }
        }
    }

    /// Starts a crashed node anew.
    pub(super) fn restart(&mut self, now: Duration, node: NodeId) {
        self.crash(now, node);
        self.nodes[node].standing = Standing::Running;
        self.nodes[node].incarnation += 1;
        self.record_node(now, SimEventKind::Restart, node);
    }

    /// Returns how the process stands that a node had when it was started for this time.
    pub(super) fn standing(&self, node: NodeId, incarnation: u64) -> Standing {
        let node = &self.nodes[node];
        if node.incarnation == incarnation {
            node.standing
        } else {
            Standing::Crashed
        }
    }

    pub(super) fn listen(
        &mut self,
        now: Duration,
        node: NodeId,
        incarnation: u64,
    ) -> Result<(), ListenError> {
        if self.standing(node, incarnation) == Standing::Crashed {
            return Err(ListenError::Crashed);
        }
        if std::mem::replace(&mut self.nodes[node].listens, true) {
            return Err(ListenError::Taken);
        }
        self.record_node(now, SimEventKind::Listen, node);
        Ok(())
    }

    /// Accepts a connection; `None` if the process is no more.
    pub(super) fn accept(&mut self, node: NodeId, incarnation: u64) -> Poll<Option<EndId>> {
        match self.standing(node, incarnation) {
            Standing::Crashed => Poll::Ready(None),
            Standing::Paused => Poll::Pending,
            Standing::Running => match self.nodes[node].backlog.pop_front() {
                Some(end) => Poll::Ready(Some(end)),
                None => Poll::Pending,
            },
        }
    }

    pub(super) fn unlisten(&mut self, now: Duration, node: NodeId) {
        self.nodes[node].listens = false;
        self.woken.push(Interest::Accept(node));
        for id in std::mem::take(&mut self.nodes[node].backlog) {
            self.abort(now, id);
            self.release(now, id);
        }
    }

    fn ends(&self) -> Vec<EndId> {
        let sides = |&connection| [0, 1].map(|side| EndId { connection, side });
        self.connections.keys().flat_map(sides).collect()
    }

    fn ends_of(&self, node: NodeId) -> Vec<EndId> {
        let mut ends = self.ends();
        ends.retain(|&end| self.route(end).is_some_and(|(from, _)| from == node));
        ends
    }

    fn event(&self, at: Duration, kind: SimEventKind, node: NodeId) -> SimEvent {
        SimEvent {
            at,
            kind,
            from: Arc::clone(&self.nodes[node].name),
            to: "".into(),
            connection: 0,
            bytes: 0,
            checksum: 0,
        }
    }

    fn record_node(&mut self, at: Duration, kind: SimEventKind, node: NodeId) {
        let event = self.event(at, kind, node);
        self.recorder.record(event);
    }

    fn record_link(&mut self, at: Duration, kind: SimEventKind, (from, to): Route) {
        let mut event = self.event(at, kind, from);
        event.to = Arc::clone(&self.nodes[to].name);
        self.recorder.record(event);
    }
}
