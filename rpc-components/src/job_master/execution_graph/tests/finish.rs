//! Running, finishing, cancelling and suspending.

use super::{Fixture, NOW, pair, single, status, update};
use crate::gateway::{
    ExecutionState, JobDetails, JobStatus, TaskExecutionState, TaskIo, UnknownAttempt,
};
use crate::id::{AttemptId, JobId, VertexId};
use crate::job_master::execution_graph::GraphAction;

#[test]
fn a_job_finishes_when_all_its_tasks_have() {
    // Flink: ExecutionGraphFinishTest#testJobFinishes
    let mut fixture = Fixture::running(pair());
    let all = fixture.all();
    for attempt in &all[..3] {
        assert_eq!(fixture.report(*attempt, ExecutionState::Finished), []);
        assert_eq!(fixture.graph.status(), JobStatus::Running);
    }
    assert_eq!(
        fixture.report(all[3], ExecutionState::Finished),
        [GraphAction::ReleaseSlots, status(JobStatus::Finished)]
    );
    assert!(fixture.graph.has_ended());
    assert_eq!(fixture.graph.fail(vec!["late".into()], NOW), []);
    assert_eq!(fixture.graph.cancel(NOW), []);
    assert_eq!(fixture.graph.suspend(NOW), []);
    assert_eq!(fixture.graph.status(), JobStatus::Finished);
}

#[test]
fn a_quick_task_may_finish_before_it_is_seen_to_run() {
    let mut fixture = Fixture::deploying(single(2));
    let all = fixture.all();
    fixture.report(all[0], ExecutionState::Finished);
    fixture.report(all[1], ExecutionState::Initializing);
    fixture.report(all[1], ExecutionState::Finished);
    assert_eq!(fixture.graph.status(), JobStatus::Finished);
}

#[test]
fn a_state_that_is_told_again_is_ignored() {
    let mut fixture = Fixture::running(single(2));
    let attempt = fixture.attempt(0, 0);
    assert_eq!(fixture.report(attempt, ExecutionState::Running), []);
    assert_eq!(fixture.report(attempt, ExecutionState::Initializing), []);
    assert_eq!(fixture.state(attempt), ExecutionState::Running);
    fixture.report(attempt, ExecutionState::Finished);
    assert_eq!(fixture.report(attempt, ExecutionState::Finished), []);
    assert_eq!(fixture.graph.status(), JobStatus::Running);
}

#[test]
fn an_unknown_attempt_is_refused() {
    let mut fixture = Fixture::running(single(1));
    let known = fixture.attempt(0, 0);
    let strangers = [
        AttemptId {
            attempt: 1,
            ..known
        },
        AttemptId {
            subtask: 1,
            ..known
        },
        AttemptId {
            vertex: VertexId(1),
            ..known
        },
        AttemptId {
            job: JobId::random(),
            ..known
        },
    ];
    for attempt in strangers {
        let refused = fixture
            .graph
            .update_state(update(attempt, ExecutionState::Failed, vec![]), NOW);
        assert_eq!(refused, Err(UnknownAttempt { attempt }));
    }
    assert_eq!(fixture.graph.status(), JobStatus::Running);
}

#[test]
fn an_attempt_that_has_ended_here_is_ended_there() {
    let mut fixture = Fixture::running(single(1));
    let attempt = fixture.attempt(0, 0);
    fixture.graph.suspend(NOW);
    let running = update(attempt, ExecutionState::Running, vec![]);
    assert_eq!(
        fixture.graph.update_state(running, NOW),
        Err(UnknownAttempt { attempt })
    );
    let finished = update(attempt, ExecutionState::Finished, vec![]);
    assert_eq!(fixture.graph.update_state(finished, NOW), Ok(vec![]));
}

#[test]
fn a_job_that_is_not_deployed_is_cancelled_at_once() {
    // Flink: ExecutionVertexCancelTest#testCancelFromCreated, #testCancelFromScheduled
    for mut fixture in [Fixture::created(pair()), Fixture::scheduled(pair())] {
        let expected = [
            status(JobStatus::Cancelling),
            GraphAction::ReleaseSlots,
            status(JobStatus::Canceled),
        ];
        assert_eq!(fixture.graph.cancel(NOW), expected);
        assert!(
            fixture
                .states()
                .iter()
                .all(|state| *state == ExecutionState::Canceled)
        );
    }
}

#[test]
fn a_job_that_runs_is_cancelled_when_all_its_tasks_are() {
    // Flink: ExecutionVertexCancelTest#testCancelFromRunning, #testRepeatedCancelFromRunning
    for mut fixture in [Fixture::running(single(2)), Fixture::deploying(single(2))] {
        let [first, second] = [fixture.attempt(0, 0), fixture.attempt(0, 1)];
        let cancels = [
            status(JobStatus::Cancelling),
            fixture.cancel(0, 0),
            fixture.cancel(0, 1),
        ];
        assert_eq!(fixture.graph.cancel(NOW), cancels);
        assert_eq!(fixture.graph.cancel(NOW), []);
        // A report that was on its way.
        assert_eq!(fixture.report(first, ExecutionState::Running), []);
        assert_eq!(fixture.report(first, ExecutionState::Canceled), []);
        assert_eq!(fixture.graph.status(), JobStatus::Cancelling);
        assert_eq!(
            fixture.report(second, ExecutionState::Canceled),
            [GraphAction::ReleaseSlots, status(JobStatus::Canceled)]
        );
        assert_eq!(fixture.failure(), [""; 0]);
    }
}

#[test]
fn whatever_ends_while_it_is_cancelled_is_cancelled() {
    // Flink: ExecutionVertexCancelTest#testSendCancelAndReceiveFail
    let mut fixture = Fixture::running(single(2));
    fixture.graph.cancel(NOW);
    let all = fixture.all();
    assert_eq!(fixture.report(all[0], ExecutionState::Failed), []);
    fixture.report(all[1], ExecutionState::Finished);
    assert_eq!(fixture.states(), [ExecutionState::Canceled; 2]);
    assert_eq!(fixture.graph.status(), JobStatus::Canceled);
    assert_eq!(fixture.failure(), [""; 0]);
}

#[test]
fn what_finished_before_the_cancel_stays_finished() {
    let mut fixture = Fixture::running(single(2));
    let all = fixture.all();
    fixture.report(all[0], ExecutionState::Finished);
    assert_eq!(
        fixture.graph.cancel(NOW),
        [status(JobStatus::Cancelling), fixture.cancel(0, 1)]
    );
    fixture.report(all[1], ExecutionState::Canceled);
    assert_eq!(
        fixture.states(),
        [ExecutionState::Finished, ExecutionState::Canceled]
    );
    assert_eq!(fixture.graph.status(), JobStatus::Canceled);
}

#[test]
fn a_task_that_cannot_be_cancelled_counts_as_cancelled() {
    // Flink: ExecutionVertexCancelTest#testCancelCallFails
    let mut fixture = Fixture::running(single(1));
    let attempt = fixture.attempt(0, 0);
    assert_eq!(fixture.graph.cancel_failed(attempt, NOW), []);
    fixture.graph.cancel(NOW);
    assert_eq!(
        fixture.graph.cancel_failed(attempt, NOW),
        [GraphAction::ReleaseSlots, status(JobStatus::Canceled)]
    );
    assert_eq!(fixture.graph.cancel_failed(attempt, NOW), []);
}

#[test]
fn a_suspended_job_is_left_at_once() {
    // Flink: ExecutionGraphSuspendTest#testSuspendedOutOfCreated, #testSuspendedOutOfDeploying,
    //   #testSuspendedOutOfRunning
    let cases = [
        (Fixture::created(single(2)), false),
        (Fixture::scheduled(single(2)), false),
        (Fixture::deploying(single(2)), true),
        (Fixture::running(single(2)), true),
    ];
    for (mut fixture, is_cancelled) in cases {
        let mut expected = vec![GraphAction::ReleaseSlots, status(JobStatus::Suspended)];
        if is_cancelled {
            expected.splice(..0, [fixture.cancel(0, 0), fixture.cancel(0, 1)]);
        }
        assert_eq!(fixture.graph.suspend(NOW), expected);
        assert_eq!(fixture.states(), [ExecutionState::Canceled; 2]);
        assert_stays_suspended(&mut fixture);
    }
}

#[test]
fn a_job_that_is_ending_is_suspended_without_further_calls() {
    // Flink: ExecutionGraphSuspendTest#testSuspendedOutOfFailing, #testSuspendedOutOfCanceling
    let mut failing = Fixture::running(single(2));
    failing.graph.fail(vec!["why".into()], NOW);
    let mut cancelling = Fixture::running(single(2));
    cancelling.graph.cancel(NOW);
    for mut fixture in [failing, cancelling] {
        let expected = [GraphAction::ReleaseSlots, status(JobStatus::Suspended)];
        assert_eq!(fixture.graph.suspend(NOW), expected);
        assert_stays_suspended(&mut fixture);
    }
}

fn assert_stays_suspended(fixture: &mut Fixture) {
    assert_eq!(fixture.graph.fail(vec!["why".into()], NOW), []);
    assert_eq!(fixture.graph.cancel(NOW), []);
    assert_eq!(fixture.graph.suspend(NOW), []);
    assert_eq!(fixture.graph.slots_available(fixture.slots.clone()), []);
    assert_eq!(fixture.graph.status(), JobStatus::Suspended);
}

#[test]
fn a_job_that_has_ended_is_not_suspended() {
    // Flink: ExecutionGraphSuspendTest#testSuspendedOutOfFailed, #testSuspendedOutOfCanceled
    let mut failed = Fixture::scheduled(single(1));
    failed.graph.fail(vec!["why".into()], NOW);
    let mut canceled = Fixture::scheduled(single(1));
    canceled.graph.cancel(NOW);
    for (mut fixture, status) in [(failed, JobStatus::Failed), (canceled, JobStatus::Canceled)] {
        assert_eq!(fixture.graph.suspend(NOW), []);
        assert_eq!(fixture.graph.status(), status);
    }
}

#[test]
fn a_job_is_shown() {
    let mut fixture = Fixture::running(pair());
    let (source, sink) = (fixture.attempt(0, 1), fixture.attempt(1, 0));
    let io = TaskIo {
        records_in: 1,
        records_out: 2,
        bytes_in: 3,
        bytes_out: 4,
    };
    let finished = TaskExecutionState {
        io,
        ..update(source, ExecutionState::Finished, vec![])
    };
    fixture.graph.update_state(finished, NOW).unwrap();
    let details = JobDetails {
        id: fixture.graph.plan().job,
        name: "job".into(),
        status: JobStatus::Running,
        tasks: 4,
        tasks_finished: 1,
        restarts: 0,
        submitted_ms: NOW,
        duration_ms: 500,
    };
    assert_eq!(fixture.graph.details(NOW + 500), details);
    assert_eq!(fixture.graph.details(NOW - 500).duration_ms, 0);
    let info = fixture.graph.info(NOW + 500);
    assert_eq!(info.details, details);
    let names: Vec<_> = info
        .vertices
        .iter()
        .map(|vertex| (vertex.id.0, &*vertex.name))
        .collect();
    assert_eq!(names, [(0, "source"), (1, "sink")]);
    let shown = &info.vertices[0].subtasks[1];
    assert_eq!(
        (shown.attempt, shown.state),
        (source, ExecutionState::Finished)
    );
    assert_eq!(
        (shown.records_in, shown.records_out, shown.bytes_in),
        (1, 2, 3)
    );
    assert_eq!(
        shown.task_manager.as_ref(),
        Some(&fixture.slots[1].1.resource)
    );
    assert_eq!(info.vertices[1].subtasks[0].attempt, sink);
    let waiting = Fixture::scheduled(pair()).graph.info(NOW);
    assert_eq!(waiting.vertices[0].subtasks[0].task_manager, None);
}

#[test]
fn the_clock_of_a_job_stops_at_its_end() {
    let mut fixture = Fixture::running(single(1));
    assert_eq!(fixture.graph.details(NOW + 50).duration_ms, 50);
    let finished = update(fixture.attempt(0, 0), ExecutionState::Finished, vec![]);
    fixture.graph.update_state(finished, NOW + 70).unwrap();
    assert_eq!(fixture.graph.details(NOW + 9_000).duration_ms, 70);
}
