//! What waits to be written to a connection, and who writes it.
//!
//! Whoever has a frame puts it into the queue. If nobody is writing, it may write the queue itself,
//! from its own task: a hop to another task costs more than the write. What the stream does not take
//! at once, and what is not urgent, is left to the connection's own task, which writes all that has
//! come together by then.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

use crate::frame::PutError;

/// The writing side of a connection, shared by all who send.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Locked only by whoever is writing. It is locked before the queue; whoever has locked the
    /// queue already may only try.
    writer: Mutex<Writer>,
    /// Wakes the connection's own task: there is something to write, or to close.
    work: Notify,
    limit: usize,
}

struct Queue {
    bytes: BytesMut,
    /// An emptied buffer, for the next swap.
    spare: BytesMut,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is queued, and nobody writes.
    Idle,
    /// Somebody writes, or the connection's task is about to.
    Busy,
    Closed,
}

struct Writer {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    /// What is being written.
    current: BytesMut,
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
}

impl Outbox {
    pub(crate) fn new(io: Box<dyn AsyncWrite + Send + Unpin>, limit: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                bytes: BytesMut::new(),
                spare: BytesMut::new(),
                phase: Phase::Idle,
            }),
            writer: Mutex::new(Writer {
                io,
                current: BytesMut::new(),
            }),
            work: Notify::new(),
            limit,
        }
    }

    /// Queues what `put` appends, and sees to it that it is written.
    pub(crate) fn send(
        &self,
        urgency: Urgency,
        put: impl FnOnce(&mut BytesMut) -> Result<(), PutError>,
    ) -> Result<(), SendError> {
        let mut queue = self.queue.lock();
        if queue.phase == Phase::Closed {
            return Err(SendError::Closed);
        }
        if queue.bytes.len() >= self.limit {
            return Err(SendError::Full { limit: self.limit });
        }
        put(&mut queue.bytes).map_err(SendError::Put)?;
        if queue.phase == Phase::Idle {
            queue.phase = Phase::Busy;
            let writer = match urgency {
                Urgency::Now => self.writer.try_lock(),
                Urgency::Soon => None,
            };
            let mut cx = Context::from_waker(Waker::noop());
            let written = writer.is_some_and(|mut writer| {
                let written = self.poll_write(&mut writer, queue, &mut cx);
                matches!(written, Poll::Ready(Ok(())))
            });
            if !written {
                // Also after an error: the connection's task meets it again, and ends.
                self.work.notify_one();
            }
        }
        Ok(())
    }

    /// Takes no more frames; those that are queued are still written by [`drive`](Self::drive).
    pub(crate) fn close(&self) {
        self.queue.lock().phase = Phase::Closed;
        self.work.notify_one();
    }

    /// Writes what others leave to it, until the outbox is closed or the stream fails.
    ///
    /// # Cancel safety
    ///
    /// What was taken out of the queue stays in the writer.
    pub(crate) async fn drive(&self) -> io::Result<()> {
        loop {
            self.work.notified().await;
            poll_fn(|cx| {
                let mut writer = self.writer.lock();
                let queue = self.queue.lock();
                match queue.phase {
                    Phase::Idle => Poll::Ready(Ok(())),
                    Phase::Busy | Phase::Closed => self.poll_write(&mut writer, queue, cx),
                }
            })
            .await?;
            if self.queue.lock().phase == Phase::Closed {
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
            if writer.current.is_empty() {
                let spare = mem::replace(&mut writer.current, mem::take(&mut queue.bytes));
                queue.bytes = mem::replace(&mut queue.spare, BytesMut::new());
                if spare.capacity() <= KEPT_BYTES_MAX {
                    queue.spare = spare;
                }
            }
            let all_taken = queue.bytes.is_empty();
            drop(queue);
            ready!(writer.poll_write_all(cx))?;
            queue = self.queue.lock();
            if all_taken && queue.bytes.is_empty() {
                if queue.phase == Phase::Busy {
                    queue.phase = Phase::Idle;
                }
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Writer {
    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.current.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.current))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.current.advance(n);
        }
        self.current.clear();
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

/// Larger buffers are given back: a connection that once sent much does not keep the memory.
const KEPT_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use bytes::{BufMut, BytesMut};
    use parking_lot::Mutex;
    use tokio::io::AsyncWrite;

    use super::{Outbox, SendError, Urgency};
    use crate::frame::PutError;

    #[test]
    fn an_urgent_frame_is_written_by_its_sender() {
        let (outbox, written) = outbox(Pace::All);
        send(&outbox, Urgency::Now, "one").unwrap();
        send(&outbox, Urgency::Now, "two").unwrap();
        assert_eq!(written.lock().text, "onetwo");
        assert_eq!(written.lock().writes, 2);
    }

    #[test]
    fn what_is_not_urgent_is_written_together() {
        let (outbox, written) = outbox(Pace::All);
        let mut drive = pin!(outbox.drive());
        assert!(poll(&mut drive).is_pending());
        send(&outbox, Urgency::Soon, "one").unwrap();
        // Nobody overtakes what is queued.
        send(&outbox, Urgency::Now, "two").unwrap();
        assert_eq!(written.lock().text, "");
        assert!(poll(&mut drive).is_pending());
        assert_eq!(written.lock().text, "onetwo");
        assert_eq!(written.lock().writes, 1);
        // The stream is free again.
        send(&outbox, Urgency::Now, "three").unwrap();
        assert_eq!(written.lock().text, "onetwothree");
    }

    #[tokio::test]
    async fn a_stream_that_takes_little_by_little_gets_all_in_order() {
        let (outbox, written) = outbox(Pace::ByteByByte);
        let expected: String = (0..200).map(|it| format!("{it},")).collect();
        let sending = async {
            for number in 0..200 {
                let urgency = [Urgency::Now, Urgency::Soon][number % 2];
                send(&outbox, urgency, &format!("{number},")).unwrap();
                if number % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            outbox.close();
        };
        let (driven, ()) = tokio::join!(outbox.drive(), sending);
        driven.unwrap();
        assert_eq!(written.lock().text, expected);
        assert!(written.lock().shut);
    }

    #[test]
    fn a_closed_outbox_writes_what_it_has_and_takes_no_more() {
        let (outbox, written) = outbox(Pace::All);
        send(&outbox, Urgency::Soon, "last").unwrap();
        outbox.close();
        let refusal = send(&outbox, Urgency::Now, "more").unwrap_err();
        assert!(matches!(refusal, SendError::Closed));
        assert_eq!(written.lock().text, "");
        let mut drive = pin!(outbox.drive());
        assert!(matches!(poll(&mut drive), Poll::Ready(Ok(()))));
        assert_eq!(written.lock().text, "last");
        assert!(written.lock().shut);
    }

    #[test]
    fn a_full_outbox_takes_no_more_until_it_is_written() {
        let (outbox, written) = outbox(Pace::Never);
        let mut drive = pin!(outbox.drive());
        // This one is being written, and does not count.
        send(&outbox, Urgency::Now, "first").unwrap();
        assert!(poll(&mut drive).is_pending());
        // The last frame may go beyond the limit: it is of bytes, and a frame is not cut.
        send(&outbox, Urgency::Now, &"x".repeat(LIMIT - 1)).unwrap();
        send(&outbox, Urgency::Now, "yy").unwrap();
        let refusal = send(&outbox, Urgency::Now, "z").unwrap_err();
        assert!(matches!(refusal, SendError::Full { limit: LIMIT }));
        written.lock().pace = Pace::All;
        assert!(poll(&mut drive).is_pending());
        let expected = format!("first{}yy", "x".repeat(LIMIT - 1));
        assert_eq!(written.lock().text, expected);
        send(&outbox, Urgency::Now, "z").unwrap();
        assert_eq!(written.lock().text, expected + "z");
    }

    #[test]
    fn a_frame_that_cannot_be_put_changes_nothing() {
        let (outbox, written) = outbox(Pace::All);
        let too_large = PutError::TooLarge { size: 2, limit: 1 };
        let refusal = outbox.send(Urgency::Now, |_| Err(too_large)).unwrap_err();
        assert!(matches!(
            refusal,
            SendError::Put(PutError::TooLarge { size: 2, limit: 1 })
        ));
        send(&outbox, Urgency::Now, "next").unwrap();
        assert_eq!(written.lock().text, "next");
    }

    #[test]
    fn a_stream_that_fails_ends_the_connection_not_the_sender() {
        for (pace, kind) in [
            (Pace::Broken, io::ErrorKind::BrokenPipe),
            (Pace::Nothing, io::ErrorKind::WriteZero),
        ] {
            let (outbox, _) = outbox(pace);
            send(&outbox, Urgency::Now, "lost").unwrap();
            let mut drive = pin!(outbox.drive());
            let Poll::Ready(Err(error)) = poll(&mut drive) else {
                panic!("the connection goes on");
            };
            assert_eq!(error.kind(), kind);
        }
    }

    #[test]
    fn closing_while_a_sender_writes_blocks_nobody() {
        for _ in 0..500 {
            let (outbox, _) = outbox(Pace::All);
            let start = std::sync::Barrier::new(3);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    while send(&outbox, Urgency::Now, "x").is_ok() {}
                });
                scope.spawn(|| {
                    let mut drive = pin!(outbox.drive());
                    start.wait();
                    while poll(&mut drive).is_pending() {}
                });
                start.wait();
                outbox.close();
            });
        }
    }

    /// How a stream takes what is written to it.
    #[derive(Clone, Copy, Debug)]
    enum Pace {
        All,
        Broken,
        ByteByByte,
        Never,
        Nothing,
    }

    struct Written {
        pace: Pace,
        text: String,
        writes: usize,
        shut: bool,
    }

    struct Stream {
        written: Arc<Mutex<Written>>,
        ready: bool,
    }

    impl AsyncWrite for Stream {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            let mut written = self.written.lock();
            let taken = match written.pace {
                Pace::All => bytes.len(),
                Pace::Broken => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Pace::ByteByByte if self.ready => 1,
                Pace::ByteByByte => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Pace::Never => return Poll::Pending,
                Pace::Nothing => 0,
            };
            written.writes += 1;
            let text = str::from_utf8(&bytes[..taken]).unwrap();
            written.text.push_str(text);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.written.lock().shut = true;
            Poll::Ready(Ok(()))
        }
    }

    fn outbox(pace: Pace) -> (Outbox, Arc<Mutex<Written>>) {
        let written = Arc::new(Mutex::new(Written {
            pace,
            text: String::new(),
            writes: 0,
            shut: false,
        }));
        let stream = Stream {
            written: Arc::clone(&written),
            ready: false,
        };
        (Outbox::new(Box::new(stream), LIMIT), written)
    }

    fn send(outbox: &Outbox, urgency: Urgency, text: &str) -> Result<(), SendError> {
        outbox.send(urgency, |out: &mut BytesMut| {
            out.put_slice(text.as_bytes());
            Ok(())
        })
    }

    fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
        let mut cx = Context::from_waker(Waker::noop());
        future.as_mut().poll(&mut cx)
    }

    const LIMIT: usize = 1 << 10;
}
