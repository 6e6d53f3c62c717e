//! What jobs are made of: sources, transforms and sinks, by name.
//!
//! An operator is handed one [`Record`] at a time and hands on as many as it likes. Records are
//! borrowed, and a chain of operators is a chain of calls, so that a record on its way through a
//! task is neither copied nor allocated.
//!
//! ```text
//!   Source::step ──emit──▶ Operator::process ──emit──▶ Operator::process ──▶ file, or other tasks
//! ```
//!
//! Between two steps of a source, and between two batches that come from another task, no record
//! is under way within the chain: whatever the operators hold at that moment is their state.
//!
//! A job whose task fails is [restarted](crate::job_graph::RestartStrategy): every operator is made
//! anew, in the next [attempt](OperatorContext::attempt), and is handed all records again. A sink must
//! not leave behind what a task that failed has written, and an error that another attempt would meet
//! too is [fatal](OperatorError::fatal).
//!
//! The built-in operators and their options:
//!
//! | name | records | options |
//! |---|---|---|
//! | `discard-sink` | forgets them | |
//! | `field` | the value is one part of the text | `index`, `separator` |
//! | `file-sink` | a line `key<TAB>value` for each | `path` |
//! | `file-source` | one for each line | `path`, `line_bytes_max`, `split_bytes` |
//! | `filter` | those whose text is as asked | `contains`, `invert`, `length_max`, `length_min` |
//! | `generator-source` | lines of made-up words | `count`, `rate`, `seed`, `vocabulary`, `words` |
//! | `key-by` | the key is the value, or one part of it | `index`, `separator` |
//! | `lower-case` | the text in lower case | |
//! | `parse` | the text as a number | `as` |
//! | `reduce` | one for each key | `function`, `memory_bytes_max`, `partial` |
//! | `sort` | sorted by key | `memory_bytes_max` |
//! | `split` | one for each part of the text | `keep_empty`, `separator` |
//! | `stdout-sink` | as `file-sink`, to the client that follows the job | |
//! | `words` | one for each word of the text, in lower case | |

mod builtin;
mod cancellation;
mod codec;
mod context;
mod error;
mod options;
mod record;
mod registry;
mod splits;

use std::fmt;
use std::time::Duration;

pub use self::cancellation::{Canceled, Cancellation};
pub use self::codec::DecodeError;
pub(crate) use self::codec::{RecordReader, encode_record};
pub(crate) use self::context::count;
pub use self::context::{
    BoxError, Counter, IoCounters, OperatorContext, ResultSink, SplitProvider,
};
pub use self::error::{OperatorError, RegisterError, SplitError};
pub use self::options::{OptionType, Options};
pub use self::record::{Collector, Record, Value};
pub use self::registry::{OperatorRegistry, RunnableOperator};
pub use self::splits::{SPLIT_BYTES_DEFAULT, file_splits, splits};

/// An operator at the beginning of a job.
pub trait Source: Send {
    /// Prepares it; called once, on the task's own thread.
    ///
    /// # Errors
    ///
    /// An error fails the task.
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        let _ = context;
        Ok(())
    }

    /// Hands on a few records, a millisecond's worth at most: only between two steps does the task
    /// notice that it is cancelled. A source that must wait returns [`Step::Wait`], or waits with
    /// [`Cancellation::block_on`].
    ///
    /// # Errors
    ///
    /// An error fails the task; those of `out` are to be returned as they are.
    fn step(&mut self, out: &mut dyn Collector) -> Result<Step, OperatorError>;
}

/// What a source has to say after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// There is nothing more.
    End,
    /// There may be more at once.
    More,
    /// There may be more after that time.
    Wait(Duration),
}

/// An operator that is handed records: a transform, or a sink, which hands none on.
///
/// It is dropped when the task has ended, however that came about; one that leaves something behind
/// that only a finished task may leave takes it away then.
pub trait Operator: Send {
    /// Prepares it; called once, on the task's own thread, before any record comes.
    ///
    /// # Errors
    ///
    /// An error fails the task.
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        let _ = context;
        Ok(())
    }

    /// Handles one record.
    ///
    /// # Errors
    ///
    /// An error fails the task; those of `out` are to be returned as they are.
    fn process(&mut self, record: Record<'_>, out: &mut dyn Collector)
    -> Result<(), OperatorError>;

    /// Lets go of what was only gathered to be handed on in bulk; called when no record is at hand.
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    fn flush(&mut self, out: &mut dyn Collector) -> Result<(), OperatorError> {
        let _ = out;
        Ok(())
    }

    /// Hands on what is left; called once, after the last record.
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    fn finish(&mut self, out: &mut dyn Collector) -> Result<(), OperatorError> {
        let _ = out;
        Ok(())
    }
}

impl fmt::Debug for dyn Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl fmt::Debug for dyn Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operator")
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
