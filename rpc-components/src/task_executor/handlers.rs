//! What the TaskExecutor does when it is asked.

use std::sync::Arc;

use rpc_core::{Context, RpcError, RpcResult, rpc_endpoint};
use tokio::time::Instant;

use super::endpoint::TaskExecutor;
use super::links::JobLink;
use super::slot_table::SlotState;
use crate::gateway::{
    AllocatedSlot, SlotRequest, SlotRequestError, TaskDeploymentDescriptor, TaskExecutorGateway,
    TaskExecutorReport, TaskNotFound, TaskSubmissionError, UnknownRegistration,
};
use crate::id::{AllocationId, AttemptId, InstanceId, JobId, JobMasterId, RegistrationId};

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
        match self.jobs.get(&job) {
            Some(link) if link.id != request.job_master_id => {
                // A new leader of the job: the old one is left first.
                self.disconnect_job(job, "another job master leads the job");
                self.jobs.remove(&job);
            }
            Some(link) if link.gateway.is_some() => {
                self.offer_slots(cx, job);
                return Ok(());
            }
            Some(link) if link.is_registering() => return Ok(()),
            Some(_) | None => {}
        }
        let link = JobLink::new(request.job_master_address, request.job_master_id);
        self.jobs.entry(job).or_insert(link);
        self.connect_job_master(cx, job);
        Ok(())
    }

    /// As `TaskExecutor#submitTask`, with its order of checks.
    #[expect(clippy::boxed_local, reason = "the gateway's message is boxed")]
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
        let gateway = Arc::clone(gateway);
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

    fn free_slot(&mut self, allocation: AllocationId, cause: String) -> RpcResult<()> {
        self.release_slot(allocation, &cause);
        Ok(())
    }

    fn free_inactive_slots(&mut self, job: JobId) {
        for slot in self.slots.slots_of(job, SlotState::Allocated) {
            self.release_slot(slot.allocation, "the job has ended");
        }
    }

    /// As `TaskExecutor#heartbeatFromJobManager`: what the two sides disagree on is settled.
    fn heartbeat_from_job_manager(
        &mut self,
        cx: &mut Context<Self>,
        job: JobId,
        registration: RegistrationId,
        slots: Vec<AllocatedSlot>,
    ) -> RpcResult<(), UnknownRegistration> {
        let link = self.jobs.get(&job);
        let link = link.filter(|it| it.registration() == Some(registration));
        let link = link.ok_or(UnknownRegistration)?;
        let Some(gateway) = link.gateway.clone() else {
            // The request has overtaken the answer to the registration.
            return Ok(());
        };
        self.job_master_heartbeats.receive(&job, Instant::now());
        let reconciliation = self.slots.reconcile(job, &slots);
        for allocation in reconciliation.to_fail {
            let cause = String::from("the task manager has not allocated it");
            gateway.fail_slot(self.resource.clone(), allocation, cause);
        }
        for allocation in reconciliation.to_free {
            self.release_slot(allocation, "the job master does not claim it");
        }
        let report = TaskExecutorReport {
            attempts: self.tasks.report(job),
        };
        let own = self.resource.clone();
        let answer = gateway.heartbeat_from_task_manager(own, registration, report);
        cx.pipe(answer, move |te, cx, result| {
            te.job_master_called(job, &gateway, &result);
            if let Err(RpcError::App(UnknownRegistration)) = result
                && te.is_connected(job, &gateway)
            {
                let cause = "the job master does not know the task manager any more";
                te.reconnect_job_master(cx, job, cause);
            }
        });
        Ok(())
    }

    /// A request that comes while the TaskExecutor registers is not answered: it may have overtaken
    /// the answer to the registration.
    fn heartbeat_from_resource_manager(
        &mut self,
        cx: &mut Context<Self>,
        instance: InstanceId,
    ) -> RpcResult<(), UnknownRegistration> {
        let known = self.resource_manager.instance();
        if known.is_some_and(|known| known != instance) {
            Err(UnknownRegistration)?;
        }
        let (own, report) = (self.resource.clone(), self.slots.report());
        let Some((resource, answer)) = self.resource_manager.answer_heartbeat(own, report) else {
            return Ok(());
        };
        let heartbeats = &mut self.resource_manager_heartbeats;
        heartbeats.receive(&resource, Instant::now());
        cx.pipe(answer, move |te, cx, result| {
            let heartbeats = &mut te.resource_manager_heartbeats;
            heartbeats.called(&resource, &result, Instant::now());
            if let Err(RpcError::App(unknown)) = result {
                te.resource_manager_gone(cx, instance, &unknown.to_string());
            }
        });
        Ok(())
    }

    /// As `TaskExecutor#disconnectJobManager`: a JobMaster that is still there is found again, as
    /// long as the job has slots here.
    fn disconnect_job_manager(
        &mut self,
        cx: &mut Context<Self>,
        job: JobId,
        registration: RegistrationId,
        cause: String,
    ) -> RpcResult<()> {
        let link = self.jobs.get(&job).filter(|it| it.gateway.is_some());
        if link.is_some_and(|it| it.registration() == Some(registration)) {
            self.reconnect_job_master(cx, job, &cause);
        }
        Ok(())
    }

    fn disconnect_resource_manager(
        &mut self,
        cx: &mut Context<Self>,
        instance: InstanceId,
        cause: String,
    ) -> RpcResult<()> {
        self.resource_manager_gone(cx, instance, &cause);
        Ok(())
    }

    fn request_metric_query_service_address(&self) -> RpcResult<Option<String>> {
        Ok(self.services.metrics_address.clone())
    }
}
