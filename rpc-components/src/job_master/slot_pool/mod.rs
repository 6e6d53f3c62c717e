//! The slots that a job needs, was given and uses. Pure.
//!
//! ```text
//!        offer, accepted          take
//!  ─────────────────────▶ Free ─────────▶ In use
//!                          │  ◀─ free_all ─ │
//!                          ▼                ▼
//!        gone: failed, its TaskManager lost, or idle and not needed
//! ```
//!
//! Answers to Flink's `DefaultDeclarativeSlotPool` with its `DeclarativeSlotPoolBridge`, for slots
//! of one size. The job says how many slots it needs; that number is declared to the
//! ResourceManager and stays until it is set anew, so that a slot that is lost is asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::{AllocatedSlot, ResourceRequirements, SlotOffer, TaskManagerLocation};
use crate::id::{AllocationId, JobId, ResourceId};

/// How a JobMaster keeps its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotPoolConfig {
    /// How long a slot that the job does not need is kept before it is returned. Flink's
    /// `slot.idle.timeout`. Too small, and a job that restarts has to ask for its slots again; too
    /// large, and other jobs wait for them. The default is 50 s.
    pub idle_timeout: Duration,
    /// How many TaskManagers may be registered at once; more are refused. It bounds what peers can
    /// make the JobMaster keep. The default is 4,096.
    pub task_managers_max: usize,
}

impl Default for SlotPoolConfig {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(50),
            task_managers_max: 4096,
        }
    }
}

/// A slot that the pool has no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReleasedSlot {
    pub(crate) allocation: AllocationId,
    /// The TaskManager whose slot it is.
    pub(crate) task_manager: ResourceId,
    /// Whether tasks were in it.
    pub(crate) was_in_use: bool,
}

/// Knows the slots of a job.
#[derive(Debug)]
pub(crate) struct SlotPool {
    job: JobId,
    config: SlotPoolConfig,
    required: u32,
    task_managers: BTreeMap<ResourceId, TaskManagerLocation>,
    /// Of those, the ones that may be dead: their slots are not taken.
    doubtful: BTreeSet<ResourceId>,
    slots: BTreeMap<AllocationId, Slot>,
}

#[derive(Debug)]
struct Slot {
    task_manager: ResourceId,
    index: u32,
    /// Since when no task is in it; `None` while one is.
    free_since: Option<Instant>,
}

impl SlotPool {
    /// Makes a pool that has no slots and needs none.
    pub(crate) const fn new(job: JobId, config: SlotPoolConfig) -> Self {
        Self {
            job,
            config,
            required: 0,
            task_managers: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            slots: BTreeMap::new(),
        }
    }

    /// Sets how many slots the job needs in all; returns whether that is to be declared.
    pub(crate) const fn set_required(&mut self, required: u32) -> bool {
        let is_news = self.required != required;
        self.required = required;
        is_news
    }

    /// Returns what to declare to the ResourceManager.
    ///
    /// It is absolute, so that only the newest need arrive, and a ResourceManager that is connected
    /// anew needs only this.
    pub(crate) fn declaration(&self, job_master_address: &str) -> ResourceRequirements {
        ResourceRequirements {
            job: self.job,
            job_master_address: job_master_address.to_owned(),
            slots: self.required,
        }
    }

    /// Registers a TaskManager, whose offers are taken from now on; returns whether there is room
    /// for it.
    ///
    /// One that is registered already may have another address now, and keeps its slots; a new
    /// session of it is [released](Self::release_task_manager) first.
    pub(crate) fn register_task_manager(&mut self, location: TaskManagerLocation) -> bool {
        let is_new = !self.task_managers.contains_key(&location.resource);
        if is_new && self.task_managers.len() >= self.config.task_managers_max {
            return false;
        }
        self.task_managers
            .insert(location.resource.clone(), location);
        true
    }

    /// Forgets a TaskManager; returns the slots that are lost with it.
    pub(crate) fn release_task_manager(&mut self, resource: &ResourceId) -> Vec<ReleasedSlot> {
        self.task_managers.remove(resource);
        self.doubtful.remove(resource);
        self.release(|slot| slot.task_manager == *resource)
    }

    /// Takes note that a TaskManager may be dead, or that it is not: a job that restarts is not to
    /// meet the one again for which it restarts.
    pub(crate) fn set_doubtful(&mut self, resource: &ResourceId, is_doubtful: bool) {
        if !is_doubtful {
            self.doubtful.remove(resource);
        } else if self.task_managers.contains_key(resource) {
            self.doubtful.insert(resource.clone());
        }
    }

    /// Takes the slots that a TaskExecutor offers, as far as the job needs them; returns those that
    /// are the job's now. The TaskExecutor keeps no other.
    ///
    /// As `DefaultDeclarativeSlotPool#offerSlots`: a slot that is in the pool is accepted again,
    /// because the first answer may be lost, and what is more than required is rejected. Of a
    /// TaskManager that is not registered, as `SlotPoolService#offerSlots`, nothing is accepted.
    pub(crate) fn offer(
        &mut self,
        resource: &ResourceId,
        offers: &[SlotOffer],
        now: Instant,
    ) -> Vec<SlotOffer> {
        let mut accepted = Vec::new();
        if !self.task_managers.contains_key(resource) {
            return accepted;
        }
        for offer in offers {
            if let Some(slot) = self.slots.get(&offer.allocation) {
                if slot.task_manager == *resource && slot.index == offer.slot_index {
                    accepted.push(*offer);
                }
            } else if self.missing() > 0 {
                let slot = Slot {
                    task_manager: resource.clone(),
                    index: offer.slot_index,
                    free_since: Some(now),
                };
                self.slots.insert(offer.allocation, slot);
                accepted.push(*offer);
            }
        }
        accepted
    }

    /// Returns how many slots the job has.
    pub(crate) fn acquired(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Returns how many more slots the job needs.
    pub(crate) fn missing(&self) -> u32 {
        self.required.saturating_sub(self.acquired())
    }

    /// Takes free slots into use, all or none of as many as are required.
    ///
    /// Deployment waits for all of them, so that a job does not run in parts. They are in order of
    /// their TaskManagers and indices, so that neighbouring subtasks are close to each other.
    pub(crate) fn take(&mut self) -> Option<Vec<(AllocationId, TaskManagerLocation)>> {
        let mut free: Vec<_> = self
            .slots
            .iter_mut()
            .filter(|(_, slot)| slot.free_since.is_some())
            .filter(|(_, slot)| !self.doubtful.contains(&slot.task_manager))
            .filter_map(|(allocation, slot)| {
                let location = self.task_managers.get(&slot.task_manager)?;
                Some((*allocation, slot, location))
            })
            .collect();
        let required = self.required as usize;
        if free.len() < required {
            return None;
        }
        free.sort_unstable_by(|(_, a, at_a), (_, b, at_b)| {
            (&at_a.resource, a.index).cmp(&(&at_b.resource, b.index))
        });
        free.truncate(required);
        let take = |(allocation, slot, location): (_, &mut Slot, &TaskManagerLocation)| {
            slot.free_since = None;
            (allocation, location.clone())
        };
        Some(free.into_iter().map(take).collect())
    }

    /// Frees all slots that are in use: the tasks that were in them have ended, and others follow.
    pub(crate) fn free_all(&mut self, now: Instant) {
        for slot in self.slots.values_mut() {
            slot.free_since.get_or_insert(now);
        }
    }

    /// Removes a slot that its TaskExecutor failed.
    ///
    /// When [no slot](Self::has_slots_of) of its TaskManager is left, as
    /// `JobMaster#internalFailAllocation`, that is to be disconnected. Of a slot of another
    /// TaskManager it has no say.
    pub(crate) fn fail(
        &mut self,
        resource: &ResourceId,
        allocation: AllocationId,
    ) -> Option<ReleasedSlot> {
        let slot = self.slots.get(&allocation)?;
        if slot.task_manager != *resource {
            return None;
        }
        let slot = self.slots.remove(&allocation)?;
        Some(slot.released(allocation))
    }

    /// Tells whether a slot of the TaskManager is in the pool.
    pub(crate) fn has_slots_of(&self, resource: &ResourceId) -> bool {
        self.slots
            .values()
            .any(|slot| slot.task_manager == *resource)
    }

    /// Returns the slots that the job has at a TaskManager, for its heartbeats.
    pub(crate) fn allocated_slots(&self, resource: &ResourceId) -> Vec<AllocatedSlot> {
        let slots = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.task_manager == *resource);
        slots
            .map(|(allocation, slot)| AllocatedSlot {
                slot_index: slot.index,
                allocation: *allocation,
            })
            .collect()
    }

    /// Removes the slots that were free for too long, of those that the job does not need; their
    /// TaskExecutors are to be told that they are free.
    ///
    /// As `DefaultDeclarativeSlotPool#releaseIdleSlots`.
    pub(crate) fn release_idle(&mut self, now: Instant) -> Vec<ReleasedSlot> {
        let mut excess = self.excess();
        let idle_timeout = self.config.idle_timeout;
        self.release(|slot| {
            let is_idle = slot
                .free_since
                .is_some_and(|since| since + idle_timeout <= now);
            let is_released = excess > 0 && is_idle;
            excess -= u32::from(is_released);
            is_released
        })
    }

    /// Removes all slots and needs none any more, when the job has ended.
    pub(crate) fn clear(&mut self) -> Vec<ReleasedSlot> {
        self.required = 0;
        self.release(|_| true)
    }

    fn excess(&self) -> u32 {
        self.acquired().saturating_sub(self.required)
    }

    fn release(&mut self, mut which: impl FnMut(&Slot) -> bool) -> Vec<ReleasedSlot> {
        let mut released = Vec::new();
        self.slots.retain(|allocation, slot| {
            let is_released = which(slot);
            if is_released {
                released.push(slot.released(*allocation));
            }
            !is_released
        });
        released
    }
}

impl Slot {
    fn released(&self, allocation: AllocationId) -> ReleasedSlot {
        ReleasedSlot {
            allocation,
            task_manager: self.task_manager.clone(),
            was_in_use: self.free_since.is_none(),
        }
    }
}

#[cfg(test)]
mod tests;
