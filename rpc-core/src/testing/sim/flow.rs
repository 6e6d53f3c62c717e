//! What is under way: from a side that sends to the side that gets it, in order.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use bytes::Bytes;

use super::end::Phase;
use super::faults::Standing;
use super::trace::SimEventKind;
use super::world::{EndId, Node, NodeId, Route, World};

/// What one side has sent and the other has not got.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// When each is due. Nothing overtakes what was sent before it, also if it is due earlier.
    pub(super) queue: VecDeque<(Duration, Segment)>,
    /// What the process had to send while it was paused.
    pub(super) parked: VecDeque<Segment>,
    pub(super) held: bool,
}

/// What goes over a connection.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// The first of a dial, and its answers.
    Syn,
    SynAck,
    Refusal,
    /// The dialler has heard the answer.
    Established,
    /// A stream is used for the first time.
    Open(u64),
    Data(u64, Bytes),
    /// There is no more data to come.
    Fin(u64),
    /// No more data is wanted.
    Stop(u64),
    /// So many bytes were read.
    Credit(u64, usize),
    /// There are no more streams to come, nor wanted.
    Goodbye,
    /// The sender's side is dead.
    Reset,
}

impl World {
    /// Sends what a process has to send: later, if it is paused.
    pub(super) fn send(&mut self, now: Duration, from: EndId, segment: Segment) {
        let Some(connection) = self.connections.get_mut(&from.connection) else {
            return;
        };
        let node = connection.ends[from.side].node;
        if self.nodes[node].standing == Standing::Paused {
            connection.flows[from.side].parked.push_back(segment);
        } else {
            self.transmit(now, from, segment);
        }
    }

    /// Puts a segment on its way.
    pub(super) fn transmit(&mut self, now: Duration, from: EndId, segment: Segment) {
        let Some((sender, receiver)) = self.route(from) else {
            return;
        };
        match &segment {
            Segment::Data(_, data) => self.record_data(now, SimEventKind::Send, from, data),
            Segment::Fin(_) => self.record(now, SimEventKind::Finish, from),
            Segment::Goodbye => self.record(now, SimEventKind::Close, from),
            _ => {}
        }
        let bytes = match &segment {
            Segment::Data(_, data) => data.len(),
            _ => 0,
        };
        let departs = self.departs(now, [sender, receiver], bytes);
        let arrives = departs + self.draw_latency((sender, receiver));
        let connection = self.connections.get_mut(&from.connection);
        let flow = &mut connection.expect("it has a route").flows[from.side];
        flow.queue.push_back((arrives, segment));
        self.schedule_delivery(arrives, from);
    }

    /// Returns when the last of so many bytes has left, over the slower of two nodes' links.
    fn departs(&mut self, now: Duration, nodes: [NodeId; 2], bytes: usize) -> Duration {
        let limited = |node: &Node| node.bytes_per_second.map(|rate| (rate, node.busy_until));
        let limits = nodes.iter().filter_map(|&it| limited(&self.nodes[it]));
        let slower = limits.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let Some((rate, free)) = slower.filter(|_| nodes[0] != nodes[1]) else {
            return now;
        };
        let micros = (bytes as u64).saturating_mul(1_000_000) / rate.max(1);
        let departs = now.max(free) + Duration::from_micros(micros);
        for node in nodes {
            self.nodes[node].busy_until = departs;
        }
        departs
    }

    /// Delivers what is due of a direction.
    pub(super) fn deliver(&mut self, now: Duration, from: EndId) {
        while let Some((sender, receiver)) = self.route(from) {
            let is_cut = self.is_cut((sender, receiver));
            let is_full = self.nodes[receiver].backlog.len() >= self.config.accept_backlog.max(1);
            let connection = self.connections.get_mut(&from.connection);
            let flow = &mut connection.expect("it has a route").flows[from.side];
            let segment = match flow.queue.front_mut() {
                Some((due, segment)) if *due <= now => {
                    if is_full && matches!(segment, Segment::Syn | Segment::Established) {
                        *due = now + BACKLOG_RETRY;
                        self.schedule_delivery(now + BACKLOG_RETRY, from);
                        break;
                    }
                    segment.clone()
                }
                _ => break,
            };
            if is_cut {
                self.hold(now, from, (sender, receiver));
                break;
            }
            flow.queue.pop_front();
            self.arrive(now, from, segment);
        }
        self.sweep(from.connection);
    }

    /// Leaves what cannot pass where it is; nobody sends again what a dead side has sent.
    fn hold(&mut self, now: Duration, from: EndId, route: Route) {
        let Some(connection) = self.connections.get_mut(&from.connection) else {
            return;
        };
        let flow = &mut connection.flows[from.side];
        if matches!(connection.ends[from.side].phase, Phase::Dead(_)) {
            return self.drop_queue(now, from);
        }
        let is_credit = |it: &(Duration, Segment)| matches!(it.1, Segment::Credit(..));
        let waits = !flow.queue.iter().all(is_credit);
        if !mem::replace(&mut flow.held, true) {
            self.record(now, SimEventKind::Hold, from);
        }
        if waits {
            self.doom(now, from, route);
        }
    }

    /// Loses what is under way: nobody is there to send it again.
    pub(super) fn drop_queue(&mut self, now: Duration, from: EndId) {
        if let Some(connection) = self.connections.get_mut(&from.connection) {
            connection.flows[from.side].queue.clear();
            self.record(now, SimEventKind::Drop, from);
        }
    }
}

/// As TCP sends a SYN again that got no answer.
const BACKLOG_RETRY: Duration = Duration::from_secs(1);
