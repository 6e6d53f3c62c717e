//! Failures and reconciliation.

use super::{Fixture, NOW, Ship, graph, pair, plan, single, status, update};
use crate::gateway::{
    ExecutionState, FailureKind, JobStatus, Shortage, TaskExecutionState, TaskExecutorReport,
    TaskIo, UnknownAttempt,
};
use crate::id::{AllocationId, ResourceId};
use crate::job_master::execution_graph::{ExecutionGraphConfig, GraphAction};

fn cause(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

#[test]
fn a_failed_task_fails_the_job_and_cancels_the_others() {
    let mut fixture = Fixture::running(pair());
    let all = fixture.all();
    assert_eq!(
        fixture.report(all[1], ExecutionState::Failed),
        [
            status(JobStatus::Failing),
            fixture.cancel(0, 0),
            fixture.cancel(1, 0),
            fixture.cancel(1, 1)
        ]
    );
    assert_eq!(fixture.report(all[0], ExecutionState::Canceled), []);
    // A second failure is not the reason, and a cancel does not hide it.
    assert_eq!(fixture.report(all[2], ExecutionState::Failed), []);
    assert_eq!(fixture.graph.cancel(NOW), []);
    assert_eq!(
        fixture.report(all[3], ExecutionState::Canceled),
        [GraphAction::ReleaseSlots, status(JobStatus::Failed)]
    );
    let chain = ["task source (2/2) failed on tm0", "outer", "inner"];
    assert_eq!(fixture.failure(), chain);
    assert_eq!(fixture.graph.info(NOW).failure, chain);
}

#[test]
fn a_root_cause_that_comes_late_is_the_reason_all_the_same() {
    let mut fixture = Fixture::running(pair());
    let all = fixture.all();
    let failed = |attempt, text: &str, kind| TaskExecutionState {
        kind,
        ..update(attempt, ExecutionState::Failed, cause(text))
    };
    let first = failed(all[0], "its consumer is gone", FailureKind::Neighbour);
    fixture.graph.update_state(first, NOW).unwrap();
    assert_eq!(
        fixture.failure(),
        ["task source (1/2) failed on tm0", "its consumer is gone"]
    );
    let root = failed(all[3], "cannot write", FailureKind::Recoverable);
    fixture.graph.update_state(root, NOW).unwrap();
    // It was being cancelled by then, and counts as such.
    assert_eq!(fixture.state(all[3]), ExecutionState::Canceled);
    let second = failed(all[1], "cannot read", FailureKind::Recoverable);
    fixture.graph.update_state(second, NOW).unwrap();
    fixture.report(all[2], ExecutionState::Canceled);
    assert_eq!(fixture.graph.status(), JobStatus::Failed);
    assert_eq!(
        fixture.failure(),
        ["task sink (2/2) failed on tm0", "cannot write"]
    );
}

#[test]
fn the_last_task_fails_the_job_at_once() {
    let mut fixture = Fixture::running(single(1));
    let attempt = fixture.attempt(0, 0);
    assert_eq!(
        fixture.report(attempt, ExecutionState::Failed),
        [
            status(JobStatus::Failing),
            GraphAction::ReleaseSlots,
            status(JobStatus::Failed)
        ]
    );
}

#[test]
fn a_task_that_cannot_be_deployed_has_failed() {
    // Flink: ExecutionVertexDeploymentTest#testDeployFailedSynchronous
    let mut fixture = Fixture::deploying(single(2));
    let all = fixture.all();
    // It may have arrived all the same, and is cancelled too.
    assert_eq!(
        fixture.graph.deploy_failed(all[0], cause("refused"), NOW),
        [
            fixture.cancel(0, 0),
            status(JobStatus::Failing),
            fixture.cancel(0, 1)
        ]
    );
    assert_eq!(
        fixture.states(),
        [ExecutionState::Failed, ExecutionState::Canceling]
    );
    assert_eq!(fixture.graph.deploy_failed(all[0], cause("again"), NOW), []);
    fixture
        .graph
        .deploy_failed(all[1], cause("refused too"), NOW);
    assert_eq!(fixture.graph.status(), JobStatus::Failed);
    assert_eq!(
        fixture.failure(),
        ["task source (1/2) failed on tm0", "refused"]
    );
}

#[test]
fn a_task_runs_whose_beginning_was_not_heard() {
    let mut fixture = Fixture::deploying(single(1));
    let attempt = fixture.attempt(0, 0);
    let actions = fixture.report(attempt, ExecutionState::Running);
    assert!(!actions.contains(&fixture.cancel(0, 0)), "{actions:?}");
    assert_eq!(fixture.graph.status(), JobStatus::Running);
    // What was said before is late, and says nothing.
    assert_eq!(fixture.report(attempt, ExecutionState::Initializing), []);
    let actions = fixture.report(attempt, ExecutionState::Finished);
    assert!(
        actions.contains(&status(JobStatus::Finished)),
        "{actions:?}"
    );
}

#[test]
fn a_state_that_no_task_executor_reports_fails_the_task() {
    for state in [
        ExecutionState::Created,
        ExecutionState::Scheduled,
        ExecutionState::Canceling,
    ] {
        let mut fixture = Fixture::running(single(1));
        let attempt = fixture.attempt(0, 0);
        fixture.report(attempt, state);
        assert_eq!(fixture.graph.status(), JobStatus::Failed, "{state}");
    }
}

#[test]
fn a_task_that_was_not_deployed_is_unknown() {
    let mut fixture = Fixture::scheduled(single(1));
    let attempt = fixture.attempt(0, 0);
    let told = update(attempt, ExecutionState::Finished, vec![]);
    let unknown = Err(UnknownAttempt { attempt });
    assert_eq!(fixture.graph.update_state(told, NOW), unknown);
    assert_eq!(fixture.graph.deploy_failed(attempt, vec![], NOW), []);
    assert_eq!(fixture.states(), [ExecutionState::Scheduled]);
}

#[test]
fn a_task_that_its_task_manager_cancels_fails_the_job() {
    let mut fixture = Fixture::running(single(2));
    let all = fixture.all();
    assert_eq!(
        fixture.report(all[0], ExecutionState::Canceled),
        [status(JobStatus::Failing), fixture.cancel(0, 1)]
    );
    fixture.report(all[1], ExecutionState::Canceled);
    assert_eq!(fixture.graph.status(), JobStatus::Failed);
    let chain = [
        "task source (1/2) failed on tm0",
        "its TaskManager cancelled it",
    ];
    assert_eq!(fixture.failure(), chain);
}

#[test]
fn a_lost_task_manager_fails_its_tasks() {
    // Flink: JobMasterTest#testJobFailureWhenTaskExecutorHeartbeatTimeout,
    //   #testJobFailureWhenGracefulTaskExecutorTermination
    let mut fixture = Fixture::running(single(3));
    let lost = ResourceId::new("tm0");
    // Nobody is told to cancel what is lost.
    assert_eq!(
        fixture
            .graph
            .task_manager_lost(&lost, cause("no heartbeat"), NOW),
        [status(JobStatus::Failing), fixture.cancel(0, 2)]
    );
    let (failed, canceling) = (ExecutionState::Failed, ExecutionState::Canceling);
    assert_eq!(fixture.states(), [failed, failed, canceling]);
    assert_eq!(
        fixture.failure(),
        ["task source (1/3) failed on tm0", "no heartbeat"]
    );
    assert_eq!(
        fixture.graph.task_manager_lost(&lost, cause("again"), NOW),
        []
    );
    assert_eq!(
        fixture
            .graph
            .task_manager_lost(&ResourceId::new("tm1"), cause("too"), NOW),
        [GraphAction::ReleaseSlots, status(JobStatus::Failed)]
    );
}

#[test]
fn a_lost_task_manager_without_tasks_fails_nothing() {
    let mut fixture = Fixture::running(single(1));
    let other = ResourceId::new("tm7");
    assert_eq!(
        fixture.graph.task_manager_lost(&other, cause("gone"), NOW),
        []
    );
    let mut waiting = Fixture::scheduled(single(1));
    let own = ResourceId::new("tm0");
    assert_eq!(
        waiting.graph.task_manager_lost(&own, cause("gone"), NOW),
        []
    );
    let attempt = fixture.attempt(0, 0);
    fixture.report(attempt, ExecutionState::Finished);
    assert_eq!(
        fixture.graph.task_manager_lost(&own, cause("gone"), NOW),
        []
    );
    assert_eq!(fixture.graph.status(), JobStatus::Finished);
}

#[test]
fn what_finished_tasks_have_left_at_a_lost_task_manager_is_lost_to_those_that_read_it() {
    let hashed = plan(&[("source", 3), ("sink", 3)], &[(0, 1, Ship::Hash)]);
    let mut fixture = Fixture::running(hashed);
    for (vertex, subtask) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)] {
        let attempt = fixture.attempt(vertex, subtask);
        fixture.report(attempt, ExecutionState::Finished);
    }
    let lose = |fixture: &mut Fixture, name| {
        let lost = ResourceId::new(name);
        fixture
            .graph
            .task_manager_lost(&lost, cause("no heartbeat"), NOW)
    };
    assert_eq!(lose(&mut fixture, "tm7"), [], "nobody reads from there");
    assert_eq!(
        lose(&mut fixture, "tm0"),
        [status(JobStatus::Failing), fixture.cancel(1, 2)]
    );
    assert_eq!(
        fixture.failure(),
        [
            "task sink (3/3) failed on tm1",
            "it may not have read all of what tm0 has",
            "no heartbeat"
        ]
    );
    assert_eq!(lose(&mut fixture, "tm0"), [], "it is cancelled already");
}

#[test]
fn a_task_manager_from_which_nobody_reads_may_be_lost() {
    let forward = plan(&[("source", 3), ("sink", 3)], &[(0, 1, Ship::Forward)]);
    let mut fixture = Fixture::running(forward);
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let attempt = fixture.attempt(vertex, subtask);
        fixture.report(attempt, ExecutionState::Finished);
    }
    let lost = ResourceId::new("tm0");
    let cause = cause("no heartbeat");
    assert_eq!(fixture.graph.task_manager_lost(&lost, cause, NOW), []);
    assert_eq!(fixture.graph.status(), JobStatus::Running);
}

#[test]
fn a_lost_slot_fails_the_tasks_in_it() {
    let mut fixture = Fixture::running(pair());
    let (lost, _) = fixture.slots[1];
    assert_eq!(
        fixture
            .graph
            .slot_lost(AllocationId::random(), cause("lost"), NOW),
        []
    );
    assert_eq!(
        fixture.graph.slot_lost(lost, cause("lost"), NOW),
        [
            status(JobStatus::Failing),
            fixture.cancel(0, 0),
            fixture.cancel(1, 0)
        ]
    );
}

#[test]
fn a_job_that_waits_fails_for_want_of_slots() {
    // Flink: MiniClusterITCase#testHandlingNotEnoughSlotsThroughEarlyAbortRequest,
    //   DeclarativeSlotPoolBridgeTest#testNotEnoughResourcesAvailableFailsPendingRequests
    let shortage = Shortage {
        needed: 4,
        acquired: 1,
        slots: 2,
        slots_free: 0,
    };
    let mut waiting = Fixture::scheduled(single(4));
    assert_eq!(
        waiting.graph.not_enough_slots(shortage, NOW),
        [
            status(JobStatus::Failing),
            GraphAction::ReleaseSlots,
            status(JobStatus::Failed)
        ]
    );
    let message = "not enough slots: the job needs 4 and has 1, \
                   the cluster has 2 and 0 of them are free";
    assert_eq!(waiting.failure(), [message]);
    let mut running = Fixture::running(single(4));
    assert_eq!(running.graph.not_enough_slots(shortage, NOW), []);
    assert_eq!(running.graph.status(), JobStatus::Running);
}

#[test]
fn a_failure_of_no_task_fails_the_job() {
    let mut fixture = Fixture::running(single(1));
    let actions = fixture.graph.fail(cause("global"), NOW);
    assert_eq!(actions, [status(JobStatus::Failing), fixture.cancel(0, 0)]);
    assert_eq!(fixture.failure(), ["global"]);
}

#[test]
fn only_so_much_of_a_failure_is_kept() {
    let config = ExecutionGraphConfig {
        failure_causes_max: 2,
        failure_cause_bytes_max: 4,
        ..ExecutionGraphConfig::default()
    };
    let mut graph = graph(single(1), config).unwrap();
    graph.fail(vec!["four".into(), "abcé".into(), "third".into()], NOW);
    assert_eq!(graph.info(NOW).failure, ["four", "abc…"]);
}

#[test]
fn an_unknown_deployment_is_cancelled() {
    // Flink: JobMasterExecutionDeploymentReconciliationTest
    //   #testExecutionDeploymentReconciliationForUnknownExecution
    let mut fixture = Fixture::running(single(3));
    let all = fixture.all();
    let stranger = Fixture::running(single(1)).attempt(0, 0);
    let cancel = |attempt| GraphAction::CancelTask {
        attempt,
        task_manager: ResourceId::new("tm0"),
    };
    // The third runs elsewhere.
    let expected = [cancel(stranger), cancel(all[2])];
    assert_eq!(
        fixture.reconcile("tm0", &[all[0], stranger, all[1], all[2]]),
        expected
    );
    // What has ended is unknown.
    fixture.report(all[0], ExecutionState::Finished);
    assert_eq!(
        fixture.reconcile("tm0", &[all[0], all[1]]),
        [cancel(all[0])]
    );
    assert_eq!(fixture.graph.status(), JobStatus::Running);
}

#[test]
fn a_missing_deployment_has_failed() {
    // Flink: JobMasterExecutionDeploymentReconciliationTest
    //   #testExecutionDeploymentReconciliation
    let mut fixture = Fixture::running(single(2));
    let all = fixture.all();
    // One report alone may be older than the task.
    assert_eq!(fixture.reconcile("tm0", &all[..1]), []);
    assert_eq!(fixture.reconcile("tm0", &all), []);
    assert_eq!(fixture.reconcile("tm0", &all[..1]), []);
    assert_eq!(
        fixture.reconcile("tm0", &all[..1]),
        [status(JobStatus::Failing), fixture.cancel(0, 0)]
    );
    assert_eq!(fixture.failure()[1], "tm0 does not have it any more");
    // What is missing while it is cancelled, is cancelled.
    fixture.reconcile("tm0", &[]);
    fixture.reconcile("tm0", &[]);
    assert_eq!(fixture.graph.status(), JobStatus::Failed);
}

#[test]
fn a_pending_deployment_is_neither_missing_nor_unknown() {
    // Flink: JobMasterExecutionDeploymentReconciliationTest
    //   #testExecutionDeploymentReconciliationForPendingExecution
    let mut fixture = Fixture::deploying(single(1));
    let attempt = fixture.attempt(0, 0);
    for reported in [&[][..], &[], &[attempt], &[]] {
        assert_eq!(fixture.reconcile("tm0", reported), []);
    }
    fixture.graph.deployed(attempt);
    assert_eq!(fixture.reconcile("tm0", &[]), []);
    fixture.reconcile("tm0", &[]);
    assert_eq!(fixture.graph.status(), JobStatus::Failed);
}

#[test]
fn a_report_tells_what_tasks_have_read_and_written() {
    let mut fixture = Fixture::running(single(1));
    let io = TaskIo {
        records_in: 7,
        ..TaskIo::default()
    };
    let report = TaskExecutorReport {
        attempts: vec![(fixture.attempt(0, 0), io)],
    };
    fixture
        .graph
        .reconcile(&ResourceId::new("tm0"), &report, NOW);
    assert_eq!(
        fixture.graph.info(NOW).vertices[0].subtasks[0].records_in,
        7
    );
}
