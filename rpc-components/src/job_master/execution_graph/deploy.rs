//! What a task is told when it is deployed: where it reads and what it writes. Pure.
//!
//! Each edge is a partition of every producing task, with a subpartition for each task that reads
//! it. By a forward edge consumer `i` reads the one subpartition of producer `i`; by every other
//! edge it reads subpartition `i` of all producers, as by Flink's `DistributionPattern`.

use super::{Deploy, Execution, ExecutionGraph};
use crate::gateway::{
    InputChannel, InputGateDescriptor, ResultPartition, TaskDeploymentDescriptor,
};
use crate::id::{AttemptId, PartitionId, VertexId};
use crate::job_graph::{Edge, PlanVertex, Ship};

impl ExecutionGraph {
    /// Says how to deploy an attempt; `None` if there is no such attempt or no slot for it.
    pub(crate) fn deploy(&self, attempt: AttemptId) -> Option<Deploy> {
        let (allocation, task_manager) = self.slot(attempt)?;
        let vertex = self.vertex(attempt.vertex)?;
        let descriptor = TaskDeploymentDescriptor {
            attempt,
            allocation: *allocation,
            name: self.task_name(attempt),
            operators: vertex.operators.clone(),
            parallelism: vertex.parallelism,
            inputs: self.inputs(attempt),
            outputs: self.outputs(attempt),
        };
        Some(Deploy {
            descriptor,
            task_manager: task_manager.clone(),
        })
    }

    /// Names a task for people, as `ExecutionVertex#getTaskNameWithSubtaskIndex`.
    pub(super) fn task_name(&self, attempt: AttemptId) -> String {
        let AttemptId {
            vertex, subtask, ..
        } = attempt;
        self.vertex(vertex).map_or_else(
            || attempt.to_string(),
            |vertex| format!("{} ({}/{})", vertex.name, subtask + 1, vertex.parallelism),
        )
    }

    pub(super) fn inputs(&self, consumer: AttemptId) -> Vec<InputGateDescriptor> {
        let incoming = |(_, edge): &(usize, &Edge)| edge.to == consumer.vertex;
        let edges = self.plan.edges.iter().enumerate().filter(incoming);
        edges
            .map(|(place, edge)| self.gate(consumer, place, edge))
            .collect()
    }

    fn gate(&self, consumer: AttemptId, place: usize, edge: &Edge) -> InputGateDescriptor {
        let output = self.output_of(place, edge);
        let producers = self
            .executions
            .get(edge.from.0 as usize)
            .map_or(&[][..], Vec::as_slice);
        let own = consumer.subtask as usize;
        let (read, subpartition) = match edge.ship {
            Ship::Forward => (own..own + 1, 0),
            Ship::Broadcast | Ship::Hash | Ship::Rebalance => {
                (0..producers.len(), consumer.subtask)
            }
        };
        let read = producers.get(read).unwrap_or_default().iter();
        let channel = |execution: &Execution| {
            let producer = execution.attempt;
            let location = self.location(producer)?;
            Some(InputChannel {
                partition: PartitionId { producer, output },
                subpartition,
                task_manager: location.resource.clone(),
                data_address: location.data_address.clone(),
            })
        };
        InputGateDescriptor {
            channels: read.filter_map(channel).collect(),
        }
    }

    fn outputs(&self, producer: AttemptId) -> Vec<ResultPartition> {
        let outgoing = self
            .plan
            .edges
            .iter()
            .filter(|edge| edge.from == producer.vertex);
        let partition = |(output, edge): (u32, &Edge)| ResultPartition {
            id: PartitionId { producer, output },
            ship: edge.ship,
            subpartitions: edge
                .ship
                .subpartitions(self.vertex(edge.to).map_or(0, |vertex| vertex.parallelism)),
        };
        (0..).zip(outgoing).map(partition).collect()
    }

    /// Returns which of its producer's outgoing edges the edge at a place of the plan is.
    fn output_of(&self, place: usize, edge: &Edge) -> u32 {
        let before = self.plan.edges.iter().take(place);
        before.fold(0, |output, other| {
            output + u32::from(other.from == edge.from)
        })
    }

    fn vertex(&self, id: VertexId) -> Option<&PlanVertex> {
        self.plan.vertices.get(id.0 as usize)
    }
}
