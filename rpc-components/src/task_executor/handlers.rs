//! What the TaskExecutor does when it is asked.

use rpc_core::{Context, RpcResult, rpc_endpoint};
use tokio::time::Instant;

use super::endpoint::TaskExecutor;
use super::links::JobLink;
use super::slot_table::SlotState;
use crate::gateway::{
    AllocatedSlot, SlotRequest, SlotRequestError, TaskDeploymentDescriptor, TaskExecutorGateway,
    TaskExecutorReport, TaskNotFound, TaskSubmissionError,
};
use crate::id::{AllocationId, AttemptId, JobId, JobMasterId, ResourceId};

#[rpc_endpoint(TaskExecutorGateway)]
impl TaskExecutor {
    /// As `TaskExecutor#requestSlot`.
    fn request_slot(
        &mut self,
        cx: &mut Context<Self>,
        request: SlotRequest,
    ) -> RpcResult<(), SlotRequestError> {
        let id = request.resource_manager_id;
        if self.resource_manager.id() != Some(id) {
            Err(SlotRequestError::WrongResourceManager { id })?;
        }
        let (job, allocation) = (request.job, request.allocation);
        let index = request.slot_index;
        let allocated = self.slots.allocate(index, job, allocation, Instant::now());
        allocated.map_err(|error| SlotRequestError::Refused {
            reason: error.to_string(),
        })?;
        let known = self.jobs.get(&job);
        match known {
            Some(link) if link.id == request.job_master_id => {
                if link.gateway.is_some() {
                    self.offer_slots(cx, job);
                }
            }
            _ => {
                // A new job, or a new leader of one: the old one is left first.
                self.disconnect_job(job, "another job master leads the job");
                let link = JobLink::new(request.job_master_address, request.job_master_id);
                self.jobs.insert(job, link);
                self.connect_job_master(cx, job);
            }
        }
        Ok(())
    }

    /// As `TaskExecutor#submitTask`, with its order of checks.
    fn submit_task(
        &mut self,
        cx: &mut Context<Self>,
        task: Box<TaskDeploymentDescriptor>,
        job_master: JobMasterId,
    ) -> RpcResult<(), TaskSubmissionError> {
        let (attempt, allocation) = (task.attempt, task.allocation);
        let link = self.jobs.get(&attempt.job);
        let link = link.and_then(|it| Some((it, it.gateway.as_ref()?)));
        let Some((link, gateway)) = link else {
            return Err(TaskSubmissionError::NoJobMaster { attempt })?;
        };
        if link.id != job_master {
            Err(TaskSubmissionError::WrongJobMaster {
                attempt,
                expected: link.id,
                got: job_master,
            })?;
        }
        let gateway = std::sync::Arc::clone(gateway);
        // The task may come before the answer to the offer of its slot.
        self.slots.try_mark_active(attempt.job, allocation);
        let added = self.slots.add_task(allocation, attempt);
        added.map_err(|error| TaskSubmissionError::Refused {
            reason: error.to_string(),
        })?;
        self.spawn_task(cx, *task, gateway);
        Ok(())
    }

    fn cancel_task(&mut self, attempt: AttemptId) -> RpcResult<(), TaskNotFound> {
        match self.tasks.cancel(attempt) {
            true => Ok(()),
            false => Err(TaskNotFound { attempt })?,
        }
    }

    fn free_slot(
        &mut self,
        cx: &mut Context<Self>,
        allocation: AllocationId,
        cause: String,
    ) -> RpcResult<()> {
        self.release_slot(cx, allocation, &cause);
        Ok(())
    }

    fn free_inactive_slots(&mut self, cx: &mut Context<Self>, job: JobId) {
        for slot in self.slots.slots_of(job, SlotState::Allocated) {
            self.release_slot(cx, slot.allocation, "the job has ended");
        }
    }

    /// As `TaskExecutor#heartbeatFromJobManager`: what the two sides disagree on is settled.
    fn heartbeat_from_job_manager(
        &mut self,
        cx: &mut Context<Self>,
        job: JobId,
        slots: Vec<AllocatedSlot>,
    ) -> RpcResult<()> {
        if !self.job_master_heartbeats.receive(&job, Instant::now()) {
            return Ok(());
        }
        let gateway = self.jobs.get(&job).and_then(|it| it.gateway.clone());
        let Some(gateway) = gateway else {
            return Ok(());
        };
        let reconciliation = self.slots.reconcile(job, &slots);
        for allocation in reconciliation.to_fail {
            let cause = String::from("the task manager has not allocated it");
            gateway.fail_slot(self.resource.clone(), allocation, cause);
        }
        for allocation in reconciliation.to_free {
            self.release_slot(cx, allocation, "the job master does not claim it");
        }
        let report = TaskExecutorReport {
            attempts: self.tasks.report(job),
        };
        gateway
            .heartbeat_from_task_manager(self.resource.clone(), report)
            .detach();
        Ok(())
    }

    /// A request of a ResourceManager that is not connected is not answered.
    fn heartbeat_from_resource_manager(&mut self, resource_manager: ResourceId) -> RpcResult<()> {
        let now = Instant::now();
        if self
            .resource_manager_heartbeats
            .receive(&resource_manager, now)
        {
            let report = self.slots.report();
            if let Some(answer) = self
                .resource_manager
                .answer_heartbeat(&self.resource, report)
            {
                answer.detach();
            }
        }
        Ok(())
    }

    fn disconnect_job_manager(&mut self, cx: &mut Context<Self>, job: JobId, cause: String) {
        self.disconnect_job(job, &cause);
    }

    fn disconnect_resource_manager(&mut self, cx: &mut Context<Self>, cause: String) {
        self.reconnect_resource_manager(cx, &cause);
    }

    fn request_metric_query_service_address(&mut self) -> RpcResult<Option<String>> {
        Ok(self.services.metrics_address.clone())
    }
}
