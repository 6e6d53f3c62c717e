//! How records get from task to task: result partitions, input gates, and the channels between.
//!
//! A producer has a partition for each of its outgoing edges, with a share (a *subpartition*) for
//! each consumer; a consumer has a gate, with a channel to each producer. Records travel in
//! segments of about 32 KiB.
//!
//! ```text
//!   producer's thread                                                  consumer's thread
//!   PartitionWriter ─▶ queue ──────────────── by value ──────────────────▶ InputGate
//!                  └─▶ queue ─▶ serve ═══ stream: segments ▶ ◀ credit ═══▶ queue ─▶ ┘
//! ```
//!
//! Every queue is short. A producer whose queue is full waits, and so a slow consumer slows its
//! producers and nothing piles up. Over a stream the consumer grants credit for each place in its
//! queue, and the producer's side sends no more than that. A segment is larger than a place if one of its
//! records is; it takes as many places as it needs, or all of them.
//!
//! A segment is the unit that is ordered within a channel; what is not records, such as a barrier,
//! is a [`Segment`] of another kind.

mod environment;
mod error;
mod frame;
mod gate;
mod key_group;
mod queue;
mod registry;
mod stream;
mod writer;

use std::time::Duration;

pub use self::environment::{Dialer, ShuffleEnvironment};
pub use self::error::{ChannelError, PartitionError, ReadError, ServeError, WriteError};
pub use self::gate::{InputGate, Polled};
pub use self::key_group::{key_group, max_parallelism, subtask_of_key};
pub use self::queue::Segment;
pub use self::writer::PartitionWriter;

/// How records travel between tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShuffleConfig {
    /// How many bytes of records a segment has. Too small, and a task is woken for next to nothing;
    /// too large, and a task with many consumers holds as many large segments. The default is
    /// 32 KiB.
    pub segment_bytes: usize,
    /// How many segments may wait in one channel, on each side of a stream. Too small, and producer
    /// and consumer wait for each other in turns; too large, and a slow consumer costs memory. The
    /// default is 8.
    pub segments_per_channel: u32,
    /// How large one record may be. Too small, and long lines cannot be shuffled; too large, and a
    /// single record can take all memory. The default is 512 MiB.
    pub record_bytes_max: u32,
    /// How long a consumer waits for a partition whose producer is not deployed yet. Too short, and
    /// a slow deployment fails the job; too long, and a lost one is noticed late. The default is
    /// 30 s.
    pub partition_wait: Duration,
    /// How long a stream may take to say what it is for, and to be closed when it has served. Too
    /// short, and a slow network is refused; too long, and idle streams cost memory. The default is
    /// 10 s.
    pub request_wait: Duration,
}

impl Default for ShuffleConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 10,
            segments_per_channel: 8,
            record_bytes_max: 512 << 20,
            partition_wait: Duration::from_secs(30),
            request_wait: Duration::from_secs(10),
        }
    }
}

impl ShuffleConfig {
    /// Returns how many places a channel has at the consumer's end of a stream.
    fn credit(&self) -> u32 {
        let per_segment = self.segment_bytes.div_ceil(frame::CREDIT_BYTES).max(1);
        let per_segment = u32::try_from(per_segment).unwrap_or(u32::MAX);
        self.segments_per_channel.max(1).saturating_mul(per_segment)
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
