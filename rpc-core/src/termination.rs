//! How an endpoint has ended, for all who wait for it.

use std::future::Future;
use std::mem;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::endpoint::RpcEndpoint;
use crate::error::EndpointError;
use crate::main_loop::Resting;
use crate::shared::EndpointCore;

/// Tells how an endpoint has ended, once it has.
#[derive(Default)]
pub(crate) struct Termination(Mutex<Progress>);

enum Progress {
    /// With those who wait, once there are any: most endpoints have nobody.
    Running(Option<Arc<Waiting>>),
    Over(Ended),
}

/// Those who wait for an endpoint's end.
#[derive(Default)]
struct Waiting {
    result: OnceLock<Ended>,
    ended: Notify,
}

impl Default for Progress {
    fn default() -> Self {
        Self::Running(None)
    }
}

/// An endpoint's state as long as its task lives.
///
/// Whatever ends the task, the state is dropped then, whoever waits is told, and the name is free;
/// unless the endpoint rests.
pub(crate) struct Ending<E: RpcEndpoint> {
    core: Arc<EndpointCore<E>>,
    /// It is there until then.
    endpoint: Option<Box<Resting<E>>>,
    /// How the endpoint has ended; the task was dropped if nobody has said so.
    result: Option<Ended>,
}

/// How an endpoint has ended. The error is elsewhere: there is hardly ever one, and all endpoints would
/// have room for it.
pub(crate) type Ended = Result<(), Box<EndpointError>>;

impl<E: RpcEndpoint> Ending<E> {
    pub(crate) const fn new(core: Arc<EndpointCore<E>>, endpoint: Box<Resting<E>>) -> Self {
        Self {
            core,
            endpoint: Some(endpoint),
            result: None,
        }
    }

    pub(crate) fn parts(&self) -> (&Arc<EndpointCore<E>>, &Resting<E>) {
        let endpoint = self.endpoint.as_ref();
        (&self.core, endpoint.expect("the task lives"))
    }

    /// The endpoint rests until it has something to do, as it stands now. Given back if it has.
    pub(crate) fn rest(mut self, stands: impl FnOnce(&mut Resting<E>)) -> Result<(), Self> {
        let mut endpoint = self.endpoint.take().expect("the task lives");
        stands(&mut endpoint);
        let rests = self.core.mailbox.rest(endpoint);
        rests.map_err(|endpoint| {
            self.endpoint = Some(endpoint);
            self
        })
    }

    /// The endpoint has ended by itself.
    pub(crate) fn end(mut self, result: Ended) {
        self.result = Some(result);
    }
}

impl<E: RpcEndpoint> Drop for Ending<E> {
    fn drop(&mut self) {
        let Some(endpoint) = self.endpoint.take() else {
            return;
        };
        let core = &self.core;
        let result = self.result.take();
        let mut result = result.unwrap_or_else(|| Err(Box::new(core.aborted())));
        let denied = core.close([]);
        let dropped = core.drop_stopped(endpoint);
        if denied.and(dropped).is_err() && result.is_ok() {
            result = Err(Box::new(core.panicked()));
        }
        core.ended(result);
    }
}

impl Termination {
    /// Says how the endpoint has ended.
    pub(crate) fn set(&self, result: Ended) {
        let before = mem::replace(&mut *self.0.lock(), Progress::Over(result.clone()));
        if let Progress::Running(Some(waiting)) = before {
            // It is said once.
            let _unset = waiting.result.set(result);
            waiting.ended.notify_waiters();
        }
    }

    /// Tells whether it has ended.
    pub(crate) fn is_set(&self) -> bool {
        matches!(*self.0.lock(), Progress::Over(_))
    }

    /// Waits until the endpoint has ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: whoever asks later is told too.
    pub(crate) fn wait(&self) -> impl Future<Output = Result<(), EndpointError>> + use<> {
        let waits = match &mut *self.0.lock() {
            Progress::Over(result) => Err(result.clone()),
            Progress::Running(waiting) => Ok(Arc::clone(waiting.get_or_insert_default())),
        };
        async move {
            let result = match waits {
                Ok(waiting) => waiting.told().await,
                Err(result) => result,
            };
            result.map_err(|error| *error)
        }
    }
}

impl Waiting {
    async fn told(&self) -> Ended {
        loop {
            // Before one looks: what happens from here on is told.
            let ended = self.ended.notified();
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            ended.await;
        }
    }
}
