//! The producer's side: from records to segments, each to whom it belongs.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::queue::{End, PushError, Queue, Segment};
use super::{ChannelError, ShuffleConfig, WriteError, subtask_of_key};
use crate::id::PartitionId;
use crate::job_graph::Ship;
use crate::operator::{Cancellation, Counter, OperatorContext, Record, Value, encode_record};

/// Writes one partition, from the producer's own thread.
///
/// It ends with [`finish`](Self::finish) or [`fail`](Self::fail); one that is dropped without has
/// failed.
#[derive(Debug)]
pub struct PartitionWriter {
    id: PartitionId,
    ship: Ship,
    queues: Vec<Arc<Queue>>,
    /// One for each queue, or a single one if all get the same.
    buffers: Vec<Vec<u8>>,
    /// Who gets the next record, if they get them in turn.
    next: usize,
    segment_bytes: usize,
    record_bytes_max: usize,
    task: OperatorContext,
}

impl PartitionWriter {
    pub(super) fn new(
        id: PartitionId,
        ship: Ship,
        queues: Vec<Arc<Queue>>,
        config: &ShuffleConfig,
        task: &OperatorContext,
    ) -> Self {
        let buffers = match ship {
            Ship::Broadcast => 1,
            Ship::Forward | Ship::Hash | Ship::Rebalance => queues.len(),
        };
        Self {
            id,
            ship,
            queues,
            buffers: vec![Vec::new(); buffers],
            // Producers that all began with the first consumer would be in step for ever.
            next: usize::try_from(id.producer.subtask).unwrap_or(0),
            segment_bytes: config.segment_bytes,
            record_bytes_max: usize::try_from(config.record_bytes_max).unwrap_or(usize::MAX),
            task: task.clone(),
        }
    }

    /// Writes a record to whom it belongs, and waits while their queues are full.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the task is cancelled, a consumer is gone, or the record is too large.
    pub fn write(&mut self, record: Record<'_>) -> Result<(), WriteError> {
        let bytes = encoded_bytes_max(record);
        if bytes > self.record_bytes_max {
            return Err(WriteError::RecordTooLarge {
                bytes,
                max: self.record_bytes_max,
            });
        }
        let index = self.index(record.key);
        if self.buffers[index].len() + bytes > self.segment_bytes {
            self.send(index)?;
        }
        let buffer = &mut self.buffers[index];
        if buffer.capacity() == 0 {
            buffer.reserve_exact(self.segment_bytes);
        }
        encode_record(record, buffer);
        if buffer.len() >= self.segment_bytes {
            self.send(index)?;
        }
        Ok(())
    }

    /// Sends what is written so far, and waits while queues are full.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn flush(&mut self) -> Result<(), WriteError> {
        (0..self.buffers.len()).try_for_each(|index| self.send(index))
    }

    /// Sends what is left, and tells the consumers that it was all.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); the consumers are told that the producer failed.
    pub fn finish(mut self) -> Result<(), WriteError> {
        if let Err(error) = self.flush() {
            self.fail(&error.to_string());
            return Err(error);
        }
        self.queues
            .iter()
            .for_each(|queue| queue.end(End::Finished));
        Ok(())
    }

    /// Tells the consumers that the producer failed, and why.
    pub fn fail(self, reason: &str) {
        self.end_failed(reason);
    }

    /// Returns whose buffer a record goes to.
    fn index(&mut self, key: &str) -> usize {
        match self.ship {
            Ship::Broadcast | Ship::Forward => 0,
            Ship::Hash => {
                let consumers = self.queues.len().try_into().unwrap_or(u32::MAX);
                subtask_of_key(key, consumers).try_into().unwrap_or(0)
            }
            Ship::Rebalance => {
                let index = self.next % self.buffers.len();
                self.next = index + 1;
                index
            }
        }
    }

    /// Sends the buffer of that index to whom it belongs.
    fn send(&mut self, index: usize) -> Result<(), WriteError> {
        let buffer = mem::take(&mut self.buffers[index]);
        if buffer.is_empty() {
            return Ok(());
        }
        let records = Bytes::from(buffer);
        let queues = match self.ship {
            Ship::Broadcast => 0..self.queues.len(),
            Ship::Forward | Ship::Hash | Ship::Rebalance => index..index + 1,
        };
        for index in queues {
            let io: &Counter = &self.task.io.bytes_out;
            io.add(records.len().try_into().unwrap_or(u64::MAX));
            self.push(index, records.clone(), &self.task.cancellation)?;
        }
        Ok(())
    }

    fn push(
        &self,
        index: usize,
        records: Bytes,
        cancellation: &Cancellation,
    ) -> Result<(), WriteError> {
        let queue = &self.queues[index];
        let mut segment = Some(Segment::Records(records));
        let pushed = poll_fn(|context| queue.poll_push(&mut segment, context));
        let partition = self.id;
        cancellation.block_on(pushed)?.map_err(|error| match error {
            PushError::ReaderGone => WriteError::ConsumerGone {
                partition,
                subpartition: index.try_into().unwrap_or(u32::MAX),
            },
            PushError::Ended | PushError::Full => WriteError::Released { partition },
        })
    }

    fn end_failed(&self, reason: &str) {
        for queue in &self.queues {
            let reason = reason.into();
            queue.end(End::Failed(ChannelError::ProducerFailed { reason }));
        }
    }
}

impl Drop for PartitionWriter {
    fn drop(&mut self) {
        // Does nothing to queues that have ended.
        self.end_failed("it ended without finishing");
    }
}

/// Returns how many bytes a record has at most when it is encoded.
const fn encoded_bytes_max(record: Record<'_>) -> usize {
    let value = match record.value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Text(text) => text.len(),
        _ => 0,
    };
    record
        .key
        .len()
        .saturating_add(value)
        .saturating_add(OVERHEAD_BYTES_MAX)
}

/// The kind, and two varints of at most ten bytes.
const OVERHEAD_BYTES_MAX: usize = 21;
