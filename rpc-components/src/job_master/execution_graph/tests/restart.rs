//! Restarts.

use std::time::Duration;

use super::{Fixture, NOW, graph, pair, single, status, update};
use crate::gateway::{
    ExecutionState, FailureKind, JobStatus, RestartCause, Shortage, TaskExecutionState,
    UnknownAttempt,
};
use crate::id::{AttemptId, ResourceId, VertexId};
use crate::job_graph::JobPlan;
use crate::job_master::execution_graph::{ExecutionGraphConfig, GraphAction};

/// A plan that restarts as the text says.
fn restarting(plan: JobPlan, strategy: &str) -> JobPlan {
    JobPlan {
        restart: Some(strategy.parse().unwrap()),
        ..plan
    }
}

/// A graph that may be restarted twice, after 1 s each, and whose tasks all run.
fn running(plan: JobPlan) -> Fixture {
    Fixture::running(restarting(plan, "fixed-delay:2:1"))
}

const fn after(restart: u32) -> GraphAction {
    let delay = Duration::from_secs(1);
    GraphAction::RestartAfter { delay, restart }
}

fn failed(attempt: AttemptId, text: &str, kind: FailureKind) -> TaskExecutionState {
    let failure = vec![text.to_owned()];
    TaskExecutionState {
        kind,
        ..update(attempt, ExecutionState::Failed, failure)
    }
}

impl Fixture {
    fn fail(&mut self, attempt: AttemptId, text: &str, kind: FailureKind) -> Vec<GraphAction> {
        self.graph
            .update_state(failed(attempt, text, kind), NOW)
            .unwrap()
    }

    /// Lets a graph that restarts run again.
    fn run_again(&mut self) {
        for attempt in self.all() {
            let told = update(attempt, ExecutionState::Canceled, vec![]);
            self.graph.update_state(told, NOW).unwrap();
        }
        self.graph.restart_due(self.graph.restarts, NOW);
        self.graph.slots_available(self.slots.clone());
        for attempt in self.all() {
            self.report(attempt, ExecutionState::Initializing);
            self.report(attempt, ExecutionState::Running);
        }
        assert_eq!(self.graph.status(), JobStatus::Running);
    }

    fn causes(&self) -> Vec<Vec<String>> {
        let causes = self.graph.info(NOW).restart_causes;
        causes.into_iter().map(|it| it.failure).collect()
    }
}

#[test]
fn a_failed_task_restarts_all_when_all_have_ended_and_the_delay_is_over() {
    // Flink: DefaultSchedulerTest#vertexIsResetBeforeRestarted
    for delay_is_first in [false, true] {
        let mut fixture = running(pair());
        let all = fixture.all();
        fixture.report(all[3], ExecutionState::Finished);
        let actions = fixture.report(all[1], ExecutionState::Failed);
        let cancels = [fixture.cancel(0, 0), fixture.cancel(1, 0)].map(|it| match it {
            GraphAction::CancelTask {
                attempt,
                task_manager,
            } => GraphAction::CancelTask {
                attempt: AttemptId {
                    attempt: 0,
                    ..attempt
                },
                task_manager,
            },
            it => it,
        });
        let [first, second] = cancels;
        let expected = [status(JobStatus::Restarting), first, second, after(1)];
        assert_eq!(actions, expected);

        // One of both is not enough.
        let due = |fixture: &mut Fixture| fixture.graph.restart_due(1, NOW);
        if delay_is_first {
            assert_eq!(due(&mut fixture), []);
        }
        assert_eq!(fixture.report(all[0], ExecutionState::Canceled), []);
        assert!(!fixture.graph.is_waiting_for_slots());
        let ended = fixture.report(all[2], ExecutionState::Finished);
        let last = match delay_is_first {
            true => ended,
            false => {
                assert_eq!(ended, []);
                due(&mut fixture)
            }
        };
        assert_eq!(last, [GraphAction::WaitForSlots]);
        assert!(fixture.graph.is_waiting_for_slots());
        assert_eq!(fixture.states(), [ExecutionState::Scheduled; 4]);
        assert!(fixture.all().iter().all(|it| it.attempt == 1));

        // It is shown as restarting until there are slots.
        assert_eq!(fixture.graph.status(), JobStatus::Restarting);
        let short = fixture.slots[..1].to_vec();
        assert_eq!(fixture.graph.slots_available(short), []);
        let actions = fixture.graph.slots_available(fixture.slots.clone());
        assert_eq!(actions[0], status(JobStatus::Running));
        let deployed: Vec<_> = super::deploys(&actions)
            .into_iter()
            .map(|it| it.descriptor.attempt)
            .collect();
        assert_eq!(deployed, fixture.all());
        // Consumers read the producers of their own attempt.
        let sink = super::deploys(&actions)[2];
        let channels = &sink.descriptor.inputs[0].channels;
        assert!(channels.iter().all(|it| it.partition.producer.attempt == 1));
        assert_eq!(fixture.failure(), Vec::<String>::new());
    }
}

#[test]
fn what_is_told_of_an_attempt_before_the_restart_is_unknown() {
    let mut fixture = running(single(1));
    let before = fixture.attempt(0, 0);
    fixture.report(before, ExecutionState::Failed);
    fixture.run_again();
    for state in [ExecutionState::Running, ExecutionState::Failed] {
        let told = update(before, state, vec![]);
        let unknown = Err(UnknownAttempt { attempt: before });
        assert_eq!(fixture.graph.update_state(told, NOW), unknown);
    }
    assert!(!fixture.graph.is_live(before));
    assert_eq!(fixture.graph.deploy_failed(before, vec![], NOW), []);
    assert_eq!(fixture.graph.cancel_failed(before, NOW), []);
    // One that is reported is to end.
    let now = fixture.attempt(0, 0);
    let cancel = GraphAction::CancelTask {
        attempt: before,
        task_manager: ResourceId::new("tm0"),
    };
    assert_eq!(fixture.reconcile("tm0", &[now, before]), [cancel]);
    assert_eq!(fixture.graph.status(), JobStatus::Running);
}

#[test]
fn the_delay_of_an_earlier_restart_says_nothing() {
    // Flink: DefaultSchedulerTest#skipDeploymentIfVertexVersionOutdated, of the delay
    let mut fixture = running(single(1));
    fixture.report(fixture.attempt(0, 0), ExecutionState::Failed);
    assert_eq!(fixture.graph.restart_due(0, NOW), []);
    fixture.run_again();
    let failed = fixture.attempt(0, 0);
    fixture.report(failed, ExecutionState::Failed);
    assert_eq!(fixture.graph.restart_due(1, NOW), []);
    assert!(!fixture.graph.is_waiting_for_slots());
    assert_eq!(
        fixture.graph.restart_due(2, NOW),
        [GraphAction::WaitForSlots]
    );
    // Told again it begins nothing.
    assert_eq!(fixture.graph.restart_due(2, NOW), []);
}

#[test]
fn a_lost_task_manager_is_one_failure_however_many_tasks_it_had() {
    let mut fixture = running(single(4));
    let lost = |fixture: &mut Fixture, name: &str| {
        let lost = ResourceId::new(name);
        let failure = vec![format!("{name} is lost")];
        fixture.graph.task_manager_lost(&lost, failure, NOW)
    };
    assert_eq!(
        lost(&mut fixture, "tm0"),
        [
            status(JobStatus::Restarting),
            fixture_cancel(&fixture, 2),
            fixture_cancel(&fixture, 3),
            after(1)
        ]
    );
    // The other is lost while its tasks are cancelled: it is the same restart.
    assert_eq!(lost(&mut fixture, "tm1"), []);
    assert_eq!(
        fixture.graph.restart_due(1, NOW),
        [GraphAction::WaitForSlots]
    );
    assert_eq!(fixture.graph.details(NOW).restarts, 1);
    let chain = ["task source (1/4) failed on tm0", "tm0 is lost"];
    assert_eq!(fixture.causes(), [chain]);
}

/// The action that cancels a subtask's first attempt.
fn fixture_cancel(fixture: &Fixture, subtask: u32) -> GraphAction {
    GraphAction::CancelTask {
        attempt: AttemptId {
            job: fixture.graph.plan().job,
            vertex: VertexId(0),
            subtask,
            attempt: 0,
        },
        task_manager: fixture.slots[subtask as usize].1.resource.clone(),
    }
}

#[test]
fn every_kind_of_loss_restarts() {
    // Flink: DefaultSchedulerTest#restartAfterDeploymentFails, and of other losses
    let lose: [fn(&mut Fixture, AttemptId) -> Vec<GraphAction>; 5] = [
        |fixture, attempt| fixture.graph.deploy_failed(attempt, vec![], NOW),
        |fixture, _| {
            let (slot, _) = fixture.slots[0];
            fixture.graph.slot_lost(slot, vec![], NOW)
        },
        |fixture, _| {
            fixture.reconcile("tm0", &[]);
            fixture.reconcile("tm0", &[])
        },
        |fixture, attempt| fixture.report(attempt, ExecutionState::Canceled),
        |fixture, attempt| fixture.report(attempt, ExecutionState::Created),
    ];
    for lose in lose {
        let mut fixture = running(single(1));
        let attempt = fixture.attempt(0, 0);
        let actions = lose(&mut fixture, attempt);
        assert!(
            actions.contains(&status(JobStatus::Restarting)),
            "{actions:?}"
        );
        assert_eq!(actions.last(), Some(&after(1)));
    }
}

#[test]
fn a_job_that_restarted_as_often_as_it_may_fails_and_says_so() {
    let mut fixture = running(single(1));
    for restart in 1..=2 {
        let attempt = fixture.attempt(0, 0);
        fixture.fail(attempt, "no luck", FailureKind::Recoverable);
        assert_eq!(fixture.graph.details(NOW).restarts, restart);
        fixture.run_again();
    }
    let attempt = fixture.attempt(0, 0);
    let actions = fixture.fail(attempt, "no luck", FailureKind::Recoverable);
    assert_eq!(actions.last(), Some(&status(JobStatus::Failed)));
    let chain = [
        "the job was restarted 2 times, and its restart strategy fixed-delay:2:1 allows no more",
        "task source (1/1) failed on tm0",
        "no luck",
    ];
    assert_eq!(fixture.failure(), chain);
    assert_eq!(fixture.causes(), [&chain[1..], &chain[1..]]);
}

#[test]
fn what_would_fail_again_in_the_same_way_fails_the_job() {
    // Flink: ExecutionFailureHandlerTest#testNonRecoverableFailureHandlingResult
    let mut fixture = running(pair());
    let all = fixture.all();
    let actions = fixture.fail(all[1], "no number", FailureKind::Fatal);
    assert_eq!(actions[0], status(JobStatus::Failing));
    let chain = ["task source (2/2) failed on tm0", "no number"];
    assert_eq!(fixture.failure(), chain);
}

#[test]
fn what_a_neighbour_told_gives_way_to_its_cause() {
    let mut fixture = running(pair());
    let all = fixture.all();
    fixture.fail(all[0], "its consumer is gone", FailureKind::Neighbour);
    assert_eq!(fixture.causes()[0][1], "its consumer is gone");
    let root = fixture.fail(all[3], "disk on fire", FailureKind::Recoverable);
    assert_eq!(root, []);
    fixture.fail(all[2], "disk still on fire", FailureKind::Recoverable);
    let chain = ["task sink (2/2) failed on tm0", "disk on fire"];
    assert_eq!(fixture.causes(), [chain]);
    assert_eq!(fixture.graph.details(NOW).restarts, 1);

    // The loss of a TaskManager is often heard of in this order.
    let mut fixture = running(single(3));
    let all = fixture.all();
    fixture.fail(all[2], "its producer is gone", FailureKind::Neighbour);
    let lost = vec![String::from("tm0 is lost")];
    fixture
        .graph
        .task_manager_lost(&ResourceId::new("tm0"), lost, NOW);
    assert_eq!(fixture.causes()[0][1], "tm0 is lost");
}

#[test]
fn a_cause_that_is_fatal_ends_the_restart_that_its_neighbours_have_begun() {
    let mut fixture = running(single(3));
    let all = fixture.all();
    fixture.fail(all[0], "its consumer is gone", FailureKind::Neighbour);
    let actions = fixture.fail(all[1], "no number", FailureKind::Fatal);
    assert_eq!(actions, [status(JobStatus::Failing)]);
    assert_eq!(
        fixture.report(all[2], ExecutionState::Canceled),
        [GraphAction::ReleaseSlots, status(JobStatus::Failed)]
    );
    let chain = ["task source (2/3) failed on tm0", "no number"];
    assert_eq!(fixture.failure(), chain);
    assert_eq!(fixture.graph.restart_due(1, NOW), []);
    assert_eq!(fixture.graph.details(NOW).restarts, 0, "there was none");
    assert!(fixture.causes().is_empty());
}

#[test]
fn a_job_that_restarts_is_cancelled_and_never_restarted() {
    // Flink: DefaultSchedulerTest#cancelWhileRestartingShouldWaitForRunningTasks,
    //   and FLINK-3443
    let mut fixture = running(single(2));
    let all = fixture.all();
    fixture.report(all[0], ExecutionState::Failed);
    let actions = fixture.graph.cancel(NOW);
    // Its tasks are told already.
    assert_eq!(actions, [status(JobStatus::Cancelling)]);
    assert_eq!(fixture.graph.restart_due(1, NOW), []);
    let last = [GraphAction::ReleaseSlots, status(JobStatus::Canceled)];
    assert_eq!(fixture.report(all[1], ExecutionState::Failed), last);

    // During the delay, and while it waits for slots, it ends at once.
    for is_due in [false, true] {
        let mut fixture = running(single(1));
        fixture.report(fixture.attempt(0, 0), ExecutionState::Failed);
        if is_due {
            fixture.graph.restart_due(1, NOW);
        }
        let actions = fixture.graph.cancel(NOW);
        assert_eq!(actions[0], status(JobStatus::Cancelling));
        assert_eq!(actions[1..], last);
        assert_eq!(fixture.graph.restart_due(1, NOW), []);
        assert_eq!(fixture.graph.slots_available(fixture.slots.clone()), []);
    }
}

#[test]
fn a_job_that_waits_for_slots_to_restart_may_fail_for_want_of_them() {
    // Flink: DefaultSchedulerTest#failJobIfNotEnoughResources, after a restart
    let shortage = Shortage {
        needed: 1,
        acquired: 0,
        slots: 0,
        slots_free: 0,
    };
    let mut fixture = running(single(1));
    let attempt = fixture.attempt(0, 0);
    fixture.fail(attempt, "tm0 is lost", FailureKind::Recoverable);
    // It does not wait for them yet.
    assert_eq!(fixture.graph.not_enough_slots(shortage, NOW), []);
    fixture.graph.restart_due(1, NOW);
    let actions = fixture.graph.not_enough_slots(shortage, NOW);
    assert_eq!(actions.last(), Some(&status(JobStatus::Failed)));
    let chain = [
        "not enough slots: the job needs 1 and has 0, the cluster has 0 and 0 of them are free",
        "it waits for them since it was restarted",
        "task source (1/1) failed on tm0",
        "tm0 is lost",
    ];
    assert_eq!(fixture.failure(), chain);
}

#[test]
fn a_job_whose_results_were_given_away_is_not_restarted_and_says_so() {
    let mut fixture = running(single(1));
    fixture.graph.results_given();
    let attempt = fixture.attempt(0, 0);
    fixture.fail(attempt, "tm0 is lost", FailureKind::Recoverable);
    assert_eq!(fixture.graph.status(), JobStatus::Failed);
    let chain = [
        "the job cannot be restarted: some of what it printed was given to the client, and would \
         be printed twice",
        "task source (1/1) failed on tm0",
        "tm0 is lost",
    ];
    assert_eq!(fixture.failure(), chain);
}

#[test]
fn a_job_that_is_suspended_does_not_restart() {
    let mut fixture = running(single(1));
    fixture.report(fixture.attempt(0, 0), ExecutionState::Failed);
    let actions = fixture.graph.suspend(NOW);
    let expected = [GraphAction::ReleaseSlots, status(JobStatus::Suspended)];
    assert_eq!(actions, expected);
    assert_eq!(fixture.graph.restart_due(1, NOW), []);
}

#[test]
fn only_the_last_causes_of_restarts_are_kept_and_not_in_full() {
    // Flink: DefaultSchedulerTest#testExceptionHistoryTruncation
    let config = ExecutionGraphConfig {
        restart_causes_max: 2,
        ..ExecutionGraphConfig::default()
    };
    let mut fixture = Fixture::scheduled(single(1));
    let plan = restarting(single(1), "failure-rate:1000:0.001:0");
    fixture.graph = graph(plan, config).unwrap();
    fixture.graph.start_scheduling();
    fixture.graph.slots_available(fixture.slots.clone());
    for number in 0..5 {
        let attempt = fixture.attempt(0, 0);
        let text = format!("{number}{}", "x".repeat(10_000));
        fixture.fail(attempt, &text, FailureKind::Recoverable);
        fixture.run_again();
    }
    let info = fixture.graph.info(NOW);
    assert_eq!((info.details.restarts, info.restarts_max), (5, None));
    let [
        RestartCause {
            at_ms: NOW,
            failure,
        },
        _,
    ] = info.restart_causes.as_slice()
    else {
        panic!("{:?}", info.restart_causes);
    };
    assert_eq!(failure[1], format!("3{}…", "x".repeat(1023)));
}
