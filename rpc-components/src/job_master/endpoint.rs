//! The JobMaster's state, its life cycle, and the doing of what its graph decides.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rpc_core::{
    BoxError, Call, Context, Failure, MainThread, ReplyTo, RpcEndpoint, RpcServer, TimerHandle,
    gateways,
};
use tokio::time::Instant;

use super::execution_graph::{ExecutionGraph, ExecutionGraphConfig, GraphAction, PlanError};
use super::links::ResourceManagerLink;
use super::restart::RestartBackoff;
use super::results::{Answers, Results};
use super::slot_pool::{ReleasedSlot, SlotPool, SlotPoolConfig};
use super::splits::Splits;
use crate::gateway::{
    FileSplits, JobInfo, JobMasterGateway, JobStatus, ResultsGone, Shortage, TaskExecutorGateway,
    UnknownAttempt,
};
use crate::heartbeat::{HeartbeatConfig, HeartbeatMonitor, Watch, until_heard};
use crate::id::{InstanceId, JobId, JobMasterId, RegistrationId, ResourceId, VertexId};
use crate::job_graph::{JobPlan, RestartStrategy};
use crate::leader::LeaderRetrieval;
use crate::registration::RegistrationConfig;

/// How a JobMaster behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobMasterConfig {
    /// How large a job may be.
    pub execution_graph: ExecutionGraphConfig,
    /// How TaskExecutors and the ResourceManager are watched.
    pub heartbeat: HeartbeatConfig,
    /// How the JobMaster registers at the ResourceManager.
    pub registration: RegistrationConfig,
    /// How jobs are restarted that do not say how themselves. The default is that of
    /// [`RestartStrategy`].
    pub restart: RestartStrategy,
    /// How many bytes of the job's printed results wait for the client. Too small, and the sinks
    /// wait for every round trip; too large, and a client that does not fetch costs memory. The
    /// default is 4 MiB.
    pub results_bytes_max: usize,
    /// How long the results of a job that has ended are kept for a client that does not go on to
    /// fetch them. Too small, and a client that writes them to something slow loses the rest; too
    /// large, and a client that is gone costs memory. The default is 60 s.
    pub results_linger: Duration,
    /// How long results may wait before the job fails because nobody fetches them: they have one
    /// client, and without it the job would hold its slots for ever. Too small, and a short break of
    /// the client's network costs the job; too large, and slots are held in vain. The default is 60 s.
    pub results_timeout: Duration,
    /// How slots are kept.
    pub slot_pool: SlotPoolConfig,
    /// How many parts of files a task is handed at once. Too small, and many small files cost a
    /// round trip each; too large, and one task may be left with more than its share. The default
    /// is 16.
    pub splits_per_request: usize,
}

impl Default for JobMasterConfig {
    fn default() -> Self {
        Self {
            execution_graph: ExecutionGraphConfig::default(),
            heartbeat: HeartbeatConfig::default(),
            registration: RegistrationConfig::default(),
            restart: RestartStrategy::default(),
            results_bytes_max: 4 << 20,
            results_linger: Duration::from_secs(60),
            results_timeout: Duration::from_secs(60),
            slot_pool: SlotPoolConfig::default(),
            splits_per_request: 16,
        }
    }
}

/// What becomes of the job when it has ended: called once, with how it ended and how many bytes
/// its sinks have printed. It is not called when the JobMaster stops before that.
pub type JobEnd = Box<dyn FnOnce(JobInfo, u64) + Send>;

/// The endpoint that runs one job. Flink's class of the same name.
///
/// It outlives its job until what the job printed was fetched, or nobody fetches it any more.
pub struct JobMaster {
    pub(super) config: JobMasterConfig,
    pub(super) job: JobId,
    pub(super) resource: ResourceId,
    /// Where TaskExecutors reach it; known from the start on.
    pub(super) address: String,
    /// The term, from the start on.
    pub(super) id: Option<JobMasterId>,
    pub(super) graph: ExecutionGraph,
    pub(super) pool: SlotPool,
    pub(super) resource_manager: ResourceManagerLink,
    pub(super) task_managers: BTreeMap<ResourceId, RegisteredTaskManager>,
    pub(super) task_manager_heartbeats: HeartbeatMonitor<ResourceId>,
    pub(super) resource_manager_heartbeats: HeartbeatMonitor<ResourceId>,
    pub(super) splits: Splits,
    pub(super) results: Results<ReplyTo<(), UnknownAttempt>, ReplyTo<bytes::Bytes, ResultsGone>>,
    /// What the ResourceManager last said of the job's slots.
    pub(super) shortage: Option<Shortage>,
    on_end: Option<JobEnd>,
    /// When it was made, by both clocks.
    made: (u64, Instant),
    /// Fails the job when it has waited for its slots for too long.
    slot_wait: Option<TimerHandle>,
    /// Stops the JobMaster of a job that has ended when nobody fetches its results.
    linger: Option<TimerHandle>,
}

/// A TaskExecutor that is registered.
pub(super) struct RegisteredTaskManager {
    pub(super) gateway: Arc<dyn TaskExecutorGateway>,
    pub(super) session: InstanceId,
    pub(super) registration: RegistrationId,
    pub(super) watch: Option<Watch>,
}

impl JobMaster {
    /// Makes the JobMaster of a plan whose sources read `splits`.
    ///
    /// # Errors
    ///
    /// The plan makes no sense, or is too large.
    pub fn new(
        plan: JobPlan,
        splits: BTreeMap<VertexId, FileSplits>,
        retrieval: LeaderRetrieval,
        config: JobMasterConfig,
        on_end: JobEnd,
    ) -> Result<Self, BoxError> {
        let job = plan.job;
        let strategy = plan.restart.as_ref().unwrap_or(&config.restart);
        let backoff = RestartBackoff::new(strategy.clone(), fastrand::u64(..));
        let made = (now_ms(), now());
        let graph = ExecutionGraph::new(plan, config.execution_graph.clone(), backoff, made.0);
        let graph = graph.map_err(|error: PlanError| Box::new(error))?;
        Ok(Self {
            job,
            resource: ResourceId::new(format!("jobmaster-{job}")),
            address: String::new(),
            id: None,
            graph,
            pool: SlotPool::new(job, config.slot_pool.clone()),
            resource_manager: ResourceManagerLink::new(retrieval),
            task_managers: BTreeMap::new(),
            task_manager_heartbeats: HeartbeatMonitor::sender(config.heartbeat.clone()),
            resource_manager_heartbeats: HeartbeatMonitor::receiver(config.heartbeat.clone()),
            splits: Splits::new(splits),
            results: Results::new(config.results_bytes_max),
            shortage: None,
            on_end: Some(on_end),
            made,
            slot_wait: None,
            linger: None,
            config,
        })
    }

    /// Starts a JobMaster for a term of leadership, and with it the job. Flink's `JobMaster#start`.
    pub fn start(server: &RpcServer<Self>, id: JobMasterId) -> Call<()> {
        server.start();
        // The endpoint has no token yet: what begins the term is not fenced by it.
        server
            .main_thread()
            .call_async_without_fencing(move |job_master, cx| job_master.start_execution(cx, id))
    }

    fn start_execution(&mut self, cx: &mut Context<Self>, id: JobMasterId) {
        if let Err(error) = cx.set_fencing_token(Some(id.into())) {
            tracing::warn!(job = %self.job, %error, "a term that is over does not begin");
            return;
        }
        self.id = Some(id);
        self.address = cx.address();
        tracing::info!(job = %self.job, name = self.graph.plan().name, "job starts");
        cx.schedule_every(self.config.heartbeat.tick(), |job_master, cx| {
            job_master.tick(cx)
        });
        let needed = self.graph.start_scheduling();
        self.pool.set_required(needed);
        self.connect_resource_manager(cx);
        self.wait_for_slots(cx);
    }

    /// Begins to wait for slots, for the first time or to be restarted.
    fn wait_for_slots(&mut self, cx: &mut Context<Self>) {
        let wait = self.graph.plan().slot_wait.and_then(|wait| {
            if self.graph.was_restarted() {
                // What the JobMaster knows to be lost, the ResourceManager may not know yet.
                return Some(wait.max(RESTART_SLOT_WAIT_MIN));
            }
            // Who does not wait at all fails by the ResourceManager's first word of a shortage.
            Some(wait).filter(|wait| !wait.is_zero())
        });
        let timer = wait.map(|wait| cx.schedule(wait, move |it, cx| it.slots_are_late(cx, wait)));
        if let Some(before) = mem::replace(&mut self.slot_wait, timer) {
            before.cancel();
        }
    }

    /// The job has waited for its slots as long as it may.
    fn slots_are_late(&mut self, cx: &mut Context<Self>, waited: Duration) {
        if !self.graph.is_waiting_for_slots() {
            return;
        }
        let acquired = self.pool.acquired();
        if let Some(shortage) = self.shortage {
            let shortage = Shortage {
                acquired,
                ..shortage
            };
            let actions = self.graph.not_enough_slots(shortage, self.now_ms());
            return self.run(cx, actions);
        }
        let needed = self.graph.slots_needed();
        let why = match self.resource_manager.accepted() {
            Some(_) => "the others were promised and have not come",
            None => "no resource manager has answered",
        };
        let failure = format!(
            "not enough slots: the job needs {needed} and has {acquired} after {waited:?}, {why}"
        );
        let actions = self.graph.fail_for_slots(failure, self.now_ms());
        self.run(cx, actions);
    }

    /// Deploys the job if it has all slots that it needs.
    pub(super) fn deploy_if_possible(&mut self, cx: &mut Context<Self>) {
        if self.graph.is_waiting_for_slots()
            && let Some(slots) = self.pool.take()
        {
            // What was said of slots that are there now, or were lost since, is over.
            self.shortage = None;
            let actions = self.graph.slots_available(slots);
            self.run(cx, actions);
        }
    }

    /// Does what the graph has decided.
    pub(super) fn run(&mut self, cx: &mut Context<Self>, actions: Vec<GraphAction>) {
        for action in actions {
            match action {
                GraphAction::CancelTask {
                    attempt,
                    task_manager,
                } => self.cancel_task(cx, attempt, &task_manager),
                GraphAction::Deploy(deploy) => self.deploy(cx, *deploy),
                GraphAction::JobStatusChanged { status } => self.status_changed(cx, status),
                GraphAction::ReleaseSlots => self.release_slots(),
                GraphAction::RestartAfter { delay, restart } => {
                    cx.schedule(delay, move |job_master, cx| {
                        let now_ms = job_master.now_ms();
                        let actions = job_master.graph.restart_due(restart, now_ms);
                        job_master.run(cx, actions);
                    });
                }
                GraphAction::WaitForSlots => self.restart(cx),
            }
        }
    }

    /// Begins anew: nothing of the attempts before is left.
    fn restart(&mut self, cx: &mut Context<Self>) {
        tracing::info!(job = %self.job, "job begins anew");
        self.splits.restart();
        self.pool.free_all(now());
        self.wait_for_slots(cx);
        self.deploy_if_possible(cx);
    }

    /// The time of day, but that it is not set back.
    pub(super) fn now_ms(&self) -> u64 {
        let (made_ms, made) = self.made;
        let passed = now().saturating_duration_since(made).as_millis();
        made_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn release_slots(&mut self) {
        for slot in self.pool.clear() {
            self.free_slot(&slot, "the job has ended");
        }
        self.declare_nothing();
    }

    /// Tells a TaskExecutor that one of its slots is not the job's any more.
    pub(super) fn free_slot(&self, slot: &ReleasedSlot, cause: &str) {
        if let Some(task_manager) = self.task_managers.get(&slot.task_manager) {
            let told = task_manager
                .gateway
                .free_slot(slot.allocation, cause.to_owned());
            told.detach();
        }
    }

    fn status_changed(&mut self, cx: &mut Context<Self>, status: JobStatus) {
        tracing::info!(job = %self.job, %status, "job status");
        if status == JobStatus::Restarting {
            let cause = self.graph.restart_cause().join(": ");
            tracing::warn!(job = %self.job, cause, "job restarts");
            self.forget_results();
        }
        if !status.is_terminal() {
            return;
        }
        self.splits.clear();
        let goodbyes = self.disconnect_all("the job has ended");
        goodbyes.into_iter().for_each(Call::detach);
        let answers = self.results.end();
        if let Some(on_end) = self.on_end.take() {
            on_end(self.graph.info(self.now_ms()), self.results.bytes());
        }
        self.linger(cx);
        self.answer(cx, answers);
    }

    /// What the attempts that end have printed, those that follow print again.
    fn forget_results(&mut self) {
        for sink in self.results.restart() {
            let reason = Failure::message("the job restarts");
            sink.answer(Err(reason.into()));
        }
    }

    /// Keeps what the sinks of a job that has ended printed for the client, but not for ever.
    pub(super) fn linger(&mut self, cx: &mut Context<Self>) {
        if !self.graph.status().is_terminal() {
            return;
        }
        let linger = cx.schedule(self.config.results_linger, |_, cx| cx.stop());
        if let Some(before) = self.linger.replace(linger) {
            before.cancel();
        }
    }

    /// Answers sinks and clients; stops when the job has ended and nobody needs it any more.
    pub(super) fn answer(
        &mut self,
        cx: &mut Context<Self>,
        answers: Answers<ReplyTo<(), UnknownAttempt>, ReplyTo<bytes::Bytes, ResultsGone>>,
    ) {
        for sink in answers.sinks {
            sink.answer(Ok(()));
        }
        if let Some((client, piece)) = answers.client {
            client.answer(Ok(piece));
        }
        if let Some(replaced) = answers.replaced {
            let reason = Failure::message("another client fetches the results of the job");
            replaced.answer(Err(reason.into()));
        }
        if self.results.is_given() {
            self.graph.results_given();
        }
        if self.results.is_drained() {
            cx.stop();
        }
    }
}

impl RpcEndpoint for JobMaster {
    type Gateways = gateways![JobMasterGateway];

    async fn on_stop(main: MainThread<'_, Self>) -> Result<(), BoxError> {
        let goodbyes = main.run(|job_master, cx| {
            let actions = job_master.graph.suspend(job_master.now_ms());
            job_master.run(cx, actions);
            job_master.disconnect_all("the job master stops")
        });
        until_heard(goodbyes).await;
        Ok(())
    }
}

impl fmt::Debug for JobMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobMaster")
            .field("job", &self.job)
            .field("status", &self.graph.status())
            .finish_non_exhaustive()
    }
}

/// What is said of a TaskManager that cannot be reached any more.
pub(super) fn lost(resource: &ResourceId) -> String {
    format!("task manager {resource} is lost")
}

/// The time of day, as it is shown to people.
pub(crate) fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_1970.map_or(0, |it| it.as_millis());
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// How long a job that restarts waits for its slots at least: longer than the ResourceManager takes to
/// notice that a TaskManager has died, and to ask another one for a slot.
const RESTART_SLOT_WAIT_MIN: Duration = Duration::from_secs(10);

/// The time by which heartbeats and slots are judged.
pub(super) fn now() -> Instant {
    Instant::now()
}
