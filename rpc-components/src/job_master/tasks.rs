//! The tasks of the job, as far as TaskExecutors are told of them.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Context, Failure, RpcError, RpcResult};

use super::endpoint::{JobMaster, lost, now};
use super::execution_graph::Deploy;
use crate::gateway::{TaskExecutorGateway, TaskNotFound, TaskSubmissionError};
use crate::id::{AttemptId, ResourceId};

impl JobMaster {
    pub(super) fn deploy(&mut self, cx: &mut Context<Self>, deploy: Deploy) {
        let attempt = deploy.descriptor.attempt;
        if !self.graph.is_deploying(attempt) {
            // The failure of another to be deployed has ended it.
            return;
        }
        let resource = deploy.task_manager.resource;
        let (Some(task_manager), Some(id)) = (self.task_managers.get(&resource), self.id) else {
            let failure = vec![format!("task manager {resource} is gone")];
            let actions = self.graph.deploy_failed(attempt, failure, self.now_ms());
            return self.run(cx, actions);
        };
        let (gateway, descriptor) = (Arc::clone(&task_manager.gateway), deploy.descriptor);
        let asked = Arc::clone(&gateway);
        // Made outside of the handler: it is not to end with the call that brought the last slot.
        let submitted = async move { asked.submit_task(Box::new(descriptor), id).await };
        cx.pipe(submitted, move |job_master, cx, result| {
            job_master.submitted(cx, attempt, &resource, &gateway, result);
        });
    }

    fn submitted(
        &mut self,
        cx: &mut Context<Self>,
        attempt: AttemptId,
        resource: &ResourceId,
        gateway: &Arc<dyn TaskExecutorGateway>,
        result: RpcResult<(), TaskSubmissionError>,
    ) {
        self.called(resource, &result);
        let Err(error) = result else {
            return self.graph.deployed(attempt);
        };
        let failure = texts(&error, format!("task {attempt} could not be deployed"));
        let actions = match error {
            // It has died, and its slots are not to be given the next attempt.
            RpcError::Disconnected { .. } | RpcError::Unreachable { .. }
                if self.is_connected(resource, gateway) =>
            {
                return self.close_task_manager(cx, resource, &lost(resource));
            }
            // It has not heard of it.
            RpcError::Overloaded { .. } => {
                cx.schedule(RETRY_DELAY, move |job_master, cx| {
                    if let Some(deploy) = job_master.graph.deploy(attempt) {
                        job_master.deploy(cx, deploy);
                    }
                });
                return;
            }
            // No other attempt would fare better.
            RpcError::Codec { .. }
            | RpcError::Forbidden { .. }
            | RpcError::Incompatible { .. }
            | RpcError::TooLarge { .. } => self.graph.fail(failure, self.now_ms()),
            _ => self.graph.deploy_failed(attempt, failure, self.now_ms()),
        };
        self.run(cx, actions);
    }

    pub(super) fn cancel_task(
        &mut self,
        cx: &mut Context<Self>,
        attempt: AttemptId,
        resource: &ResourceId,
    ) {
        let Some(task_manager) = self.task_managers.get(resource) else {
            let actions = self.graph.cancel_failed(attempt, self.now_ms());
            return self.run(cx, actions);
        };
        let (gateway, resource) = (Arc::clone(&task_manager.gateway), resource.clone());
        let asked = Arc::clone(&gateway);
        let cancelled = async move { asked.cancel_task(attempt).await };
        cx.pipe(cancelled, move |job_master, cx, result| {
            job_master.cancelled(cx, attempt, &resource, &gateway, &result);
        });
    }

    fn cancelled(
        &mut self,
        cx: &mut Context<Self>,
        attempt: AttemptId,
        resource: &ResourceId,
        gateway: &Arc<dyn TaskExecutorGateway>,
        result: &RpcResult<(), TaskNotFound>,
    ) {
        self.called(resource, result);
        let cause = match result {
            Ok(()) => return,
            // That may be why the job fails.
            Err(RpcError::Disconnected { .. } | RpcError::Unreachable { .. }) => {
                Some(lost(resource))
            }
            // If it hangs it would not run the next attempt either; if not, it registers anew.
            Err(RpcError::Timeout { .. }) => {
                Some(format!("task manager {resource} does not answer"))
            }
            // It has not heard of it, and the task runs on.
            Err(RpcError::Overloaded { .. }) => {
                let resource = resource.clone();
                cx.schedule(RETRY_DELAY, move |job_master, cx| {
                    job_master.cancel_task(cx, attempt, &resource);
                });
                return;
            }
            Err(_) => None,
        };
        match cause.filter(|_| self.is_connected(resource, gateway)) {
            Some(cause) => self.close_task_manager(cx, resource, &cause),
            None => {
                let actions = self.graph.cancel_failed(attempt, self.now_ms());
                self.run(cx, actions);
            }
        }
    }

    /// Takes note of whether a call has reached a TaskExecutor: one that is dead is noticed by it.
    pub(super) fn called<T, E>(&mut self, resource: &ResourceId, result: &RpcResult<T, E>) {
        self.task_manager_heartbeats.called(resource, result, now());
    }
}

/// The texts of an error's chain, under one that says what failed.
fn texts<E: std::error::Error + 'static>(error: &RpcError<E>, what: String) -> Vec<String> {
    let mut texts = vec![what];
    texts.extend(Failure::new(error).texts());
    texts
}

/// When a TaskExecutor is told again that had too much to do to hear of it.
const RETRY_DELAY: Duration = Duration::from_secs(1);
