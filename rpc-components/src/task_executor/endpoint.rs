//! The TaskExecutor's state, its life cycle, and what it does by the clock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use rpc_core::{BoxError, Context, MainThread, RpcEndpoint, gateways};
use thiserror::Error;
use tokio::time::Instant;

use super::links::{JobLink, ResourceManagerLink};
use super::slot_table::{FreedSlot, Freeing, SlotTable, SlotTableConfig};
use super::tasks::Tasks;
use crate::gateway::TaskExecutorGateway;
use crate::heartbeat::{HeartbeatConfig, HeartbeatMonitor, until_heard};
use crate::id::{AllocationId, InstanceId, JobId, ResourceId, SlotId};
use crate::leader::LeaderRetrieval;
use crate::metric_query::MetricRegistry;
use crate::operator::OperatorRegistry;
use crate::registration::RegistrationConfig;
use crate::shuffle::ShuffleEnvironment;

/// How a TaskExecutor behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskExecutorConfig {
    /// How long tasks may take to end when they are cancelled or fail, or the TaskExecutor stops; it
    /// goes on without one whose operator does not return. Flink's `task.cancellation.timeout`. Too
    /// small, and operators are cut off while they clean up; too large, and one that hangs keeps its
    /// job and the process. The default is 30 s.
    pub cancellation_timeout: Duration,
    /// How the ResourceManager and JobMasters are watched.
    pub heartbeat: HeartbeatConfig,
    /// How the TaskExecutor registers at them.
    pub registration: RegistrationConfig,
    /// How long the TaskExecutor may be without a ResourceManager before it stops; for ever if
    /// `None`. Flink's `taskmanager.registration.timeout`. Too small, and it is gone before the
    /// ResourceManager is back; too large, and a process that has lost its cluster stays around.
    /// The default is 5 min.
    pub registration_timeout: Option<Duration>,
    /// How many slots there are.
    pub slots: SlotTableConfig,
}

impl Default for TaskExecutorConfig {
    fn default() -> Self {
        Self {
            cancellation_timeout: Duration::from_secs(30),
            heartbeat: HeartbeatConfig::default(),
            registration: RegistrationConfig::default(),
            registration_timeout: Some(Duration::from_secs(300)),
            slots: SlotTableConfig::default(),
        }
    }
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

/// The endpoint that has slots, and runs tasks in them. Flink's class of the same name.
///
/// It finds the ResourceManager by itself, and again when that is restarted. It stops by itself
/// when it is rejected or finds none for too long.
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
    /// How many offers of slots were made: each has a number of its own.
    pub(super) offers: u64,
    /// Why it stops, if it stops by itself.
    pub(super) fatal: Option<FatalError>,
}

/// Why a TaskExecutor stops by itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum FatalError {
    #[error("the resource manager rejects the task manager: {reason}")]
    Rejected { reason: String },
    /// Flink's `RegistrationTimeoutException`.
    #[error("no resource manager has accepted the task manager in {timeout:?}")]
    RegistrationTimeout { timeout: Duration },
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
            offers: 0,
            fatal: None,
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
            self.reconnect_job_master(cx, job, &format!("the job master {cause}"));
        }
        for allocation in self.slots.expired(now) {
            self.release_slot(allocation, "no job master has taken it in time");
        }
        let timeout = self.config.cancellation_timeout;
        for attempt in self.tasks.overdue(timeout, now) {
            self.leave_behind(cx, attempt);
        }
    }

    /// Frees a slot, or fails the tasks in it, with the last of which it is free.
    pub(super) fn release_slot(&mut self, allocation: AllocationId, cause: &str) {
        match self.slots.free(allocation) {
            Some(Freeing::Freed(freed)) => self.slot_is_free(freed),
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
    ///
    /// As `TaskExecutor#closeJobManagerConnectionIfNoAllocatedResources`. That asks for partitions
    /// too, which consumers elsewhere may still read; here a JobMaster frees no slot of a job that
    /// runs and has used it, so that who has no slot has nothing that anyone reads.
    pub(super) fn slot_is_free(&mut self, freed: FreedSlot) {
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

    /// Stops: without a ResourceManager, or rejected by it, a TaskExecutor is of no use.
    pub(super) fn fail(&mut self, cx: &mut Context<Self>, error: FatalError) {
        tracing::error!(%error, "the task manager stops");
        self.fatal.get_or_insert(error);
        cx.stop();
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
        let (goodbyes, ended, timeout) = main.run(|te, _| {
            let cause = "the task manager stops";
            let mut goodbyes: Vec<_> = te.close_resource_manager(cause).into_iter().collect();
            let jobs: Vec<_> = te.jobs.keys().copied().collect();
            for job in jobs {
                goodbyes.extend(te.leave_job(job, cause));
            }
            for freeing in te.slots.close() {
                if let Freeing::Releasing(tasks) = freeing {
                    tasks
                        .into_iter()
                        .for_each(|attempt| te.tasks.fail(attempt, cause));
                }
            }
            let timeout = te.config.cancellation_timeout;
            (goodbyes, te.tasks.ended(), timeout)
        });
        let ended = tokio::time::timeout(timeout, join_all(ended));
        let (ended, ()) = join(ended, until_heard(goodbyes)).await;
        if ended.is_err() {
            main.run(|te, _| {
                let tasks = te.tasks.names();
                tracing::warn!(
                    ?timeout,
                    ?tasks,
                    "tasks have not ended, and are left behind"
                );
            });
        }
        main.run(|te, _| match te.fatal.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        })
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
