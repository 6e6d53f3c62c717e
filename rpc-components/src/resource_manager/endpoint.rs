//! The ResourceManager's state, its life cycle, and the doing of what its slot manager decides.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{
    BoxError, Call, Context, GatewayClosed, MainThread, RpcEndpoint, RpcError, RpcResult, gateways,
};
use tokio::time::Instant;

use super::slot_manager::{NotEnough, SlotManager, SlotManagerAction, SlotManagerConfig};
use crate::gateway::{
    JobMasterGateway, ResourceManagerGateway, Shortage, SlotRequest, TaskExecutorGateway,
    TaskExecutorRegistration,
};
use crate::heartbeat::{HeartbeatConfig, HeartbeatMonitor, Watch, until_heard};
use crate::id::{InstanceId, JobId, JobMasterId, RegistrationId, ResourceId, ResourceManagerId};

/// How a ResourceManager behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResourceManagerConfig {
    /// How TaskExecutors and JobMasters are watched.
    pub heartbeat: HeartbeatConfig,
    /// How slots are given.
    pub slot_manager: SlotManagerConfig,
    /// How long to wait after a change before slots are given, so that several changes are met by
    /// one check. Flink's `slotmanager.requirement-check.delay`. Too large, and every job starts
    /// later; too small, and slots that register together are not seen together. The default is
    /// 20 ms.
    pub check_delay: Duration,
    /// How long a job may be without a JobMaster before it is forgotten what the job needs. Flink's
    /// `resourcemanager.job.timeout`. Too small, and a job whose JobMaster comes back has lost its
    /// place in the queue; too large, and jobs that are gone are remembered. The default is 5 min.
    pub job_timeout: Duration,
}

impl Default for ResourceManagerConfig {
    fn default() -> Self {
        Self {
            heartbeat: HeartbeatConfig::default(),
            slot_manager: SlotManagerConfig::default(),
            check_delay: Duration::from_millis(20),
            job_timeout: Duration::from_secs(300),
        }
    }
}

/// The endpoint that gives the cluster's slots to its jobs. Flink's `StandaloneResourceManager`.
pub struct ResourceManager {
    pub(super) config: ResourceManagerConfig,
    pub(super) id: ResourceManagerId,
    pub(super) resource: ResourceId,
    pub(super) slots: SlotManager,
    pub(super) task_executors: BTreeMap<ResourceId, RegisteredTaskExecutor>,
    /// The newest attempt of each TaskExecutor that is registering: no other counts.
    pub(super) registering: BTreeMap<ResourceId, u64>,
    /// How many attempts there were so far; the next one's number.
    pub(super) attempts: u64,
    pub(super) jobs: BTreeMap<JobId, RegisteredJobMaster>,
    /// Since when jobs that go on have had no JobMaster.
    pub(super) abandoned: BTreeMap<JobId, Instant>,
    pub(super) task_executor_heartbeats: HeartbeatMonitor<ResourceId>,
    pub(super) job_master_heartbeats: HeartbeatMonitor<JobId>,
    /// A check of the slots is due soon.
    pub(super) check_is_due: bool,
}

/// A TaskExecutor that is registered.
pub(super) struct RegisteredTaskExecutor {
    pub(super) gateway: Arc<dyn TaskExecutorGateway>,
    pub(super) instance: InstanceId,
    pub(super) registration: TaskExecutorRegistration,
    pub(super) _watch: Watch,
}

/// A JobMaster that is registered.
pub(super) struct RegisteredJobMaster {
    pub(super) gateway: Arc<dyn JobMasterGateway>,
    pub(super) id: JobMasterId,
    pub(super) resource: ResourceId,
    pub(super) registration: RegistrationId,
}

impl ResourceManager {
    /// Makes a ResourceManager for a term of leadership.
    #[must_use]
    pub fn new(resource: ResourceId, id: ResourceManagerId, config: ResourceManagerConfig) -> Self {
        Self {
            id,
            resource,
            slots: SlotManager::new(config.slot_manager.clone()),
            task_executors: BTreeMap::new(),
            registering: BTreeMap::new(),
            attempts: 0,
            jobs: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            task_executor_heartbeats: HeartbeatMonitor::sender(config.heartbeat.clone()),
            job_master_heartbeats: HeartbeatMonitor::sender(config.heartbeat.clone()),
            check_is_due: false,
            config,
        }
    }

    fn tick(&mut self, cx: &mut Context<Self>) {
        let now = Instant::now();
        self.ask_for_heartbeats(cx, now);
        for (resource, cause) in self.task_executor_heartbeats.lost(now) {
            self.close_task_executor(cx, &resource, &format!("task manager {resource} {cause}"));
        }
        for (job, cause) in self.job_master_heartbeats.lost(now) {
            self.close_job_master(job, &format!("the job master {cause}"));
        }
        let timeout = self.config.job_timeout;
        let is_over = |(job, since): (&JobId, &Instant)| (*since + timeout <= now).then_some(*job);
        let forgotten: Vec<_> = self.abandoned.iter().filter_map(is_over).collect();
        for job in forgotten {
            tracing::info!(%job, "a job without a job master is forgotten");
            self.forget_job(cx, job);
        }
        if self.slots.next_deadline().is_some_and(|it| it <= now) {
            self.check(cx);
        }
    }

    fn ask_for_heartbeats(&mut self, cx: &mut Context<Self>, now: Instant) {
        for resource in self.task_executor_heartbeats.due(now) {
            if let Some(known) = self.task_executors.get(&resource) {
                let instance = known.instance;
                let beat = known.gateway.heartbeat_from_resource_manager(instance);
                cx.pipe(beat, move |rm, cx, result| {
                    rm.task_executor_called(&resource, instance, &result);
                    if let Err(RpcError::App(unknown)) = result
                        && rm.is_registered(&resource, instance)
                    {
                        rm.ask_to_register(cx, &resource, &unknown.to_string());
                    }
                });
            }
        }
        for job in self.job_master_heartbeats.due(now) {
            if let Some(known) = self.jobs.get(&job) {
                let (id, registration) = (known.id, known.registration);
                let beat = known.gateway.heartbeat_from_resource_manager(registration);
                cx.pipe(beat, move |rm, _, result| {
                    rm.job_master_called(job, id, &result);
                    if let Err(RpcError::App(unknown)) = result
                        && rm.is_job_registered(job, registration)
                    {
                        rm.close_job_master(job, &unknown.to_string());
                    }
                });
            }
        }
    }

    /// Takes note of whether a call has reached a TaskExecutor, if it is still that registration of
    /// it: one that is dead is noticed by it.
    fn task_executor_called<T, E>(
        &mut self,
        resource: &ResourceId,
        instance: InstanceId,
        result: &RpcResult<T, E>,
    ) {
        if self.is_registered(resource, instance) {
            self.task_executor_heartbeats
                .called(resource, result, Instant::now());
        }
    }

    /// Tells whether this is the TaskExecutor's registration.
    pub(super) fn is_registered(&self, resource: &ResourceId, instance: InstanceId) -> bool {
        let known = self.task_executors.get(resource);
        known.is_some_and(|it| it.instance == instance)
    }

    /// Tells whether this is the registration of the job's JobMaster.
    pub(super) fn is_job_registered(&self, job: JobId, registration: RegistrationId) -> bool {
        let known = self.jobs.get(&job);
        known.is_some_and(|it| it.registration == registration)
    }

    fn job_master_called<T, E>(&mut self, job: JobId, id: JobMasterId, result: &RpcResult<T, E>) {
        if self.jobs.get(&job).is_some_and(|it| it.id == id) {
            self.job_master_heartbeats
                .called(&job, result, Instant::now());
        }
    }

    /// As `ResourceManager#closeTaskManagerConnection`: its slots are gone, and every JobMaster is
    /// told, for any may have some of them.
    pub(super) fn close_task_executor(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        cause: &str,
    ) {
        if let Some(told) = self.part_from_task_executor(cx, resource, cause) {
            told.detach();
        }
    }

    fn part_from_task_executor(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        cause: &str,
    ) -> Option<Call<()>> {
        let known = self.remove_task_executor(cx, resource, cause)?;
        let gateway = known.gateway;
        Some(gateway.disconnect_resource_manager(known.instance, cause.to_owned()))
    }

    /// Watches a TaskExecutor that registers: a slot of one that is gone would be given in vain.
    pub(super) fn watch_task_executor(
        cx: &mut Context<Self>,
        gateway: &dyn TaskExecutorGateway,
        resource: ResourceId,
        instance: InstanceId,
    ) -> Watch {
        let (watch, closed) = Watch::begin(gateway.closed());
        cx.pipe(closed, move |rm, cx, closed| {
            if let Some(closed) = closed
                && rm.is_registered(&resource, instance)
            {
                rm.task_executor_closed(cx, &resource, closed);
            }
        });
        watch
    }

    fn task_executor_closed(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        closed: GatewayClosed,
    ) {
        if closed != GatewayClosed::Disconnected {
            let cause = format!("task manager {resource} has ended");
            return self.close_task_executor(cx, resource, &cause);
        }
        self.ask_to_register(cx, resource, "the connection to it is lost");
    }

    /// Forgets a TaskExecutor that may live, and registers again when it hears of it. The JobMasters
    /// are not told: what they have there may live too, and they watch it themselves.
    fn ask_to_register(&mut self, cx: &mut Context<Self>, resource: &ResourceId, cause: &str) {
        if let Some(known) = self.forget_task_executor(cx, resource, cause) {
            let gateway = known.gateway;
            let told = gateway.disconnect_resource_manager(known.instance, cause.to_owned());
            told.detach();
        }
    }

    /// Forgets a TaskExecutor that knows of it, because it leaves.
    pub(super) fn remove_task_executor(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        cause: &str,
    ) -> Option<RegisteredTaskExecutor> {
        let known = self.forget_task_executor(cx, resource, cause)?;
        let session = known.registration.session;
        for (job, job_master) in &self.jobs {
            let told = job_master.gateway.notify_task_manager_lost(
                resource.clone(),
                session,
                cause.to_owned(),
            );
            let (job, id) = (*job, job_master.id);
            cx.pipe(told, move |rm, _, result| {
                rm.job_master_called(job, id, &result)
            });
        }
        Some(known)
    }

    /// Forgets a TaskExecutor of which nobody is told.
    pub(super) fn forget_task_executor(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        cause: &str,
    ) -> Option<RegisteredTaskExecutor> {
        let known = self.task_executors.remove(resource)?;
        tracing::info!(%resource, cause, "task manager gone");
        self.task_executor_heartbeats.unmonitor(resource);
        self.slots.unregister(resource);
        self.check_soon(cx);
        Some(known)
    }

    /// As `ResourceManager#closeJobManagerConnection` for a job that goes on: what it needs is kept,
    /// and met when its JobMaster is back.
    pub(super) fn close_job_master(&mut self, job: JobId, cause: &str) {
        if let Some(told) = self.part_from_job_master(job, cause) {
            told.detach();
        }
    }

    fn part_from_job_master(&mut self, job: JobId, cause: &str) -> Option<Call<()>> {
        let known = self.remove_job_master(job, cause)?;
        let gateway = known.gateway;
        Some(gateway.disconnect_resource_manager(known.registration, cause.to_owned()))
    }

    /// Forgets a JobMaster that knows of it, because it leaves.
    pub(super) fn remove_job_master(
        &mut self,
        job: JobId,
        cause: &str,
    ) -> Option<RegisteredJobMaster> {
        let known = self.jobs.remove(&job)?;
        tracing::info!(%job, cause, "job master gone");
        self.job_master_heartbeats.unmonitor(&job);
        if self.slots.pause(job) {
            self.abandoned.insert(job, Instant::now());
        }
        Some(known)
    }

    /// Forgets what a job needs, for good, and has the slots freed that it has never used.
    pub(super) fn forget_job(&mut self, cx: &mut Context<Self>, job: JobId) {
        self.abandoned.remove(&job);
        for resource in self.slots.clear_requirements(job) {
            if let Some(task_executor) = self.task_executors.get(&resource) {
                task_executor.gateway.free_inactive_slots(job);
            }
        }
        self.check_soon(cx);
    }

    /// Checks the slots after a short while, once for all changes until then.
    pub(super) fn check_soon(&mut self, cx: &mut Context<Self>) {
        if !self.check_is_due {
            self.check_is_due = true;
            cx.schedule(self.config.check_delay, |rm, cx| {
                rm.check_is_due = false;
                rm.check(cx);
            });
        }
    }

    fn check(&mut self, cx: &mut Context<Self>) {
        for action in self.slots.check(Instant::now()) {
            match action {
                SlotManagerAction::NotEnough(short) => self.tell_shortage(short),
                SlotManagerAction::RequestSlot {
                    task_executor,
                    slot_index,
                    job,
                    allocation,
                    job_master_address,
                } => {
                    let Some(job_master_id) = self.jobs.get(&job).map(|it| it.id) else {
                        self.slots.request_failed(allocation, Instant::now());
                        continue;
                    };
                    let request = SlotRequest {
                        slot_index,
                        job,
                        allocation,
                        job_master_address,
                        job_master_id,
                        resource_manager_id: self.id,
                    };
                    self.request_slot(cx, &task_executor, request);
                }
            }
        }
    }

    fn tell_shortage(&self, short: NotEnough) {
        if let Some(job_master) = self.jobs.get(&short.job) {
            let shortage = Shortage {
                needed: short.needed,
                acquired: short.acquired,
                slots: short.slots,
                slots_free: short.slots_free,
            };
            job_master
                .gateway
                .notify_not_enough_resources_available(shortage);
        }
    }

    fn request_slot(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        request: SlotRequest,
    ) {
        let allocation = request.allocation;
        let Some(task_executor) = self.task_executors.get(resource) else {
            self.slots.request_failed(allocation, Instant::now());
            return;
        };
        let (resource, instance) = (resource.clone(), task_executor.instance);
        let asked = task_executor.gateway.request_slot(request);
        cx.pipe(asked, move |rm, cx, result| {
            rm.task_executor_called(&resource, instance, &result);
            match result {
                Ok(()) => rm.slots.request_succeeded(allocation),
                Err(error) => {
                    tracing::warn!(%allocation, %error, "slot request failed");
                    if rm.slots.request_failed(allocation, Instant::now()) {
                        rm.check_soon(cx);
                    }
                }
            }
        });
    }
}

impl RpcEndpoint for ResourceManager {
    type Gateways = gateways![ResourceManagerGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.config.heartbeat.validate()?;
        cx.set_fencing_token(Some(self.id.into()))?;
        cx.schedule_every(self.config.heartbeat.tick(), |rm, cx| rm.tick(cx));
        Ok(())
    }

    /// The JobMasters first, who are then not told of the TaskExecutors: those are not gone, and
    /// neither are the jobs.
    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let goodbyes = main.run(|rm, cx| {
            let cause = "the resource manager stops";
            let mut goodbyes = Vec::new();
            let jobs: Vec<_> = rm.jobs.keys().copied().collect();
            for job in jobs {
                goodbyes.extend(rm.part_from_job_master(job, cause));
            }
            let task_executors: Vec<_> = rm.task_executors.keys().cloned().collect();
            for resource in task_executors {
                goodbyes.extend(rm.part_from_task_executor(cx, &resource, cause));
            }
            goodbyes
        });
        until_heard(goodbyes).await;
        Ok(())
    }
}

impl fmt::Debug for ResourceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceManager")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
