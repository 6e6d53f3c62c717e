//! The TaskExecutor's connections: to the ResourceManager, and to the JobMasters of its slots.

use std::sync::Arc;

use rpc_core::{Call, ConnectError, Context, RpcError, RpcResult, TimerHandle};
use tokio::time::Instant;

use super::endpoint::{FatalError, TaskExecutor};
use super::slot_table::SlotState;
use crate::gateway::{
    JobMasterGateway, ResourceManagerGateway, SlotOffer, SlotReport, TaskExecutorAccepted,
    TaskExecutorRegistration, TaskManagerLocation, UnknownRegistration, UnknownTaskManager,
};
use crate::heartbeat::Watch;
use crate::id::{
    AllocationId, InstanceId, JobId, JobMasterId, RegistrationId, ResourceId, ResourceManagerId,
    SlotId,
};
use crate::leader::LeaderRetrieval;
use crate::registration::{NotConnected, RegisteredConnection, Registration, register};

/// The connection to the leading ResourceManager.
pub(super) struct ResourceManagerLink {
    retrieval: LeaderRetrieval,
    connection: RegisteredConnection,
    established: Option<Established>,
    /// Runs until a ResourceManager has accepted the TaskExecutor and its slots.
    timeout: Option<TimerHandle>,
}

/// A ResourceManager that has accepted the registration.
pub(super) struct Established {
    gateway: Arc<dyn ResourceManagerGateway>,
    instance: InstanceId,
    resource: ResourceId,
    _watch: Watch,
}

impl ResourceManagerLink {
    pub(super) const fn new(retrieval: LeaderRetrieval) -> Self {
        Self {
            retrieval,
            connection: RegisteredConnection::new(),
            established: None,
            timeout: None,
        }
    }

    /// Gives up what is under way, and forgets what was established.
    fn drop_current(&mut self) -> Option<Established> {
        self.connection.give_up();
        self.established.take()
    }

    /// Returns the term of the ResourceManager that is connected.
    pub(super) fn id(&self) -> Option<ResourceManagerId> {
        let token = self.established.as_ref()?.gateway.fencing_token();
        Some(ResourceManagerId::new(token))
    }

    /// Returns the registration at the ResourceManager that is connected.
    pub(super) fn instance(&self) -> Option<InstanceId> {
        self.established.as_ref().map(|it| it.instance)
    }

    pub(super) fn notify_slot_available(&self, slot: SlotId, allocation: AllocationId) {
        if let Some(established) = &self.established {
            let instance = established.instance;
            established
                .gateway
                .notify_slot_available(instance, slot, allocation);
        }
    }

    /// Returns the ResourceManager that is connected, and what answers its request for a heartbeat.
    pub(super) fn answer_heartbeat(
        &self,
        own: ResourceId,
        report: SlotReport,
    ) -> Option<(ResourceId, Call<(), UnknownRegistration>)> {
        let Established {
            gateway,
            instance,
            resource,
            ..
        } = self.established.as_ref()?;
        let answer = gateway.heartbeat_from_task_manager(own, *instance, report);
        Some((resource.clone(), answer))
    }
}

/// The connection to the JobMaster of a job that has slots here.
pub(super) struct JobLink {
    /// Where the ResourceManager says that the JobMaster is.
    pub(super) address: String,
    /// The JobMaster's term.
    pub(super) id: JobMasterId,
    connection: RegisteredConnection,
    pub(super) gateway: Option<Arc<dyn JobMasterGateway>>,
    pub(super) watch: Option<Watch>,
    /// The last offer that was made to it: no other's answer counts.
    offer: Option<u64>,
}

impl JobLink {
    pub(super) const fn new(address: String, id: JobMasterId) -> Self {
        Self {
            address,
            id,
            connection: RegisteredConnection::new(),
            gateway: None,
            watch: None,
            offer: None,
        }
    }

    /// Returns the registration that is under way or holds.
    pub(super) fn registration(&self) -> Option<RegistrationId> {
        let holds = self.is_registering() || self.gateway.is_some();
        self.connection.registration().filter(|_| holds)
    }

    /// Tells whether the JobMaster is being registered at.
    pub(super) const fn is_registering(&self) -> bool {
        self.connection.is_pending()
    }

    /// Gives up what is under way, and forgets the JobMaster, with what it was offered.
    fn drop_current(&mut self) -> Option<Arc<dyn JobMasterGateway>> {
        self.offer = None;
        self.watch = None;
        self.connection.give_up();
        self.gateway.take()
    }
}

impl TaskExecutor {
    /// Registers at the leading ResourceManager, for the first time or anew.
    pub(super) fn connect_resource_manager(&mut self, cx: &mut Context<Self>) {
        let registration = Registration::new(self.config.registration.clone());
        self.register_at_resource_manager(cx, registration);
    }

    fn register_at_resource_manager(&mut self, cx: &mut Context<Self>, registration: Registration) {
        self.begin_registration_timeout(cx);
        let link = &mut self.resource_manager;
        link.drop_current();
        let attempt = link.connection.begin();
        let Some(attempt) = attempt else { return };
        let retrieval = link.retrieval.clone();
        let description = TaskExecutorRegistration {
            resource: self.resource.clone(),
            session: self.session,
            address: self.address.clone(),
            data_address: self.services.data_address.clone(),
            slots: self.config.slots.slots,
        };
        let registering = register(
            registration,
            String::from("the resource manager"),
            move || {
                let retrieval = retrieval.clone();
                async move {
                    let leader = retrieval.resource_manager().await;
                    leader.map_err(NotConnected::not_yet)
                }
            },
            move |gateway: &dyn ResourceManagerGateway| {
                gateway.register_task_executor(description.clone())
            },
        );
        let registering = link.connection.registering(registering);
        cx.pipe(registering, move |te, cx, result| {
            // An aborted registration is one that no longer counts.
            let Ok(result) = result else { return };
            let connection = &mut te.resource_manager.connection;
            match result {
                Ok((gateway, accepted)) if connection.established(attempt) => {
                    te.resource_manager_established(cx, gateway, accepted);
                }
                Err(reason) if connection.rejected(attempt) => {
                    te.fail(cx, FatalError::Rejected { reason });
                }
                Ok(_) | Err(_) => {}
            }
        });
    }

    /// As `TaskExecutor#startRegistrationTimeout`.
    fn begin_registration_timeout(&mut self, cx: &mut Context<Self>) {
        if let Some(timeout) = self.config.registration_timeout
            && self.resource_manager.timeout.is_none()
        {
            let timer = cx.schedule(timeout, move |te, cx| {
                te.fail(cx, FatalError::RegistrationTimeout { timeout });
            });
            self.resource_manager.timeout = Some(timer);
        }
    }

    fn resource_manager_established(
        &mut self,
        cx: &mut Context<Self>,
        gateway: Arc<dyn ResourceManagerGateway>,
        accepted: TaskExecutorAccepted,
    ) {
        let TaskExecutorAccepted {
            instance,
            resource_manager: resource,
        } = accepted;
        tracing::info!(%resource, "registered at the resource manager");
        let own = self.resource.clone();
        let reported = gateway.send_slot_report(own, instance, self.slots.report());
        cx.pipe(reported, move |te, cx, result| {
            if te.resource_manager.instance() != Some(instance) {
                return;
            }
            match result {
                Ok(()) => {
                    if let Some(timeout) = te.resource_manager.timeout.take() {
                        timeout.cancel();
                    }
                }
                Err(error) => {
                    if let Some(told) = te.leave_resource_manager(&error.to_string()) {
                        told.detach();
                    }
                    let config = te.config.registration.clone();
                    let registration = Registration::after_error(config, Instant::now());
                    te.register_at_resource_manager(cx, registration);
                }
            }
        });
        self.resource_manager_heartbeats
            .monitor(resource.clone(), Instant::now());
        let watch = Self::watch_resource_manager(cx, &*gateway, instance);
        self.resource_manager.established = Some(Established {
            gateway,
            instance,
            resource,
            _watch: watch,
        });
    }

    /// The ResourceManager is lost: slots and tasks are kept, and the leading one is looked for.
    pub(super) fn reconnect_resource_manager(&mut self, cx: &mut Context<Self>, cause: &str) {
        if let Some(told) = self.leave_resource_manager(cause) {
            told.detach();
        }
        self.connect_resource_manager(cx);
    }

    /// Leaves the ResourceManager for good; returns what was said to it.
    pub(super) fn close_resource_manager(&mut self, cause: &str) -> Option<Call<()>> {
        let told = self.leave_resource_manager(cause);
        self.resource_manager.connection.close();
        told
    }

    fn leave_resource_manager(&mut self, cause: &str) -> Option<Call<()>> {
        let left = self.forget_resource_manager()?;
        tracing::info!(resource = %left.resource, cause, "leaving the resource manager");
        let (own, gateway) = (self.resource.clone(), left.gateway);
        Some(gateway.disconnect_task_manager(own, left.instance, cause.to_owned()))
    }

    /// Forgets the ResourceManager, which knows of it or is told.
    pub(super) fn forget_resource_manager(&mut self) -> Option<Established> {
        let left = self.resource_manager.drop_current()?;
        self.resource_manager_heartbeats.unmonitor(&left.resource);
        Some(left)
    }

    /// Registers at the JobMaster of a job, for the first time or anew, and then offers slots to it.
    pub(super) fn connect_job_master(&mut self, cx: &mut Context<Self>, job: JobId) {
        let location = TaskManagerLocation {
            resource: self.resource.clone(),
            address: self.address.clone(),
            data_address: self.services.data_address.clone(),
        };
        let Some(link) = self.jobs.get_mut(&job) else {
            return;
        };
        link.drop_current();
        let registration = link.connection.begin();
        let Some(registration) = registration else {
            return;
        };
        let (address, id, session) = (link.address.clone(), link.id, self.session);
        let Some(rpc) = cx.service() else { return };
        let registering = register(
            Registration::new(self.config.registration.clone()),
            format!("the job master of job {job}"),
            move || {
                let (rpc, address) = (rpc.clone(), address.clone());
                async move {
                    let gateway = rpc.connect_fenced::<dyn JobMasterGateway>(&address, id);
                    gateway.await.map_err(|error| match error {
                        // Whoever answers there knows that the job is gone.
                        ConnectError::NoEndpoint { .. } => NotConnected::Gone(error.into()),
                        error => NotConnected::not_yet(error),
                    })
                }
            },
            move |gateway: &dyn JobMasterGateway| {
                gateway.register_task_manager(job, location.clone(), session, registration)
            },
        );
        let registering = link.connection.registering(registering);
        cx.pipe(registering, move |te, cx, result| {
            let Some(link) = te.jobs.get_mut(&job) else {
                return;
            };
            let Ok(result) = result else { return };
            match result {
                Ok((gateway, _)) if link.connection.established(registration) => {
                    link.gateway = Some(gateway);
                    te.job_master_heartbeats.monitor(job, Instant::now());
                    te.watch_job_master(cx, job);
                    te.offer_slots(cx, job);
                }
                Err(reason) if link.connection.rejected(registration) => {
                    te.job_rejected(job, &reason);
                }
                Ok(_) | Err(_) => {}
            }
        });
    }

    /// As `TaskExecutor#handleRejectedJobManagerConnection`: all that the job has here is released,
    /// and so is that of a job whose JobMaster is gone.
    /// It is forgotten with the last slot, which may be when the tasks in it have ended.
    fn job_rejected(&mut self, job: JobId, reason: &str) {
        tracing::info!(%job, reason, "the job master does not take this task manager");
        for state in [SlotState::Allocated, SlotState::Active] {
            for slot in self.slots.slots_of(job, state) {
                self.release_slot(slot.allocation, reason);
            }
        }
    }

    /// Takes note of whether a call has reached a JobMaster, if that is still connected: one that is
    /// dead is noticed by it.
    pub(super) fn job_master_called<T, E>(
        &mut self,
        job: JobId,
        job_master: &Arc<dyn JobMasterGateway>,
        result: &RpcResult<T, E>,
    ) {
        if self.is_connected(job, job_master) {
            self.job_master_heartbeats
                .called(&job, result, Instant::now());
        }
    }

    /// Tells whether this gateway is the one to the job's JobMaster.
    pub(super) fn is_connected(&self, job: JobId, job_master: &Arc<dyn JobMasterGateway>) -> bool {
        let gateway = self.jobs.get(&job).and_then(|it| it.gateway.as_ref());
        gateway.is_some_and(|it| Arc::ptr_eq(it, job_master))
    }

    /// Offers the slots that the JobMaster has not taken yet.
    pub(super) fn offer_slots(&mut self, cx: &mut Context<Self>, job: JobId) {
        let offers = self.slots.slots_of(job, SlotState::Allocated);
        let Some(link) = self.jobs.get_mut(&job) else {
            return;
        };
        let Some(gateway) = link.gateway.as_ref().filter(|_| !offers.is_empty()) else {
            return;
        };
        self.offers += 1;
        let number = self.offers;
        link.offer = Some(number);
        let gateway = Arc::clone(gateway);
        let (own, slots) = (self.resource.clone(), offers.clone());
        let offering = Arc::clone(&gateway);
        let offered = async move { offering.offer_slots(own, slots).await };
        cx.pipe(offered, move |te, cx, result| {
            te.job_master_called(job, &gateway, &result);
            // The answer to an earlier offer, or of a JobMaster that is gone, says nothing.
            if let Some(link) = te.jobs.get_mut(&job).filter(|it| it.offer == Some(number)) {
                link.offer = None;
                te.offer_answered(cx, job, &offers, result);
            }
        });
    }

    /// As `TaskExecutor#handleAcceptedSlotOffers`.
    fn offer_answered(
        &mut self,
        cx: &mut Context<Self>,
        job: JobId,
        offers: &[SlotOffer],
        result: RpcResult<Vec<SlotOffer>, UnknownTaskManager>,
    ) {
        let accepted = match result {
            Ok(accepted) => accepted,
            // The JobMaster may have taken them: it is asked again.
            Err(
                RpcError::Timeout { .. }
                | RpcError::Disconnected {
                    possibly_executed: true,
                    ..
                },
            ) => return self.offer_slots(cx, job),
            Err(error) => {
                for offer in offers {
                    self.release_slot(offer.allocation, &error.to_string());
                }
                return;
            }
        };
        for offer in offers {
            let allocation = offer.allocation;
            if !accepted.contains(offer) {
                self.release_slot(allocation, "the job master does not need it");
            } else if !self.slots.mark_active(allocation)
                && let Some(gateway) = self.jobs.get(&job).and_then(|it| it.gateway.as_ref())
            {
                let cause = String::from("the slot was freed meanwhile");
                gateway.fail_slot(self.resource.clone(), allocation, cause);
            }
        }
    }

    /// Leaves a JobMaster that is lost or has left, and looks for it anew if the job has slots here.
    pub(super) fn reconnect_job_master(&mut self, cx: &mut Context<Self>, job: JobId, cause: &str) {
        self.disconnect_job(job, cause);
        if !self.slots.slots_of(job, SlotState::Allocated).is_empty() {
            self.connect_job_master(cx, job);
        }
    }

    /// Leaves the JobMaster of a job, if there is one.
    pub(super) fn disconnect_job(&mut self, job: JobId, cause: &str) {
        if let Some(told) = self.leave_job(job, cause) {
            told.detach();
        }
    }

    /// The JobMaster is lost or leaves: its tasks fail, and its slots wait for the next one as long
    /// as slots wait. Returns what was said to it.
    pub(super) fn leave_job(&mut self, job: JobId, cause: &str) -> Option<Call<()>> {
        let link = self.jobs.get_mut(&job)?;
        let registration = link.registration()?;
        let gateway = link.drop_current()?;
        tracing::info!(%job, cause, "leaving the job master");
        self.job_master_heartbeats.unmonitor(&job);
        for attempt in self.slots.tasks_of(job) {
            self.tasks.fail(attempt, cause);
        }
        for slot in self.slots.slots_of(job, SlotState::Active) {
            self.slots.mark_inactive(slot.allocation, Instant::now());
        }
        let own = self.resource.clone();
        Some(gateway.disconnect_task_manager(own, registration, cause.to_owned()))
    }
}
