//! The network as a state machine: who is connected to whom, and what arrives when.
//!
//! It has no tasks, no wakers and no clock. Each operation is told the time; what is under way lies
//! in queues, one for each direction of a connection, and an agenda says when to look at which:
//!
//! ```text
//!   operation ─▶ transmit ─▶ flow of the sender ══ agenda ══▶ deliver ─▶ arrive ─▶ side of the peer
//!                                   ▲                            │ the link is cut: it stays here
//!                                   └────────────────────────────┘ until the link heals
//! ```
//!
//! The segments are TCP's: a dial is a handshake of three, data is acknowledged (here: by the credit
//! for more), and what comes to a dead side is answered with a reset, which is sent only once.
//!
//! What somebody may be waiting for goes to `woken`.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::config::SimConfig;
use super::end::{End, Phase};
use super::faults::{Link, Standing};
use super::flow::{Flow, Segment};
use super::trace::{Recorder, SimEvent, SimEventKind};
use crate::frame::checksum;

/// The whole network.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: SimConfig,
    pub(super) random: fastrand::Rng,
    pub(super) nodes: Vec<Node>,
    pub(super) links: BTreeMap<Route, Link>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) recorder: Recorder,
    /// What has changed, for those who wait for it.
    pub(super) woken: Vec<Interest>,
    connections_made: u64,
    agenda: BTreeMap<(Duration, u64), Task>,
    tasks_made: u64,
}

/// A node, by its place in [`World::nodes`].
pub(super) type NodeId = usize;

/// One way from a node to another.
pub(super) type Route = (NodeId, NodeId);

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Arc<str>,
    /// How often the node was started.
    pub(super) incarnation: u64,
    pub(super) standing: Standing,
    pub(super) listens: bool,
    /// The connections that wait to be accepted.
    pub(super) backlog: VecDeque<EndId>,
    pub(super) bytes_per_second: Option<u64>,
    /// Until when a slow node's link is busy with what was sent already.
    pub(super) busy_until: Duration,
}

/// One side of a connection: 0 has dialled, 1 was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndId {
    pub(super) connection: u64,
    pub(super) side: usize,
}

impl EndId {
    pub(super) const fn peer(self) -> Self {
        Self {
            connection: self.connection,
            side: 1 - self.side,
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    pub(super) flows: [Flow; 2],
}

/// What somebody may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interest {
    Accept(NodeId),
    Dial(EndId),
    Streams(EndId),
    Read(EndId, u64),
    Write(EndId, u64),
}

#[derive(Debug)]
enum Task {
    Deliver(EndId),
    /// Gives a side up if a link is still cut as it was.
    GiveUp(EndId, Route, u64),
}

impl World {
    pub(super) fn new(config: SimConfig) -> Self {
        Self {
            random: fastrand::Rng::with_seed(config.seed),
            nodes: Vec::new(),
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            recorder: Recorder::new(config.trace_events_max),
            woken: Vec::new(),
            connections_made: 0,
            agenda: BTreeMap::new(),
            tasks_made: 0,
            config,
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|it| *it.name == *name)
    }

    pub(super) fn add_node(&mut self, name: &str) -> NodeId {
        self.nodes.push(Node {
            name: name.into(),
            incarnation: 1,
            standing: Standing::Running,
            listens: false,
            backlog: VecDeque::new(),
            bytes_per_second: None,
            busy_until: Duration::ZERO,
        });
        self.nodes.len() - 1
    }

    /// Returns when something is due next.
    pub(super) fn due(&self) -> Option<Duration> {
        self.agenda.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Does all that is due by `now`, each at its own time.
    pub(super) fn advance(&mut self, now: Duration) {
        while let Some(entry) = self.agenda.first_entry() {
            let at = entry.key().0;
            if at > now {
                return;
            }
            match entry.remove() {
                Task::Deliver(from) => self.deliver(at, from),
                Task::GiveUp(end, route, cuts) => self.give_up(at, end, route, cuts),
            }
        }
    }

    pub(super) fn connect(&mut self, now: Duration, from: NodeId, to: NodeId) -> EndId {
        self.connections_made += 1;
        let connection = Connection {
            ends: [End::new(from, Phase::Dialling), End::new(to, Phase::Idle)],
            flows: <[Flow; 2]>::default(),
        };
        self.connections.insert(self.connections_made, connection);
        let end = EndId {
            connection: self.connections_made,
            side: 0,
        };
        self.record(now, SimEventKind::Dial, end);
        self.send(now, end, Segment::Syn);
        end
    }

    /// Makes a segment of a direction due again.
    pub(super) fn schedule_delivery(&mut self, at: Duration, from: EndId) {
        self.schedule(at, Task::Deliver(from));
    }

    fn schedule(&mut self, at: Duration, task: Task) {
        self.tasks_made += 1;
        self.agenda.insert((at, self.tasks_made), task);
    }

    /// Gives a side up later, unless the link heals: it gets no acknowledgement over it.
    pub(super) fn doom(&mut self, now: Duration, end: EndId, route: Route) {
        let (Some(after), Some(link)) = (self.config.give_up_after, self.links.get(&route)) else {
            return;
        };
        let cuts = link.cuts;
        let Some(doomed) = self.end_mut(end) else {
            return;
        };
        if doomed.dooms.insert((route, cuts)) {
            self.schedule(now + after, Task::GiveUp(end, route, cuts));
        }
    }

    fn give_up(&mut self, now: Duration, id: EndId, route: Route, cuts: u64) {
        let Some(end) = self.end_mut(id) else {
            return;
        };
        end.dooms.remove(&(route, cuts));
        let alive = matches!(end.phase, Phase::Dialling | Phase::Live);
        let same_cut = |link: &Link| link.is_cut && link.cuts == cuts;
        if alive && self.links.get(&route).is_some_and(same_cut) {
            self.record(now, SimEventKind::GiveUp, id);
            self.kill(id, io::ErrorKind::TimedOut);
            self.schedule(now, Task::Deliver(id));
        }
    }

    pub(super) fn arrive(&mut self, now: Duration, from: EndId, segment: Segment) {
        let to = from.peer();
        if let Some((sender, receiver)) = self.route(from)
            && self.is_cut((receiver, sender))
            && !matches!(segment, Segment::Credit(..))
        {
            self.doom(now, from, (receiver, sender));
        }
        let Some(end) = self.end_mut(to) else {
            return;
        };
        match (segment, end.phase) {
            (Segment::Syn, _) => self.answer_dial(now, to),
            (Segment::SynAck, Phase::Dialling) => {
                end.phase = Phase::Live;
                self.woken.push(Interest::Dial(to));
                self.transmit(now, to, Segment::Established);
            }
            (Segment::Refusal, Phase::Dialling) => {
                self.record(now, SimEventKind::Refuse, to.peer());
                self.kill(to, io::ErrorKind::ConnectionRefused);
            }
            (Segment::Established, Phase::Live) => self.admit(now, to),
            (Segment::Reset, Phase::Dialling | Phase::Live) => {
                self.record(now, SimEventKind::Reset, to);
                self.kill(to, io::ErrorKind::ConnectionReset);
            }
            (Segment::Reset | Segment::Refusal, _) | (_, Phase::Idle) => {}
            (_, Phase::Dead(_)) => self.transmit(now, to, Segment::Reset),
            (segment, _) => self.receive(now, to, segment),
        }
    }

    fn answer_dial(&mut self, now: Duration, id: EndId) {
        let Some(connection) = self.connections.get_mut(&id.connection) else {
            return;
        };
        let end = &mut connection.ends[id.side];
        let answer = if self.nodes[end.node].listens {
            end.phase = Phase::Live;
            Segment::SynAck
        } else {
            Segment::Refusal
        };
        self.transmit(now, id, answer);
    }

    /// Lets a connection that stands wait until it is accepted.
    fn admit(&mut self, now: Duration, id: EndId) {
        let Some(end) = self.end_mut(id) else {
            return;
        };
        let node = end.node;
        if !self.nodes[node].listens {
            return self.abort(now, id);
        }
        // The node's own handle, until the process takes it over.
        self.end_mut(id).expect("it was found").handles = 1;
        self.nodes[node].backlog.push_back(id);
        self.woken.push(Interest::Accept(node));
        self.record(now, SimEventKind::Accept, id);
    }

    pub(super) fn route(&self, from: EndId) -> Option<Route> {
        let ends = &self.connections.get(&from.connection)?.ends;
        Some((ends[from.side].node, ends[1 - from.side].node))
    }

    pub(super) fn peer_name(&self, id: EndId) -> String {
        let peer = self
            .route(id)
            .map(|(_, peer)| self.nodes[peer].name.to_string());
        peer.unwrap_or_default()
    }

    pub(super) fn end_mut(&mut self, id: EndId) -> Option<&mut End> {
        let connection = self.connections.get_mut(&id.connection)?;
        Some(&mut connection.ends[id.side])
    }

    pub(super) fn record(&mut self, now: Duration, kind: SimEventKind, from: EndId) {
        self.record_data(now, kind, from, &[]);
    }

    pub(super) fn record_data(
        &mut self,
        at: Duration,
        kind: SimEventKind,
        from: EndId,
        data: &[u8],
    ) {
        let Some((sender, receiver)) = self.route(from) else {
            return;
        };
        self.recorder.record(SimEvent {
            at,
            kind,
            from: Arc::clone(&self.nodes[sender].name),
            to: Arc::clone(&self.nodes[receiver].name),
            connection: from.connection,
            bytes: data.len(),
            checksum: checksum(0, data),
        });
    }
}
