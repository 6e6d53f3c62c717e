//! The limits of a graph, and the check that a plan keeps them. Pure.

use thiserror::Error;

use crate::id::{JobId, VertexId};
use crate::job_graph::{Edge, JobPlan, Ship};

/// How large a job may be, and how much of its failure is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutionGraphConfig {
    /// How many channels the tasks of a job may have between them. Two vertices of a parallelism of
    /// 1,000 have a million, and each is named in a descriptor. Too small, and wide jobs are
    /// refused; too large, and one can fill the memory. The default is 1,048,576.
    pub channels_max: u64,
    /// How many causes of a failure are kept. The default is 32.
    pub failure_causes_max: usize,
    /// How many bytes of each cause are kept. A message may hold what the user's operator printed,
    /// and is kept as long as the job is remembered. The default is 16 KiB.
    pub failure_cause_bytes_max: usize,
    /// How many restarts of a job are remembered with their causes, of which only the beginnings are
    /// kept. Flink's `web.exception-history-size`. The default is 16.
    pub restart_causes_max: usize,
    /// How many tasks a job may have. Too small, and large jobs are refused; too large, and one can
    /// fill the memory. The default is 65,536.
    pub tasks_max: u64,
}

impl Default for ExecutionGraphConfig {
    fn default() -> Self {
        Self {
            channels_max: 1 << 20,
            failure_causes_max: 32,
            failure_cause_bytes_max: 16 << 10,
            restart_causes_max: 16,
            tasks_max: 1 << 16,
        }
    }
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum PlanError {
    #[error("an edge goes from vertex {from} to vertex {to}, which is no later vertex of the job")]
    BadEdge { from: VertexId, to: VertexId },
    #[error("job {job} is empty")]
    Empty { job: JobId },
    #[error("vertex {name} has no subtasks")]
    NoSubtasks { name: String },
    #[error("a job has {channels} channels, and at most {max} are allowed")]
    TooManyChannels { channels: u64, max: u64 },
    #[error("a job has {tasks} tasks, and at most {max} are allowed")]
    TooManyTasks { tasks: u64, max: u64 },
    #[error("vertices {from} and {to} differ in parallelism, and a forward edge connects them")]
    UnequalForward { from: VertexId, to: VertexId },
}

impl ExecutionGraphConfig {
    /// Checks that a plan makes sense and is not too large.
    pub(super) fn check(&self, plan: &JobPlan) -> Result<(), PlanError> {
        if plan.vertices.is_empty() {
            return Err(PlanError::Empty { job: plan.job });
        }
        let mut tasks = 0;
        for vertex in &plan.vertices {
            if vertex.parallelism == 0 {
                let name = vertex.name.clone();
                return Err(PlanError::NoSubtasks { name });
            }
            tasks += u64::from(vertex.parallelism);
        }
        let max = self.tasks_max;
        if tasks > max {
            return Err(PlanError::TooManyTasks { tasks, max });
        }
        let mut channels = 0_u64;
        for edge in &plan.edges {
            channels = channels.saturating_add(channels_of(plan, edge)?);
        }
        let max = self.channels_max;
        if channels > max {
            return Err(PlanError::TooManyChannels { channels, max });
        }
        Ok(())
    }

    /// Cuts a failure to what is kept of it.
    pub(super) fn shorten(&self, failure: Vec<String>) -> Vec<String> {
        let (causes_max, bytes_max) = (self.failure_causes_max, self.failure_cause_bytes_max);
        cut(failure, causes_max, bytes_max)
    }

    /// Cuts a failure to what is kept of one that the job has survived, of which there are several.
    pub(super) fn shorten_more(&self, failure: Vec<String>) -> Vec<String> {
        let causes_max = self.failure_causes_max.min(SURVIVED_CAUSES_MAX);
        let bytes_max = self.failure_cause_bytes_max.min(SURVIVED_CAUSE_BYTES_MAX);
        cut(failure, causes_max, bytes_max)
    }
}

fn cut(mut failure: Vec<String>, causes_max: usize, bytes_max: usize) -> Vec<String> {
    failure.truncate(causes_max);
    for cause in &mut failure {
        if cause.len() > bytes_max {
            let mut end = bytes_max;
            while !cause.is_char_boundary(end) {
                end -= 1;
            }
            cause.truncate(end);
            cause.push('…');
        }
    }
    failure
}

fn channels_of(plan: &JobPlan, edge: &Edge) -> Result<u64, PlanError> {
    let Edge { from, to, ship } = *edge;
    let parallelism = |id: VertexId| {
        let vertex = plan.vertices.get(id.0 as usize);
        vertex
            .map(|vertex| vertex.parallelism)
            .ok_or(PlanError::BadEdge { from, to })
    };
    if from >= to {
        return Err(PlanError::BadEdge { from, to });
    }
    let (producers, consumers) = (parallelism(from)?, parallelism(to)?);
    match ship {
        Ship::Forward if producers != consumers => Err(PlanError::UnequalForward { from, to }),
        Ship::Forward => Ok(u64::from(producers)),
        Ship::Broadcast | Ship::Hash | Ship::Rebalance => {
            Ok(u64::from(producers) * u64::from(consumers))
        }
    }
}

/// As many, and as much of each, as tell what happened.
const SURVIVED_CAUSES_MAX: usize = 8;
const SURVIVED_CAUSE_BYTES_MAX: usize = 1 << 10;
