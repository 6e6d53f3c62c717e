//! The names of things: one newtype for each, so that none is taken for another.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use rpc_core::FencingToken;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Random 128-bit ids, printed as 32 hexadecimal digits as Flink prints them.
macro_rules! random_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u128);

        impl $name {
            /// Makes an id that no other has.
            #[must_use]
            pub fn random() -> Self {
                Self(fastrand::u128(..))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u128::from_str_radix(text, 16).map(Self)
            }
        }
    )*};
}

random_id! {
    /// Identifies one allocation of a slot to a job. Flink's `AllocationID`.
    AllocationId;
    /// Identifies one registration of a TaskExecutor at the ResourceManager. Flink's `InstanceID`.
    InstanceId;
    /// Identifies a job. Flink's `JobID`.
    JobId;
    /// Identifies one registration of a TaskExecutor at a JobMaster, or of a JobMaster at the
    /// ResourceManager. Whoever registers makes it, and says it again with each call of that
    /// registration.
    RegistrationId;
}

/// Leadership terms of the components, each a [`FencingToken`] of its own type.
macro_rules! leader_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(FencingToken);

        impl $name {
            /// Wraps the token of a term of leadership.
            #[must_use]
            pub const fn new(token: FencingToken) -> Self {
                Self(token)
            }
        }

        impl From<$name> for FencingToken {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

leader_id! {
    /// The term of a Dispatcher.
    DispatcherId;
    /// The term of a JobMaster.
    JobMasterId;
    /// The term of a ResourceManager.
    ResourceManagerId;
}

/// Identifies a process of the cluster, and the component in it that heartbeats. Flink's `ResourceID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceId(String);

impl ResourceId {
    /// Names a process.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Makes a name that begins with `prefix` and that no other process has.
    #[must_use]
    pub fn random(prefix: &str) -> Self {
        Self(format!("{prefix}-{:08x}", fastrand::u32(..)))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a slot: the index within its TaskExecutor. Flink's `SlotID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotId {
    /// The TaskExecutor that has the slot.
    pub task_executor: ResourceId,
    /// Which of its slots, from 0.
    pub index: u32,
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.task_executor, self.index)
    }
}

/// Identifies a vertex within its job: its place in the graph. Flink's `JobVertexID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VertexId(pub u32);

impl fmt::Display for VertexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Identifies one attempt to run one subtask. Flink's `ExecutionAttemptID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The job.
    pub job: JobId,
    /// The vertex of the job.
    pub vertex: VertexId,
    /// Which of the vertex's parallel subtasks, from 0.
    pub subtask: u32,
    /// How often the subtask was tried before.
    pub attempt: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            job,
            vertex,
            subtask,
            attempt,
        } = self;
        write!(f, "{job}_{vertex}_{subtask}_{attempt}")
    }
}

/// Identifies what one attempt produces for one of its vertex's outgoing edges. Flink's
/// `ResultPartitionID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    /// The attempt that produces it.
    pub producer: AttemptId,
    /// Which of the vertex's outgoing edges, from 0.
    pub output: u32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.producer, self.output)
    }
}

/// Checks that a name that somebody has made up can be shown to others: in a table, on a terminal.
///
/// # Errors
///
/// It is empty, or very long, or would move the cursor or colour the screen.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    let bytes = name.len();
    if bytes > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes });
    }
    if name.contains(char::is_control) {
        let name = name.to_owned();
        return Err(NameError::ControlCharacter { name });
    }
    Ok(())
}

/// Many of them are told at once.
const NAME_BYTES_MAX: usize = 1 << 10;

/// Why a name cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NameError {
    /// It has a character that is none to read.
    #[error("has a control character: {name:?}")]
    ControlCharacter {
        /// The name.
        name: String,
    },
    /// There is nothing to read.
    #[error("is empty")]
    Empty,
    /// There is more of it than anybody reads.
    #[error("has {bytes} bytes, and at most {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
}
