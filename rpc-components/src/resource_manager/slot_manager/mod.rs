//! Which jobs need slots, and which slots they are given. Pure.
//!
//! A job that needs more slots than it has acquired, pending ones included, is given free ones at
//! the next [check](SlotManager::check). Answers to Flink's `FineGrainedSlotManager` with its
//! `DefaultSlotStatusSyncer`, for slots of one size. Unlike Flink jobs are served in the order in
//! which they first asked, so that two of them cannot each hold half of what both need, and a
//! request that failed is repeated elsewhere or after a delay instead of at once.

mod inventory;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use self::inventory::Inventory;
use crate::gateway::{
    ResourceOverview, ResourceRequirements, SlotReport, TaskExecutorRegistration, TaskManagerInfo,
};
use crate::id::{AllocationId, InstanceId, JobId, ResourceId, SlotId};

/// How slots are given, and how many of what the ResourceManager keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotManagerConfig {
    /// How many jobs may need slots at once; the requirements of more are refused. Too small, and
    /// jobs are turned away; too large, and clients can fill the memory. The default is 4,096.
    pub jobs_max: usize,
    /// How slots are chosen. The default is [`SlotPlacement::Fill`].
    pub placement: SlotPlacement,
    /// How long a slot is left alone after a request for it failed, or a job returned it that needs
    /// it. Too small, and a TaskExecutor
    /// in trouble is flooded; too large, and a job waits although the trouble is over. The default
    /// is 1 s.
    pub request_retry_delay: Duration,
    /// How many slots one TaskExecutor may bring; one with more is refused. It bounds what a wrong
    /// number in a registration can allocate. The default is 1,024.
    pub slots_per_task_executor_max: u32,
    /// How many TaskExecutors may be registered; more are refused. It bounds the memory, and the
    /// time of a check. The default is 4,096.
    pub task_executors_max: usize,
}

impl Default for SlotManagerConfig {
    fn default() -> Self {
        Self {
            jobs_max: 4096,
            placement: SlotPlacement::Fill,
            request_retry_delay: Duration::from_secs(1),
            slots_per_task_executor_max: 1024,
            task_executors_max: 4096,
        }
    }
}

/// How slots are chosen. Flink's `taskmanager.load-balance.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotPlacement {
    /// From one TaskExecutor after the other, so that neighbouring tasks share a process.
    Fill,
    /// From the TaskExecutor that has the greatest part of its slots free, so that all have work.
    Spread,
}

/// What is to be done after a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlotManagerAction {
    /// The JobMaster may be told that the job will not get what it needs, unless something changes.
    NotEnough(NotEnough),
    /// The TaskExecutor is to be asked for the slot, and what came of it is to be told.
    RequestSlot {
        task_executor: ResourceId,
        slot_index: u32,
        job: JobId,
        allocation: AllocationId,
        job_master_address: String,
    },
}

/// A job that is short of slots, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotEnough {
    pub(crate) job: JobId,
    /// How many slots the job needs in all.
    pub(crate) needed: u32,
    /// How many of them it has, or was promised.
    pub(crate) acquired: u32,
    /// How many slots the cluster has.
    pub(crate) slots: u32,
    /// How many of those are free.
    pub(crate) slots_free: u32,
}

/// Why a TaskExecutor is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RegisterError {
    #[error("{resource} has {slots} slots, and at most {max} are allowed")]
    TooManySlots {
        resource: ResourceId,
        slots: u32,
        max: u32,
    },
    #[error("{resource} is one too many: {max} TaskExecutors are registered")]
    TooManyTaskExecutors { resource: ResourceId, max: usize },
}

/// Why a job's requirements are not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("job {job} is one too many: {max} jobs need slots")]
pub(crate) struct TooManyJobs {
    pub(crate) job: JobId,
    pub(crate) max: usize,
}

/// Knows the slots of the cluster and the jobs that need some.
#[derive(Debug)]
pub(crate) struct SlotManager {
    config: SlotManagerConfig,
    inventory: Inventory,
    jobs: BTreeMap<JobId, Requirements>,
    /// How many jobs have asked so far; the next one's place in the queue.
    jobs_seen: u64,
}

#[derive(Debug)]
struct Requirements {
    place: u64,
    slots: u32,
    job_master_address: String,
    /// Its JobMaster is gone, and nobody would take the slots.
    is_paused: bool,
    /// What the last check said of the job's shortage.
    reported: Option<NotEnough>,
}

impl SlotManager {
    /// Makes a manager that knows nobody.
    pub(crate) const fn new(config: SlotManagerConfig) -> Self {
        Self {
            config,
            inventory: Inventory::new(),
            jobs: BTreeMap::new(),
            jobs_seen: 0,
        }
    }

    /// Takes in a TaskExecutor with its first report; call for a check afterwards.
    ///
    /// As `FineGrainedSlotManager#registerTaskManager`: slots that are allocated already are
    /// adopted, even for jobs that have not asked yet, and for an instance that is known it is just
    /// one more report. Another instance of a TaskExecutor replaces the one before it.
    pub(crate) fn register(
        &mut self,
        instance: InstanceId,
        registration: &TaskExecutorRegistration,
        report: &SlotReport,
    ) -> Result<(), RegisterError> {
        let resource = &registration.resource;
        if self.inventory.instance(resource) != Some(instance) {
            self.check_limits(registration)?;
            self.inventory.add(instance, registration);
        }
        self.inventory.report(resource, instance, report);
        Ok(())
    }

    /// Checks that there is room for a TaskExecutor.
    pub(crate) fn check_limits(
        &self,
        registration: &TaskExecutorRegistration,
    ) -> Result<(), RegisterError> {
        let TaskExecutorRegistration {
            resource, slots, ..
        } = registration;
        let resource = resource.clone();
        if *slots > self.config.slots_per_task_executor_max {
            return Err(RegisterError::TooManySlots {
                resource,
                slots: *slots,
                max: self.config.slots_per_task_executor_max,
            });
        }
        let is_new = self.inventory.instance(&resource).is_none();
        if is_new && self.inventory.len() >= self.config.task_executors_max {
            return Err(RegisterError::TooManyTaskExecutors {
                resource,
                max: self.config.task_executors_max,
            });
        }
        Ok(())
    }

    /// Forgets a TaskExecutor and its slots; returns whether a job lost slots by it, which calls
    /// for a check.
    pub(crate) fn unregister(&mut self, resource: &ResourceId) -> bool {
        self.inventory.remove(resource)
    }

    /// Takes the report of a heartbeat; returns whether it corrected something, which calls for a
    /// check.
    ///
    /// As `DefaultSlotStatusSyncer#reportSlotStatus`: the report is right, but for requests that
    /// are still on their way. Ignored is the report of a TaskExecutor or an instance that is not
    /// registered, and what a report says of slots that were not registered with it, or of an
    /// allocation that another slot has.
    pub(crate) fn report(
        &mut self,
        resource: &ResourceId,
        instance: InstanceId,
        report: &SlotReport,
    ) -> bool {
        self.inventory.report(resource, instance, report)
    }

    /// Takes a TaskExecutor's word that a slot is free again; returns whether that is news, which
    /// calls for a check.
    ///
    /// As `ResourceManager#notifySlotAvailable`: word of an instance that is not registered or of
    /// another allocation than the slot's is ignored. Unlike there a slot of a job that needs it is
    /// left alone for a while, like one that was refused: its JobMaster has not noticed yet that it
    /// lacks one, and would return it again and again.
    pub(crate) fn slot_available(
        &mut self,
        instance: InstanceId,
        slot: &SlotId,
        allocation: AllocationId,
        now: Instant,
    ) -> bool {
        let Some(job) = self.inventory.free(instance, slot, allocation) else {
            return false;
        };
        let acquired = self.inventory.acquired().remove(&job).unwrap_or_default();
        let needed = self.jobs.get(&job).map_or(0, |needs| needs.slots);
        if acquired < needed {
            let retry_at = now + self.config.request_retry_delay;
            self.inventory.leave_alone(slot, retry_at);
        }
        true
    }

    /// Takes the success of a request; ignored if the slot was freed meanwhile.
    pub(crate) fn request_succeeded(&mut self, allocation: AllocationId) {
        self.inventory.confirm(allocation);
    }

    /// Takes the failure of a request; returns whether it counts, which calls for a check.
    ///
    /// As `DefaultSlotStatusSyncer#allocateSlot`: ignored if the slot was freed meanwhile, or a
    /// report has confirmed the allocation.
    pub(crate) fn request_failed(&mut self, allocation: AllocationId, now: Instant) -> bool {
        let retry_at = now + self.config.request_retry_delay;
        self.inventory.reject(allocation, retry_at)
    }

    /// Takes what a job needs in all; returns whether that is news, which calls for a check.
    ///
    /// As `FineGrainedSlotManager#processResourceRequirements`: it replaces what the job needed
    /// before. Slots that the job has beyond it come back when its JobMaster returns them.
    pub(crate) fn declare(
        &mut self,
        requirements: ResourceRequirements,
    ) -> Result<bool, TooManyJobs> {
        let ResourceRequirements {
            job,
            job_master_address,
            slots,
        } = requirements;
        if slots == 0 {
            return Ok(self.jobs.remove(&job).is_some());
        }
        if let Some(known) = self.jobs.get_mut(&job) {
            let is_news = known.slots != slots
                || known.job_master_address != job_master_address
                || known.is_paused;
            known.slots = slots;
            known.job_master_address = job_master_address;
            known.is_paused = false;
            return Ok(is_news);
        }
        let max = self.config.jobs_max;
        if self.jobs.len() >= max {
            return Err(TooManyJobs { job, max });
        }
        let requirements = Requirements {
            place: self.jobs_seen,
            slots,
            job_master_address,
            is_paused: false,
            reported: None,
        };
        self.jobs.insert(job, requirements);
        self.jobs_seen += 1;
        Ok(true)
    }

    /// Takes note that a job's JobMaster is gone: the job keeps its place and its slots, and is given
    /// none until it declares what it needs anew. Returns whether it needs any.
    pub(crate) fn pause(&mut self, job: JobId) -> bool {
        let Some(known) = self.jobs.get_mut(&job) else {
            return false;
        };
        known.is_paused = true;
        // The next JobMaster has not heard it.
        known.reported = None;
        true
    }

    /// Forgets what a job needs; returns the TaskExecutors that have slots of it.
    ///
    /// As `FineGrainedSlotManager#clearResourceRequirements` those are to be told to free the slots
    /// that the job never used. The slots are free when their TaskExecutors say so.
    pub(crate) fn clear_requirements(&mut self, job: JobId) -> BTreeSet<ResourceId> {
        self.jobs.remove(&job);
        self.inventory.holders(job)
    }

    /// Gives free slots to the jobs that need some, and says which jobs remain short.
    ///
    /// A shortage is said once for each change of its numbers.
    pub(crate) fn check(&mut self, now: Instant) -> Vec<SlotManagerAction> {
        let mut actions = self.give_slots(now);
        let mut short = self.short();
        for (job, requirements) in &mut self.jobs {
            let not_enough = short.remove(job);
            if let Some(not_enough) = not_enough
                && requirements.reported != Some(not_enough)
            {
                actions.push(SlotManagerAction::NotEnough(not_enough));
            }
            requirements.reported = not_enough;
        }
        actions
    }

    /// Returns when a check is next called for without an event, because a slot that was refused
    /// may be asked for again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let mut acquired = self.inventory.acquired();
        let needs_slots = |(job, needs): (&JobId, &Requirements)| {
            !needs.is_paused && acquired.remove(job).unwrap_or_default() < needs.slots
        };
        if self.jobs.iter().any(needs_slots) {
            self.inventory.next_retry()
        } else {
            None
        }
    }

    /// Returns the numbers of the cluster.
    pub(crate) fn overview(&self) -> ResourceOverview {
        self.inventory.overview()
    }

    /// Returns what is known of each TaskExecutor, in order of their ids; `last_heartbeat_ms` says
    /// how long ago the last heartbeat of one came.
    pub(crate) fn task_managers(
        &self,
        last_heartbeat_ms: impl FnMut(&ResourceId) -> u64,
    ) -> Vec<TaskManagerInfo> {
        self.inventory.task_managers(last_heartbeat_ms)
    }

    /// Returns the jobs that may be given slots, in the order in which they first asked.
    fn jobs_in_order(&self) -> Vec<JobId> {
        let served = self.jobs.iter().filter(|(_, needs)| !needs.is_paused);
        let mut jobs: Vec<_> = served.map(|(job, needs)| (needs.place, *job)).collect();
        jobs.sort_unstable();
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    fn give_slots(&mut self, now: Instant) -> Vec<SlotManagerAction> {
        let mut acquired = self.inventory.acquired();
        let mut requests = Vec::new();
        for job in self.jobs_in_order() {
            let requirements = &self.jobs[&job];
            for _ in acquired.remove(&job).unwrap_or_default()..requirements.slots {
                let placement = self.config.placement;
                let Some((slot, allocation)) = self.inventory.reserve(job, placement, now) else {
                    return requests;
                };
                requests.push(SlotManagerAction::RequestSlot {
                    task_executor: slot.task_executor,
                    slot_index: slot.index,
                    job,
                    allocation,
                    job_master_address: requirements.job_master_address.clone(),
                });
            }
        }
        requests
    }

    /// Finds the jobs that need more than is free. A free slot that waits for its retry is one that
    /// a job will get, so that a request that failed once does not make a shortage.
    fn short(&self) -> BTreeMap<JobId, NotEnough> {
        let ResourceOverview {
            slots, slots_free, ..
        } = self.inventory.overview();
        let mut acquired = self.inventory.acquired();
        let mut left = slots_free;
        let mut short = BTreeMap::new();
        for job in self.jobs_in_order() {
            let needed = self.jobs[&job].slots;
            let acquired = acquired.remove(&job).unwrap_or_default();
            let missing = needed.saturating_sub(acquired);
            if missing > left {
                let not_enough = NotEnough {
                    job,
                    needed,
                    acquired,
                    slots,
                    slots_free,
                };
                short.insert(job, not_enough);
            }
            left = left.saturating_sub(missing);
        }
        short
    }
}

#[cfg(test)]
mod tests;
