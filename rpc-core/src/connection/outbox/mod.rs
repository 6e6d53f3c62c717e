//! What waits to be written to a connection, and who writes it.
//!
//! Whoever has a frame puts it into the queue. If nobody is writing, it may write the queue itself,
//! from its own task: a hop to another task costs more than the write. What the stream does not take
//! at once, and what is not urgent, is left to the connection's own task, which writes all that has
//! come together by then. What is put in a [turn](crate::turn) is owed until its end, or until anybody
//! else writes; and of the callers that one read has answered the last to ask again writes for all.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use parking_lot::{Mutex, MutexGuard};
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

use crate::frame::{FrameBuffer, Header, Mark, Output, PutError};
use crate::turn::Owed;

/// The writing side of a connection, shared by all who send.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Locked only by whoever is writing. It is locked before the queue; whoever has locked the
    /// queue already may only try.
    writer: Mutex<Writer>,
    /// Wakes the connection's own task: there is something to write, or to close.
    work: Notify,
    /// How many bytes the stream has taken in all.
    written: AtomicU64,
    /// How many messages were put, which somebody waits for.
    messages: AtomicU64,
    limit: usize,
    /// The outbox of what is small, if this is of what is large: it is not to wait long.
    small: Option<Arc<Self>>,
}

struct Queue {
    frames: FrameBuffer,
    phase: Phase,
    /// How many frames are likely to be put before the connection's task has its turn: so many calls
    /// were answered together, and whoever was answered may ask again.
    expected: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is queued, and nobody writes.
    Idle,
    /// Somebody writes, or the connection's task is about to.
    Busy,
    /// Frames are queued whose senders write them when their turns end; whoever comes before may too.
    Owed,
    Closed,
}

struct Writer {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    /// What is being written.
    current: Output,
    /// The stream was full: the connection's task waits until it is not, or is about to.
    blocked: bool,
    /// How many small messages there were when a piece of what is large was begun.
    small_messages: u64,
    /// How many pieces are to be short, since there were more.
    short_pieces: u32,
}

/// Why a frame was not queued.
#[derive(Debug)]
pub(crate) enum SendError {
    Closed,
    Full { limit: usize },
    Put(PutError),
}

/// Whether the sender writes its frame itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// At once, if nobody else is writing.
    Now,
    /// Together with what others send meanwhile.
    Soon,
    /// When the sender's turn ends: it is to [pay](Owed::pay) then.
    Owed,
    /// By the connection's own task, however long that takes.
    Left,
}

/// Whether it is for the sender to see to it that its frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the frame is not written otherwise"]
pub(crate) enum Due {
    /// Somebody else does.
    Nothing,
    /// The sender is to [pay](Owed::pay).
    Flush,
}

impl Outbox {
    pub(crate) fn new(
        io: Box<dyn AsyncWrite + Send + Unpin>,
        limit: usize,
        small: Option<Arc<Self>>,
    ) -> Self {
        Self {
            queue: Mutex::new(Queue {
                frames: FrameBuffer::default(),
                phase: Phase::Idle,
                expected: 0,
            }),
            writer: Mutex::new(Writer {
                io,
                current: Output::default(),
                blocked: false,
                small_messages: 0,
                short_pieces: 0,
            }),
            work: Notify::new(),
            written: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            limit,
            small,
        }
    }

    /// Queues what `put` appends, and sees to it that it is written, unless the sender is to.
    pub(crate) fn send<T>(
        &self,
        urgency: Urgency,
        put: impl FnOnce(&mut FrameBuffer) -> Result<T, PutError>,
    ) -> Result<(T, Due), SendError> {
        self.send_within(self.limit, urgency, put)
    }

    /// Queues a frame without a body, which steers what others hold: there is room for it when there is
    /// none for messages. Where even that is full the peer does not read, and hears nothing more.
    pub(crate) fn send_empty(&self, urgency: Urgency, header: &Header) {
        let limit = self.limit.saturating_add(EMPTY_BYTES_MAX);
        let sent = self.send_within(limit, urgency, |out| {
            out.put_empty(header);
            Ok(())
        });
        if matches!(sent, Err(SendError::Full { .. })) {
            self.close();
        }
    }

    fn send_within<T>(
        &self,
        limit: usize,
        urgency: Urgency,
        put: impl FnOnce(&mut FrameBuffer) -> Result<T, PutError>,
    ) -> Result<(T, Due), SendError> {
        let mut queue = self.queue.lock();
        if queue.phase == Phase::Closed {
            return Err(SendError::Closed);
        }
        if queue.frames.len() >= limit {
            return Err(SendError::Full { limit });
        }
        let before = queue.frames.len();
        let put = put(&mut queue.frames).map_err(SendError::Put)?;
        if queue.frames.len() == before {
            return Ok((put, Due::Nothing));
        }
        let nobody_writes = queue.phase != Phase::Busy;
        if urgency == Urgency::Owed && queue.frames.len() < OWED_BYTES_MAX {
            let due = match queue.phase {
                Phase::Idle => Due::Flush,
                _ => Due::Nothing,
            };
            if nobody_writes {
                queue.phase = Phase::Owed;
            }
            return Ok((put, due));
        }
        queue.phase = Phase::Busy;
        // The last that is expected writes for all; if it does not come, the connection's task does.
        let among = queue.expected > 0;
        queue.expected = queue.expected.saturating_sub(1);
        match (among, queue.expected) {
            (true, 0) => self.write_now(self.writer.try_lock(), queue),
            (false, _) if nobody_writes && !matches!(urgency, Urgency::Soon | Urgency::Left) => {
                self.write_now(self.writer.try_lock(), queue);
            }
            _ if nobody_writes => self.work.notify_one(),
            _ => {}
        }
        Ok((put, Due::Nothing))
    }

    /// Counts a message that is put: while it is put, so that nobody else counts.
    pub(crate) fn count_message(&self) {
        let before = self.messages.load(Ordering::Relaxed);
        self.messages.store(before + 1, Ordering::Relaxed);
    }

    /// Takes over the last frame of another outbox, for the connection's task to write. Returns whether
    /// there is room for it.
    pub(crate) fn take_over(&self, from: &mut FrameBuffer, mark: Mark) -> bool {
        let mut queue = self.queue.lock();
        if queue.phase == Phase::Closed || queue.frames.len() >= self.limit {
            return false;
        }
        from.move_last(mark, &mut queue.frames);
        queue.phase = Phase::Busy;
        self.work.notify_one();
        true
    }

    /// Takes no more frames. Returns how many it was given in all.
    pub(crate) fn close_after(&self) -> u64 {
        self.close();
        self.queue.lock().frames.frames()
    }

    fn is_more_expected(&self) -> bool {
        let queue = self.queue.lock();
        queue.phase == Phase::Busy && queue.expected > 0
    }

    /// Says that about so many frames are put soon, so that they are one write.
    pub(crate) fn expect(&self, frames: usize) {
        self.queue.lock().expected = frames;
    }

    /// Has the connection's task write what is owed: the turn that owes it takes long.
    pub(crate) fn remind(&self) {
        let mut queue = self.queue.lock();
        if queue.phase == Phase::Owed {
            queue.phase = Phase::Busy;
            self.work.notify_one();
        }
    }

    fn write_now<'a>(
        &'a self,
        writer: Option<MutexGuard<'_, Writer>>,
        queue: MutexGuard<'a, Queue>,
    ) {
        let mut cx = Context::from_waker(Waker::noop());
        if writer.as_ref().is_some_and(|it| it.blocked) {
            // The connection's task is told by the stream when it may go on.
            return;
        }
        let written = writer.is_some_and(|mut writer| {
            let written = self.poll_write(&mut writer, queue, &mut cx);
            matches!(written, Poll::Ready(Ok(())))
        });
        if !written {
            // Also after an error: the connection's task meets it again, and ends.
            self.work.notify_one();
        }
    }

    /// Returns how many bytes the stream has taken in all, and whether it is to take more.
    pub(crate) fn progress(&self) -> (u64, bool) {
        let unwritten = !matches!(self.queue.lock().phase, Phase::Idle | Phase::Owed);
        (self.written.load(Ordering::Relaxed), unwritten)
    }

    /// Returns how many bytes wait that nobody has begun to write.
    pub(crate) fn queued(&self) -> usize {
        self.queue.lock().frames.len()
    }

    /// Takes no more frames; those that are queued are still written by [`drive`](Self::drive).
    pub(crate) fn close(&self) {
        self.queue.lock().phase = Phase::Closed;
        self.work.notify_one();
    }

    /// Takes no more frames, if none waits. Returns whether that is so.
    pub(crate) fn close_if_idle(&self) -> bool {
        let mut queue = self.queue.lock();
        let is_idle = queue.phase == Phase::Idle;
        if is_idle {
            queue.phase = Phase::Closed;
            self.work.notify_one();
        }
        is_idle
    }

    /// Tells whether no more frames are taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().phase == Phase::Closed
    }

    /// Lets go of the stream, whoever still holds the outbox. What is queued is lost.
    pub(crate) fn discard(&self) {
        let mut writer = self.writer.lock();
        let mut queue = self.queue.lock();
        queue.phase = Phase::Closed;
        queue.frames = FrameBuffer::default();
        writer.current = Output::default();
        writer.io = Box::new(tokio::io::sink());
    }

    /// Writes what others leave to it, until the outbox is closed or the stream fails.
    ///
    /// # Cancel safety
    ///
    /// What was taken out of the queue stays in the writer.
    pub(crate) async fn drive(&self) -> io::Result<()> {
        loop {
            self.work.notified().await;
            if self.is_more_expected() {
                // Those who were woken before have their turn first.
                tokio::task::yield_now().await;
            }
            let is_closed = poll_fn(|cx| {
                let mut writer = self.writer.lock();
                let mut queue = self.queue.lock();
                queue.expected = 0;
                let phase = queue.phase;
                if phase == Phase::Idle {
                    return Poll::Ready(Ok(false));
                }
                let written = self.poll_write(&mut writer, queue, cx);
                written.map_ok(|()| phase == Phase::Closed)
            })
            .await?;
            if is_closed {
                return poll_fn(|cx| Pin::new(&mut self.writer.lock().io).poll_shutdown(cx)).await;
            }
        }
    }

    /// Writes all that is queued, also what others add meanwhile.
    fn poll_write<'a>(
        &'a self,
        writer: &mut Writer,
        mut queue: MutexGuard<'a, Queue>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if writer.current.len() == 0 {
                if writer.current.capacity() > KEPT_BYTES_MAX {
                    writer.current = Output::default();
                }
                queue.frames.swap(&mut writer.current);
            }
            let all_taken = queue.frames.len() == 0;
            drop(queue);
            let small = self.small.as_ref();
            let piece = small.map_or(usize::MAX, |it| writer.next_piece(it));
            let written = writer.poll_write_all(cx, &self.written, piece);
            writer.blocked = written.is_pending();
            ready!(written)?;
            queue = self.queue.lock();
            if all_taken && queue.frames.len() == 0 {
                if queue.phase != Phase::Closed {
                    queue.phase = Phase::Idle;
                }
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Owed for Outbox {
    fn pay(&self) {
        let writer = self.writer.try_lock();
        let mut queue = self.queue.lock();
        if queue.phase == Phase::Owed {
            queue.phase = Phase::Busy;
            self.write_now(writer, queue);
        }
    }
}

impl Writer {
    /// Returns how much is written before other tasks have their turn. To give way costs as much as to
    /// write some of it, so that it is done less often if nothing small is about.
    fn next_piece(&mut self, small: &Outbox) -> usize {
        let messages = small.messages.load(Ordering::Relaxed);
        if mem::replace(&mut self.small_messages, messages) != messages {
            self.short_pieces = SHORT_PIECES;
        }
        match self.short_pieces.checked_sub(1) {
            Some(left) => {
                self.short_pieces = left;
                SHORT_PIECE_BYTES
            }
            None => PIECE_BYTES,
        }
    }

    /// Writes a piece of so many bytes at most, or less if that is all.
    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        written: &AtomicU64,
        piece: usize,
    ) -> Poll<io::Result<()>> {
        let mut left = piece;
        while self.current.len() > 0 {
            if left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let io = Pin::new(&mut self.io);
            let n = if let Some(bytes) = self.current.as_one(left) {
                ready!(io.poll_write(cx, bytes))?
            } else {
                self.current.prepare(left.min(PIECE_BYTES));
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = self.current.slices(&mut slices, left);
                ready!(io.poll_write_vectored(cx, &slices[..filled]))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.current.advance(n);
            left -= n;
            // Only who has the writer counts, so that nothing is lost between the two.
            let before = written.load(Ordering::Relaxed);
            written.store(before + n as u64, Ordering::Relaxed);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

/// How many bytes of frames without a body may wait beside those of messages.
const EMPTY_BYTES_MAX: usize = 1 << 20;
/// Larger buffers are given back: a connection that once sent much does not keep the memory.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// How many pieces one write takes: some payloads, and the frames between them.
const SLICES: usize = 16;
/// How much of what is large is made ready and written before other tasks have their turn: the reader is
/// at work on the beginning meanwhile.
const PIECE_BYTES: usize = 512 << 10;
/// The same while small messages come and go beside it.
const SHORT_PIECE_BYTES: usize = 128 << 10;
/// So many pieces are short after something small.
const SHORT_PIECES: u32 = 32;
/// More than this is not put off to the end of a turn: it is a write that pays by itself.
const OWED_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests;
