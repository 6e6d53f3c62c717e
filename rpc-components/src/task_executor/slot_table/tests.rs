use std::time::Duration;

use tokio::time::Instant;

use super::{
    AddTaskError, AllocateError, FreedSlot, Freeing, Reconciliation, Slot, SlotState, SlotTable,
    SlotTableConfig,
};
use crate::gateway::{AllocatedSlot, SlotOffer, SlotReport, SlotStatus};
use crate::id::{AllocationId, AttemptId, JobId, ResourceId, SlotId, VertexId};

const TIMEOUT: Duration = Duration::from_secs(10);

fn table(slots: u32) -> SlotTable {
    let config = SlotTableConfig {
        slots,
        ..SlotTableConfig::default()
    };
    SlotTable::new(ResourceId::new("tm"), config)
}

/// A job and an allocation of it.
fn ids() -> (JobId, AllocationId) {
    (JobId::random(), AllocationId::random())
}

fn attempt(job: JobId, subtask: u32) -> AttemptId {
    AttemptId {
        job,
        vertex: VertexId(0),
        subtask,
        attempt: 0,
    }
}

fn offer(allocation: AllocationId, slot_index: u32) -> SlotOffer {
    SlotOffer {
        allocation,
        slot_index,
    }
}

fn freed(index: u32, job: JobId, allocation: AllocationId) -> FreedSlot {
    FreedSlot {
        index,
        job,
        allocation,
    }
}

/// Where the slot with an index stands; `None` if it is free.
fn state(table: &SlotTable, index: u32) -> Option<SlotState> {
    table.slots.get(&index).map(Slot::state)
}

/// When a slot next expires.
fn next_deadline(table: &SlotTable) -> Option<Instant> {
    table.slots.values().filter_map(Slot::deadline).min()
}

/// A table whose only slot is in a state, and the job and the allocation that it has or had.
fn table_in(
    wanted: impl Into<Option<SlotState>>,
    now: Instant,
) -> (SlotTable, JobId, AllocationId) {
    let mut table = table(1);
    let (job, allocation) = ids();
    let wanted = wanted.into();
    if wanted.is_some() {
        table.allocate(0, job, allocation, now).unwrap();
    }
    if matches!(wanted, Some(SlotState::Active | SlotState::Releasing)) {
        table.mark_active(allocation);
    }
    if wanted == Some(SlotState::Releasing) {
        table.add_task(allocation, attempt(job, 0)).unwrap();
        table.free(allocation);
    }
    assert_eq!(state(&table, 0), wanted);
    (table, job, allocation)
}

type Event = fn(&mut SlotTable, JobId, AllocationId, Instant);

/// What can happen to a slot.
const fn events() -> [(&'static str, Event); 10] {
    [
        ("allocate again", |table, job, allocation, now| {
            let _ = table.allocate(0, job, allocation, now);
        }),
        ("allocate to another", |table, _, _, now| {
            let (job, allocation) = ids();
            let _ = table.allocate(0, job, allocation, now);
        }),
        ("mark active", |table, _, allocation, _| {
            table.mark_active(allocation);
        }),
        ("try to mark active", |table, job, allocation, _| {
            table.try_mark_active(job, allocation);
        }),
        (
            "try to mark active for another",
            |table, _, allocation, _| {
                table.try_mark_active(JobId::random(), allocation);
            },
        ),
        ("mark inactive", |table, _, allocation, now| {
            table.mark_inactive(allocation, now);
        }),
        ("free", |table, _, allocation, _| {
            table.free(allocation);
        }),
        ("free with a task", |table, job, allocation, _| {
            let _ = table.add_task(allocation, attempt(job, 1));
            table.free(allocation);
        }),
        ("remove the task", |table, job, _, _| {
            table.remove_task(attempt(job, 0));
        }),
        ("close", |table, _, _, _| {
            table.close();
        }),
    ]
}

#[test]
fn every_state_takes_every_event() {
    const FREE: Option<SlotState> = None;
    const ALLOCATED: Option<SlotState> = Some(SlotState::Allocated);
    const ACTIVE: Option<SlotState> = Some(SlotState::Active);
    const RELEASING: Option<SlotState> = Some(SlotState::Releasing);
    let table = [
        (
            FREE,
            [
                ALLOCATED, ALLOCATED, FREE, FREE, FREE, FREE, FREE, FREE, FREE, FREE,
            ],
        ),
        (
            ALLOCATED,
            [
                ALLOCATED, ALLOCATED, ACTIVE, ACTIVE, ALLOCATED, ALLOCATED, FREE, FREE, ALLOCATED,
                FREE,
            ],
        ),
        (
            ACTIVE,
            [
                ACTIVE, ACTIVE, ACTIVE, ACTIVE, ACTIVE, ALLOCATED, FREE, RELEASING, ACTIVE, FREE,
            ],
        ),
        (
            RELEASING,
            [
                RELEASING, RELEASING, RELEASING, RELEASING, RELEASING, RELEASING, RELEASING,
                RELEASING, FREE, RELEASING,
            ],
        ),
    ];
    let now = Instant::now();
    for (before, next) in table {
        for ((name, event), next) in events().into_iter().zip(next) {
            let (mut table, job, allocation) = table_in(before, now);
            event(&mut table, job, allocation, now);
            assert_eq!(state(&table, 0), next, "{before:?}: {name}");
        }
    }
}

#[test]
fn an_allocated_slot_is_the_jobs() {
    // Flink: TaskSlotTableImplTest#testAllocateSlot
    let mut table = table(2);
    let (job, allocation) = ids();
    assert_eq!(table.allocate(1, job, allocation, Instant::now()), Ok(true));
    assert_eq!(
        table.slots_of(job, SlotState::Allocated),
        [offer(allocation, 1)]
    );
    assert_eq!(table.slots_of(JobId::random(), SlotState::Allocated), []);
    assert!(table.has_slots(job));
    assert!(table.is_allocated(job, allocation));
    assert!(!table.is_allocated(JobId::random(), allocation));
}

#[test]
fn the_same_allocation_again_changes_nothing() {
    // Flink: TaskSlotTableImplTest#testDuplicateStaticSlotAllocation
    let now = Instant::now();
    let mut table = table(2);
    let (job, allocation) = ids();
    table.allocate(0, job, allocation, now).unwrap();
    assert_eq!(
        table.allocate(0, job, allocation, now + TIMEOUT / 2),
        Ok(false)
    );
    assert_eq!(
        table.slots_of(job, SlotState::Allocated),
        [offer(allocation, 0)]
    );
    assert_eq!(next_deadline(&table), Some(now + TIMEOUT));
}

#[test]
fn an_inconsistent_allocation_is_refused() {
    // Flink: TaskSlotTableImplTest#testInconsistentStaticSlotAllocation,
    //   #testInconsistentDynamicSlotAllocation
    let now = Instant::now();
    let mut table = table(2);
    let (job, allocation) = ids();
    table.allocate(0, job, allocation, now).unwrap();
    let elsewhere = AllocateError::AllocatedElsewhere {
        allocation,
        job,
        index: 0,
    };
    assert_eq!(table.allocate(1, job, allocation, now), Err(elsewhere));
    let occupied = AllocateError::Occupied {
        index: 0,
        job,
        allocation,
    };
    let another = AllocationId::random();
    assert_eq!(table.allocate(0, job, another, now), Err(occupied.clone()));
    assert_eq!(
        table.allocate(0, JobId::random(), allocation, now),
        Err(occupied)
    );
    let missing = AllocateError::NoSuchSlot { index: 2, slots: 2 };
    assert_eq!(table.allocate(2, job, another, now), Err(missing));
    assert!(!table.slots.contains_key(&2));
}

#[test]
fn a_slot_that_is_being_released_is_occupied() {
    let now = Instant::now();
    let (mut table, job, allocation) = table_in(SlotState::Releasing, now);
    let occupied = AllocateError::Occupied {
        index: 0,
        job,
        allocation,
    };
    assert_eq!(table.allocate(0, job, allocation, now), Err(occupied));
    assert!(!table.is_allocated(job, allocation));
    assert!(table.has_slots(job));
}

#[test]
fn only_the_slots_of_the_job_become_active() {
    // Flink: TaskSlotTableImplTest#testTryMarkSlotActive
    let now = Instant::now();
    let mut table = table(3);
    let (job, first) = ids();
    let (other, second) = ids();
    table.allocate(0, job, first, now).unwrap();
    table.allocate(1, other, second, now).unwrap();
    assert!(table.try_mark_active(job, first));
    assert!(!table.try_mark_active(job, second));
    assert!(!table.try_mark_active(job, AllocationId::random()));
    assert_eq!(table.slots_of(job, SlotState::Active), [offer(first, 0)]);
    assert_eq!(table.slots_of(other, SlotState::Active), []);
}

#[test]
fn a_freed_slot_is_free_and_the_others_are_not() {
    // Flink: TaskSlotTableImplTest#testFreeSlot
    let now = Instant::now();
    let mut table = table(2);
    let (job, first) = ids();
    let second = AllocationId::random();
    table.allocate(0, job, first, now).unwrap();
    table.allocate(1, job, second, now).unwrap();
    assert_eq!(
        table.free(second),
        Some(Freeing::Freed(freed(1, job, second)))
    );
    assert_eq!(table.free(second), None);
    assert_eq!(
        (state(&table, 0), state(&table, 1)),
        (Some(SlotState::Allocated), None)
    );
    assert_eq!(table.allocate(1, JobId::random(), second, now), Ok(true));
}

#[test]
fn the_report_names_every_slot() {
    // Flink: TaskSlotTableImplTest#testGenerateSlotReport
    let now = Instant::now();
    let mut table = table(3);
    let (job, allocation) = ids();
    let (releasing_job, releasing) = ids();
    table.allocate(0, job, allocation, now).unwrap();
    table.allocate(2, releasing_job, releasing, now).unwrap();
    table.mark_active(releasing);
    table
        .add_task(releasing, attempt(releasing_job, 0))
        .unwrap();
    table.free(releasing);
    let status = |index, allocation| SlotStatus {
        slot: SlotId {
            task_executor: ResourceId::new("tm"),
            index,
        },
        allocation,
    };
    let slots = vec![
        status(0, Some((allocation, job))),
        status(1, None),
        status(2, Some((releasing, releasing_job))),
    ];
    assert_eq!(table.report(), SlotReport { slots });
}

#[test]
fn a_task_is_added_to_an_active_slot() {
    // Flink: TaskSlotTableImplTest#testAddTask
    let now = Instant::now();
    let mut table = table(1);
    let (job, allocation) = ids();
    let task = attempt(job, 0);
    let not_active = AddTaskError::NotActive { allocation, job };
    assert_eq!(table.add_task(allocation, task), Err(not_active.clone()));
    table.allocate(0, job, allocation, now).unwrap();
    assert_eq!(table.add_task(allocation, task), Err(not_active));
    table.mark_active(allocation);
    assert_eq!(table.add_task(allocation, task), Ok(()));
    assert_eq!(
        table.add_task(allocation, task),
        Err(AddTaskError::Duplicate { attempt: task })
    );
    let other = JobId::random();
    let not_theirs = AddTaskError::NotActive {
        allocation,
        job: other,
    };
    assert_eq!(
        table.add_task(allocation, attempt(other, 0)),
        Err(not_theirs)
    );
    assert_eq!(table.tasks_of(job), [task]);
}

#[test]
fn a_slot_has_so_many_tasks_and_no_more() {
    let config = SlotTableConfig {
        tasks_per_slot_max: 2,
        ..SlotTableConfig::default()
    };
    let mut table = SlotTable::new(ResourceId::new("tm"), config);
    let (job, allocation) = ids();
    table.allocate(0, job, allocation, Instant::now()).unwrap();
    table.mark_active(allocation);
    assert_eq!(table.add_task(allocation, attempt(job, 0)), Ok(()));
    assert_eq!(table.add_task(allocation, attempt(job, 1)), Ok(()));
    let attempt = attempt(job, 2);
    let too_many = AddTaskError::TooMany {
        attempt,
        allocation,
        max: 2,
    };
    assert_eq!(table.add_task(allocation, attempt), Err(too_many));
}

#[test]
fn freeing_a_slot_fails_its_tasks_first() {
    // Flink: TaskSlotTableImplTest#testFreeSlotInterruptsSubmittedTask,
    //   #testRemoveTaskCallsFreeSlotAction, TaskSlotTest
    let (mut table, job, allocation) = table_in(SlotState::Active, Instant::now());
    let tasks = [attempt(job, 0), attempt(job, 1)];
    for task in tasks {
        table.add_task(allocation, task).unwrap();
    }
    let releasing = Some(Freeing::Releasing(tasks.to_vec()));
    assert_eq!(table.free(allocation), releasing);
    assert_eq!(table.free(allocation), releasing);
    assert_eq!(table.remove_task(tasks[1]), None);
    assert_eq!(table.remove_task(tasks[1]), None);
    assert_eq!(table.remove_task(tasks[0]), Some(freed(0, job, allocation)));
    assert!(table.slots.is_empty());
}

#[test]
fn removing_the_last_task_keeps_an_active_slot() {
    let (mut table, job, allocation) = table_in(SlotState::Active, Instant::now());
    table.add_task(allocation, attempt(job, 0)).unwrap();
    assert_eq!(table.remove_task(attempt(job, 0)), None);
    assert_eq!(state(&table, 0), Some(SlotState::Active));
    assert_eq!(table.tasks_of(job), []);
}

#[test]
fn a_closed_table_is_empty_when_all_tasks_have_ended() {
    // Flink: TaskSlotTableImplTest#testTableIsClosedOnlyWhenAllTasksTerminated
    let now = Instant::now();
    let mut table = table(3);
    let (job, busy) = ids();
    let idle = AllocationId::random();
    table.allocate(0, job, busy, now).unwrap();
    table.allocate(1, job, idle, now).unwrap();
    table.mark_active(busy);
    table.add_task(busy, attempt(job, 0)).unwrap();
    assert_eq!(
        table.close(),
        [
            Freeing::Releasing(vec![attempt(job, 0)]),
            Freeing::Freed(freed(1, job, idle))
        ]
    );
    assert!(!table.slots.is_empty());
    assert_eq!(
        table.allocate(2, job, idle, now),
        Err(AllocateError::Closed)
    );
    table.remove_task(attempt(job, 0));
    assert!(table.slots.is_empty());
}

#[test]
fn an_allocated_slot_expires() {
    // Flink: TaskSlotTableImplTest#testAllocatedSlotTimeout
    let now = Instant::now();
    let mut table = table(2);
    let (job, first) = ids();
    let second = AllocationId::random();
    table.allocate(1, job, first, now).unwrap();
    table.allocate(0, job, second, now + TIMEOUT / 2).unwrap();
    assert_eq!(next_deadline(&table), Some(now + TIMEOUT));
    assert_eq!(table.expired(now + TIMEOUT - Duration::from_nanos(1)), []);
    assert_eq!(table.expired(now + TIMEOUT), [first]);
    table.free(first);
    assert_eq!(next_deadline(&table), Some(now + TIMEOUT / 2 + TIMEOUT));
    assert_eq!(table.expired(now + 2 * TIMEOUT), [second]);
}

#[test]
fn an_active_slot_does_not_expire() {
    // Flink: TaskSlotTableImplTest#testMarkSlotActiveDeactivatesSlotTimeout,
    //   #testTryMarkSlotActiveDeactivatesSlotTimeout
    let now = Instant::now();
    let (mut table, job, allocation) = table_in(SlotState::Allocated, now);
    assert!(table.try_mark_active(job, allocation));
    assert_eq!(next_deadline(&table), None);
    assert_eq!(table.expired(now + 2 * TIMEOUT), []);
    // A slot that is inactive again has all its time again.
    assert!(table.mark_inactive(allocation, now + TIMEOUT));
    assert_eq!(next_deadline(&table), Some(now + 2 * TIMEOUT));
}

#[test]
fn a_slot_that_expires_with_tasks_in_it_is_released() {
    let now = Instant::now();
    let (mut table, job, allocation) = table_in(SlotState::Active, now);
    table.add_task(allocation, attempt(job, 0)).unwrap();
    table.mark_inactive(allocation, now);
    assert_eq!(table.expired(now + TIMEOUT), [allocation]);
    assert_eq!(
        table.free(allocation),
        Some(Freeing::Releasing(vec![attempt(job, 0)]))
    );
    assert_eq!(table.expired(now + TIMEOUT), []);
}

#[test]
fn the_view_of_the_job_master_is_compared() {
    // Flink: TaskExecutorTest#testSyncSlotsWithJobMasterByHeartbeat
    let now = Instant::now();
    let mut table = table(5);
    let (job, common) = ids();
    let [unclaimed, inactive, gone, moved] = [(); 4].map(|()| AllocationId::random());
    let (other_job, others) = ids();
    for (index, allocation) in [(0, common), (1, unclaimed), (2, inactive), (3, moved)] {
        table.allocate(index, job, allocation, now).unwrap();
    }
    table.allocate(4, other_job, others, now).unwrap();
    for allocation in [common, unclaimed, others] {
        table.mark_active(allocation);
    }
    let claim = |slot_index, allocation| AllocatedSlot {
        slot_index,
        allocation,
    };
    let claimed = [
        claim(0, common),
        claim(1, gone),
        claim(2, moved),
        claim(4, others),
    ];
    let to_fail = vec![gone, moved, others];
    // The first claims may be older than the slots.
    let first = Reconciliation {
        to_fail: to_fail.clone(),
        to_free: vec![],
    };
    assert_eq!(table.reconcile(job, &claimed), first);
    let second = Reconciliation {
        to_fail,
        to_free: vec![unclaimed],
    };
    assert_eq!(table.reconcile(job, &claimed), second);
    assert_eq!(
        table.reconcile(JobId::random(), &[]),
        Reconciliation::default()
    );
}

#[test]
fn claims_that_lack_a_slot_count_only_in_a_row() {
    let now = Instant::now();
    let (mut table, job, allocation) = table_in(SlotState::Active, now);
    let claim = AllocatedSlot {
        slot_index: 0,
        allocation,
    };
    assert_eq!(table.reconcile(job, &[]), Reconciliation::default());
    assert_eq!(table.reconcile(job, &[claim]), Reconciliation::default());
    assert_eq!(table.reconcile(job, &[]), Reconciliation::default());
    // Another JobMaster has the slot now.
    table.mark_inactive(allocation, now);
    table.mark_active(allocation);
    assert_eq!(table.reconcile(job, &[]), Reconciliation::default());
    assert_eq!(table.reconcile(job, &[]).to_free, [allocation]);
}
