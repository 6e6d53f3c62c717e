//! A short queue with one writer and one reader, each a task's thread or a stream's future.
//!
//! Both sides poll, and the queue keeps the waker of each. It ends in one of two ways: the writer
//! says so, with or without a failure, or the reader goes away.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use super::ChannelError;

/// What travels through a channel, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Segment {
    /// Some records, one after the other.
    Records(Bytes),
}

impl Segment {
    const fn bytes(&self) -> usize {
        match self {
            Self::Records(records) => records.len(),
        }
    }
}

/// How a queue ends.
#[derive(Clone, Debug)]
pub(super) enum End {
    Failed(ChannelError),
    Finished,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub(super) enum Popped {
    End(End),
    Segment(Segment),
}

/// Why a segment was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushError {
    /// The queue was ended by somebody else, who released it.
    Ended,
    /// There is no room.
    Full,
    /// Nobody reads any more.
    ReaderGone,
}

#[derive(Debug)]
pub(super) struct Queue {
    segments_max: usize,
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    bytes: usize,
    end: Option<End>,
    is_reader_gone: bool,
    /// How many segments the reader took since the writer last asked.
    taken: u32,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Queue {
    /// Makes a queue for so many segments, of about `segment_bytes` each: a few large ones fill it,
    /// too.
    pub(super) fn new(segments_max: u32, segment_bytes: usize) -> Arc<Self> {
        let segments_max = usize::try_from(segments_max.max(1)).unwrap_or(usize::MAX);
        Arc::new(Self {
            segments_max,
            bytes_max: segments_max.saturating_mul(segment_bytes),
            state: Mutex::default(),
        })
    }

    /// Appends a segment as soon as there is room, and takes it out of `segment` then.
    pub(super) fn poll_push(
        &self,
        segment: &mut Option<Segment>,
        context: &Context<'_>,
    ) -> Poll<Result<(), PushError>> {
        let mut state = self.state.lock();
        if let Err(error) = state.check_open() {
            return Poll::Ready(Err(error));
        }
        let is_full = state.segments.len() >= self.segments_max || state.bytes >= self.bytes_max;
        if is_full {
            keep(&mut state.writer, context);
            return Poll::Pending;
        }
        if let Some(segment) = segment.take() {
            state.push(segment);
        }
        Poll::Ready(Ok(()))
    }

    /// Appends a segment for which there must be a place, because the reader granted it.
    pub(super) fn push_granted(&self, segment: Segment) -> Result<(), PushError> {
        let mut state = self.state.lock();
        state.check_open()?;
        if state.segments.len() >= self.segments_max {
            return Err(PushError::Full);
        }
        state.push(segment);
        Ok(())
    }

    /// Ends the queue, unless it has ended.
    ///
    /// The reader first gets what is in it; but a failure overtakes it, since what the reader makes
    /// of the rest is then of no use to anyone.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        if matches!(end, End::Failed(_)) {
            state.clear();
        }
        state.end = Some(end);
        state.wake_both();
    }

    /// Fails the queue even if it has finished, as long as the reader has not seen the end. One
    /// that has failed keeps its reason, which tells more.
    pub(super) fn release(&self) {
        let mut state = self.state.lock();
        if matches!(state.end, Some(End::Failed(_))) {
            return;
        }
        state.clear();
        state.end = Some(End::Failed(ChannelError::Released));
        state.wake_both();
    }

    /// Takes the next segment, or says how the queue ended.
    fn poll_pop(&self, context: &Context<'_>) -> Poll<Popped> {
        let mut state = self.state.lock();
        if let Some(segment) = state.segments.pop_front() {
            state.bytes -= segment.bytes();
            state.taken += 1;
            wake(&mut state.writer);
            return Poll::Ready(Popped::Segment(segment));
        }
        if let Some(end) = &state.end {
            return Poll::Ready(Popped::End(end.clone()));
        }
        keep(&mut state.reader, context);
        Poll::Pending
    }

    /// Waits until the queue has failed; whoever reads it polls either this or
    /// [`poll_pop`](Self::poll_pop).
    fn poll_failure(&self, context: &Context<'_>) -> Poll<ChannelError> {
        let mut state = self.state.lock();
        if let Some(End::Failed(error)) = &state.end {
            return Poll::Ready(error.clone());
        }
        keep(&mut state.reader, context);
        Poll::Pending
    }

    /// Waits until the reader has taken segments, and says how many; `None` when it takes no more.
    pub(super) fn poll_taken(&self, context: &Context<'_>) -> Poll<Option<u32>> {
        let mut state = self.state.lock();
        if state.check_open().is_err() {
            return Poll::Ready(None);
        }
        if state.taken > 0 {
            return Poll::Ready(Some(mem::take(&mut state.taken)));
        }
        keep(&mut state.writer, context);
        Poll::Pending
    }

    fn close_reader(&self) {
        let mut state = self.state.lock();
        state.is_reader_gone = true;
        state.clear();
        state.wake_both();
    }
}

impl State {
    const fn check_open(&self) -> Result<(), PushError> {
        if self.is_reader_gone {
            return Err(PushError::ReaderGone);
        }
        if self.end.is_some() {
            return Err(PushError::Ended);
        }
        Ok(())
    }

    fn push(&mut self, segment: Segment) {
        self.bytes += segment.bytes();
        self.segments.push_back(segment);
        wake(&mut self.reader);
    }

    fn clear(&mut self) {
        self.segments = VecDeque::new();
        self.bytes = 0;
    }

    fn wake_both(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

/// The right to read a queue; when it is dropped, the writer learns that nobody reads.
#[derive(Debug)]
pub(super) struct QueueReader(Arc<Queue>);

impl QueueReader {
    /// Takes the reading end. There must be one only.
    pub(super) const fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }

    /// As [`Queue::poll_pop`].
    pub(super) fn poll_pop(&self, context: &Context<'_>) -> Poll<Popped> {
        self.0.poll_pop(context)
    }

    /// As [`Queue::poll_failure`].
    pub(super) fn poll_failure(&self, context: &Context<'_>) -> Poll<ChannelError> {
        self.0.poll_failure(context)
    }
}

impl Drop for QueueReader {
    fn drop(&mut self) {
        self.0.close_reader();
    }
}

fn keep(place: &mut Option<Waker>, context: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(context.waker()),
        None => *place = Some(context.waker().clone()),
    }
}

fn wake(place: &mut Option<Waker>) {
    if let Some(waker) = place.take() {
        waker.wake();
    }
}
