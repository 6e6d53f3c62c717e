//! The TaskExecutor's state, its life cycle, and what it does by the clock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{BoxError, Context, MainThread, RpcEndpoint, gateways};
use tokio::time::Instant;

use super::links::{JobLink, ResourceManagerLink};
use super::slot_table::{FreedSlot, Freeing, SlotTable, SlotTableConfig};
use super::tasks::Tasks;
use crate::gateway::TaskExecutorGateway;
use crate::heartbeat::{HeartbeatConfig, HeartbeatMonitor};
use crate::id::{AllocationId, InstanceId, JobId, ResourceId, SlotId};
use crate::leader::LeaderRetrieval;
use crate::metric_query::MetricRegistry;
use crate::operator::OperatorRegistry;
use crate::registration::RegistrationConfig;
use crate::shuffle::ShuffleEnvironment;

/// How a TaskExecutor behaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TaskExecutorConfig {
    /// How the ResourceManager and JobMasters are watched.
    pub heartbeat: HeartbeatConfig,
    /// How the TaskExecutor registers at them.
    pub registration: RegistrationConfig,
    /// How many slots there are.
    pub slots: SlotTableConfig,
}

/// What a TaskExecutor works with.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever starts one has to give them all"
)]
pub struct TaskExecutorServices {
    /// Finds the leading ResourceManager.
    pub retrieval: LeaderRetrieval,
    /// The operators that tasks are made of.
    pub operators: Arc<OperatorRegistry>,
    /// Moves records between tasks.
    pub shuffle: ShuffleEnvironment,
    /// Where other TaskExecutors open channels to this one's.
    pub data_address: String,
    /// Takes the metrics of the tasks.
    pub metrics: MetricRegistry,
    /// Where those metrics are to be had.
    pub metrics_address: Option<String>,
}

/// The endpoint that has slots, and runs tasks in them.
pub struct TaskExecutor {
    pub(super) config: TaskExecutorConfig,
    pub(super) services: TaskExecutorServices,
    pub(super) resource: ResourceId,
    /// New with each start, so that a JobMaster tells it from the one before it.
    pub(super) session: InstanceId,
    pub(super) address: String,
    pub(super) slots: SlotTable,
    pub(super) resource_manager: ResourceManagerLink,
    pub(super) jobs: BTreeMap<JobId, JobLink>,
    pub(super) resource_manager_heartbeats: HeartbeatMonitor<ResourceId>,
    pub(super) job_master_heartbeats: HeartbeatMonitor<JobId>,
    pub(super) tasks: Tasks,
}

impl TaskExecutor {
    /// Makes a TaskExecutor.
    #[must_use]
    pub fn new(
        resource: ResourceId,
        services: TaskExecutorServices,
        config: TaskExecutorConfig,
    ) -> Self {
        Self {
            slots: SlotTable::new(resource.clone(), config.slots.clone()),
            resource,
            session: InstanceId::random(),
            address: String::new(),
            resource_manager: ResourceManagerLink::new(services.retrieval.clone()),
            jobs: BTreeMap::new(),
            resource_manager_heartbeats: HeartbeatMonitor::receiver(config.heartbeat.clone()),
            job_master_heartbeats: HeartbeatMonitor::receiver(config.heartbeat.clone()),
            tasks: Tasks::default(),
            services,
            config,
        }
    }

    fn tick(&mut self, cx: &mut Context<Self>) {
        let now = Instant::now();
        for (_, cause) in self.resource_manager_heartbeats.lost(now) {
            self.reconnect_resource_manager(cx, &format!("the resource manager {cause}"));
        }
        for (job, cause) in self.job_master_heartbeats.lost(now) {
            self.disconnect_job(job, &format!("the job master {cause}"));
            self.connect_job_master(cx, job);
        }
        for allocation in self.slots.expired(now) {
            self.release_slot(cx, allocation, "no job master has taken it in time");
        }
    }

    /// Frees a slot, or fails the tasks in it, with the last of which it is free.
    pub(super) fn release_slot(
        &mut self,
        cx: &mut Context<Self>,
        allocation: AllocationId,
        cause: &str,
    ) {
        match self.slots.free(allocation) {
            Some(Freeing::Freed(freed)) => self.slot_is_free(cx, freed),
            Some(Freeing::Releasing(tasks)) => {
                tracing::info!(%allocation, cause, "slot is freed with tasks in it");
                for attempt in tasks {
                    self.tasks.fail(attempt, cause);
                }
            }
            None => {}
        }
    }

    /// Tells the ResourceManager that a slot is free; forgets a job that has none any more.
    pub(super) fn slot_is_free(&mut self, cx: &mut Context<Self>, freed: FreedSlot) {
        let FreedSlot {
            index,
            job,
            allocation,
        } = freed;
        let slot = SlotId {
            task_executor: self.resource.clone(),
            index,
        };
        self.resource_manager
            .notify_slot_available(slot, allocation);
        if !self.slots.has_slots(job) {
            self.disconnect_job(job, "the job has no more slots here");
            self.jobs.remove(&job);
            self.services.shuffle.release_job(job);
        }
    }
}

impl RpcEndpoint for TaskExecutor {
    type Gateways = gateways![TaskExecutorGateway];

    fn on_start(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        self.config.heartbeat.validate()?;
        self.address = cx.address();
        cx.schedule_every(self.config.heartbeat.tick(), |te, cx| te.tick(cx));
        cx.schedule_every(PROGRESS_INTERVAL, |te, cx| te.tell_progress(cx));
        self.connect_resource_manager(cx);
        Ok(())
    }

    /// As `TaskExecutor#onStop`: everybody is told, tasks are failed, and their threads awaited.
    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let ended = main.run(|te, cx| {
            let cause = "the task manager stops";
            te.close_resource_manager(cause);
            let jobs: Vec<_> = te.jobs.keys().copied().collect();
            for job in jobs {
                te.disconnect_job(job, cause);
            }
            te.slots.close();
            te.tasks.cancel_all()
        });
        for task in ended {
            task.await;
        }
        Ok(())
    }
}

/// How often JobMasters hear what tasks have read and written: as often as people look.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

impl fmt::Debug for TaskExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskExecutor")
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}
