//! What the ResourceManager does when it is asked.

use std::sync::Arc;

use rpc_core::{Context, Failure, MainThread, RpcError, RpcResult, RpcService, rpc_endpoint};
use tokio::time::Instant;

use super::endpoint::{JobMaster, ResourceManager, TaskExecutor};
use crate::gateway::{
    JobMasterGateway, JobStatus, RegistrationResponse, RequirementsError, ResourceManagerGateway,
    ResourceOverview, ResourceRequirements, SlotReport, TaskExecutorAccepted, TaskExecutorGateway,
    TaskExecutorRegistration, TaskManagerInfo, UnknownRegistration,
};
use crate::id::{AllocationId, InstanceId, JobId, JobMasterId, ResourceId, SlotId};

#[rpc_endpoint(ResourceManagerGateway)]
impl ResourceManager {
    /// As `ResourceManager#registerJobMaster`: a JobMaster that is registered already is accepted
    /// again, and one of another term replaces it; what the job needs is kept.
    async fn register_job_master(
        main: MainThread<'_, Self>,
        id: JobMasterId,
        resource: ResourceId,
        address: String,
        job: JobId,
    ) -> RpcResult<RegistrationResponse<ResourceId>> {
        let known = main.run(|rm, _| {
            let known = rm
                .jobs
                .get(&job)
                .is_some_and(|it| it.id == id && it.resource == resource);
            known.then(|| rm.resource.clone())
        });
        if let Some(known) = known {
            return Ok(RegistrationResponse::Success(known));
        }
        let rpc = service(main)?;
        let gateway = match rpc
            .connect_fenced::<dyn JobMasterGateway>(&address, id)
            .await
        {
            Ok(gateway) => gateway,
            Err(error) => return Ok(RegistrationResponse::Failure(error.to_string())),
        };
        Ok(main.run(|rm, _| {
            if rm.jobs.get(&job).is_some_and(|it| it.id > id) {
                let reason = String::from("a newer job master is registered");
                return RegistrationResponse::Failure(reason);
            }
            rm.close_job_master(job, "another job master leads the job");
            let job_master = JobMaster {
                gateway,
                id,
                resource,
            };
            rm.jobs.insert(job, job_master);
            rm.job_master_heartbeats.monitor(job, Instant::now());
            RegistrationResponse::Success(rm.resource.clone())
        }))
    }

    fn declare_required_resources(
        &mut self,
        cx: &mut Context<Self>,
        id: JobMasterId,
        requirements: ResourceRequirements,
    ) -> RpcResult<(), RequirementsError> {
        let job = requirements.job;
        if self.jobs.get(&job).is_none_or(|it| it.id != id) {
            Err(RequirementsError::UnknownJobMaster { job, id })?;
        }
        let is_news = self.slots.declare(requirements);
        let is_news = is_news.map_err(|error| RequirementsError::TooManyJobs {
            job: error.job,
            max: error.max as u64,
        })?;
        if is_news {
            self.check_soon(cx);
        }
        Ok(())
    }

    /// As `ResourceManager#registerTaskExecutor`: of several attempts of one TaskExecutor the newest
    /// counts, and a registration replaces the one before it.
    async fn register_task_executor(
        main: MainThread<'_, Self>,
        registration: TaskExecutorRegistration,
    ) -> RpcResult<RegistrationResponse<TaskExecutorAccepted>> {
        let resource = registration.resource.clone();
        let attempt = main.run(|rm, _| {
            let attempts = rm.registering.entry(resource.clone()).or_default();
            *attempts += 1;
            *attempts
        });
        let rpc = service(main)?;
        let address = &registration.address;
        let connected = rpc.connect::<dyn TaskExecutorGateway>(address).await;
        Ok(main.run(|rm, cx| {
            if rm.registering.get(&resource) != Some(&attempt) {
                let reason = String::from("a newer registration is under way");
                return RegistrationResponse::Failure(reason);
            }
            rm.registering.remove(&resource);
            match connected {
                Ok(gateway) => rm.accept_task_executor(cx, gateway, registration),
                Err(error) => RegistrationResponse::Failure(error.to_string()),
            }
        }))
    }

    fn send_slot_report(
        &mut self,
        cx: &mut Context<Self>,
        task_executor: ResourceId,
        instance: InstanceId,
        report: SlotReport,
    ) -> RpcResult<(), UnknownRegistration> {
        let known = self.task_executors.get(&task_executor);
        let Some(known) = known.filter(|it| it.instance == instance) else {
            return Err(UnknownRegistration {
                task_executor,
                instance,
            })?;
        };
        let registered = self.slots.register(instance, &known.registration, &report);
        if let Err(error) = registered {
            self.close_task_executor(cx, &task_executor, &error.to_string());
            return Err(RpcError::failed(&error));
        }
        self.check_soon(cx);
        Ok(())
    }

    fn notify_slot_available(
        &mut self,
        cx: &mut Context<Self>,
        instance: InstanceId,
        slot: SlotId,
        allocation: AllocationId,
    ) {
        if self.slots.slot_available(instance, &slot, allocation) {
            self.check_soon(cx);
        }
    }

    fn heartbeat_from_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        report: SlotReport,
    ) -> RpcResult<()> {
        self.task_executor_heartbeats
            .receive(&task_manager, Instant::now());
        if let Some(known) = self.task_executors.get(&task_manager)
            && self.slots.report(&task_manager, known.instance, &report)
        {
            self.check_soon(cx);
        }
        Ok(())
    }

    fn heartbeat_from_job_manager(&mut self, job_manager: ResourceId) -> RpcResult<()> {
        let mut jobs = self.jobs.iter();
        if let Some((job, _)) = jobs.find(|(_, it)| it.resource == job_manager) {
            self.job_master_heartbeats.receive(job, Instant::now());
        }
        Ok(())
    }

    fn disconnect_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        cause: String,
    ) {
        self.close_task_executor(cx, &task_manager, &cause);
    }

    /// As `ResourceManager#disconnectJobManager`: only of a job that has ended is it forgotten what
    /// it needs, and the slots that it never used are freed.
    fn disconnect_job_manager(
        &mut self,
        cx: &mut Context<Self>,
        job: JobId,
        status: JobStatus,
        cause: String,
    ) {
        self.close_job_master(job, &cause);
        if status.is_terminal() {
            for resource in self.slots.clear_requirements(job) {
                if let Some(task_executor) = self.task_executors.get(&resource) {
                    task_executor.gateway.free_inactive_slots(job);
                }
            }
            self.check_soon(cx);
        }
    }

    fn request_task_manager_info(&mut self) -> RpcResult<Vec<TaskManagerInfo>> {
        let now = Instant::now();
        let heartbeats = &self.task_executor_heartbeats;
        Ok(self.slots.task_managers(|resource| {
            let last = heartbeats.last_heartbeat(resource);
            let ago = last.map_or(0, |last| now.saturating_duration_since(last).as_millis());
            u64::try_from(ago).unwrap_or(u64::MAX)
        }))
    }

    fn request_resource_overview(&mut self) -> RpcResult<ResourceOverview> {
        Ok(self.slots.overview())
    }

    async fn request_task_manager_metric_query_service_addresses(
        main: MainThread<'_, Self>,
    ) -> RpcResult<Vec<(ResourceId, String)>> {
        let asked: Vec<_> = main.run(|rm, _| {
            let ask = |(resource, it): (&ResourceId, &TaskExecutor)| {
                let address = it.gateway.request_metric_query_service_address();
                (resource.clone(), address)
            };
            rm.task_executors.iter().map(ask).collect()
        });
        let mut addresses = Vec::new();
        for (resource, address) in asked {
            if let Ok(Some(address)) = address.await {
                addresses.push((resource, address));
            }
        }
        Ok(addresses)
    }
}

impl ResourceManager {
    fn accept_task_executor(
        &mut self,
        cx: &mut Context<Self>,
        gateway: Arc<dyn TaskExecutorGateway>,
        registration: TaskExecutorRegistration,
    ) -> RegistrationResponse<TaskExecutorAccepted> {
        let max = self.config.slot_manager.task_executors_max;
        let resource = registration.resource.clone();
        if self.task_executors.len() >= max && !self.task_executors.contains_key(&resource) {
            return RegistrationResponse::Rejection(format!(
                "there are {max} task managers already"
            ));
        }
        // The one that it replaces is not told: its successor has its name.
        if self.task_executors.remove(&resource).is_some() {
            self.task_executor_heartbeats.unmonitor(&resource);
            self.slots.unregister(&resource);
            self.check_soon(cx);
        }
        tracing::info!(%resource, slots = registration.slots, "task manager registered");
        let instance = InstanceId::random();
        let task_executor = TaskExecutor {
            gateway,
            instance,
            registration,
        };
        self.task_executor_heartbeats
            .monitor(resource.clone(), Instant::now());
        self.task_executors.insert(resource, task_executor);
        RegistrationResponse::Success(TaskExecutorAccepted {
            instance,
            resource_manager: self.resource.clone(),
        })
    }
}

fn service(main: MainThread<'_, ResourceManager>) -> RpcResult<RpcService> {
    let service = main.run(|_, cx| cx.service());
    service.ok_or_else(|| Failure::message("the service is closed").into())
}
