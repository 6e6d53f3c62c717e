//! A job as it is shown to people. Pure.

use super::{Execution, ExecutionGraph};
use crate::gateway::{ExecutionState, JobDetails, JobInfo, SubtaskInfo, VertexInfo};
use crate::id::VertexId;

impl ExecutionGraph {
    /// Returns the job in one line.
    pub(crate) fn details(&self, now_ms: u64) -> JobDetails {
        let executions = self.executions.iter().flatten();
        let finished = executions
            .clone()
            .filter(|execution| execution.state == ExecutionState::Finished);
        JobDetails {
            id: self.plan.job,
            name: self.plan.name.clone(),
            status: self.status,
            tasks: count(executions),
            tasks_finished: count(finished),
            restarts: self.restarts,
            submitted_ms: self.submitted_ms,
            duration_ms: self.duration_ms(now_ms),
        }
    }

    /// Returns the job in full.
    pub(crate) fn info(&self, now_ms: u64) -> JobInfo {
        let vertices = (0..)
            .map(VertexId)
            .zip(&self.plan.vertices)
            .zip(&self.executions);
        JobInfo {
            details: self.details(now_ms),
            failure: self
                .suppressed
                .iter()
                .chain(&self.failure)
                .cloned()
                .collect(),
            restarts_max: self.backoff.strategy().attempts(),
            restart_causes: self.restart_causes.iter().cloned().collect(),
            vertices: vertices
                .map(|((id, vertex), executions)| VertexInfo {
                    id,
                    name: vertex.name.clone(),
                    subtasks: executions.iter().map(|known| self.subtask(known)).collect(),
                })
                .collect(),
        }
    }

    fn duration_ms(&self, now_ms: u64) -> u64 {
        // A clock may be set back.
        self.ended_ms
            .unwrap_or(now_ms)
            .saturating_sub(self.submitted_ms)
    }

    fn subtask(&self, execution: &Execution) -> SubtaskInfo {
        let location = self.location(execution.attempt);
        SubtaskInfo {
            attempt: execution.attempt,
            state: execution.state,
            task_manager: location.map(|location| location.resource.clone()),
            records_in: execution.io.records_in,
            records_out: execution.io.records_out,
            bytes_in: execution.io.bytes_in,
        }
    }
}

/// Counts tasks, of which a `u32` numbers more than the configuration allows.
fn count<T>(tasks: impl Iterator<Item = T>) -> u32 {
    u32::try_from(tasks.count()).unwrap_or(u32::MAX)
}
