//! The JobMaster's connections: to the ResourceManager, and to TaskExecutors.

use std::sync::Arc;

use futures_util::future::{AbortHandle, abortable};
use rpc_core::{BoxError, Context, RpcResult};

use super::endpoint::{JobMaster, now, now_ms};
use crate::gateway::{JobStatus, ResourceManagerGateway};
use crate::heartbeat::Delivery;
use crate::id::{ResourceId, ResourceManagerId};
use crate::leader::LeaderRetrieval;
use crate::registration::{RegisteredConnection, register};

/// The connection to the leading ResourceManager.
pub(super) struct ResourceManagerLink {
    retrieval: LeaderRetrieval,
    connection: RegisteredConnection,
    /// Ends the registration that is under way.
    registering: Option<AbortHandle>,
    established: Option<Established>,
}

/// A ResourceManager that has accepted the registration.
struct Established {
    gateway: Arc<dyn ResourceManagerGateway>,
    resource: ResourceId,
}

impl ResourceManagerLink {
    pub(super) const fn new(retrieval: LeaderRetrieval) -> Self {
        Self {
            retrieval,
            connection: RegisteredConnection::new(),
            registering: None,
            established: None,
        }
    }

    /// Gives up what is under way, and forgets what was established.
    fn drop_current(&mut self) -> Option<Established> {
        if let Some(registering) = self.registering.take() {
            registering.abort();
        }
        self.established.take()
    }

    pub(super) fn id(&self) -> Option<ResourceManagerId> {
        let token = self.established.as_ref()?.gateway.fencing_token();
        Some(ResourceManagerId::new(token))
    }

    pub(super) fn answer_heartbeat(&self, own: &ResourceId) -> Option<rpc_core::Call<()>> {
        let established = self.established.as_ref()?;
        Some(established.gateway.heartbeat_from_job_manager(own.clone()))
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
        let link = &mut self.resource_manager;
        let attempt = link
            .connection
            .start()
            .or_else(|| link.connection.reconnect());
        let (Some(attempt), Some(id)) = (attempt, self.id) else {
            return;
        };
        let retrieval = link.retrieval.clone();
        let (job, resource, address) = (self.job, self.resource.clone(), self.address.clone());
        let registration = register(
            self.config.registration.clone(),
            String::from("the resource manager"),
            move || {
                let retrieval = retrieval.clone();
                async move { Ok::<_, BoxError>(retrieval.resource_manager().await?) }
            },
            move |gateway: &dyn ResourceManagerGateway| {
                gateway.register_job_master(id, resource.clone(), address.clone(), job)
            },
        );
        let (registration, abort) = abortable(registration);
        link.registering = Some(abort);
        cx.pipe(registration, move |job_master, cx, result| {
            // An aborted registration is one that no longer counts.
            let Ok(result) = result else { return };
            match result {
                Ok((gateway, resource))
                    if job_master.resource_manager.connection.established(attempt) =>
                {
                    job_master
                        .resource_manager_heartbeats
                        .monitor(resource.clone(), now());
                    job_master.resource_manager.established =
                        Some(Established { gateway, resource });
                    job_master.declare();
                }
                Ok(_) => {}
                Err(reason) => {
                    let failure = vec![format!("the resource manager rejects the job: {reason}")];
                    let actions = job_master.graph.fail(failure, now_ms());
                    job_master.run(cx, actions);
                }
            }
        });
    }

    /// Tells the ResourceManager how many slots the job needs.
    pub(super) fn declare(&mut self) {
        let (Some(link), Some(id)) = (&self.resource_manager.established, self.id) else {
            return;
        };
        let requirements = self.pool.declaration(&self.address);
        link.gateway
            .declare_required_resources(id, requirements)
            .detach();
    }

    /// Looks at all monitors and deadlines.
    pub(super) fn tick(&mut self, cx: &mut Context<Self>) {
        for resource in self.task_manager_heartbeats.due(now()) {
            let Some(task_manager) = self.task_managers.get(&resource) else {
                continue;
            };
            let slots = self.pool.allocated_slots(&resource);
            let beat = task_manager
                .gateway
                .heartbeat_from_job_manager(self.job, slots);
            cx.pipe(beat, move |job_master, _, result: RpcResult<()>| {
                Delivery::of(&result).tell(&mut job_master.task_manager_heartbeats, &resource);
            });
        }
        for (resource, cause) in self.task_manager_heartbeats.lost(now()) {
            self.close_task_manager(cx, &resource, &format!("task manager {resource} {cause}"));
        }
        if !self.resource_manager_heartbeats.lost(now()).is_empty() {
            self.connect_resource_manager(cx);
        }
        for slot in self.pool.release_idle(now()) {
            if let Some(task_manager) = self.task_managers.get(&slot.task_manager) {
                let cause = String::from("the job does not need it");
                task_manager
                    .gateway
                    .free_slot(slot.allocation, cause)
                    .detach();
            }
        }
    }

    /// As `JobMaster#disconnectTaskManager`: its slots are lost, and the tasks in them fail.
    pub(super) fn close_task_manager(
        &mut self,
        cx: &mut Context<Self>,
        resource: &ResourceId,
        cause: &str,
    ) {
        let Some(task_manager) = self.task_managers.remove(resource) else {
            return;
        };
        tracing::info!(job = %self.job, %resource, cause, "task manager gone");
        self.task_manager_heartbeats.unmonitor(resource);
        self.pool.release_task_manager(resource);
        task_manager
            .gateway
            .disconnect_job_manager(self.job, cause.to_owned());
        let failure = vec![cause.to_owned()];
        let actions = self.graph.task_manager_lost(resource, failure, now_ms());
        self.run(cx, actions);
    }

    /// Takes leave of everybody.
    pub(super) fn disconnect_all(&mut self, cause: &str) {
        for (resource, task_manager) in std::mem::take(&mut self.task_managers) {
            self.task_manager_heartbeats.unmonitor(&resource);
            self.pool.release_task_manager(&resource);
            task_manager
                .gateway
                .disconnect_job_manager(self.job, cause.to_owned());
        }
        if let Some(established) = self.resource_manager.drop_current() {
            self.resource_manager_heartbeats
                .unmonitor(&established.resource);
            let status: JobStatus = self.graph.status();
            established
                .gateway
                .disconnect_job_manager(self.job, status, cause.to_owned());
        }
        self.resource_manager.connection.close();
    }
}
