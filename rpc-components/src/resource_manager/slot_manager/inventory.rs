//! The TaskExecutors and the state of each of their slots. Pure.
//!
//! ```text
//!        reserve              confirm, or the report has it
//!  Free ─────────▶ Pending ────────────────────────────────▶ Allocated
//!   ▲  reject, free   │                                          │
//!   ├─────────────────┘                                          │
//!   └────────────────────────────────────────────────────────────┘
//!                   free, or the report has it not
//! ```
//!
//! Answers to Flink's `FineGrainedTaskManagerTracker`.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::SlotPlacement;
use crate::gateway::{ResourceOverview, SlotReport, TaskExecutorRegistration, TaskManagerInfo};
use crate::id::{AllocationId, InstanceId, JobId, ResourceId, SlotId};

#[derive(Debug)]
pub(super) struct Inventory {
    task_executors: BTreeMap<ResourceId, RegisteredTaskExecutor>,
    /// Where each allocation is; it has exactly the slots that are not free.
    allocations: BTreeMap<AllocationId, SlotId>,
}

#[derive(Debug)]
struct RegisteredTaskExecutor {
    instance: InstanceId,
    address: String,
    slots: Vec<Slot>,
    /// How many requests it refused in a row; it is asked after those that refused fewer.
    refusals: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Free {
        /// When it may be asked for again, if it was refused or returned.
        retry_at: Option<Instant>,
    },
    Pending {
        job: JobId,
        allocation: AllocationId,
    },
    Allocated {
        job: JobId,
        allocation: AllocationId,
    },
}

impl Slot {
    const FREE: Self = Self::Free { retry_at: None };

    const fn is_free(&self) -> bool {
        matches!(self, Self::Free { .. })
    }

    const fn job(&self) -> Option<JobId> {
        match self {
            Self::Free { .. } => None,
            Self::Pending { job, .. } | Self::Allocated { job, .. } => Some(*job),
        }
    }

    const fn allocation(&self) -> Option<AllocationId> {
        match self {
            Self::Free { .. } => None,
            Self::Pending { allocation, .. } | Self::Allocated { allocation, .. } => {
                Some(*allocation)
            }
        }
    }

    const fn retry_at(&self) -> Option<Instant> {
        match self {
            Self::Free { retry_at } => *retry_at,
            Self::Pending { .. } | Self::Allocated { .. } => None,
        }
    }

    fn is_requestable(&self, now: Instant) -> bool {
        self.is_free() && self.retry_at().is_none_or(|retry_at| retry_at <= now)
    }
}

impl RegisteredTaskExecutor {
    fn slots_free(&self) -> u32 {
        count(self.slots.iter().filter(|slot| slot.is_free()))
    }

    /// How much of it is in use, in parts of 2^32.
    fn load(&self) -> u64 {
        let slots = count(&self.slots);
        let used = u64::from(slots - self.slots_free());
        (used << 32) / u64::from(slots.max(1))
    }

    fn requestable(&self, now: Instant) -> Option<u32> {
        let mut indices = (0..).zip(&self.slots);
        indices
            .find(|(_, slot)| slot.is_requestable(now))
            .map(|(index, _)| index)
    }
}

impl Inventory {
    pub(super) const fn new() -> Self {
        Self {
            task_executors: BTreeMap::new(),
            allocations: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.task_executors.len()
    }

    pub(super) fn instance(&self, resource: &ResourceId) -> Option<InstanceId> {
        self.task_executors
            .get(resource)
            .map(|known| known.instance)
    }

    /// Adds a TaskExecutor with all its slots free, in place of an earlier instance of it.
    pub(super) fn add(&mut self, instance: InstanceId, registration: &TaskExecutorRegistration) {
        self.remove(&registration.resource);
        let task_executor = RegisteredTaskExecutor {
            instance,
            address: registration.address.clone(),
            slots: vec![Slot::FREE; registration.slots as usize],
            refusals: 0,
        };
        self.task_executors
            .insert(registration.resource.clone(), task_executor);
    }

    pub(super) fn remove(&mut self, resource: &ResourceId) -> bool {
        let Some(task_executor) = self.task_executors.remove(resource) else {
            return false;
        };
        let lost: Vec<_> = task_executor
            .slots
            .iter()
            .filter_map(Slot::allocation)
            .collect();
        for allocation in &lost {
            self.allocations.remove(allocation);
        }
        !lost.is_empty()
    }

    pub(super) fn report(
        &mut self,
        resource: &ResourceId,
        instance: InstanceId,
        report: &SlotReport,
    ) -> bool {
        let Some(task_executor) = self.task_executors.get(resource) else {
            return false;
        };
        if task_executor.instance != instance {
            return false;
        }
        let mut reported = vec![None; task_executor.slots.len()];
        for status in report
            .slots
            .iter()
            .filter(|status| status.slot.task_executor == *resource)
        {
            if let Some(reported) = reported.get_mut(status.slot.index as usize) {
                *reported = status.allocation;
            }
        }
        // What is gone is freed first: its allocation may be found in another slot.
        let freed = self.free_absent(resource, &reported);
        let adopted = self.adopt_present(resource, &reported);
        freed || adopted
    }

    fn free_absent(
        &mut self,
        resource: &ResourceId,
        reported: &[Option<(AllocationId, JobId)>],
    ) -> bool {
        let mut changed = false;
        for (index, reported) in (0..).zip(reported) {
            let slot = slot_id(resource, index);
            let known = self.slot(&slot);
            if let Some(Slot::Allocated { job, allocation }) = known
                && *reported != Some((allocation, job))
            {
                self.set(&slot, Slot::FREE);
                changed = true;
            }
        }
        changed
    }

    fn adopt_present(
        &mut self,
        resource: &ResourceId,
        reported: &[Option<(AllocationId, JobId)>],
    ) -> bool {
        let mut changed = false;
        for (index, reported) in (0..).zip(reported) {
            let Some((allocation, job)) = *reported else {
                continue;
            };
            let slot = slot_id(resource, index);
            if self
                .allocations
                .get(&allocation)
                .is_some_and(|known| *known != slot)
            {
                continue;
            }
            let expected = self
                .slot(&slot)
                .and_then(|slot| slot.job().zip(slot.allocation()));
            changed |= expected != Some((job, allocation));
            self.set(&slot, Slot::Allocated { job, allocation });
        }
        changed
    }

    /// Marks a slot as free, if it has this allocation; returns the job whose it was.
    pub(super) fn free(
        &mut self,
        instance: InstanceId,
        slot: &SlotId,
        allocation: AllocationId,
    ) -> Option<JobId> {
        let is_news = self.instance(&slot.task_executor) == Some(instance)
            && self.allocations.get(&allocation) == Some(slot);
        let job = self.slot(slot).filter(|_| is_news)?.job();
        self.set(slot, Slot::FREE);
        job
    }

    /// Lets a free slot not be asked for before `retry_at`.
    pub(super) fn leave_alone(&mut self, slot: &SlotId, retry_at: Instant) {
        let retry_at = Some(retry_at);
        self.set(slot, Slot::Free { retry_at });
    }

    /// Marks a free slot as pending for the job.
    pub(super) fn reserve(
        &mut self,
        job: JobId,
        placement: SlotPlacement,
        now: Instant,
    ) -> Option<(SlotId, AllocationId)> {
        let requestable = self.task_executors.iter().filter_map(|(resource, known)| {
            let load = match placement {
                SlotPlacement::Fill => 0,
                SlotPlacement::Spread => known.load(),
            };
            Some(((known.refusals, load), resource, known.requestable(now)?))
        });
        let (_, resource, index) = requestable.min()?;
        let slot = slot_id(resource, index);
        let allocation = AllocationId::random();
        self.set(&slot, Slot::Pending { job, allocation });
        Some((slot, allocation))
    }

    /// Marks a pending slot as allocated.
    pub(super) fn confirm(&mut self, allocation: AllocationId) {
        let Some((slot, Slot::Pending { job, .. })) = self.find(allocation) else {
            return;
        };
        self.set(&slot, Slot::Allocated { job, allocation });
        if let Some(known) = self.task_executors.get_mut(&slot.task_executor) {
            known.refusals = 0;
        }
    }

    /// Marks a pending slot as free, but not to be asked for before `retry_at`.
    pub(super) fn reject(&mut self, allocation: AllocationId, retry_at: Instant) -> bool {
        let Some((slot, Slot::Pending { .. })) = self.find(allocation) else {
            return false;
        };
        let retry_at = Some(retry_at);
        self.set(&slot, Slot::Free { retry_at });
        if let Some(known) = self.task_executors.get_mut(&slot.task_executor) {
            known.refusals = known.refusals.saturating_add(1);
        }
        true
    }

    /// Counts the slots that are pending or allocated for each job.
    pub(super) fn acquired(&self) -> BTreeMap<JobId, u32> {
        let mut acquired = BTreeMap::new();
        for job in self.slots().filter_map(Slot::job) {
            *acquired.entry(job).or_default() += 1;
        }
        acquired
    }

    pub(super) fn holders(&self, job: JobId) -> BTreeSet<ResourceId> {
        let holds =
            |known: &RegisteredTaskExecutor| known.slots.iter().any(|slot| slot.job() == Some(job));
        let holders = self.task_executors.iter().filter(|(_, known)| holds(known));
        holders.map(|(resource, _)| resource.clone()).collect()
    }

    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.slots().filter_map(Slot::retry_at).min()
    }

    pub(super) fn overview(&self) -> ResourceOverview {
        ResourceOverview {
            task_managers: count(&self.task_executors),
            slots: count(self.slots()),
            slots_free: count(self.slots().filter(|slot| slot.is_free())),
        }
    }

    pub(super) fn task_managers(
        &self,
        mut last_heartbeat_ms: impl FnMut(&ResourceId) -> u64,
    ) -> Vec<TaskManagerInfo> {
        let info = |(resource, known): (&ResourceId, &RegisteredTaskExecutor)| TaskManagerInfo {
            resource: resource.clone(),
            address: known.address.clone(),
            slots: count(&known.slots),
            slots_free: known.slots_free(),
            last_heartbeat_ms: last_heartbeat_ms(resource),
        };
        self.task_executors.iter().map(info).collect()
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.task_executors.values().flat_map(|known| &known.slots)
    }

    fn slot(&self, id: &SlotId) -> Option<Slot> {
        let known = self.task_executors.get(&id.task_executor)?;
        known.slots.get(id.index as usize).copied()
    }

    fn find(&self, allocation: AllocationId) -> Option<(SlotId, Slot)> {
        let id = self.allocations.get(&allocation)?;
        Some((id.clone(), self.slot(id)?))
    }

    /// Changes a slot, and with it where its allocation is.
    fn set(&mut self, id: &SlotId, new: Slot) {
        let known = self.task_executors.get_mut(&id.task_executor);
        let Some(slot) = known.and_then(|known| known.slots.get_mut(id.index as usize)) else {
            return;
        };
        if let Some(allocation) = slot.allocation() {
            self.allocations.remove(&allocation);
        }
        if let Some(allocation) = new.allocation() {
            self.allocations.insert(allocation, id.clone());
        }
        *slot = new;
    }
}

fn slot_id(resource: &ResourceId, index: u32) -> SlotId {
    SlotId {
        task_executor: resource.clone(),
        index,
    }
}

/// Counts things whose number a `u32` holds, as the limits of the configuration see to.
fn count(things: impl IntoIterator) -> u32 {
    u32::try_from(things.into_iter().count()).unwrap_or(u32::MAX)
}
