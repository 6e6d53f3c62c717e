//! The slots of a TaskExecutor: which job has which, and what runs in it. Pure.
//!
//! ```text
//!         allocate             mark_active
//!  Free ───────────▶ Allocated ───────────▶ Active
//!   ▲ ▲                │  │ ▲ mark_inactive  │  │
//!   │ │ free, no tasks │  │ └────────────────┤  │
//!   │ └────────────────┴──│──────────────────┘  │
//!   │ last task removed   ▼  free, with tasks   │
//!   └───────────────── Releasing ◀──────────────┘
//! ```
//!
//! An allocated slot that does not become active in time [expires](SlotTable::expired), so that a
//! slot whose JobMaster never came is not lost. Answers to Flink's `TaskSlotTableImpl` and
//! `TaskSlot`, without dynamic slots and resource profiles: all slots are alike.

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::error::{AddTaskError, AllocateError};
use crate::gateway::{AllocatedSlot, SlotOffer, SlotReport, SlotStatus};
use crate::id::{AllocationId, AttemptId, JobId, ResourceId, SlotId};

/// How many slots a TaskExecutor has, and how it keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotTableConfig {
    /// How long a slot may be allocated without being active; it is freed then. Flink's
    /// `taskmanager.slot.timeout`. Too small, and slots are taken from a JobMaster that is slow to
    /// accept them; too large, and a slot whose JobMaster never came is idle. The default is 10 s.
    pub activation_timeout: Duration,
    /// How many slots there are. Too few, and the machine idles; too many, and the tasks in them
    /// take turns. The default is 1.
    pub slots: u32,
    /// How many tasks may run in one slot; more are refused. A slot has one task of each vertex of
    /// its job, so that it is also the largest number of vertices. Too large, and a JobMaster can
    /// fill the memory. The default is 1,024.
    pub tasks_per_slot_max: usize,
}

impl Default for SlotTableConfig {
    fn default() -> Self {
        Self {
            activation_timeout: Duration::from_secs(10),
            slots: 1,
            tasks_per_slot_max: 1024,
        }
    }
}

/// A slot that is free again. The ResourceManager is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreedSlot {
    pub(crate) index: u32,
    pub(crate) job: JobId,
    pub(crate) allocation: AllocationId,
}

/// What came of freeing a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Freeing {
    /// The slot is free.
    Freed(FreedSlot),
    /// These tasks run in it and are to be failed; the slot is free when the last is removed.
    Releasing(Vec<AttemptId>),
}

/// Where a slot stands that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Active,
    Allocated,
    Releasing,
}

/// What the JobMaster's view and this one disagree on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciliation {
    /// The JobMaster claims them and they are not here: to be failed at the JobMaster.
    pub(crate) to_fail: Vec<AllocationId>,
    /// They are active here and the JobMaster does not claim them: to be freed.
    pub(crate) to_free: Vec<AllocationId>,
}

/// Knows the slots of a TaskExecutor.
#[derive(Debug)]
pub(crate) struct SlotTable {
    resource: ResourceId,
    config: SlotTableConfig,
    /// The slots that are not free, by index.
    slots: BTreeMap<u32, Slot>,
    /// Which slot each allocation has.
    allocations: BTreeMap<AllocationId, u32>,
    /// Which slot each task runs in.
    tasks: BTreeMap<AttemptId, u32>,
    closed: bool,
}

#[derive(Debug)]
struct Slot {
    job: JobId,
    allocation: AllocationId,
    holding: Holding,
    /// Whether it was active and the JobMaster's last claims lacked it.
    is_unclaimed: bool,
    tasks: BTreeSet<AttemptId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holding {
    Active,
    Allocated { until: Instant },
    Releasing,
}

impl Slot {
    const fn state(&self) -> SlotState {
        match self.holding {
            Holding::Active => SlotState::Active,
            Holding::Allocated { .. } => SlotState::Allocated,
            Holding::Releasing => SlotState::Releasing,
        }
    }

    const fn deadline(&self) -> Option<Instant> {
        match self.holding {
            Holding::Allocated { until } => Some(until),
            Holding::Active | Holding::Releasing => None,
        }
    }

    const fn freed(&self, index: u32) -> FreedSlot {
        FreedSlot {
            index,
            job: self.job,
            allocation: self.allocation,
        }
    }
}

impl SlotTable {
    /// Makes the table of the TaskExecutor, all its slots free.
    pub(crate) const fn new(resource: ResourceId, config: SlotTableConfig) -> Self {
        Self {
            resource,
            config,
            slots: BTreeMap::new(),
            allocations: BTreeMap::new(),
            tasks: BTreeMap::new(),
            closed: false,
        }
    }

    /// Allocates a slot to a job; returns whether it was free before.
    ///
    /// As `TaskSlotTableImpl#allocateSlot` with a slot index: the same slot for the same allocation
    /// of the same job is allocated already, and its deadline stays.
    pub(crate) fn allocate(
        &mut self,
        index: u32,
        job: JobId,
        allocation: AllocationId,
        now: Instant,
    ) -> Result<bool, AllocateError> {
        self.check_slot(index, job, allocation)?;
        if self.slots.contains_key(&index) {
            return Ok(false);
        }
        let slot = Slot {
            job,
            allocation,
            holding: self.allocated_from(now),
            is_unclaimed: false,
            tasks: BTreeSet::new(),
        };
        self.slots.insert(index, slot);
        self.allocations.insert(allocation, index);
        Ok(true)
    }

    /// Checks that the slot is free, or has just this allocation and is not being released.
    fn check_slot(
        &self,
        index: u32,
        job: JobId,
        allocation: AllocationId,
    ) -> Result<(), AllocateError> {
        if self.closed {
            return Err(AllocateError::Closed);
        }
        let slots = self.config.slots;
        if index >= slots {
            return Err(AllocateError::NoSuchSlot { index, slots });
        }
        if let Some(slot) = self.slots.get(&index) {
            let is_same = slot.job == job && slot.allocation == allocation;
            if !is_same || slot.holding == Holding::Releasing {
                return Err(AllocateError::Occupied {
                    index,
                    job: slot.job,
                    allocation: slot.allocation,
                });
            }
        } else if let Some((index, slot)) = self.find(allocation) {
            return Err(AllocateError::AllocatedElsewhere {
                allocation,
                job: slot.job,
                index,
            });
        }
        Ok(())
    }

    /// Marks the slot of an allocation as active; returns whether it is.
    ///
    /// An active slot stays active. Flink's `markSlotActive`.
    pub(crate) fn mark_active(&mut self, allocation: AllocationId) -> bool {
        self.set_holding(allocation, Holding::Active)
    }

    /// Marks the slot of an allocation as active if it is the job's; returns whether it is active.
    ///
    /// A task may come before the answer to the offer of its slot, and then activates the slot
    /// itself. Flink's `tryMarkSlotActive`.
    pub(crate) fn try_mark_active(&mut self, job: JobId, allocation: AllocationId) -> bool {
        self.is_allocated(job, allocation) && self.mark_active(allocation)
    }

    /// Marks the slot of an allocation as allocated only, so that it expires if nobody takes it;
    /// returns whether it is. Flink's `markSlotInactive`.
    pub(crate) fn mark_inactive(&mut self, allocation: AllocationId, now: Instant) -> bool {
        self.set_holding(allocation, self.allocated_from(now))
    }

    /// Frees the slot of an allocation, or begins to; `None` if there is none.
    ///
    /// As `TaskSlotTableImpl#freeSlot`. Freeing a slot that is being released names its tasks
    /// again.
    pub(crate) fn free(&mut self, allocation: AllocationId) -> Option<Freeing> {
        let index = *self.allocations.get(&allocation)?;
        let slot = self.slots.get_mut(&index)?;
        slot.holding = Holding::Releasing;
        if slot.tasks.is_empty() {
            self.remove(index).map(Freeing::Freed)
        } else {
            Some(Freeing::Releasing(slot.tasks.iter().copied().collect()))
        }
    }

    /// Refuses allocations from now on, and frees all slots or begins to.
    pub(crate) fn close(&mut self) -> Vec<Freeing> {
        self.closed = true;
        let allocations: Vec<_> = self.slots.values().map(|slot| slot.allocation).collect();
        allocations
            .into_iter()
            .filter_map(|allocation| self.free(allocation))
            .collect()
    }

    /// Adds a task to the slot of an allocation, which is active and the task's job's.
    pub(crate) fn add_task(
        &mut self,
        allocation: AllocationId,
        attempt: AttemptId,
    ) -> Result<(), AddTaskError> {
        let job = attempt.job;
        let index = self.allocations.get(&allocation).copied();
        let slot = index.and_then(|index| Some((index, self.slots.get_mut(&index)?)));
        let Some((index, slot)) =
            slot.filter(|(_, slot)| slot.job == job && slot.holding == Holding::Active)
        else {
            return Err(AddTaskError::NotActive { allocation, job });
        };
        if self.tasks.contains_key(&attempt) {
            return Err(AddTaskError::Duplicate { attempt });
        }
        let max = self.config.tasks_per_slot_max;
        if slot.tasks.len() >= max {
            return Err(AddTaskError::TooMany {
                attempt,
                allocation,
                max: max as u64,
            });
        }
        slot.tasks.insert(attempt);
        self.tasks.insert(attempt, index);
        Ok(())
    }

    /// Removes a task that has ended; returns its slot if that is free by it.
    pub(crate) fn remove_task(&mut self, attempt: AttemptId) -> Option<FreedSlot> {
        let index = self.tasks.remove(&attempt)?;
        let slot = self.slots.get_mut(&index)?;
        slot.tasks.remove(&attempt);
        if slot.holding == Holding::Releasing && slot.tasks.is_empty() {
            self.remove(index)
        } else {
            None
        }
    }

    /// Returns the tasks of a job, in order of their ids.
    pub(crate) fn tasks_of(&self, job: JobId) -> Vec<AttemptId> {
        let slots = self.slots.values().filter(|slot| slot.job == job);
        let tasks: BTreeSet<_> = slots.flat_map(|slot| slot.tasks.iter().copied()).collect();
        tasks.into_iter().collect()
    }

    /// Tells whether an allocation has a slot for the job that is not being released.
    pub(crate) fn is_allocated(&self, job: JobId, allocation: AllocationId) -> bool {
        self.find(allocation)
            .is_some_and(|(_, slot)| slot.job == job && slot.holding != Holding::Releasing)
    }

    /// Returns the slots of a job that are in a state, in order of their indices.
    pub(crate) fn slots_of(&self, job: JobId, state: SlotState) -> Vec<SlotOffer> {
        let of_job = |slot: &Slot| slot.job == job && slot.state() == state;
        let slots = self.slots.iter().filter(|(_, slot)| of_job(slot));
        slots
            .map(|(index, slot)| SlotOffer {
                allocation: slot.allocation,
                slot_index: *index,
            })
            .collect()
    }

    /// Tells whether a job has a slot, in whatever state.
    pub(crate) fn has_slots(&self, job: JobId) -> bool {
        self.slots.values().any(|slot| slot.job == job)
    }

    /// Returns how all slots stand.
    ///
    /// As `TaskSlotTableImpl#createSlotReport`: a slot that is being released is not free yet.
    pub(crate) fn report(&self) -> SlotReport {
        let status = |index| SlotStatus {
            slot: SlotId {
                task_executor: self.resource.clone(),
                index,
            },
            allocation: self
                .slots
                .get(&index)
                .map(|slot| (slot.allocation, slot.job)),
        };
        SlotReport {
            slots: (0..self.config.slots).map(status).collect(),
        }
    }

    /// Compares the slots of a job with those that its JobMaster claims.
    ///
    /// As `TaskExecutor#syncSlotsWithSnapshotFromJobMaster`: a slot that is not active yet may be
    /// unknown to the JobMaster, because its offer is still on the way. Unlike there a slot is to
    /// be freed when two claims in a row lack it: one that was made before the JobMaster accepted
    /// the slot may be handled after the answer to the offer.
    pub(crate) fn reconcile(&mut self, job: JobId, claimed: &[AllocatedSlot]) -> Reconciliation {
        let is_here = |claim: &&AllocatedSlot| {
            self.is_allocated(job, claim.allocation)
                && self.allocations.get(&claim.allocation) == Some(&claim.slot_index)
        };
        let known: BTreeSet<_> = claimed
            .iter()
            .filter(is_here)
            .map(|claim| claim.allocation)
            .collect();
        let claims = claimed.iter().map(|claim| claim.allocation);
        let mut reconciliation = Reconciliation {
            to_fail: claims
                .filter(|allocation| !known.contains(allocation))
                .collect(),
            to_free: Vec::new(),
        };
        for slot in self.slots.values_mut().filter(|slot| slot.job == job) {
            let is_unclaimed = slot.holding == Holding::Active && !known.contains(&slot.allocation);
            if mem::replace(&mut slot.is_unclaimed, is_unclaimed) && is_unclaimed {
                reconciliation.to_free.push(slot.allocation);
            }
        }
        reconciliation
    }

    /// Returns the allocations that did not become active in time; they are to be freed.
    pub(crate) fn expired(&self, now: Instant) -> Vec<AllocationId> {
        let is_over = |slot: &&Slot| slot.deadline().is_some_and(|deadline| deadline <= now);
        self.slots
            .values()
            .filter(is_over)
            .map(|slot| slot.allocation)
            .collect()
    }

    fn allocated_from(&self, now: Instant) -> Holding {
        Holding::Allocated {
            until: now + self.config.activation_timeout,
        }
    }

    fn find(&self, allocation: AllocationId) -> Option<(u32, &Slot)> {
        let index = *self.allocations.get(&allocation)?;
        Some((index, self.slots.get(&index)?))
    }

    fn set_holding(&mut self, allocation: AllocationId, holding: Holding) -> bool {
        let slot = self
            .allocations
            .get(&allocation)
            .and_then(|index| self.slots.get_mut(index));
        let Some(slot) = slot.filter(|slot| slot.holding != Holding::Releasing) else {
            return false;
        };
        slot.is_unclaimed &= slot.holding == holding;
        slot.holding = holding;
        true
    }

    fn remove(&mut self, index: u32) -> Option<FreedSlot> {
        let slot = self.slots.remove(&index)?;
        self.allocations.remove(&slot.allocation);
        Some(slot.freed(index))
    }
}

#[cfg(test)]
mod tests;
