use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

/// A bounded buffer of bytes that one half writes and the other reads.
///
/// It is not tokio's duplex, whose end can be seen only by dropping it: a connection has to end the
/// pipes of streams that others own.
#[derive(Debug)]
pub(crate) struct Pipe {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Nothing more will be written: reads see the end once the buffer is empty.
    finished: bool,
    /// Nothing more will be read: writes fail.
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                bytes: VecDeque::new(),
                capacity,
                finished: false,
                broken: false,
                reader: None,
                writer: None,
            }),
        }
    }

    /// Ends the pipe from outside: what is in it can still be read.
    pub(crate) fn end(&self) {
        self.update(|state| {
            state.finished = true;
            state.broken = true;
        });
    }

    /// Changes how the pipe stands, and wakes both halves to look at it.
    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let wakers = [state.reader.take(), state.writer.take()];
        // A waker runs foreign code, which must not find the lock held.
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let progress = ready!(coop::poll_proceed(cx));
        let mut state = self.state.lock();
        if state.broken || state.finished {
            progress.made_progress();
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let room = state.capacity - state.bytes.len();
        if room == 0 && offered > 0 {
            remember(&mut state.writer, cx);
            return Poll::Pending;
        }
        let mut left = room;
        for slice in slices {
            let taken = slice.len().min(left);
            state.bytes.extend(&slice[..taken]);
            left -= taken;
        }
        let reader = state.reader.take();
        drop(state);
        progress.made_progress();
        if let Some(reader) = reader {
            reader.wake();
        }
        Poll::Ready(Ok(room - left))
    }

    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let progress = ready!(coop::poll_proceed(cx));
        let mut state = self.state.lock();
        if state.bytes.is_empty() && !state.finished && into.remaining() > 0 {
            remember(&mut state.reader, cx);
            return Poll::Pending;
        }
        let read = into.remaining().min(state.bytes.len());
        let (front, back) = state.bytes.as_slices();
        let from_front = read.min(front.len());
        into.put_slice(&front[..from_front]);
        into.put_slice(&back[..read - from_front]);
        state.bytes.drain(..read);
        let writer = state.writer.take();
        drop(state);
        progress.made_progress();
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

/// The half that reads. Dropping it breaks the pipe for the writer.
#[derive(Debug)]
pub(crate) struct PipeReader {
    pipe: Arc<Pipe>,
}

impl PipeReader {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe }
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pipe.poll_read(cx, into)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.pipe.update(|state| {
            state.broken = true;
            mem::take(&mut state.bytes);
        });
    }
}

/// The half that writes. Dropping it is the end of the stream for the reader.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    pipe: Arc<Pipe>,
}

impl PipeWriter {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe }
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pipe.poll_write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.update(|state| state.finished = true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.pipe.update(|state| state.finished = true);
    }
}

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}
