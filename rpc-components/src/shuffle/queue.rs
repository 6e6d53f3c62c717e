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
    /// Returns how many of a queue's places it takes: all of them if it is larger than that.
    pub(super) const fn places(&self, place_bytes: usize, places_max: usize) -> usize {
        let Self::Records(records) = self;
        match records.len().div_ceil(place_bytes) {
            0 => 1,
            places if places > places_max => places_max,
            places => places,
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
    places_max: usize,
    place_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    /// How many places they take.
    filled: usize,
    end: Option<End>,
    is_reader_gone: bool,
    /// How many places the reader has emptied since the writer last asked.
    emptied: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Queue {
    /// Makes a queue that has places for so many segments of `place_bytes`: a larger one takes more of
    /// them.
    pub(super) fn new(places_max: u32, place_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            places_max: usize::try_from(places_max.max(1)).unwrap_or(usize::MAX),
            place_bytes: place_bytes.max(1),
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
        // The last may be larger than what is left.
        if state.filled >= self.places_max {
            keep(&mut state.writer, context);
            return Poll::Pending;
        }
        if let Some(segment) = segment.take() {
            let places = self.places(&segment);
            state.push(segment, places);
        }
        Poll::Ready(Ok(()))
    }

    /// Appends a segment for which there must be places, because the reader granted them.
    pub(super) fn push_granted(&self, segment: Segment) -> Result<(), PushError> {
        let mut state = self.state.lock();
        state.check_open()?;
        let places = self.places(&segment);
        if places > self.places_max.saturating_sub(state.filled) {
            return Err(PushError::Full);
        }
        state.push(segment, places);
        Ok(())
    }

    fn places(&self, segment: &Segment) -> usize {
        segment.places(self.place_bytes, self.places_max)
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
            let places = self.places(&segment);
            state.filled -= places;
            state.emptied = state.emptied.saturating_add(places);
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

    /// Waits until the reader has emptied places, and says how many; `None` when it takes no more.
    pub(super) fn poll_emptied(&self, context: &Context<'_>) -> Poll<Option<usize>> {
        let mut state = self.state.lock();
        if state.check_open().is_err() {
            return Poll::Ready(None);
        }
        if state.emptied > 0 {
            return Poll::Ready(Some(mem::take(&mut state.emptied)));
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

    fn push(&mut self, segment: Segment, places: usize) {
        self.filled += places;
        self.segments.push_back(segment);
        wake(&mut self.reader);
    }

    fn clear(&mut self) {
        self.segments = VecDeque::new();
        self.filled = 0;
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
