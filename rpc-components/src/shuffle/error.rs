//! What can go wrong between tasks.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::id::{PartitionId, ResourceId};
use crate::operator::{BoxError, Canceled, DecodeError};

/// Why a partition cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// It is registered already.
    #[error("partition {partition} is registered already")]
    Duplicate {
        /// The partition.
        partition: PartitionId,
    },
    /// It has no share for anyone, or more than there can be consumers.
    #[error(
        "partition {partition} has {subpartitions} subpartitions, which is not from 1 to {max}"
    )]
    Subpartitions {
        /// The partition.
        partition: PartitionId,
        /// How many it is to have.
        subpartitions: u32,
        /// How many it may have.
        max: u32,
    },
}

/// Why a task cannot write to a partition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The task is cancelled.
    #[error(transparent)]
    Canceled(#[from] Canceled),
    /// A consumer no longer reads.
    #[error("consumer {subpartition} of partition {partition} is gone")]
    ConsumerGone {
        /// The partition.
        partition: PartitionId,
        /// The consumer's share of it.
        subpartition: u32,
    },
    /// A record is larger than any may be.
    #[error("a record of {bytes} bytes is larger than {max}")]
    RecordTooLarge {
        /// How large the record is.
        bytes: usize,
        /// How large one may be.
        max: usize,
    },
    /// The partition was released while the task still wrote to it.
    #[error("partition {partition} was released")]
    Released {
        /// The partition.
        partition: PartitionId,
    },
}

/// Why a task cannot read its input.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The task is cancelled.
    #[error(transparent)]
    Canceled(#[from] Canceled),
    /// A channel failed.
    #[error("cannot read partition {partition} of {peer}")]
    Channel {
        /// What was read.
        partition: PartitionId,
        /// The TaskExecutor that has it.
        peer: ResourceId,
        /// What happened.
        source: ChannelError,
    },
}

/// Why a channel ended early.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The stream broke.
    #[error("the stream broke")]
    Broken(#[source] Arc<io::Error>),
    /// No stream can be opened.
    #[error("cannot open a stream")]
    Dial(#[source] Arc<BoxError>),
    /// The records cannot be decoded.
    #[error("the records are malformed")]
    Malformed(#[from] DecodeError),
    /// The partition did not appear in time.
    #[error("there is no such partition")]
    NotFound,
    /// The task that made the records failed.
    #[error("the producer failed: {reason}")]
    ProducerFailed {
        /// Why it did.
        reason: String,
    },
    /// The peer does not keep to the protocol.
    #[error("the peer {reason}")]
    Protocol {
        /// What it did.
        reason: String,
    },
    /// The partition was released.
    #[error("the partition was released")]
    Released,
    /// Somebody else reads it.
    #[error("the subpartition is read already")]
    Taken,
}

/// Why a stream was not served to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The stream broke.
    #[error("the stream broke")]
    Broken(#[from] io::Error),
    /// What was asked for cannot be given; the peer was told.
    #[error("cannot serve subpartition {subpartition} of partition {partition}")]
    Channel {
        /// What was asked for.
        partition: PartitionId,
        /// The share that was asked for.
        subpartition: u32,
        /// Why it cannot be given.
        source: ChannelError,
    },
    /// The peer's first bytes are no request.
    #[error("the request {reason}")]
    Request {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The peer did not say what it wants.
    #[error("no request came in time")]
    TimedOut,
}
