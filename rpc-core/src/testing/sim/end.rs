//! What a process does with its side of a connection, and what arrives there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Poll;
use std::time::Duration;
use std::{io, mem};

use super::faults::Standing;
use super::flow::{Flow, Segment};
use super::stream::StreamState;
use super::world::{EndId, Interest, NodeId, Route, World};

/// One side of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: NodeId,
    pub(super) phase: Phase,
    pub(super) streams: BTreeMap<u64, StreamState>,
    /// The streams that the peer has opened and nobody has accepted.
    pub(super) unaccepted: VecDeque<u64>,
    /// How many values of the process stand for this side or a half of its streams.
    pub(super) handles: usize,
    /// We have said that there are no more streams, or the peer has.
    pub(super) closed: bool,
    streams_opened: u64,
    /// Over which cuts no acknowledgement comes.
    pub(super) dooms: BTreeSet<(Route, u64)>,
}

/// ```text
///   Dialling ─▶ Live ─▶ Dead
///   Idle ─────▶ Live ─▶ Dead
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Dialling,
    /// The side that was dialled does not know it yet, or has refused.
    Idle,
    Live,
    Dead(io::ErrorKind),
}

impl End {
    pub(super) fn new(node: NodeId, phase: Phase) -> Self {
        Self {
            node,
            phase,
            streams: BTreeMap::new(),
            unaccepted: VecDeque::new(),
            handles: usize::from(phase == Phase::Dialling),
            closed: false,
            streams_opened: 0,
            dooms: BTreeSet::new(),
        }
    }

    pub(super) fn forget_received(&mut self) {
        self.unaccepted.clear();
        self.streams
            .values_mut()
            .for_each(StreamState::forget_received);
    }
}

impl World {
    /// Opens a stream; `None` if the side is closed or dead, or has too many.
    pub(super) fn open_stream(&mut self, id: EndId) -> Option<u64> {
        let streams_max = self.config.streams_max.max(1);
        let end = self.end_mut(id)?;
        let own = |stream: &&u64| *stream % 2 == id.side as u64;
        let open = end.streams.keys().filter(own).count();
        if end.phase != Phase::Live || end.closed || open >= streams_max {
            return None;
        }
        let stream = end.streams_opened * 2 + id.side as u64;
        end.streams_opened += 1;
        end.streams.insert(stream, StreamState::default());
        end.handles += 2;
        Some(stream)
    }

    /// Accepts a stream; `None` once no more can come.
    pub(super) fn accept_stream(&mut self, id: EndId) -> Poll<Option<u64>> {
        if self.is_paused(id) {
            return Poll::Pending;
        }
        let Some(end) = self.end_mut(id) else {
            return Poll::Ready(None);
        };
        match end.unaccepted.pop_front() {
            Some(stream) => {
                end.handles += 2;
                Poll::Ready(Some(stream))
            }
            None if end.phase != Phase::Live || end.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Closes a side: what has arrived can still be read.
    pub(super) fn close(&mut self, now: Duration, id: EndId) {
        let Some(end) = self.end_mut(id) else {
            return;
        };
        let streams: Vec<u64> = end.streams.keys().copied().collect();
        for stream in streams {
            self.finish(now, id, stream);
            self.stop(now, id, stream);
        }
        self.say_goodbye(now, id);
        self.wake_end(id);
    }

    fn say_goodbye(&mut self, now: Duration, id: EndId) {
        let Some(end) = self.end_mut(id) else {
            return;
        };
        let first = !mem::replace(&mut end.closed, true);
        if first && end.phase == Phase::Live {
            // Streams that were opened and not used yet go on: the peer has to know of them by now.
            let streams: Vec<u64> = end.streams.keys().copied().collect();
            for stream in streams {
                self.announce(now, id, stream);
            }
            self.send(now, id, Segment::Goodbye);
        }
    }

    /// The process has dropped its connection, or the attempt to dial one.
    pub(super) fn release(&mut self, now: Duration, id: EndId) {
        let Some(end) = self.end_mut(id) else {
            return;
        };
        end.handles -= 1;
        let unaccepted: Vec<u64> = end.unaccepted.drain(..).collect();
        if end.phase == Phase::Dialling {
            // Whoever answers is told.
            end.phase = Phase::Dead(io::ErrorKind::ConnectionAborted);
        }
        for stream in unaccepted {
            self.finish(now, id, stream);
            self.stop(now, id, stream);
            self.end_mut(id).and_then(|it| it.streams.remove(&stream));
        }
        self.say_goodbye(now, id);
        self.sweep(id.connection);
    }

    /// Ends a side at once; what has arrived before can still be read.
    pub(super) fn kill(&mut self, id: EndId, kind: io::ErrorKind) {
        if let Some(connection) = self.connections.get_mut(&id.connection) {
            connection.ends[id.side].phase = Phase::Dead(kind);
            connection.flows[id.side].parked.clear();
            self.wake_end(id);
        }
    }

    /// Kills a side and tells its peer, if that can be told.
    pub(super) fn abort(&mut self, now: Duration, id: EndId) {
        self.kill(id, io::ErrorKind::ConnectionAborted);
        if self.route(id).is_some_and(|it| self.is_cut(it)) {
            self.drop_queue(now, id);
        } else {
            self.transmit(now, id, Segment::Reset);
        }
    }

    pub(super) fn wake_end(&mut self, id: EndId) {
        let Some(connection) = self.connections.get(&id.connection) else {
            return;
        };
        self.woken
            .extend([Interest::Dial(id), Interest::Streams(id)]);
        for &stream in connection.ends[id.side].streams.keys() {
            let both = [Interest::Read(id, stream), Interest::Write(id, stream)];
            self.woken.extend(both);
        }
    }

    /// Forgets a connection that nobody holds and on which nothing is under way.
    pub(super) fn sweep(&mut self, connection: u64) {
        let is_over = self.connections.get(&connection).is_some_and(|it| {
            let idle = |flow: &Flow| flow.queue.is_empty() && flow.parked.is_empty();
            it.ends.iter().all(|end| end.handles == 0) && it.flows.iter().all(idle)
        });
        if is_over {
            self.connections.remove(&connection);
        }
    }

    pub(super) fn is_paused(&self, id: EndId) -> bool {
        let standing = |(node, _): Route| self.nodes[node].standing;
        self.route(id).map(standing) == Some(Standing::Paused)
    }
}
