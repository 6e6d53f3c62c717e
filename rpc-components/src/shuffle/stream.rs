//! The two ends of a channel's stream.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::transport::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::frame::{CREDIT_BYTES, Frame, broken, read_frame, write_frame};
use super::queue::{End, Popped, PushError, Queue, QueueReader};
use super::{ChannelError, ServeError};

/// Sends what is in `queue` to the consumer at the other end, as far as it has credit.
///
/// When the future is dropped, the consumer finds its stream broken, and the producer its consumer
/// gone.
pub(super) async fn send_queue(
    queue: QueueReader,
    mut stream: Stream,
    credit: u32,
    close_wait: Duration,
) -> Result<(), ServeError> {
    let places_max = bounded(credit);
    let credit = Semaphore::new(places_max);
    tokio::select! {
        biased;
        sent = send_segments(&queue, &mut stream.writer, &credit, places_max) => sent?,
        error = receive_credit(&mut stream.reader, &credit) => return Err(error.into()),
    }
    await_close(&mut stream.reader, close_wait).await;
    Ok(())
}

/// Waits until the consumer, which has the last frame, closes the stream.
///
/// Credit that is still under way would find the stream closed; over TCP that resets it, and what
/// the consumer has not read yet is lost.
pub(super) async fn await_close(reader: &mut (impl AsyncRead + Unpin), close_wait: Duration) {
    let close = async { while reader.read_u32_le().await.is_ok() {} };
    // A consumer that keeps the stream open for so long has read what there is, or is dead.
    let _ = timeout(close_wait, close).await;
}

/// Fills `queue` with what the producer at the other end sends, and grants it credit for what the
/// task has taken.
pub(super) async fn receive_queue(feeder: Feeder, mut stream: Stream, frame_bytes_max: u32) {
    let queue = &feeder.0;
    let end = tokio::select! {
        biased;
        end = receive_segments(queue, &mut stream.reader, frame_bytes_max) => end,
        end = send_credit(queue, &mut stream.writer) => end,
    };
    queue.end(end);
}

/// The right to fill a queue from a stream; when it is dropped, the stream counts as broken.
#[derive(Debug)]
pub(super) struct Feeder(pub(super) Arc<Queue>);

impl Drop for Feeder {
    fn drop(&mut self) {
        let aborted = io::ErrorKind::ConnectionAborted.into();
        self.0.end(End::Failed(broken(aborted)));
    }
}

/// Writes a frame that is the last one, and closes the stream.
pub(super) async fn send_last(
    writer: &mut (impl AsyncWrite + Unpin),
    frame: Frame,
) -> io::Result<()> {
    write_frame(writer, frame).await?;
    writer.shutdown().await
}

async fn send_segments(
    queue: &QueueReader,
    writer: &mut (impl AsyncWrite + Unpin),
    credit: &Semaphore,
    places_max: usize,
) -> io::Result<()> {
    loop {
        let taken = async {
            // What is not sent yet waits in the queue, which its writer finds full.
            take_credit(queue, credit, 1).await?;
            let popped = poll_fn(|context| queue.poll_pop(context)).await;
            if let Popped::Segment(segment) = &popped {
                let more = segment.places(CREDIT_BYTES, places_max).saturating_sub(1);
                take_credit(queue, credit, more).await?;
            }
            Ok(popped)
        };
        let failed = |error| Popped::End(End::Failed(error));
        match taken.await.unwrap_or_else(failed) {
            Popped::Segment(segment) => write_frame(writer, Frame::Segment(segment)).await?,
            Popped::End(End::Failed(error)) => {
                return send_last(writer, Frame::Failed(error)).await;
            }
            Popped::End(End::Finished) => return send_last(writer, Frame::Finished).await,
        }
    }
}

/// Waits for so much credit, or for the failure of the queue, which needs none: a consumer that is slow
/// to give any must hear of it, too.
async fn take_credit(
    queue: &QueueReader,
    credit: &Semaphore,
    places: usize,
) -> Result<(), ChannelError> {
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    tokio::select! {
        biased;
        error = poll_fn(|context| queue.poll_failure(context)) => Err(error),
        permit = credit.acquire_many(places) => {
            permit.expect("nobody closes it").forget();
            Ok(())
        }
    }
}

/// Takes credit until the consumer closes the stream.
async fn receive_credit(reader: &mut (impl AsyncRead + Unpin), credit: &Semaphore) -> io::Error {
    loop {
        match reader.read_u32_le().await {
            // What the consumer grants beyond the limit it does not mean.
            Ok(more) => {
                let room = CREDIT_MAX.saturating_sub(credit.available_permits());
                credit.add_permits(bounded(more).min(room));
            }
            Err(error) => return error,
        }
    }
}

async fn receive_segments(
    queue: &Queue,
    reader: &mut (impl AsyncRead + Unpin),
    frame_bytes_max: u32,
) -> End {
    loop {
        let segment = match read_frame(reader, frame_bytes_max).await {
            Ok(Frame::Segment(segment)) => segment,
            Ok(Frame::Finished) => return End::Finished,
            Ok(Frame::Failed(error)) | Err(error) => return End::Failed(error),
        };
        match queue.push_granted(segment) {
            Ok(()) => {}
            Err(PushError::Full) => {
                let reason = "sent more than it had credit for".into();
                return End::Failed(ChannelError::Protocol { reason });
            }
            Err(PushError::Ended | PushError::ReaderGone) => {
                return End::Failed(ChannelError::Released);
            }
        }
    }
}

async fn send_credit(queue: &Queue, writer: &mut (impl AsyncWrite + Unpin)) -> End {
    let grant = async {
        while let Some(credit) = poll_fn(|context| queue.poll_emptied(context)).await {
            let credit = u32::try_from(credit).unwrap_or(u32::MAX);
            writer.write_u32_le(credit).await?;
            writer.flush().await?;
        }
        io::Result::Ok(())
    };
    match grant.await {
        Ok(()) => End::Failed(ChannelError::Released),
        // The producer may have sent its last frame and closed the stream: what it sent counts.
        Err(_) => std::future::pending().await,
    }
}

fn bounded(credit: u32) -> usize {
    usize::try_from(credit)
        .unwrap_or(CREDIT_MAX)
        .min(CREDIT_MAX)
}

/// How much credit a consumer can have: far more than it has places for.
const CREDIT_MAX: usize = 1024;
