//! The ResourceManager's state, its life cycle, and the doing of what its slot manager decides.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{BoxError, Context, MainThread, RpcEndpoint, RpcResult, gateways};
use tokio::time::Instant;

use super::slot_manager::{NotEnough, SlotManager, SlotManagerAction, SlotManagerConfig};
use crate::gateway::{
    JobMasterGateway, ResourceManagerGateway, Shortage, SlotRequest, TaskExecutorGateway,
    TaskExecutorRegistration,
};
use crate::heartbeat::{Delivery, HeartbeatConfig, HeartbeatMonitor};
use crate::id::{InstanceId, JobId, JobMasterId, ResourceId, ResourceManagerId};

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
}

impl Default for ResourceManagerConfig {
    fn default() -> Self {
        Self {
            heartbeat: HeartbeatConfig::default(),
            slot_manager: SlotManagerConfig::default(),
            check_delay: Duration::from_millis(20),
        }
    }
}

/// The endpoint that gives the cluster's slots to its jobs.
pub struct ResourceManager {
    pub(super) config: ResourceManagerConfig,
    pub(super) id: ResourceManagerId,
    pub(super) resource: ResourceId,
    pub(super) slots: SlotManager,
    pub(super) task_executors: BTreeMap<ResourceId, TaskExecutor>,
    /// How often each TaskExecutor has begun to register, while it does: the newest attempt counts.
    pub(super) registering: BTreeMap<ResourceId, u64>,
    pub(super) jobs: BTreeMap<JobId, JobMaster>,
    pub(super) task_executor_heartbeats: HeartbeatMonitor<ResourceId>,
    pub(super) job_master_heartbeats: HeartbeatMonitor<JobId>,
    /// A check of the slots is due soon.
    pub(super) check_is_due: bool,
}

/// A TaskExecutor that is registered.
pub(super) struct TaskExecutor {
    pub(super) gateway: Arc<dyn TaskExecutorGateway>,
    pub(super) instance: InstanceId,
    pub(super) registration: TaskExecutorRegistration,
}

/// A JobMaster that is registered.
pub(super) struct JobMaster {
    pub(super) gateway: Arc<dyn JobMasterGateway>,
    pub(super) id: JobMasterId,
    pub(super) resource: ResourceId,
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
            jobs: BTreeMap::new(),
            task_executor_heartbeats: HeartbeatMonitor::sender(config.heartbeat.clone()),
            job_master_heartbeats: HeartbeatMonitor::sender(config.heartbeat.clone()),
            check_is_due: false,
            config,
        }
    }

    /// Asks for the heartbeats that are due, and closes the connections to those who are lost.
    fn tick(&mut self, cx: &mut Context<Self>) {
        let now = Instant::now();
        for resource in self.task_executor_heartbeats.due(now) {
            if let Some(task_executor) = self.task_executors.get(&resource) {
                let beat = task_executor
                    .gateway
                    .heartbeat_from_resource_manager(self.resource.clone());
                cx.pipe(beat, move |rm, _, result: RpcResult<()>| {
                    Delivery::of(&result).tell(&mut rm.task_executor_heartbeats, &resource);
                });
            }
        }
        for job in self.job_master_heartbeats.due(now) {
            if let Some(job_master) = self.jobs.get(&job) {
                let beat = job_master
                    .gateway
                    .heartbeat_from_resource_manager(self.resource.clone());
                cx.pipe(beat, move |rm, _, result: RpcResult<()>| {
                    Delivery::of(&result).tell(&mut rm.job_master_heartbeats, &job);
                });
            }
        }
        for (resource, cause) in self.task_executor_heartbeats.lost(now) {
            self.close_task_executor(cx, &resource, &format!("task manager {resource} {cause}"));
        }
        for (job, cause) in self.job_master_heartbeats.lost(now) {
            self.close_job_master(job, &format!("the job master {cause}"));
        }
        if self.slots.next_deadline().is_some_and(|it| it <= now) {
            self.check(cx);
        }
    }

    /// As `ResourceManager#closeTaskManagerConnection`: the slots are gone, and every job that may
    /// have had some is told by its own heartbeats or by the TaskExecutor itself.
    pub(super) fn close_task_executor(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        cause: &str,
    ) {
        let Some(task_executor) = self.task_executors.remove(resource) else {
            return;
        };
        tracing::info!(%resource, cause, "task manager gone");
        self.task_executor_heartbeats.unmonitor(resource);
        task_executor
            .gateway
            .disconnect_resource_manager(cause.to_owned());
        for job_master in self.jobs.values() {
            let told = job_master
                .gateway
                .disconnect_task_manager(resource.clone(), cause.to_owned());
            told.detach();
        }
        self.slots.unregister(resource);
        self.check_soon(cx);
    }

    /// As `ResourceManager#closeJobManagerConnection` for a job that goes on: what it needs is kept.
    pub(super) fn close_job_master(&mut self, job: JobId, cause: &str) {
        if let Some(job_master) = self.jobs.remove(&job) {
            tracing::info!(%job, cause, "job master gone");
            self.job_master_heartbeats.unmonitor(&job);
            job_master
                .gateway
                .disconnect_resource_manager(self.id, cause.to_owned());
        }
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
        let asked = task_executor.gateway.request_slot(request);
        cx.pipe(asked, move |rm, cx, result| match result {
            Ok(()) => rm.slots.request_succeeded(allocation),
            Err(error) => {
                tracing::warn!(%allocation, %error, "slot request failed");
                if rm.slots.request_failed(allocation, Instant::now()) {
                    rm.check_soon(cx);
                }
            }
        });
    }
}

impl RpcEndpoint for ResourceManager {
    type Gateways = gateways![ResourceManagerGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.config.heartbeat.validate()?;
        cx.set_fencing_token(Some(self.id.into()));
        cx.schedule_every(self.config.heartbeat.tick(), |rm, cx| rm.tick(cx));
        Ok(())
    }

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        main.run(|rm, cx| {
            let task_executors: Vec<_> = rm.task_executors.keys().cloned().collect();
            for resource in task_executors {
                rm.close_task_executor(cx, &resource, "the resource manager stops");
            }
            let jobs: Vec<_> = rm.jobs.keys().copied().collect();
            for job in jobs {
                rm.close_job_master(job, "the resource manager stops");
            }
        });
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
