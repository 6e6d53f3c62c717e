//! Whatever happens in whatever order, the graph stays true to itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fixture, NOW, pair, plan, single, update};
use crate::gateway::{ExecutionState, FailureKind, JobStatus, TaskExecutionState};
use crate::id::{AttemptId, ResourceId};
use crate::job_graph::{JobPlan, RestartStrategy, Ship};
use crate::job_master::execution_graph::GraphAction;

const STATES: [ExecutionState; 9] = [
    ExecutionState::Created,
    ExecutionState::Scheduled,
    ExecutionState::Deploying,
    ExecutionState::Initializing,
    ExecutionState::Running,
    ExecutionState::Canceling,
    ExecutionState::Canceled,
    ExecutionState::Failed,
    ExecutionState::Finished,
];

fn random_event(fixture: &mut Fixture, rng: &mut fastrand::Rng) -> Vec<GraphAction> {
    let all = fixture.all();
    let attempt = all[rng.usize(..all.len())];
    let attempt = AttemptId {
        attempt: match rng.u8(..20) {
            0 => attempt.attempt + 1,
            1 => attempt.attempt.saturating_sub(1),
            _ => attempt.attempt,
        },
        ..attempt
    };
    let task_manager = format!("tm{}", rng.u8(..3));
    let failure = vec!["random".to_owned()];
    match rng.u8(..240) {
        0..2 => {
            fixture.graph.start_scheduling();
            vec![]
        }
        2..20 => fixture.graph.slots_available(fixture.slots.clone()),
        20 => fixture.graph.cancel(NOW),
        21 => fixture.graph.fail(failure, NOW),
        22 => fixture.graph.suspend(NOW),
        23..27 => fixture.graph.deploy_failed(attempt, failure, NOW),
        27 => fixture.graph.cancel_failed(attempt, NOW),
        28..31 => {
            let lost = ResourceId::new(task_manager);
            fixture.graph.task_manager_lost(&lost, failure, NOW)
        }
        31..34 => {
            let (lost, _) = fixture.slots[rng.usize(..fixture.slots.len())];
            fixture.graph.slot_lost(lost, failure, NOW)
        }
        34..50 => {
            let reported: Vec<_> = all.into_iter().filter(|_| rng.bool()).collect();
            fixture.reconcile(&task_manager, &reported)
        }
        50..80 => {
            fixture.graph.deployed(attempt);
            vec![]
        }
        // The delays of restarts that are over or not, in any order.
        80..92 => {
            let restart = rng.u32(..=fixture.graph.restarts);
            fixture.graph.restart_due(restart, NOW)
        }
        _ => random_report(fixture, rng, attempt),
    }
}

/// What a TaskExecutor says of an attempt: mostly what follows, so that some jobs get far.
fn random_report(
    fixture: &mut Fixture,
    rng: &mut fastrand::Rng,
    attempt: AttemptId,
) -> Vec<GraphAction> {
    let state = fixture
        .graph
        .execution(attempt)
        .map(|execution| execution.state);
    let next = match state {
        Some(ExecutionState::Deploying) => ExecutionState::Initializing,
        Some(ExecutionState::Initializing) => ExecutionState::Running,
        Some(ExecutionState::Running) => ExecutionState::Finished,
        _ => STATES[rng.usize(..STATES.len())],
    };
    let state = if rng.u8(..40) == 0 {
        STATES[rng.usize(..STATES.len())]
    } else {
        next
    };
    let kinds = [
        FailureKind::Neighbour,
        FailureKind::Recoverable,
        FailureKind::Recoverable,
        FailureKind::Fatal,
    ];
    let told = TaskExecutionState {
        kind: kinds[rng.usize(..kinds.len())],
        ..update(attempt, state, vec!["random".to_owned()])
    };
    fixture.graph.update_state(told, NOW).unwrap_or_default()
}

fn assert_is_true_to_itself(fixture: &Fixture, actions: &[GraphAction], releases: usize) {
    let graph = &fixture.graph;
    let states = fixture.states();
    let unended = states.iter().filter(|state| !state.is_terminal()).count();
    assert_eq!(graph.unended, unended);
    let status = graph.status();
    let has_ended = status.is_terminal() || status == JobStatus::Suspended;
    assert_eq!(graph.has_ended(), has_ended);
    assert_eq!(releases, usize::from(has_ended));
    // A job that has ended has no tasks, and one without tasks has ended or waits to restart.
    let waits = status == JobStatus::Restarting && !graph.is_restart_due;
    assert_eq!(unended == 0, has_ended || waits && unended == 0);
    // All attempts are of the same restart, or of the one before while that goes on.
    let number = fixture.all()[0].attempt;
    assert!(fixture.all().iter().all(|it| it.attempt == number));
    let is_new = graph.is_waiting_for_slots() || status == JobStatus::Running;
    assert!(!is_new || number == graph.restarts, "{status} {number}");
    // What waits for slots has none, and nothing of it runs.
    let waits_for_slots = states.contains(&ExecutionState::Scheduled);
    assert_eq!(graph.is_waiting_for_slots(), waits_for_slots);
    assert!(!waits_for_slots || states.iter().all(|it| *it == states[0]));
    let all_finished = states
        .iter()
        .all(|state| *state == ExecutionState::Finished);
    assert_eq!(status == JobStatus::Finished, all_finished);
    let failed = [JobStatus::Failing, JobStatus::Failed].contains(&status);
    assert!(!failed || !fixture.failure().is_empty());
    // The last word on the status is the status.
    let last = actions.iter().rev().find_map(|action| match action {
        GraphAction::JobStatusChanged { status } => Some(*status),
        _ => None,
    });
    assert_eq!(last.unwrap_or(status), status);
}

#[test]
fn random_events_break_nothing() {
    let mut ends = BTreeMap::<_, u32>::new();
    let mut restarts = BTreeMap::<_, u32>::new();
    for seed in 0..1_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let wide = plan(&[("a", 5), ("b", 5), ("c", 1)], &[(0, 1, Ship::Forward)]);
        let plan = match seed % 3 {
            0 => single(1),
            1 => pair(),
            _ => wide,
        };
        // Half of them restart.
        let restart = (seed % 2 == 0).then_some(RestartStrategy::FixedDelay {
            attempts: 3,
            delay: Duration::ZERO,
        });
        let mut fixture = Fixture::scheduled(JobPlan { restart, ..plan });
        let mut releases = 0;
        for _ in 0..400 {
            let actions = random_event(&mut fixture, &mut rng);
            let released = |action: &&GraphAction| **action == GraphAction::ReleaseSlots;
            releases += actions.iter().filter(released).count();
            assert_is_true_to_itself(&fixture, &actions, releases);
        }
        *ends.entry(fixture.graph.status()).or_default() += 1;
        *restarts.entry(fixture.graph.restarts).or_default() += 1;
    }
    assert!(restarts.values().all(|count| *count > 5), "{restarts:?}");
    assert_eq!(restarts.len(), 4);
    // Every end was reached, so that the events are worth their while.
    for status in [
        JobStatus::Canceled,
        JobStatus::Failed,
        JobStatus::Finished,
        JobStatus::Suspended,
    ] {
        assert!(
            ends.get(&status).is_some_and(|count| *count > 20),
            "{status}: {ends:?}"
        );
    }
}
