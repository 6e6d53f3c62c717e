//! The JobMaster's connections: to the ResourceManager, and to TaskExecutors.

use std::sync::Arc;

use rpc_core::{Call, Context, GatewayClosed, RpcError, RpcResult};

use super::endpoint::{JobMaster, RegisteredTaskManager, lost, now};
use crate::gateway::{
    RequirementsError, ResourceManagerGateway, TaskExecutorGateway, UnknownRegistration,
};
use crate::heartbeat::{Watch, reached};
use crate::id::{JobId, RegistrationId, ResourceId};
use crate::leader::LeaderRetrieval;
use crate::registration::{NotConnected, RegisteredConnection, Registration, register};

/// The connection to the leading ResourceManager.
pub(super) struct ResourceManagerLink {
    retrieval: LeaderRetrieval,
    connection: RegisteredConnection,
    established: Option<Established>,
    /// How many declarations were made: only what came of the last one counts.
    declarations: u64,
}

/// A ResourceManager that has accepted the registration.
struct Established {
    gateway: Arc<dyn ResourceManagerGateway>,
    registration: RegistrationId,
    resource: ResourceId,
}

impl ResourceManagerLink {
    pub(super) const fn new(retrieval: LeaderRetrieval) -> Self {
        Self {
            retrieval,
            connection: RegisteredConnection::new(),
            established: None,
            declarations: 0,
        }
    }

    /// Gives up what is under way, and forgets what was established.
    fn drop_current(&mut self) -> Option<Established> {
        self.connection.give_up();
        self.established.take()
    }

    /// Returns the registration that a ResourceManager has accepted.
    pub(super) fn accepted(&self) -> Option<RegistrationId> {
        self.established.as_ref().map(|it| it.registration)
    }

    /// Returns the registration that is under way or was accepted.
    pub(super) fn registration(&self) -> Option<RegistrationId> {
        self.connection.registration()
    }

    /// Returns the ResourceManager that is connected, and what answers its request for a heartbeat.
    pub(super) fn answer_heartbeat(
        &self,
        job: JobId,
    ) -> Option<(ResourceId, Call<(), UnknownRegistration>)> {
        let Established {
            gateway,
            registration,
            resource,
        } = self.established.as_ref()?;
        let answer = gateway.heartbeat_from_job_manager(job, *registration);
        Some((resource.clone(), answer))
    }
}

impl JobMaster {
    /// Registers at the leading ResourceManager, for the first time or anew.
    ///
    /// The job goes on meanwhile, and keeps its slots.
    pub(super) fn connect_resource_manager(&mut self, cx: &mut Context<Self>) {
        if let Some(lost) = self.resource_manager.drop_current() {
            self.resource_manager_heartbeats.unmonitor(&lost.resource);
        }
        // The next one may have other slots.
        self.shortage = None;
        let link = &mut self.resource_manager;
        let registration = link.connection.begin();
        let (Some(registration), Some(id)) = (registration, self.id) else {
            return;
        };
        let retrieval = link.retrieval.clone();
        let (job, resource, address) = (self.job, self.resource.clone(), self.address.clone());
        let registering = register(
            Registration::new(self.config.registration.clone()),
            String::from("the resource manager"),
            move || {
                let retrieval = retrieval.clone();
                async move {
                    let leader = retrieval.resource_manager().await;
                    leader.map_err(NotConnected::not_yet)
                }
            },
            move |gateway: &dyn ResourceManagerGateway| {
                let (resource, address) = (resource.clone(), address.clone());
                gateway.register_job_master(id, resource, address, job, registration)
            },
        );
        let registering = link.connection.registering(registering);
        cx.pipe(registering, move |job_master, cx, result| {
            // An aborted registration is one that no longer counts.
            let Ok(result) = result else { return };
            let connection = &mut job_master.resource_manager.connection;
            match result {
                Ok((gateway, resource)) if connection.established(registration) => {
                    let established = Established {
                        gateway,
                        registration,
                        resource,
                    };
                    job_master.resource_manager_established(cx, established);
                }
                Err(reason) if connection.rejected(registration) => {
                    let failure = vec![format!("the resource manager rejects the job: {reason}")];
                    let actions = job_master.graph.fail(failure, job_master.now_ms());
                    job_master.run(cx, actions);
                }
                Ok(_) | Err(_) => {}
            }
        });
    }

    fn resource_manager_established(&mut self, cx: &mut Context<Self>, established: Established) {
        self.resource_manager_heartbeats
            .monitor(established.resource.clone(), now());
        self.resource_manager.established = Some(established);
        self.declare(cx);
    }

    /// A ResourceManager that is gone, or does not know the job any more, is looked for. It is not
    /// told.
    pub(super) fn resource_manager_gone(
        &mut self,
        cx: &mut Context<Self>,
        registration: RegistrationId,
        cause: &str,
    ) {
        if self.resource_manager.accepted() == Some(registration) {
            tracing::info!(job = %self.job, cause, "the resource manager has disconnected");
            self.connect_resource_manager(cx);
        }
    }

    /// Tells the ResourceManager how many slots the job needs, until it has heard it.
    pub(super) fn declare(&mut self, cx: &mut Context<Self>) {
        let link = &mut self.resource_manager;
        let (Some(established), Some(id)) = (&link.established, self.id) else {
            return;
        };
        link.declarations += 1;
        let number = link.declarations;
        let resource = established.resource.clone();
        let requirements = self.pool.declaration(&self.address);
        let gateway = Arc::clone(&established.gateway);
        let declared = async move { gateway.declare_required_resources(id, requirements).await };
        cx.pipe(declared, move |job_master, cx, result| {
            let heartbeats = &mut job_master.resource_manager_heartbeats;
            heartbeats.called(&resource, &result, now());
            if job_master.resource_manager.declarations == number {
                job_master.declared(cx, result);
            }
        });
    }

    fn declared(&mut self, cx: &mut Context<Self>, result: RpcResult<(), RequirementsError>) {
        match result {
            Ok(()) => {}
            Err(RpcError::App(RequirementsError::UnknownJobMaster { .. })) => {
                self.connect_resource_manager(cx);
            }
            Err(error) => {
                tracing::warn!(job = %self.job, %error, "the slots are not declared yet");
                let number = self.resource_manager.declarations;
                let delay = self.config.registration.error_delay;
                cx.schedule(delay, move |job_master, cx| {
                    if job_master.resource_manager.declarations == number {
                        job_master.declare(cx);
                    }
                });
            }
        }
    }

    /// Tells the ResourceManager that the job needs no slots any more; the JobMaster may stop before
    /// there is an answer.
    pub(super) fn declare_nothing(&mut self) {
        let link = &mut self.resource_manager;
        let (Some(established), Some(id)) = (&link.established, self.id) else {
            return;
        };
        link.declarations += 1;
        let requirements = self.pool.declaration(&self.address);
        let declared = established
            .gateway
            .declare_required_resources(id, requirements);
        declared.detach();
    }

    /// Looks at all monitors and deadlines.
    pub(super) fn tick(&mut self, cx: &mut Context<Self>) {
        for resource in self.task_manager_heartbeats.due(now()) {
            let Some(task_manager) = self.task_managers.get(&resource) else {
                continue;
            };
            let slots = self.pool.allocated_slots(&resource);
            let registration = task_manager.registration;
            let beat =
                task_manager
                    .gateway
                    .heartbeat_from_job_manager(self.job, registration, slots);
            cx.pipe(beat, move |job_master, cx, result| {
                job_master.called(&resource, &result);
                if let Err(RpcError::App(UnknownRegistration)) = result
                    && job_master.is_registered(&resource, registration)
                {
                    let cause = format!("task manager {resource} does not know the job any more");
                    job_master.close_task_manager(cx, &resource, &cause);
                }
            });
        }
        for (resource, cause) in self.task_manager_heartbeats.lost(now()) {
            self.close_task_manager(cx, &resource, &format!("task manager {resource} {cause}"));
        }
        for (_, cause) in self.resource_manager_heartbeats.lost(now()) {
            let cause = format!("the resource manager {cause}");
            if let Some(told) = self.leave_resource_manager(&cause) {
                told.detach();
            }
            self.connect_resource_manager(cx);
        }
        for slot in self.pool.release_idle(now()) {
            self.free_slot(&slot, "the job does not need it");
        }
        let timeout = self.config.results_timeout;
        if self.results.is_abandoned(timeout, now()) {
            let failure = format!("nobody has fetched the results of the job for {timeout:?}");
            let actions = self.graph.fail(vec![failure], self.now_ms());
            self.run(cx, actions);
        }
    }

    /// Watches a TaskExecutor, which is registered.
    pub(super) fn watch_task_manager(&mut self, cx: &mut Context<Self>, resource: ResourceId) {
        let Some(task_manager) = self.task_managers.get_mut(&resource) else {
            return;
        };
        let registration = task_manager.registration;
        let gateway = Arc::clone(&task_manager.gateway);
        let (watch, closed) = Watch::begin(gateway.closed());
        task_manager.watch = Some(watch);
        cx.pipe(closed, move |job_master, cx, closed| {
            match closed.filter(|_| job_master.is_connected(&resource, &gateway)) {
                Some(GatewayClosed::Disconnected) => {
                    // Until it is known whether it lives no attempt begins there.
                    job_master.pool.set_doubtful(&resource, true);
                    job_master.reach_task_manager(cx, resource, gateway, registration);
                }
                Some(_) => {
                    let cause = format!("task manager {resource} has ended");
                    job_master.close_task_manager(cx, &resource, &cause);
                }
                None => {}
            }
        });
    }

    /// Tries to reach a TaskExecutor to which the connection is lost: if it lives, its tasks go on.
    fn reach_task_manager(
        &self,
        cx: &mut Context<Self>,
        resource: ResourceId,
        gateway: Arc<dyn TaskExecutorGateway>,
        registration: RegistrationId,
    ) {
        let (job, slots) = (self.job, self.pool.allocated_slots(&resource));
        let asked = Arc::clone(&gateway);
        let reached = reached(self.config.heartbeat.reconnect_timeout, move || {
            asked.heartbeat_from_job_manager(job, registration, slots.clone())
        });
        cx.pipe(reached, move |job_master, cx, reached| match reached {
            _ if !job_master.is_connected(&resource, &gateway) => {}
            true => {
                job_master.pool.set_doubtful(&resource, false);
                job_master.watch_task_manager(cx, resource);
                job_master.deploy_if_possible(cx);
            }
            false => job_master.close_task_manager(cx, &resource, &lost(&resource)),
        });
    }

    /// Tells whether this is the TaskExecutor's registration.
    pub(super) fn is_registered(
        &self,
        resource: &ResourceId,
        registration: RegistrationId,
    ) -> bool {
        let known = self.task_managers.get(resource);
        known.is_some_and(|it| it.registration == registration)
    }

    /// Tells whether this gateway is the one to the TaskExecutor that is registered.
    pub(super) fn is_connected(
        &self,
        resource: &ResourceId,
        gateway: &Arc<dyn TaskExecutorGateway>,
    ) -> bool {
        let known = self.task_managers.get(resource);
        known.is_some_and(|it| Arc::ptr_eq(&it.gateway, gateway))
    }

    /// As `JobMaster#disconnectTaskManager`: its slots are lost, and the tasks in them fail.
    pub(super) fn close_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        cause: &str,
    ) {
        if !self.leave_task_manager(resource, cause) {
            return;
        }
        let failure = vec![cause.to_owned()];
        let actions = self
            .graph
            .task_manager_lost(resource, failure, self.now_ms());
        self.run(cx, actions);
    }

    /// Takes leave of a TaskExecutor, whose slots are lost. Returns whether it was registered.
    pub(super) fn leave_task_manager(&mut self, resource: &ResourceId, cause: &str) -> bool {
        let Some(task_manager) = self.task_managers.remove(resource) else {
            return false;
        };
        tracing::info!(job = %self.job, %resource, cause, "task manager gone");
        self.task_manager_heartbeats.unmonitor(resource);
        self.pool.release_task_manager(resource);
        self.say_goodbye(&task_manager, cause).detach();
        true
    }

    /// Takes leave of everybody; returns what was said.
    pub(super) fn disconnect_all(&mut self, cause: &str) -> Vec<Call<()>> {
        let mut goodbyes = Vec::new();
        for (resource, task_manager) in std::mem::take(&mut self.task_managers) {
            self.task_manager_heartbeats.unmonitor(&resource);
            self.pool.release_task_manager(&resource);
            goodbyes.push(self.say_goodbye(&task_manager, cause));
        }
        goodbyes.extend(self.leave_resource_manager(cause));
        self.resource_manager.connection.close();
        goodbyes
    }

    fn say_goodbye(&self, task_manager: &RegisteredTaskManager, cause: &str) -> Call<()> {
        let RegisteredTaskManager {
            gateway,
            registration,
            ..
        } = task_manager;
        gateway.disconnect_job_manager(self.job, *registration, cause.to_owned())
    }

    /// As `JobMaster#dissolveResourceManagerConnection`.
    fn leave_resource_manager(&mut self, cause: &str) -> Option<Call<()>> {
        let left = self.resource_manager.drop_current()?;
        tracing::info!(job = %self.job, cause, "leaving the resource manager");
        self.resource_manager_heartbeats.unmonitor(&left.resource);
        let (job, status, cause) = (self.job, self.graph.status(), cause.to_owned());
        let Established {
            gateway,
            registration,
            ..
        } = left;
        Some(gateway.disconnect_job_manager(job, registration, status, cause))
    }
}
