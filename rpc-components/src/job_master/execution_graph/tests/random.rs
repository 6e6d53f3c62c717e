//! Whatever happens in whatever order, the graph stays true to itself.

use super::{Fixture, NOW, pair, plan, single, update};
use crate::gateway::{ExecutionState, JobStatus};
use crate::id::{AttemptId, ResourceId};
use crate::job_graph::Ship;
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
    let attempt = AttemptId {
        attempt: u32::from(rng.u8(..10) == 0),
        ..all[rng.usize(..all.len())]
    };
    let task_manager = format!("tm{}", rng.u8(..3));
    let failure = vec!["random".to_owned()];
    match rng.u8(..120) {
        0 => {
            fixture.graph.start_scheduling();
            vec![]
        }
        1..10 => fixture.graph.slots_available(fixture.slots.clone()),
        10 => fixture.graph.cancel(NOW),
        11 => fixture.graph.fail(failure, NOW),
        12 => fixture.graph.suspend(NOW),
        13 => fixture.graph.deploy_failed(attempt, failure, NOW),
        14 => fixture.graph.cancel_failed(attempt, NOW),
        15 => {
            let lost = ResourceId::new(task_manager);
            fixture.graph.task_manager_lost(&lost, failure, NOW)
        }
        16 => {
            let (lost, _) = fixture.slots[rng.usize(..fixture.slots.len())];
            fixture.graph.slot_lost(lost, failure, NOW)
        }
        17..25 => {
            let reported: Vec<_> = all.into_iter().filter(|_| rng.bool()).collect();
            fixture.reconcile(&task_manager, &reported)
        }
        25..40 => {
            fixture.graph.deployed(attempt);
            vec![]
        }
        _ => {
            // Mostly what follows, so that some jobs get far.
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
            fixture
                .graph
                .update_state(update(attempt, state, failure), NOW)
                .unwrap_or_default()
        }
    }
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
    // A job that has ended has no tasks, and one without tasks has ended.
    assert_eq!(unended == 0, has_ended);
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
    let mut ends = std::collections::BTreeMap::<_, u32>::new();
    for seed in 0..1_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let wide = plan(&[("a", 5), ("b", 5), ("c", 1)], &[(0, 1, Ship::Forward)]);
        let plan = match seed % 3 {
            0 => single(1),
            1 => pair(),
            _ => wide,
        };
        let mut fixture = Fixture::scheduled(plan);
        let mut releases = 0;
        for _ in 0..200 {
            let actions = random_event(&mut fixture, &mut rng);
            let released = |action: &&GraphAction| **action == GraphAction::ReleaseSlots;
            releases += actions.iter().filter(released).count();
            assert_is_true_to_itself(&fixture, &actions, releases);
        }
        *ends.entry(fixture.graph.status()).or_default() += 1;
    }
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
