//! The consumer's side: one task's channels, read in turn.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinHandle;

use super::queue::{End, Popped, QueueReader};
use super::{ReadError, Segment};
use crate::gateway::InputChannel;
use crate::operator::Cancellation;

/// All that a task reads from other tasks.
#[derive(Debug)]
pub struct InputGate {
    channels: Vec<Channel>,
    /// The channel that is asked first next time.
    next: usize,
    cancellation: Cancellation,
}

/// What a gate has to say when it is asked and not waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Polled {
    /// Every producer has finished.
    End,
    /// There is nothing yet.
    Pending,
    /// The next segment.
    Segment(Segment),
}

impl InputGate {
    pub(super) const fn new(channels: Vec<Channel>, cancellation: Cancellation) -> Self {
        Self {
            channels,
            next: 0,
            cancellation,
        }
    }

    /// Returns what is at hand, without waiting.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a channel failed: it names the partition and the peer.
    pub fn poll(&mut self) -> Result<Polled, ReadError> {
        match self.poll_next(&Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Some(segment))) => Ok(Polled::Segment(segment)),
            Poll::Ready(Ok(None)) => Ok(Polled::End),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(Polled::Pending),
        }
    }

    /// Waits, on the task's own thread, for the next segment; `None` when every producer has
    /// finished.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll), and [`ReadError::Canceled`] if the task is cancelled.
    pub fn next_segment(&mut self) -> Result<Option<Segment>, ReadError> {
        let cancellation = self.cancellation.clone();
        cancellation.block_on(poll_fn(|context| self.poll_next(context)))?
    }

    fn poll_next(&mut self, context: &Context<'_>) -> Poll<Result<Option<Segment>, ReadError>> {
        let mut asked = 0;
        while asked < self.channels.len() {
            if self.next >= self.channels.len() {
                self.next = 0;
            }
            let channel = &self.channels[self.next];
            match channel.reader.poll_pop(context) {
                Poll::Pending => {
                    self.next += 1;
                    asked += 1;
                }
                Poll::Ready(Popped::Segment(segment)) => {
                    self.next += 1;
                    return Poll::Ready(Ok(Some(segment)));
                }
                Poll::Ready(Popped::End(End::Failed(source))) => {
                    return Poll::Ready(Err(ReadError::Channel {
                        partition: channel.descriptor.partition,
                        peer: channel.descriptor.task_manager.clone(),
                        source,
                    }));
                }
                Poll::Ready(Popped::End(End::Finished)) => {
                    self.channels.swap_remove(self.next);
                }
            }
        }
        if self.channels.is_empty() {
            return Poll::Ready(Ok(None));
        }
        Poll::Pending
    }
}

/// One producer's segments.
#[derive(Debug)]
pub(super) struct Channel {
    descriptor: InputChannel,
    reader: QueueReader,
    /// What fills the queue, if the producer is in another process.
    _receiver: Option<Receiver>,
}

impl Channel {
    pub(super) const fn new(
        descriptor: InputChannel,
        reader: QueueReader,
        receiver: Option<Receiver>,
    ) -> Self {
        Self {
            descriptor,
            reader,
            _receiver: receiver,
        }
    }
}

/// The task of a stream, which ends with the channel.
#[derive(Debug)]
pub(super) struct Receiver(pub(super) JoinHandle<()>);

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
