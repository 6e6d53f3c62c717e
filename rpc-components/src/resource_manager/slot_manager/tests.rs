use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{
    NotEnough, RegisterError, SlotManager, SlotManagerAction, SlotManagerConfig, SlotPlacement,
    TooManyJobs,
};
use crate::gateway::{
    ResourceOverview, ResourceRequirements, SlotReport, SlotStatus, TaskExecutorRegistration,
    TaskManagerInfo,
};
use crate::id::{AllocationId, InstanceId, JobId, ResourceId, SlotId};

const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A request that a check made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    at: SlotId,
    job: JobId,
    allocation: AllocationId,
}

/// A manager with what its endpoint knows.
struct Fixture {
    manager: SlotManager,
    now: Instant,
}

impl Fixture {
    fn new(config: SlotManagerConfig) -> Self {
        Self {
            manager: SlotManager::new(config),
            now: Instant::now(),
        }
    }

    fn with_task_executors(slots: &[(&str, u32)]) -> Self {
        let mut fixture = Self::new(SlotManagerConfig::default());
        for (name, slots) in slots {
            fixture.register(name, *slots);
        }
        fixture
    }

    fn register(&mut self, name: &str, slots: u32) -> InstanceId {
        self.register_with(name, slots, &report(name, &vec![None; slots as usize]))
    }

    fn register_with(&mut self, name: &str, slots: u32, report: &SlotReport) -> InstanceId {
        let instance = InstanceId::random();
        self.manager
            .register(instance, &registration(name, slots), report)
            .unwrap();
        instance
    }

    fn declare(&mut self, job: JobId, slots: u32) -> bool {
        self.manager.declare(requirements(job, slots)).unwrap()
    }

    /// Checks; the requests and the shortages that follow.
    fn check(&mut self) -> (Vec<Request>, Vec<NotEnough>) {
        let (mut requests, mut shortages) = (Vec::new(), Vec::new());
        for action in self.manager.check(self.now) {
            match action {
                SlotManagerAction::NotEnough(not_enough) => shortages.push(not_enough),
                SlotManagerAction::RequestSlot {
                    task_executor,
                    slot_index,
                    job,
                    allocation,
                    job_master_address,
                } => {
                    assert_eq!(job_master_address, address_of(job));
                    let at = slot(task_executor.as_str(), slot_index);
                    requests.push(Request {
                        at,
                        job,
                        allocation,
                    });
                }
            }
        }
        (requests, shortages)
    }

    /// Checks, and all requests succeed.
    fn check_and_allocate(&mut self) -> Vec<Request> {
        let (requests, _) = self.check();
        for request in &requests {
            self.manager.request_succeeded(request.allocation);
        }
        requests
    }

    fn slots_free(&self) -> u32 {
        self.manager.overview().slots_free
    }
}

fn resource(name: &str) -> ResourceId {
    ResourceId::new(name)
}

fn slot(name: &str, index: u32) -> SlotId {
    SlotId {
        task_executor: resource(name),
        index,
    }
}

fn registration(name: &str, slots: u32) -> TaskExecutorRegistration {
    TaskExecutorRegistration {
        resource: resource(name),
        session: InstanceId::random(),
        address: format!("local://{name}"),
        data_address: format!("local://{name}/data"),
        slots,
    }
}

fn report(name: &str, allocations: &[Option<(AllocationId, JobId)>]) -> SlotReport {
    let status = |(index, allocation): (u32, &Option<_>)| SlotStatus {
        slot: slot(name, index),
        allocation: *allocation,
    };
    SlotReport {
        slots: (0..).zip(allocations).map(status).collect(),
    }
}

fn address_of(job: JobId) -> String {
    format!("local://jobmaster_{job}")
}

fn requirements(job: JobId, slots: u32) -> ResourceRequirements {
    ResourceRequirements {
        job,
        job_master_address: address_of(job),
        slots,
    }
}

fn places(requests: &[Request]) -> Vec<(String, u32)> {
    let place = |request: &Request| {
        (
            request.at.task_executor.as_str().to_owned(),
            request.at.index,
        )
    };
    requests.iter().map(place).collect()
}

fn at(places: &[(&str, u32)]) -> Vec<(String, u32)> {
    places
        .iter()
        .map(|(name, index)| ((*name).to_owned(), *index))
        .collect()
}

#[test]
fn a_registered_task_executor_brings_its_slots() {
    // Flink: FineGrainedSlotManagerTest#testTaskManagerRegistration
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let (job, allocation) = (JobId::random(), AllocationId::random());
    fixture.register_with("a", 2, &report("a", &[Some((allocation, job)), None]));
    assert_eq!(
        fixture.manager.overview(),
        ResourceOverview {
            task_managers: 1,
            slots: 2,
            slots_free: 1
        }
    );
    // The adopted slot counts for its job, although the job asks only now.
    fixture.declare(job, 2);
    assert_eq!(places(&fixture.check().0), at(&[("a", 1)]));
}

#[test]
fn the_same_instance_registers_once() {
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let instance = fixture.register("a", 1);
    let job = JobId::random();
    fixture.declare(job, 1);
    let [request] = &fixture.check_and_allocate()[..] else {
        panic!("one request");
    };
    let again = report("a", &[Some((request.allocation, job))]);
    fixture
        .manager
        .register(instance, &registration("a", 1), &again)
        .unwrap();
    assert_eq!(
        (fixture.slots_free(), fixture.manager.overview().slots),
        (0, 1)
    );
}

#[test]
fn another_instance_takes_the_place_of_the_first() {
    // Flink: ResourceManagerTaskExecutorTest#testRegisterTaskExecutor (duplicate registration)
    let mut fixture = Fixture::with_task_executors(&[("a", 1)]);
    let job = JobId::random();
    fixture.declare(job, 1);
    assert_eq!(fixture.check_and_allocate().len(), 1);
    fixture.register("a", 2);
    assert_eq!(
        fixture.manager.overview(),
        ResourceOverview {
            task_managers: 1,
            slots: 2,
            slots_free: 2
        }
    );
    assert_eq!(places(&fixture.check().0), at(&[("a", 0)]));
}

#[test]
fn too_many_of_anything_are_refused() {
    // Flink: FineGrainedSlotManagerTest#testMaxTotalResourceCpuExceeded
    let config = SlotManagerConfig {
        jobs_max: 1,
        slots_per_task_executor_max: 2,
        task_executors_max: 1,
        ..SlotManagerConfig::default()
    };
    let mut fixture = Fixture::new(config);
    let register = |fixture: &mut Fixture, name, slots| {
        let instance = InstanceId::random();
        fixture
            .manager
            .register(instance, &registration(name, slots), &SlotReport::default())
    };
    assert_eq!(
        register(&mut fixture, "a", 3),
        Err(RegisterError::TooManySlots {
            resource: resource("a"),
            slots: 3,
            max: 2
        })
    );
    assert_eq!(register(&mut fixture, "a", 2), Ok(()));
    assert_eq!(
        register(&mut fixture, "b", 2),
        Err(RegisterError::TooManyTaskExecutors {
            resource: resource("b"),
            max: 1
        })
    );
    assert_eq!(register(&mut fixture, "a", 1), Ok(()));
    let (first, second) = (JobId::random(), JobId::random());
    fixture.declare(first, 1);
    let refused = fixture.manager.declare(requirements(second, 1));
    assert_eq!(
        refused,
        Err(TooManyJobs {
            job: second,
            max: 1
        })
    );
    assert!(fixture.declare(first, 2));
}

#[test]
fn a_task_executor_that_is_gone_takes_its_slots_along() {
    // Flink: FineGrainedSlotManagerTest#testTaskManagerUnregistration
    let mut fixture = Fixture::with_task_executors(&[("a", 1)]);
    let job = JobId::random();
    fixture.declare(job, 1);
    let (requests, _) = fixture.check();
    assert!(fixture.manager.unregister(&resource("a")));
    assert!(!fixture.manager.unregister(&resource("a")));
    // The late answers are harmless.
    fixture.manager.request_succeeded(requests[0].allocation);
    assert!(
        !fixture
            .manager
            .request_failed(requests[0].allocation, fixture.now)
    );
    assert_eq!(fixture.manager.overview(), ResourceOverview::default());
    fixture.register("b", 1);
    assert!(!fixture.manager.unregister(&resource("b")));
    fixture.register("b", 1);
    assert_eq!(places(&fixture.check().0), at(&[("b", 0)]));
}

#[test]
fn the_report_of_an_unknown_task_executor_is_ignored() {
    // Flink: FineGrainedSlotManagerTest#testReceivingUnknownSlotReport
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let held = Some((AllocationId::random(), JobId::random()));
    assert!(
        !fixture
            .manager
            .report(&resource("a"), InstanceId::random(), &report("a", &[held]))
    );
    fixture.register("a", 1);
    assert!(
        !fixture
            .manager
            .report(&resource("a"), InstanceId::random(), &report("a", &[held]))
    );
    assert_eq!(fixture.slots_free(), 1);
}

#[test]
fn a_job_is_given_what_it_misses() {
    // Flink: FineGrainedSlotManagerTest#testSlotAllocationAccordingToStrategyResult
    let mut fixture = Fixture::with_task_executors(&[("a", 2), ("b", 2)]);
    let job = JobId::random();
    assert!(fixture.declare(job, 3));
    assert!(!fixture.declare(job, 3));
    let (requests, shortages) = fixture.check();
    assert_eq!(places(&requests), at(&[("a", 0), ("a", 1), ("b", 0)]));
    assert!(requests.iter().all(|request| request.job == job));
    let allocations: BTreeSet<_> = requests.iter().map(|request| request.allocation).collect();
    assert_eq!(allocations.len(), 3);
    assert_eq!(shortages, []);
    // Pending slots count as acquired.
    assert_eq!(fixture.check(), (vec![], vec![]));
    assert!(fixture.declare(job, 4));
    assert_eq!(places(&fixture.check().0), at(&[("b", 1)]));
}

#[test]
fn spread_slots_are_taken_from_whom_has_the_most_left() {
    let config = SlotManagerConfig {
        placement: SlotPlacement::Spread,
        ..SlotManagerConfig::default()
    };
    let mut fixture = Fixture::new(config);
    for (name, slots) in [("a", 2), ("b", 4), ("none", 0)] {
        fixture.register(name, slots);
    }
    fixture.declare(JobId::random(), 6);
    let expected = [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("b", 2), ("b", 3)];
    assert_eq!(places(&fixture.check().0), at(&expected));
}

#[test]
fn the_job_that_asked_first_is_served_first() {
    let mut fixture = Fixture::with_task_executors(&[("a", 3)]);
    let jobs = [JobId::random(), JobId::random(), JobId::random()];
    for job in jobs {
        fixture.declare(job, 2);
    }
    let (requests, shortages) = fixture.check();
    let served: Vec<_> = requests.iter().map(|request| request.job).collect();
    assert_eq!(served, [jobs[0], jobs[0], jobs[1]]);
    let mut short: Vec<_> = shortages
        .iter()
        .map(|short| (short.job, short.acquired))
        .collect();
    short.sort_unstable_by_key(|(job, _)| jobs.iter().position(|known| known == job));
    assert_eq!(short, [(jobs[1], 1), (jobs[2], 0)]);
}

#[test]
fn a_shortage_is_said_once_for_each_change() {
    // Flink: FineGrainedSlotManagerTest#testNotificationAboutNotEnoughResources
    let mut fixture = Fixture::with_task_executors(&[("a", 1)]);
    let job = JobId::random();
    fixture.declare(job, 3);
    let short = |acquired, slots| NotEnough {
        job,
        needed: 3,
        acquired,
        slots,
        slots_free: 0,
    };
    assert_eq!(fixture.check().1, [short(1, 1)]);
    assert_eq!(fixture.check().1, []);
    fixture.register("b", 1);
    assert_eq!(fixture.check().1, [short(2, 2)]);
    fixture.register("c", 1);
    assert_eq!(fixture.check().1, []);
    fixture.manager.unregister(&resource("c"));
    assert_eq!(fixture.check().1, [short(2, 2)]);
}

#[test]
fn free_slots_that_nobody_was_given_yet_are_no_shortage() {
    let mut fixture = Fixture::with_task_executors(&[("a", 2)]);
    let (first, second) = (JobId::random(), JobId::random());
    fixture.declare(first, 2);
    let (requests, shortages) = fixture.check();
    assert_eq!(shortages, []);
    // The slots are free again, and wait for their retry.
    for request in requests {
        fixture
            .manager
            .request_failed(request.allocation, fixture.now);
    }
    assert_eq!(fixture.check().1, []);
    fixture.declare(second, 1);
    let short: Vec<_> = fixture.check().1.iter().map(|short| short.job).collect();
    assert_eq!(short, [second]);
}

#[test]
fn a_request_that_failed_is_made_elsewhere() {
    // Flink: DefaultSlotStatusSyncerTest#testAllocateSlotFailsWithException
    let mut fixture = Fixture::with_task_executors(&[("a", 2), ("b", 2)]);
    fixture.declare(JobId::random(), 1);
    let (requests, _) = fixture.check();
    assert_eq!(places(&requests), at(&[("a", 0)]));
    assert!(
        fixture
            .manager
            .request_failed(requests[0].allocation, fixture.now)
    );
    assert!(
        !fixture
            .manager
            .request_failed(requests[0].allocation, fixture.now)
    );
    assert_eq!(places(&fixture.check().0), at(&[("b", 0)]));
}

#[test]
fn a_request_that_failed_is_made_again_after_a_delay() {
    let mut fixture = Fixture::with_task_executors(&[("a", 1)]);
    fixture.declare(JobId::random(), 1);
    let (requests, _) = fixture.check();
    fixture
        .manager
        .request_failed(requests[0].allocation, fixture.now);
    // The slot is free and will be asked for again: not a shortage.
    assert_eq!(fixture.check(), (vec![], vec![]));
    let retry_at = fixture.now + RETRY_DELAY;
    assert_eq!(fixture.manager.next_deadline(), Some(retry_at));
    fixture.now = retry_at;
    let (again, _) = fixture.check();
    assert_eq!(places(&again), at(&[("a", 0)]));
    assert_ne!(again[0].allocation, requests[0].allocation);
    assert_eq!(fixture.manager.next_deadline(), None);
}

#[test]
fn nothing_is_retried_for_nobody() {
    let mut fixture = Fixture::with_task_executors(&[("a", 1)]);
    let job = JobId::random();
    fixture.declare(job, 1);
    let (requests, _) = fixture.check();
    fixture
        .manager
        .request_failed(requests[0].allocation, fixture.now);
    fixture.declare(job, 0);
    assert_eq!(fixture.manager.next_deadline(), None);
}

#[test]
fn a_success_makes_up_for_failures() {
    let mut fixture = Fixture::with_task_executors(&[("a", 3), ("b", 3)]);
    let job = JobId::random();
    fixture.declare(job, 1);
    let (failed, _) = fixture.check();
    fixture
        .manager
        .request_failed(failed[0].allocation, fixture.now);
    fixture.declare(job, 4);
    let (requests, _) = fixture.check();
    assert_eq!(
        places(&requests),
        at(&[("b", 0), ("b", 1), ("b", 2), ("a", 1)])
    );
    fixture.manager.request_succeeded(requests[3].allocation);
    fixture.register("b", 3);
    assert_eq!(
        places(&fixture.check().0),
        at(&[("a", 2), ("b", 0), ("b", 1)])
    );
}

#[test]
fn the_answer_to_a_request_whose_slot_was_freed_is_ignored() {
    // Flink: DefaultSlotStatusSyncerTest#testAllocationUpdatesIgnoredIfSlotFreed
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let instance = fixture.register("a", 1);
    fixture.declare(JobId::random(), 1);
    let (requests, _) = fixture.check();
    let Request { at, allocation, .. } = &requests[0];
    let now = fixture.now;
    let manager = &mut fixture.manager;
    assert!(manager.slot_available(instance, at, *allocation, now));
    fixture.manager.request_succeeded(*allocation);
    assert_eq!(fixture.slots_free(), 1);
    assert!(!fixture.manager.request_failed(*allocation, fixture.now));
    let later = Some(fixture.now + RETRY_DELAY);
    assert_eq!(fixture.manager.next_deadline(), later);
}

#[test]
fn a_slot_that_became_available_is_free() {
    // Flink: DefaultSlotStatusSyncerTest#testFreeSlot
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let instance = fixture.register("a", 2);
    fixture.declare(JobId::random(), 2);
    let requests = fixture.check_and_allocate();
    let (first, second) = (&requests[0], &requests[1]);
    let now = fixture.now;
    let manager = &mut fixture.manager;
    assert!(!manager.slot_available(InstanceId::random(), &first.at, first.allocation, now));
    assert!(!manager.slot_available(instance, &first.at, second.allocation, now));
    assert!(!manager.slot_available(instance, &first.at, AllocationId::random(), now));
    assert_eq!(manager.overview().slots_free, 0);
    assert!(manager.slot_available(instance, &first.at, first.allocation, now));
    assert!(!manager.slot_available(instance, &first.at, first.allocation, now));
    assert_eq!(manager.overview().slots_free, 1);
}

#[test]
fn a_slot_that_a_job_returns_though_it_needs_it_is_left_alone_for_a_while() {
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    fixture.register("a", 1);
    let instance = fixture.register("b", 1);
    let (job, other) = (JobId::random(), JobId::random());
    fixture.declare(job, 1);
    let now = fixture.now;
    // The ResourceManager has lost `a`, and the JobMaster has not.
    fixture.check_and_allocate();
    fixture.manager.unregister(&resource("a"));
    let requests = fixture.check_and_allocate();
    let Request { at, allocation, .. } = &requests[0];
    assert_eq!(*at, slot("b", 0));
    assert!(
        fixture
            .manager
            .slot_available(instance, at, *allocation, now)
    );
    // It is no shortage.
    assert_eq!(fixture.check(), (vec![], vec![]));
    assert_eq!(fixture.manager.next_deadline(), Some(now + RETRY_DELAY));
    fixture.now += RETRY_DELAY;
    let requests = fixture.check_and_allocate();
    let Request { at, allocation, .. } = &requests[0];
    // Of a job that does not need it any more it is there for the next at once.
    fixture.declare(job, 0);
    let now = fixture.now;
    assert!(
        fixture
            .manager
            .slot_available(instance, at, *allocation, now)
    );
    fixture.declare(other, 1);
    assert_eq!(fixture.check().0.len(), 1);
}

/// Every state of a slot under every report of it.
#[test]
fn a_report_corrects_every_state() {
    // Flink: DefaultSlotStatusSyncerTest#testSlotStatusProcessing
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum State {
        Free,
        Pending,
        Allocated,
    }
    #[derive(Clone, Copy, Debug)]
    enum Reported {
        Free,
        Same,
        Other,
    }
    // Whether the report is news, and whether the slot is free after it.
    let table = [
        (State::Free, Reported::Free, false, true),
        (State::Free, Reported::Other, true, false),
        (State::Pending, Reported::Free, false, false),
        (State::Pending, Reported::Same, false, false),
        (State::Pending, Reported::Other, true, false),
        (State::Allocated, Reported::Free, true, true),
        (State::Allocated, Reported::Same, false, false),
        (State::Allocated, Reported::Other, true, false),
    ];
    for (state, reported, is_news, is_free) in table {
        let mut fixture = Fixture::new(SlotManagerConfig::default());
        let instance = fixture.register("a", 1);
        let job = JobId::random();
        let mut allocation = AllocationId::random();
        if state != State::Free {
            fixture.declare(job, 1);
            allocation = fixture.check().0[0].allocation;
        }
        if state == State::Allocated {
            fixture.manager.request_succeeded(allocation);
        }
        let held = match reported {
            Reported::Free => None,
            Reported::Same => Some((allocation, job)),
            Reported::Other => Some((AllocationId::random(), JobId::random())),
        };
        let news = fixture
            .manager
            .report(&resource("a"), instance, &report("a", &[held]));
        assert_eq!(news, is_news, "{state:?} {reported:?}");
        assert_eq!(fixture.slots_free() == 1, is_free, "{state:?} {reported:?}");
        // What is reported is allocated: a late failure of the request changes nothing.
        if let Reported::Same = reported {
            assert!(!fixture.manager.request_failed(allocation, fixture.now));
        }
    }
}

#[test]
fn a_report_cannot_break_the_bookkeeping() {
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let instance = fixture.register("a", 2);
    fixture.register("b", 1);
    let job = JobId::random();
    let (x, y) = (AllocationId::random(), AllocationId::random());
    let held = |allocation| Some((allocation, job));
    let take = |manager: &mut SlotManager, report: &SlotReport| {
        manager.report(&resource("a"), instance, report);
        let free = manager.overview().slots_free;
        assert_eq!(
            manager.inventory.acquired().get(&job).copied().unwrap_or(0),
            3 - free
        );
        free
    };
    let manager = &mut fixture.manager;
    // One allocation twice, a slot that does not exist, and somebody else's slot.
    assert_eq!(take(manager, &report("a", &[held(x), held(x)])), 2);
    let beyond = report("a", &[held(x), held(y), held(AllocationId::random())]);
    assert_eq!(take(manager, &beyond), 1);
    assert_eq!(
        take(manager, &report("b", &[held(AllocationId::random())])),
        3
    );
    // Two allocations that changed places.
    assert_eq!(take(manager, &report("a", &[held(x), held(y)])), 1);
    assert_eq!(take(manager, &report("a", &[held(y), held(x)])), 1);
    assert!(manager.slot_available(instance, &slot("a", 1), x, Instant::now()));
    // A slot that is not mentioned is free.
    assert_eq!(take(manager, &report("a", &[held(y)])), 2);
    assert_eq!(take(manager, &SlotReport::default()), 3);
}

#[test]
fn an_allocation_is_not_adopted_from_two_task_executors() {
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let held = Some((AllocationId::random(), JobId::random()));
    fixture.register_with("a", 1, &report("a", &[held]));
    let instance = fixture.register_with("b", 1, &report("b", &[held]));
    assert_eq!(fixture.slots_free(), 1);
    fixture.manager.unregister(&resource("a"));
    assert!(
        fixture
            .manager
            .report(&resource("b"), instance, &report("b", &[held]))
    );
    assert_eq!(fixture.slots_free(), 0);
}

#[test]
fn a_job_whose_job_master_is_gone_is_given_no_slots() {
    // Flink: ResourceManagerTest#testDisconnectJobManagerWithNonTerminalStatusShouldNotRemoveJob
    let mut fixture = Fixture::with_task_executors(&[("a", 1)]);
    let (gone, other) = (JobId::random(), JobId::random());
    fixture.declare(gone, 2);
    fixture.manager.pause(gone);
    fixture.declare(other, 1);
    let (requests, shortages) = fixture.check();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].job, other);
    assert_eq!(shortages, []);
    // It is back, and has its place before the other.
    fixture.register("b", 1);
    assert!(fixture.declare(gone, 2));
    assert!(!fixture.declare(gone, 2));
    let (requests, shortages) = fixture.check();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].job, gone);
    assert_eq!(shortages.len(), 1);
}

#[test]
fn requirements_that_are_cleared_leave_the_slots_with_the_job() {
    // Flink: FineGrainedSlotManagerTest#testReclaimInactiveSlotsOnClearRequirements,
    //   #testClearResourceRequirementsWithPendingTaskManager (clearing twice is safe)
    let mut fixture = Fixture::with_task_executors(&[("a", 1), ("b", 1), ("c", 1)]);
    let job = JobId::random();
    fixture.declare(job, 2);
    fixture.check_and_allocate();
    let holders = BTreeSet::from([resource("a"), resource("b")]);
    assert_eq!(fixture.manager.clear_requirements(job), holders);
    assert_eq!(fixture.manager.clear_requirements(job), holders);
    assert_eq!(fixture.slots_free(), 1);
    fixture.manager.unregister(&resource("a"));
    assert_eq!(fixture.check(), (vec![], vec![]));
}

#[test]
fn an_empty_declaration_ends_the_need() {
    let mut fixture = Fixture::new(SlotManagerConfig::default());
    let job = JobId::random();
    assert!(!fixture.declare(job, 0));
    fixture.declare(job, 2);
    assert!(fixture.declare(job, 0));
    fixture.register("a", 2);
    assert_eq!(fixture.check(), (vec![], vec![]));
}

#[test]
fn slots_are_offered_where_the_job_master_is_now() {
    let mut fixture = Fixture::with_task_executors(&[("a", 1)]);
    let job = JobId::random();
    fixture.declare(job, 1);
    let moved = ResourceRequirements {
        job_master_address: "local://moved".into(),
        ..requirements(job, 1)
    };
    assert_eq!(fixture.manager.declare(moved), Ok(true));
    let [
        SlotManagerAction::RequestSlot {
            job_master_address, ..
        },
    ] = &fixture.manager.check(fixture.now)[..]
    else {
        panic!("one request");
    };
    assert_eq!(job_master_address, "local://moved");
}

#[test]
fn a_boundless_need_is_met_with_what_there_is() {
    let mut fixture = Fixture::with_task_executors(&[("a", 2)]);
    fixture.declare(JobId::random(), u32::MAX);
    let (requests, shortages) = fixture.check();
    assert_eq!((requests.len(), shortages.len()), (2, 1));
}

#[test]
fn the_task_managers_are_listed_in_order() {
    // Flink: FineGrainedSlotManagerTest#testGetResourceOverview,
    //   ResourceManagerTest#testRequestTaskManagerInfo
    let mut fixture = Fixture::with_task_executors(&[("b", 2), ("a", 1)]);
    fixture.declare(JobId::random(), 2);
    fixture.check_and_allocate();
    let info = |name: &str, slots, slots_free, last_heartbeat_ms| TaskManagerInfo {
        resource: resource(name),
        address: format!("local://{name}"),
        slots,
        slots_free,
        last_heartbeat_ms,
    };
    let listed = fixture
        .manager
        .task_managers(|resource| u64::from(*resource == self::resource("b")));
    assert_eq!(listed, [info("a", 1, 0, 0), info("b", 2, 1, 1)]);
}
