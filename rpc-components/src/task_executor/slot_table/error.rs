//! Why a slot or a task is refused. Pure.

use thiserror::Error;

use crate::id::{AllocationId, AttemptId, JobId};

/// Why a slot is not allocated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AllocateError {
    #[error("allocation {allocation} has slot {index} for job {job} already")]
    AllocatedElsewhere {
        allocation: AllocationId,
        job: JobId,
        index: u32,
    },
    #[error("the slots are closed")]
    Closed,
    #[error("there is no slot {index}, only {slots} from 0")]
    NoSuchSlot { index: u32, slots: u32 },
    /// Flink's `SlotOccupiedException`.
    #[error("slot {index} is occupied by allocation {allocation} of job {job}")]
    Occupied {
        index: u32,
        job: JobId,
        allocation: AllocationId,
    },
}

/// Why a task is not added to a slot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AddTaskError {
    #[error("task {attempt} is here already")]
    Duplicate { attempt: AttemptId },
    /// Flink's `SlotNotActiveException` and `SlotNotFoundException`.
    #[error("allocation {allocation} has no active slot of job {job}")]
    NotActive {
        allocation: AllocationId,
        job: JobId,
    },
    #[error("task {attempt} is one too many: allocation {allocation} has {max}")]
    TooMany {
        attempt: AttemptId,
        allocation: AllocationId,
        max: u64,
    },
}
