//! What can go wrong when operators are registered and run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{BoxError, Canceled, DecodeError};
use crate::job_graph::OperatorSpecError;

/// Why an operator failed.
///
/// Whatever the reason is, it fails the task; whether another attempt may do better is what
/// [`is_fatal`](Self::is_fatal) tells.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// The task is cancelled.
    #[error(transparent)]
    Canceled(#[from] Canceled),
    /// An operator failed, and would fail again in the same way or must not try again.
    #[error(transparent)]
    Fatal(BoxError),
    /// A file cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// What was to be done with it.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A line of a file is longer than the option `line_bytes_max` allows.
    #[error("the line at byte {offset} of {} is longer than {limit} bytes", .path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
        /// How long it may be.
        limit: u64,
    },
    /// Records that were stored cannot be read back.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// An operator holds more than its option `memory_bytes_max` allows.
    #[error("`{operator}` holds more than {limit} bytes (its option `memory_bytes_max`)")]
    Memory {
        /// The operator.
        operator: &'static str,
        /// How much it may hold.
        limit: u64,
    },
    /// An operator that is not built in failed, and may do better another time.
    #[error(transparent)]
    Other(BoxError),
    /// Another task does not take the records.
    #[error("cannot hand records to the next task")]
    Output(#[source] BoxError),
    /// The client does not take the results.
    #[error("cannot hand results to the client")]
    Results(#[source] BoxError),
    /// A file ends before what is to be read of it does.
    #[error(
        "{} has become shorter: it ends at byte {length} and was to be read to byte {end}; run \
         the job when nobody changes the file",
        .path.display()
    )]
    Shortened {
        /// The file.
        path: PathBuf,
        /// Where it ends.
        length: u64,
        /// To where it was to be read.
        end: u64,
    },
    /// The JobMaster cannot be asked for what to read.
    #[error("cannot get a split to read")]
    Splits(#[source] BoxError),
    /// A record is not what the operator takes.
    #[error("`{operator}` {reason}")]
    Value {
        /// The operator.
        operator: &'static str,
        /// What is wrong with the record.
        reason: String,
    },
}

impl OperatorError {
    /// Makes an operator's own error one that fails the task; the job is
    /// [restarted](crate::job_graph::RestartStrategy), if it may be.
    ///
    /// So is it when an operator panics.
    pub fn other(error: impl Into<BoxError>) -> Self {
        Self::Other(error.into())
    }

    /// Makes an operator's own error one that fails the task and the job, which is not restarted:
    /// it would fail again in the same way, as for a record that makes no sense. Flink's
    /// `SuppressRestartsException`.
    pub fn fatal(error: impl Into<BoxError>) -> Self {
        Self::Fatal(error.into())
    }

    /// Tells whether another attempt would fail in the same way: for what is in the records, for
    /// memory that the options do not allow, for a file that is not there or may not be used, and for a
    /// device or a pipe that does not take what is written.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Fatal(_)
            | Self::LineTooLong { .. }
            | Self::Malformed(_)
            | Self::Memory { .. }
            | Self::Value { .. } => true,
            Self::File { source, .. } => is_lasting(source.kind()),
            Self::Canceled(_)
            | Self::Other(_)
            | Self::Output(_)
            | Self::Results(_)
            | Self::Shortened { .. }
            | Self::Splits(_) => false,
        }
    }

    /// Makes the error of something that was done with a file.
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}

/// Tells whether what is wrong with a file will be so in a moment, for the same TaskManager: the
/// tasks of a job that restarts go where they were. Unlike a disk that is full or a read that fails.
const fn is_lasting(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Why an operator cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There is one of that name.
    #[error("there is an operator `{name}` already")]
    Duplicate {
        /// The name.
        name: String,
    },
}

/// Why files cannot be split.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A path is a device, a pipe or a socket, of which nobody knows where it ends.
    #[error("{} is neither a file nor a folder", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A path is not UTF-8, and cannot be sent to who is to read it.
    #[error("the name of {} is not UTF-8", .path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The options of the source are wrong.
    #[error(transparent)]
    Options(#[from] OperatorSpecError),
    /// A path does not exist or may not be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}
