//! The streams of a connection, as one side sees them.

use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;
use std::{io, mem};

use bytes::Bytes;

use super::end::{End, Phase};
use super::flow::Segment;
use super::trace::SimEventKind;
use super::world::{EndId, Interest, World};

/// A stream, as one side sees it.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    inbox: VecDeque<u8>,
    /// Nothing more comes.
    ended: bool,
    /// What the process has read, and the peer has no credit for yet.
    owed: usize,
    /// The peer knows of the stream.
    announced: bool,
    /// What was written, and not read yet as far as we know.
    unread: usize,
    /// We write no more.
    finished: bool,
    /// The peer reads no more.
    stopped: bool,
    reader_gone: bool,
    writer_gone: bool,
}

/// A half of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Reader,
    Writer,
}

impl StreamState {
    /// Forgets what the process has not read and never will.
    pub(super) fn forget_received(&mut self) {
        self.inbox = VecDeque::new();
    }
}

impl World {
    pub(super) fn read(
        &mut self,
        now: Duration,
        id: EndId,
        stream: u64,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_paused(id) {
            return Poll::Pending;
        }
        let window = self.config.window_bytes.max(1);
        let Some((end, state)) = self.stream_mut(id, stream) else {
            return Poll::Ready(Ok(0));
        };
        if state.inbox.is_empty() && !into.is_empty() {
            return match end {
                _ if state.ended => Poll::Ready(Ok(0)),
                Phase::Dead(kind) => Poll::Ready(Err(kind.into())),
                Phase::Dialling | Phase::Idle | Phase::Live => Poll::Pending,
            };
        }
        let count = into.len().min(state.inbox.len());
        for (into, byte) in into.iter_mut().zip(state.inbox.drain(..count)) {
            *into = byte;
        }
        state.owed += count;
        if end == Phase::Live && state.owed * 2 >= window {
            let credit = Segment::Credit(stream, mem::take(&mut state.owed));
            self.transmit(now, id, credit);
        }
        Poll::Ready(Ok(count))
    }

    pub(super) fn write(
        &mut self,
        now: Duration,
        id: EndId,
        stream: u64,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_paused(id) {
            return Poll::Pending;
        }
        let window = self.config.window_bytes.max(1);
        let Some((end, state)) = self.stream_mut(id, stream) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if let Phase::Dead(kind) = end {
            return Poll::Ready(Err(kind.into()));
        }
        if state.finished || state.stopped {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(window - state.unread);
        if count == 0 {
            return match bytes.len() {
                0 => Poll::Ready(Ok(0)),
                _ => Poll::Pending,
            };
        }
        state.unread += count;
        self.announce(now, id, stream);
        let data = Bytes::copy_from_slice(&bytes[..count]);
        self.transmit(now, id, Segment::Data(stream, data));
        Poll::Ready(Ok(count))
    }

    /// Says that no more will be written.
    pub(super) fn finish(&mut self, now: Duration, id: EndId, stream: u64) {
        let Some((end, state)) = self.stream_mut(id, stream) else {
            return;
        };
        let first = !mem::replace(&mut state.finished, true);
        if first && end == Phase::Live {
            self.announce(now, id, stream);
            self.send(now, id, Segment::Fin(stream));
        }
    }

    /// Says that no more will be read.
    pub(super) fn stop(&mut self, now: Duration, id: EndId, stream: u64) {
        let Some((end, state)) = self.stream_mut(id, stream) else {
            return;
        };
        let was_ended = mem::replace(&mut state.ended, true);
        if !was_ended && end == Phase::Live {
            self.announce(now, id, stream);
            self.send(now, id, Segment::Stop(stream));
        }
    }

    pub(super) fn announce(&mut self, now: Duration, id: EndId, stream: u64) {
        let own = stream % 2 == id.side as u64;
        if let Some((_, state)) = self.stream_mut(id, stream)
            && !mem::replace(&mut state.announced, true)
            && own
        {
            self.send(now, id, Segment::Open(stream));
        }
    }

    /// The process has dropped a half of a stream.
    pub(super) fn release_half(&mut self, now: Duration, id: EndId, stream: u64, half: Half) {
        match half {
            Half::Reader => self.stop(now, id, stream),
            Half::Writer => self.finish(now, id, stream),
        }
        if let Some((_, state)) = self.stream_mut(id, stream) {
            match half {
                Half::Reader => state.reader_gone = true,
                Half::Writer => state.writer_gone = true,
            }
            if half == Half::Reader {
                state.forget_received();
            }
            let is_gone = state.reader_gone && state.writer_gone;
            if let Some(end) = self.end_mut(id) {
                end.handles -= 1;
                if is_gone {
                    end.streams.remove(&stream);
                }
            }
        }
        self.sweep(id.connection);
    }

    /// Takes what has arrived at a side that is alive.
    pub(super) fn receive(&mut self, now: Duration, id: EndId, segment: Segment) {
        match segment {
            Segment::Open(stream) => {
                let streams_max = self.config.streams_max.max(1);
                let takes = |it: &&mut End| !it.closed && it.unaccepted.len() < streams_max;
                if let Some(end) = self.end_mut(id).filter(takes) {
                    end.streams.insert(stream, StreamState::default());
                    end.unaccepted.push_back(stream);
                    self.woken.push(Interest::Streams(id));
                } else {
                    self.transmit(now, id, Segment::Fin(stream));
                    self.transmit(now, id, Segment::Stop(stream));
                }
            }
            Segment::Data(stream, data) => self.receive_data(now, id, stream, &data),
            Segment::Fin(stream) => {
                if let Some((_, state)) = self.stream_mut(id, stream) {
                    state.ended = true;
                    self.woken.push(Interest::Read(id, stream));
                }
            }
            Segment::Stop(stream) => {
                if let Some((_, state)) = self.stream_mut(id, stream) {
                    state.stopped = true;
                    self.woken.push(Interest::Write(id, stream));
                }
            }
            Segment::Credit(stream, bytes) => {
                if let Some((_, state)) = self.stream_mut(id, stream) {
                    // What was delivered twice was also read twice.
                    state.unread = state.unread.saturating_sub(bytes);
                    self.woken.push(Interest::Write(id, stream));
                }
            }
            Segment::Goodbye => {
                if let Some(end) = self.end_mut(id) {
                    end.closed = true;
                    self.woken.push(Interest::Streams(id));
                }
            }
            // The handshake's, which are not for a connection that stands.
            Segment::Syn | Segment::SynAck | Segment::Refusal => {}
            Segment::Established | Segment::Reset => {}
        }
    }

    fn receive_data(&mut self, now: Duration, id: EndId, stream: u64, data: &[u8]) {
        self.record_data(now, SimEventKind::Deliver, id.peer(), data);
        let twice = self.draw_duplicate(id.peer());
        if twice {
            self.record_data(now, SimEventKind::Duplicate, id.peer(), data);
        }
        if let Some((_, state)) = self.stream_mut(id, stream)
            && !state.ended
        {
            state.inbox.extend(data);
            if twice {
                state.inbox.extend(data);
            }
            self.woken.push(Interest::Read(id, stream));
        }
    }

    fn stream_mut(&mut self, id: EndId, stream: u64) -> Option<(Phase, &mut StreamState)> {
        let end = self.end_mut(id)?;
        let phase = end.phase;
        end.streams.get_mut(&stream).map(|it| (phase, it))
    }
}
