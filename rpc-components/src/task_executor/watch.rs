//! How the TaskExecutor learns at once that one of those it is connected to is gone.

use std::sync::Arc;

use rpc_core::{Context, GatewayClosed};

use super::endpoint::TaskExecutor;
use crate::gateway::{JobMasterGateway, ResourceManagerGateway, TaskExecutorReport};
use crate::heartbeat::{Watch, reached};
use crate::id::{InstanceId, JobId, RegistrationId};

impl TaskExecutor {
    /// Watches the ResourceManager that has accepted a registration.
    pub(super) fn watch_resource_manager(
        cx: &mut Context<Self>,
        gateway: &dyn ResourceManagerGateway,
        instance: InstanceId,
    ) -> Watch {
        let (watch, closed) = Watch::begin(gateway.closed());
        cx.pipe(closed, move |te, cx, closed| {
            if closed.is_some() {
                te.resource_manager_gone(cx, instance, "the connection to it is lost");
            }
        });
        watch
    }

    /// A ResourceManager that is gone is looked for. It is not told: if it lives, the registration
    /// that follows takes the place of this one.
    pub(super) fn resource_manager_gone(
        &mut self,
        cx: &mut Context<Self>,
        instance: InstanceId,
        cause: &str,
    ) {
        if self.resource_manager.instance() == Some(instance) {
            tracing::info!(cause, "the resource manager has disconnected");
            self.forget_resource_manager();
            self.connect_resource_manager(cx);
        }
    }

    /// Watches the JobMaster of a job, which is connected.
    pub(super) fn watch_job_master(&mut self, cx: &mut Context<Self>, job: JobId) {
        let Some(link) = self.jobs.get_mut(&job) else {
            return;
        };
        let (Some(gateway), Some(registration)) = (link.gateway.clone(), link.registration())
        else {
            return;
        };
        let (watch, closed) = Watch::begin(gateway.closed());
        link.watch = Some(watch);
        cx.pipe(closed, move |te, cx, closed| {
            match closed.filter(|_| te.is_connected(job, &gateway)) {
                Some(GatewayClosed::Disconnected) => {
                    te.reach_job_master(cx, job, gateway, registration);
                }
                Some(_) => te.reconnect_job_master(cx, job, "the job master has ended"),
                None => {}
            }
        });
    }

    /// Tries to reach a JobMaster to which the connection is lost: if it lives, its tasks go on.
    fn reach_job_master(
        &self,
        cx: &mut Context<Self>,
        job: JobId,
        gateway: Arc<dyn JobMasterGateway>,
        registration: RegistrationId,
    ) {
        let (own, asked) = (self.resource.clone(), Arc::clone(&gateway));
        let report = TaskExecutorReport {
            attempts: self.tasks.report(job),
        };
        let reached = reached(self.config.heartbeat.reconnect_timeout, move || {
            asked.heartbeat_from_task_manager(own.clone(), registration, report.clone())
        });
        cx.pipe(reached, move |te, cx, reached| match reached {
            _ if !te.is_connected(job, &gateway) => {}
            true => te.watch_job_master(cx, job),
            false => te.reconnect_job_master(cx, job, "the job master is lost"),
        });
    }
}
