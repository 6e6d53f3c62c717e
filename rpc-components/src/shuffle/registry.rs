//! Which partitions a TaskExecutor has, and who waits for one that it does not have yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::ChannelError;
use super::queue::{Queue, QueueReader};
use crate::id::{AttemptId, PartitionId};

#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The queues of each partition; a queue that is read has been taken out.
    partitions: BTreeMap<PartitionId, Partition>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Partition {
    subpartitions: Vec<Subpartition>,
}

#[derive(Debug)]
struct Subpartition {
    queue: Arc<Queue>,
    is_taken: bool,
}

#[derive(Debug)]
struct Waiting {
    partition: PartitionId,
    subpartition: u32,
    answer: oneshot::Sender<Taken>,
}

/// The reading end of a subpartition, or why it is not to be had.
pub(super) type Taken = Result<QueueReader, ChannelError>;

/// The answer to who asks for a subpartition.
#[derive(Debug)]
pub(super) enum Take {
    Later(oneshot::Receiver<Taken>),
    Now(Taken),
}

impl Registry {
    /// Adds a partition, and gives it to those who wait. Returns whether it is new.
    pub(super) fn register(&mut self, id: PartitionId, queues: &[Arc<Queue>]) -> bool {
        if self.partitions.contains_key(&id) {
            return false;
        }
        let subpartition = |queue: &Arc<Queue>| Subpartition {
            queue: Arc::clone(queue),
            is_taken: false,
        };
        let mut partition = Partition {
            subpartitions: queues.iter().map(subpartition).collect(),
        };
        for waiting in self
            .waiting
            .extract_if(.., |waiting| waiting.partition == id)
        {
            // A receiver that is gone drops the reader, so one that gave up must not be answered.
            if !waiting.answer.is_closed() {
                let _ = waiting.answer.send(partition.take(waiting.subpartition));
            }
        }
        self.partitions.insert(id, partition);
        true
    }

    /// Takes the reading end of a subpartition.
    pub(super) fn take(&mut self, id: PartitionId, subpartition: u32) -> Take {
        if let Some(partition) = self.partitions.get_mut(&id) {
            return Take::Now(partition.take(subpartition));
        }
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let (answer, later) = oneshot::channel();
        self.waiting.push(Waiting {
            partition: id,
            subpartition,
            answer,
        });
        Take::Later(later)
    }

    /// Forgets the partitions of the attempts that `is_meant`, fails those who write or read them,
    /// and sends away those who wait for them.
    pub(super) fn release(&mut self, is_meant: impl Fn(&AttemptId) -> bool) {
        self.partitions.retain(|id, partition| {
            let is_released = is_meant(&id.producer);
            if is_released {
                partition
                    .subpartitions
                    .iter()
                    .for_each(|share| share.queue.release());
            }
            !is_released
        });
        for waiting in self
            .waiting
            .extract_if(.., |waiting| is_meant(&waiting.partition.producer))
        {
            // Whoever has given up need not be told.
            let _ = waiting.answer.send(Err(ChannelError::Released));
        }
    }
}

impl Partition {
    fn take(&mut self, subpartition: u32) -> Taken {
        let index = usize::try_from(subpartition).unwrap_or(usize::MAX);
        let share = self
            .subpartitions
            .get_mut(index)
            .ok_or(ChannelError::NotFound)?;
        if share.is_taken {
            return Err(ChannelError::Taken);
        }
        share.is_taken = true;
        Ok(QueueReader::new(Arc::clone(&share.queue)))
    }
}
