//! What the JobMaster does when it is asked.

use bytes::Bytes;
use rpc_core::{Context, Failure, MainThread, ReplyTo, RpcError, RpcResult, rpc_endpoint};

use super::endpoint::{JobMaster, RegisteredTaskManager, now};
use crate::gateway::{
    FileSplit, JobInfo, JobMasterGateway, JobStatus, RegistrationResponse, ResultsGone, Shortage,
    SlotOffer, TaskExecutionState, TaskExecutorGateway, TaskExecutorReport, TaskManagerLocation,
    UnknownAttempt, UnknownRegistration, UnknownTaskManager,
};
use crate::id::{
    AllocationId, AttemptId, InstanceId, JobId, RegistrationId, ResourceId, check_name,
};

#[rpc_endpoint(JobMasterGateway)]
impl JobMaster {
    fn cancel(&mut self, cx: &mut Context<Self>) -> RpcResult<()> {
        let actions = self.graph.cancel(self.now_ms());
        self.run(cx, actions);
        Ok(())
    }

    fn update_task_execution_state(
        &mut self,
        cx: &mut Context<Self>,
        state: TaskExecutionState,
    ) -> RpcResult<(), UnknownAttempt> {
        let actions = self.graph.update_state(state, self.now_ms())?;
        self.run(cx, actions);
        Ok(())
    }

    fn request_next_input_splits(
        &mut self,
        attempt: AttemptId,
        received: u64,
    ) -> RpcResult<Vec<FileSplit>, UnknownAttempt> {
        if !self.graph.is_live(attempt) {
            Err(UnknownAttempt { attempt })?;
        }
        let count_max = self.config.splits_per_request;
        let next = self.splits.next(attempt, received, count_max);
        Ok(next.map_err(|error| Failure::new(&error))?)
    }

    /// As `JobMaster#registerTaskManager`: the same registration is accepted again, one of the same
    /// session takes the place of the one before it and keeps its slots, and one of a new session
    /// takes the place of the old, whose slots are lost.
    async fn register_task_manager(
        main: MainThread<'_, Self>,
        job: JobId,
        location: TaskManagerLocation,
        session: InstanceId,
        registration: RegistrationId,
    ) -> RpcResult<RegistrationResponse<ResourceId>> {
        let known = main.run(|job_master, _| {
            if job != job_master.job {
                let reason = format!("this is the job master of job {}", job_master.job);
                return Some(RegistrationResponse::Rejection(reason));
            }
            if job_master.graph.has_ended() {
                let reason = String::from("the job has ended");
                return Some(RegistrationResponse::Rejection(reason));
            }
            if let Err(error) = check_name(location.resource.as_str()) {
                let reason = format!("the task manager's name {error}");
                return Some(RegistrationResponse::Rejection(reason));
            }
            let known = job_master.task_managers.get(&location.resource);
            known
                .filter(|it| it.registration == registration)
                .map(|_| RegistrationResponse::Success(job_master.resource.clone()))
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let rpc = main.run(|_, cx| cx.service());
        let rpc = rpc.ok_or_else(|| Failure::message("the service is closed"))?;
        let connected = rpc
            .connect::<dyn TaskExecutorGateway>(&location.address)
            .await;
        Ok(main.run(|job_master, cx| match connected {
            Ok(gateway) => {
                let task_manager = RegisteredTaskManager {
                    gateway,
                    session,
                    registration,
                    watch: None,
                };
                job_master.accept_task_manager(cx, task_manager, location)
            }
            Err(error) => RegistrationResponse::Failure(error.to_string()),
        }))
    }

    fn offer_slots(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        offers: Vec<SlotOffer>,
    ) -> RpcResult<Vec<SlotOffer>, UnknownTaskManager> {
        if !self.task_managers.contains_key(&task_manager) {
            Err(UnknownTaskManager {
                task_manager: task_manager.clone(),
            })?;
        }
        let accepted = self.pool.offer(&task_manager, &offers, now());
        // They may be known: until then their TaskExecutor may have been in doubt.
        if !accepted.is_empty() {
            self.deploy_if_possible(cx);
        }
        Ok(accepted)
    }

    /// As `JobMaster#failSlot`: the tasks in the slot fail, and a TaskExecutor whose last slot it was
    /// is disconnected.
    fn fail_slot(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        allocation: AllocationId,
        cause: String,
    ) {
        let Some(slot) = self.pool.fail(&task_manager, allocation) else {
            return;
        };
        self.free_slot(&slot, &cause);
        let actions = self.graph.slot_lost(allocation, vec![cause], self.now_ms());
        self.run(cx, actions);
        if !self.pool.has_slots_of(&task_manager) {
            // What its tasks have left can still be read.
            self.leave_task_manager(&task_manager, "the job has no more slots there");
        }
    }

    fn disconnect_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        registration: RegistrationId,
        cause: String,
    ) -> RpcResult<()> {
        if self.is_registered(&task_manager, registration) {
            self.close_task_manager(cx, &task_manager, &cause);
        }
        Ok(())
    }

    fn notify_task_manager_lost(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        session: InstanceId,
        cause: String,
    ) -> RpcResult<()> {
        let known = self.task_managers.get(&task_manager);
        if known.is_some_and(|it| it.session == session) {
            self.close_task_manager(cx, &task_manager, &cause);
        }
        Ok(())
    }

    /// As `JobMaster#disconnectResourceManager`: ignored unless it is the one that is connected.
    fn disconnect_resource_manager(
        &mut self,
        cx: &mut Context<Self>,
        registration: RegistrationId,
        cause: String,
    ) -> RpcResult<()> {
        self.resource_manager_gone(cx, registration, &cause);
        Ok(())
    }

    /// It may change yet: the job fails only when it has waited as long as it may.
    fn notify_not_enough_resources_available(
        &mut self,
        cx: &mut Context<Self>,
        shortage: Shortage,
    ) {
        self.shortage = Some(shortage);
        let is_first = !self.graph.was_restarted();
        if is_first && self.graph.plan().slot_wait.is_some_and(|it| it.is_zero()) {
            let actions = self.graph.not_enough_slots(shortage, self.now_ms());
            self.run(cx, actions);
        }
    }

    fn heartbeat_from_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        registration: RegistrationId,
        report: TaskExecutorReport,
    ) -> RpcResult<(), UnknownRegistration> {
        if !self.is_registered(&task_manager, registration) {
            Err(UnknownRegistration)?;
        }
        self.task_manager_heartbeats.receive(&task_manager, now());
        let actions = self.graph.reconcile(&task_manager, &report, self.now_ms());
        self.run(cx, actions);
        Ok(())
    }

    fn heartbeat_from_resource_manager(
        &mut self,
        cx: &mut Context<Self>,
        registration: RegistrationId,
    ) -> RpcResult<(), UnknownRegistration> {
        if self.resource_manager.registration() != Some(registration) {
            Err(UnknownRegistration)?;
        }
        let Some((resource, answer)) = self.resource_manager.answer_heartbeat(self.job) else {
            // The request has overtaken the answer to the registration.
            return Ok(());
        };
        self.resource_manager_heartbeats.receive(&resource, now());
        cx.pipe(answer, move |job_master, cx, result| {
            let heartbeats = &mut job_master.resource_manager_heartbeats;
            heartbeats.called(&resource, &result, now());
            if let Err(RpcError::App(unknown)) = result {
                job_master.resource_manager_gone(cx, registration, &unknown.to_string());
            }
        });
        Ok(())
    }

    fn request_job_status(&self) -> RpcResult<JobStatus> {
        Ok(self.graph.status())
    }

    fn request_job(&self) -> RpcResult<JobInfo> {
        Ok(self.graph.info(self.now_ms()))
    }

    fn send_results(
        &mut self,
        cx: &mut Context<Self>,
        attempt: AttemptId,
        position: u64,
        piece: Bytes,
        reply: ReplyTo<(), UnknownAttempt>,
    ) {
        // What is printed by an attempt that is to end is printed again by the next.
        let is_void = self.graph.status() == JobStatus::Restarting;
        if is_void || !self.graph.is_live(attempt) {
            return reply.answer(Err(UnknownAttempt { attempt }.into()));
        }
        match self.results.send(attempt, position, piece, reply) {
            Ok(answers) => self.answer(cx, answers),
            Err(reply) => {
                let reason = Failure::message("results of the task were sent out of their order");
                reply.answer(Err(reason.into()));
            }
        }
    }

    fn fetch_results(
        &mut self,
        cx: &mut Context<Self>,
        position: u64,
        reply: ReplyTo<Bytes, ResultsGone>,
    ) {
        self.linger(cx);
        match self.results.fetch(position, reply) {
            Ok(answers) => self.answer(cx, answers),
            Err((gone, reply)) => reply.answer(Err(RpcError::App(ResultsGone {
                position: gone.position,
            }))),
        }
    }
}

impl JobMaster {
    fn accept_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: RegisteredTaskManager,
        location: TaskManagerLocation,
    ) -> RegistrationResponse<ResourceId> {
        if self.graph.has_ended() {
            return RegistrationResponse::Rejection(String::from("the job has ended"));
        }
        let resource = location.resource.clone();
        if self
            .task_managers
            .get(&resource)
            .is_some_and(|it| it.session != task_manager.session)
        {
            self.close_task_manager(cx, &resource, "the task manager was started anew");
        }
        if !self.pool.register_task_manager(location) {
            let reason = String::from("the job has too many task managers");
            return RegistrationResponse::Failure(reason);
        }
        // It lives, and is watched from now on, whatever was found of a registration before.
        self.pool.set_doubtful(&resource, false);
        self.task_manager_heartbeats
            .monitor_anew(resource.clone(), now());
        self.task_managers.insert(resource.clone(), task_manager);
        self.watch_task_manager(cx, resource);
        RegistrationResponse::Success(self.resource.clone())
    }
}
