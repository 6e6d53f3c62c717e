use std::time::Duration;

use tokio::time::Instant;

use super::{ReleasedSlot, SlotPool, SlotPoolConfig};
use crate::gateway::{AllocatedSlot, ResourceRequirements, SlotOffer, TaskManagerLocation};
use crate::id::{AllocationId, JobId, ResourceId};

const IDLE: Duration = Duration::from_secs(50);

fn location(name: &str) -> TaskManagerLocation {
    TaskManagerLocation {
        resource: ResourceId::new(name),
        address: format!("local://{name}"),
        data_address: format!("local://{name}/data"),
    }
}

/// A pool that needs so many slots, with two TaskManagers `a` and `b`.
fn pool(required: u32) -> SlotPool {
    let mut pool = SlotPool::new(JobId::random(), SlotPoolConfig::default());
    pool.set_required(required);
    assert!(pool.register_task_manager(location("a")));
    assert!(pool.register_task_manager(location("b")));
    pool
}

fn offers(indices: impl IntoIterator<Item = u32>) -> Vec<SlotOffer> {
    let offer = |slot_index| SlotOffer {
        allocation: AllocationId::random(),
        slot_index,
    };
    indices.into_iter().map(offer).collect()
}

fn offer(pool: &mut SlotPool, name: &str, offers: &[SlotOffer], now: Instant) -> Vec<SlotOffer> {
    pool.offer(&ResourceId::new(name), offers, now)
}

fn released(name: &str, slot: &SlotOffer, was_in_use: bool) -> ReleasedSlot {
    ReleasedSlot {
        allocation: slot.allocation,
        task_manager: ResourceId::new(name),
        was_in_use,
    }
}

/// Sorts, for the pool goes by allocation, which is random.
fn sorted(mut released: Vec<ReleasedSlot>) -> Vec<ReleasedSlot> {
    released.sort_unstable_by_key(|slot| slot.allocation);
    released
}

#[test]
fn a_change_of_what_is_required_is_declared() {
    // Flink: DefaultDeclarativeSlotPoolTest
    //   #testIncreasingResourceRequirementsWillSendResourceRequirementNotification,
    //   #testDecreasingResourceRequirementsWillSendResourceRequirementNotification,
    //   #testSetResourceRequirementsOverwritesPreviousValue
    let job = JobId::random();
    let mut pool = SlotPool::new(job, SlotPoolConfig::default());
    assert!(!pool.set_required(0));
    for slots in [2, 3, 1] {
        assert!(pool.set_required(slots));
        assert!(!pool.set_required(slots));
        let declared = ResourceRequirements {
            job,
            job_master_address: "local://jm".into(),
            slots,
        };
        assert_eq!(pool.declaration("local://jm"), declared);
    }
}

#[test]
fn what_is_required_is_accepted() {
    // Flink: DefaultDeclarativeSlotPoolTest#testOfferSlots
    let mut pool = pool(2);
    let offers = offers([0, 1]);
    assert_eq!(offer(&mut pool, "a", &offers, Instant::now()), offers);
    assert_eq!((pool.acquired(), pool.missing()), (2, 0));
}

#[test]
fn a_known_slot_is_accepted_again() {
    // Flink: DefaultDeclarativeSlotPoolTest#testDuplicateSlotOfferings
    let now = Instant::now();
    let mut pool = pool(2);
    let offers = offers([0, 1]);
    offer(&mut pool, "a", &offers, now);
    assert_eq!(offer(&mut pool, "a", &offers, now), offers);
    assert_eq!(pool.acquired(), 2);
    // The same allocation at another place is not the job's slot.
    assert_eq!(offer(&mut pool, "b", &offers, now), []);
    let moved = SlotOffer {
        slot_index: 7,
        ..offers[0]
    };
    assert_eq!(offer(&mut pool, "a", &[moved], now), []);
}

#[test]
fn more_than_is_required_is_rejected() {
    // Flink: DefaultDeclarativeSlotPoolTest#testOfferingTooManySlotsWillRejectSuperfluousSlots
    let mut pool = pool(2);
    let offers = offers(0..5);
    assert_eq!(offer(&mut pool, "a", &offers, Instant::now()), offers[..2]);
    assert_eq!(pool.acquired(), 2);
}

#[test]
fn an_unknown_task_manager_offers_in_vain() {
    let mut pool = pool(2);
    assert_eq!(offer(&mut pool, "c", &offers([0]), Instant::now()), []);
}

#[test]
fn so_many_task_managers_are_registered_and_no_more() {
    let config = SlotPoolConfig {
        task_managers_max: 1,
        ..SlotPoolConfig::default()
    };
    let mut pool = SlotPool::new(JobId::random(), config);
    assert!(pool.register_task_manager(location("a")));
    assert!(!pool.register_task_manager(location("b")));
    assert!(pool.register_task_manager(location("a")));
    pool.release_task_manager(&ResourceId::new("a"));
    assert!(pool.register_task_manager(location("b")));
}

#[test]
fn slots_are_taken_when_all_are_there() {
    // Flink: DeclarativeSlotPoolBridgeTest#testDeferSlotAllocationLogic
    let now = Instant::now();
    let mut pool = pool(3);
    let (at_b, at_a) = (offers([0]), offers([1, 0]));
    offer(&mut pool, "b", &at_b, now);
    assert_eq!(pool.take(), None);
    offer(&mut pool, "a", &at_a, now);
    let taken = pool.take().unwrap();
    let expected = [(at_a[1], "a"), (at_a[0], "a"), (at_b[0], "b")];
    let expected = expected.map(|(slot, name)| (slot.allocation, location(name)));
    assert_eq!(taken, expected);
    // What is in use is not taken again.
    assert_eq!(pool.take(), None);
}

#[test]
fn a_lost_task_manager_takes_its_slots_along() {
    // Flink: DefaultDeclarativeSlotPoolTest#testReleaseSlotsRemovesSlots,
    //   #testReleaseSlotsOnlyReturnsFulfilledRequirementsOfReservedSlots
    let now = Instant::now();
    let mut pool = pool(2);
    let (at_a, at_b) = (offers([0, 1]), offers([0]));
    offer(&mut pool, "a", &at_a[..1], now);
    offer(&mut pool, "b", &at_b, now);
    pool.take().unwrap();
    pool.set_required(3);
    offer(&mut pool, "a", &at_a[1..], now);
    let lost = pool.release_task_manager(&ResourceId::new("a"));
    let expected = vec![
        released("a", &at_a[0], true),
        released("a", &at_a[1], false),
    ];
    assert_eq!(sorted(lost), sorted(expected));
    // What is lost is missing again, and its TaskManager unknown.
    assert_eq!(pool.missing(), 2);
    assert_eq!(offer(&mut pool, "a", &at_a, now), []);
    assert_eq!(pool.release_task_manager(&ResourceId::new("a")), []);
}

#[test]
fn a_failed_slot_is_missing_again() {
    // Flink: DefaultDeclarativeSlotPoolTest#testReleaseSlotDecreasesFulfilledResourceRequirements,
    //   JobMasterTest#testReleasingTaskExecutorIfNoMoreSlotsRegistered
    let now = Instant::now();
    let mut pool = pool(2);
    let slots = offers([0, 1]);
    offer(&mut pool, "a", &slots, now);
    let (a, b) = (ResourceId::new("a"), ResourceId::new("b"));
    assert_eq!(pool.fail(&b, slots[0].allocation), None);
    assert_eq!(
        pool.fail(&a, slots[0].allocation),
        Some(released("a", &slots[0], false))
    );
    assert_eq!(pool.fail(&a, slots[0].allocation), None);
    assert_eq!(pool.missing(), 1);
    assert!(pool.has_slots_of(&a));
    pool.fail(&a, slots[1].allocation);
    assert!(!pool.has_slots_of(&a));
}

#[test]
fn idle_slots_are_returned_after_a_time() {
    // Flink: DefaultDeclarativeSlotPoolTest#testReturnIdleSlotsAfterTimeout
    let now = Instant::now();
    let mut pool = pool(2);
    let slots = offers([0, 1]);
    offer(&mut pool, "a", &slots, now);
    pool.set_required(0);
    assert_eq!(pool.release_idle(now + IDLE - Duration::from_nanos(1)), []);
    let expected = vec![
        released("a", &slots[0], false),
        released("a", &slots[1], false),
    ];
    assert_eq!(sorted(pool.release_idle(now + IDLE)), sorted(expected));
    assert_eq!(pool.acquired(), 0);
}

#[test]
fn only_what_is_not_needed_is_returned() {
    // Flink: DefaultDeclarativeSlotPoolTest#testOnlyReturnExcessIdleSlots
    let now = Instant::now();
    let mut pool = pool(3);
    offer(&mut pool, "a", &offers(0..3), now);
    pool.set_required(1);
    assert_eq!(pool.release_idle(now + IDLE).len(), 2);
    assert_eq!((pool.acquired(), pool.missing()), (1, 0));
}

#[test]
fn slots_in_use_are_not_idle() {
    let now = Instant::now();
    let mut pool = pool(2);
    offer(&mut pool, "a", &offers([0, 1]), now);
    pool.take().unwrap();
    pool.set_required(0);
    assert_eq!(pool.release_idle(now + IDLE), []);
}

#[test]
fn the_slots_of_a_task_manager_are_as_they_are_now() {
    // Flink: JobMasterTest#testAllocatedSlotReportDoesNotContainStaleInformation
    let now = Instant::now();
    let mut pool = pool(2);
    let slots = offers([3]);
    offer(&mut pool, "a", &slots, now);
    let slot = AllocatedSlot {
        slot_index: 3,
        allocation: slots[0].allocation,
    };
    assert_eq!(pool.allocated_slots(&ResourceId::new("a")), [slot]);
    assert_eq!(pool.allocated_slots(&ResourceId::new("b")), []);
    pool.fail(&ResourceId::new("a"), slots[0].allocation);
    assert_eq!(pool.allocated_slots(&ResourceId::new("a")), []);
}

#[test]
fn a_cleared_pool_needs_and_has_nothing() {
    let now = Instant::now();
    let mut pool = pool(1);
    let slots = offers([0]);
    offer(&mut pool, "a", &slots, now);
    pool.take().unwrap();
    assert_eq!(pool.clear(), [released("a", &slots[0], true)]);
    assert_eq!((pool.acquired(), pool.missing()), (0, 0));
    assert_eq!(offer(&mut pool, "a", &slots, now), []);
}

#[test]
fn freed_slots_are_taken_again() {
    // Flink: DefaultDeclarativeSlotPoolTest#testFreedSlotWillBeUsedToFulfillOutstandingResourceRequirementsOfSameProfile
    let mut pool = pool(2);
    let now = Instant::now();
    let at_a = offers(0..2);
    offer(&mut pool, "a", &at_a, now);
    let taken = pool.take().unwrap();
    assert_eq!(pool.take(), None);
    pool.free_all(now);
    assert_eq!(pool.take().unwrap(), taken);
    // One that is lost meanwhile is missing.
    pool.free_all(now);
    pool.fail(&ResourceId::new("a"), at_a[0].allocation);
    assert_eq!((pool.take(), pool.missing()), (None, 1));
}

#[test]
fn the_slots_of_a_task_manager_that_may_be_dead_are_not_taken() {
    let mut pool = pool(1);
    let now = Instant::now();
    let (a, b) = (ResourceId::new("a"), ResourceId::new("b"));
    offer(&mut pool, "a", &offers([0]), now);
    pool.set_doubtful(&b, true);
    pool.set_doubtful(&a, true);
    assert_eq!(pool.take(), None);
    // They are the job's all the same: no other is asked for before it is known.
    assert_eq!(pool.missing(), 0);
    pool.set_doubtful(&a, false);
    assert_eq!(pool.take().map(|it| it.len()), Some(1));
    pool.free_all(now);
    pool.set_doubtful(&a, true);
    pool.release_task_manager(&a);
    // Its next session is another.
    assert!(pool.register_task_manager(location("a")));
    offer(&mut pool, "a", &offers([0]), now);
    assert_eq!(pool.take().map(|it| it.len()), Some(1));
}
