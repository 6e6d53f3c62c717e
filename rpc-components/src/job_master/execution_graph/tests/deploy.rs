//! Plans, slots and descriptors.

use super::{Fixture, NOW, deploys, graph, location, pair, plan, single, slot_at, status};
use crate::gateway::{ExecutionState, InputChannel, JobStatus, ResultPartition};
use crate::id::{AllocationId, AttemptId, PartitionId, VertexId};
use crate::job_graph::{JobPlan, Ship};
use crate::job_master::execution_graph::{ExecutionGraphConfig, PlanError};

#[test]
fn a_plan_is_checked() {
    let check = |plan: JobPlan| {
        let config = ExecutionGraphConfig {
            channels_max: 20,
            tasks_max: 10,
            ..ExecutionGraphConfig::default()
        };
        graph(plan, config).map(|_| ())
    };
    let empty = plan(&[], &[]);
    let job = empty.job;
    assert_eq!(check(empty), Err(PlanError::Empty { job }));
    let name = "b".to_owned();
    assert_eq!(
        check(plan(&[("a", 1), ("b", 0)], &[])),
        Err(PlanError::NoSubtasks { name })
    );
    let too_many = PlanError::TooManyTasks { tasks: 11, max: 10 };
    assert_eq!(check(plan(&[("a", 5), ("b", 6)], &[])), Err(too_many));
    let too_many = PlanError::TooManyChannels {
        channels: 25,
        max: 20,
    };
    let wide = [("a", 5), ("b", 5)];
    assert_eq!(check(plan(&wide, &[(0, 1, Ship::Hash)])), Err(too_many));
    assert_eq!(check(plan(&wide, &[(0, 1, Ship::Forward)])), Ok(()));
    for (from, to) in [(0, 2), (1, 0), (1, 1)] {
        let bad = PlanError::BadEdge {
            from: VertexId(from),
            to: VertexId(to),
        };
        assert_eq!(check(plan(&wide, &[(from, to, Ship::Hash)])), Err(bad));
    }
    let unequal = PlanError::UnequalForward {
        from: VertexId(0),
        to: VertexId(1),
    };
    let unequal_plan = plan(&[("a", 1), ("b", 2)], &[(0, 1, Ship::Forward)]);
    assert_eq!(check(unequal_plan), Err(unequal));
}

#[test]
fn a_plan_of_absurd_size_is_refused() {
    let config = ExecutionGraphConfig::default();
    let absurd = plan(&[("a", u32::MAX), ("b", u32::MAX)], &[(0, 1, Ship::Hash)]);
    let refused = graph(absurd, config).map(|_| ());
    assert!(matches!(refused, Err(PlanError::TooManyTasks { .. })));
}

#[test]
fn all_vertices_share_the_slots_of_the_widest() {
    let edges = [(0, 1, Ship::Rebalance), (1, 2, Ship::Hash)];
    let mut fixture = Fixture::created(plan(&[("a", 1), ("b", 4), ("c", 2)], &edges));
    assert_eq!(fixture.graph.start_scheduling(), 4);
    assert!(
        fixture
            .states()
            .iter()
            .all(|state| *state == ExecutionState::Scheduled)
    );
    let actions = fixture.graph.slots_available(fixture.slots.clone());
    for deploy in deploys(&actions) {
        let subtask = deploy.descriptor.attempt.subtask as usize;
        let (allocation, location) = &fixture.slots[subtask];
        assert_eq!(deploy.descriptor.allocation, *allocation);
        assert_eq!(deploy.task_manager, *location);
    }
}

#[test]
fn deployment_waits_for_all_slots() {
    let mut fixture = Fixture::scheduled(pair());
    assert!(fixture.graph.is_waiting_for_slots());
    assert_eq!(
        fixture.graph.slots_available(fixture.slots[..1].to_vec()),
        []
    );
    assert_eq!(fixture.graph.status(), JobStatus::Created);
    let actions = fixture.graph.slots_available(fixture.slots.clone());
    assert_eq!(actions[0], status(JobStatus::Running));
    // Producers come before their consumers.
    let order: Vec<_> = deploys(&actions)
        .iter()
        .map(|deploy| deploy.descriptor.attempt)
        .collect();
    assert_eq!(order, fixture.all());
    assert!(
        fixture
            .states()
            .iter()
            .all(|state| *state == ExecutionState::Deploying)
    );
    assert!(!fixture.graph.is_waiting_for_slots());
    // Nothing is deployed twice.
    assert_eq!(fixture.graph.slots_available(fixture.slots.clone()), []);
}

#[test]
fn nothing_is_deployed_before_scheduling_and_after_the_end() {
    let mut fixture = Fixture::created(single(1));
    let slots = vec![slot_at("tm")];
    assert_eq!(fixture.graph.slots_available(slots.clone()), []);
    fixture.graph.start_scheduling();
    fixture.graph.cancel(NOW);
    assert_eq!(fixture.graph.slots_available(slots), []);
    assert_eq!(fixture.states(), [ExecutionState::Canceled]);
}

/// The producer's attempt, the subpartition and the data address of each channel.
fn channels(channels: &[InputChannel]) -> Vec<(AttemptId, u32, String)> {
    let channel = |channel: &InputChannel| {
        let InputChannel {
            partition,
            subpartition,
            data_address,
            ..
        } = channel.clone();
        (partition.producer, subpartition, data_address)
    };
    channels.iter().map(channel).collect()
}

#[test]
fn a_consumer_by_a_forward_edge_reads_its_own_producer() {
    // Flink: MiniClusterITCase#testForwardJob (pointwise)
    let mut fixture = Fixture::scheduled(plan(&[("a", 3), ("b", 3)], &[(0, 1, Ship::Forward)]));
    let actions = fixture.graph.slots_available(fixture.slots.clone());
    for deploy in deploys(&actions) {
        let AttemptId {
            vertex, subtask, ..
        } = deploy.descriptor.attempt;
        if vertex == VertexId(0) {
            assert_eq!(deploy.descriptor.inputs, []);
            let outputs: Vec<_> = deploy
                .descriptor
                .outputs
                .iter()
                .map(|output| output.subpartitions)
                .collect();
            assert_eq!(outputs, [1]);
        } else {
            let [gate] = &deploy.descriptor.inputs[..] else {
                panic!("one gate");
            };
            let (_, at) = &fixture.slots[subtask as usize];
            let own = (fixture.attempt(0, subtask), 0, at.data_address.clone());
            assert_eq!(channels(&gate.channels), [own]);
        }
    }
}

#[test]
fn a_consumer_by_another_edge_reads_its_share_of_every_producer() {
    // Flink: MiniClusterITCase#testBipartiteJob (all-to-all)
    for ship in [Ship::Broadcast, Ship::Hash, Ship::Rebalance] {
        let mut fixture = Fixture::scheduled(plan(&[("a", 2), ("b", 3)], &[(0, 1, ship)]));
        let actions = fixture.graph.slots_available(fixture.slots.clone());
        let deploys = deploys(&actions);
        assert_eq!(deploys.len(), 5);
        for deploy in &deploys[..2] {
            let id = PartitionId {
                producer: deploy.descriptor.attempt,
                output: 0,
            };
            let partition = ResultPartition {
                id,
                ship,
                subpartitions: 3,
            };
            assert_eq!(deploy.descriptor.outputs, [partition]);
        }
        for deploy in &deploys[2..] {
            let subtask = deploy.descriptor.attempt.subtask;
            let [gate] = &deploy.descriptor.inputs[..] else {
                panic!("one gate");
            };
            let read = |producer| {
                let (_, at) = &fixture.slots[producer as usize];
                (
                    fixture.attempt(0, producer),
                    subtask,
                    at.data_address.clone(),
                )
            };
            assert_eq!(channels(&gate.channels), [read(0), read(1)]);
        }
    }
}

#[test]
fn every_edge_has_its_own_partition() {
    // Flink: MiniClusterITCase#testTwoInputJob
    let vertices = [("a", 1), ("b", 1), ("c", 1)];
    let edges = [
        (0, 2, Ship::Hash),
        (0, 1, Ship::Forward),
        (1, 2, Ship::Hash),
        (0, 2, Ship::Hash),
    ];
    let mut fixture = Fixture::scheduled(plan(&vertices, &edges));
    let actions = fixture.graph.slots_available(fixture.slots.clone());
    let deploys = deploys(&actions);
    let outputs = |vertex: usize| -> Vec<_> {
        deploys[vertex]
            .descriptor
            .outputs
            .iter()
            .map(|output| output.id)
            .collect()
    };
    let partition = |vertex, output| PartitionId {
        producer: fixture.attempt(vertex, 0),
        output,
    };
    assert_eq!(
        outputs(0),
        [partition(0, 0), partition(0, 1), partition(0, 2)]
    );
    assert_eq!(outputs(1), [partition(1, 0)]);
    assert_eq!(outputs(2), []);
    let inputs = |vertex: usize| -> Vec<_> {
        let gates = &deploys[vertex].descriptor.inputs;
        gates
            .iter()
            .flat_map(|gate| &gate.channels)
            .map(|channel| channel.partition)
            .collect()
    };
    assert_eq!(inputs(0), []);
    assert_eq!(inputs(1), [partition(0, 1)]);
    assert_eq!(
        inputs(2),
        [partition(0, 0), partition(1, 0), partition(0, 2)]
    );
}

#[test]
fn a_descriptor_says_what_the_task_is() {
    let mut fixture = Fixture::scheduled(pair());
    let actions = fixture.graph.slots_available(fixture.slots.clone());
    let descriptor = &deploys(&actions)[3].descriptor;
    assert_eq!(descriptor.name, "sink (2/2)");
    assert_eq!(descriptor.parallelism, 2);
    assert_eq!(
        descriptor.operators,
        fixture.graph.plan().vertices[1].operators
    );
}

#[test]
fn more_slots_than_needed_do_no_harm() {
    let mut fixture = Fixture::scheduled(single(1));
    let slots = vec![(AllocationId::random(), location("a")), slot_at("b")];
    assert_eq!(deploys(&fixture.graph.slots_available(slots)).len(), 1);
}
