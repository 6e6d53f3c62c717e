//! What an operator finds around it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Cancellation, OperatorError};
use crate::gateway::{FileSplit, TaskIo};
use crate::id::AttemptId;

/// Any error, where a user's code may fail in ways of its own.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Hands out what the sources of a job read; in a cluster it asks the JobMaster.
pub trait SplitProvider: Send + Sync {
    /// Returns what `reader` is to read next, or `None` when everything is handed out.
    fn next_split(
        &self,
        reader: AttemptId,
    ) -> BoxFuture<'static, Result<Option<FileSplit>, BoxError>>;
}

/// Takes the results that go to the client which follows the job.
pub trait ResultSink: Send + Sync {
    /// Takes some lines of text, and is ready when there is room for more.
    fn send(&self, writer: AttemptId, lines: Bytes) -> BoxFuture<'static, Result<(), BoxError>>;
}

/// The task that an operator runs in.
#[derive(Clone)]
#[non_exhaustive]
pub struct OperatorContext {
    /// The attempt that the task is.
    pub attempt: AttemptId,
    /// How many subtasks the vertex has.
    pub parallelism: u32,
    /// What the task has read and written.
    pub io: Arc<IoCounters>,
    /// Tells the task to end; an operator that waits, waits by it.
    pub cancellation: Cancellation,
    splits: Arc<dyn SplitProvider>,
    results: Arc<dyn ResultSink>,
}

impl OperatorContext {
    /// Describes a task that nobody has cancelled and that has read and written nothing.
    #[must_use]
    pub fn new(
        attempt: AttemptId,
        parallelism: u32,
        splits: Arc<dyn SplitProvider>,
        results: Arc<dyn ResultSink>,
    ) -> Self {
        Self {
            attempt,
            parallelism,
            io: Arc::default(),
            cancellation: Cancellation::new(),
            splits,
            results,
        }
    }

    /// Waits for the next split to read; `None` when there is none left.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Splits`] if the JobMaster cannot be asked, [`OperatorError::Canceled`] if
    /// the task is cancelled while it waits.
    pub fn next_split(&self) -> Result<Option<FileSplit>, OperatorError> {
        let split = self.splits.next_split(self.attempt);
        let split = self.cancellation.block_on(split)?;
        split.map_err(OperatorError::Splits)
    }

    /// Hands lines of text to the client that follows the job, and waits until they are taken.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Results`] if they are not taken, [`OperatorError::Canceled`] if the task is
    /// cancelled while it waits.
    pub fn send_results(&self, lines: Bytes) -> Result<(), OperatorError> {
        self.io.bytes_out.add(count(lines.len()));
        let sent = self.results.send(self.attempt, lines);
        let sent = self.cancellation.block_on(sent)?;
        sent.map_err(OperatorError::Results)
    }
}

impl fmt::Debug for OperatorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorContext")
            .field("attempt", &self.attempt)
            .field("parallelism", &self.parallelism)
            .finish_non_exhaustive()
    }
}

/// What a task has read and written so far; its own thread writes it, and anyone may look.
#[derive(Debug, Default)]
pub struct IoCounters {
    /// Records read.
    pub records_in: Counter,
    /// Records written.
    pub records_out: Counter,
    /// Bytes read, from files or from other tasks.
    pub bytes_in: Counter,
    /// Bytes written to other tasks or to files.
    pub bytes_out: Counter,
}

impl IoCounters {
    /// Returns the counts of now.
    #[must_use]
    pub fn snapshot(&self) -> TaskIo {
        TaskIo {
            records_in: self.records_in.get(),
            records_out: self.records_out.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
        }
    }
}

/// A number that only one thread changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the number; only the task's own thread may.
    pub fn add(&self, count: u64) {
        // There is one writer, so nothing comes between the two, and each is an ordinary move: a
        // `fetch_add` for every record would cost more than most operators do.
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(count);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// Returns the number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes a length a count.
pub(crate) fn count(length: usize) -> u64 {
    length.try_into().unwrap_or(u64::MAX)
}
