//! What the ResourceManager does when it is asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rpc_core::{Context, Failure, MainThread, RpcError, RpcResult, RpcService, rpc_endpoint};
use tokio::time::Instant;

use super::endpoint::{RegisteredJobMaster, RegisteredTaskExecutor, ResourceManager};
use crate::gateway::{
    JobMasterGateway, JobStatus, RegistrationResponse, RequirementsError, ResourceManagerGateway,
    ResourceOverview, ResourceRequirements, SlotReport, TaskExecutorAccepted, TaskExecutorGateway,
    TaskExecutorRegistration, TaskManagerInfo, UnknownRegistration,
};
use crate::id::{
    AllocationId, InstanceId, JobId, JobMasterId, RegistrationId, ResourceId, SlotId, check_name,
};

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
        registration: RegistrationId,
    ) -> RpcResult<RegistrationResponse<ResourceId>> {
        let job_master = Attempted {
            id,
            resource,
            job,
            registration,
        };
        if let Some(known) = main.run(|rm, _| rm.registered(&job_master)) {
            return Ok(known);
        }
        let rpc = service(main)?;
        let gateway = match rpc
            .connect_fenced::<dyn JobMasterGateway>(&address, id)
            .await
        {
            Ok(gateway) => gateway,
            Err(error) => return Ok(RegistrationResponse::Failure(error.to_string())),
        };
        Ok(main.run(|rm, _| rm.accept_job_master(gateway, job_master)))
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
    /// counts, and a registration replaces the one before it. Unlike there, one that comes from
    /// another address is rejected while the one before it lives: the two would replace each other
    /// without end.
    async fn register_task_executor(
        main: MainThread<'_, Self>,
        registration: TaskExecutorRegistration,
    ) -> RpcResult<RegistrationResponse<TaskExecutorAccepted>> {
        if let Err(error) = check_name(registration.resource.as_str()) {
            let reason = format!("the task manager's name {error}");
            return Ok(RegistrationResponse::Rejection(reason));
        }
        let attempt = Registering::begin(main, &registration)?;
        let rpc = service(main)?;
        let address = &registration.address;
        let connected = rpc.connect::<dyn TaskExecutorGateway>(address).await;
        let namesake = namesake(main, &registration).await;
        Ok(match (connected, namesake) {
            _ if !attempt.is_newest() => {
                let reason = String::from("a newer registration is under way");
                RegistrationResponse::Failure(reason)
            }
            (Ok(_), Some(other)) => RegistrationResponse::Rejection(format!(
                "another task manager has the name {}, at {other}",
                registration.resource
            )),
            (Ok(gateway), None) => {
                main.run(|rm, cx| rm.accept_task_executor(cx, gateway, registration))
            }
            (Err(error), _) => RegistrationResponse::Failure(error.to_string()),
        })
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
            return Err(UnknownRegistration)?;
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
        if self
            .slots
            .slot_available(instance, &slot, allocation, Instant::now())
        {
            self.check_soon(cx);
        }
    }

    fn heartbeat_from_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        instance: InstanceId,
        report: SlotReport,
    ) -> RpcResult<(), UnknownRegistration> {
        if !self.is_registered(&task_manager, instance) {
            Err(UnknownRegistration)?;
        }
        self.task_executor_heartbeats
            .receive(&task_manager, Instant::now());
        if self.slots.report(&task_manager, instance, &report) {
            self.check_soon(cx);
        }
        Ok(())
    }

    fn heartbeat_from_job_manager(
        &mut self,
        job: JobId,
        registration: RegistrationId,
    ) -> RpcResult<(), UnknownRegistration> {
        if !self.is_job_registered(job, registration) {
            Err(UnknownRegistration)?;
        }
        self.job_master_heartbeats.receive(&job, Instant::now());
        Ok(())
    }

    fn disconnect_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        task_manager: ResourceId,
        instance: InstanceId,
        cause: String,
    ) -> RpcResult<()> {
        if self.is_registered(&task_manager, instance) {
            self.remove_task_executor(cx, &task_manager, &cause);
        }
        Ok(())
    }

    /// As `ResourceManager#disconnectJobManager`: only of a job that has ended is it forgotten what
    /// it needs, and the slots that it never used are freed.
    fn disconnect_job_manager(
        &mut self,
        cx: &mut Context<Self>,
        job: JobId,
        registration: RegistrationId,
        status: JobStatus,
        cause: String,
    ) -> RpcResult<()> {
        let known = self.jobs.get(&job);
        if known.is_some_and(|it| it.registration != registration) {
            return Ok(());
        }
        self.remove_job_master(job, &cause);
        if status.is_terminal() {
            self.forget_job(cx, job);
        }
        Ok(())
    }

    fn request_task_manager_info(&self) -> RpcResult<Vec<TaskManagerInfo>> {
        let now = Instant::now();
        let heartbeats = &self.task_executor_heartbeats;
        Ok(self.slots.task_managers(|resource| {
            let last = heartbeats.last_heartbeat(resource);
            let ago = last.map_or(0, |last| now.saturating_duration_since(last).as_millis());
            u64::try_from(ago).unwrap_or(u64::MAX)
        }))
    }

    fn request_resource_overview(&self) -> RpcResult<ResourceOverview> {
        Ok(self.slots.overview())
    }

    async fn request_task_manager_metric_query_service_addresses(
        main: MainThread<'_, Self>,
    ) -> RpcResult<Vec<(ResourceId, String)>> {
        let asked: Vec<_> = main.run(|rm, _| {
            let ask = |(resource, it): (&ResourceId, &RegisteredTaskExecutor)| {
                let asked = it.gateway.request_metric_query_service_address();
                let (resource, asked) = (resource.clone(), asked.timeout(ASK_TIMEOUT));
                async move { Some((resource, asked.await.ok()??)) }
            };
            rm.task_executors.iter().map(ask).collect()
        });
        Ok(join_all(asked).await.into_iter().flatten().collect())
    }
}

/// Returns the address of another TaskExecutor that has the name of the one that registers, if it
/// answers.
async fn namesake(
    main: MainThread<'_, ResourceManager>,
    registration: &TaskExecutorRegistration,
) -> Option<String> {
    let (address, asked) = main.run(|rm, _| {
        let known = rm.task_executors.get(&registration.resource)?;
        let address = known.registration.address.clone();
        if address == registration.address {
            return None;
        }
        let asked = known
            .gateway
            .heartbeat_from_resource_manager(known.instance);
        Some((address, asked.timeout(ASK_TIMEOUT)))
    })?;
    let lives = matches!(asked.await, Ok(()) | Err(RpcError::App(_)));
    lives.then_some(address)
}

/// A JobMaster that registers.
struct Attempted {
    id: JobMasterId,
    resource: ResourceId,
    job: JobId,
    registration: RegistrationId,
}

/// An attempt of a TaskExecutor to register, which is forgotten when its handler ends in whatever
/// way: it is dropped when the caller goes away.
struct Registering<'a> {
    main: MainThread<'a, ResourceManager>,
    resource: ResourceId,
    attempt: u64,
}

impl<'a> Registering<'a> {
    fn begin(
        main: MainThread<'a, ResourceManager>,
        registration: &TaskExecutorRegistration,
    ) -> RpcResult<Self> {
        let resource = registration.resource.clone();
        let attempt = main.run(|rm, _| {
            let max = rm.config.slot_manager.task_executors_max;
            if rm.registering.len() >= max && !rm.registering.contains_key(&resource) {
                return Err(Failure::message("too many task managers register at once"));
            }
            rm.attempts += 1;
            rm.registering.insert(resource.clone(), rm.attempts);
            Ok(rm.attempts)
        })?;
        Ok(Self {
            main,
            resource,
            attempt,
        })
    }

    fn is_newest(&self) -> bool {
        let newest = |rm: &mut ResourceManager| rm.registering.get(&self.resource).copied();
        self.main.run(|rm, _| newest(rm)) == Some(self.attempt)
    }
}

impl Drop for Registering<'_> {
    fn drop(&mut self) {
        if self.is_newest() {
            self.main.run(|rm, _| rm.registering.remove(&self.resource));
        }
    }
}

impl ResourceManager {
    /// Tells a JobMaster that is registered already that it is, by its new registration if it has
    /// made one, or that another leads the job.
    fn registered(&mut self, job_master: &Attempted) -> Option<RegistrationResponse<ResourceId>> {
        let known = self.jobs.get_mut(&job_master.job)?;
        if known.id > job_master.id {
            let reason = String::from("a newer job master is registered");
            return Some(RegistrationResponse::Failure(reason));
        }
        if known.id != job_master.id || known.resource != job_master.resource {
            return None;
        }
        if known.registration != job_master.registration {
            known.registration = job_master.registration;
            self.job_master_heartbeats
                .monitor_anew(job_master.job, Instant::now());
        }
        Some(RegistrationResponse::Success(self.resource.clone()))
    }

    fn accept_job_master(
        &mut self,
        gateway: Arc<dyn JobMasterGateway>,
        job_master: Attempted,
    ) -> RegistrationResponse<ResourceId> {
        // What holds may have changed while the gateway was connected.
        if let Some(known) = self.registered(&job_master) {
            return known;
        }
        let Attempted {
            id,
            resource,
            job,
            registration,
        } = job_master;
        let max = self.config.slot_manager.jobs_max;
        if self.jobs.len() >= max && !self.jobs.contains_key(&job) {
            return RegistrationResponse::Failure(format!("there are {max} jobs already"));
        }
        self.close_job_master(job, "another job master leads the job");
        self.abandoned.remove(&job);
        let job_master = RegisteredJobMaster {
            gateway,
            id,
            resource,
            registration,
        };
        self.jobs.insert(job, job_master);
        self.job_master_heartbeats.monitor(job, Instant::now());
        RegistrationResponse::Success(self.resource.clone())
    }

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
        // It would be refused with its first report, and come again.
        if let Err(error) = self.slots.check_limits(&registration) {
            return RegistrationResponse::Rejection(error.to_string());
        }
        // The one that it replaces is not told: its successor has its name.
        self.forget_task_executor(cx, &resource, "it registers anew");
        tracing::info!(%resource, slots = registration.slots, "task manager registered");
        let instance = InstanceId::random();
        let watch = Self::watch_task_executor(cx, &*gateway, resource.clone(), instance);
        let task_executor = RegisteredTaskExecutor {
            gateway,
            instance,
            registration,
            _watch: watch,
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

/// Nobody waits longer than this for one TaskExecutor's word.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
